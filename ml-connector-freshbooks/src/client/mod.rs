//! The calls of FreshBooks' API, one method each.

pub(crate) mod callbacks;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    auth::Authenticator,
    decode::{self, Decoded, LeftOut, Object, Row},
    http::{Answer, Call, Client, Envelope},
    model::{Date, LostRow, Raw, Record},
    rate::{Budget, Quota, QuotaKey},
};
use serde_json::value::RawValue;
use url::Url;

use crate::{
    SYSTEM, error,
    models::{Family, Identity, Resource, Shape, Site},
};

/// Members that are never kept, wherever they stand, because who has them can open what they lead to: a client is part of
/// its payments, an attachment of its bill.
const SECRETS: [&str; 4] = ["jwt", "statement_token", "direct_link_token", "share_link"];
/// The member that says whose a record is, where a kind has one: the account's id.
const OWNER: &str = "accounting_systemid";
/// Records that FreshBooks shows within others when it is asked to.
const SHOWN_WITHIN: [&str; 2] = ["client", "invoice"];
/// "Limits" of FreshBooks' documentation: no list has more rows.
pub(crate) const PER_PAGE: usize = 100;
/// What polls leave of each second and of the calls under way, so that webhooks have room: two in five, one in four.
const LEAVE_OF_SECOND: u32 = 5;
const LEAVE_AT_ONCE: u32 = 4;

/// The calls of one business.
#[derive(Debug, Clone)]
pub(crate) struct FreshBooksClient {
    http: Client,
    account_id: Arc<str>,
    business_uuid: Option<Arc<str>>,
    site: Site,
    budget: Budget,
}

/// How many calls a login may make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) calls_per_second: u32,
    pub(crate) concurrent_calls: u32,
}

/// A record and the vendor's JSON of it, byte for byte but for secrets. It has no `Debug`: names and amounts are the
/// customer's business.
pub(crate) struct Detail {
    pub(crate) record: Record,
    pub(crate) shape: Shape,
    /// Whether it is what is left of a record that was deleted.
    pub(crate) deleted: bool,
    pub(crate) raw: Box<RawValue>,
    /// What could not be read.
    pub(crate) left_out: Vec<LeftOut>,
}

/// What was decoded of a record.
struct Seen {
    record: Record,
    shape: Shape,
    deleted: bool,
    /// Whether it says that it is another account's, or that what is shown with it is.
    foreign: bool,
}

/// What to list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter<'a> {
    /// What was changed on this day, in New York, or later; `None` = everything.
    pub(crate) since: Option<Date>,
    /// What was deleted, in place of what is there.
    pub(crate) deleted: bool,
    /// The record with this id, where the list has a filter for it.
    pub(crate) id: Option<&'a str>,
}

/// A page of a list.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Detail>,
    /// The ids of rows that could not be read.
    pub(crate) unreadable: Vec<String>,
    /// Rows that could not be read, and that have no id.
    pub(crate) lost: Vec<LostRow>,
    pub(crate) has_more: bool,
    /// How many rows FreshBooks counts in all pages.
    pub(crate) total: Option<u64>,
    /// FreshBooks' clock when it answered.
    pub(crate) date: Option<Timestamp>,
}

impl FreshBooksClient {
    pub(crate) fn new(
        api: Url,
        auth: Arc<dyn Authenticator>,
        (account_id, business_uuid): (&str, Option<&str>),
        site: Site,
        (quota, pace): (String, Pace),
    ) -> Result<Self> {
        let Pace { calls_per_second, concurrent_calls } = pace;
        let second = Quota::Rolling { limit: calls_per_second, window: Duration::from_secs(1) };
        let budget = Budget::new(QuotaKey::new(quota))
            .limit(second, calls_per_second * 2 / LEAVE_OF_SECOND)
            .limit(Quota::Concurrent { limit: concurrent_calls }, concurrent_calls / LEAVE_AT_ONCE);
        Ok(Self {
            http: Client::new(SYSTEM, api, auth, error::check)?,
            account_id: account_id.into(),
            business_uuid: business_uuid.map(Into::into),
            site,
            budget,
        })
    }

