//! Consents, against a token endpoint that follows a script.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::{
    HttpTransport, Timestamp, TokenStore,
    auth::{Authenticator, Grant, OAuth2, OAuth2Config},
    clock::{ManualClock, TokioClock},
    http::Limits,
    rate::MemoryRateLimiter,
    token::{MemoryTokenStore, Stored, Swap, TokenKey},
};

/// 2026-10-14T17:46:40Z.
const EPOCH: Timestamp = Timestamp::from_secs(1_792_000_000);
const GRANTED: &str = r#"{"access_token":"planted-a1","refresh_token":"planted-r1","expires_in":3600,
    "scope":"invoices.READ,bills.READ","api_domain":"https://www.api.example.eu","user":"planted-name"}"#;

/// A token endpoint and everything that was sent to it.
#[derive(Debug, Default)]
struct Vendor {
    script: Mutex<VecDeque<Result<&'static str, Phase>>>,
    requests: Mutex<Vec<(String, HashMap<String, String>)>>,
}

impl Vendor {
    fn answering(script: impl IntoIterator<Item = Result<&'static str, Phase>>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() })
    }

    fn requests(&self) -> Vec<(String, HashMap<String, String>)> {
        self.requests.lock().unwrap().clone()
    }
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
        self.requests.lock().unwrap().push((request.uri().to_string(), form));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let reply = self.script.lock().unwrap().pop_front().expect("nothing else is asked");
        reply
            .map(|body| Response::new(Bytes::from_static(body.as_bytes())))
            .map_err(|phase| TransportError::new(phase, "the connection broke"))
    }
}

fn context(vendor: &Arc<Vendor>, store: &Arc<impl TokenStore>) -> Context {
    let (transport, store) = (Arc::clone(vendor), Arc::clone(store));
    let clock = Arc::new(TokioClock::starting_at(EPOCH));
    Context::new(transport, store, Arc::new(MemoryRateLimiter::new()), clock)
}

fn oauth() -> OAuth2Config {
    let token_url = "https://accounts.example.com/token".parse().unwrap();
    let grant = Grant::RefreshToken { initial: None };
    OAuth2Config::new("test", token_url, "client-1", Secret::from("planted-secret"), grant)
}

/// One token endpoint in each region, of which `eu` and `us` are known.
fn region(callback: &Callback) -> Result<Option<Url>> {
    match callback.parameter("server") {
        None => Ok(None),
        Some("https://accounts.example.eu") => Ok(Url::parse("https://accounts.example.eu/token").ok()),
        Some(_) => Err(Error::new(ErrorKind::ConfigInvalid, "the server is not on the list")),
    }
}

fn config() -> AuthorizerConfig {
    let page = "https://accounts.example.com/auth?tenant=7".parse().unwrap();
    let back = "https://erp.example.com/connected".parse().unwrap();
    let mut config = AuthorizerConfig::new(oauth(), page, back);
    config.scopes = ["invoices.READ", "bills.READ", "bills.CREATE"].map(String::from).into();
    config.token_url = region;
    config.fields = &["api_domain"];
    config
}

fn authorizer() -> Authorizer {
    Authorizer::new(config()).unwrap()
}

fn books() -> ConnectionId {
    ConnectionId::from("books")
}

