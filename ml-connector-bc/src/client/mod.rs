//! The calls of the API, one method each.

mod action;
mod approvals;
mod lists;
mod people;
mod subscriptions;

use std::{sync::Arc, time::Duration};

pub(crate) use approvals::UserSetup;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
pub(crate) use lists::{Listing, Rows};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope,
    auth::Authenticator,
    decode::{self, Decoded, LeftOut, Object, Row},
    http::{Answer, Call, Client, Envelope},
    model::Record,
    rate::{Budget, Cost, Quota, QuotaKey},
};
pub(crate) use people::Employee;
use serde_json::value::RawValue;
pub(crate) use subscriptions::{NewSubscription, Subscription};
use url::{Url, form_urlencoded};

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
    auth: Arc<dyn Authenticator>,
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
            outer: Client::new(SYSTEM, origin.clone(), Arc::clone(&auth), error::check)?,
            auth,
            company: company.into(),
            budget,
        })
    }

    /// The same application's calls in another company or environment.
    ///
    /// # Errors
    /// None that is expected.
    pub(crate) fn at(&self, base: Url, company: &str) -> Result<Self> {
        let http = Client::new(SYSTEM, base, Arc::clone(&self.auth), error::check)?;
        Ok(Self { http, company: company.into(), ..self.clone() })
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
        let detail = whole(&answer).and_then(|raw| {
            let context = decode::object(&raw, |object| Ok(object.text("@odata.context")))?.value;
            self.require_own(&context)?;
            detail(raw, set)
        });
        let detail = detail.map_err(|error| error.with_operation(operation))?;
        if &*detail.record.id == id {
            return Ok(detail);
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another record")
            .with_operation(operation)
            .with_context("asked", id.escape_debug()))
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
        self.require_own(url.path())?;
        Ok(url)
    }

    /// Checks that what is read is the company's own: rows do not say whose they are, but the context of an answer does, and
    /// the path of a link. One that names no company says nothing.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] in the scope of the connection.
    fn require_own(&self, text: &str) -> Result<()> {
        let named = text.split_once("companies(").and_then(|(_, rest)| rest.split_once(')'));
        match named {
            Some((company, _)) if !company.eq_ignore_ascii_case(&self.company) => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "Business Central answered with records of another company, so nothing more is read: check company_id, and \
                 what stands between",
            )
            .with_scope(Scope::Connection)
            .with_context("company", &self.company)
            .with_context("answered", company.chars().take(40).collect::<String>().escape_debug())),
            _ => Ok(()),
        }
    }

    async fn read(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = self.request(url, false, None)?;
        let call = Call::read(operation, request).with_costs(self.costs());
        self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))
    }

    fn request(&self, url: &Url, replica: bool, page_size: Option<u32>) -> Result<Request<Bytes>> {
        refuse_actions(url)?;
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

/// Nothing comes near an action but the posting itself: any spelling of its name posts, and that cannot be undone.
///
/// # Errors
/// [`ErrorKind::Unexpected`] for a URL of an action.
fn refuse_actions(url: &Url) -> Result<()> {
    let names_one = |text: &str| text.to_ascii_lowercase().contains("microsoft.nav.");
    // Escaped letters are the same letters to the server.
    let mut parts = form_urlencoded::parse(url.path().as_bytes());
    if names_one(url.path()) || parts.any(|(one, other)| names_one(&one) || names_one(&other)) {
        return Err(Error::new(ErrorKind::Unexpected, "an action is called by the posting alone"));
    }
    Ok(())
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
    let (_, list) = Envelope::with_list(answer, &[], "value")?;
    let rows = list.rows(id, read);
    Ok(rows
        .into_iter()
        .filter_map(|row| match row {
            Row::Read { decoded, .. } => Some(decoded.value),
            Row::Unreadable { .. } => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case 09, in the spellings of the case and more: ids and links are not ours to choose.
    #[test]
    fn no_call_but_the_posting_comes_near_an_action() {
        let case = include_str!("../../tests/cases/09-action-name-in-any-case-posts.json");
        let names = case.split("purchaseInvoices({id})/").skip(1).chain(case.split("…/").skip(1));
        let names: Vec<&str> = names
            .filter_map(|rest| rest.split([',', '"', ' ']).next())
            .filter(|name| name.contains('.'))
            .collect();
        assert!(names.len() >= 3, "{names:?}");
        for name in names.into_iter().chain(["%4Dicrosoft.NAV.post", "Microsoft%2ENAV%2Epost"]) {
            let url = format!("https://api.example.com/v2.0/companies(1)/purchaseInvoices(2)/{name}");
            let error = refuse_actions(&Url::parse(&url).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{name}");
        }
        let plain = Url::parse("https://api.example.com/v2.0/companies(1)/purchaseInvoices(2)").unwrap();
        assert!(refuse_actions(&plain).is_ok());
    }
}
