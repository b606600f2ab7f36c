//! Tests of the authenticator against token endpoints made up for them.

mod anew;
mod answers;
mod chain;
mod faults;
mod idle;
mod secrets;
mod vendor;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use self::vendor::Vendor;
use super::*;
use crate::{
    RateLimiter, TokenStore,
    auth::{ClientAuth, Grant, Rotation},
    clock::TokioClock,
    rate::{Admission, Cost, Feedback, Permit, QuotaKey, TakeOver, Usage},
    token::MemoryTokenStore,
};

/// 2026-10-14T17:46:40Z.
const EPOCH: Timestamp = Timestamp::from_secs(1_792_000_000);

#[derive(Debug)]
struct NoLimits;

#[async_trait]
impl RateLimiter for NoLimits {
    async fn admit(&self, _: &[Cost], _: Timestamp) -> Result<Admission> {
        Ok(Admission::Admitted(Permit { id: 0 }))
    }
    async fn report(&self, _: &QuotaKey, _: Feedback, _: Timestamp) -> Result<()> {
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

fn context(vendor: &Arc<Vendor>, store: &Arc<impl TokenStore>) -> Context {
    let transport = Arc::clone(vendor) as Arc<dyn crate::HttpTransport>;
    let store = Arc::clone(store) as Arc<dyn TokenStore>;
    Context::new(transport, store, Arc::new(NoLimits), Arc::new(TokioClock::starting_at(EPOCH)))
}

fn key() -> TokenKey {
    TokenKey::new(&"books".into())
}

fn config(initial: &str) -> OAuth2Config {
    OAuth2Config::new(
        "test",
        "https://accounts.example.com/oauth/token".parse().unwrap(),
        "client-1",
        Secret::from("planted-client-secret"),
        Grant::RefreshToken { initial: Some(Secret::from(initial)).filter(|initial| !initial.is_empty()) },
    )
}

/// Exact Online: 600 s of life, none before 570 s, each refresh token once.
fn exact(initial: &str) -> OAuth2Config {
    OAuth2Config { not_before: Duration::from_secs(570), rotation: Rotation::RetryOnce, ..config(initial) }
}

fn host(config: OAuth2Config) -> OAuth2 {
    OAuth2::new(key(), config).unwrap()
}

async fn token(host: &OAuth2, ctx: &Context) -> String {
    header(&host.authorize(ctx).await.unwrap())
}

fn header(authorization: &Authorization) -> String {
    authorization.header().to_str().unwrap().to_owned()
}

async fn after(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}
