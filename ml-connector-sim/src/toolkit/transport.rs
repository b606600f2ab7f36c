//! The simulators called in process.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use ml_connector_core::{
    HttpTransport,
    http::{Limits, Phase, TransportError},
};
use tower_service::Service;

use super::exchange::Broken;

/// An [`HttpTransport`] without a network: requests go by their origin to a router in this process.
///
/// Planted faults arrive as [`TransportError`]s with the phase the caller would see. An origin that nobody serves
/// is a refused connection. Limits are kept on tokio's clock.
#[derive(Clone, Default)]
pub struct SimTransport {
    routers: BTreeMap<String, Router>,
}

impl SimTransport {
    /// A transport that reaches nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves an origin such as `https://erp.example.com` with a router: for example the application under test, to
    /// deliver webhooks to it.
    #[must_use]
    pub fn with_router(mut self, origin: &str, router: Router) -> Self {
        self.routers.insert(origin.trim_end_matches('/').to_ascii_lowercase(), router);
        self
    }
}

impl fmt::Debug for SimTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.routers.keys()).finish()
    }
}

#[async_trait]
impl HttpTransport for SimTransport {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let uri = request.uri();
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default()
        );
        let Some(router) = self.routers.get(&origin) else {
            return Err(TransportError::new(Phase::NotWritten, "no simulator serves this origin"));
        };
        let answered = router.clone().call(request.map(Body::from));
        match tokio::time::timeout(limits.total, answered).await {
            Ok(Ok(response)) => whole(response, limits).await,
            Err(_) => Err(TransportError::new(Phase::Written, "no answer came in time")),
        }
    }
}

async fn whole(response: Response<Body>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
    let status = response.status();
    let torn = |message| Err(TransportError::new(Phase::StatusRead(status), message));
    match response.extensions().get() {
        None => {}
        Some(Broken::Refused) => {
            return Err(TransportError::new(Phase::NotWritten, "the connection was refused"));
        }
        Some(Broken::Reset) => {
            return Err(TransportError::new(
                Phase::Written,
                "the connection was reset before an answer came",
            ));
        }
        Some(Broken::Truncated) => return torn("the answer's body broke off"),
    }
    let (parts, body) = response.into_parts();
    match body.collect().await.map(|body| body.to_bytes()) {
        Ok(body) if body.len() <= limits.max_body_bytes => Ok(Response::from_parts(parts, body)),
        Ok(_) => torn("the answer's body is larger than allowed"),
        Err(_) => torn("the answer's body broke off"),
    }
}
