//! Clicks and commands: what they carry, and the answers that need no token.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::ErrorKind;
use ml_connector_sim::slack::{Channel, DeliveryKind};
use serde_json::{Value, json};

use super::{ACCOUNTING, ANNA, APPROVALS, FORM, JSON, TOM, Workspace, error, ok, workspace};
use crate::{Answered, post, send};

#[tokio::test]
async fn only_what_a_person_sees_can_be_clicked() {
    let workspace = workspace();
    let private = Channel::new("C07SECRET1", "secret").private().with_members(&[ANNA]);
    workspace.sim.set_channel(private);
    let ts = workspace.card("C07SECRET1").await;
    for (ts, action, user, expected) in [
        (ts.as_str(), "approve", TOM, ErrorKind::NotFound),
        (&ts, "approve", "U07NOBODY1", ErrorKind::NotFound),
        ("1.000000", "approve", ANNA, ErrorKind::NotFound),
        (&ts, "pay", ANNA, ErrorKind::Conflict),
    ] {
        assert_eq!(workspace.sim.click("C07SECRET1", ts, action, user).unwrap_err().kind(), expected);
    }
    ok(&workspace.call("chat.update", json!({ "channel": "C07SECRET1", "ts": ts, "text": "done" })).await);
    let late = workspace.sim.click("C07SECRET1", &ts, "approve", ANNA).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert!(workspace.deliver().await.is_empty());
}

#[tokio::test]
async fn a_click_carries_the_message_the_person_and_what_was_entered() {
    let workspace = workspace();
    let ts = workspace.card(APPROVALS).await;
    let clicked = workspace.sim.click_with(APPROVALS, &ts, "approve", ANNA, &[("why", "in order")]).unwrap();
    // What the card becomes later is not what was clicked.
    ok(&workspace.call("chat.update", json!({ "channel": APPROVALS, "ts": ts, "text": "done" })).await);
    let attempts = workspace.deliver().await;
    assert_eq!(
        (attempts[0].about.kind, attempts[0].about.name.as_str()),
        (DeliveryKind::BlockActions, "approve")
    );
    let heard = workspace.app.heard().pop().unwrap();
    assert!(heard.signed_by(&workspace.sim) && heard.header("content-type") == FORM);
    let payload = heard.payload();
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(
        payload["user"],
        json!({
            "id": ANNA, "username": "anna.verhoeven", "name": "anna.verhoeven", "team_id": "T07LEDGER1",
        })
    );
    assert_eq!(payload["team"], json!({ "id": "T07LEDGER1", "domain": "ledgerworks" }));
    assert_eq!(payload["channel"], json!({ "id": APPROVALS, "name": "privategroup" }));
    assert_eq!(
        payload["container"],
        json!({
            "type": "message", "message_ts": ts, "channel_id": APPROVALS, "is_ephemeral": false,
        })
    );
    assert_eq!(
        (&payload["message"]["ts"], &payload["message"]["text"]),
        (&json!(ts), &json!("Invoice PI-1"))
    );
    assert_eq!(payload["message"]["metadata"]["event_payload"]["delivery_id"], "d-1");
    let action = &payload["actions"][0];
    assert_eq!(
        (&action["action_id"], &action["block_id"], &action["value"], &action["confirm"]["deny"]["text"]),
        (&json!("approve"), &json!("act"), &json!("key-1"), &json!("Cancel"))
    );
    assert!(action["action_ts"].as_str().unwrap() > ts.as_str());
    assert_eq!(
        payload["state"]["values"]["why"]["why.text"],
        json!({ "type": "plain_text_input", "value": "in order" })
    );
    assert_eq!(
        (&payload["trigger_id"], &payload["response_url"]),
        (&json!(clicked.trigger_id), &json!(clicked.response_url))
    );
}

#[tokio::test]
async fn a_click_is_tried_once_and_the_person_is_told() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap();
    workspace.app.answers(500, "");
    assert_eq!(workspace.deliver().await[0].failure, Some("http_error"));
    assert_eq!(workspace.sim.next_delivery(), None);
    let trouble = "We had some trouble connecting";
    assert!(workspace.page(&format!("/?as={ANNA}")).await.1.contains(trouble));
    assert!(!workspace.page(&format!("/?as={TOM}")).await.1.contains(trouble));
    workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap();
    assert_eq!(workspace.interaction().await["actions"][0]["action_id"], "approve");
    assert!(!workspace.page(&format!("/?as={ANNA}")).await.1.contains(trouble));
    let latencies: Vec<Duration> = workspace.sim.attempts().iter().map(|attempt| attempt.latency).collect();
    assert_eq!(latencies, [Duration::ZERO; 2]);
}

async fn respond(workspace: &Workspace, url: &str, body: Value) -> Answered {
    workspace.clock.advance(Duration::from_secs(1));
    send(&workspace.transport, post(url, "", JSON, body.to_string())).await.unwrap()
}

