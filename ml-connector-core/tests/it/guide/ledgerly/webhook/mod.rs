//! What Ledgerly sends when an invoice changes.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, Timestamp, decode,
    model::{AccountKey, EntityRef, Signal},
    webhook::{Encoding, HmacSha256, fresh_unix_seconds, single_header},
};

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

        let names = ["event", "account", "invoice"];
        let body = decode::body(request.body(), |body| Ok(names.map(|name| body.some_text(name))));
        let Ok([Some(event), Some(account), Some(invoice)]) = body.map(|body| body.value) else {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected event, account and invoice"));
        };
        let mut signal = Signal::entity(EntityRef::new("invoice", invoice));
        signal.account = Some(AccountKey::new(format!("account:{account}")));
        signal.hint = Some(event.into());
        Ok(signal)
    }
}
