//! What the tests share.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, ManualClock, Result, Secret, Timestamp,
    auth::{Authenticator, Authorization},
    http::ReqwestTransport,
    rate::{Admission, Cost, Feedback, Permit, QuotaKey, RateLimiter},
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
}

#[async_trait]
impl RateLimiter for Ledger {
    async fn admit(&self, costs: &[Cost], _: Timestamp) -> Result<Admission> {
        let mut admitted = self.admitted.lock().unwrap();
        admitted.push(costs.to_vec());
        Ok(Admission::Admitted(Permit { id: admitted.len() as u64 }))
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, _: Timestamp) -> Result<()> {
        self.told.lock().unwrap().push((key.clone(), feedback));
        Ok(())
    }
}

/// A context over real HTTP to a loopback address, at [`NOW`].
pub(crate) fn context() -> (Context, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let ctx = Context::new(
        Arc::new(ReqwestTransport::new()),
        Arc::new(MemoryTokenStore::new()),
        Arc::clone(&ledger) as Arc<dyn RateLimiter>,
        Arc::new(ManualClock::at(NOW)),
    );
    (ctx, ledger)
}
