//! The control surface over HTTP.

use http::{Method, Request, StatusCode};
use ml_connector_sim::{SimTransport, SlackSim, ZohoBooksSim, zoho::Entity};
use serde_json::{Value, json};

use crate::{Answered, clock, send};

async fn call(transport: &SimTransport, method: Method, url: &str, body: &Value) -> Answered {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(url).body(body.into()).unwrap();
    send(transport, request).await.unwrap()
}

#[tokio::test]
async fn an_invoice_lives_its_life_through_curl() {
    let sim = ZohoBooksSim::new(clock());
    let transport = SimTransport::new().with_zoho_books(&sim);
    let books = "https://www.zohoapis.com/_sim";
    let post = async |path: &str, body: Value| {
        call(&transport, Method::POST, &format!("{books}/{path}"), &body).await
    };
    let created = post("invoices", json!({ "total": "149.97", "due_date": "2026-03-20" })).await;
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(sim.status_of(Entity::Invoice, id), Some("draft"));
    let paid_early = post(&format!("invoices/{id}/payments"), json!({ "amount": "1" })).await;
    assert_eq!(paid_early.status, StatusCode::CONFLICT);
    assert_eq!(post(&format!("invoices/{id}/sent"), Value::Null).await.status, StatusCode::OK);
    assert_eq!(
        post(&format!("invoices/{id}/payments"), json!({ "amount": "149.97" })).await.status,
        StatusCode::OK
    );
    assert_eq!(sim.status_of(Entity::Invoice, id), Some("paid"));

    // Amounts are text, so that nobody's JSON library rounds them.
    assert_eq!(post("invoices", json!({ "total": 149.97 })).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(post("invoices/1/sent", Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(post("nonsense", Value::Null).await.status, StatusCode::NOT_FOUND);
    let deleted = call(&transport, Method::DELETE, &format!("{books}/invoices/{id}"), &Value::Null).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(sim.status_of(Entity::Invoice, id), None);
    let report = call(&transport, Method::GET, &format!("{books}/report"), &Value::Null).await;
    assert_eq!((&report.body["requests"], &report.body["limit_violations"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn faults_are_planted_and_messages_read_through_curl() {
    let sim = SlackSim::new(clock());
    let transport = SimTransport::new().with_slack(&sim);
    let slack = "https://slack.com/_sim";
    let fault = json!({ "fault": "status", "status": 503, "on": "auth.test", "after": 1, "times": 2 });
    let planted = call(&transport, Method::POST, &format!("{slack}/faults"), &fault).await;
    assert_eq!(planted.body, json!({ "waiting": 2 }));
    let misspelled = json!({ "fault": "status", "statuss": 503 });
    let refused = call(&transport, Method::POST, &format!("{slack}/faults"), &misspelled).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = call(&transport, Method::POST, "https://slack.com/api/auth.test", &Value::Null).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [200, 503, 503, 200]);

    let said = json!({ "user": "U07CLERK01", "text": "hello" });
    call(&transport, Method::POST, &format!("{slack}/channels/C07ACCTNG1/messages"), &said).await;
    let read =
        call(&transport, Method::GET, &format!("{slack}/channels/C07ACCTNG1/messages"), &Value::Null).await;
    assert_eq!(read.body["messages"][0]["text"], "hello");
    let report = call(&transport, Method::GET, &format!("{slack}/report"), &Value::Null).await;
    assert_eq!((&report.body["requests"], &report.body["duplicates"]), (&json!(4), &json!([])));
}
