//! Zoho Books: webhooks that are set up through the API, and what documents refer to.

use std::time::Duration;

use ml_connector_core::model::Decimal;
use ml_connector_sim::zoho::{Entity, NewDocument, NewRecord, Organization, Plan, ZohoBooksConfig};
use serde_json::{Value, json};

use crate::{
    Answered, post, send,
    zoho::{Books, books, books_with, code},
};

const ORG: &str = "organization_id=778812345";

/// A call of the settings, a second after the last one.
async fn set(books: &Books, token: &str, path: &str, body: Value) -> Answered {
    books.clock.advance(Duration::from_secs(1));
    let url = format!("https://www.zohoapis.com/books/v3/settings/{path}?{ORG}");
    send(&books.transport, post(&url, token, "application/json", body.to_string())).await.unwrap()
}

fn hook(name: &str, entity: &str) -> Value {
    json!({ "webhook_name": name, "entity": entity, "secret": "mlcZohoSecret2026",
            "url": "https://erp.example.com/hooks?mlc_event=invoice.changed&mlc_org=778812345" })
}

fn rule(entity: &str, webhook: &Value) -> Value {
    json!({ "workflow_name": "r", "entity": entity, "rule_type": "add_edit",
            "instant_actions": [{ "action_type": "webhook", "action_id": webhook }] })
}

#[tokio::test]
async fn a_webhook_is_called_by_an_active_rule_only_and_its_history_is_sent_again_as_it_was() {
    let books = books();
    let token = books.token().await;
    let created = set(&books, &token, "webhooks", hook("a", "invoice")).await;
    let id = created.body["webhook"]["webhook_id"].clone();
    assert_eq!(created.body["webhook"]["secret"], Value::Null, "it is not given back");
    let invoice = || books.sim.create_invoice(NewDocument::new("Bluebird", Decimal::new(100, 0))).unwrap();
    invoice();
    assert!(books.sim.take_webhooks().is_empty(), "no rule calls it");
    assert_eq!(code(&set(&books, &token, "workflows", rule("invoice", &id)).await), (200, 0));
    invoice();
    let sent = books.sim.take_webhooks();
    assert_eq!((sent.len(), &*sent[0].about.event), (1, "invoice.changed"));
    let histories = books.get(&token, &format!("settings/webhooks/histories?{ORG}")).await;
    let history = histories.body["histories"][0]["history_id"].as_str().unwrap().to_owned();
    set(&books, &token, &format!("webhooks/histories/{history}/resend"), json!({})).await;
    let again = books.sim.take_webhooks();
    assert_eq!(again[0].request.headers(), sent[0].request.headers());
    assert_eq!(again[0].request.body(), sent[0].request.body());
    assert!(books.sim.deactivate_workflow("r"));
    invoice();
    assert!(books.sim.take_webhooks().is_empty());
}

#[tokio::test]
async fn names_are_taken_once_modules_have_ten_rules_and_some_plans_none() {
    let books = books();
    let token = books.token().await;
    let created = set(&books, &token, "webhooks", hook("a", "invoice")).await;
    assert_eq!(code(&set(&books, &token, "webhooks", hook("a", "bill")).await), (400, 107_051));
    assert_eq!(code(&set(&books, &token, "webhooks", hook("b", "estimate")).await), (400, 2));
    let id = &created.body["webhook"]["webhook_id"];
    for _ in 0..10 {
        assert_eq!(code(&set(&books, &token, "workflows", rule("invoice", id)).await), (200, 0));
    }
    assert_eq!(code(&set(&books, &token, "workflows", rule("invoice", id)).await).0, 400);

    let mut config = ZohoBooksConfig::default();
    config.organizations = vec![Organization { plan: Plan::Standard, ..config.organizations[0].clone() }];
    let books = books_with(config);
    let token = books.token().await;
    assert_eq!(code(&set(&books, &token, "webhooks", hook("a", "invoice")).await).0, 400);
}

#[tokio::test]
async fn the_settings_are_called_slowly() {
    let books = books();
    let token = books.token().await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(code(&books.get(&token, &format!("settings/webhooks?{ORG}")).await));
    }
    assert_eq!(answers, [(200, 0), (200, 0), (429, 44)]);
}

#[tokio::test]
async fn lists_have_their_own_order_filters_and_sizes() {
    let books = books();
    let token = books.token().await;
    let make = |entity, name: &str| {
        books.clock.advance(Duration::from_secs(60));
        books.sim.create_record(entity, NewRecord::new(name, Decimal::new(25, 1))).unwrap()
    };
    let (zeta, alpha) = (make(Entity::Contact, "Zeta"), make(Entity::Contact, "Alpha"));
    let list = async |path: String, key: &str, field: &str| {
        let answer = books.get(&token, &format!("{path}{ORG}")).await;
        let rows = answer.body[key].as_array().unwrap().iter().map(|row| row[field].clone());
        (rows.collect::<Vec<_>>(), answer.body["page_context"].clone())
    };
    assert_eq!(list("contacts?".into(), "contacts", "contact_id").await.0, [&*alpha, &*zeta]);
    books.clock.advance(Duration::from_secs(60));
    books.sim.rename(Entity::Contact, &zeta, "Zeta & Sons").unwrap();
    let by_stamp = "contacts?sort_column=last_modified_time&sort_order=D&".to_owned();
    assert_eq!(list(by_stamp, "contacts", "contact_id").await.0, [&*zeta, &*alpha]);

    let (first, second) = (make(Entity::PurchaseOrder, "Zeta"), make(Entity::PurchaseOrder, "Alpha"));
    let (orders, context) =
        list("purchaseorders?sort_order=A&".into(), "purchaseorders", "purchaseorder_id").await;
    assert_eq!((orders, &context["sort_order"]), (vec![json!(second), json!(first)], &json!("D")));

    let account = make(Entity::Account, "Sales");
    books.sim.set_status(Entity::Account, &account, "inactive").unwrap();
    let (rows, context) = list("chartofaccounts?".into(), "chartofaccounts", "account_id").await;
    assert_eq!((rows.len(), &context["per_page"]), (0, &json!(5000)));
    let all = "chartofaccounts?filter_by=AccountType.All&".to_owned();
    assert_eq!(list(all, "chartofaccounts", "is_active").await.0, [false]);

    let currency = make(Entity::Currency, "SEK");
    let detail = books.get(&token, &format!("settings/currencies/{currency}?{ORG}")).await;
    assert_eq!(
        (&detail.body["currency"]["exchange_rate"], detail.body["currency"].get("last_modified_time")),
        (&json!(2.5), None)
    );
    assert_eq!(books.get(&token, &format!("users?{ORG}")).await.body["users"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn payments_received_heed_the_filter_that_nobody_documents_when_they_are_told_to() {
    let books = books();
    let token = books.token().await;
    let invoice = books.sim.create_invoice(NewDocument::new("Bluebird", Decimal::new(100, 0))).unwrap();
    books.sim.mark_sent(&invoice).unwrap();
    books.sim.pay_invoice(&invoice, Decimal::new(40, 0)).unwrap();
    for (heeds, rows) in [(false, 1), (true, 0)] {
        books.sim.set_payments_filter(heeds);
        let path = format!("customerpayments?last_modified_time=2030-01-01T00:00:00%2B0000&{ORG}");
        let answer = books.get(&token, &path).await;
        assert_eq!(answer.body["customerpayments"].as_array().unwrap().len(), rows);
    }
}
