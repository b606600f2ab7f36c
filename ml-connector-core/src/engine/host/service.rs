//! The connector as a tower service.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use crate::Connector;

/// Takes webhooks in any tower or hyper server, such as `axum::Router::nest_service("/hooks", …)`. The mount prefix has
/// to be stripped from the path, as `nest_service` does. A body has to arrive within
/// [`Settings::webhook_body`](crate::engine::Settings::webhook_body); otherwise the answer is 408. See
/// [`Connector::receive`] for the answers.
#[derive(Debug, Clone)]
pub struct WebhookService {
    connector: Connector,
}

impl Connector {
    /// The connector as a tower service.
    #[must_use]
    pub fn service(&self) -> WebhookService {
        WebhookService { connector: self.clone() }
    }
}

impl<B> Service<Request<B>> for WebhookService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let connector = self.connector.clone();
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            let body = Limited::new(body, connector.max_webhook_bytes()).collect();
            let reply = match tokio::time::timeout(connector.shared.settings.webhook_body, body).await {
                Ok(Ok(body)) => connector.answer(&mut Request::from_parts(parts, body.to_bytes())).await,
                Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                    connector.answer_oversize(&mut Request::from_parts(parts, Bytes::new())).await
                }
                // Too slow, or the sender went away and nobody reads the answer.
                Ok(Err(_)) | Err(_) => connector.answer_slow(&Request::from_parts(parts, ())),
            };
            Ok(reply.map(Full::new))
        })
    }
}
