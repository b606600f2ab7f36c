//! Whoever is responsible for a document: mentioned, or not and why; and written to, or somebody else in their stead.

use std::sync::Arc;

use ml_connector_core::{
    Effect, Sink,
    model::{
        Approval, ApprovalStatus, Delivery, DeliveryId, Destination, DocumentRef, Event, Interaction, Lookup,
        Person, Seq,
    },
};
use ml_connector_slack::{
    assignee, channel,
    message::{Assignee, Cards, Message, Template},
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::*;

const LOOKUP: &str = "users.lookupByEmail";
const POST: &str = "chat.postMessage";
const ADDRESS: &str = "Anna.Verhoeven@ledgerworks.example";

fn anna(email: Option<&str>) -> Person {
    Person::known(Some("LK".into()), Some("Anna <!channel> V".into()), email.map(Into::into)).unwrap()
}

/// A request for a decision about a document that somebody is responsible for.
fn request(person: Person, status: ApprovalStatus) -> Event {
    let mut shown = invoice();
    shown.assignee = Some(person);
    let document = DocumentRef { connection: "books".into(), entity: shown.entity(), n: 3 };
    let mut approval = Approval::new("2-c81e728d".into(), document, Box::new(shown), NOW);
    approval.status = status;
    interacted("5d1c0f7e", Interaction::Approval(approval))
}

fn of(event: Event, to: Destination) -> Delivery {
    let id = DeliveryId::parse(DELIVERY_ID).unwrap();
    let mut delivery = Delivery::new(Seq(7), id, to, "route", Arc::new(event), NOW);
    delivery.attempt = 1;
    delivery
}

fn asked(email: Option<&str>) -> Delivery {
    of(request(anna(email), ApprovalStatus::Requested), channel("C07APPROV1"))
}

async fn world(lookup: ResponseTemplate) -> World {
    let world = World::new().await;
    world.answer(LOOKUP, lookup).await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    world
}

async fn posted(world: &World) -> Vec<Value> {
    world.requests(POST).await.iter().map(|request| request.body_json().unwrap()).collect()
}

fn guest() -> ResponseTemplate {
    let found = fixture("users.lookupByEmail.ok.json");
    let mut found: Value = serde_json::from_str(&found).unwrap();
    found["user"]["is_restricted"] = json!(true);
    json(200, &found.to_string())
}

#[tokio::test]
async fn a_request_mentions_whoever_is_responsible_or_says_why_it_does_not() {
    let found = || ok("users.lookupByEmail.ok.json");
    for (lookup, email, hint) in [
        (found(), Some(ADDRESS), None),
        (found(), None, Some("the books have no e-mail address")),
        (found(), Some(" "), Some("the books have no e-mail address")),
        (
            ok("users.lookupByEmail.error.users_not_found.json"),
            Some(ADDRESS),
            Some("nobody in the workspace has the e-mail address"),
        ),
        (ok("users.lookupByEmail.ok.deactivated.json"), Some(ADDRESS), Some("the account is deactivated")),
        (guest(), Some(ADDRESS), Some("the account is a guest's")),
        (error("missing_scope"), Some(ADDRESS), Some("Slack does not say who has the e-mail address")),
    ] {
        let world = world(lookup).await;
        world.deliver(&world.slack(), &asked(email)).await.unwrap();
        let body = posted(&world).await.remove(0);
        let (shown, channel) = (body["blocks"].to_string(), &body["channel"]);
        assert_eq!(channel, "C07APPROV1", "it goes to the channel in any case");
        assert_eq!(shown.contains("<@U07APPROV1>, this waits for a decision."), hint.is_none(), "{shown}");
        if let Some(hint) = hint {
            let said = format!("Anna &lt;!channel&gt; V is not mentioned: {hint}");
            assert!(shown.contains(&said) && !shown.contains("<@"), "{shown}");
        }
        assert!(
            !body.to_string().to_lowercase().contains("ledgerworks.example"),
            "no address is shown: {body}"
        );
    }
}

#[tokio::test]
async fn slack_that_does_not_answer_is_waited_for_and_then_gone_without() {
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "3600");
    let world = world(busy).await;
    let slack = world.slack();
    for attempt in 1..=2 {
        let mut delivery = asked(Some(ADDRESS));
        delivery.attempt = attempt;
        let error = world.deliver(&slack, &delivery).await.unwrap_err();
        assert_eq!(error.effect(), Effect::None, "nothing was posted");
    }
    assert!(posted(&world).await.is_empty());
    let mut last = asked(Some(ADDRESS));
    last.attempt = 3;
    world.deliver(&slack, &last).await.unwrap();
    assert!(posted(&world).await[0]["blocks"].to_string().contains("Slack does not say"));
}

