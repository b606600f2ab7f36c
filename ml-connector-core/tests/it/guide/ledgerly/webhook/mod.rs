//! What Ledgerly sends when an invoice changes.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, Timestamp,
    model::{AccountKey, EntityRef, Signal},
    webhook::{Encoding, HmacSha256, fresh_unix_seconds, single_header},
};
use serde::Deserialize;

/// How old a delivery may be, by "Webhooks" in Ledgerly's handbook.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Knows the secrets, and what is signed: the time, a dot, the body.
#[derive(Debug, Clone)]
pub struct Webhook(HmacSha256);

impl Webhook {
    pub fn new(secrets: &[Secret]) -> Result<Self> {
        HmacSha256::new(secrets).map(Self)
    }

    /// The signal of a delivery. Nothing is parsed before it is verified, and of what is parsed nothing is believed
    /// but which invoice to read.
    pub fn decode(&self, request: &Request<Bytes>, now: Timestamp) -> Result<Signal> {
        let time = single_header(request.headers(), "x-ledgerly-time")?;
        let signature = single_header(request.headers(), "x-ledgerly-signature")?;
        self.0.verify(&[time.as_bytes(), b".", request.body()], signature, &[Encoding::Hex])?;
        fresh_unix_seconds(time, now, TOLERANCE)?;

        #[derive(Deserialize)]
        struct Body {
            event: String,
            account: String,
            invoice: String,
        }
        let body: Body = serde_json::from_slice(request.body())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected event, account and invoice"))?;
        let mut signal = Signal::entity(EntityRef::new("invoice", body.invoice));
        signal.account = Some(AccountKey::new(format!("account:{}", body.account)));
        signal.hint = Some(body.event.into());
        Ok(signal)
    }
}
