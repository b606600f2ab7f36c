//! The calls of the API, one method each.

mod action;
mod subscriptions;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    auth::Authenticator,
    decode::{self, Decoded, LeftOut, Object, Row},
    http::{Answer, Call, Client, Envelope, Pages, Position},
    model::Record,
    rate::{Budget, Cost, Quota, QuotaKey},
};
use serde_json::value::RawValue;
pub(crate) use subscriptions::{NewSubscription, Subscription};
use url::Url;

use crate::{
    SYSTEM, error,
    models::{Company, Environment, Set, read_record},
};

/// 6,000 calls in five minutes per application, by "Operational limits"; a tenth is left to others.
const CALLS: Quota = Quota::Rolling { limit: 5_400, window: Duration::from_secs(300) };
/// Five run at once; the sixth would only wait in Business Central's own queue.
const AT_ONCE: u32 = 4;
/// What polls leave of both, so that what people wait for has room.
const LEAVE: u32 = 600;
const LEAVE_AT_ONCE: u32 = 1;
const USER_AGENT: &str = concat!("ml-connector/", env!("CARGO_PKG_VERSION"));

/// The calls of one application in one company. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    http: Client,
    /// For what lies beside the environment: the list of environments.
    outer: Client,
    company: Arc<str>,
    budget: Budget,
}

/// A record and the vendor's JSON of it, byte for byte. It has no `Debug`: names and amounts are the customer's business.
pub(crate) struct Detail {
    pub(crate) record: Record,
    pub(crate) etag: String,
    pub(crate) raw: Box<RawValue>,
    /// What could not be read.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A page of a list.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Detail>,
    /// The ids of rows that could not be read.
    pub(crate) unreadable: Vec<String>,
    /// The link to the next page, if there is one.
    pub(crate) next: Option<Url>,
    /// The server's clock.
    pub(crate) at: Option<Timestamp>,
}

/// How a page of a list is asked for.
pub(crate) struct Listing<'a> {
    pub(crate) filter: Option<String>,
    pub(crate) pages: &'a Pages,
    /// Ids and stamps only, without lines: a record that refers to a missing one does not spoil it.
    pub(crate) bare: bool,
    pub(crate) page_size: u32,
    /// From the replica, which lags behind: for lists of ids only.
    pub(crate) replica: bool,
}

impl ApiClient {
    pub(crate) fn new(
        base: Url,
        origin: &Url,
        auth: Arc<dyn Authenticator>,
        client_id: &str,
        company: &str,
    ) -> Result<Self> {
        let budget = Budget::new(QuotaKey::new(format!("business_central/{client_id}")))
            .limit(CALLS, LEAVE)
            .limit(Quota::Concurrent { limit: AT_ONCE }, LEAVE_AT_ONCE);
        Ok(Self {
            http: Client::new(SYSTEM, base, Arc::clone(&auth), error::check)?,
            outer: Client::new(SYSTEM, origin.clone(), auth, error::check)?,
            company: company.into(),
            budget,
        })
    }

    pub(crate) fn company_id(&self) -> &str {
        &self.company
    }

    /// The same calls, for work that can wait.
    pub(crate) fn in_background(&self) -> Self {
        Self { budget: self.budget.in_background(), ..self.clone() }
    }

