//! The other forms of a delivery: replies, changes of a message, words for one person, people by address.

use std::sync::Arc;

use ml_connector_core::{
    Context, Effect, ErrorKind, Retry, Scope, Sink,
    http::ReqwestTransport,
    model::{Actor, Change, Delivery, Event, Follow, Interaction, Lookup, PrivateAnswer, Reply, Root},
    rate::{MemoryRateLimiter, QuotaKey},
    token::MemoryTokenStore,
};
use ml_connector_slack::{
    Dedupe, MessageRef, admin, blocks::Blocks, channel, clicker, email, message, message::Message, thread,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::*;

const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";
const EPHEMERAL: &str = "chat.postEphemeral";
const LOOKUP: &str = "users.lookupByEmail";
const REPLIES: &str = "conversations.replies";
const HISTORY: &str = "conversations.history";
const ROOT: &str = "C07APPROV1/1767225605.000219";
const OTHER_ID: &str = "0197f3c2-0000-7000-8000-000000000000";

fn root() -> MessageRef {
    ROOT.parse().unwrap()
}

fn followed(follow: Follow) -> Delivery {
    let mut delivery = delivery(channel("C07ACCTNG1"));
    delivery.follow = Some(follow);
    delivery.root = Some(Root { reference: ROOT.into(), n: 1 });
    delivery
}

fn answered() -> Delivery {
    let mut delivery = delivery(clicker());
    let mut actor = Actor::new("slack", "U07CLERK01");
    actor.place = Some(ROOT.into());
    let answer = PrivateAnswer::new(actor, Reply::Unknown, "You may not approve <!here>.");
    delivery.event = Arc::new(interacted("1", Interaction::Answer(answer)));
    delivery
}

async fn body(world: &World, method: &str) -> Value {
    let requests = world.requests(method).await;
    requests.last().unwrap().body_json().unwrap()
}

fn key(name: &str) -> Scope {
    Scope::Quota(QuotaKey::new(format!("slack/T07LEDGER1/{name}")))
}

/// A page of a thread: the first message, and its metadata.
fn first(delivery_id: &str) -> ResponseTemplate {
    json(
        200,
        &format!(
            r#"{{"ok":true,"messages":[{{"ts":"1767225605.000219","bot_id":"B07MLBOT01","metadata":{{
            "event_type":"mlc_notification","event_payload":{{"delivery_id":"{delivery_id}"}}}}}}]}}"#
        ),
    )
}

#[tokio::test]
async fn a_reply_that_slack_refuses_or_loses_is_classified_like_a_post() {
    for (response, effect, scope) in [
        (ResponseTemplate::new(503), Effect::Unknown, Scope::Entry),
        (error("cannot_reply_to_message"), Effect::None, Scope::Entry),
        (error("restricted_action_thread_locked"), Effect::None, Scope::Lane),
        (ResponseTemplate::new(429), Effect::None, key("channel/channel:C07ACCTNG1")),
    ] {
        let world = World::new().await;
        world.answer(POST, response).await;
        let error = world.deliver(&world.slack(), &followed(Follow::Thread)).await.unwrap_err();
        assert_eq!((error.effect(), error.scope()), (effect, &scope), "{error:?}");
    }
}

#[tokio::test]
async fn a_followed_record_is_replied_to_or_rewritten() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.thread_reply.json")).await;
    world.answer(UPDATE, ok("chat.update.ok.json")).await;
    let slack = world.slack();
    let reply = world.deliver(&slack, &followed(Follow::Thread)).await.unwrap();
    assert_ne!(&*reply.reference, ROOT);
    let sent = body(&world, POST).await;
    assert_eq!((&sent["channel"], &sent["thread_ts"]), (&json!("C07APPROV1"), &json!("1767225605.000219")));
    assert_eq!(sent["metadata"]["event_payload"]["delivery_id"], DELIVERY_ID);

    let updated = world.deliver(&slack, &followed(Follow::Update)).await.unwrap();
    assert_eq!(&*updated.reference, ROOT, "it is the same message");
    let sent = body(&world, UPDATE).await;
    assert_eq!((&sent["channel"], &sent["ts"]), (&json!("C07APPROV1"), &json!("1767225605.000219")));
    assert_eq!(sent["text"], "Invoice INV-000101 sent: Acme &amp; Sons, 1,250.50 USD");
    assert_eq!(sent["blocks"][0]["type"], "header");
    assert_eq!(sent["parse"], "none", "nothing in the text becomes a link");
    assert_eq!(sent["metadata"]["event_payload"]["delivery_id"], DELIVERY_ID);
    let content = &world.requests(UPDATE).await[0].headers["content-type"];
    assert_eq!(content, "application/json; charset=utf-8");
}