    pub(crate) fn account_id(&self) -> &str {
        &self.account_id
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The same calls, for work that can wait: it leaves room for other work under every limit.
    pub(crate) fn in_background(&self) -> Self {
        Self { budget: self.budget.in_background(), ..self.clone() }
    }

    /// The same calls, of another account of the login.
    pub(crate) fn at_account(&self, account_id: &str) -> Self {
        Self { account_id: account_id.into(), ..self.clone() }
    }

    /// `GET /auth/api/v1/users/me`: the person who connected.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn identity(&self, ctx: &Context) -> Result<Identity> {
        const OPERATION: &str = "freshbooks.get_identity";
        let answer = self.read(ctx, OPERATION, &self.http.url(&["auth", "api", "v1", "users", "me"])).await?;
        let response = Envelope::of(&answer).and_then(|mut envelope| envelope.member("response"));
        let identity = response.and_then(|response| Ok(decode::object(&response, Identity::read)?.value));
        identity.map_err(|error| error.with_operation(OPERATION))
    }

    /// `GET …/{resource}/{id}`: a record with all that can be asked for besides. One that was deleted is there, too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it never was there, or is purged; [`ErrorKind::PermissionDenied`] when the plan, the
    /// scopes or the role do not allow it; [`ErrorKind::InvalidResponse`] when the answer is not that record; else as
    /// [`error::check`] says.
    pub(crate) async fn get<T: Resource>(&self, ctx: &Context, id: &str) -> Result<Detail> {
        let mut url = self.path::<T>(Some(id))?;
        include::<T>(&mut url);
        let answer = self.read(ctx, T::GET, &url).await.map_err(|error| in_need_of::<T>(error))?;
        let detail = self.decode::<T>(&answer).map_err(|error| error.with_operation(T::GET))?;
        if &*detail.record.id == id {
            return Ok(detail);
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another record")
            .with_operation(T::GET)
            .with_context("asked", id))
    }

    fn decode<T: Resource>(&self, answer: &Answer) -> Result<Detail> {
        let mut envelope = result_of::<T>(answer)?;
        let raw = envelope.member(T::DETAIL_KEY)?;
        let decoded = decode::object(&raw, |object| self.seen::<T>(object))?;
        self.detail::<T>(decoded, raw)
    }

    fn seen<T: Resource>(&self, object: &Object<'_>) -> Result<Seen> {
        Ok(Seen {
            record: T::read(object, &self.site)?,
            shape: T::shape(object),
            deleted: object.text("vis_state") == "1",
            foreign: self.is_foreign(object),
        })
    }

    /// Whether a record names another account, or what FreshBooks shows within it does.
    fn is_foreign(&self, record: &Object<'_>) -> bool {
        let names_another =
            |object: &Object<'_>| object.some_text(OWNER).is_some_and(|owner| owner != *self.account_id);
        names_another(record)
            || SHOWN_WITHIN.iter().any(|name| record.object(name).is_some_and(|shown| names_another(&shown)))
            || record.objects("bill_payments").iter().any(names_another)
    }

    /// A record, if it is one of this account's. Where FreshBooks shows somebody else's, nothing more is told.
    fn detail<T: Resource>(&self, decoded: Decoded<Seen>, raw: Box<RawValue>) -> Result<Detail> {
        let Decoded { value: Seen { record, shape, deleted, foreign }, left_out } = decoded;
        if foreign {
            return Err(Error::new(ErrorKind::ConfigInvalid, "FreshBooks shows a record of another account")
                .with_scope(Scope::Connection)
                .with_context("account_id", &self.account_id));
        }
        let raw = without_secrets(raw)?;
        Ok(Detail { record, shape, deleted, raw, left_out })
    }

