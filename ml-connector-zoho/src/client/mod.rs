//! The calls of the Zoho Books API v3, one method each.

mod scopes;
pub(crate) mod settings;
mod write;

use std::{
    sync::{Arc, OnceLock, atomic::AtomicI64},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    auth::Authenticator,
    config::below,
    decode::{self, Decoded, LeftOut, Object, Row},
    error_context,
    http::{Answer, Call, Client, Envelope},
    model::{Currency, LostRow, Record},
    rate::{Budget, Cost, Quota, QuotaKey},
};
use serde_json::value::RawValue;
use url::Url;

use self::scopes::Scopes;
use crate::{
    Plan, SYSTEM, error,
    models::{Organization, Resource, User},
};

/// 100 calls a minute and organization, by "API call limits" of Zoho's API introduction. It does not say when a
/// minute begins, so any window of that length counts; and others may call, so a fifth of it is theirs.
const CALLS_PER_MINUTE: u32 = 80;
const MINUTE: Duration = Duration::from_secs(60);
/// The `response_option` of a list of invoices that is counted and not shown.
const COUNT_ONLY: &str = "2";
/// Clients that called paths under `settings` twice within 600 ms report a 429.
const SETTINGS_PACE: Quota = Quota::Rolling { limit: 1, window: Duration::from_secs(1) };
/// What polls leave of each minute, of the calls under way, and (a part of so many) of each day, so that webhooks and
/// writing back have room.
const LEAVE_OF_MINUTE: u32 = 20;
const LEAVE_AT_ONCE: u32 = 2;
const LEAVE_OF_DAY: u32 = 10;

/// The calls of one organization.
#[derive(Debug, Clone)]
pub(crate) struct BooksClient {
    http: Client,
    organization_id: Arc<str>,
    plan: Plan,
    /// The calls of a minute, those under way, and those of a day.
    budget: Budget,
    /// The organization's currency, once an answer has told.
    home: Arc<OnceLock<Currency>>,
    /// What the host says of it.
    set_home: Option<Currency>,
    /// Which scopes work.
    scopes: Arc<Scopes>,
    /// When a token was last renewed for a write, in vain; in milliseconds.
    renewed_in_vain: Arc<AtomicI64>,
    /// What the paths under `settings` cost besides.
    pace: Cost,
}

/// A record and the vendor's JSON of it, byte for byte. It has no `Debug`: names and amounts are the customer's business.
pub(crate) struct Detail {
    pub(crate) record: Record,
    /// The organization's own stage within the status.
    pub(crate) stage: String,
    pub(crate) raw: Box<RawValue>,
    /// What could not be read.
    pub(crate) left_out: Vec<LeftOut>,
}

/// What was decoded of a record.
struct Seen {
    record: Record,
    stage: String,
    /// The organization that it names.
    owner: Option<String>,
}

/// A page of a list.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Detail>,
    /// The ids of rows that could not be read.
    pub(crate) unreadable: Vec<String>,
    /// Rows that could not be read, and that have no id.
    pub(crate) lost: Vec<LostRow>,
    pub(crate) has_more: bool,
}

/// What to list.
pub(crate) enum Filter<'a> {
    /// Records with this number, where there is one.
    Number(Option<&'a str>),
    /// What was changed at this instant or later, in the resource's order; `None` = everything.
    Since(Option<Timestamp>),
}

impl BooksClient {
    pub(crate) fn new(
        api: &Url,
        auth: Arc<dyn Authenticator>,
        organization_id: &str,
        plan: Plan,
    ) -> Result<Self> {
        let base = below(api, &["books", "v3"]);
        let (budget, pace) = limits(organization_id, plan);
        Ok(Self {
            http: Client::new(SYSTEM, base, auth, error::check)?,
            organization_id: organization_id.into(),
            plan,
            budget,
            home: Arc::default(),
            set_home: None,
            scopes: Arc::default(),
            renewed_in_vain: Arc::default(),
            pace,
        })
    }

    /// The same calls, where the host says in which currency an organization has amounts that name none.
    pub(crate) fn with_home(self, currency: Option<Currency>) -> Self {
        Self { set_home: currency, ..self }
    }

