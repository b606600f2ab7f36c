//! Token endpoints: one that follows a script, one that enforces rotation.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use crate::{
    HttpTransport,
    http::{Limits, Phase, TransportError},
};

/// What happens to the next request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// As the rules say.
    ByRule,
    /// This answer.
    Answer(u16, &'static str),
    /// This answer, with a header.
    With(u16, (&'static str, &'static str), &'static str),
    /// Done as the rules say, but the answer never arrives.
    Lost,
    /// Nothing arrives at the vendor.
    NotSent,
    /// Nothing is done, and the answer breaks off after this status.
    BreaksOff(u16),
    /// Done as the rules say; then the connection hangs for ever.
    Hangs,
    /// Done as the rules say, and the answer takes so long.
    Slow(Duration),
}

/// A vendor that replaces the refresh token `r0`, `r1`, … at each refresh.
#[derive(Debug, Default)]
pub(super) struct Vendor {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    script: VecDeque<Reply>,
    bodies: Vec<String>,
    headers: Vec<http::HeaderMap>,
    at: Vec<tokio::time::Instant>,
    issued: u64,
    refused: usize,
    in_flight: usize,
    most_in_flight: usize,
    rules: VendorRules,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct VendorRules {
    pub(super) life: u64,
    pub(super) floor: Duration,
    /// Whether the refresh token is replaced.
    pub(super) rotates: bool,
    /// Whether the one before the current refresh token still works, as Exact's is said to.
    pub(super) accepts_previous: bool,
    /// How long it keeps a refresh token that is not used.
    pub(super) idle_life: Option<Duration>,
}

impl Default for VendorRules {
    fn default() -> Self {
        Self { life: 600, floor: Duration::ZERO, rotates: true, accepts_previous: false, idle_life: None }
    }
}

impl Vendor {
    pub(super) fn new(rules: VendorRules) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner { rules, ..Inner::default() }) })
    }

    pub(super) fn scripted(script: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        let vendor = Self::new(VendorRules::default());
        vendor.then(script);
        vendor
    }

    pub(super) fn then(&self, script: impl IntoIterator<Item = Reply>) {
        self.inner.lock().unwrap().script.extend(script);
    }

    pub(super) fn requests(&self) -> usize {
        self.inner.lock().unwrap().bodies.len()
    }

    pub(super) fn refused(&self) -> usize {
        self.inner.lock().unwrap().refused
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.inner.lock().unwrap().most_in_flight
    }

    pub(super) fn body(&self, n: usize) -> String {
        self.inner.lock().unwrap().bodies[n].clone()
    }

    pub(super) fn header(&self, n: usize, name: &str) -> Option<String> {
        let inner = self.inner.lock().unwrap();
        inner.headers[n].get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    /// How often each refresh token was sent.
    pub(super) fn uses(&self, refresh_token: &str) -> usize {
        let field = format!("refresh_token={refresh_token}");
        let inner = self.inner.lock().unwrap();
        inner.bodies.iter().filter(|body| body.split('&').any(|part| part == field)).count()
    }
}

impl Inner {
    /// Takes a request in, as a vendor with rotation does.
    fn refresh(&mut self, body: &str, now: tokio::time::Instant) -> Response<Bytes> {
        let sent = body.split('&').find_map(|part| part.strip_prefix("refresh_token=r"));
        let current = self.issued;
        let known = match sent.and_then(|n| n.parse::<u64>().ok()) {
            _ if !self.rules.rotates => true,
            Some(n) => n == current || (self.rules.accepts_previous && n + 1 == current),
            None => false,
        };
        let unused = self.at.last().map(|last| now.duration_since(*last));
        let forgotten = unused.zip(self.rules.idle_life).is_some_and(|(unused, life)| unused > life);
        if !known || forgotten {
            self.refused += 1;
            return answer(400, None, r#"{"error":"invalid_grant"}"#);
        }
        if let Some(last) = self.at.last()
            && now.duration_since(*last) < self.rules.floor
        {
            self.refused += 1;
            return answer(400, None, r#"{"error":"access_denied"}"#);
        }
        self.issued += 1;
        self.at.push(now);
        let (n, life) = (self.issued, self.rules.life);
        let refresh = if self.rules.rotates { format!(r#","refresh_token":"r{n}""#) } else { String::new() };
        let body =
            format!(r#"{{"access_token":"a{n}","token_type":"bearer","expires_in":"{life}"{refresh}}}"#);
        answer(200, None, &body)
    }
}

fn answer(status: u16, header: Option<(&str, &str)>, body: &str) -> Response<Bytes> {
    let mut builder = Response::builder().status(status);
    if let Some((name, value)) = header {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

#[async_trait]
impl HttpTransport for Vendor {
    #[allow(clippy::disallowed_methods)] // the vendor lives in the test's own time
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let reply = {
            let mut inner = self.inner.lock().unwrap();
            let reply = inner.script.pop_front().unwrap_or(Reply::ByRule);
            if matches!(reply, Reply::NotSent) {
                return Err(TransportError::new(Phase::NotWritten, "no connection"));
            }
            inner.bodies.push(body.clone());
            inner.headers.push(request.headers().clone());
            inner.in_flight += 1;
            inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
            reply
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        let by_rule = || self.inner.lock().unwrap().refresh(&body, tokio::time::Instant::now());
        let outcome = match reply {
            Reply::ByRule | Reply::NotSent => Ok(by_rule()),
            Reply::Answer(status, body) => Ok(answer(status, None, body)),
            Reply::With(status, header, body) => Ok(answer(status, Some(header), body)),
            Reply::Lost => {
                by_rule();
                Err(TransportError::new(Phase::Written, "connection reset"))
            }
            Reply::BreaksOff(status) => Err(TransportError::new(
                Phase::StatusRead(http::StatusCode::from_u16(status).unwrap()),
                "connection reset",
            )),
            Reply::Hangs => {
                by_rule();
                std::future::pending().await
            }
            Reply::Slow(delay) => {
                let answer = by_rule();
                tokio::time::sleep(delay).await;
                Ok(answer)
            }
        };
        self.inner.lock().unwrap().in_flight -= 1;
        outcome
    }
}