#[tokio::test]
async fn a_response_url_works_five_times_within_thirty_minutes() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let url = workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap().response_url;
    let body = json!({ "text": "not allowed" });
    let nothing = respond(&workspace, &url, json!({ "response_type": "ephemeral" })).await;
    assert_eq!((nothing.status, &nothing.body["error"]), (StatusCode::BAD_REQUEST, &json!("no_text")));
    for _ in 0..5 {
        assert_eq!(respond(&workspace, &url, body.clone()).await.body, json!({ "ok": true }));
    }
    let used = respond(&workspace, &url, body.clone()).await;
    assert_eq!((used.status, &used.body["error"]), (StatusCode::NOT_FOUND, &json!("used_url")));
    let seen = workspace.sim.ephemerals(ANNA);
    assert_eq!((seen.len(), seen[0].text.as_str()), (5, "not allowed"));
    assert!(workspace.sim.ephemerals(TOM).is_empty());

    let url = workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap().response_url;
    workspace.clock.advance(Duration::from_secs(30 * 60));
    let expired = respond(&workspace, &url, body.clone()).await;
    assert_eq!((expired.status, &expired.body["error"]), (StatusCode::NOT_FOUND, &json!("expired_url")));
    let unknown = respond(&workspace, "https://hooks.slack.com/actions/T07LEDGER1/1/x", body).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_response_counts_against_the_channel() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let url = workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap().response_url;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer =
            send(&workspace.transport, post(&url, "", JSON, json!({ "text": "x" }).to_string())).await;
        statuses.push(answer.unwrap().status.as_u16());
    }
    assert_eq!((statuses, workspace.sim.limit_violations()), (vec![200, 200, 429], 1));
}

#[tokio::test]
async fn a_response_replaces_deletes_or_joins_the_channel() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let click = || workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap().response_url;
    let (replace, delete) = (click(), click());
    respond(&workspace, &replace, json!({ "replace_original": "true", "text": "posted" })).await;
    let card = workspace.sim.posts(ACCOUNTING).remove(0);
    assert_eq!((card.text.as_str(), &card.blocks, card.edits), ("posted", &Value::Null, 1));
    assert_eq!(workspace.sim.revisions(ACCOUNTING, &ts)[0].text, "Invoice PI-1");
    let shown = json!({ "response_type": "in_channel", "text": "all see", "thread_ts": ts });
    respond(&workspace, &replace, shown).await;
    assert_eq!(workspace.sim.posts(ACCOUNTING)[1].thread_ts.as_deref(), Some(ts.as_str()));
    respond(&workspace, &delete, json!({ "delete_original": true })).await;
    // With a reply its place stays.
    assert_eq!(workspace.sim.posts(ACCOUNTING)[0].text, "This message was deleted.");
}

#[tokio::test]
async fn an_ephemeral_message_is_clicked_and_replaced_by_its_reader_alone() {
    let workspace = workspace();
    let button = json!({ "type": "actions", "elements": [
        { "type": "button", "action_id": "again", "text": { "type": "plain_text", "text": "Again" } },
    ] });
    let args = json!({ "channel": ACCOUNTING, "user": ANNA, "text": "for you", "blocks": [button] });
    let ts = ok(&workspace.call("chat.postEphemeral", args).await)["message_ts"].as_str().unwrap().to_owned();
    assert!(workspace.sim.click(ACCOUNTING, &ts, "again", TOM).is_err());
    let clicked = workspace.sim.click(ACCOUNTING, &ts, "again", ANNA).unwrap();
    let payload = workspace.interaction().await;
    assert_eq!(payload["container"]["is_ephemeral"], true);
    respond(&workspace, &clicked.response_url, json!({ "replace_original": true, "text": "done" })).await;
    let seen = workspace.sim.ephemerals(ANNA);
    assert_eq!((seen.len(), seen[0].text.as_str()), (1, "done"));
    let update = json!({ "channel": ACCOUNTING, "ts": ts, "text": "x" });
    assert_eq!(error(&workspace.call("chat.update", update).await), "cant_update_message");
    assert!(workspace.sim.posts(ACCOUNTING).is_empty());
}

#[tokio::test]
async fn a_command_is_a_form_and_its_answer_a_message() {
    let workspace = workspace();
    let typed = || workspace.sim.command(ACCOUNTING, TOM, "/overdue", "30 days");
    assert_eq!(typed().unwrap_err().kind(), ErrorKind::PermissionDenied);
    workspace.sim.set_scopes(&["commands", "chat:write"]);
    for (status, answer, expected) in [
        (200, "", None),
        (200, "three invoices", Some("three invoices")),
        (200, r#"{"text":"for you"}"#, Some("for you")),
        (500, "", Some("The command failed: the app did not respond.")),
    ] {
        let before = workspace.sim.ephemerals(TOM).len();
        let typed = typed().unwrap();
        workspace.app.answers(status, answer);
        assert_eq!(workspace.deliver().await[0].about.kind, DeliveryKind::Command);
        let heard = workspace.app.heard().pop().unwrap();
        assert_eq!(
            (heard.field("command"), heard.field("text")),
            ("/overdue".to_owned(), "30 days".to_owned())
        );
        assert!(std::str::from_utf8(&heard.body).unwrap().contains("text=30+days"));
        assert_eq!(heard.field("response_url"), typed.response_url);
        let seen = workspace.sim.ephemerals(TOM);
        assert_eq!(seen.get(before).map(|seen| seen.text.as_str()), expected, "{answer}");
    }
    typed().unwrap();
    workspace.app.answers(200, r#"{"response_type":"in_channel","text":"for all"}"#);
    workspace.deliver().await;
    assert_eq!(workspace.sim.posts(ACCOUNTING)[0].text, "for all");
}