#[tokio::test]
async fn blocks_are_always_sent_with_an_update_so_that_none_of_the_old_stay() {
    let world = World::new().await;
    world.answer(UPDATE, ok("chat.update.ok.json")).await;
    let slack = world.builder().template("card", |_: &Event| Message::new("done", Blocks::new()));
    world.deliver(&slack.build().unwrap(), &followed(Follow::Update)).await.unwrap();
    assert_eq!(body(&world, UPDATE).await["blocks"], json!([]));
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_update_is_said() {
    for (response, effect, scope, retry) in [
        (ok("chat.update.error.message_not_found.json"), Effect::None, Scope::Entry, Retry::Never),
        (error("internal_error"), Effect::Unknown, Scope::Entry, Retry::Backoff),
        (error("update_failed"), Effect::None, Scope::Entry, Retry::Backoff),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "7"),
            Effect::None,
            key("chat.update"),
            Retry::At(NOW + secs(7)),
        ),
    ] {
        let world = World::new().await;
        world.answer(UPDATE, response).await;
        let error = world.deliver(&world.slack(), &followed(Follow::Update)).await.unwrap_err();
        assert_eq!((error.effect(), error.scope(), error.retry()), (effect, &scope, retry), "{error:?}");
    }
}

#[tokio::test]
async fn routes_may_name_the_message_themselves() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.thread_reply.json")).await;
    world.answer(UPDATE, ok("chat.update.ok.json")).await;
    let slack = world.slack();
    world.deliver(&slack, &delivery(thread(&root()))).await.unwrap();
    assert_eq!(body(&world, POST).await["thread_ts"], "1767225605.000219");
    world.deliver(&slack, &delivery(message(&root()))).await.unwrap();
    assert_eq!(body(&world, UPDATE).await["ts"], "1767225605.000219");
}

#[tokio::test]
async fn updates_and_words_for_one_person_spend_of_their_own_methods() {
    let world = World::new().await;
    let slack = world.slack();
    for (delivery, lane, keys) in [
        (
            followed(Follow::Update),
            "update:C07APPROV1:1767225605.000219",
            vec!["slack/T07LEDGER1/chat.update"],
        ),
        (
            followed(Follow::Thread),
            "channel:C07ACCTNG1",
            vec!["slack/T07LEDGER1/channel/channel:C07ACCTNG1", "slack/T07LEDGER1/post"],
        ),
        (answered(), "ephemeral:U07CLERK01", vec!["slack/T07LEDGER1/chat.postEphemeral"]),
    ] {
        let plan = slack.plan(&delivery).unwrap();
        assert_eq!(plan.lane.as_str(), lane);
        assert_eq!(plan.costs.iter().map(|cost| cost.key.as_str()).collect::<Vec<_>>(), keys);
    }
}

#[tokio::test]
async fn a_message_that_can_no_longer_be_changed_is_replied_to() {
    for name in ["edit_window_closed", "cant_update_message"] {
        let world = World::new().await;
        world.answer(UPDATE, ok(&format!("chat.update.error.{name}.json"))).await;
        world.answer(POST, ok("chat.postMessage.ok.thread_reply.json")).await;
        let (slack, notes) = (world.slack(), Notebook::default());
        let update = followed(Follow::Update);
        let results = slack.deliver(&world.ctx, std::slice::from_ref(&update), &notes).await;
        assert_ne!(&*results[0].as_ref().unwrap().reference, ROOT);
        let sent = body(&world, POST).await;
        let place = (&sent["channel"], &sent["thread_ts"]);
        assert_eq!(place, (&json!("C07APPROV1"), &json!("1767225605.000219")));
        assert_eq!(sent["metadata"]["event_payload"]["delivery_id"], DELIVERY_ID);
        assert_eq!(*notes.kept.lock().unwrap(), [(vec![update.seq], DELIVERY_ID.into())]);
        let spent: Vec<_> =
            world.limiter.admitted.lock().unwrap().iter().map(|cost| cost.key.to_string()).collect();
        let of_the_channel = slack.plan(&delivery(channel("C07ACCTNG1"))).unwrap().costs;
        let expected: Vec<_> = of_the_channel.iter().map(|cost| cost.key.to_string()).collect();
        assert_eq!(spent, expected, "it is a post like others of its destination");
    }
}

