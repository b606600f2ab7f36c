//! The way of a request into the simulator.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ml_connector_core::Result;
use serde_json::Value;

use super::{DataCenter, State, ZohoBooksSim, api, control, limits, oauth};
use crate::toolkit::{
    gate::{Call, Gate, Vendor, Visit},
    params::Params,
};

const TOKEN: &str = "/oauth/v2/token";

/// The simulator as one data center, or as the one whose host is called.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) sim: ZohoBooksSim,
    pub(super) center: Option<DataCenter>,
}

impl Vendor for Site {
    fn gate(&self) -> &Gate {
        &self.sim.shared.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        let params = Params::parse([request.uri().query().unwrap_or_default().as_bytes()]);
        let organization = params.get("organization_id").map(str::to_owned);
        // Zoho takes the client's secret and the refresh token in the query too.
        let hides_query = request.uri().path().starts_with("/oauth/");
        Visit::Call { target: organization.clone(), lane: organization, hides_query }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let named = || DataCenter::of_host(host(call.request)?);
        let center = self.center.or_else(named).unwrap_or(self.sim.shared.home);
        self.sim.state(|state| state.answer(center, call, self.gate()))
    }

    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes> {
        limits::throttled(retry_after_secs)
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        control::act(&self.sim, method, segments, body)
    }
}

impl State {
    fn answer(&mut self, center: DataCenter, call: &Call<'_>, gate: &Gate) -> Response<Bytes> {
        let path = call.request.uri().path();
        if path == TOKEN && call.request.method() == Method::POST {
            let api_domain = self.api_domain(center);
            return oauth::answer(&mut self.oauth, center, &api_domain, self.throttle_status, call);
        }
        if path.starts_with("/books/v3/") {
            return api::answer(self, center, call, gate);
        }
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    }

    pub(super) fn api_domain(&self, center: DataCenter) -> String {
        self.api_domains.get(&center).cloned().unwrap_or_else(|| center.api_domain())
    }
}

fn host(request: &Request<Bytes>) -> Option<&str> {
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    let host = request.uri().host().or_else(header)?;
    Some(host.split(':').next().unwrap_or(host))
}
