//! Workflow webhooks of Zoho Books: when they fire, what they carry, how they are signed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use ml_connector_core::{
    Secret,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    DeliveryTuning, SimTransport, ZohoBooksSim,
    zoho::{
        Entity, EventKind, NewDocument, Organization, Plan, WebhookDelivery, WebhookRule, ZohoBooksConfig,
        signature,
    },
};
use serde_json::Value;

use crate::clock;

const SECRET: &str = "mlcZohoSecret2026";

fn rule(entity: Entity, kind: EventKind) -> WebhookRule {
    let url = "https://erp.example.com/hooks/zoho".parse().unwrap();
    WebhookRule::new(entity, kind, url, Some(Secret::from(SECRET)))
}

fn books(rules: &[(Entity, EventKind)]) -> ZohoBooksSim {
    let sim = ZohoBooksSim::new(clock());
    for (entity, kind) in rules {
        sim.add_webhook(rule(*entity, *kind)).unwrap();
    }
    sim
}

fn invoice(sim: &ZohoBooksSim) -> String {
    sim.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(14997, 2))).unwrap()
}

fn events(deliveries: &[WebhookDelivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.about.event.as_str()).collect()
}

#[test]
fn the_published_and_the_recorded_vectors_verify() {
    let check = |query: &str, content_type: &str, body: &[u8], expected: &str| {
        assert_eq!(signature(&Secret::from(SECRET), query, content_type, body), expected, "{query}");
    };
    let json = br#"{"created_date":"2019-03-06","event_id":"5675"}"#;
    check(
        "subscription_id=90343&name=basic",
        "application/json;charset=UTF-8",
        json,
        "f0a00977441e42358e89372deee51518afbde3ae4a29e4841664515907d6579c",
    );
    check("", "application/json", json, "32d59db84ae56a980e32944f9d05363f628a2e9d62db920be04cda603b0cd484");

    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoho-books");
    let mut checked = 0;
    for file in std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()) {
        if !file.to_str().unwrap().ends_with(".request.json") {
            continue;
        }
        let request: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let body = match request["body_file"].as_str() {
            Some(name) => std::fs::read(format!("{fixtures}/{name}")).unwrap(),
            None => request["body_raw"].as_str().unwrap().as_bytes().to_vec(),
        };
        let header = |name: &str| request["headers"][name].as_str().unwrap();
        check(
            request["query"].as_str().unwrap(),
            header("Content-Type"),
            &body,
            header("X-Zoho-Webhook-Signature"),
        );
        checked += 1;
    }
    assert_eq!(checked, 9);
}

#[test]
fn a_change_sends_the_record_as_the_detail_shows_it() {
    let sim = books(&[(Entity::Invoice, EventKind::Changed), (Entity::CustomerPayment, EventKind::Created)]);
    let id = invoice(&sim);
    sim.mark_sent(&id).unwrap();
    sim.pay_invoice(&id, Decimal::new(14997, 2)).unwrap();
    let deliveries = sim.take_webhooks();
    assert_eq!(
        events(&deliveries),
        ["invoice.changed", "invoice.changed", "invoice.changed", "customerpayment.created"]
    );
    let last: Value = serde_json::from_slice(deliveries[2].request.body()).unwrap();
    assert_eq!(last["invoice"]["status"], "paid");
    assert_eq!(last["invoice"]["total"].to_string(), "149.97");
    let payment: Value = serde_json::from_slice(deliveries[3].request.body()).unwrap();
    assert_eq!(payment["payment"]["amount"].to_string(), "149.97");

    let request = &deliveries[0].request;
    assert_eq!(
        request.uri(),
        "https://erp.example.com/hooks/zoho?mlc_event=invoice.changed&mlc_org=778812345"
    );
    let sent = request.headers()["x-zoho-webhook-signature"].to_str().unwrap();
    let query = request.uri().query().unwrap();
    assert_eq!(sent, signature(&Secret::from(SECRET), query, "application/json", request.body()));
    assert!(sim.take_webhooks().is_empty());
}