    /// `GET …/{resource}`: a page of records. FreshBooks ignores filters and includes that a resource does not have, and
    /// then lists everything: the caller looks at what came.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn list<T: Resource>(
        &self,
        ctx: &Context,
        filter: Filter<'_>,
        page: u32,
    ) -> Result<Rows> {
        let mut url = self.path::<T>(None)?;
        if T::FAMILY == Family::Accounting {
            let mut query = url.query_pairs_mut();
            query.append_pair("page", &page.to_string()).append_pair("per_page", &PER_PAGE.to_string());
            if let Some(since) = filter.since {
                query.append_pair("search[updated_min]", &since.to_string());
            }
            if filter.deleted {
                query.append_pair("search[vis_state]", "1");
            }
            query.extend_pairs(T::ID_FILTER.zip(filter.id));
        }
        include::<T>(&mut url);
        let answer = self.read(ctx, T::LIST, &url).await.map_err(|error| in_need_of::<T>(error))?;
        self.rows::<T>(&answer, page).map_err(|error| error.with_operation(T::LIST))
    }

    fn rows<T: Resource>(&self, answer: &Answer, page: u32) -> Result<Rows> {
        let (mut envelope, list) = Envelope::with_list(answer, around::<T>(), list_key::<T>())?;
        let read = list.rows(T::ID, |object| self.seen::<T>(object));
        let full = read.len() >= PER_PAGE;
        let (mut rows, mut unreadable) = (Vec::with_capacity(read.len()), Vec::new());
        for row in read {
            match row {
                Row::Read { decoded, raw } => rows.push(self.detail::<T>(decoded, raw)?),
                Row::Unreadable { row, error } => {
                    let number = row.number;
                    tracing::warn!(%error, operation = T::LIST, page, number, "a row cannot be read");
                    unreadable.push(row);
                }
            }
        }
        let mut count =
            |name: &str| envelope.take(name).and_then(|raw| decode::plain_text(&raw)?.parse::<u64>().ok());
        let (own, pages, total) = (count("page"), count("pages"), count("total"));
        if own.is_some_and(|own| own != u64::from(page)) && !rows.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidResponse,
                "the answer is another page than was asked for",
            )
            .with_context("asked", page));
        }
        let has_more = match T::FAMILY {
            Family::Ledger => false,
            // Without a number of pages, a full one is not the last.
            Family::Accounting => pages.map_or(full, |pages| u64::from(page) < pages),
        };
        let (unreadable, lost) = decode::apart(unreadable);
        Ok(Rows { rows, unreadable, lost, has_more, total, date: answer.date() })
    }

    fn path<T: Resource>(&self, id: Option<&str>) -> Result<Url> {
        let (family, owner) = match T::FAMILY {
            Family::Accounting => ("account", &*self.account_id),
            Family::Ledger => {
                let uuid = self.business_uuid.as_deref().ok_or_else(|| {
                    Error::new(ErrorKind::ConfigInvalid, "the chart of accounts needs the business_uuid")
                })?;
                ("businesses", uuid)
            }
        };
        let begin = ["accounting", family, owner];
        let segments: Vec<&str> = begin.into_iter().chain(T::PATH.split('/')).chain(id).collect();
        Ok(self.http.url(&segments))
    }

    async fn read(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Bytes::new())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        let call = Call::read(operation, request).with_costs(self.budget.costs());
        self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))
    }

    /// What a limit of FreshBooks concerns: all calls of the login. What polls leave to others must not keep those waiting.
    fn in_scope(&self, error: Error) -> Error {
        let error = match error.scope() {
            Scope::Connection => error.with_context("account_id", &self.account_id),
            _ => error,
        };
        match (error.kind(), error.scope()) {
            (ErrorKind::RateLimited, Scope::Quota(_)) if self.budget.is_in_background() => {
                error.with_scope(Scope::Entry)
            }
            (ErrorKind::RateLimited, Scope::Entry) if error.context("status").is_some() => {
                error.with_scope(Scope::Quota(self.budget.key().clone()))
            }
            _ => error,
        }
    }
}

const USER_AGENT: &str = concat!("ml-connector/", env!("CARGO_PKG_VERSION"));

/// Adds what has to be asked for besides.
fn include<T: Resource>(url: &mut Url) {
    for name in T::INCLUDES {
        url.query_pairs_mut().append_pair("include[]", name);
    }
}

/// What an answer holds, without what is around it.
fn result_of<T: Resource>(answer: &Answer) -> Result<Envelope> {
    around::<T>().iter().try_fold(Envelope::of(answer)?, |envelope, name| envelope.within(name))
}

/// What is around a record or a list, from the outside to the inside.
fn around<T: Resource>() -> &'static [&'static str] {
    match T::FAMILY {
        Family::Ledger => &[],
        Family::Accounting => &["response", "result"],
    }
}

fn list_key<T: Resource>() -> &'static str {
    if T::FAMILY == Family::Ledger { "data" } else { T::LIST_KEY }
}

fn without_secrets(raw: Box<RawValue>) -> Result<Box<RawValue>> {
    let kept = Raw::new(raw).without(&SECRETS)?;
    RawValue::from_string(kept.get().to_owned())
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a record cannot be written").with_source(source))
}

/// A refusal names the scope that may be missing.
fn in_need_of<T: Resource>(error: Error) -> Error {
    if error.kind() == ErrorKind::PermissionDenied { error.with_context("scope", T::SCOPE) } else { error }
}
