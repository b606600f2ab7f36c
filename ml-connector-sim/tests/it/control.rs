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

#[tokio::test]
async fn people_act_in_slack_through_curl() {
    let workspace = crate::slack::workspace();
    let ts = workspace.card("C07ACCTNG1").await;
    let sim = async |method: Method, path: &str, body: Value| {
        call(&workspace.transport, method, &format!("https://slack.com/_sim/{path}"), &body).await
    };
    let message = format!("channels/C07ACCTNG1/messages/{ts}");
    let tom = "U07CLERK01";
    let react = json!({ "user": tom, "name": "eyes" });
    let reactions = format!("{message}/reactions");
    assert_eq!(sim(Method::POST, &reactions, react.clone()).await.status, StatusCode::OK);
    assert_eq!(sim(Method::POST, &reactions, react.clone()).await.status, StatusCode::CONFLICT);
    let read = sim(Method::GET, "channels/C07ACCTNG1/messages", Value::Null).await;
    assert_eq!(read.body["messages"][0]["reactions"][0]["users"], json!([tom]));
    sim(Method::DELETE, &reactions, react).await;

    let click = json!({ "user": tom, "action_id": "approve", "inputs": { "why": "in order" } });
    let clicked = sim(Method::POST, &format!("{message}/clicks"), click).await;
    let url = clicked.body["response_url"].as_str().unwrap();
    assert!(url.starts_with("https://hooks.slack.com/actions/"));
    workspace.deliver().await;
    let attempts = sim(Method::GET, "attempts", Value::Null).await;
    let names: Vec<_> =
        attempts.body["attempts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["reaction_added", "reaction_removed", "approve"]);
    let heard = workspace.app.heard().pop().unwrap().payload();
    assert_eq!(heard["state"]["values"]["why"]["why.text"]["value"], "in order");

    call(&workspace.transport, Method::POST, url, &json!({ "text": "x" })).await;
    let seen = sim(Method::GET, &format!("users/{tom}/ephemerals"), Value::Null).await;
    assert_eq!(seen.body["ephemerals"], json!([]), "without a content type nothing is read");
    let nothing = sim(Method::POST, "views/V1/submission", json!({ "user": tom })).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    assert_eq!(sim(Method::GET, &format!("users/{tom}/views"), Value::Null).await.body["views"], json!([]));
    sim(Method::POST, "channels/C07ACCTNG1/name", json!({ "name": "ledger" })).await;
    sim(Method::POST, "channels/C07ACCTNG1/archive", json!({ "user": tom })).await;
    sim(Method::POST, "uninstall", Value::Null).await;
    let told: Vec<String> = workspace.deliver().await.into_iter().map(|attempt| attempt.about.name).collect();
    assert_eq!(told, ["tokens_revoked", "app_uninstalled"]);
}
