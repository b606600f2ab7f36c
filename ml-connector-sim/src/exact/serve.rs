//! What a call meets before it is answered: token, company, limits, blocks.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ml_connector_core::Result;
use serde_json::Value;

use super::{
    DAILY, ExactOnlineSim, MINUTELY, State, answer, api, books, call::Named, companies, control, oauth,
};
use crate::toolkit::{
    conditions::Conditions,
    gate::{Call, Gate, Vendor, Visit},
    oauth::Rejected,
};

impl Vendor for ExactOnlineSim {
    fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        let path = request.uri().path();
        if path.starts_with("/api/oauth2/auth") || path.starts_with("/docs/") {
            return Visit::Person;
        }
        let division = path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
        let target = division.filter(|division| *division != "current").map(str::to_owned);
        Visit::Call { lane: target.clone(), target, hides_query: path.contains("/oauth2/") }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let conditions = self.shared.gate.conditions();
        self.state(|state| state.answer(call, &conditions))
    }

    fn throttled(&self, _: Option<u32>) -> Response<Bytes> {
        answer::empty(StatusCode::TOO_MANY_REQUESTS)
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        control::act(self, method, segments, body)
    }
}

impl State {
    fn answer(&mut self, call: &Call<'_>, conditions: &Conditions) -> Response<Bytes> {
        let path = call.request.uri().path().replace("%27", "'").replace("%28", "(").replace("%29", ")");
        match path.as_str() {
            "/api/oauth2/auth" => {
                return oauth::authorize(&mut self.oauth, &self.app, self.refuses_consent, call);
            }
            "/api/oauth2/token" if call.request.method() == Method::POST => return self.token(call),
            _ => {}
        }
        let segments: Vec<&str> = path.trim_start_matches('/').splitn(4, '/').collect();
        let (division, rest) = match segments[..] {
            ["api", "v1", "current", "Me"] => (None, "Me"),
            ["api", "v1", division, rest] => match division.parse::<u32>() {
                Ok(division) => (Some(division), rest),
                Err(_) => return answer::not_found(),
            },
            _ => return answer::not_found(),
        };
        let named = Named::read(rest);
        let key = format!("{}|{}|{}", books::USER, division.unwrap_or_default(), named.path);
        if self.velocity.blocked_until(&key, call.now).is_some() {
            self.tallies.blocked_calls += 1;
            return answer::empty(StatusCode::TOO_MANY_REQUESTS);
        }
        let mut answer = match self.admit(division, &path, call) {
            Err(refusal) => *refusal,
            Ok(None) => companies::me(self, call.request.uri().query().unwrap_or_default(), call.now),
            Ok(Some(company)) => {
                let mut answer = api::answer(self, company, &named, (call, conditions));
                if !self.quirks.no_limit_headers {
                    let company = &mut self.companies[company];
                    company.minute.describe(&MINUTELY, call.now, &mut answer);
                    company.day.describe(&DAILY, call.now, &mut answer);
                }
                answer
            }
        };
        if matches!(answer.status().as_u16(), 400 | 401 | 403 | 404) {
            self.tallies.errors += 1;
            self.velocity.note(&key, call.now);
        }
        if self.quirks.dutch_errors && answer.status().is_client_error() && !answer.body().is_empty() {
            let headers = answer.headers().clone();
            answer = answer::error(answer.status(), "nl-NL", "De aanvraag kon niet worden verwerkt.");
            *answer.headers_mut() = headers;
        }
        answer
    }

    /// Lets a call of the data API through: token, company, limits, form. Returns the company.
    fn admit(
        &mut self,
        division: Option<u32>,
        path: &str,
        call: &Call<'_>,
    ) -> Result<Option<usize>, answer::Refusal> {
        let headers = call.request.headers();
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        match self.oauth.check(token, call.now) {
            Ok(_) => {}
            Err(Rejected::Unknown | Rejected::Revoked | Rejected::Expired) if self.quirks.login_page => {
                return Err(Box::new(answer::login_page(path)));
            }
            Err(_) => return Err(Box::new(answer::token_expired())),
        }
        let company = match division {
            None => None,
            Some(division) => {
                let company = self.company_of(division);
                let company = company.filter(|at| self.companies[*at].division.is_open);
                let company = company.ok_or_else(|| Box::new(answer::forbidden(Some("NoDivisionAccess"))))?;
                if self.companies[company].division.blocking_status != 0 {
                    return Err(Box::new(answer::forbidden(Some("DivisionBlocked"))));
                }
                self.count(company, call)?;
                Some(company)
            }
        };
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if call.request.method() == Method::GET && !accept.contains("application/json") {
            return Err(Box::new(answer::atom()));
        }
        Ok(company)
    }

    /// Counts a call to a company. Exhausted windows are told with their own headers only, and nothing else.
    fn count(&mut self, company: usize, call: &Call<'_>) -> Result<(), answer::Refusal> {
        self.tallies.parallel_calls += u64::from(call.at_once > 1);
        let company = &mut self.companies[company];
        let (minute, day) = (company.minute.remaining(call.now), company.day.remaining(call.now));
        if minute > 0 && day > 0 && self.contract.take(call.now) {
            company.minute.take(call.now);
            company.day.take(call.now);
            return Ok(());
        }
        self.tallies.limit_violations += 1;
        let mut answer = answer::empty(StatusCode::TOO_MANY_REQUESTS);
        match (day, minute) {
            (0, _) => company.day.describe(&DAILY, call.now, &mut answer),
            (_, 0) => company.minute.describe(&MINUTELY, call.now, &mut answer),
            _ => self.contract.describe(&DAILY, call.now, &mut answer),
        }
        Err(Box::new(answer))
    }

    fn token(&mut self, call: &Call<'_>) -> Response<Bytes> {
        const KEY: &str = "oauth2/token";
        let is_blocked = self.velocity.blocked_until(KEY, call.now).is_some();
        if is_blocked || !self.tokens.take(call.now) {
            self.tallies.refused_tokens += 1;
            self.tallies.blocked_calls += u64::from(is_blocked);
            return answer::empty(StatusCode::TOO_MANY_REQUESTS);
        }
        oauth::token(&mut self.oauth, call).unwrap_or_else(|refused| {
            self.tallies.refused_tokens += 1;
            if self.quirks.counts_token_errors {
                self.velocity.note(KEY, call.now);
            }
            *refused
        })
    }
}