#[test]
fn who_is_notified_once_is_not_notified_by_what_was_decided() {
    let found = Assignee::User("U07APPROV1".into());
    let shown = |message: &Message| json!(message.blocks()).to_string();
    let card = |status| shown(&Cards.render_for(&request(anna(Some(ADDRESS)), status), &found));
    assert!(card(ApprovalStatus::Reminded).contains("<@U07APPROV1>"));
    assert!(!card(ApprovalStatus::Posted).contains("<@U07APPROV1>"));
    assert!(!shown(&Cards.render(&request(anna(None), ApprovalStatus::Requested))).contains("mentioned"));
    // A record's own card: the mention, else the name.
    let mut bill = invoice();
    bill.assignee = Some(anna(Some(ADDRESS)));
    let told = event(bill, &[ml_connector_core::model::Change::Created]);
    assert!(shown(&Cards.render_for(&told, &found)).contains("<@U07APPROV1>"));
    assert!(shown(&Cards.render(&told)).contains("Anna &lt;!channel&gt; V"));
}

#[tokio::test]
async fn a_message_goes_to_whoever_is_responsible_or_else_to_the_fallback() {
    let found = || ok("users.lookupByEmail.ok.json");
    for (lookup, email, expected) in [
        (found(), Some(ADDRESS), "U07APPROV1"),
        (found(), None, "C07ACCTNG1"),
        (ok("users.lookupByEmail.error.users_not_found.json"), Some(ADDRESS), "C07ACCTNG1"),
        (ok("users.lookupByEmail.ok.deactivated.json"), Some(ADDRESS), "C07ACCTNG1"),
        (guest(), Some(ADDRESS), "C07ACCTNG1"),
    ] {
        let world = world(lookup).await;
        let delivery = of(request(anna(email), ApprovalStatus::Requested), assignee(&channel("C07ACCTNG1")));
        world.deliver(&world.slack(), &delivery).await.unwrap();
        assert_eq!(posted(&world).await[0]["channel"], expected);
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_where_it_may_have_gone() {
    for direct in [true, false] {
        let world = world(ok("users.lookupByEmail.ok.json")).await;
        world.answer("auth.test", ok("auth.test.ok.json")).await;
        world.answer("conversations.open", json(200, r#"{"ok":true,"channel":{"id":"D07APPROV1"}}"#)).await;
        let nothing = json(200, r#"{"ok":true,"messages":[],"has_more":false}"#);
        if !direct {
            world.answer_once("conversations.history", nothing).await;
        }
        world.answer("conversations.history", ok("conversations.history.readback.json")).await;
        let delivery =
            of(request(anna(Some(ADDRESS)), ApprovalStatus::Requested), assignee(&channel("C07ACCTNG1")));
        let found = world.slack().look_up(&world.ctx, &delivery).await.unwrap();
        let Lookup::Happened(receipt) = found else { panic!("{found:?}") };
        let place = if direct { "D07APPROV1/" } else { "C07ACCTNG1/" };
        assert!(receipt.reference.starts_with(place), "{}", receipt.reference);
    }
}
