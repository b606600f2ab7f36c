//! What the history tells of a post whose answer was lost.

use ml_connector_core::{
    ErrorKind, Retry, Sink,
    model::{Delivery, Lookup},
};
use ml_connector_slack::{Dedupe, History, channel, user};
use wiremock::ResponseTemplate;

use crate::support::*;

const HISTORY: &str = "conversations.history";

async fn world() -> World {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    world
}

fn lost() -> Delivery {
    delivery(channel("C07APPROV1"))
}

fn nothing() -> ResponseTemplate {
    json(200, r#"{"ok":true,"messages":[],"has_more":false}"#)
}

fn page(messages: &str, next: &str) -> ResponseTemplate {
    json(
        200,
        &format!(r#"{{"ok":true,"messages":[{messages}],"response_metadata":{{"next_cursor":"{next}"}}}}"#),
    )
}

fn message(bot: &str, delivery: &str) -> String {
    format!(
        r#"{{"ts":"1767225605.000219","bot_id":"{bot}","user":"U07OTHER01","metadata":{{"event_type":
        "mlc_notification","event_payload":{{"delivery_id":"{delivery}"}}}}}}"#
    )
}

#[tokio::test]
async fn without_scope_or_membership_nobody_can_tell() {
    for code in ["missing_scope", "not_in_channel", "channel_not_found", "access_denied"] {
        let world = world().await;
        world.answer(HISTORY, error(code)).await;
        let found = world.slack().look_up(&world.ctx, &lost()).await.unwrap();
        assert!(matches!(found, Lookup::CannotTell), "{code}: {found:?}");
    }
}

