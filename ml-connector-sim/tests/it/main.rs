//! The simulators seen from outside.

#![allow(clippy::unwrap_used)] // clippy allows it in tests, but not in their helpers

mod bc;
mod conditions;
mod control;
mod databricks;
mod exact;
mod faults;
mod freshbooks;
mod freshbooks_webhooks;
mod slack;
mod zoho;
mod zoho_settings;
mod zoho_webhooks;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use ml_connector_core::{
    HttpTransport, ManualClock, Timestamp,
    http::{Limits, TransportError},
};
use ml_connector_sim::SimTransport;
use serde_json::Value;

/// 12 March 2026, 10:05 in New York.
const NOW: i64 = 1_773_324_300;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_secs(NOW)))
}

/// An answer that can be looked at.
#[derive(Debug)]
struct Answered {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn send(transport: &SimTransport, request: Request<Bytes>) -> Result<Answered, TransportError> {
    let (parts, body) = transport.send(request, Limits::default()).await.map(Response::into_parts)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Answered { status: parts.status, headers: parts.headers, body })
}

fn get(url: &str, authorization: &str) -> Request<Bytes> {
    Request::get(url).header(header::AUTHORIZATION, authorization).body(Bytes::new()).unwrap()
}

fn post(url: &str, authorization: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(url)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap()
}