    /// The same calls, of another organization: its limits and its currency are its own.
    pub(crate) fn at_organization(&self, organization_id: &str) -> Self {
        let (budget, pace) = limits(organization_id, self.plan);
        let organization_id = organization_id.into();
        Self { organization_id, budget, pace, home: Arc::default(), set_home: None, ..self.clone() }
    }

    /// The organization's currency, as it says itself, else as the host does.
    fn home(&self) -> Option<Currency> {
        self.home.get().copied().or(self.set_home)
    }

    /// What the host says of the organization's currency, where the organization says something else.
    pub(crate) fn wrong_home(&self) -> Option<(Currency, Currency)> {
        self.set_home.zip(self.home.get().copied()).filter(|(set, own)| set != own)
    }

    pub(crate) fn organization_id(&self) -> &str {
        &self.organization_id
    }

    /// How many calls the organization has in a day, by what Zoho said last.
    pub(crate) fn calls_per_day(&self) -> Option<u32> {
        self.budget.calls_per_day()
    }

    /// `GET /organizations`: those of the person who connected.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn organizations(&self, ctx: &Context) -> Result<Vec<Organization>> {
        let url = self.http.url(&["organizations"]);
        let answer = self.read_at(ctx, "zoho_books.list_organizations", &url).await?;
        let found = list_of(&answer, "organizations", "organization_id", Organization::read)?;
        let own = found.iter().find(|organization| organization.id == *self.organization_id);
        if let Some(home) = own.and_then(|own| Currency::parse(&own.currency_code).ok()) {
            let _ = self.home.set(home); // it never changes
        }
        Ok(found)
    }

    /// `GET /users`: those of the organization, 200 at most.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn users(&self, ctx: &Context) -> Result<Vec<User>> {
        let answer = self.read(ctx, "zoho_books.list_users", self.http.url(&["users"])).await?;
        list_of(&answer, "users", "user_id", User::read)
    }

    /// The same calls, for work that can wait: it leaves room for other work under every limit.
    pub(crate) fn in_background(&self) -> Self {
        Self { budget: self.budget.in_background(), ..self.clone() }
    }

    /// `GET /{resource}/{id}`: a record with its lines.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not exist or is not accessible; [`ErrorKind::InvalidResponse`] when the
    /// answer is not that record; else as [`error::check`] says.
    pub(crate) async fn get<T: Resource>(&self, ctx: &Context, id: &str) -> Result<Detail> {
        let answer = self.read(ctx, T::GET, self.path::<T>(Some(id))).await?;
        let raw = Envelope::of(&answer).and_then(|mut envelope| envelope.member(T::DETAIL_KEY));
        let detail =
            raw.and_then(|raw| self.detail::<T>(raw)).map_err(|error| error.with_operation(T::GET))?;
        if &*detail.record.id == id {
            return Ok(detail);
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another record")
            .with_operation(T::GET)
            .with_context("asked", id))
    }

    /// `GET /{resource}`: a page of records without their lines. Zoho ignores filters that a resource does not have,
    /// and then lists everything: the caller looks at what came.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn list<T: Resource>(
        &self,
        ctx: &Context,
        filter: Filter<'_>,
        page: u32,
    ) -> Result<Rows> {
        let needs_amounts = matches!(filter, Filter::Since(_));
        let url = self.list_url::<T>(&filter, page);
        let answer = self.read(ctx, T::LIST, url).await?;
        let read = self.rows::<T>(ctx, &answer, page, needs_amounts).await;
        read.map_err(|error| if error.operation().is_empty() { error.with_operation(T::LIST) } else { error })
    }

    /// How many rows there are with this filter, where the list counts. `None`: it does not say.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn count<T: Resource>(&self, ctx: &Context, filter: Filter<'_>) -> Result<Option<u64>> {
        if !T::COUNTED {
            return Ok(None);
        }
        let mut url = self.list_url::<T>(&filter, 1);
        url.query_pairs_mut().append_pair("response_option", COUNT_ONLY);
        let answer = self.read(ctx, T::LIST, url).await?;
        let context = Envelope::of(&answer)?.take("page_context");
        let read = context.map(|context| decode::object(&context, |context| Ok(context.text("total"))));
        Ok(read.transpose()?.and_then(|read| read.value.parse().ok()))
    }

    fn list_url<T: Resource>(&self, filter: &Filter<'_>, page: u32) -> Url {
        let mut url = self.path::<T>(None);
        {
            let mut query = url.query_pairs_mut();
            match filter {
                Filter::Number(number) => {
                    query.extend_pairs(T::NUMBER_FILTER.zip(*number));
                }
                Filter::Since(since) => {
                    query.extend_pairs(since.map(|since| ("last_modified_time", stamp(since))));
                    query.extend_pairs(T::SORT);
                }
            }
            query.extend_pairs(T::EVERYTHING).append_pair("page", &page.to_string());
            query.extend_pairs(T::PER_PAGE.map(|size| ("per_page", size)));
        }
        url
    }

    async fn rows<T: Resource>(
        &self,
        ctx: &Context,
        answer: &Answer,
        page: u32,
        needs_amounts: bool,
    ) -> Result<Rows> {
        let (mut envelope, list) = Envelope::with_list(answer, &[], T::LIST_KEY)?;
        let has_more = has_more(envelope.take("page_context").as_deref(), page)?;
        if T::HOME_CURRENCY && needs_amounts && self.home().is_none() && list.iter().any(names_no_currency) {
            match self.organizations(ctx).await {
                Ok(_) => {}
                // Without the scope for it, rows are told without their amount.
                Err(error) if error.retry() == Retry::Never && error.scope() != &Scope::Connection => {
                    tracing::warn!(%error, operation = T::LIST, "the organization's currency cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        let read = list.rows(T::ID, |object| self.seen::<T>(object));
        let (mut rows, mut unreadable) = (Vec::with_capacity(read.len()), Vec::new());
        for row in read {
            match row {
                Row::Read { decoded: Decoded { value, left_out }, raw } => {
                    let Seen { record, stage, owner } = value;
                    self.require_own(owner.as_deref())?;
                    rows.push(Detail { record, stage, raw, left_out });
                }
                Row::Unreadable { row, error } => {
                    let number = row.number;
                    tracing::warn!(%error, operation = T::LIST, page, number, "a row cannot be read");
                    unreadable.push(row);
                }
            }
        }
        let (unreadable, lost) = decode::apart(unreadable);
        Ok(Rows { rows, unreadable, lost, has_more })
    }

    fn seen<T: Resource>(&self, object: &Object<'_>) -> Result<Seen> {
        Ok(Seen {
            record: T::read(object, self.home())?,
            stage: T::stage(object),
            owner: object.some_text("organization_id"),
        })
    }

    /// One record, as a member holds it.
    fn detail<T: Resource>(&self, raw: Box<RawValue>) -> Result<Detail> {
        let Decoded { value: Seen { record, stage, owner }, left_out } =
            decode::object(&raw, |object| self.seen::<T>(object))?;
        self.require_own(owner.as_deref())?;
        Ok(Detail { record, stage, raw, left_out })
    }

    /// Nothing is told of another organization's records. The call names the organization, and Zoho's records do not; should one,
    /// it is compared.
    fn require_own(&self, owner: Option<&str>) -> Result<()> {
        match owner.filter(|owner| **owner != *self.organization_id) {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(ErrorKind::ConfigInvalid, "Zoho Books shows a record of another organization")
                    .with_scope(Scope::Connection)
                    .with_context("organization_id", &self.organization_id))
            }
        }
    }

    fn path<T: Resource>(&self, id: Option<&str>) -> Url {
        let segments: Vec<&str> = T::PATH.split('/').chain(id).collect();
        self.http.url(&segments)
    }

    async fn read(&self, ctx: &Context, operation: &'static str, mut url: Url) -> Result<Answer> {
        url.query_pairs_mut().append_pair("organization_id", &self.organization_id);
        self.read_at(ctx, operation, &url).await
    }

    async fn read_at(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        let mut call = Call::read(operation, request).with_costs(self.costs(url));
        let scope = scopes::needed_by(self.below_base(url));
        if self.scopes.is_refused(&scope, ctx.now()) {
            call = call.with_proven_token();
        }
        let sent = self.http.send(ctx, call).await;
        let classified = sent.map_err(|error| self.scopes.classify(&scope, error, ctx.now()));
        let answer = classified.map_err(|error| self.in_scope(error))?;
        self.scopes.accepted(&scope, answer.received_at);
        self.report_day(ctx, &answer).await;
        Ok(answer)
    }

    fn costs(&self, url: &Url) -> Vec<Cost> {
        let mut costs = self.budget.costs();
        if self.below_base(url).starts_with("settings/") {
            costs.push(self.pace.clone());
        }
        costs
    }

    fn below_base<'a>(&self, url: &'a Url) -> &'a str {
        url.path().strip_prefix(self.http.base().path()).unwrap_or_default().trim_start_matches('/')
    }

    /// What the vendor's limits concern: the day's quota, or that of the minute.
    fn in_scope(&self, error: Error) -> Error {
        let quota = |key: &QuotaKey| Scope::Quota(key.clone());
        match (error.context(error_context::CODE), self.budget.day_key()) {
            (Some(error::DAILY_LIMIT), Some(day)) => error.with_scope(quota(day)),
            // What is left to others must not keep them waiting.
            (None, _) if self.budget.is_in_background() && matches!(error.scope(), Scope::Quota(_)) => {
                error.with_scope(Scope::Entry)
            }
            // Our own limiter and the token endpoint have said already what has to wait.
            _ if error.kind() != ErrorKind::RateLimited || error.scope() != &Scope::Entry => error,
            _ => error.with_scope(quota(self.budget.key())),
        }
    }

    /// Passes on what the answer says of the day.
    async fn report_day(&self, ctx: &Context, answer: &Answer) {
        let number = |name| answer.header(name).and_then(|text| text.trim().parse::<u32>().ok());
        let left = error::day_left(answer).map(|left| answer.received_at + left);
        let remaining = number("x-rate-limit-remaining").zip(left);
        self.budget.report_day(ctx.limiter(), number("x-rate-limit-limit"), remaining, ctx.now()).await;
    }
}

