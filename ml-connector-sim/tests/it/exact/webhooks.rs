//! Subscriptions and notifications.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::{
    HttpTransport, Secret,
    http::{Limits, TransportError},
};
use ml_connector_sim::exact::{CallbackHost, Kind, NewDocument, hash_code};
use serde_json::Value;

use super::{BASE, DIVISION, World, amount, assert_recorded, differences, fixture, world};
use crate::send;

/// A subscriber that answers with a status and keeps what came.
#[derive(Debug, Default)]
struct Subscriber {
    status: std::sync::Mutex<u16>,
    bodies: std::sync::Mutex<Vec<Bytes>>,
}

#[async_trait]
impl HttpTransport for Subscriber {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        self.bodies.lock().unwrap().push(request.into_body());
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::from_u16(*self.status.lock().unwrap()).unwrap();
        Ok(answer)
    }
}

const CALLBACK: &str = "https://connect.example.com/webhooks/exact-online";

async fn subscribed(topics: &[&str]) -> (World, Arc<Subscriber>) {
    let world = world().await;
    let subscriber = Arc::new(Subscriber::default());
    *subscriber.status.lock().unwrap() = 200;
    world.sim.set_hooks(subscriber.clone());
    for topic in topics {
        assert_eq!(world.subscribe(topic, CALLBACK).await.status, 201);
    }
    (world, subscriber)
}

#[tokio::test]
async fn a_subscription_is_checked_with_an_empty_post_and_answered_as_recorded() {
    let (world, subscriber) = subscribed(&[]).await;
    let created = world.subscribe("SalesInvoices", CALLBACK).await;
    assert_eq!(created.status, 201);
    assert_eq!(*subscriber.bodies.lock().unwrap(), [Bytes::new()]);
    let mut told = Vec::new();
    differences("", &fixture("webhook_subscription_create_response"), &created.body, &mut told);
    told.retain(|it| {
        !["ID", "uri", "ClientID", "Created", "CallbackURL"]
            .iter()
            .any(|own| it.contains(&format!("/{own}:")))
    });
    assert_eq!(told, Vec::<String>::new());
    assert!(created.header("location").unwrap().contains("WebhookSubscriptions(guid'"));
    assert_eq!(created.header("x-ratelimit-limit"), Some("5000"));
    assert_recorded(&world.subscribe("SalesInvoices", CALLBACK).await, "webhook_subscription_duplicate");
    *subscriber.status.lock().unwrap() = 500;
    assert_recorded(&world.subscribe("BankEntries", CALLBACK).await, "webhook_subscription_callback_failed");
    for (topic, url) in [("Nonsense", CALLBACK), ("CashEntries", "https://other.example.com/hook")] {
        assert_eq!(world.subscribe(topic, url).await.status, 400, "{topic} {url}");
    }
    *subscriber.status.lock().unwrap() = 201;
    world.sim.tune(|quirks| quirks.callback_host = CallbackHost::SameDomain);
    assert_eq!(world.subscribe("CashEntries", "https://other.example.com/hook").await.status, 201);
    let list = world.rows("webhooks/WebhookSubscriptions?$select=ID,Topic,CallbackURL,Division,UserID").await;
    assert_eq!(list.len(), 2);
    let id = world.sim.subscriptions()[0].id.clone();
    let gone = world.request(Method::DELETE, &format!("webhooks/WebhookSubscriptions(guid'{id}')"), "");
    assert_eq!(send(&world.transport, gone).await.unwrap().status, 204);
    assert_eq!(world.sim.subscriptions().len(), 1);
}

#[tokio::test]
async fn notifications_are_signed_and_look_as_recorded() {
    let (world, subscriber) = subscribed(&["SalesInvoices"]).await;
    subscriber.bodies.lock().unwrap().clear();
    let id = world.invoice("10");
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "PO-1").unwrap();
    world.sim.delete(Kind::SalesInvoices, &id).unwrap();
    let attempts = world.sim.deliver(&*subscriber).await;
    let actions: Vec<&str> = attempts.iter().map(|attempt| attempt.about.action.as_str()).collect();
    assert_eq!(actions, ["Create", "Update", "Delete"]);
    let secret = world.sim.credentials().webhook_secret;
    for body in subscriber.bodies.lock().unwrap().iter() {
        let text = std::str::from_utf8(body).unwrap();
        let content = text.strip_prefix("{\"Content\":").unwrap().split(",\"HashCode\":").next().unwrap();
        let read: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read["HashCode"], hash_code(&secret, content.as_bytes()).as_str());
        let members = "{\"Topic\":\"SalesInvoices\",\"ClientId\":\"";
        assert!(content.starts_with(members), "{content}");
        assert_eq!(read["Content"]["EventCreatedOn"], "2026-03-12T10:15:19");
        assert_eq!(read["Content"]["Division"], DIVISION);
        assert_eq!(
            read["Content"]["ExactOnlineEndpoint"],
            format!("{BASE}/api/v1/{DIVISION}/salesinvoice/SalesInvoices(guid'{id}')")
        );
    }
}

#[test]
fn signatures_are_those_of_the_vectors() {
    let vectors = fixture("webhook_vectors");
    let mut valid = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (Some(content), Some(hash)) = (vector["content"].as_str(), vector["hash_code"].as_str()) else {
            continue;
        };
        let made = hash_code(&Secret::from(vector["secret"].as_str().unwrap()), content.as_bytes());
        if vector["valid"] == true {
            assert_eq!(made, hash.to_ascii_uppercase(), "{}", vector["name"]);
            valid += 1;
        } else {
            assert_ne!(made, hash, "{}", vector["name"]);
        }
    }
    assert_eq!(valid, 13);
}

#[tokio::test]
async fn what_is_not_received_is_tried_again_ten_times() {
    let (world, subscriber) = subscribed(&["PurchaseOrders"]).await;
    *subscriber.status.lock().unwrap() = 204;
    world.sim.create(Kind::PurchaseOrders, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    let mut pauses = Vec::new();
    let mut last = world.sim.next_webhook().unwrap();
    while let Some(due) = world.sim.next_webhook() {
        pauses.push(due.saturating_since(last).as_secs() / 60);
        world.clock.set(due);
        last = due;
        world.sim.deliver(&*subscriber).await;
    }
    assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
}

#[tokio::test]
async fn lines_umbrella_and_late_checks_are_switchable() {
    let (world, subscriber) = subscribed(&["PurchaseEntries", "FinancialTransactions"]).await;
    world.sim.tune(|quirks| {
        quirks.tells_lines = true;
        quirks.creates_are_updates = true;
        quirks.late_check = true;
    });
    let entry = world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    let told = world.sim.take_webhooks();
    let lines = world.sim.line_ids(Kind::PurchaseEntries, &entry);
    let keys: Vec<&str> = told.iter().map(|delivery| delivery.about.key.as_str()).collect();
    assert_eq!(keys, [entry.as_str(), &lines[0], &entry, &lines[0]]);
    assert!(told.iter().all(|delivery| delivery.about.action == "Update"));
    *subscriber.status.lock().unwrap() = 500;
    assert_eq!(world.subscribe("BankEntries", CALLBACK).await.status, 201);
    assert_eq!(world.sim.subscriptions().len(), 3);
    world.clock.advance(Duration::from_secs(1));
    world.sim.deliver(&*subscriber).await;
    assert_eq!(world.sim.subscriptions().len(), 2, "the late check failed");
}
