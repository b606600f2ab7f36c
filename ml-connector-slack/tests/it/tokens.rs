//! An app that is installed through the browser, with tokens that rotate and with tokens that do not.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, header};
use ml_connector_core::{
    Context, ErrorKind, HttpTransport, Result, Scope, Secret, Sink, TokioClock,
    auth::{Authorizer, Connected},
    http::{Limits, Phase, TransportError},
    model::Receipt,
    token::MemoryTokenStore,
};
use ml_connector_slack::{BASE_URL, Builder, Config, Slack, channel};

use crate::support::{Ledger, NOW, NoNotes, delivery, fixture, secs};

const POSTED: &str = "chat.postMessage.ok.json";
const FIRST: &str = "Bearer xoxe.xoxb-1-EXAMPLE-not-a-real-token";
const SECOND: &str = "Bearer xoxe.xoxb-1-EXAMPLE-second-token";
const HOUR: u64 = 3600;

/// A Slack whose token endpoint follows a script, and which takes posts with one token.
#[derive(Debug, Default)]
struct Vendor {
    answers: Mutex<VecDeque<Result<String, Phase>>>,
    exchanges: Mutex<Vec<(String, HashMap<String, String>)>>,
    posts: Mutex<Vec<String>>,
    /// What posts with another token are told.
    accepts: Mutex<(&'static str, &'static str)>,
}

impl Vendor {
    fn answering(fixtures: impl IntoIterator<Item = &'static str>) -> (Arc<Self>, Context) {
        let vendor = Arc::new(Self::default());
        vendor.then(fixtures);
        let (clock, tokens) = (TokioClock::starting_at(NOW), MemoryTokenStore::new());
        let ctx = Context::new(
            Arc::clone(&vendor) as _,
            Arc::new(tokens),
            Arc::new(Ledger::default()),
            Arc::new(clock),
        );
        (vendor, ctx)
    }

    fn then(&self, fixtures: impl IntoIterator<Item = &'static str>) {
        let answers = fixtures.into_iter().map(|name| match name {
            "lost" => Err(Phase::Written),
            name => Ok(fixture(name)),
        });
        self.answers.lock().unwrap().extend(answers);
    }

    fn accept(&self, header: &'static str, otherwise: &'static str) {
        *self.accepts.lock().unwrap() = (header, otherwise);
    }

    /// The forms that the token endpoint was sent, with the `Authorization` header.
    fn exchanges(&self) -> Vec<(String, HashMap<String, String>)> {
        self.exchanges.lock().unwrap().clone()
    }

    /// How often each refresh token was sent.
    fn uses(&self, refresh_token: &str) -> usize {
        let sent = |form: &HashMap<_, _>| form.get("refresh_token").is_some_and(|sent| sent == refresh_token);
        self.exchanges().iter().filter(|(_, form)| sent(form)).count()
    }

    fn posts(&self) -> usize {
        self.posts.lock().unwrap().len()
    }
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> std::result::Result<Response<Bytes>, TransportError> {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
        if request.uri().path() == "/api/oauth.v2.access" {
            let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
            self.exchanges.lock().unwrap().push((authorization, form));
            let answer = self.answers.lock().unwrap().pop_front().expect("nothing else is asked");
            return answer
                .map(|body| Response::new(body.into()))
                .map_err(|phase| TransportError::new(phase, "the connection broke"));
        }
        assert_eq!(request.uri(), "https://slack.com/api/chat.postMessage");
        let (accepted, otherwise) = *self.accepts.lock().unwrap();
        let body = if authorization == accepted { fixture(POSTED) } else { fixture(otherwise) };
        self.posts.lock().unwrap().push(authorization);
        Ok(Response::new(body.into()))
    }
}

fn client() -> Builder {
    Slack::builder("slack").client("111.222", "planted-secret")
}

async fn post(slack: &Slack, ctx: &Context) -> Result<Receipt> {
    let delivery = delivery(channel("C07ACCTNG1"));
    slack.deliver(ctx, &[delivery], &NoNotes).await.remove(0)
}