/// What the calls of an organization cost, and those below `settings` besides.
fn limits(organization_id: &str, plan: Plan) -> (Budget, Cost) {
    let minute = Quota::Rolling { limit: CALLS_PER_MINUTE, window: MINUTE };
    let at_once = Quota::Concurrent { limit: plan.concurrent_calls() };
    let key = |below: &str| QuotaKey::new(format!("zoho/{organization_id}{below}"));
    let budget = Budget::new(key("")).limit(minute, LEAVE_OF_MINUTE).limit(at_once, LEAVE_AT_ONCE).day(
        key("/day"),
        plan.calls_per_day(),
        LEAVE_OF_DAY,
        Plan::Free.calls_per_day(),
    );
    (budget, Cost::one(key("/settings"), Arc::new([SETTINGS_PACE])))
}

/// Whether a row has an amount, and names no currency of it.
fn names_no_currency(row: &RawValue) -> bool {
    let read =
        decode::object(row, |row| Ok(row.raw("amount").is_some() && row.raw("currency_code").is_none()));
    read.is_ok_and(|read| read.value)
}

/// Whether there are more pages. A missing context is that of the last page.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when it is another page than was asked for.
fn has_more(context: Option<&RawValue>, asked: u32) -> Result<bool> {
    let Some(context) = context else { return Ok(false) };
    let read = decode::object(context, |object| Ok((object.flag("has_more_page"), object.text("page"))))?;
    let (has_more, page) = read.value;
    if page.parse().is_ok_and(|page: u32| page != asked) {
        return Err(Error::new(ErrorKind::InvalidResponse, "the answer is another page than was asked for")
            .with_context("asked", asked));
    }
    Ok(has_more)
}

/// An instant as filters take it: whole seconds, an offset without a colon.
fn stamp(at: Timestamp) -> String {
    Timestamp::from_secs(at.as_secs()).to_string().replace('Z', "+0000")
}

/// What a list call without pages answers with. Rows without an id are left out.
fn list_of<T>(
    answer: &Answer,
    member: &'static str,
    id: &'static str,
    read: impl Fn(&Object<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let (_, list) = Envelope::with_list(answer, &[], member)?;
    let rows = list.rows(id, read);
    Ok(rows
        .into_iter()
        .filter_map(|row| match row {
            Row::Read { decoded, .. } => Some(decoded.value),
            Row::Unreadable { row, error } => {
                tracing::warn!(%error, member, number = row.number, "a row cannot be read");
                None
            }
        })
        .collect())
}