fn parameters(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The query with which the vendor sends the browser back.
fn callback(url: &Url) -> String {
    format!("code=planted-code&state={}", parameters(url)["state"])
}

/// Whatever is shown of it, nothing that was planted.
fn assert_clean(shown: &str) {
    assert!(!shown.contains("planted"), "{shown}");
}

fn refused(error: &Error, kind: ErrorKind) {
    assert_eq!((error.kind(), error.retry()), (kind, Retry::Never), "{error}");
    assert_clean(&format!("{error} {error:?}"));
}

#[tokio::test(start_paused = true)]
async fn a_consent_becomes_a_connection() {
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let url = authorizer().begin(&ctx, &books(), Some("session-1")).await.unwrap();
    let page = parameters(&url);
    assert!(url.as_str().starts_with("https://accounts.example.com/auth?tenant=7&"), "{url}");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", "https://erp.example.com/connected"),
        ("scope", "invoices.READ bills.READ bills.CREATE"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(page[name], value);
    }
    assert!(page["state"].len() > 60 && !page.contains_key("client_secret"));

    // Another process, later.
    after(599).await;
    let query = format!("?{}&server=https://accounts.example.eu&location=eu", callback(&url));
    let connected = authorizer().finish(&ctx, &query, Some("session-1")).await.unwrap();
    assert_eq!(connected.connection, books());
    assert_eq!(connected.token_url.as_str(), "https://accounts.example.eu/token");
    assert_eq!(connected.granted_scopes.as_ref().map(Vec::len), Some(2));
    assert_eq!(connected.missing_scopes, ["bills.CREATE"]);
    assert_eq!(connected.field("api_domain").unwrap(), "https://www.api.example.eu");
    assert_eq!(connected.parameter("location"), Some("eu"));
    for name in ["user", "access_token"] {
        assert!(connected.field(name).is_none());
    }
    assert!(connected.parameter("code").is_none() && connected.parameter("state").is_none());
    assert_clean(&format!("{connected:?}"));

    let (asked, form) = vendor.requests().pop().unwrap();
    assert_eq!(asked, "https://accounts.example.eu/token");
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "planted-code"),
        ("redirect_uri", "https://erp.example.com/connected"),
        ("client_id", "client-1"),
        ("client_secret", "planted-secret"),
    ] {
        assert_eq!(form[name], value);
    }
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(challenge.as_str(), page["code_challenge"]);
    assert_eq!(header(&ctx).await, "Bearer planted-a1");
    assert!(store.load(&TokenKey::consents(&books())).await.unwrap().is_none(), "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_s_own_way_of_asking_is_kept() {
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let mut config = config();
    (config.scope_separator, config.pkce) = (",", false);
    config.parameters = vec![("access_type", "offline".into()), ("prompt", "consent".into())];
    config.oauth.form = vec![("redirect_uri", config.redirect_uri.to_string())];
    let authorizer = Authorizer::new(config).unwrap();
    let url = authorizer.begin(&ctx, &books(), None).await.unwrap();
    let page = parameters(&url);
    assert_eq!(page["scope"], "invoices.READ,bills.READ,bills.CREATE");
    assert_eq!((page["access_type"].as_str(), page["prompt"].as_str()), ("offline", "consent"));
    assert!(!page.contains_key("code_challenge"));
    authorizer.finish(&ctx, &callback(&url), None).await.unwrap();
    let (asked, form) = vendor.requests().pop().unwrap();
    assert_eq!(asked, "https://accounts.example.com/token");
    assert!(!form.contains_key("code_verifier") && form.contains_key("redirect_uri"));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_forged_foreign_or_old_leads_nowhere() {
    let vendor = Vendor::answering([]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let authorizer = authorizer();
    let url = authorizer.begin(&ctx, &books(), Some("session-1")).await.unwrap();
    authorizer.begin(&ctx, &"others".into(), Some("session-1")).await.unwrap();
    let state = parameters(&url)["state"].clone();
    let (proof, _) = state.split_once('.').unwrap();
    let forged: String = proof.chars().rev().collect();
    for (state, session) in [
        ("x", Some("session-1")),
        (".books", Some("session-1")),
        (proof, Some("session-1")),
        (&format!("{forged}.books"), Some("session-1")),
        (&format!("{proof}.others"), Some("session-1")),
        (&format!("{proof}.nobody"), Some("session-1")),
        (&format!("{proof}.BOOKS#consents"), Some("session-1")),
        (&state, Some("session-2")),
        (&state, None),
    ] {
        let query = format!("code=planted-code&state={}", state.replace('#', "%23"));
        let error = authorizer.finish(&ctx, &query, session).await.unwrap_err();
        refused(&error, ErrorKind::InvalidRequest);
        assert!(error.message().contains("unknown"), "{error}");
    }
    after(600).await;
    let late = authorizer.finish(&ctx, &callback(&url), Some("session-1")).await.unwrap_err();
    refused(&late, ErrorKind::InvalidRequest);
    assert!(late.message().contains("ten minutes"), "{late}");
    assert!(vendor.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_state_works_once_however_many_hosts_see_it() {
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let (one, other) = (authorizer(), authorizer());
    let url = one.begin(&ctx, &books(), None).await.unwrap();
    let query = callback(&url);
    let both = tokio::join!(one.finish(&ctx, &query, None), other.finish(&ctx, &query, None));
    let results = [both.0, both.1];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    refused(&one.finish(&ctx, &query, None).await.unwrap_err(), ErrorKind::InvalidRequest);
    assert_eq!(vendor.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_consents_may_wait_but_not_without_end() {
    let vendor = Vendor::answering([Ok(GRANTED), Ok(GRANTED)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let mut urls = Vec::new();
    for _ in 0..9 {
        urls.push(authorizer().begin(&ctx, &books(), None).await.unwrap());
    }
    let first = authorizer().finish(&ctx, &callback(&urls[0]), None).await.unwrap_err();
    refused(&first, ErrorKind::InvalidRequest);
    for n in [1, 8] {
        authorizer().finish(&ctx, &callback(&urls[n]), None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_consent_and_a_callback_without_a_code_say_so() {
    let vendor = Vendor::answering([]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    for (query, kind, code) in [
        ("error=access_denied", ErrorKind::PermissionDenied, Some("access_denied")),
        ("error=access_denied&STATE", ErrorKind::PermissionDenied, Some("access_denied")),
        ("error=access_denied&state=x.books", ErrorKind::InvalidRequest, None),
        ("error=temporarily_unavailable", ErrorKind::Unavailable, Some("temporarily_unavailable")),
        ("error=invalid_scope&STATE", ErrorKind::ConfigInvalid, Some("invalid_scope")),
        ("error=%3Cplanted%3E", ErrorKind::ConfigInvalid, Some("unreadable_code")),
        ("STATE", ErrorKind::InvalidRequest, None),
        ("code=&STATE", ErrorKind::InvalidRequest, None),
        ("code=planted-1&code=planted-2&STATE", ErrorKind::InvalidRequest, None),
        ("code=planted-code", ErrorKind::InvalidRequest, None),
        ("", ErrorKind::InvalidRequest, None),
    ] {
        let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
        let query = query.replace("STATE", &format!("state={}", parameters(&url)["state"]));
        let error = authorizer().finish(&ctx, &query, None).await.unwrap_err();
        refused(&error, kind);
        assert_eq!(error.context("code"), code, "{query}");
    }
    let long = "x".repeat(20_000);
    refused(&authorizer().finish(&ctx, &long, None).await.unwrap_err(), ErrorKind::InvalidRequest);
    assert!(vendor.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_secret_goes_to_no_server_that_is_not_on_the_list() {
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
    let query = format!("{}&server=https://evil.example", callback(&url));
    refused(&authorizer().finish(&ctx, &query, None).await.unwrap_err(), ErrorKind::ConfigInvalid);
    let mut config = config();
    config.token_url = |_| Ok(Url::parse("http://accounts.example.com/token").ok());
    let insecure = Authorizer::new(config).unwrap();
    let error = insecure.finish(&ctx, &callback(&url), None).await.unwrap_err();
    refused(&error, ErrorKind::ConfigInvalid);
    assert!(vendor.requests().is_empty());
    // The person can go on: the state was not spent on it.
    authorizer().finish(&ctx, &callback(&url), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_fails_leaves_the_tokens_that_are_there_alone() {
    const NO_REFRESH: &str = r#"{"access_token":"planted-a9","expires_in":3600}"#;
    for (reply, kind, effect) in [
        (Ok(NO_REFRESH), ErrorKind::Unauthenticated, Effect::None),
        (Ok(r#"{"error":"invalid_grant"}"#), ErrorKind::Unauthenticated, Effect::None),
        (Ok(r#"{"error":"invalid_client"}"#), ErrorKind::ConfigInvalid, Effect::None),
        (Ok(r#"{"error":"slow_down"}"#), ErrorKind::RateLimited, Effect::None),
        (Ok("<html>planted</html>"), ErrorKind::InvalidResponse, Effect::Unknown),
        (Err(Phase::NotWritten), ErrorKind::Unavailable, Effect::None),
        (Err(Phase::StatusRead(http::StatusCode::BAD_GATEWAY)), ErrorKind::Unavailable, Effect::None),
        (Err(Phase::Written), ErrorKind::Unavailable, Effect::Unknown),
    ] {
        let vendor = Vendor::answering([Ok(GRANTED), reply]);
        let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
        for expected in [None, Some((kind, effect))] {
            let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
            let finished = authorizer().finish(&ctx, &callback(&url), None).await;
            let failed = finished.map_err(|error| {
                refused(&error, kind);
                (error.kind(), error.effect())
            });
            assert_eq!(failed.err(), expected);
        }
        assert_eq!(header(&ctx).await, "Bearer planted-a1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_hangs_up_stops_nothing() {
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
    let (authorizer, query) = (authorizer(), callback(&url));
    let finish = authorizer.finish(&ctx, &query, None);
    assert!(tokio::time::timeout(Duration::from_millis(100), finish).await.is_err());
    after(1).await;
    assert_eq!(header(&ctx).await, "Bearer planted-a1");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_stored_connects_although_its_host_died() {
    // 1: begin, 2: the state is spent, 3: the answer is stored, 4: the answer is classified.
    let store = Arc::new(Dying { inner: MemoryTokenStore::new(), left: AtomicU32::new(3) });
    let vendor = Vendor::answering([Ok(GRANTED)]);
    let ctx = context(&vendor, &store);
    let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
    authorizer().finish(&ctx, &callback(&url), None).await.unwrap();
    let stored = store.load(&TokenKey::new(&books())).await.unwrap().unwrap();
    assert!(!crate::token::Blob::decode(&stored.bytes).unwrap().received.is_empty(), "it waits");
    store.left.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(header(&ctx).await, "Bearer planted-a1");
    assert_eq!(vendor.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_store_takes_is_reported_and_the_person_begins_anew() {
    let store = Arc::new(Dying { inner: MemoryTokenStore::new(), left: AtomicU32::new(2) });
    let vendor = Vendor::answering([Ok(GRANTED), Ok(GRANTED)]);
    let ctx = context(&vendor, &store);
    let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
    let error = authorizer().finish(&ctx, &callback(&url), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    store.left.store(u32::MAX, Ordering::SeqCst);
    let url = authorizer().begin(&ctx, &books(), None).await.unwrap();
    authorizer().finish(&ctx, &callback(&url), None).await.unwrap();
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let http: Url = "http://erp.example.com/connected".parse().unwrap();
    let mut broken = [config(), config(), config(), config()];
    broken[0].authorize_url = http.clone();
    broken[1].redirect_uri = http;
    broken[2].oauth.grant = Grant::ClientCredentials { scopes: Vec::new() };
    broken[3].oauth.client_id = String::new();
    for config in broken {
        assert_eq!(Authorizer::new(config).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
    let (transport, store) = (Vendor::answering([]), Arc::new(MemoryTokenStore::new()));
    let clock = Arc::new(ManualClock::at(EPOCH));
    let ctx = Context::new(transport, store, Arc::new(MemoryRateLimiter::new()), clock);
    let error = authorizer().begin(&ctx, &"No Name".into(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

/// An app whose tokens have no end, and a person whose own token comes along.
const UNENDING: &str = r#"{"ok":true,"access_token":"planted-a1","token_type":"bot","scope":"bills.READ",
    "team":{"id":"T1","name":"planted-name"},"authed_user":{"id":"U1","access_token":"planted-user"}}"#;

#[tokio::test(start_paused = true)]
async fn a_token_without_an_end_connects_where_the_vendor_has_such_and_lasts_until_it_is_refused() {
    let vendor = Vendor::answering([Ok(UNENDING), Ok(UNENDING), Ok(UNENDING)]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let finish = async |authorizer: &Authorizer| {
        let url = authorizer.begin(&ctx, &books(), None).await.unwrap();
        authorizer.finish(&ctx, &callback(&url), None).await
    };
    refused(&finish(&authorizer()).await.unwrap_err(), ErrorKind::Unauthenticated);

    let mut config = config();
    config.oauth.unending = true;
    config.fields = &["team.id", "authed_user.id", "authed_user.scope", "authed_user.id.x"];
    let source = OAuth2::new(TokenKey::new(&books()), config.oauth.clone()).unwrap();
    let authorizer = Authorizer::new(config).unwrap();
    let connected = finish(&authorizer).await.unwrap();
    let field = |name| connected.field(name).and_then(Value::as_str);
    assert_eq!((field("team.id"), field("authed_user.id")), (Some("T1"), Some("U1")));
    assert_eq!((field("authed_user.scope"), field("authed_user.id.x"), field("team")), (None, None, None));
    assert_clean(&format!("{connected:?}"));

    after(365 * 24 * 3600).await;
    let authorization = source.authorize(&ctx).await.unwrap();
    assert_eq!(authorization.header().to_str().unwrap(), "Bearer planted-a1");
    let status = source.status(&ctx).await.unwrap().unwrap();
    assert!(!status.reconnect_required && status.expires_at.is_none());

    let dead = source.rejected(&ctx, &authorization).await.unwrap_err();
    for error in [dead, source.authorize(&ctx).await.unwrap_err()] {
        refused(&error, ErrorKind::Unauthenticated);
        assert_eq!((error.scope(), error.context("code")), (&Scope::Connection, Some("token_refused")));
    }
    assert!(source.status(&ctx).await.unwrap().unwrap().reconnect_required);

    finish(&authorizer).await.unwrap();
    // A call that was under way with the token before is refused late.
    source.rejected(&ctx, &authorization).await.unwrap();
    assert!(source.authorize(&ctx).await.is_ok());
    assert_eq!(vendor.requests().len(), 3, "nothing is renewed");
}

/// What the connection's source sends.
async fn header(ctx: &Context) -> String {
    let source = OAuth2::new(TokenKey::new(&books()), oauth()).unwrap();
    source.authorize(ctx).await.unwrap().header().to_str().unwrap().to_owned()
}

async fn after(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

/// A store that takes so many writes and then none.
#[derive(Debug)]
struct Dying {
    inner: MemoryTokenStore,
    left: AtomicU32,
}

#[async_trait]
impl TokenStore for Dying {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        self.inner.load(key).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let take = |left: u32| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            return Err(Error::new(ErrorKind::Unavailable, "the disk is full"));
        }
        self.inner.swap(key, expected, value).await
    }
}