#[tokio::test]
async fn without_metadata_nobody_can_tell_and_nobody_is_asked() {
    for dedupe in [Dedupe::Off, Dedupe::ClientMsgId] {
        let world = world().await;
        let slack = world.builder().dedupe(dedupe).build().unwrap();
        assert!(matches!(slack.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::CannotTell));
        assert!(world.server.received_requests().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_dead_token_or_a_limit_is_an_error_and_no_verdict() {
    let world = world().await;
    world.answer_once(HISTORY, error("account_inactive")).await;
    let slack = world.slack();
    let dead = slack.look_up(&world.ctx, &lost()).await.unwrap_err();
    assert_eq!((dead.kind(), dead.context("code")), (ErrorKind::Unauthenticated, Some("account_inactive")));

    world.answer(HISTORY, ResponseTemplate::new(429).insert_header("retry-after", "60")).await;
    let limited = slack.look_up(&world.ctx, &lost()).await.unwrap_err();
    assert_eq!((limited.kind(), limited.retry()), (ErrorKind::RateLimited, Retry::At(NOW + secs(60))));
}

#[tokio::test]
async fn a_message_found_is_proof_of_delivery() {
    let world = world().await;
    world.answer(HISTORY, ok("conversations.history.readback.json")).await;
    let found = world.slack().look_up(&world.ctx, &lost()).await.unwrap();
    let Lookup::Happened(receipt) = found else { panic!("{found:?}") };
    assert_eq!(&*receipt.reference, "C07APPROV1/1767225605.000219");

    let requests = world.requests(HISTORY).await;
    assert_eq!(requests[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {TOKEN}"));
    let body = std::str::from_utf8(&requests[0].body).unwrap();
    assert_eq!(
        body,
        "channel=C07APPROV1&oldest=1767225244.000000&inclusive=true&include_all_metadata=true&limit=100"
    );
    let admitted = world.limiter.admitted.lock().unwrap();
    let keys: Vec<_> = admitted.iter().map(|cost| cost.key.as_str()).collect();
    assert_eq!(keys, ["slack/T07LEDGER1/auth.test", "slack/T07LEDGER1/conversations.history"]);
}

#[tokio::test]
async fn not_found_counts_only_when_a_second_look_agrees() {
    let world = world().await;
    world.answer(HISTORY, nothing()).await;
    let slack = world.slack();
    let mut delivery = lost();
    let look = async |delivery: &Delivery| slack.look_up(&world.ctx, delivery).await.unwrap();
    let ask_again =
        |found: &Lookup, at| assert!(matches!(found, Lookup::AskAgain { at: when } if *when == at));

    ask_again(&look(&delivery).await, NOW + secs(5));
    world.clock.advance(secs(5));
    ask_again(&look(&delivery).await, NOW + secs(10));
    world.clock.advance(secs(24));
    ask_again(&look(&delivery).await, NOW + secs(30));
    world.clock.advance(secs(1));
    assert!(matches!(look(&delivery).await, Lookup::DidNotHappen));

    // The next attempt is another story: what was seen before it says nothing about it.
    delivery.attempt = 1;
    world.clock.advance(secs(60));
    ask_again(&look(&delivery).await, NOW + secs(95));
    delivery.attempt = 2;
    world.clock.advance(secs(60));
    ask_again(&look(&delivery).await, NOW + secs(155));
    assert_eq!(world.requests("auth.test").await.len(), 1, "who we are is asked once");
}

#[tokio::test]
async fn a_look_before_an_attempt_says_nothing_about_it() {
    let world = world().await;
    world.answer(HISTORY, nothing()).await;
    world.answer("chat.postMessage", error("fatal_error")).await;
    let slack = world.slack();
    assert!(matches!(slack.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::AskAgain { .. }));
    world.clock.advance(secs(60));
    world.deliver(&slack, &lost()).await.unwrap_err();
    assert!(matches!(slack.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::AskAgain { .. }));
}

#[tokio::test]
async fn a_message_that_shows_late_is_found_by_the_second_look() {
    let world = world().await;
    world.answer_once(HISTORY, nothing()).await;
    world.answer(HISTORY, ok("conversations.history.readback.json")).await;
    let slack = world.slack();
    assert!(matches!(slack.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::AskAgain { .. }));
    world.clock.advance(secs(5));
    assert!(matches!(slack.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::Happened(_)));
}

#[tokio::test]
async fn odd_messages_of_others_hide_none_of_ours() {
    let id = lost().id.to_string();
    let ours = message("B07MLBOT01", &id)
        .replace(r#""user":"U07OTHER01""#, r#""user":"U07OTHER01","text":"\ud83d""#);
    let odd = [
        "null",
        "7",
        r#"{"ts":null,"user":7,"bot_id":[],"metadata":"\ud83d"}"#,
        r#"{"ts":"1767225600.000100","text":"half \ud83d","metadata":{"event_type":"half \ud83d","event_payload":{"\ud83d":1}}}"#,
        r#"{"metadata":{"event_type":"mlc_notification","event_payload":[null]}}"#,
    ];
    let world = world().await;
    world.answer(HISTORY, page(&format!("{},{ours}", odd.join(",")), "")).await;
    let found = world.slack().look_up(&world.ctx, &lost()).await.unwrap();
    let Lookup::Happened(receipt) = found else { panic!("{found:?}") };
    assert_eq!(&*receipt.reference, "C07APPROV1/1767225605.000219");
}

#[tokio::test]
async fn pages_are_followed_to_the_message() {
    let world = world().await;
    world.answer_once(HISTORY, page("", "bmV4dA==")).await;
    world.answer(HISTORY, page(&message("B07MLBOT01", DELIVERY_ID), "")).await;
    let found = world.slack().look_up(&world.ctx, &lost()).await.unwrap();
    assert!(matches!(found, Lookup::Happened(_)), "{found:?}");
    let requests = world.requests(HISTORY).await;
    assert!(std::str::from_utf8(&requests[1].body).unwrap().ends_with("&cursor=bmV4dA%3D%3D"));
}

#[tokio::test]
async fn a_history_without_end_is_given_up() {
    let world = world().await;
    world.answer(HISTORY, page("", "same")).await;
    assert!(matches!(world.slack().look_up(&world.ctx, &lost()).await.unwrap(), Lookup::CannotTell));
    assert_eq!(world.requests(HISTORY).await.len(), 2);

    let restricted = world.builder().history(History::restricted()).build().unwrap();
    assert!(matches!(restricted.look_up(&world.ctx, &lost()).await.unwrap(), Lookup::CannotTell));
    let requests = world.requests(HISTORY).await;
    assert_eq!(requests.len(), 3);
    assert!(std::str::from_utf8(&requests[2].body).unwrap().contains("limit=15"));
}

#[tokio::test]
async fn a_message_of_another_bot_or_delivery_is_not_ours() {
    let world = world().await;
    let foreign = [
        message("B07OTHER01", DELIVERY_ID),
        message("B07MLBOT01", "0197f3c2-0000-7000-8000-000000000000"),
        r#"{"ts":"1767225605.000300","metadata":["odd"]}"#.to_owned(),
        r#"{"ts":"1767225605.000300","metadata":{"event_type":"x","event_payload":7},"bot_id":null}"#
            .to_owned(),
    ];
    world.answer(HISTORY, page(&foreign.join(","), "")).await;
    let found = world.slack().look_up(&world.ctx, &lost()).await.unwrap();
    assert!(matches!(found, Lookup::AskAgain { .. }), "{found:?}");
}

#[tokio::test]
async fn direct_messages_are_looked_up_in_their_conversation() {
    let world = world().await;
    world.answer("conversations.open", ok("conversations.open.ok.minimal.json")).await;
    world.answer(HISTORY, nothing()).await;
    let to_anna = delivery(user("U07APPROV1"));
    assert!(matches!(world.slack().look_up(&world.ctx, &to_anna).await.unwrap(), Lookup::AskAgain { .. }));
    assert_eq!(world.requests("conversations.open").await[0].body, b"users=U07APPROV1");
    let opened: serde_json::Value =
        serde_json::from_str(&fixture("conversations.open.ok.minimal.json")).unwrap();
    let id = opened["channel"]["id"].as_str().unwrap();
    let body = String::from_utf8(world.requests(HISTORY).await[0].body.clone()).unwrap();
    assert!(body.starts_with(&format!("channel={id}&")), "{body}");
}

#[tokio::test]
async fn a_reply_whose_thread_is_gone_is_found_in_the_channel_and_begins_anew() {
    let world = world().await;
    let gone = r#"{"ok":false,"error":"thread_not_found"}"#;
    world.answer("conversations.replies", json(200, gone)).await;
    world.answer(HISTORY, page(&message("B07MLBOT01", DELIVERY_ID), "")).await;
    let root = "C07APPROV1/1767225000.000100".parse().unwrap();
    let lost = delivery(ml_connector_slack::thread(&root));
    match world.slack().look_up(&world.ctx, &lost).await.unwrap() {
        Lookup::Happened(receipt) => {
            assert_eq!(&*receipt.reference, "C07APPROV1/1767225605.000219");
            assert!(receipt.begins_anew);
        }
        other => panic!("it is in the channel: {other:?}"),
    }
}
