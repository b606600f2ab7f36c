//! The calls of the Zoho Books API v3, one method each.

pub(crate) mod settings;
mod write;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Result, Scope, Timestamp,
    auth::Authenticator,
    error_context,
    http::{Answer, Call, Client},
    rate::{Cost, Feedback, Quota, QuotaKey},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use url::Url;

use crate::{
    Plan, SYSTEM,
    config::below,
    error,
    models::{Organization, Resource, User, flag, text},
};

/// 100 calls a minute and organization, by "API call limits" of Zoho's API introduction. It does not say when a
/// minute begins, so no window of that length may hold more.
const CALLS_PER_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// The organization's day begins at its own midnight; any 24 hours are kept below the limit.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
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
    /// The minute and what is under way; the day. Two keys, because the vendor pauses them apart.
    costs: [Cost; 2],
    /// The same for work that can wait.
    spare: [Cost; 3],
    background: bool,
    /// How many calls the organization has in a day, by the last answer; 0 = none has told yet.
    daily: Arc<AtomicU32>,
    /// When a token was last renewed for a write, in vain; in milliseconds.
    renewed_in_vain: Arc<AtomicI64>,
    /// What the paths under `settings` cost besides.
    pace: Cost,
}

/// A record and the vendor's JSON of it, byte for byte.
pub(crate) struct Detail<T> {
    pub(crate) record: T,
    pub(crate) raw: Box<RawValue>,
}

/// A page of a list.
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<Detail<T>>,
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
        let minute = Quota::Rolling { limit: CALLS_PER_MINUTE, window: MINUTE };
        let at_once = Quota::Concurrent { limit: plan.concurrent_calls() };
        let day = Quota::Rolling { limit: plan.calls_per_day(), window: DAY };
        let key = QuotaKey::new(format!("zoho/{organization_id}"));
        let day_key = QuotaKey::new(format!("zoho/{organization_id}/day"));
        let pace_key = QuotaKey::new(format!("zoho/{organization_id}/settings"));
        let leaving =
            |leave, key: &QuotaKey, quota| Cost { leave, ..Cost::one(key.clone(), Arc::new([quota])) };
        Ok(Self {
            http: Client::new(SYSTEM, base, auth, error::check)?,
            organization_id: organization_id.into(),
            spare: [
                leaving(LEAVE_OF_MINUTE, &key, minute),
                leaving(LEAVE_AT_ONCE, &key, at_once),
                leaving(plan.calls_per_day() / LEAVE_OF_DAY, &day_key, day),
            ],
            costs: [Cost::one(key, Arc::new([minute, at_once])), Cost::one(day_key, Arc::new([day]))],
            background: false,
            daily: Arc::default(),
            renewed_in_vain: Arc::default(),
            pace: Cost::one(pace_key, Arc::new([SETTINGS_PACE])),
        })
    }

    pub(crate) fn organization_id(&self) -> &str {
        &self.organization_id
    }

    /// How many calls the organization has in a day, by what Zoho said last.
    pub(crate) fn calls_per_day(&self) -> Option<u32> {
        Some(self.daily.load(Ordering::Relaxed)).filter(|calls| *calls > 0)
    }

    /// `GET /organizations`: those of the person who connected.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn organizations(&self, ctx: &Context) -> Result<Vec<Organization>> {
        let url = self.http.url(&["organizations"]);
        let answer = self.read_at(ctx, "zoho_books.list_organizations", &url).await?;
        decode(&member(&answer, "organizations")?)
    }

    /// `GET /users`: those of the organization, 200 at most.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn users(&self, ctx: &Context) -> Result<Vec<User>> {
        let answer = self.read(ctx, "zoho_books.list_users", self.http.url(&["users"])).await?;
        decode(&member(&answer, "users")?)
    }

    /// The same calls, for work that can wait: it leaves room for other work under every limit.
    pub(crate) fn in_background(&self) -> Self {
        Self { background: true, ..self.clone() }
    }

    /// `GET /{resource}/{id}`: a record with its lines.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not exist or is not accessible; [`ErrorKind::InvalidResponse`] when the
    /// answer is not that record; else as [`error::check`] says.
    pub(crate) async fn get<T: Resource>(&self, ctx: &Context, id: &str) -> Result<Detail<T>> {
        let answer = self.read(ctx, T::GET, self.path::<T>(Some(id))).await?;
        let detail = detail::<T>(&answer).map_err(|error| error.with_operation(T::GET))?;
        if detail.record.id() == id {
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
    ) -> Result<Rows<T>> {
        let mut url = self.path::<T>(None);
        {
            let mut query = url.query_pairs_mut();
            match filter {
                Filter::Number(number) => {
                    query.extend_pairs(T::NUMBER_FILTER.zip(number));
                }
                Filter::Since(since) => {
                    query.extend_pairs(since.map(|since| ("last_modified_time", stamp(since))));
                    query.extend_pairs(T::SORT);
                }
            }
            query.extend_pairs(T::EVERYTHING).append_pair("page", &page.to_string());
            query.extend_pairs(T::PER_PAGE.map(|size| ("per_page", size)));
        }
        let answer = self.read(ctx, T::LIST, url).await?;
        rows::<T>(&answer, page).map_err(|error| error.with_operation(T::LIST))
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
        let call = Call::read(operation, request).with_costs(self.costs(url));
        let answer = self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))?;
        self.report_day(ctx, &answer).await;
        Ok(answer)
    }

    fn costs(&self, url: &Url) -> Vec<Cost> {
        let mut costs = if self.background { self.spare.to_vec() } else { self.costs.to_vec() };
        // A trial has fewer calls than its plan, and a tenth of those that it has not could be all. Until an answer tells,
        // it may be one.
        if let (true, Some(day)) = (self.background, costs.last_mut()) {
            let real = self.calls_per_day().unwrap_or(Plan::Free.calls_per_day());
            day.leave = day.leave.min(real / LEAVE_OF_DAY);
        }
        let below_base = url.path().strip_prefix(self.http.base().path());
        if below_base.is_some_and(|path| path.trim_start_matches('/').starts_with("settings/")) {
            costs.push(self.pace.clone());
        }
        costs
    }

    /// What the vendor's limits concern: the day's quota, or that of the minute.
    fn in_scope(&self, error: Error) -> Error {
        let [minute, day] = &self.costs;
        match error.context(error_context::CODE) {
            Some(error::DAILY_LIMIT) => error.with_scope(Scope::Quota(day.key.clone())),
            // What is left to others must not keep them waiting.
            None if self.background && matches!(error.scope(), Scope::Quota(_)) => {
                error.with_scope(Scope::Entry)
            }
            // Our own limiter and the token endpoint have said already what has to wait.
            _ if error.kind() != ErrorKind::RateLimited || error.scope() != &Scope::Entry => error,
            _ => error.with_scope(Scope::Quota(minute.key.clone())),
        }
    }

    /// Passes on what is left of the day: others spend from the same quota, and trials have less than their plan.
    async fn report_day(&self, ctx: &Context, answer: &Answer) {
        let number = |name| answer.header(name).and_then(|text| text.trim().parse::<u32>().ok());
        if let Some(limit) = number("x-rate-limit-limit") {
            self.daily.store(limit, Ordering::Relaxed);
        }
        let units = number("x-rate-limit-remaining");
        let (Some(units), Some(left)) = (units, error::day_left(answer)) else { return };
        let [_, day] = &self.costs;
        let feedback = Feedback::Remaining { units, reset: answer.received_at + left };
        if let Err(error) = ctx.limiter().report(&day.key, feedback, ctx.now()).await {
            tracing::warn!(%error, key = %day.key, "the limiter could not be told what is left of the day");
        }
    }
}

