//! `chat.postMessage` on the wire, and what its answers mean.

use std::sync::Arc;

use ml_connector_core::{
    Effect, ErrorKind, OnUnknown, Retry, Scope, Sink,
    model::{Change, DeliveryId},
    rate::{Quota, QuotaKey},
};
use ml_connector_slack::{
    Config, Dedupe, MessageRef, Slack,
    blocks::{Block, Blocks, Text},
    channel,
    message::Message,
    user,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::*;

const CHANNEL: &str = "C07ACCTNG1";
const POST: &str = "chat.postMessage";

fn channel_key() -> Scope {
    Scope::Quota(QuotaKey::from("slack/T07LEDGER1/channel/channel:C07ACCTNG1"))
}

#[tokio::test]
async fn an_answer_that_may_hide_a_post_has_an_unknown_effect() {
    for response in [
        http("any.503.http.json"),
        ResponseTemplate::new(500),
        ok("chat.postMessage.error.internal_error.json"),
        ok("chat.postMessage.error.fatal_error.json"),
        error("service_unavailable"),
        error("duplicate_message_not_found"),
        ResponseTemplate::new(200).set_body_string("<html>"),
        json(200, r#"{"ok":true,"channel":"C07ACCTNG1","ts":"17672"#),
        json(200, r#"{"ok":true}"#),
    ] {
        let world = World::new().await;
        world.answer(POST, response).await;
        let error = world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
        assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
        assert_eq!(error.operation(), "slack.chat_post_message");
        assert_eq!(world.requests(POST).await.len(), 1, "a post is never repeated by itself");
    }
}

#[tokio::test]
async fn a_lost_connection_before_the_request_has_no_effect() {
    let world = World::new().await;
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let slack = world.builder().base_url(format!("http://127.0.0.1:{port}")).build().unwrap();
    let ctx = world.ctx.within(std::time::Duration::from_millis(400));
    let error = slack.deliver(&ctx, &[delivery(channel(CHANNEL))], &NoNotes).await.remove(0).unwrap_err();
    assert_eq!((error.effect(), error.kind()), (Effect::None, ErrorKind::Unavailable));
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_an_unknown_effect() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"ok\":true,"] {
        let world = World::new().await;
        let slack = world.builder().base_url(answers_and_hangs_up(answer)).build().unwrap();
        let error = world.deliver(&slack, &delivery(channel(CHANNEL))).await.unwrap_err();
        assert_eq!((error.effect(), error.retry()), (Effect::Unknown, Retry::Backoff), "{answer}: {error:?}");
    }
}

/// Reads one request, writes `answer` and closes the connection.
fn answers_and_hangs_up(answer: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        // The body of a post is JSON: it is complete when its last brace has come.
        while !request.ends_with(b"}") {
            let read = connection.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..read]);
        }
        connection.write_all(answer.as_bytes()).unwrap();
    });
    url
}

#[tokio::test]
async fn a_429_pauses_the_channel_in_every_form() {
    for (response, wait) in [
        (http("chat.postMessage.429.http.json"), 7),
        (http("chat.postMessage.429_rate_limited.http.json"), 1),
        (error("rate_limited"), 30),
        (ResponseTemplate::new(429), 30),
    ] {
        let world = World::new().await;
        world.answer(POST, response).await;
        let error = world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.effect(), Effect::None);
        assert_eq!(error.scope(), &channel_key());
        assert_eq!(error.retry(), Retry::At(NOW + secs(wait)));
    }
}

#[tokio::test]
async fn a_429_for_a_second_channel_within_the_pause_pauses_the_workspace() {
    let world = World::new().await;
    world.answer(POST, http("chat.postMessage.429.http.json")).await;
    let slack = world.slack();
    let scope = async |to| world.deliver(&slack, &delivery(channel(to))).await.unwrap_err().scope().clone();
    assert_eq!(scope(CHANNEL).await, channel_key());
    assert_eq!(scope(CHANNEL).await, channel_key(), "the same channel again says nothing new");
    assert_eq!(scope("C07EXECAL1").await, Scope::Quota("slack/T07LEDGER1/post".into()));
    world.clock.advance(secs(8));
    assert_eq!(scope(CHANNEL).await, channel_key(), "the pause is over");
}

#[tokio::test]
async fn a_refused_channel_stops_its_lane_and_a_dead_token_the_connection() {
    for (response, kind, scope) in [
        (ok("chat.postMessage.error.is_archived.json"), ErrorKind::Conflict, Scope::Lane),
        (ok("chat.postMessage.error.not_in_channel.json"), ErrorKind::PermissionDenied, Scope::Lane),
        (ok("chat.postMessage.error.channel_not_found.json"), ErrorKind::NotFound, Scope::Lane),
        (ok("chat.postMessage.error.invalid_blocks.json"), ErrorKind::InvalidRequest, Scope::Entry),
        (ok("chat.postMessage.error.token_revoked.json"), ErrorKind::Unauthenticated, Scope::Connection),
        (ok("chat.postMessage.error.missing_scope.json"), ErrorKind::PermissionDenied, Scope::Connection),
        (error("a_code_of_tomorrow"), ErrorKind::Unexpected, Scope::Entry),
    ] {
        let world = World::new().await;
        world.answer(POST, response).await;
        let error = world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (kind, &scope), "{error:?}");
        assert_eq!((error.effect(), error.retry()), (Effect::None, Retry::Never), "{error:?}");
        assert!(error.context("code").is_some(), "Slack's own word is kept: {error:?}");
        assert_eq!(world.requests(POST).await.len(), 1);
    }
}

