//! Tokens, and what goes wrong with them.

use std::time::Duration;

use http::StatusCode;
use ml_connector_sim::{ExactOnlineSim, exact::ExactOnlineConfig};
use serde_json::Value;

use super::{assert_recorded, fixture, world, world_with};

#[tokio::test]
async fn tokens_are_answered_as_recorded_and_refresh_in_their_window_only() {
    let world = world().await;
    let credentials = world.sim.credentials();
    let names = |value: &Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_recorded(&world.token(&credentials.refresh_token).await, "token_refused_old_refresh_token");
    assert_recorded(&world.token("unknown").await, "token_refused_invalid_grant");
    assert_recorded(&world.form(&[("grant_type", "refresh_token")]).await, "token_refused_invalid_request");
    let code = world.sim.authorization_code();
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &credentials.redirect_uri),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
    ];
    let first = world.form(&exchange).await;
    assert_eq!(names(&first.body), names(&fixture("token_ok")));
    assert_eq!(first.body["expires_in"], "600");
    assert_eq!(world.form(&exchange).await.status, 400, "a code works once");
    let refresh = first.body["refresh_token"].as_str().unwrap().to_owned();
    world.clock.advance(Duration::from_secs(569));
    assert_recorded(&world.token(&refresh).await, "token_refused_too_early");
    world.clock.advance(Duration::from_secs(1));
    let second = world.token(&refresh).await;
    assert_eq!(second.status, 200);
    world.clock.advance(Duration::from_secs(31 * 86_400));
    let refresh = second.body["refresh_token"].as_str().unwrap().to_owned();
    assert_recorded(&world.token(&refresh).await, "token_refused_invalid_grant");
    assert_eq!(world.sim.tallies().refused_tokens, 6);
}

#[tokio::test]
async fn a_token_call_may_go_wrong_after_the_token_was_rotated() {
    let world = world().await;
    let refresh = world.sim.grant();
    world.sim.plant(ExactOnlineSim::gateway_fault(true));
    let answer = world.token(&refresh).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body["fault"]["faultstring"].as_str().unwrap().contains("ExtractAccessToken"));
    assert_recorded(&world.token(&refresh).await, "token_refused_old_refresh_token");
    let mut lasting = ExactOnlineConfig::default();
    lasting.lasting_refresh_tokens = true;
    let world = world_with(lasting).await;
    let refresh = world.sim.grant();
    world.sim.plant(ExactOnlineSim::gateway_fault(true));
    assert_eq!(world.token(&refresh).await.status, 500);
    assert_eq!(world.token(&refresh).await.status, 200, "works until its successor is used");
}

#[tokio::test]
async fn the_201st_token_call_of_a_day_is_refused() {
    let mut config = ExactOnlineConfig::default();
    config.token_calls = 2;
    let world = world_with(config).await;
    let refresh = world.sim.grant();
    assert_eq!(world.token(&refresh).await.status, 200);
    assert_eq!(world.token(&refresh).await.status, 429);
}

#[tokio::test]
async fn broken_tokens_are_refused_or_sent_to_the_login_page() {
    let mut world = world().await;
    world.clock.advance(Duration::from_secs(600));
    let url = "salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20";
    assert_recorded(&world.get(url).await, "error_401_access_token_expired");
    world.bearer = "none".to_owned();
    world.sim.tune(|quirks| quirks.login_page = true);
    let answer = world.get(url).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::FOUND, Some("text/html; charset=utf-8"))
    );
    assert!(answer.header("location").unwrap().starts_with("/docs/Login.aspx?ReturnUrl="));
}
