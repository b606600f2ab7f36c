//! Contracts and engine of ml-connector.
#![doc = ""]

pub mod audit;
pub mod auth;
mod clock;
#[cfg(any(test, doc, feature = "testing"))]
pub mod conformance;
mod context;
mod error;
pub mod http;
pub mod model;
pub mod rate;
mod secret;
mod sink;
pub mod snapshot;
mod source;
pub mod token;
pub mod webhook;

#[cfg(any(test, feature = "testing"))]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, TokioClock, sleep_until};
pub use context::Context;
pub use error::{Effect, Error, ErrorKind, Result, Retry, Scope};
pub use model::{Money, Timestamp};
pub use secret::Secret;
pub use sink::{Notes, OnUnknown, Repeat, Sink, SinkInfo};
pub use source::{Feed, Source, SourceInfo};

pub use crate::{audit::AuditLog, http::HttpTransport, rate::RateLimiter, token::TokenStore};
