//! What the token endpoint says, and what a person reads of it.

use std::sync::Arc;

use ml_connector_core::{
    Connector, Context, ErrorKind, HttpTransport, ManualClock, Retry,
    audit::MemoryLog,
    error_context,
    http::{Limits, TransportError},
    rate::MemoryRateLimiter,
    token::{MemoryTokenStore, TokenHealth},
};

use crate::support::{NOW, builder};

/// Answers every token request with this body and HTTP 200.
#[derive(Debug, Clone, Copy)]
struct Says(&'static str);

#[async_trait::async_trait]
impl HttpTransport for Says {
    async fn send(
        &self,
        request: http::Request<bytes::Bytes>,
        _: Limits,
    ) -> Result<http::Response<bytes::Bytes>, TransportError> {
        assert_eq!(request.uri().path(), "/oauth/v2/token", "without a token the API is left alone");
        Ok(http::Response::new(bytes::Bytes::from_static(self.0.as_bytes())))
    }
}

/// What a call says, and what the health of the connection shows after it.
async fn refused(body: &'static str) -> (ml_connector_core::Error, TokenHealth) {
    let tokens = Arc::new(MemoryTokenStore::new());
    let source = builder().build().unwrap();
    let ctx = Context::new(
        Arc::new(Says(body)),
        Arc::clone(&tokens) as Arc<dyn ml_connector_core::TokenStore>,
        Arc::new(MemoryRateLimiter::new()),
        Arc::new(ManualClock::at(NOW)),
    );
    let error = source.organizations(&ctx).await.unwrap_err();
    let connector = Connector::builder()
        .audit_log(MemoryLog::new())
        .token_store(tokens)
        .clock(ManualClock::at(NOW))
        .transport(Says(body))
        .source(source)
        .build()
        .unwrap();
    let mut health = connector.health().await.unwrap();
    (error, health.connections.remove(&"books".into()).unwrap().token.unwrap())
}

#[tokio::test]
async fn a_refusal_names_its_cause_in_the_error_and_in_the_health() {
    for (body, code, kind, failing, causes) in [
        (
            r#"{"error":"invalid_code"}"#,
            "invalid_code",
            ErrorKind::Unauthenticated,
            "refused",
            &["revoked", "data center", "connect Zoho Books again"][..],
        ),
        (
            r#"{"error":"invalid_client"}"#,
            "invalid_client",
            ErrorKind::ConfigInvalid,
            "misconfigured",
            &["client id", "data_center", "multi-DC"][..],
        ),
        (
            r#"{"error":"invalid_client_secret"}"#,
            "invalid_client_secret",
            ErrorKind::ConfigInvalid,
            "misconfigured",
            &["client secret is wrong", "data center"][..],
        ),
    ] {
        let (error, health) = refused(body).await;
        assert_eq!((error.kind(), error.context(error_context::CODE)), (kind, Some(code)), "{error}");
        assert_eq!((health.failing, health.code.as_deref()), (Some(failing), Some(code)));
        for cause in causes {
            assert!(error.to_string().contains(cause), "{cause}: {error}");
            assert!(
                health.message.as_ref().is_some_and(|message| message.contains(cause)),
                "{cause}: {health:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_an_outage() {
    let (error, health) = refused(include_str!("../fixtures/token-error-general.http200.json")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(error.context(error_context::CODE), Some("general_error"));
    assert!(matches!(error.retry(), Retry::At(at) if at > NOW), "{error}");
    assert_eq!((health.failing, health.code.as_deref()), (Some("unavailable"), Some("general_error")));
}