#[tokio::test]
async fn a_post_looks_on_the_wire_as_slack_asks_for() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let receipt = world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.unwrap();
    let reference: MessageRef = receipt.reference.parse().unwrap();
    assert_eq!((&*reference.channel, &*reference.ts), ("C07APPROV1", "1767225605.000219"));

    let requests = world.requests(POST).await;
    let request = &requests[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(request.headers["content-type"], "application/json; charset=utf-8");
    assert!(request.url.query().is_none());
    let body: Value = request.body_json().unwrap();
    assert_eq!(body["channel"], CHANNEL);
    assert_eq!(body["text"], "Invoice INV-000101 sent: Acme &amp; Sons, 1,250.50 USD");
    assert_eq!(body["client_msg_id"], DELIVERY_ID);
    assert_eq!(
        (&body["unfurl_links"], &body["unfurl_media"], &body["mrkdwn"]),
        (&json!(false), &json!(false), &json!(false))
    );
    assert_eq!(
        body["metadata"],
        json!({"event_type": "mlc_notification", "event_payload": {
            "delivery_id": DELIVERY_ID,
            "source": "books",
            "resource": "invoice",
            "resource_id": "481500000000103001",
        }})
    );
    assert_eq!(body["blocks"][0]["type"], "header");
    assert!(world.limiter.admitted.lock().unwrap().is_empty(), "the engine admits a delivery's costs");
}

#[tokio::test]
async fn every_attempt_says_the_same() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let slack = world.slack();
    let mut delivery = delivery(channel(CHANNEL));
    world.deliver(&slack, &delivery).await.unwrap();
    delivery.attempt = 1;
    world.clock.advance(secs(86_400));
    world.deliver(&slack, &delivery).await.unwrap();
    let requests = world.requests(POST).await;
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn a_duplicate_that_slack_recognized_counts_as_posted() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.is_duplicate.json")).await;
    let receipt = world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.unwrap();
    assert_eq!(&*receipt.reference, "C07APPROV1/1767225605.000219");
}

#[tokio::test]
async fn a_warning_is_no_failure() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.truncated_warning.json")).await;
    assert!(world.deliver(&world.slack(), &delivery(channel(CHANNEL))).await.is_ok());
}

#[tokio::test]
async fn what_messages_carry_follows_the_setting() {
    for (dedupe, metadata, client_msg_id) in [
        (Dedupe::Both, true, true),
        (Dedupe::Metadata, true, false),
        (Dedupe::ClientMsgId, false, true),
        (Dedupe::Off, false, false),
    ] {
        let world = World::new().await;
        world.answer(POST, ok("chat.postMessage.ok.json")).await;
        let slack = world.builder().dedupe(dedupe).build().unwrap();
        world.deliver(&slack, &delivery(channel(CHANNEL))).await.unwrap();
        let body: Value = world.requests(POST).await[0].body_json().unwrap();
        assert_eq!(body.get("metadata").is_some(), metadata);
        assert_eq!(body.get("client_msg_id").is_some(), client_msg_id);
    }
}

#[tokio::test]
async fn metadata_stays_small_whatever_the_ids_are() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let mut delivery = delivery(channel(CHANNEL));
    let mut record = invoice();
    record.id = "9".repeat(5000).into();
    delivery.event = Arc::new(event(record, &[Change::Sent]));
    world.deliver(&world.slack(), &delivery).await.unwrap();
    let body: Value = world.requests(POST).await[0].body_json().unwrap();
    assert!(body["metadata"].to_string().len() < 1000);
}

#[tokio::test]
async fn a_person_is_written_to_by_user_id() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    world.deliver(&world.slack(), &delivery(user("U07APPROV1"))).await.unwrap();
    let body: Value = world.requests(POST).await[0].body_json().unwrap();
    assert_eq!(body["channel"], "U07APPROV1");
}

#[tokio::test]
async fn a_template_of_the_host_is_used_and_its_mistakes_are_caught_before_sending() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let slack = world.builder().template("card", |_: &_| {
        let long = Text::plain(&"x".repeat(3001));
        Message::new("too long", Blocks::new().with(Block::section(long)))
    });
    let error = world.deliver(&slack.build().unwrap(), &delivery(channel(CHANNEL))).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::InvalidRequest, &Scope::Entry));
    assert_eq!(error.context("pointer"), Some("/0/text/text"));
    assert_eq!((error.context("actual"), error.context("limit")), (Some("3001"), Some("3000")));

    let empty = world.builder().template("card", |_: &_| Message::new(" ", Blocks::new())).build().unwrap();
    let error = world.deliver(&empty, &delivery(channel(CHANNEL))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(world.requests(POST).await.is_empty());

    let text =
        world.builder().template("card", |_: &_| Message::new("<only> text", Blocks::new())).build().unwrap();
    world.deliver(&text, &delivery(channel(CHANNEL))).await.unwrap();
    let body: Value = world.requests(POST).await[0].body_json().unwrap();
    assert_eq!((body["text"].as_str(), body.get("blocks")), (Some("&lt;only&gt; text"), None));
}

