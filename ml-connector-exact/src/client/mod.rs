//! The calls of Exact Online's API, one method each.

mod companies;
mod pace;
mod records;
pub(crate) mod rows;
pub(crate) mod subscriptions;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope,
    auth::Authenticator,
    decode::Object,
    http::{Answer, Call, Client, Pages, Position},
};
use serde_json::value::RawValue;
use url::Url;

use self::{pace::Costs, rows::Rows};
pub(crate) use self::{
    pace::{Class, Pace},
    records::Detail,
};
use crate::{
    SYSTEM, error,
    models::{Site, is_guid},
};

const USER_AGENT: &str = concat!("ml-connector/", env!("CARGO_PKG_VERSION"));
/// A document has fewer pages of lines.
const MAX_PAGES: u32 = 200;

/// The calls of one company.
#[derive(Debug, Clone)]
pub(crate) struct ExactClient {
    http: Client,
    site: Arc<Site>,
    costs: Costs,
}

/// What to ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query<'a> {
    pub(crate) filter: String,
    pub(crate) select: String,
    pub(crate) expand: Option<&'a str>,
    /// The member to sort by. Exact Online says that sorting is slow, so only what needs it asks for it.
    pub(crate) order: Option<&'a str>,
    pub(crate) top: Option<u32>,
}

impl ExactClient {
    /// The calls of a company of a customer's `contract`, through an `app`.
    pub(crate) fn new(
        site: Site,
        auth: Arc<dyn Authenticator>,
        (app, contract): (&str, &str),
        pace: Pace,
    ) -> Result<Self> {
        let http = Client::new(SYSTEM, site.base.clone(), auth, error::check)?;
        Ok(Self { http, costs: Costs::new(app, contract, site.division, pace), site: Arc::new(site) })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The same calls, for other work.
    pub(crate) fn for_class(&self, class: Class) -> Self {
        Self { costs: self.costs.for_class(class), ..self.clone() }
    }

    /// The same calls, of another company of the same region.
    pub(crate) fn at_division(&self, division: u32) -> Self {
        Self {
            site: Arc::new(Site { division, ..Site::clone(&self.site) }),
            costs: self.costs.at_division(division),
            ..self.clone()
        }
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
    pub(crate) fn next_page(&self, path: &str, next: Option<String>) -> Result<Option<Position>> {
        let Some(next) = next else { return Ok(None) };
        let own = self.url(path);
        let is_own = |url: &Url| url.origin() == own.origin() && url.path().eq_ignore_ascii_case(own.path());
        let next = Url::parse(&next).ok().filter(is_own).ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "the next page of a list is somewhere else")
                .with_context("path", path)
        })?;
        Ok(Some(Position::Link(next)))
    }

    fn page_url(&self, path: &str, query: &Query<'_>, pages: &Pages) -> Url {
        let mut url = self.url(path);
        let mut parts = vec![format!("$select={}", query.select)];
        if !query.filter.is_empty() {
            parts.insert(0, format!("$filter={}", query.filter));
        }
        parts.extend(query.expand.map(|expand| format!("$expand={expand}")));
        parts.extend(query.order.map(|order| format!("$orderby={order}")));
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
        let turn = self.costs.turn(ctx).await;
        let sent = self.http.send(ctx, call.with_costs(self.costs.of(path))).await;
        drop(turn);
        let answer = sent.map_err(|error| match error.scope() {
            Scope::Connection => self.costs.in_scope(error).with_context("division", self.site.division),
            _ => self.costs.in_scope(error),
        })?;
        self.costs.learn(ctx, &answer).await;
        Ok(answer)
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
