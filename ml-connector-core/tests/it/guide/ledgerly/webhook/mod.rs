//! What Ledgerly sends when an invoice changes, and before that: the verifier with which it signs.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, ReceiveRequest, Result, Secret, Timestamp, decode,
    model::{AccountKey, EntityRef, Intake, Signal, Subject},
    webhook::{Encoding, HmacSha256, fresh_unix_seconds, single_header},
};
use serde::Deserialize;

/// How old a delivery may be, by "Webhooks" in Ledgerly's handbook.
const TOLERANCE: Duration = Duration::from_secs(300);
const SIGNATURE: &str = "x-ledgerly-signature";

/// Where webhooks are wanted, and what proves them: kept by the engine, and in no entry of its log.
#[derive(Deserialize)]
pub struct Callback {
    pub url: String,
    pub verifier: Option<Secret>,
}

impl Callback {
    pub fn read(state: Option<&Bytes>) -> Option<Self> {
        serde_json::from_slice(state?).ok()
    }

    pub fn write(&self) -> Result<Bytes> {
        let verifier = self.verifier.as_ref().map(Secret::expose);
        let text = serde_json::json!({"url": self.url, "verifier": verifier});
        Ok(text.to_string().into())
    }
}

/// Proves and reads the webhooks of one account.
#[derive(Debug, Clone)]
pub struct Webhook {
    account: AccountKey,
}

impl Webhook {
    pub fn new(account: AccountKey) -> Self {
        Self { account }
    }

    /// What a request means.
    pub fn receive(&self, received: ReceiveRequest<'_>) -> Result<Intake> {
        let callback = Callback::read(received.state);
        if received.request.headers().contains_key(SIGNATURE) {
            let verifier = callback.and_then(|callback| callback.verifier);
            let verifier = verifier.ok_or_else(|| unproven("no verifier was handed over yet"))?;
            return Ok(Intake::accepted(vec![change(&verifier, received.request, received.now)?]));
        }
        self.handshake(received.request, callback)
    }

    /// The verifier comes unsigned. It is taken once, while it is waited for; whether it is Ledgerly's shows when it is
    /// given back.
    fn handshake(&self, request: &Request<Bytes>, callback: Option<Callback>) -> Result<Intake> {
        let names = ["event", "account", "verifier"];
        let body = decode::body(request.body(), |body| Ok(names.map(|name| body.some_text(name))));
        let Ok([Some(event), Some(account), Some(verifier)]) = body.map(|body| body.value) else {
            return Err(unproven("neither a signature nor a verifier"));
        };
        if event != "webhook.verify" || account_key(&account) != self.account {
            return Err(unproven("the verifier is for another account"));
        }
        let kept = Bytes::from_static(b"a verifier, which is not kept here");
        match callback {
            Some(Callback { url, verifier: None }) => {
                let callback = Callback { url, verifier: Some(verifier.into()) };
                let look = Signal::of(Subject::Subscription("webhook".into()));
                Ok(Intake::accepted(vec![look]).state(callback.write()?).evidence(kept))
            }
            _ => Ok(Intake::accepted(Vec::new()).note("dropped: no verifier is waited for").evidence(kept)),
        }
    }
}

/// The signal of a delivery. Nothing is parsed before it is verified: the time, a dot, the body. Of what is parsed nothing
/// is believed but which invoice to read.
fn change(verifier: &Secret, request: &Request<Bytes>, now: Timestamp) -> Result<Signal> {
    let time = single_header(request.headers(), "x-ledgerly-time")?;
    let signature = single_header(request.headers(), SIGNATURE)?;
    HmacSha256::new([verifier])?.verify(
        &[time.as_bytes(), b".", request.body()],
        signature,
        &[Encoding::Hex],
    )?;
    fresh_unix_seconds(time, now, TOLERANCE)?;

    let names = ["event", "account", "invoice"];
    let body = decode::body(request.body(), |body| Ok(names.map(|name| body.some_text(name))));
    let Ok([Some(event), Some(account), Some(invoice)]) = body.map(|body| body.value) else {
        return Err(Error::new(ErrorKind::InvalidRequest, "expected event, account and invoice"));
    };
    let mut signal = Signal::entity(EntityRef::new("invoice", invoice));
    signal.account = Some(account_key(&account));
    signal.hint = Some(event.into());
    Ok(signal)
}

pub fn account_key(account: &str) -> AccountKey {
    AccountKey::new(format!("account:{account}"))
}

fn unproven(message: &'static str) -> Error {
    Error::new(ErrorKind::SignatureInvalid, message)
}
