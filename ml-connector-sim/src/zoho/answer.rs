//! The way of a request through the simulator.

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;

use super::{DataCenter, State, ZohoBooksSim, api, control};
use crate::toolkit::{
    exchange::{self, Received, exchange},
    faults::Call,
    params::Params,
};

impl ZohoBooksSim {
    pub(super) fn routed(&self, center: Option<DataCenter>) -> Router {
        let sim = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let sim = sim.clone();
            async move { sim.answer(center, request).await }
        })
    }

    async fn answer(&self, center: Option<DataCenter>, request: Request<Body>) -> Response<Body> {
        let request = match exchange::read(request).await {
            Ok(request) => request,
            Err(refused) => return refused,
        };
        let center = center.or_else(|| DataCenter::of_host(host(&request)?)).unwrap_or(self.shared.home);
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            return control::answer(self, &request).map(Body::from);
        }
        let fault = self.shared.faults.strike(Call { method: request.method(), path, channel: None });
        let _under_way = UnderWay::begin(self, &request);
        if !self.shared.latency.is_zero() {
            tokio::time::sleep(self.shared.latency).await;
        }
        let index = self.record(&request);
        exchange(fault, || {
            let now = self.now();
            self.state(|state| {
                let answer = state.answer(center, &request, now);
                state.received[index].status = Some(answer.status());
                answer
            })
        })
        .await
    }

    fn record(&self, request: &Request<Bytes>) -> usize {
        let path = request.uri().path();
        // Zoho takes the client's secret and the refresh token in the query too.
        let query = if path.starts_with("/oauth/") { None } else { request.uri().query() };
        let received = Received {
            at: self.now(),
            method: request.method().clone(),
            path: path.to_owned(),
            query: query.unwrap_or_default().to_owned(),
            status: None,
        };
        self.state(|state| {
            state.received.push(received);
            state.received.len() - 1
        })
    }
}

impl State {
    fn answer(&mut self, center: DataCenter, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
        if request.uri().path() == "/oauth/v2/token" && request.method() == Method::POST {
            let query = request.uri().query().unwrap_or_default();
            let params = Params::parse([query.as_bytes(), request.body().as_ref()]);
            let api_domain = self.api_domain(center);
            return self.oauth.token(&mut self.seed, center, &api_domain, &params, now);
        }
        if request.uri().path().starts_with("/books/v3/") {
            return api::answer(self, center, request, now);
        }
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    }

    pub(super) fn api_domain(&self, center: DataCenter) -> String {
        self.api_domains.get(&center).cloned().unwrap_or_else(|| center.api_domain())
    }
}

/// Counts a call as under way until it is answered or given up.
struct UnderWay<'a> {
    sim: &'a ZohoBooksSim,
    organization: Option<String>,
}

impl<'a> UnderWay<'a> {
    fn begin(sim: &'a ZohoBooksSim, request: &Request<Bytes>) -> Self {
        let params = Params::parse([request.uri().query().unwrap_or_default().as_bytes()]);
        let this = Self { sim, organization: params.get("organization_id").map(str::to_owned) };
        this.count(|calls| calls.saturating_add(1));
        this
    }

    fn count(&self, change: impl FnOnce(u32) -> u32) {
        let Some(organization) = &self.organization else { return };
        self.sim.state(|state| {
            if let Some(tenant) = state.organizations.get_mut(organization) {
                let calls = &mut tenant.books.counters.in_flight;
                *calls = change(*calls);
            }
        });
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.count(|calls| calls.saturating_sub(1));
    }
}

fn host(request: &Request<Bytes>) -> Option<&str> {
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    let host = request.uri().host().or_else(header)?;
    Some(host.split(':').next().unwrap_or(host))
}
