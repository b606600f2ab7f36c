//! One request and its answer, with the fault that may come between them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited};
use ml_connector_core::Timestamp;

use super::faults::{Failure, Fault};

/// A request that a simulator received, without headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// Its query, undecoded; left out where it may hold a secret, as at a token endpoint.
    pub query: String,
    /// The status it was answered with; `None` when a fault came before the simulator acted.
    pub status: Option<StatusCode>,
}

/// How a connection broke: an extension of the response for callers in process. Over a socket the body does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Refused,
    Reset,
    Truncated,
}

/// More than any vendor's largest request that a test sends: Databricks takes 16 MiB of statement text, and larger files.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Reads the whole body of a request.
pub(crate) async fn read(request: Request<Body>) -> Result<Request<Bytes>, Response<Body>> {
    let (parts, body) = request.into_parts();
    match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, body.to_bytes())),
        Err(_) => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            Err(answer)
        }
    }
}

/// Lets the simulator act unless the fault comes first, and spoils the answer as the fault says. `act` answers and
/// never waits; without it being called nothing has happened. `throttled` is the vendor's answer to too many calls.
pub(super) async fn exchange(
    fault: Fault,
    act: impl FnOnce() -> Response<Bytes>,
    throttled: impl FnOnce(Option<u32>) -> Response<Bytes>,
) -> Response<Body> {
    let mut act = Some(act);
    let mut answer = if fault.acted { act.take().map(|act| act()) } else { None };
    if !fault.delay.is_zero() {
        tokio::time::sleep(fault.delay).await;
    }
    if let (Failure::Slow, Some(act)) = (&fault.failure, act) {
        answer = Some(act());
    }
    match fault.failure {
        Failure::Slow => answer.unwrap_or_default().map(Body::from),
        Failure::Answer(spoiled) => spoiled.map(Body::from),
        Failure::Throttled { retry_after_secs } => throttled(retry_after_secs).map(Body::from),
        Failure::Garbage => answer.unwrap_or_default().map(|_| Body::from(GARBAGE)),
        Failure::WrongContentType => {
            let mut answer = answer.unwrap_or_default();
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            answer.map(Body::from)
        }
        Failure::Timeout => std::future::pending().await,
        Failure::Refused => broken(Broken::Refused, Response::default()),
        Failure::Reset => lost(),
        Failure::Truncated => broken(Broken::Truncated, answer.unwrap_or_default()),
    }
}

/// Bytes that are neither JSON nor text.
const GARBAGE: &[u8] = b"\x00\xff{\"\xc3\x28";

/// An answer that never arrives: the connection breaks.
pub(super) fn lost() -> Response<Body> {
    broken(Broken::Reset, Response::default())
}

/// A JSON answer.
pub(crate) fn json(
    status: StatusCode,
    content_type: &'static str,
    body: impl serde::Serialize,
) -> Response<Bytes> {
    let mut answer = Response::new(serde_json::to_vec(&body).unwrap_or_default().into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn broken(how: Broken, answer: Response<Bytes>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    parts.extensions.insert(how);
    let half = (how == Broken::Truncated).then(|| body.slice(..body.len() / 2));
    Response::from_parts(parts, Body::new(Torn { flushed: half.is_none(), half }))
}

/// A body that breaks off. Without a first half it breaks before hyper has written the status line.
#[derive(Debug)]
struct Torn {
    half: Option<Bytes>,
    flushed: bool,
}

impl http_body::Body for Torn {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        // What was written so far is flushed while the body is not ready.
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
