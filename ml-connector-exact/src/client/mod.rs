//! The calls of Exact Online's API, one method each.

pub(crate) mod rows;
pub(crate) mod subscriptions;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    auth::Authenticator,
    decode::{self, LeftOut, Object},
    http::{Answer, Call, Client, Pages},
    model::{Attachment, Cost, Quota, QuotaKey, Record},
    rate::{Budget, Feedback},
};
use serde_json::value::RawValue;
use url::Url;

use self::rows::Rows;
use crate::{
    SYSTEM, error,
    models::{Division, Lines, Resource, Site, document_of, integer, is_guid},
};

const USER_AGENT: &str = concat!("ml-connector/", env!("CARGO_PKG_VERSION"));
/// What a normal list shows on a page: a document with so many lines may have more.
const PAGE: usize = 60;
/// A document has fewer pages of lines.
const MAX_PAGES: u32 = 200;
/// What work in the background leaves of each minute.
const LEAVE_OF_MINUTE: u32 = 10;
/// Of each day: one call in so many, which are 1,000 of 5,000. Polls leave the rest of them, but for these.
const LEAVE_ONE_IN: u32 = 5;
const LEAVE_URGENT: u32 = 200;
/// More than ten errors in an hour block an app at an endpoint. Of those below six, one is left for people.
const MOST_ERRORS: u32 = 5;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a call is for: the less it can wait, the more of the limits it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody has just changed the record.
    Urgent,
    /// An ordinary poll.
    Live,
    /// The past, and looks for what is gone.
    Background,
}

/// How many calls there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) per_minute: u32,
    pub(crate) per_day: u32,
    pub(crate) per_contract: u32,
}

/// The calls of one company.
#[derive(Debug, Clone)]
pub(crate) struct ExactClient {
    http: Client,
    site: Arc<Site>,
    budget: Budget,
    contract: Cost,
    class: Class,
}

/// A record with all its lines, and the vendor's JSON of it. It has no `Debug`: names and amounts are the customer's
/// business.
pub(crate) struct Detail {
    pub(crate) record: Record,
    pub(crate) raw: Box<RawValue>,
    /// What could not be read.
    pub(crate) left_out: Vec<LeftOut>,
    /// The document with its files.
    pub(crate) document: Option<String>,
}

/// What to ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query<'a> {
    pub(crate) filter: String,
    pub(crate) select: String,
    pub(crate) expand: Option<&'a str>,
    pub(crate) top: Option<u32>,
}