    /// `GET companies`.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn companies(&self, ctx: &Context) -> Result<Vec<Company>> {
        let url = self.http.url(&["v2.0", "companies"]);
        let answer = self.read(ctx, "business_central.list_companies", &url).await?;
        list_of(&answer, "id", Company::read)
    }

    /// `GET environments`. Whether an application may ask is not documented.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn environments(&self, ctx: &Context) -> Result<Vec<Environment>> {
        let url = self.outer.url(&["environments", "v1.2"]);
        let request = self.request(&url, false, None)?;
        let call = Call::read("business_central.list_environments", request).with_costs(self.costs());
        let answer = self.outer.send(ctx, call).await.map_err(|error| self.in_scope(error))?;
        list_of(&answer, "name", Environment::read)
    }

    /// `GET {set}({id})` with its lines, from the primary.
    ///
    /// # Errors
    /// As [`error::check`] says; [`ErrorKind::InvalidResponse`] when the answer is not that record.
    pub(crate) async fn get(&self, ctx: &Context, set: Set, id: &str) -> Result<Detail> {
        let mut url = self.below(&[&format!("{}({id})", set.name())]);
        if let Some(lines) = set.lines() {
            url.query_pairs_mut().append_pair("$expand", lines);
        }
        if let Some(select) = set.select() {
            url.query_pairs_mut().append_pair("$select", select);
        }
        let operation = set.get();
        let answer = self.read(ctx, operation, &url).await?;
        let detail = whole(&answer).and_then(|raw| detail(raw, set));
        let detail = detail.map_err(|error| error.with_operation(operation))?;
        if &*detail.record.id == id {
            return Ok(detail);
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another record")
            .with_operation(operation)
            .with_context("asked", id.escape_debug()))
    }

    /// `GET {set}`: a page, in the order of the last modification.
    ///
    /// # Errors
    /// As [`get`](Self::get). A 404 of a list is never about a record of ours.
    pub(crate) async fn list(&self, ctx: &Context, set: Set, listing: Listing<'_>) -> Result<Rows> {
        let operation = set.list();
        let url = match listing.pages.at() {
            Some(Position::Link(link)) => link.clone(),
            _ => {
                let mut url = self.below(&[set.name()]);
                {
                    let mut query = url.query_pairs_mut();
                    query.extend_pairs(listing.filter.as_ref().map(|filter| ("$filter", filter)));
                    query.append_pair("$orderby", "lastModifiedDateTime");
                    match (listing.bare, set.lines()) {
                        (true, _) => drop(query.append_pair("$select", "id,lastModifiedDateTime")),
                        (false, Some(lines)) => drop(query.append_pair("$expand", lines)),
                        (false, None) => {}
                    }
                    if let Some(select) = set.select().filter(|_| !listing.bare) {
                        query.append_pair("$select", select);
                    }
                }
                url
            }
        };
        let request = self.request(&url, listing.replica, Some(listing.page_size))?;
        let call = Call::read(operation, request).with_costs(self.costs());
        let answer = self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))?;
        let rows = self.rows(&answer, set, listing.bare);
        rows.map_err(|error| error.with_operation(operation))
    }

    fn rows(&self, answer: &Answer, set: Set, bare: bool) -> Result<Rows> {
        let mut envelope = Envelope::of(answer)?;
        let list = envelope.member("value")?;
        let next = envelope.take("@odata.nextLink");
        let next = next.as_deref().and_then(decode::plain_text).filter(|link| !link.is_empty());
        let next = next.map(|link| self.own_link(&link)).transpose()?;
        let mut page = Rows { rows: Vec::new(), unreadable: Vec::new(), next, at: answer.date() };
        let read = |object: &Object<'_>| {
            let record = if bare { set.bare(object)? } else { read_record(set, object)? };
            Ok((record, object.text("@odata.etag")))
        };
        for row in decode::rows(&list, "id", read)? {
            match row {
                Row::Read { decoded: Decoded { value: (record, etag), left_out }, raw } => {
                    page.rows.push(Detail { record, etag, raw, left_out });
                }
                Row::Unreadable { id, number, error } => {
                    tracing::warn!(%error, operation = set.list(), number, "a row cannot be read");
                    page.unreadable.extend(id);
                }
            }
        }
        Ok(page)
    }

    /// Whether a list that can be read shows the record: what a 404 cannot tell.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn is_listed(&self, ctx: &Context, set: Set, id: &str) -> Result<bool> {
        let mut url = self.below(&[set.name()]);
        url.query_pairs_mut().append_pair("$filter", &format!("id eq {id}")).append_pair("$select", "id");
        let answer = self.read(ctx, set.list(), &url).await?;
        let ids = list_of(&answer, "id", |row| row.id("id"))?;
        Ok(ids.iter().any(|listed| listed == id))
    }

    /// The ids of the records of a set in which a field has this text.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn ids_where(
        &self,
        ctx: &Context,
        set: Set,
        field: &str,
        text: &str,
    ) -> Result<Vec<String>> {
        let mut url = self.below(&[set.name()]);
        url.query_pairs_mut()
            .append_pair("$filter", &format!("{field} eq '{}'", text.replace('\'', "''")))
            .append_pair("$select", "id");
        let answer = self.read(ctx, set.list(), &url).await?;
        list_of(&answer, "id", |row| row.id("id"))
    }

    /// Whether a sales invoice that reads Open is posted, and not only released: by the route that lists posted ones. `None`
    /// where this version has no such route.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn is_posted(
        &self,
        ctx: &Context,
        set: Set,
        id: &str,
        number: &str,
    ) -> Result<Option<bool>> {
        let company = format!("companies({})", self.company);
        let mut url = self.http.url(&["microsoft", "automate", "v1.0", &company, set.posted()]);
        let filter = format!("number eq '{}'", number.replace('\'', "''"));
        url.query_pairs_mut().append_pair("$filter", &filter);
        match self.read(ctx, "business_central.list_posted", &url).await {
            Ok(answer) => {
                let ids = list_of(&answer, "apiId", |row| row.id("apiId"))?;
                Ok(Some(ids.iter().any(|posted| posted == id)))
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Who sent which documents of a table for approval, while they wait: number and sender. From the primary. `None` where
    /// this version has no approval entries.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn open_approvals(
        &self,
        ctx: &Context,
        set: Set,
        number: Option<&str>,
    ) -> Result<Option<Vec<(String, String)>>> {
        let mut url = self.below(&[Set::APPROVAL_ENTRIES]);
        let table = if set.is_purchase() { 38 } else { 36 };
        let mut filter = format!("tableId eq {table} and status eq 'Open'");
        if let Some(number) = number {
            filter.push_str(&format!(" and documentNumber eq '{}'", number.replace('\'', "''")));
        }
        url.query_pairs_mut().append_pair("$filter", &filter);
        let kind = if set.is_order() { "Order" } else { "Invoice" };
        match self.read(ctx, "business_central.list_approval_entries", &url).await {
            Ok(answer) => {
                let entries = list_of(&answer, "id", |row| {
                    Ok((row.text("documentType"), row.text("documentNumber"), row.text("senderId")))
                })?;
                Ok(Some(
                    entries
                        .into_iter()
                        .filter(|(of, ..)| of == kind)
                        .map(|(_, number, sender)| (number, sender))
                        .collect(),
                ))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Approval entries that changed after an instant: the table, the document's type and its number. Their link leads on.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn approval_changes(
        &self,
        ctx: &Context,
        since: Option<Timestamp>,
        pages: &Pages,
    ) -> Result<(Vec<(Option<Set>, String)>, Timestamp, Option<Url>)> {
        let url = match pages.at() {
            Some(Position::Link(link)) => link.clone(),
            _ => {
                let mut url = self.below(&[Set::APPROVAL_ENTRIES]);
                let filter = since.map(|since| format!("lastModifiedDateTime gt {since}"));
                url.query_pairs_mut()
                    .extend_pairs(filter.map(|filter| ("$filter", filter)))
                    .append_pair("$orderby", "lastModifiedDateTime");
                url
            }
        };
        let answer = self.read(ctx, "business_central.list_approval_entries", &url).await?;
        let mut envelope = Envelope::of(&answer)?;
        let next = envelope.take("@odata.nextLink");
        let next =
            next.as_deref().and_then(decode::plain_text).map(|link| self.own_link(&link)).transpose()?;
        let mut newest = Timestamp::default();
        let mut changed = Vec::new();
        for (table, kind, number, at) in list_of(&answer, "id", |row| {
            let at = row.instant("lastModifiedDateTime").unwrap_or_default();
            Ok((row.text("tableId"), row.text("documentType"), row.text("documentNumber"), at))
        })? {
            newest = newest.max(at);
            let set = match (&*table, &*kind) {
                ("38", "Invoice") => Some(Set::PurchaseInvoices),
                ("36", "Invoice") => Some(Set::SalesInvoices),
                ("38", "Order") => Some(Set::PurchaseOrders),
                ("36", "Order") => Some(Set::SalesOrders),
                _ => None,
            };
            changed.push((set, number));
        }
        Ok((changed, newest, next))
    }

    /// How many rows of a set with this status there are to see, one at most.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn sees_any(&self, ctx: &Context, set: Set, status: Option<&str>) -> Result<bool> {
        let mut url = self.below(&[set.name()]);
        let filter = status.map(|status| format!("status eq '{status}'"));
        url.query_pairs_mut()
            .extend_pairs(filter.map(|filter| ("$filter", filter)))
            .append_pair("$select", "id")
            .append_pair("$top", "1");
        let answer = self.read(ctx, set.list(), &url).await?;
        Ok(!list_of(&answer, "id", |row| row.id("id"))?.is_empty())
    }

    /// A URL below the company.
    fn below(&self, segments: &[&str]) -> Url {
        let company = format!("companies({})", self.company);
        let all: Vec<&str> = ["v2.0", &company].into_iter().chain(segments.iter().copied()).collect();
        self.http.url(&all)
    }

    /// A link that stays below the API: a token must not follow any other.
    fn own_link(&self, link: &str) -> Result<Url> {
        let refused = |message| Error::new(ErrorKind::InvalidResponse, message);
        let url = Url::parse(link).map_err(|_| refused("the link to the next page is no URL"))?;
        if url.origin() != self.http.base().origin() {
            return Err(refused("the link to the next page leads to another host"));
        }
        Ok(url)
    }

    async fn read(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = self.request(url, false, None)?;
        let call = Call::read(operation, request).with_costs(self.costs());
        self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))
    }

    fn request(&self, url: &Url, replica: bool, page_size: Option<u32>) -> Result<Request<Bytes>> {
        let mut request = Request::get(url.as_str());
        request = common(request);
        // Approval entries and others would go to the replica unless told otherwise.
        let intent = if replica { "ReadOnly" } else { "ReadWrite" };
        request = request.header("data-access-intent", intent);
        if let Some(size) = page_size {
            request = request.header("prefer", format!("odata.maxpagesize={size}"));
        }
        request.body(Bytes::new()).map_err(|_| cannot_build())
    }

    fn costs(&self) -> Vec<Cost> {
        self.budget.costs()
    }

    /// "Too often" concerns the whole application.
    fn in_scope(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::RateLimited || error.scope() != &Scope::Entry {
            return error;
        }
        error.with_scope(Scope::Quota(self.budget.key().clone()))
    }
}

/// What every request says of itself.
fn common(request: http::request::Builder) -> http::request::Builder {
    request
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_LANGUAGE, "en-US")
        .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
}

fn cannot_build() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the request cannot be built")
}

/// The whole body: an entity stands without an envelope.
fn whole(answer: &Answer) -> Result<Box<RawValue>> {
    answer.json()
}

fn detail(raw: Box<RawValue>, set: Set) -> Result<Detail> {
    let Decoded { value: (record, etag), left_out } =
        decode::object(&raw, |object| Ok((read_record(set, object)?, object.text("@odata.etag"))))?;
    Ok(Detail { record, etag, raw, left_out })
}

/// The rows of a short list. Rows without an id are left out.
fn list_of<T>(answer: &Answer, id: &'static str, read: impl Fn(&Object<'_>) -> Result<T>) -> Result<Vec<T>> {
    let list = Envelope::of(answer)?.member("value")?;
    let rows = decode::rows(&list, id, read)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match row {
            Row::Read { decoded, .. } => Some(decoded.value),
            Row::Unreadable { .. } => None,
        })
        .collect())
}
