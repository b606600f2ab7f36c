//! Digests: one message for many deliveries, each of which finds it again.

use bytes::Bytes;
use ml_connector_core::{
    Effect, ErrorKind, Retry, Scope, Sink,
    model::{Delivery, DeliveryId, Event, Lookup, Seq},
    rate::QuotaKey,
};
use ml_connector_slack::{blocks::Blocks, channel, message::Message};
use serde_json::Value;
use wiremock::ResponseTemplate;

use crate::support::*;

const POST: &str = "chat.postMessage";
const OTHER_ID: &str = "0197f3c2-0000-7000-8000-000000000000";

async fn sent(world: &World) -> Value {
    world.requests(POST).await.last().unwrap().body_json().unwrap()
}

fn batch() -> Vec<Delivery> {
    let ids = [DELIVERY_ID, OTHER_ID, "0197f3c2-0000-7000-8000-000000000001"];
    let delivery = |(n, id): (usize, &str)| {
        let mut delivery = delivery(channel("C07ACCTNG1"));
        delivery.id = DeliveryId::parse(id).unwrap();
        delivery.seq = Seq(n as u64 + 1);
        delivery.digest = true;
        delivery
    };
    ids.into_iter().enumerate().map(delivery).collect()
}

#[tokio::test]
async fn a_digest_that_cannot_be_kept_is_not_sent() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let notes = Notebook { full: true, ..Notebook::default() };
    let results = world.slack().deliver(&world.ctx, &batch(), &notes).await;
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result.as_ref().unwrap_err().effect() == Effect::None));
    assert!(world.requests(POST).await.is_empty());
}

#[tokio::test]
async fn a_digest_fails_for_each_of_its_deliveries() {
    let world = World::new().await;
    world.answer(POST, ResponseTemplate::new(429).insert_header("retry-after", "7")).await;
    let results = world.slack().deliver(&world.ctx, &batch(), &Notebook::default()).await;
    assert_eq!(results.len(), 3);
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(
            error.scope(),
            &Scope::Quota(QuotaKey::from("slack/T07LEDGER1/channel/channel:C07ACCTNG1"))
        );
        assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::At(NOW + secs(7))));
    }
    assert_eq!(world.requests(POST).await.len(), 1);
}

#[tokio::test]
async fn a_digest_is_one_message_that_each_delivery_finds_again() {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let (slack, notes) = (world.slack(), Notebook::default());
    let plan = slack.plan(&batch()[0]).unwrap();
    assert_eq!(plan.lane.as_str(), "digest:route:channel:C07ACCTNG1");
    assert_eq!(plan.costs.len(), 2, "a digest is one post");
    assert!(slack.info().max_digest >= 50);

    let results = slack.deliver(&world.ctx, &batch(), &notes).await;
    let references: Vec<_> = results.into_iter().map(|result| result.unwrap().reference).collect();
    assert_eq!(references, vec![references[0].clone(); 3]);
    assert_eq!(world.requests(POST).await.len(), 1);
    let sent = sent(&world).await;
    assert_eq!(sent["text"], "Invoice sent: 3");
    assert_eq!(sent["blocks"][1]["rows"].as_array().unwrap().len(), 4, "a title and a row each");
    assert_eq!(sent["metadata"]["event_payload"]["delivery_id"], DELIVERY_ID);
    let kept = notes.kept.into_inner().unwrap();
    assert_eq!(kept, [(vec![Seq(1), Seq(2), Seq(3)], Bytes::from(DELIVERY_ID))]);

    let page = r#"{"ok":true,"messages":[{"ts":"1767225605.000219","bot_id":"B07MLBOT01","metadata":{"event_type":
        "mlc_notification","event_payload":{"delivery_id":"DELIVERY"}}}]}"#;
    world.answer("conversations.history", json(200, &page.replace("DELIVERY", DELIVERY_ID))).await;
    for mut delivery in batch() {
        delivery.note = Some(kept[0].1.clone());
        let Lookup::Happened(receipt) = slack.look_up(&world.ctx, &delivery).await.unwrap() else { panic!() };
        assert_eq!(&*receipt.reference, "C07ACCTNG1/1767225605.000219");
    }
}

#[tokio::test]
async fn a_digest_may_look_as_the_host_says() {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    let count = |events: &[&Event]| Message::new(&format!("{} things", events.len()), Blocks::new());
    let slack = world.builder().digest_template("count", count).build().unwrap();
    let mut batch = batch();
    batch.iter_mut().for_each(|delivery| delivery.template = Some("count".into()));
    for result in slack.deliver(&world.ctx, &batch, &Notebook::default()).await {
        result.unwrap();
    }
    assert_eq!(sent(&world).await["text"], "3 things");
    batch[0].template = Some("card".into());
    let refused = slack.plan(&batch[0]).unwrap_err();
    assert_eq!(refused.context("templates"), Some("count table"), "a card is of one event");
}