impl ExactClient {
    pub(crate) fn new(
        site: Site,
        auth: Arc<dyn Authenticator>,
        (app, login): (&str, &str),
        pace: Pace,
    ) -> Result<Self> {
        let key = format!("exact_online/{app}/{}", site.division);
        let minute = Quota::Rolling { limit: pace.per_minute, window: Duration::from_secs(60) };
        // Parallel requests are answered in no order, and with rows twice or not at all.
        let one = Quota::Concurrent { limit: 1 };
        let budget = Budget::new(QuotaKey::new(key.clone()))
            .limit(minute, LEAVE_OF_MINUTE.min(pace.per_minute / 2))
            .limit(one, 0)
            .day(QuotaKey::new(format!("{key}/day")), pace.per_day, LEAVE_ONE_IN, pace.per_day);
        let contract = Quota::Rolling { limit: pace.per_contract, window: DAY };
        let contract =
            Cost::one(QuotaKey::new(format!("exact_online/{app}/{login}/day")), Arc::new([contract]));
        let http = Client::new(SYSTEM, site.base.clone(), auth, error::check)?;
        Ok(Self { http, site: Arc::new(site), budget, contract, class: Class::Live })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The same calls, for other work.
    pub(crate) fn for_class(&self, class: Class) -> Self {
        let budget =
            if class == Class::Background { self.budget.in_background() } else { self.budget.clone() };
        Self { class, budget, ..self.clone() }
    }

    /// The same calls, of another company of the same region.
    pub(crate) fn at_division(&self, division: u32) -> Self {
        Self { site: Arc::new(Site { division, ..Site::clone(&self.site) }), ..self.clone() }
    }

    /// One record with all its lines, asked for as a list: the URL of a deleted record would be a counted error. `None`: no
    /// row came, which proves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when the answer is not that record; [`ErrorKind::ConfigInvalid`] in the scope of the
    /// connection when it is another company's; else as [`error::check`] says.
    pub(crate) async fn get(&self, ctx: &Context, resource: &Resource, id: &str) -> Result<Option<Detail>> {
        let query = Query { filter: key_is(resource.key, id)?, ..self.whole(resource) };
        let query = Query { top: Some(1), ..query };
        let rows = self.list(ctx, (resource.get, resource.path), resource.key, &query, |_| Ok(())).await?;
        let answered = |message| Error::new(ErrorKind::InvalidResponse, message).with_operation(resource.get);
        let Some(row) = rows.rows.into_iter().next() else {
            return if rows.unreadable.is_empty() {
                Ok(None)
            } else {
                Err(answered("the record cannot be read"))
            };
        };
        let detail = self.detail(ctx, resource, row.raw).await?;
        if detail.record.id.eq_ignore_ascii_case(id) {
            return Ok(Some(detail));
        }
        Err(answered("the answer is about another record").with_context("asked", id))
    }

    /// What is asked for to have the whole record.
    fn whole<'a>(&self, resource: &'a Resource) -> Query<'a> {
        let expand = resource.lines.map(|lines| lines.navigation);
        let select: Vec<&str> = resource.select.iter().copied().chain(expand).collect();
        Query { select: select.join(","), expand, ..Query::default() }
    }

    /// A row as a record, with the lines that the row lacks.
    async fn detail(&self, ctx: &Context, resource: &Resource, row: Box<RawValue>) -> Result<Detail> {
        let raw = match &resource.lines {
            Some(lines) => self.with_lines(ctx, resource, lines, row).await?,
            None => row,
        };
        self.decode(resource, raw)
    }

    /// A row as a record.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when it has no id.
    pub(crate) fn decode(&self, resource: &Resource, raw: Box<RawValue>) -> Result<Detail> {
        let read = |object: &Object<'_>| Ok(((resource.read)(object, &self.site)?, document_of(object)));
        let decoded = decode::object(&raw, read).map_err(|error| error.with_operation(resource.get))?;
        let (record, document) = decoded.value;
        Ok(Detail { record, raw, left_out: decoded.left_out, document })
    }

    /// The same record with all its lines in the order of their numbers. An expanded list may end after 60.
    async fn with_lines(
        &self,
        ctx: &Context,
        resource: &Resource,
        lines: &Lines,
        row: Box<RawValue>,
    ) -> Result<Box<RawValue>> {
        let not_json =
            || Error::new(ErrorKind::InvalidResponse, "expected a record").with_operation(resource.get);
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(row.get()).map_err(|_| not_json())?;
        let expanded = members.get(lines.navigation).and_then(|raw| {
            serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(raw.get()).ok()?.remove("results")
        });
        let expanded = expanded.and_then(|raw| serde_json::from_str::<Vec<Box<RawValue>>>(raw.get()).ok());
        let mut all = match expanded {
            Some(all) if all.len() < PAGE => all,
            _ => {
                let id =
                    members.get(resource.key).and_then(|raw| decode::plain_text(raw)).unwrap_or_default();
                self.lines(ctx, lines, &id).await?
            }
        };
        let number = |line: &RawValue| {
            decode::object(line, |line| {
                self.site.require_own(line)?;
                Ok((integer(line, "LineNumber"), line.text("ID")))
            })
        };
        let mut numbered = Vec::with_capacity(all.len());
        for line in all.drain(..) {
            numbered.push((number(&line).map_err(|error| error.with_operation(resource.get))?.value, line));
        }
        numbered.sort_by(|(one, _), (other, _)| one.cmp(other));
        let all: Vec<Box<RawValue>> = numbered.into_iter().map(|(_, line)| line).collect();
        let write = |value| serde_json::value::to_raw_value(value).map_err(|_| not_json());
        members.insert(lines.navigation.to_owned(), write(&BTreeMap::from([("results", all)]))?);
        serde_json::value::to_raw_value(&members).map_err(|_| not_json())
    }

    async fn lines(&self, ctx: &Context, lines: &Lines, parent: &str) -> Result<Vec<Box<RawValue>>> {
        let query = Query {
            filter: key_is(lines.parent, parent)?,
            select: lines.select.to_owned(),
            ..Query::default()
        };
        self.all(ctx, (lines.list, lines.path), "ID", &query).await
    }

    /// The document that a line belongs to; `None`: no such line is shown.
    pub(crate) async fn parent_of(&self, ctx: &Context, lines: &Lines, line: &str) -> Result<Option<String>> {
        let select = format!("ID,{},Division", lines.parent);
        let query = Query { filter: key_is("ID", line)?, select, top: Some(1), ..Query::default() };
        let rows = self.list(ctx, (lines.list, lines.path), "ID", &query, |row| row.id(lines.parent)).await?;
        Ok(rows.rows.into_iter().next().map(|row| row.value))
    }

    /// The link to the document and the files in it.
    pub(crate) async fn files(
        &self,
        ctx: &Context,
        document: &str,
    ) -> Result<(Option<String>, Vec<Attachment>)> {
        const DOCUMENT: &str = "exact_online.get_document";
        const FILES: &str = "exact_online.list_document_attachments";
        let query = Query {
            filter: key_is("ID", document)?,
            select: "ID,DocumentViewUrl,Division".to_owned(),
            top: Some(1),
            ..Query::default()
        };
        let link = |row: &Object<'_>| Ok(row.some_text("DocumentViewUrl"));
        let found = self.list(ctx, (DOCUMENT, "documents/Documents"), "ID", &query, link).await?;
        let link = found.rows.into_iter().next().and_then(|row| self.own_link(row.value));
        let query = Query {
            filter: key_is("Document", document)?,
            select: "ID,Document,FileName,Url".to_owned(),
            ..Query::default()
        };
        let file = |row: &Object<'_>| Ok((row.id("ID")?, row.text("FileName"), row.some_text("Url")));
        let files = self.list(ctx, (FILES, "documents/DocumentAttachments"), "ID", &query, file).await?;
        let files = files.rows.into_iter().map(|row| {
            let (id, name, url) = row.value;
            Attachment { id: Some(id.into()), name, url: self.own_link(url) }
        });
        Ok((link, files.collect()))
    }

    /// A link, if it leads to the region's own pages.
    fn own_link(&self, link: Option<String>) -> Option<String> {
        link.filter(|link| Url::parse(link).is_ok_and(|url| url.origin() == self.site.base.origin()))
    }

    /// Whether the person who connected may read a resource: an empty list looks the same. `None`: Exact Online does not say.
    pub(crate) async fn may_read(&self, ctx: &Context, path: &str) -> Result<Option<bool>> {
        const OPERATION: &str = "exact_online.user_has_rights";
        let mut url = self.url("users/UserHasRights");
        url.set_query(Some(&format!("endpoint='{path}'&action='GET'")));
        let answer = match self.send(ctx, OPERATION, "users/UserHasRights", &url).await {
            Err(error) if is_refusal(&error) => return Ok(None),
            answer => answer?,
        };
        let read = decode::body(&answer.body, |body| {
            let bare = body.some_text("d").filter(|text| text == "true" || text == "false");
            let within = body.object("d").and_then(|d| d.some_text("UserHasRights"));
            Ok(bare.or(within))
        });
        Ok(read.ok().and_then(|read| read.value).map(|text| text == "true" || text == "1"))
    }

    /// The company itself; `None` when the person who connected may not list companies.
    pub(crate) async fn division(&self, ctx: &Context) -> Result<Option<Division>> {
        const OPERATION: &str = "exact_online.get_division";
        let (division, zone) = (self.site.division, &self.site.zone);
        let query = Query {
            filter: format!("Code eq {division}"),
            select: Division::SELECT.to_owned(),
            top: Some(1),
            ..Query::default()
        };
        let read = |row: &Object<'_>| Division::read(row, zone);
        let rows = match self.list_any(ctx, (OPERATION, "system/Divisions"), "Code", &query, read).await {
            Err(error) if is_refusal(&error) => return Ok(None),
            rows => rows?,
        };
        let found = rows.rows.into_iter().map(|row| row.value).find(|found| found.code == division);
        found.map(Some).ok_or_else(|| {
            Error::new(
                ErrorKind::ConfigInvalid,
                "the person who connected may not open this company: check division and region",
            )
            .with_scope(Scope::Connection)
            .with_operation(OPERATION)
            .with_context("division", division)
        })
    }

    /// All companies that the person who connected may open.
    pub(crate) async fn divisions(&self, ctx: &Context) -> Result<Vec<Division>> {
        const ME: &str = "exact_online.get_me";
        const LIST: &str = "exact_online.list_divisions";
        let mut url = self.http.url(&["api", "v1", "current", "Me"]);
        url.set_query(Some("$select=CurrentDivision,UserID"));
        let answer = self.send(ctx, ME, "current/Me", &url).await?;
        let read = |row: &Object<'_>| row.id("CurrentDivision");
        let me = rows::read(&answer, "UserID", read).map_err(|error| error.with_operation(ME))?;
        let current = me.rows.into_iter().next().and_then(|row| row.value.parse().ok());
        let current: u32 = current.ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "Exact Online does not say where the person is")
                .with_operation(ME)
        })?;
        let there = self.at_division(current);
        let query = Query { select: Division::SELECT.to_owned(), ..Query::default() };
        let (mut pages, mut all) = (Pages::default(), Vec::new());
        loop {
            let url = there.page_url("system/Divisions", &query, &pages);
            let answer = there.send(ctx, LIST, "system/Divisions", &url).await?;
            let page = rows::read(&answer, "Code", |row| Division::read(row, &self.site.zone))
                .map_err(|error| error.with_operation(LIST))?;
            let ids: Vec<String> = page.rows.iter().map(|row| row.value.code.to_string()).collect();
            all.extend(page.rows.into_iter().map(|row| row.value));
            let next = there.next_page("system/Divisions", page.next)?;
            if !pages.advance(next, ids)? {
                return Ok(all);
            }
        }
    }

    /// The row version of the first record that was changed at that time, on the server's clocks, or later. `None`: nothing
    /// was changed since.
    pub(crate) async fn row_version(
        &self,
        ctx: &Context,
        endpoint: &str,
        since: Timestamp,
    ) -> Result<Option<i64>> {
        const OPERATION: &str = "exact_online.sync_timestamp";
        const PATH: &str = "read/sync/Sync/SyncTimestamp";
        let mut url = self.url(PATH);
        let at = self.site.zone.wall_clock(since);
        url.set_query(Some(&format!("modified=datetime'{at}'&endPoint='{endpoint}'")));
        let answer = self.send(ctx, OPERATION, PATH, &url).await?;
        let read =
            |row: &Object<'_>| Ok(integer(row, "TimeStampAsBigInt").or_else(|| integer(row, "TimeStamp")));
        let rows = rows::read(&answer, "API", read).map_err(|error| error.with_operation(OPERATION))?;
        Ok(rows.rows.into_iter().find_map(|row| row.value))
    }

    /// All rows of a list.
    async fn all(
        &self,
        ctx: &Context,
        (operation, path): (&'static str, &str),
        id: &'static str,
        query: &Query<'_>,
    ) -> Result<Vec<Box<RawValue>>> {
        let (mut pages, mut all) = (Pages::default(), Vec::new());
        for _ in 0..MAX_PAGES {
            let page = self.page(ctx, (operation, path), id, query, &pages, |row| row.id(id)).await?;
            if !page.unreadable.is_empty() {
                return Err(
                    Error::new(ErrorKind::InvalidResponse, "a row cannot be read").with_operation(operation)
                );
            }
            let ids: Vec<String> = page.rows.iter().map(|row| row.value.clone()).collect();
            let next = self.next_page(path, page.next)?;
            all.extend(page.rows.into_iter().map(|row| row.raw));
            if !pages.advance(next, ids)? {
                return Ok(all);
            }
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the list has no end").with_operation(operation))
    }

    /// A page of a list: its rows are the company's own.
    pub(crate) async fn page<T>(
        &self,
        ctx: &Context,
        (operation, path): (&'static str, &str),
        id: &'static str,
        query: &Query<'_>,
        pages: &Pages,
        read: impl Fn(&Object<'_>) -> Result<T>,
    ) -> Result<Rows<T>> {
        let url = self.page_url(path, query, pages);
        let answer = self.send(ctx, operation, path, &url).await?;
        let own = |row: &Object<'_>| {
            self.site.require_own(row)?;
            read(row)
        };
        rows::read(&answer, id, own).map_err(|error| error.with_operation(operation))
    }

    async fn list<T>(
        &self,
        ctx: &Context,
        (operation, path): (&'static str, &str),
        id: &'static str,
        query: &Query<'_>,
        read: impl Fn(&Object<'_>) -> Result<T>,
    ) -> Result<Rows<T>> {
        self.page(ctx, (operation, path), id, query, &Pages::default(), read).await
    }

    /// As [`list`](Self::list), of rows that are about companies.
    async fn list_any<T>(
        &self,
        ctx: &Context,
        (operation, path): (&'static str, &str),
        id: &'static str,
        query: &Query<'_>,
        read: impl Fn(&Object<'_>) -> Result<T>,
    ) -> Result<Rows<T>> {
        let url = self.page_url(path, query, &Pages::default());
        let answer = self.send(ctx, operation, path, &url).await?;
        rows::read(&answer, id, read).map_err(|error| error.with_operation(operation))
    }

    /// Where a list goes on. Nothing is sent to a link that leads elsewhere: a token would go with it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when the link does not lead to the same list.
    pub(crate) fn next_page(
        &self,
        path: &str,
        next: Option<String>,
    ) -> Result<Option<ml_connector_core::http::Position>> {
        let Some(next) = next else { return Ok(None) };
        let own = self.url(path);
        let is_own = |url: &Url| url.origin() == own.origin() && url.path().eq_ignore_ascii_case(own.path());
        let next = Url::parse(&next).ok().filter(is_own).ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "the next page of a list is somewhere else")
                .with_context("path", path)
        })?;
        Ok(Some(ml_connector_core::http::Position::Link(next)))
    }

    fn page_url(&self, path: &str, query: &Query<'_>, pages: &Pages) -> Url {
        let mut url = self.url(path);
        let mut parts = vec![format!("$select={}", query.select)];
        if !query.filter.is_empty() {
            parts.insert(0, format!("$filter={}", query.filter));
        }
        parts.extend(query.expand.map(|expand| format!("$expand={expand}")));
        parts.extend(query.top.map(|top| format!("$top={top}")));
        // Blanks are encoded as %20, which Exact Online reads in every place.
        url.set_query(Some(&parts.join("&")));
        pages.url(&url, "$skiptoken")
    }

    /// A URL below the company.
    fn url(&self, path: &str) -> Url {
        let division = self.site.division.to_string();
        let begin = ["api", "v1", &division];
        self.http.url(&begin.into_iter().chain(path.split('/')).collect::<Vec<_>>())
    }

    async fn send(&self, ctx: &Context, operation: &'static str, path: &str, url: &Url) -> Result<Answer> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Bytes::new())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        self.call(ctx, Call::read(operation, request), path).await
    }

    /// Makes a call, and passes on what its answer says of the limits.
    async fn call(&self, ctx: &Context, call: Call, path: &str) -> Result<Answer> {
        let sent = self.http.send(ctx, call.with_costs(self.costs(path))).await;
        let answer = sent.map_err(|error| self.in_scope(error))?;
        let left =
            |window: Option<error::Window>| window.and_then(|window| window.remaining.zip(window.reset));
        let day = error::window(&answer, "");
        let limit = day.and_then(|day| day.limit);
        self.budget.report_day(ctx.limiter(), limit, left(day), ctx.now()).await;
        if let Some((units, reset)) = left(error::window(&answer, "Minutely-")) {
            let feedback = Feedback::Remaining { units, reset };
            if let Err(error) = ctx.limiter().report(self.budget.key(), feedback, ctx.now()).await {
                tracing::warn!(%error, "the limiter could not be told what is left of the minute");
            }
        }
        Ok(answer)
    }

    fn costs(&self, path: &str) -> Vec<Cost> {
        let mut costs = self.budget.costs();
        if self.class == Class::Live
            && let Some(day) = costs.iter_mut().find(|cost| Some(&cost.key) == self.budget.day_key())
        {
            day.leave = LEAVE_URGENT.min(self.budget.calls_per_day().unwrap_or(u32::MAX) / 10);
        }
        costs.push(self.contract.clone());
        let errors = Quota::Errors { limit: MOST_ERRORS, window: HOUR };
        let key = QuotaKey::new(format!("{}/errors/{path}", self.budget.key()));
        costs.push(Cost::one(key, Arc::new([errors])));
        costs
    }

    /// What a limit of Exact Online concerns. What polls leave to others must not keep those waiting.
    fn in_scope(&self, error: Error) -> Error {
        let error = match error.scope() {
            Scope::Connection => error.with_context("division", self.site.division),
            _ => error,
        };
        match (error.kind(), error.context(error::WINDOW), self.budget.day_key()) {
            (ErrorKind::RateLimited, Some(error::DAY), Some(day)) => {
                error.with_scope(Scope::Quota(day.clone()))
            }
            (ErrorKind::RateLimited, Some(_), _) => error.with_scope(Scope::Quota(self.budget.key().clone())),
            (ErrorKind::RateLimited, None, _) if self.class != Class::Urgent => {
                error.with_scope(Scope::Entry)
            }
            _ => error,
        }
    }
}

/// Whether Exact Online says that this is not allowed, or not there, while the connection works.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported)
        && error.scope() == &Scope::Entry
}

/// A filter for an id, which is a GUID and nothing else.
fn key_is(member: &str, id: &str) -> Result<String> {
    if is_guid(id) {
        return Ok(format!("{member} eq guid'{id}'"));
    }
    Err(Error::new(ErrorKind::InvalidRequest, "expected a GUID").with_context("member", member))
}