#[tokio::test]
async fn a_reply_instead_of_a_change_is_not_sent_without_a_note() {
    let world = World::new().await;
    world.answer(UPDATE, ok("chat.update.error.edit_window_closed.json")).await;
    let full = Notebook { full: true, ..Notebook::default() };
    let mut results = world.slack().deliver(&world.ctx, &[followed(Follow::Update)], &full).await;
    assert_eq!(results.remove(0).unwrap_err().effect(), Effect::None);
    assert!(world.requests(POST).await.is_empty());
}

/// A change may be made again, a reply may not: where nobody can tell, the host decides.
#[tokio::test]
async fn a_reply_instead_of_a_change_is_looked_up_like_a_reply() {
    let mut update = followed(Follow::Update);
    update.note = Some(DELIVERY_ID.into());
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    world.answer_once(REPLIES, first(OTHER_ID)).await;
    world.answer_once(REPLIES, first(OTHER_ID)).await;
    world.answer(REPLIES, error("not_in_channel")).await;
    world.answer(HISTORY, json(200, r#"{"ok":true,"messages":[]}"#)).await;
    let slack = world.slack();
    let look = async || slack.look_up(&world.ctx, &update).await.unwrap();
    assert!(matches!(look().await, Lookup::AskAgain { .. }));
    world.clock.advance(secs(30));
    assert!(matches!(look().await, Lookup::DidNotHappen));
    assert!(matches!(look().await, Lookup::CannotTell));
    let blind = world.builder().dedupe(Dedupe::Off).build().unwrap();
    assert!(matches!(blind.look_up(&world.ctx, &update).await.unwrap(), Lookup::CannotTell));
}

#[tokio::test]
async fn a_reply_instead_of_a_change_waits_for_room_in_its_channel() {
    let world = World::new().await;
    world.answer(UPDATE, ok("chat.update.error.edit_window_closed.json")).await;
    let full = Context::new(
        Arc::new(ReqwestTransport::new()),
        Arc::new(MemoryTokenStore::default()),
        Arc::new(MemoryRateLimiter::new()),
        Arc::clone(&world.clock) as _,
    );
    let slack = world.slack();
    let in_channel = slack.plan(&delivery(channel("C07ACCTNG1"))).unwrap().costs;
    full.limiter().admit(&in_channel, NOW).await.unwrap();
    let error = slack.deliver(&full, &[followed(Follow::Update)], &NoNotes).await.remove(0).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::None));
    assert_eq!(error.retry(), Retry::At(NOW + std::time::Duration::from_millis(1025)));
    assert_eq!(error.scope(), &key("channel/channel:C07ACCTNG1"));
    assert!(world.requests(POST).await.is_empty());
}

#[tokio::test]
async fn an_update_is_read_off_its_message_or_its_thread() {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    world.answer_once(REPLIES, first(OTHER_ID)).await;
    world.answer_once(REPLIES, first(OTHER_ID)).await;
    world.answer_once(REPLIES, first(DELIVERY_ID)).await;
    world.answer_once(REPLIES, ok("conversations.replies.error.thread_not_found.json")).await;
    world.answer(REPLIES, error("not_in_channel")).await;
    let slack = world.slack();
    let look = async || slack.look_up(&world.ctx, &followed(Follow::Update)).await.unwrap();
    assert!(matches!(look().await, Lookup::AskAgain { .. }), "it says what it said before");
    world.clock.advance(secs(30));
    assert!(matches!(look().await, Lookup::DidNotHappen));
    let Lookup::Happened(receipt) = look().await else { panic!() };
    assert_eq!(&*receipt.reference, ROOT);
    assert!(matches!(look().await, Lookup::AskAgain { .. }), "it is gone, as the next attempt will hear");
    assert!(matches!(look().await, Lookup::MayRepeat), "saying the same again changes nothing");
    let sent = String::from_utf8(world.requests(REPLIES).await[0].body.clone()).unwrap();
    assert_eq!(
        sent,
        "channel=C07APPROV1&ts=1767225605.000219&oldest=1767225605.000219&inclusive=true\
         &include_all_metadata=true&limit=100"
    );

    let blind = world.builder().dedupe(Dedupe::Off).build().unwrap();
    let told = blind.look_up(&world.ctx, &followed(Follow::Update)).await.unwrap();
    assert!(matches!(told, Lookup::MayRepeat));
}

