//! What the tests share.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Clock, Context, HttpTransport, ManualClock, Result, Secret, Timestamp, TokioClock,
    auth::{Authenticator, Authorization},
    http::{Limits, ReqwestTransport, TransportError},
    rate::{Admission, Cost, Feedback, Permit, QuotaKey, RateLimiter, TakeOver, Usage},
    token::MemoryTokenStore,
};
use ml_connector_zoho::{Builder, DataCenter, ZohoBooks};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_773_324_300);
pub(crate) const SECRET: &str = "mlcZohoSecret2026";
pub(crate) const ORGANIZATION: &str = "778812345";

pub(crate) fn fixture(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

/// Everything that a connection needs.
pub(crate) fn builder() -> Builder {
    ZohoBooks::builder("books")
        .organization_id(ORGANIZATION)
        .data_center(DataCenter::Us)
        .client("1000.CLIENT", "planted-client-secret")
        .refresh_token("planted-refresh-token")
        .webhook_secret(SECRET)
        .time_zone("America/New_York")
}

/// Tokens `token-0`, `token-1` …: a refused one is followed by the next.
#[derive(Debug, Default)]
pub(crate) struct CountingTokens(Mutex<u64>);

#[async_trait]
impl Authenticator for CountingTokens {
    async fn authorize(&self, _: &Context) -> Result<Authorization> {
        let generation = *self.0.lock().unwrap();
        Authorization::new("Zoho-oauthtoken", &Secret::from(format!("token-{generation}")), generation)
    }

    async fn rejected(&self, _: &Context, refused: &Authorization) -> Result<()> {
        *self.0.lock().unwrap() = refused.generation() + 1;
        Ok(())
    }
}

/// Admits everything and remembers what it was asked and told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) admitted: Mutex<Vec<Vec<Cost>>>,
    pub(crate) told: Mutex<Vec<(QuotaKey, Feedback)>>,
    refused_until: Mutex<Option<Timestamp>>,
}

impl Ledger {
    pub(crate) fn refuse_until(&self, at: Timestamp) {
        *self.refused_until.lock().unwrap() = Some(at);
    }
}

#[async_trait]
impl RateLimiter for Ledger {
    async fn admit(&self, costs: &[Cost], _: Timestamp) -> Result<Admission> {
        if let Some(at) = *self.refused_until.lock().unwrap() {
            return Ok(Admission::NotBefore(at));
        }
        let mut admitted = self.admitted.lock().unwrap();
        admitted.push(costs.to_vec());
        Ok(Admission::Admitted(Permit { id: admitted.len() as u64 }))
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, _: Timestamp) -> Result<()> {
        self.told.lock().unwrap().push((key.clone(), feedback));
        Ok(())
    }

    async fn counts(&self, _: Duration, _: Timestamp) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn take_over(&self, _: &TakeOver, _: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn usage(&self, _: Timestamp) -> Result<Vec<Usage>> {
        Ok(Vec::new())
    }
}

/// A context over real HTTP to a loopback address, at [`NOW`].
pub(crate) fn context() -> (Context, Arc<Ledger>) {
    with(Arc::new(ReqwestTransport::new()), Arc::new(ManualClock::at(NOW)))
}

/// The same at another time.
pub(crate) fn context_at(now: Timestamp) -> Context {
    with(Arc::new(ReqwestTransport::new()), Arc::new(ManualClock::at(now))).0
}

/// A context whose calls get these answers one after the other, without a network, so that time can be paused.
pub(crate) fn scripted(answers: Vec<(u16, Bytes)>) -> Context {
    with(Arc::new(Script(Mutex::new(answers.into()))), Arc::new(TokioClock::starting_at(NOW))).0
}

fn with(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>) -> (Context, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let limiter = Arc::clone(&ledger) as Arc<dyn RateLimiter>;
    (Context::new(transport, Arc::new(MemoryTokenStore::new()), limiter, clock), ledger)
}

#[derive(Debug)]
struct Script(Mutex<VecDeque<(u16, Bytes)>>);

#[async_trait]
impl HttpTransport for Script {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (status, body) = self.0.lock().unwrap().pop_front().expect("no more calls");
        let mut response = http::Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}