#[test]
fn a_deleted_record_sends_its_id_only() {
    let sim = books(&[(Entity::Invoice, EventKind::Deleted)]);
    let id = invoice(&sim);
    sim.delete(Entity::Invoice, &id).unwrap();
    let [delivery] = &sim.take_webhooks()[..] else { panic!("expected one delivery") };
    assert_eq!(delivery.request.body(), format!(r#"{{"invoice":{{"invoice_id":"{id}"}}}}"#).as_bytes());
}

#[test]
fn submitting_a_bill_fires_its_own_rule() {
    let sim = books(&[(Entity::Bill, EventKind::Submitted)]);
    let bill = sim.create_bill(NewDocument::new("Northgate Paper Co", Decimal::TEN)).unwrap();
    sim.submit_for_approval(Entity::Bill, &bill).unwrap();
    assert_eq!(events(&sim.take_webhooks()), ["bill.submitted"]);
}

#[test]
fn a_due_date_rule_fires_once_per_due_date() {
    let clock = clock();
    let sim = ZohoBooksSim::new(clock.clone());
    sim.add_webhook(rule(Entity::Invoice, EventKind::Overdue { days: 7 })).unwrap();
    let id = sim
        .create_invoice(
            NewDocument::new("Bluebird Logistics", Decimal::TEN).due(Date::parse("2026-03-13").unwrap()),
        )
        .unwrap();
    sim.mark_sent(&id).unwrap();
    clock.advance(Duration::from_secs(7 * 86_400));
    assert!(sim.take_webhooks().is_empty());
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(events(&sim.take_webhooks()), ["invoice.overdue"]);
    assert!(sim.take_webhooks().is_empty());
}

#[test]
fn webhooks_go_wrong_as_tuned() {
    let sim = books(&[(Entity::Invoice, EventKind::Created)]);
    let tuned = |change: fn(&mut DeliveryTuning)| {
        sim.tune_webhooks(|tuning| *tuning = DeliveryTuning::default());
        sim.tune_webhooks(change);
        invoice(&sim);
        sim.take_webhooks()
    };
    let signed_right = |delivery: &WebhookDelivery| {
        let headers = delivery.request.headers();
        let content_type = headers["content-type"].to_str().unwrap();
        let query = delivery.request.uri().query().unwrap();
        let right = signature(&Secret::from(SECRET), query, content_type, delivery.request.body());
        headers.get("x-zoho-webhook-signature").map(|header| header.to_str().unwrap() == right)
    };
    let twice = tuned(|tuning| tuning.duplicates = 1);
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].request.body(), twice[1].request.body());
    assert!(tuned(|tuning| tuning.lose = 1).is_empty());
    assert_eq!(signed_right(&tuned(|tuning| tuning.wrong_secret = true)[0]), Some(false));
    assert_eq!(signed_right(&tuned(|tuning| tuning.unsigned = true)[0]), None);
    let form = {
        sim.set_webhook_forms(true);
        tuned(|_| ())
    };
    assert_eq!(signed_right(&form[0]), Some(true));
    assert!(form[0].request.body().starts_with(b"invoice_id="));
}

#[test]
fn workflow_rules_are_not_part_of_every_plan_and_end_at_a_thousand_a_day() {
    let mut config = ZohoBooksConfig::default();
    config.organizations[0] = Organization { plan: Plan::Standard, ..config.organizations[0].clone() };
    let standard = ZohoBooksSim::with_config(clock(), config);
    assert!(standard.add_webhook(rule(Entity::Invoice, EventKind::Changed)).is_err());

    let sim = books(&[(Entity::Invoice, EventKind::Created)]);
    for _ in 0..1001 {
        invoice(&sim);
    }
    assert_eq!(sim.take_webhooks().len(), 1000);
}

#[tokio::test]
async fn a_failed_delivery_comes_again_unchanged_if_there_is_a_retry_policy() {
    let clock = clock();
    let sim = ZohoBooksSim::new(clock.clone());
    sim.add_webhook(rule(Entity::Invoice, EventKind::Created)).unwrap();
    sim.set_webhook_retries(true);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let seen = Arc::clone(&seen);
        Router::new().route(
            "/hooks/zoho",
            post(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
                let mut seen = seen.lock().unwrap();
                seen.push((
                    uri.query().map(str::to_owned),
                    headers["x-zoho-webhook-signature"].clone(),
                    body,
                ));
                if seen.len() < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
            }),
        )
    };
    let transport = SimTransport::new().with_router("https://erp.example.com", receiver);
    invoice(&sim);
    let mut attempts = Vec::new();
    for minutes in [0, 4, 1, 29, 1, 200] {
        clock.advance(Duration::from_secs(minutes * 60));
        attempts.push(
            sim.deliver_webhooks(&transport).await.first().map(|it| (it.number, it.status.unwrap().as_u16())),
        );
    }
    assert_eq!(attempts, [Some((1, 503)), None, Some((2, 503)), None, Some((3, 200)), None]);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], seen[2]);
}
