//! Connecting through the browser, with answers as Zoho gives them.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, ErrorKind, HttpTransport, ManualClock, Secret, Timestamp,
    auth::{Authorizer, Connected},
    http::{Limits, TransportError},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_zoho::{DataCenter, ZohoBooks};
use tokio::sync::Mutex;

const GRANTED: &str = include_str!("../fixtures/token-ok-authorization-code.json");
/// What comes without `prompt=consent` when the person has consented before.
const NO_REFRESH_TOKEN: &str =
    r#"{"access_token":"1000.a.b","api_domain":"https://www.zohoapis.com","expires_in":3600}"#;

/// Gives one answer, wherever it is asked, and remembers where that was.
#[derive(Debug)]
struct Accounts {
    answer: String,
    asked: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl HttpTransport for Accounts {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        self.asked.lock().await.push(request.uri().to_string());
        Ok(Response::new(Bytes::from(self.answer.clone())))
    }
}

/// Begins a consent in the US and comes back with these parameters. Returns where tokens were asked for, too.
async fn connect(answer: &str, callback: &str) -> (ml_connector_core::Result<Connected>, Vec<String>) {
    let accounts = Arc::new(Accounts { answer: answer.to_owned(), asked: Mutex::default() });
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_792_000_000)));
    let (transport, tokens) = (Arc::clone(&accounts), Arc::new(MemoryTokenStore::new()));
    let ctx = Context::new(transport, tokens, Arc::new(MemoryRateLimiter::new()), clock);
    let back = "https://erp.example.com/connected".parse().unwrap();
    let config =
        ZohoBooks::authorizer_config("1000.APP", Secret::from("secret"), back, DataCenter::Us).unwrap();
    let authorizer = Authorizer::new(config).unwrap();
    let url = authorizer.begin(&ctx, &"books".into(), None).await.unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    assert_eq!((parameter("access_type"), parameter("prompt")), ("offline".into(), "consent".into()));
    assert!(parameter("scope").starts_with("ZohoBooks.invoices.READ,ZohoBooks.bills.READ,"));
    let query = format!("state={}&{callback}", parameter("state"));
    let connected = authorizer.finish(&ctx, &query, None).await;
    let asked = accounts.asked.lock().await.clone();
    (connected, asked)
}

#[tokio::test]
async fn a_data_center_decides_where_the_secret_goes() {
    for dc in DataCenter::ALL {
        let answer = GRANTED.replace("https://www.zohoapis.com", dc.api_url());
        let by_server = format!("code=1000.c.d&location=x&accounts-server={}", dc.accounts_url());
        let by_location = format!("code=1000.c.d&location={}", dc.location());
        for callback in [by_server, by_location] {
            let (connected, asked) = connect(&answer, &callback).await;
            assert_eq!(asked, [format!("{}/oauth/v2/token", dc.accounts_url())]);
            assert_eq!(DataCenter::of_connected(&connected.unwrap()).unwrap(), dc);
        }
    }
    for foreign in [
        "accounts-server=https%3A%2F%2Faccounts.zoho.com.evil.example&location=us",
        "accounts-server=http%3A%2F%2Faccounts.zoho.com",
        "accounts-server=https%3A%2F%2Faccounts.zoho.com%40evil.example",
        "location=elsewhere",
    ] {
        let (connected, asked) = connect(GRANTED, &format!("code=1000.c.d&{foreign}")).await;
        assert_eq!(connected.unwrap_err().kind(), ErrorKind::ConfigInvalid, "{foreign}");
        assert!(asked.is_empty(), "{foreign}");
    }
}

#[tokio::test]
async fn a_consent_without_a_refresh_token_is_no_connection() {
    let (connected, _) = connect(NO_REFRESH_TOKEN, "code=1000.c.d").await;
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("prompt=consent"), "{error}");
}

#[tokio::test]
async fn an_api_domain_that_does_not_fit_the_accounts_server_is_refused() {
    for domain in ["https://www.zohoapis.eu", "https://evil.example"] {
        let answer = GRANTED.replace("https://www.zohoapis.com", domain);
        let (connected, _) = connect(&answer, "code=1000.c.d&location=us").await;
        let error = DataCenter::of_connected(&connected.unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{domain}");
    }
}

#[tokio::test]
async fn a_refused_consent_and_a_spent_code_are_told_apart() {
    let (denied, asked) = connect(GRANTED, "error=access_denied").await;
    assert_eq!((denied.unwrap_err().kind(), asked.len()), (ErrorKind::PermissionDenied, 0));
    let (spent, asked) = connect(r#"{"error":"invalid_code"}"#, "code=1000.c.d").await;
    assert_eq!((spent.unwrap_err().kind(), asked.len()), (ErrorKind::Unauthenticated, 1));
}

#[tokio::test]
async fn consents_are_counted_per_app_and_data_center_because_the_21st_ends_the_first() {
    let (connected, _) = connect(GRANTED, "code=1000.c.d&location=us").await;
    let connected = connected.unwrap();
    let accounts = Accounts { answer: String::new(), asked: Mutex::default() };
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_792_000_000)));
    let tokens = Arc::new(MemoryTokenStore::new());
    let ctx = Context::new(Arc::new(accounts), tokens, Arc::new(MemoryRateLimiter::new()), clock);
    for expected in 1..=21 {
        assert_eq!(ZohoBooks::count_consent(&ctx, "1000.APP", &connected).await.unwrap(), expected);
    }
    assert_eq!(ZohoBooks::count_consent(&ctx, "1000.OTHER", &connected).await.unwrap(), 1);
}
