//! OAuth, rotation, revocation.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use ml_connector_sim::slack::SlackConfig;
use serde_json::{Value, json};

use super::{FORM, JSON, Workspace, error, ok, workspace, workspace_with};
use crate::{Answered, get, post, send};

fn rotating() -> Workspace {
    let mut config = SlackConfig::default();
    config.token_rotation = true;
    workspace_with(config)
}

impl Workspace {
    /// Calls `oauth.v2.access` with the app's credentials in HTTP Basic.
    async fn access(&self, form: &str) -> Answered {
        let credentials = self.sim.app_credentials();
        let pair = format!("{}:{}", credentials.client_id, credentials.client_secret.expose());
        self.access_as(&format!("Basic {}", BASE64_STANDARD.encode(pair)), FORM, form).await
    }

    async fn access_as(&self, authorization: &str, content_type: &str, body: &str) -> Answered {
        let request =
            post("https://slack.com/api/oauth.v2.access", authorization, content_type, body.to_owned());
        send(&self.transport, request).await.unwrap()
    }

    async fn test(&self, token: &Value) -> Answered {
        let token = format!("Bearer {}", token.as_str().unwrap());
        send(&self.transport, get("https://slack.com/api/auth.test", &token)).await.unwrap()
    }
}

#[tokio::test]
async fn only_the_app_exchanges_a_code_and_only_as_a_form() {
    let workspace = workspace();
    let code = workspace.sim.authorization_code(None);
    let credentials = workspace.sim.app_credentials();
    let (id, secret) = (&credentials.client_id, credentials.client_secret.expose());
    let form = |id: &str, secret: &str| format!("client_id={id}&client_secret={secret}&code={code}");
    for (content_type, body, expected) in [
        (FORM, form("1.2", secret), "invalid_client_id"),
        (FORM, form(id, "x"), "bad_client_secret"),
        (FORM, format!("{}&grant_type=password", form(id, secret)), "invalid_grant_type"),
        (FORM, format!("client_id={id}&client_secret={secret}&code=x"), "invalid_code"),
        (FORM, format!("{}&redirect_uri=https://x.example", form(id, secret)), "bad_redirect_uri"),
        (
            JSON,
            json!({ "client_id": id, "client_secret": secret, "code": code }).to_string(),
            "invalid_client_id",
        ),
    ] {
        assert_eq!(error(&workspace.access_as("", content_type, &body).await), expected);
    }
    let granted = workspace.access_as("", FORM, &form(id, secret)).await;
    assert_eq!(
        (&ok(&granted)["token_type"], &granted.body["bot_user_id"], &granted.body["team"]["id"]),
        (&json!("bot"), &json!("U07MLBOT01"), &json!("T07LEDGER1"))
    );
    assert!(granted.body.get("refresh_token").is_none() && granted.body.get("expires_in").is_none());
    ok(&workspace.test(&granted.body["access_token"]).await);
    assert_eq!(error(&workspace.access(&format!("code={code}")).await), "invalid_code");
}

#[tokio::test]
async fn a_code_lives_ten_minutes_and_keeps_its_redirect() {
    let workspace = workspace();
    let code = workspace.sim.authorization_code(Some("https://erp.example.com/oauth"));
    assert_eq!(error(&workspace.access(&format!("code={code}")).await), "bad_redirect_uri");
    let whole = format!("code={code}&redirect_uri=https://erp.example.com/oauth");
    ok(&workspace.access(&whole).await);
    let late = workspace.sim.authorization_code(None);
    workspace.clock.advance(Duration::from_secs(600));
    assert_eq!(error(&workspace.access(&format!("code={late}")).await), "invalid_code");
}

#[tokio::test]
async fn rotating_tokens_live_twelve_hours_and_a_refresh_token_is_used_once() {
    let workspace = rotating();
    let (first, refresh) = (json!(workspace.sim.bot_token()), workspace.sim.refresh_token().unwrap());
    assert!(first.as_str().unwrap().starts_with("xoxe.xoxb-1-") && refresh.starts_with("xoxe-1-"));
    assert_eq!(ok(&workspace.test(&first).await)["expires_in"], 43_200);

    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let second = workspace.access(&form).await;
    assert_eq!(
        (&ok(&second)["expires_in"], &second.body["scope"]),
        (&json!(43_200), &json!(SlackConfig::default().scopes.join(",")))
    );
    assert_ne!(second.body["refresh_token"], json!(refresh));
    // Both live, and the old refresh token only for its grace.
    ok(&workspace.test(&first).await);
    workspace.clock.advance(Duration::from_secs(29));
    ok(&workspace.access(&form).await);
    workspace.clock.advance(Duration::from_secs(1));
    assert_eq!(error(&workspace.access(&form).await), "invalid_refresh_token");
    // A third one ended the first.
    assert_eq!(error(&workspace.test(&first).await), "account_inactive");
    ok(&workspace.test(&second.body["access_token"]).await);

    workspace.clock.advance(Duration::from_secs(43_200));
    assert_eq!(error(&workspace.test(&second.body["access_token"]).await), "token_expired");
    let newest = workspace.sim.refresh_token().unwrap();
    let renewed = workspace.access(&format!("grant_type=refresh_token&refresh_token={newest}")).await;
    ok(&workspace.test(&ok(&renewed)["access_token"]).await);
    workspace.sim.expire_tokens();
    assert_eq!(error(&workspace.test(&renewed.body["access_token"]).await), "token_expired");
}

