//! The default transport.

#[cfg(test)]
mod tests;

use std::{error::Error as _, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{HttpTransport, Limits, Phase, TransportError};
use crate::{Error, ErrorKind, Result};

/// How long making a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Load balancers close idle connections after some time, and a write that meets a closed one may be in doubt. A
/// connection this young is rarely closed, and a new one costs a few round trips.
const POOL_IDLE: Duration = Duration::from_secs(5);

/// HTTP over `reqwest`, with the platform's root certificates. One client per value, built on first use; clone
/// the `Arc` rather than making another. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
///
/// What is known about a request whose connection fails: nothing was written when no connection was made, or when
/// a kept connection was seen to be closed before the first byte. A kept connection that the other side closes at
/// the same moment has to count as written.
#[derive(Debug, Default)]
pub struct ReqwestTransport {
    client: OnceLock<reqwest::Client>,
}

impl ReqwestTransport {
    /// A transport that builds its client on first use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds the client now, to learn at start-up whether the machine has root certificates.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] with the remedy.
    pub fn warm_up(&self) -> Result<()> {
        self.client().map(drop)
    }

    fn client(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("ml-connector/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| {
                Error::new(
                    ErrorKind::ConfigInvalid,
                    "the HTTP client cannot start: install the system's CA certificates (package ca-certificates), or \
                     give the connector a transport of your own",
                )
                .with_source(source)
            })?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let client = self.client().map_err(|error| {
            TransportError::new(Phase::NotWritten, "the HTTP client cannot start").with_source(error)
        })?;
        let mut request = reqwest::Request::try_from(request)
            .map_err(|_| TransportError::new(Phase::NotWritten, "the request's URL is not valid"))?;
        *request.timeout_mut() = Some(limits.total);
        let response = client.execute(request).await.map_err(unsent_or_unanswered)?;

        let status = response.status();
        let broken = |message| TransportError::new(Phase::StatusRead(status), message);
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = status;
        *answer.headers_mut() = response.headers().clone();
        let mut body = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk
                .map_err(|error| broken("the answer's body broke off").with_source(error.without_url()))?;
            if body.len() + chunk.len() > limits.max_body_bytes {
                return Err(broken("the answer's body is larger than allowed"));
            }
            body.extend_from_slice(&chunk);
        }
        *answer.body_mut() = body.freeze();
        Ok(answer)
    }
}

/// Nothing was written when the request could not be built, no connection was made, or the pooled connection was
/// closed before the first byte (hyper: canceled). Everything else may have been processed.
fn unsent_or_unanswered(error: reqwest::Error) -> TransportError {
    let mut canceled = false;
    let mut source = error.source();
    while let Some(inner) = source {
        canceled |= inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        source = inner.source();
    }
    let (phase, message) = if error.is_builder() || error.is_connect() || canceled {
        (Phase::NotWritten, "no connection could be made")
    } else if error.is_timeout() {
        (Phase::Written, "no answer came in time")
    } else {
        (Phase::Written, "the connection failed before an answer came")
    };
    TransportError::new(phase, message).with_source(error.without_url())
}