#[tokio::test]
async fn a_plan_names_the_lane_and_spends_of_channel_and_workspace() {
    let world = World::new().await;
    let slack = world.slack();
    let plan = slack.plan(&delivery(channel(CHANNEL))).unwrap();
    assert_eq!(plan.lane.as_str(), "channel:C07ACCTNG1");
    let keys: Vec<_> = plan.costs.iter().map(|cost| cost.key.as_str()).collect();
    assert_eq!(keys, ["slack/T07LEDGER1/channel/channel:C07ACCTNG1", "slack/T07LEDGER1/post"]);
    let window = std::time::Duration::from_millis(1025);
    assert_eq!(&*plan.costs[0].quotas, &[Quota::Rolling { limit: 1, window }]);
    assert_eq!(plan.costs[1].quotas[0], Quota::Rolling { limit: 4, window });

    for wrong in ["channel:", "table:x", "user:anna", "channel:two words"] {
        let error = slack.plan(&delivery(wrong.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{wrong}");
    }
}

#[test]
fn settings_are_checked_when_the_sink_is_built() {
    let builder = || Slack::builder("slack").token(TOKEN);
    assert!(builder().build().is_ok());
    assert!(builder().base_url("https://slack-gov.com").build().is_ok());
    for wrong in [
        Slack::builder("slack"),
        Slack::builder("Not Valid").token(TOKEN),
        builder().token("line\nbreak"),
        builder().base_url("http://slack.com"),
        builder().base_url("nonsense"),
        builder().base_url("https://user:pass@slack.com"),
        builder().workspace(""),
        builder().workspace("a/b"),
        builder().posts_per_minute(0),
        builder().post_interval(std::time::Duration::ZERO),
    ] {
        let text = format!("{wrong:?}");
        assert_eq!(wrong.build().unwrap_err().kind(), ErrorKind::ConfigInvalid, "{text}");
    }
}

#[test]
fn settings_come_as_data_too() {
    let config: Config = serde_json::from_value(json!({
        "connection": "ops", "token": "t", "on_unknown": "repeat", "dedupe": "metadata",
        "history": {"limit": 15, "per_minute": 1},
    }))
    .unwrap();
    let slack = ml_connector_slack::Builder::from_config(config).build().unwrap();
    assert_eq!(slack.info().connection.as_str(), "ops");
    assert_eq!(slack.info().on_unknown, OnUnknown::Repeat);
    assert_eq!(slack.info().affinity.as_str(), "slack/ops");
    assert!(serde_json::from_value::<Config>(json!({"tokn": "t"})).is_err());
}

#[tokio::test]
async fn no_secret_and_no_record_text_reaches_debug_or_errors() {
    let world = World::new().await;
    world.answer(POST, error("invalid_auth")).await;
    let slack = world.slack();
    let mut record = invoice();
    record.counterparty.as_mut().unwrap().name = "planted-secret".into();
    record.number = Some("planted-secret".into());
    let mut delivery = delivery(channel(CHANNEL));
    delivery.event = Arc::new(event(record, &[Change::Paid]));
    delivery.id = DeliveryId::parse(DELIVERY_ID).unwrap();
    let refused = world.deliver(&slack, &delivery).await.unwrap_err();
    let message =
        ml_connector_slack::message::Template::render(&ml_connector_slack::message::Cards, &delivery.event);
    let config = Config::default();
    for text in [
        format!("{slack:?}"),
        format!("{:?}", world.builder()),
        format!("{config:?}"),
        format!("{refused:?} {refused}"),
        format!("{message:?}"),
        format!("{delivery:?}"),
    ] {
        assert!(!text.contains("planted-secret"), "{text}");
    }
}

#[tokio::test]
async fn a_reply_that_slack_posts_into_the_channel_begins_a_thread() {
    let root: ml_connector_slack::MessageRef = "C07ACCTNG1/1767225000.000100".parse().unwrap();
    for (stored, begins_anew) in [
        (r#"{"ts":"1767225605.000219","thread_ts":"1767225000.000100"}"#, false),
        (r#"{"ts":"1767225605.000219"}"#, true),
        (r#"{"ts":"1767225605.000219","thread_ts":"1767225605.000219"}"#, true),
        ("null", false),
    ] {
        let world = World::new().await;
        let answer =
            format!(r#"{{"ok":true,"channel":"C07ACCTNG1","ts":"1767225605.000219","message":{stored}}}"#);
        world.answer(POST, json(200, &answer)).await;
        let reply = delivery(ml_connector_slack::thread(&root));
        let receipt = world.deliver(&world.slack(), &reply).await.unwrap();
        assert_eq!(receipt.begins_anew, begins_anew, "{stored}");
    }
}