#[tokio::test]
async fn without_rotation_there_is_nothing_to_refresh() {
    let workspace = workspace();
    assert_eq!(workspace.sim.refresh_token(), None);
    let refused = workspace.access("grant_type=refresh_token&refresh_token=xoxe-1-x").await;
    assert_eq!(error(&refused), "invalid_refresh_token");
}

#[tokio::test]
async fn revoking_ends_one_token_or_the_installation() {
    let workspace = workspace();
    ok(&workspace.read("auth.revoke?test=1").await);
    let token = json!(workspace.sim.bot_token());
    ok(&workspace.test(&token).await);
    assert_eq!(ok(&workspace.read("auth.revoke").await)["revoked"], true);
    assert_eq!(error(&workspace.test(&token).await), "account_inactive");
    let told: Vec<String> = workspace.deliver().await.into_iter().map(|attempt| attempt.about.name).collect();
    assert_eq!(told, ["tokens_revoked", "app_uninstalled"]);
    // Installed again, with a token of its own.
    let code = workspace.sim.authorization_code(None);
    ok(&workspace.access(&format!("code={code}")).await);
    ok(&workspace.test(&json!(workspace.sim.bot_token())).await);

    let rotating = rotating();
    let refresh = rotating.sim.refresh_token().unwrap();
    ok(&rotating.read("auth.revoke").await);
    assert!(rotating.deliver().await.is_empty());
    ok(&rotating.access(&format!("grant_type=refresh_token&refresh_token={refresh}")).await);
}

#[tokio::test]
async fn a_token_may_come_in_a_form_but_never_in_json() {
    let workspace = workspace();
    let url = "https://slack.com/api/auth.test";
    let bare = |content_type: &'static str, body: String| {
        let request = http::Request::post(url).header("content-type", content_type);
        send(&workspace.transport, request.body(body.into()).unwrap())
    };
    let token = workspace.sim.bot_token();
    ok(&bare(FORM, format!("token={token}")).await.unwrap());
    let in_json = json!({ "token": token }).to_string();
    assert_eq!(error(&bare(JSON, in_json).await.unwrap()), "not_authed");
}

#[tokio::test]
async fn a_person_allows_the_app_or_refuses_it_on_the_consent_page() {
    let workspace = workspace();
    let client_id = workspace.sim.app_credentials().client_id;
    let query = |client_id: &str, redirect_uri: &str, scope: &str| {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", client_id), ("redirect_uri", redirect_uri)])
            .extend_pairs([("scope", scope), ("state", "s-1")])
            .finish()
    };
    let uri = "https://erp.example.com/oauth";
    for (client_id, uri, scope, wrong) in [
        ("1.2", uri, "commands", "invalid_client_id"),
        (&client_id, "http://erp.example.com/oauth", "commands", "bad_redirect_uri"),
        (&client_id, "https://erp.example.com/oauth#x", "commands", "bad_redirect_uri"),
        (&client_id, uri, "", "invalid_scope"),
    ] {
        let (_, page) =
            workspace.page(&format!("/oauth/v2/authorize?{}", query(client_id, uri, scope))).await;
        assert!(page.contains(wrong) && !page.contains("Allow</button>"), "{page}");
    }
    let asked = query(&client_id, uri, "chat:write,commands");
    let (_, page) = workspace.page(&format!("/oauth/v2/authorize?{asked}")).await;
    assert!(page.contains("<li>commands</li>") && page.contains("value=\"s-1\""), "{page}");
    let decide = async |decision: &str| {
        let url = format!("https://slack.com/page/{decision}");
        let led = send(&workspace.transport, post(&url, "", FORM, asked.clone())).await.unwrap();
        url::Url::parse(led.header("location").unwrap()).unwrap()
    };
    assert_eq!(decide("refuse").await.query(), Some("error=access_denied&state=s-1"));
    let back = decide("allow").await;
    let pairs: Vec<_> = back.query_pairs().collect();
    assert_eq!((&*pairs[0].0, &*pairs[1].1), ("code", "s-1"));
    let granted = workspace.access(&format!("code={}&redirect_uri={uri}", pairs[0].1)).await;
    assert!(ok(&granted)["scope"].as_str().unwrap().ends_with(",commands"));
}
