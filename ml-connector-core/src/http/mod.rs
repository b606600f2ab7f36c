//! Calls to vendors: a transport that says how far a request got, and a pipeline on top of it.
//!
//! Pipeline order: retry → rate limit → auth → trace → transport. Every attempt is admitted, gets a fresh token
//! and is seen.

mod answer;
mod authenticator;
mod classify;
mod client;
mod envelope;
mod pagination;
#[cfg(feature = "reqwest")]
mod reqwest;
mod secure_url;

use std::{fmt, time::Duration};

pub use answer::Answer;
use async_trait::async_trait;
pub use authenticator::{Authenticator, Authorization};
use bytes::Bytes;
pub use classify::error_for_status;
pub use client::{Call, Client};
pub use envelope::Envelope;
use http::StatusCode;
pub use pagination::{Pages, Position};
pub use secure_url::require_secure;

#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;

/// Sends one HTTP request and reads the whole answer.
///
/// # Contract
/// - Redirects are not followed: they would carry credentials to another place.
/// - `limits` are kept, connection set-up included.
/// - The phase of an error is honest: [`Phase::NotWritten`] only when not one byte of the request can have been
///   processed by the other side.
/// - No request, header or body is logged.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request.
    ///
    /// # Errors
    /// A [`TransportError`] with the phase in which it failed. A status like 500 is no error.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// Bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long the whole call may take.
    pub total: Duration,
    /// How large the decompressed body of the answer may be.
    pub max_body_bytes: usize,
}

impl Limits {
    /// How long a call may take by default.
    pub const TOTAL: Duration = Duration::from_secs(30);
    /// How large an answer may be by default.
    pub const MAX_BODY_BYTES: usize = 16 << 20;

    /// The defaults, with another total time.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        Self { total, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Self::TOTAL, max_body_bytes: Self::MAX_BODY_BYTES }
    }
}

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The other side has not seen it.
    NotWritten,
    /// It may have been processed; no answer was seen.
    Written,
    /// It was answered with this status, but the body could not be read to its end.
    StatusRead(StatusCode),
}

/// Why no answer arrived.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    phase: Phase,
    message: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TransportError {
    /// An error in a phase. `message` says what was expected and what came.
    #[must_use]
    pub fn new(phase: Phase, message: &'static str) -> Self {
        Self { phase, message, source: None }
    }

    /// Keeps the error underneath. It must not hold a URL with secrets.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How far the request got.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }
}