/// A person installs the app.
async fn install(ctx: &Context) -> Result<Connected> {
    let back = "https://erp.example.com/connected".parse().unwrap();
    let config = Slack::authorizer_config("111.222", "planted-secret".into(), back, BASE_URL).unwrap();
    let authorizer = Authorizer::new(config).unwrap();
    let url = authorizer.begin(ctx, &"slack".into(), None).await.unwrap();
    let page: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert!(url.as_str().starts_with("https://slack.com/oauth/v2/authorize?"), "{url}");
    assert!(page["scope"].starts_with("chat:write,channels:read,"), "{url}");
    assert!(!page.contains_key("code_challenge"));
    let query = format!("code=planted-code&state={}", page["state"]);
    authorizer.finish(ctx, &query, None).await
}

fn assert_clean(shown: &str) {
    assert!(!["planted", "EXAMPLE"].iter().any(|secret| shown.contains(secret)), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_rotates_its_tokens_posts_with_the_newest() {
    let (vendor, ctx) = Vendor::answering(["oauth.v2.access.ok.rotation.json"]);
    vendor.accept(FIRST, "chat.postMessage.error.token_expired.json");
    let connected = install(&ctx).await.unwrap();
    let field = |name| connected.field(name).and_then(|value| value.as_str());
    assert_eq!((field("team.id"), field("authed_user.id")), (Some("T07LEDGER1"), Some("U07CLERK01")));
    assert_eq!(connected.missing_scopes, ["channels:history", "groups:history", "im:history"]);
    assert_clean(&format!("{connected:?}"));

    let slack = client().build().unwrap();
    assert_clean(&format!("{slack:?}"));
    post(&slack, &ctx).await.unwrap();
    tokio::time::sleep(secs(10 * HOUR)).await;
    // With two hours left it is renewed while it is used.
    vendor.then(["oauth.v2.access.ok.refresh.json"]);
    post(&slack, &ctx).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    vendor.accept(SECOND, "chat.postMessage.error.token_expired.json");
    // A restart reads what is stored.
    post(&client().build().unwrap(), &ctx).await.unwrap();
    assert_eq!(*vendor.posts.lock().unwrap(), [FIRST, FIRST, SECOND]);

    let [(app, code), (again, refresh)] = &vendor.exchanges()[..] else { panic!() };
    // 111.222:planted-secret
    assert_eq!((app.as_str(), again), ("Basic MTExLjIyMjpwbGFudGVkLXNlY3JldA==", app));
    let sent = |form: &HashMap<String, String>, names: [&str; 3]| names.map(|name| form.get(name).cloned());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        sent(code, ["grant_type", "code", "redirect_uri"]),
        [some("authorization_code"), some("planted-code"), some("https://erp.example.com/connected")]
    );
    let first = "xoxe-1-EXAMPLE-not-a-real-refresh-a";
    assert_eq!(
        sent(refresh, ["grant_type", "refresh_token", "client_secret"]),
        [some("refresh_token"), some(first), None]
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_slack_calls_expired_is_renewed_and_the_post_repeated_once() {
    let (vendor, ctx) = Vendor::answering(["oauth.v2.access.ok.rotation.json"]);
    install(&ctx).await.unwrap();
    vendor.then(["oauth.v2.access.ok.refresh.json"]);
    vendor.accept(SECOND, "chat.postMessage.error.token_expired.json");
    post(&client().build().unwrap(), &ctx).await.unwrap();
    assert_eq!(*vendor.posts.lock().unwrap(), [FIRST, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_once_more_within_the_grace_period_and_then_somebody_has_to_act() {
    let (vendor, ctx) = Vendor::answering(["lost", "oauth.v2.access.ok.refresh.json"]);
    vendor.accept(SECOND, "chat.postMessage.error.invalid_auth.json");
    let slack = client().refresh_token("xoxe-1-configured").build().unwrap();
    post(&slack, &ctx).await.unwrap();
    assert_eq!(vendor.uses("xoxe-1-configured"), 2);

    vendor.then(["lost", "oauth.v2.access.error.invalid_refresh_token.json"]);
    tokio::time::sleep(secs(13 * HOUR)).await;
    for _ in 0..10 {
        let error = post(&slack, &ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
        assert_eq!(error.context("code"), Some("invalid_refresh_token"));
        tokio::time::sleep(secs(HOUR)).await;
    }
    assert_eq!((vendor.uses("xoxe-1-EXAMPLE-not-a-real-refresh-b"), vendor.posts()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_does_not_rotate_is_connected_until_it_is_removed() {
    const TOKEN: &str = "Bearer xoxb-EXAMPLE-not-a-real-token-000000";
    const REMOVED: &str = "chat.postMessage.error.account_inactive.json";
    for granted in ["oauth.v2.access.ok.json", "oauth.v2.access.ok.bot_and_user.json"] {
        let (vendor, ctx) = Vendor::answering([granted]);
        vendor.accept(TOKEN, REMOVED);
        let slack = client().build().unwrap();
        assert_eq!(post(&slack, &ctx).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
        let connected = install(&ctx).await.unwrap();
        assert_clean(&format!("{connected:?}"));
        assert!(connected.field("authed_user").is_none(), "it holds the person's own token");
        post(&slack, &ctx).await.unwrap();
        tokio::time::sleep(secs(400 * 24 * HOUR)).await;
        post(&slack, &ctx).await.unwrap();

        vendor.accept("", REMOVED);
        let error = post(&slack, &ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
        assert_eq!(error.context("code"), Some("account_inactive"), "Slack's own word for it");
        let posts = vendor.posts();
        let error = post(&slack, &ctx).await.unwrap_err();
        assert!(error.message().contains("connected anew"), "{error}");
        assert_eq!((vendor.posts(), vendor.exchanges().len()), (posts, 1), "Slack is left alone");

        vendor.then([granted]);
        vendor.accept(TOKEN, REMOVED);
        install(&ctx).await.unwrap();
        post(&slack, &ctx).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_installation_says_who_has_to_act_and_leaves_the_old_one_alone() {
    let (vendor, ctx) = Vendor::answering(["oauth.v2.access.ok.rotation.json"]);
    vendor.accept(FIRST, "chat.postMessage.error.invalid_auth.json");
    install(&ctx).await.unwrap();
    for (name, kind) in [
        ("invalid_code", ErrorKind::Unauthenticated),
        ("bad_client_secret", ErrorKind::ConfigInvalid),
        ("invalid_client_id", ErrorKind::ConfigInvalid),
        ("bad_redirect_uri", ErrorKind::ConfigInvalid),
    ] {
        let answer = fixture(&format!("oauth.v2.access.error.{name}.json"));
        vendor.answers.lock().unwrap().push_back(Ok(answer));
        let error = install(&ctx).await.unwrap_err();
        assert_eq!((error.kind(), error.context("code")), (kind, Some(name)), "{error}");
        assert_clean(&format!("{error:?}"));
    }
    post(&client().build().unwrap(), &ctx).await.unwrap();
}

#[test]
fn a_token_and_an_app_at_once_or_half_an_app_are_refused() {
    for (builder, setting) in [
        (client().token("xoxb-planted"), "token"),
        (Slack::builder("slack").client("", "planted"), "client_id"),
        (Slack::builder("slack").client("111.222", ""), "client_secret"),
        (Slack::builder("slack").refresh_token("planted"), "client_id"),
    ] {
        assert_clean(&format!("{builder:?}"));
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.context("setting")), (ErrorKind::ConfigInvalid, Some(setting)));
    }
    assert_eq!(Slack::builder("slack").build().unwrap_err().kind(), ErrorKind::ConfigInvalid);
    let data = r#"{"client_id":"111.222","client_secret":"planted","refresh_token":"planted"}"#;
    let config: Config = serde_json::from_str(data).unwrap();
    assert_clean(&format!("{config:?}"));
    Builder::from_config(config).build().unwrap();

    let back: url::Url = "https://erp.example.com/connected".parse().unwrap();
    for (id, secret, base) in [("", "s", BASE_URL), ("1.2", "", BASE_URL), ("1.2", "s", "slack.com")] {
        let config = Slack::authorizer_config(id, Secret::from(secret), back.clone(), base);
        assert_eq!(config.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
}