#[tokio::test]
async fn a_reply_is_looked_up_in_its_thread() {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    world.answer_once(REPLIES, first(OTHER_ID)).await;
    let reply = r#"{"ok":true,"messages":[{"ts":"1767225605.000219"},{"ts":"1767225630.000100","bot_id":
        "B07MLBOT01","metadata":{"event_type":"mlc_notification","event_payload":{"delivery_id":"DELIVERY"}}}]}"#;
    world.answer(REPLIES, json(200, &reply.replace("DELIVERY", DELIVERY_ID))).await;
    world.answer(HISTORY, json(200, r#"{"ok":true,"messages":[]}"#)).await;
    let slack = world.slack();
    let look = async || slack.look_up(&world.ctx, &followed(Follow::Thread)).await.unwrap();
    assert!(matches!(look().await, Lookup::AskAgain { .. }));
    let Lookup::Happened(receipt) = look().await else { panic!() };
    assert_eq!(&*receipt.reference, "C07APPROV1/1767225630.000100");
    let sent = String::from_utf8(world.requests(REPLIES).await[0].body.clone()).unwrap();
    assert!(sent.starts_with("channel=C07APPROV1&ts=1767225605.000219&oldest=1767225244.000000&"), "{sent}");
}

#[tokio::test]
async fn an_answer_is_shown_to_the_clicker_where_they_clicked() {
    let world = World::new().await;
    world.answer(EPHEMERAL, ok("chat.postEphemeral.ok.json")).await;
    let receipt = world.deliver(&world.slack(), &answered()).await.unwrap();
    assert_eq!(&*receipt.reference, "ephemeral:C07APPROV1/1767225735.000800");
    assert!(receipt.reference.parse::<MessageRef>().is_err(), "it cannot be updated or replied to");
    let sent = body(&world, EPHEMERAL).await;
    assert_eq!((&sent["channel"], &sent["user"]), (&json!("C07APPROV1"), &json!("U07CLERK01")));
    assert_eq!(sent["text"], "You may not approve &lt;!here&gt;.");
    assert!(sent.get("metadata").is_none(), "Slack refuses it here");
}

#[tokio::test]
async fn an_answer_that_cannot_be_shown_holds_nobody_up() {
    for (response, scope) in [
        (ok("chat.postEphemeral.error.user_not_in_channel.json"), Scope::Entry),
        (error("channel_not_found"), Scope::Entry),
        (ResponseTemplate::new(429), key("chat.postEphemeral")),
        (error("token_revoked"), Scope::Connection),
    ] {
        let world = World::new().await;
        world.answer(EPHEMERAL, response).await;
        let error = world.deliver(&world.slack(), &answered()).await.unwrap_err();
        assert_eq!((error.effect(), error.scope()), (Effect::None, &scope), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_may_have_been_shown_is_shown_again_and_five_times_at_most() {
    let world = World::new().await;
    let slack = world.slack();
    let mut answer = answered();
    for attempt in 1..5 {
        answer.attempt = attempt;
        assert!(matches!(slack.look_up(&world.ctx, &answer).await.unwrap(), Lookup::MayRepeat));
    }
    answer.attempt = 5;
    assert!(matches!(slack.look_up(&world.ctx, &answer).await.unwrap(), Lookup::CannotTell));
    assert!(world.server.received_requests().await.unwrap().is_empty(), "nobody can be asked");
}

#[tokio::test]
async fn an_address_that_nobody_has_stops_its_lane_and_is_not_asked_for_at_once() {
    for response in
        [ok("users.lookupByEmail.error.users_not_found.json"), ok("users.lookupByEmail.ok.deactivated.json")]
    {
        let world = World::new().await;
        world.answer(LOOKUP, response).await;
        let slack = world.slack();
        for _ in 0..2 {
            let error = world.deliver(&slack, &delivery(email("anna@x.example"))).await.unwrap_err();
            assert_eq!((error.kind(), error.scope()), (ErrorKind::NotFound, &Scope::Lane));
            assert_eq!((error.effect(), error.retry()), (Effect::None, Retry::Never));
            assert!(!format!("{error:?}").contains("anna"), "{error:?}");
        }
        assert_eq!(world.requests(LOOKUP).await.len(), 1);
        world.clock.advance(secs(301));
        world.deliver(&slack, &delivery(email("anna@x.example"))).await.unwrap_err();
        assert_eq!(world.requests(LOOKUP).await.len(), 2, "somebody may have the address now");
        assert!(world.requests(POST).await.is_empty());
    }
}

#[tokio::test]
async fn a_missing_scope_for_addresses_stops_only_what_goes_to_addresses() {
    let world = World::new().await;
    world.answer(LOOKUP, error("missing_scope")).await;
    let error = world.deliver(&world.slack(), &delivery(email("anna@x.example"))).await.unwrap_err();
    assert_eq!((error.scope(), error.effect()), (&Scope::Lane, Effect::None));
}

#[tokio::test]
async fn a_person_is_found_by_address_once_and_looked_for_anew_when_refused() {
    let world = World::new().await;
    world.answer(LOOKUP, ok("users.lookupByEmail.ok.json")).await;
    world.answer_once(POST, ok("chat.postMessage.ok.json")).await;
    world.answer_once(POST, ok("chat.postMessage.ok.json")).await;
    world.answer_once(POST, error("user_not_found")).await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let slack = world.slack();
    let to_anna = delivery(email("Anna.Verhoeven@ledgerworks.example"));
    for _ in 0..2 {
        world.deliver(&slack, &to_anna).await.unwrap();
    }
    assert_eq!(body(&world, POST).await["channel"], "U07APPROV1");
    assert_eq!(world.requests(LOOKUP).await.len(), 1);
    world.deliver(&slack, &to_anna).await.unwrap_err();
    world.deliver(&slack, &to_anna).await.unwrap();
    assert_eq!(world.requests(LOOKUP).await.len(), 2);
    let plan = slack.plan(&to_anna).unwrap();
    assert!(!format!("{plan:?}").contains("anna"), "keys are logged");
}

#[tokio::test]
async fn the_admin_channel_is_a_setting() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let slack = world.builder().admin("C07APPROV1").build().unwrap();
    world.deliver(&slack, &delivery(admin())).await.unwrap();
    assert_eq!(body(&world, POST).await["channel"], "C07APPROV1");
    assert_eq!(slack.plan(&delivery(admin())).unwrap().lane.as_str(), "channel:C07APPROV1");

    let without = world.slack().plan(&delivery(admin())).unwrap_err();
    assert_eq!(without.kind(), ErrorKind::ConfigInvalid);
    let wrong = world.builder().admin("two words").build().unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test]
async fn a_template_is_found_by_the_route_s_name_then_by_type_then_by_kind() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let says = |text: &'static str| move |_: &Event| Message::new(text, Blocks::new());
    let slack = world
        .builder()
        .template("invoice.sent", says("type"))
        .template("invoice", says("kind"))
        .template("loud", says("name"))
        .build()
        .unwrap();
    let said = async |change, name: Option<&str>| {
        let mut delivery = delivery(channel("C07ACCTNG1"));
        delivery.event = Arc::new(event(invoice(), &[change]));
        delivery.template = name.map(Into::into);
        world.deliver(&slack, &delivery).await.unwrap();
        body(&world, POST).await["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(said(Change::Sent, None).await, "type");
    assert_eq!(said(Change::Paid, None).await, "kind");
    assert_eq!(said(Change::Paid, Some("loud")).await, "name");
    assert!(said(Change::Paid, Some("brief")).await.starts_with("Invoice INV-000101 paid"));

    let mut unknown = delivery(channel("C07ACCTNG1"));
    unknown.template = Some("luod".into());
    for error in [slack.plan(&unknown).unwrap_err(), world.deliver(&slack, &unknown).await.unwrap_err()] {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::ConfigInvalid, Effect::None));
        assert_eq!(error.context("templates"), Some("brief card invoice invoice.sent loud post"));
    }
}
