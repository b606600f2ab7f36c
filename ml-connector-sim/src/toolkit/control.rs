//! The control surface over HTTP that every simulator has: planting faults, for people with curl and for tests that
//! run a simulator as a program of its own.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    conditions::{Chance, Conditions},
    exchange,
    faults::{Fault, Faults, locked},
};

/// What comes below `/_sim/`, cut into segments, with the body as JSON. Either the answer's JSON, or why not.
pub(crate) fn answer(
    request: &Request<Bytes>,
    (faults, chance): (&Faults, &Mutex<Chance>),
    act: impl FnOnce(&Method, &[&str], &Value) -> Result<Value>,
) -> Response<Bytes> {
    let segments: Vec<&str> = request.uri().path().trim_matches('/').split('/').skip(1).collect();
    let outcome = match segments[..] {
        ["faults"] if request.method() == Method::POST => plant(request, faults),
        ["conditions"] if request.method() == Method::POST => set_conditions(request, chance),
        _ => match request.body().is_empty() {
            true => act(request.method(), &segments, &Value::Null),
            false => serde_json::from_slice(request.body())
                .map_err(|_| invalid("expected a body of JSON"))
                .and_then(|body| act(request.method(), &segments, &body)),
        },
    };
    let (status, body) = match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::Conflict => StatusCode::CONFLICT,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, json!({ "error": error.to_string() }))
        }
    };
    exchange::json(status, "application/json", body)
}

/// The error for a path that controls nothing.
pub(crate) fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such control; the crate's README lists them")
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// A fault as JSON: `{"fault":"reset","acted":true,"on":"chat.postMessage"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planted {
    fault: Kind,
    status: Option<u16>,
    retry_after_secs: Option<u32>,
    delay_ms: Option<u64>,
    #[serde(default)]
    acted: bool,
    on: Option<String>,
    #[serde(alias = "channel")]
    target: Option<String>,
    #[serde(default)]
    after: u32,
    times: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Status,
    TooManyRequests,
    Refused,
    Reset,
    Timeout,
    Truncated,
    Garbage,
    WrongContentType,
    Delay,
}

fn plant(request: &Request<Bytes>, faults: &Faults) -> Result<Value> {
    let planted: Planted = serde_json::from_slice(request.body())
        .map_err(|_| invalid("expected a fault as the crate's README shows it"))?;
    let status = planted.status.map(StatusCode::from_u16).transpose();
    let status = status.map_err(|_| invalid("expected an HTTP status"))?;
    let mut fault = match planted.fault {
        Kind::Status => Fault::html(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)),
        Kind::TooManyRequests => {
            planted.retry_after_secs.map_or_else(Fault::throttled, Fault::too_many_requests)
        }
        Kind::Refused => Fault::refused(),
        Kind::Reset => Fault::reset(),
        Kind::Timeout => Fault::timeout(),
        Kind::Truncated => Fault::truncated(),
        Kind::Garbage => Fault::garbage(),
        Kind::WrongContentType => Fault::wrong_content_type(),
        Kind::Delay => Fault::delay(Duration::from_millis(planted.delay_ms.unwrap_or(1000))),
    };
    if planted.acted {
        fault = fault.having_acted();
    }
    if let Some(path) = &planted.on {
        fault = fault.on(path);
    }
    if let Some(target) = &planted.target {
        fault = fault.target(target);
    }
    faults.plant(fault.after(planted.after).times(planted.times.unwrap_or(1)));
    Ok(json!({ "waiting": faults.waiting() }))
}

/// Conditions as JSON: `{"jitter_ms":200,"lost_answer_every":50}`. What is left out is kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    seed: u64,
    jitter_ms: u64,
    latency_ms: u64,
    lost_answer_every: u32,
    list_lag_ms: u64,
    short_pages: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            seed: 1,
            jitter_ms: 0,
            latency_ms: 0,
            lost_answer_every: 0,
            list_lag_ms: 0,
            short_pages: false,
        }
    }
}

fn set_conditions(request: &Request<Bytes>, chance: &Mutex<Chance>) -> Result<Value> {
    let wanted: Wanted = serde_json::from_slice(request.body())
        .map_err(|_| invalid("expected conditions as the crate's README shows them"))?;
    let mut conditions = Conditions::kind();
    conditions.seed = wanted.seed;
    conditions.jitter = Duration::from_millis(wanted.jitter_ms);
    conditions.latency = Duration::from_millis(wanted.latency_ms);
    conditions.lost_answer_every = wanted.lost_answer_every;
    conditions.list_lag = Duration::from_millis(wanted.list_lag_ms);
    conditions.short_pages = wanted.short_pages;
    *locked(chance) = Chance::new(conditions);
    Ok(json!({ "ok": true }))
}