fn detail<T: Resource>(answer: &Answer) -> Result<Detail<T>> {
    let raw = member(answer, T::DETAIL_KEY)?;
    Ok(Detail { record: decode(&raw)?, raw })
}

fn rows<T: Resource>(answer: &Answer, asked: u32) -> Result<Rows<T>> {
    #[derive(Default, Deserialize)]
    struct PageContext {
        #[serde(default, deserialize_with = "flag")]
        has_more_page: bool,
        #[serde(default, deserialize_with = "text")]
        page: String,
    }
    let rows: Vec<Box<RawValue>> = decode(&member(answer, T::LIST_KEY)?)?;
    let rows =
        rows.into_iter().map(|raw| Ok(Detail { record: decode(&raw)?, raw })).collect::<Result<_>>()?;
    // A missing page_context is the last page.
    let context: PageContext = match member(answer, "page_context") {
        Ok(raw) => decode(&raw)?,
        Err(_) => PageContext::default(),
    };
    if context.page.parse().is_ok_and(|page: u32| page != asked) {
        return Err(Error::new(ErrorKind::InvalidResponse, "the answer is another page than was asked for")
            .with_context("asked", asked));
    }
    Ok(Rows { rows, has_more: context.has_more_page })
}

/// An instant as filters take it: whole seconds, an offset without a colon.
fn stamp(at: Timestamp) -> String {
    Timestamp::from_secs(at.as_secs()).to_string().replace('Z', "+0000")
}

/// A member of the envelope, unread.
fn member(answer: &Answer, key: &'static str) -> Result<Box<RawValue>> {
    let mut members: std::collections::BTreeMap<String, Box<RawValue>> = answer.json()?;
    members.remove(key).ok_or_else(|| {
        Error::new(ErrorKind::InvalidResponse, "the answer lacks a member")
            .with_effect(Effect::Unknown)
            .with_context("member", key)
    })
}

/// Decodes a record, and says where it differs without quoting it.
fn decode<T: DeserializeOwned>(raw: &RawValue) -> Result<T> {
    let mut decoder = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        Error::new(ErrorKind::InvalidResponse, "a record is not of the shape that was expected")
            .with_context("path", error.path())
    })
}
