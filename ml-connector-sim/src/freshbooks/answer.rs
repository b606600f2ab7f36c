//! The way of a request into the simulator.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::{Result, Timestamp};
use serde_json::Value;

use super::{FreshBooksSim, State, api, control, errors, events, identity, oauth};
use crate::toolkit::{
    conditions::Conditions,
    gate::{Call, Gate, Vendor, Visit},
};

impl Vendor for FreshBooksSim {
    fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        let path = request.uri().path();
        if is_consent(path) {
            return Visit::Person;
        }
        let mut segments = path.trim_matches('/').split('/');
        let target = match (segments.next(), segments.next(), segments.next()) {
            (Some("accounting" | "events"), Some("account"), Some(account)) => Some(account.to_owned()),
            _ => None,
        };
        // Calls at once are those of a login, whatever business they are about.
        let lane = bearer(request)
            .and_then(|token| self.state(|state| state.oauth.find(token).map(|access| access.owner.clone())));
        let hides_query = path.contains("/oauth/");
        Visit::Call { target, lane, hides_query }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let conditions = self.shared.gate.conditions();
        let mut answer = self.state(|state| state.answer(call, &conditions));
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-api-version"), HeaderValue::from_static("2023-02-20"));
        if let Ok(date) = HeaderValue::try_from(http_date(call.now)) {
            headers.insert(header::DATE, date);
        }
        answer
    }

    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes> {
        errors::throttled(retry_after_secs)
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        control::act(self, method, segments, body)
    }
}

impl State {
    fn answer(&mut self, call: &Call<'_>, conditions: &Conditions) -> Response<Bytes> {
        let request = call.request;
        let path = request.uri().path();
        if is_consent(path) {
            return oauth::authorize(&mut self.oauth, &self.app, call);
        }
        let is_post = request.method() == Method::POST;
        match path.trim_end_matches('/').strip_prefix("/service").unwrap_or(path) {
            "/auth/oauth/token" if is_post => {
                return oauth::token(&mut self.oauth, &self.app, &self.quirks, &mut self.first_token, call);
            }
            "/auth/oauth/revoke" if is_post => return oauth::revoke(&mut self.oauth, request),
            _ => {}
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let at = match segments[..] {
            ["accounting" | "events", "account", account, ..] => match self.tenant_of(account) {
                // FreshBooks looks for the account before it looks at the token.
                None => return errors::account_not_found(),
                found => found,
            },
            _ => None,
        };
        let access = bearer(request).and_then(|token| self.oauth.check(token, call.now).ok());
        let Some(scopes) = access.map(|access| access.scopes.clone()) else {
            let form = self.quirks.error_form;
            return match segments[0] {
                "accounting" if self.quirks.own_unauthenticated => errors::accounting_unauthenticated(form),
                "events" if self.quirks.own_unauthenticated => {
                    errors::callbacks(StatusCode::UNAUTHORIZED, form, &[])
                }
                _ => errors::unauthenticated(),
            };
        };
        if !self.admit(call) {
            return errors::throttled((!self.quirks.no_retry_after).then_some(1));
        }
        let has = |object: &str| scopes.iter().any(|scope| *scope == format!("user:{object}:read"));
        match (&segments[..], at) {
            (["accounting", _, _, rest @ ..], Some(at)) => {
                api::accounting(&mut self.tenants[at], &self.quirks, conditions, (call, rest), has)
            }
            (["events", _, _, "events", "callbacks", rest @ ..], Some(at)) => {
                let business = &self.tenants[at].business;
                events::answer(&mut self.callbacks, business, &self.quirks, (call, rest), has)
            }
            (["accounting", "businesses", uuid, rest @ ..], _) => {
                let is_known = self.tenants.iter().any(|tenant| tenant.business.business_uuid == *uuid);
                match is_known {
                    true => api::ledger(rest, has),
                    false => errors::ledger(StatusCode::NOT_FOUND, "Not found."),
                }
            }
            (["auth", "api", "v1", "users", "me"], _) => {
                identity::me(self.tenants.iter().map(|tenant| &tenant.business), &self.quirks)
            }
            _ => errors::not_simulated(path),
        }
    }

    /// Counts a call of the login.
    fn admit(&mut self, call: &Call<'_>) -> bool {
        let fits = call.at_once <= self.at_once && self.window.take(call.now);
        self.violations += u64::from(!fits);
        fits
    }
}

fn is_consent(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), "/oauth/authorize" | "/service/auth/oauth/authorize")
}

fn bearer(request: &Request<Bytes>) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn http_date(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_second(at.as_secs()).unwrap_or(jiff::Timestamp::MAX);
    instant.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
