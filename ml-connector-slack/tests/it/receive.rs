//! What Slack sends is proven, understood, and never refused for nothing.

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, ReceiveRequest, Result, Secret, Source, Timestamp,
    approval::Choice,
    model::{Intake, Subject},
    webhook::{Encoding, HmacSha256},
};
use ml_connector_slack::{Slack, SlackSource};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::fixture;

pub(crate) const SECRET: &str = "3f1c9a7be4d24c0f9e6b5a1d8c7e2f40";
/// When the fixtures were signed.
pub(crate) const SIGNED: i64 = 1_767_225_600;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn source_with(secret: &str) -> SlackSource {
    let slack = Slack::builder("slack").token("xoxb-1").signing_secret(secret).team("T07LEDGER1");
    slack.app("A07MLCONN1").build().unwrap().source().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A request as Slack signs it.
pub(crate) fn signed(content_type: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    let body = body.into();
    let verifier = HmacSha256::new(&[Secret::from(SECRET)]).unwrap();
    let stamp = SIGNED.to_string();
    let digest = verifier.sign(&[b"v0:", stamp.as_bytes(), b":", &body], Encoding::Hex);
    Request::post("/")
        .header("content-type", content_type)
        .header("x-slack-request-timestamp", stamp)
        .header("x-slack-signature", format!("v0={digest}"))
        .body(body)
        .unwrap()
}

/// An interaction, as a form.
pub(crate) fn interaction(payload: &Value) -> Request<Bytes> {
    let body =
        form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    signed(FORM, body)
}

fn receive(request: &Request<Bytes>) -> Result<Intake> {
    source_with(SECRET).receive(ReceiveRequest::new(request, at(SIGNED)))
}

fn accepted(request: &Request<Bytes>) -> Intake {
    let intake = receive(request).unwrap();
    assert_eq!(intake.reply.status(), 200);
    intake
}

fn subjects(intake: &Intake) -> Vec<String> {
    let named = |subject: &Subject| match subject {
        Subject::Entity(entity) => entity.to_string(),
        other => format!("{other:?}"),
    };
    intake.signals.iter().map(|signal| named(&signal.subject)).collect()
}

fn kind(error: &Error) -> ErrorKind {
    error.kind()
}

#[test]
fn every_signed_fixture_is_taken_for_what_it_is() {
    let signatures: Value = serde_json::from_str(&fixture("signatures.json")).unwrap();
    let mut taken = Vec::new();
    for request in signatures["requests"].as_array().unwrap() {
        let file = request["file"].as_str().unwrap();
        let headers = request["headers"].as_object().unwrap();
        let mut built = Request::post("/");
        for (name, value) in headers {
            built = built.header(name, value.as_str().unwrap());
        }
        let stamp: i64 = headers["X-Slack-Request-Timestamp"].as_str().unwrap().parse().unwrap();
        let built = built.body(Bytes::from(fixture(file))).unwrap();
        let intake = source_with(SECRET).receive(ReceiveRequest::new(&built, at(stamp))).unwrap();
        assert_eq!(intake.reply.status(), 200, "{file}");
        assert!(
            intake.signals.iter().all(|signal| signal.account == Some("team:T07LEDGER1".into())),
            "{file}"
        );
        taken.push(format!("{file}: {}", subjects(&intake).join(" ")));
    }
    assert_eq!(
        taken,
        [
            "url_verification.json: ",
            "event_reaction_added.json: reaction/C07APPROV1/1767225605.000219/U07APPROV1/white_check_mark",
            "event_reaction_added.retry1.json: reaction/C07APPROV1/1767225605.000219/U07APPROV1/white_check_mark",
            "event_reaction_removed.json: reaction/C07APPROV1/1767225605.000219/U07APPROV1/white_check_mark",
            "event_reaction_added.no_item_user.json: reaction/C07ACCTNG1/1767225610.000100/U07CLERK01/eyes",
            "event_message_own_bot.json: notice/Ev07MSG00001",
            "event_app_uninstalled.json: installation/T07LEDGER1",
            "event_tokens_revoked.json: installation/T07LEDGER1",
            "event_channel_archive.json: notice/Ev07CHARCH01",
            "app_rate_limited.json: notice/T07LEDGER1",
            "block_actions_approve.form: action/C07APPROV1/1767225605.000219/U07APPROV1/1767225720.112233",
            "block_actions_reject.form: action/C07APPROV1/1767225605.000219/U07APPROV1/1767225722.445566",
            "block_actions_url_button.form: action/C07APPROV1/1767225605.000219/U07APPROV1/1767225723.000100",
            "view_submission_reject.form: notice/9988776655445.1122334455667.b1c2d3e4f5061728394a5b6c7d8e9fa0",
            "view_closed.form: notice/view_closed",
            "slash_command.form: ",
        ]
    );
}

#[test]
fn a_retry_is_taken_like_the_first_and_has_the_same_number() {
    let number = |file: &str| {
        let mut request = signed(JSON, fixture(file));
        request.headers_mut().insert("x-slack-retry-num", "1".parse().unwrap());
        accepted(&request).signals[0].dedupe.clone().unwrap()
    };
    assert_eq!(number("event_reaction_added.json"), number("event_reaction_added.retry1.json"));
    assert_ne!(number("event_reaction_added.json"), number("event_reaction_removed.json"));
    let click = accepted(&signed(FORM, fixture("block_actions_approve.form")));
    assert!(click.signals[0].dedupe.as_ref().unwrap().as_str().starts_with("slack/click/9988776655443."));
}

#[test]
fn a_challenge_is_given_back_only_to_slack() {
    let request = signed(JSON, fixture("url_verification.json"));
    let intake = accepted(&request);
    assert_eq!(&intake.reply.body()[..], b"5kKq8hYw2mJr4tNc7vXz1bQe9sLp3dFa6gHu0iOyPnMrTbWx");
    let mut forged = request;
    forged.headers_mut().insert("x-slack-signature", format!("v0={}", "0".repeat(64)).parse().unwrap());
    assert_eq!(kind(&receive(&forged).unwrap_err()), ErrorKind::SignatureInvalid);
}

#[test]
fn a_probe_is_answered_unsigned_and_nothing_rides_on_it() {
    let unsigned =
        |body: String| Request::post("/").header("content-type", FORM).body(Bytes::from(body)).unwrap();
    assert!(accepted(&unsigned(fixture("ssl_check.form"))).signals.is_empty());
    for rider in [fixture("block_actions_approve.form"), fixture("slash_command.form")] {
        for body in [format!("ssl_check=1&{rider}"), format!("{rider}&ssl_check=1")] {
            assert_eq!(kind(&receive(&unsigned(body)).unwrap_err()), ErrorKind::SignatureInvalid);
        }
    }
    let json = Request::post("/").header("content-type", JSON).body(Bytes::from("ssl_check=1")).unwrap();
    assert_eq!(kind(&receive(&json).unwrap_err()), ErrorKind::SignatureInvalid);
}

#[test]
fn a_command_is_verified_and_told_that_there_is_none() {
    let intake = accepted(&signed(FORM, fixture("slash_command.form")));
    let said: Value = serde_json::from_slice(intake.reply.body()).unwrap();
    assert_eq!(said["response_type"], "ephemeral");
    assert!(said["text"].as_str().unwrap().contains("not configured"));
    assert!(intake.signals.is_empty());
}

#[test]
fn what_is_no_request_of_slack_s_is_refused_as_not_understood() {
    for (content_type, body) in [
        (JSON, ""),
        (JSON, "null"),
        (JSON, "[]"),
        (JSON, "{}"),
        (JSON, r#"{"type":"url_verification"}"#),
        (JSON, r#"{"type":"event_callback","event":{}}"#),
        (JSON, r#"{"type":"event_callback","event":7}"#),
        (JSON, r#"{"type":"event_callback","api_app_id":"A07OTHER01","event":{"type":"reaction_added"}}"#),
        (FORM, ""),
        (FORM, "x=1"),
        (FORM, "payload="),
        (FORM, "payload=null"),
        (FORM, "payload=%7B%7D"),
        (FORM, "payload=%7B%22type%22%3A%22block_actions%22%7D"),
        (FORM, "payload=%7B%22type%22%3A%22view_submission%22%7D"),
    ] {
        assert_eq!(
            kind(&receive(&signed(content_type, body)).unwrap_err()),
            ErrorKind::InvalidRequest,
            "{body}"
        );
    }
}

#[test]
fn what_is_not_known_is_taken_and_noted() {
    let event = |inner: Value| {
        let envelope =
            json!({"type": "event_callback", "team_id": "T07LEDGER1", "event_id": "Ev1", "event": inner});
        subjects(&accepted(&signed(JSON, envelope.to_string())))
    };
    for inner in [
        json!({"type": "team_join", "user": {"id": "U1"}}),
        json!({"type": "star_added", "item": "odd"}),
        json!({"type": "reaction_added", "item": {"type": "file", "file": "F1"}, "reaction": "x", "user": "U1"}),
        json!({"type": "reaction_added", "item": null, "reaction": null}),
        json!({"type": "reaction_added", "user": {"id": "U1"}, "item": 5}),
    ] {
        assert_eq!(event(inner.clone()), ["notice/Ev1"], "{inner}");
    }
    for payload in [
        json!({"type": "interactive_message", "actions": [{"name": "a", "type": "button"}], "team": {"id": "T07LEDGER1"}}),
        json!({"type": "shortcut", "trigger_id": "t1", "team": null, "enterprise": {"id": "E1"}}),
        json!({"type": "something_new"}),
    ] {
        assert_eq!(accepted(&interaction(&payload)).signals.len(), 1, "{payload}");
    }
}

#[test]
fn an_event_is_for_the_installation_it_came_through() {
    let account = |envelope: Value| accepted(&signed(JSON, envelope.to_string())).signals[0].account.clone();
    let of = |text: &str| Some(text.into());
    let event = json!({"type": "app_uninstalled"});
    for (envelope, expected) in [
        (json!({"team_id": "TOTHER", "authorizations": [{"team_id": "T1"}]}), of("team:T1")),
        (json!({"team_id": "TOTHER", "context_team_id": "T1", "authorizations": []}), of("team:T1")),
        (json!({"team_id": "T1"}), of("team:T1")),
        (
            json!({"team_id": null, "authorizations": [{"team_id": null, "enterprise_id": "E1"}]}),
            of("enterprise:E1"),
        ),
        // The whole organization has the app: which of its workspaces it is about does not matter.
        (
            json!({"team_id": "T1", "authorizations": [
                {"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": true},
            ]}),
            of("enterprise:E1"),
        ),
        (
            json!({"team_id": "T1", "context_team_id": "T1", "context_enterprise_id": "E1", "authorizations": [
                {"team_id": null, "enterprise_id": null, "is_enterprise_install": "true"},
            ]}),
            of("enterprise:E1"),
        ),
        (
            json!({"authorizations": [{"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": false}]}),
            of("team:T1"),
        ),
        (json!({}), None),
    ] {
        let mut envelope = envelope;
        (envelope["type"], envelope["event"]) = (json!("event_callback"), event.clone());
        assert_eq!(account(envelope.clone()), expected, "{envelope}");
    }
}

#[test]
fn an_interaction_is_for_the_installation_it_came_through() {
    let about = r#"{"value":"approval:abc:1","place":null}"#;
    let (team, organization) = (json!({"id": "T1"}), json!({"id": "E1"}));
    for (fields, expected) in [
        (json!({"team": team, "enterprise": organization, "is_enterprise_install": false}), "team:T1"),
        (json!({"team": team, "enterprise": organization, "is_enterprise_install": null}), "team:T1"),
        (json!({"team": team, "enterprise": organization, "is_enterprise_install": true}), "enterprise:E1"),
        (json!({"team": team, "enterprise": organization, "is_enterprise_install": "true"}), "enterprise:E1"),
        (json!({"team": null, "enterprise": organization, "is_enterprise_install": true}), "enterprise:E1"),
        (json!({"team": null, "enterprise": organization}), "enterprise:E1"),
        (json!({"team": team, "enterprise": null, "is_enterprise_install": true}), "team:T1"),
    ] {
        for payload in [click(Choice::APPROVE, "approval:abc:1", None), submission(about, &json!("why"))] {
            let mut payload = payload;
            for (key, value) in fields.as_object().unwrap() {
                payload[key] = value.clone();
            }
            let account = accepted(&interaction(&payload)).signals[0].account.clone();
            assert_eq!(account, Some(expected.into()), "{payload}");
        }
    }
    // Sent from another workspace, through a shared channel.
    let mut sent = submission(about, &json!("why"));
    sent["view"]["app_installed_team_id"] = json!("T9");
    assert_eq!(accepted(&interaction(&sent)).signals[0].account, Some("team:T9".into()));
}

/// A click on one of our buttons; `reason` is what stands in the line beside it, if there is one.
pub(crate) fn click(action: &str, value: &str, reason: Option<Value>) -> Value {
    let mut payload = json!({
        "type": "block_actions", "api_app_id": "A07MLCONN1", "trigger_id": "t1",
        "user": {"id": "U07APPROV1", "team_id": "T07LEDGER1"}, "team": {"id": "T07LEDGER1"},
        "channel": {"id": "C07APPROV1"}, "message": {"ts": "1767225605.000219"},
        "actions": [{"action_id": action, "action_ts": "1767225720.112233", "value": value}],
    });
    if let Some(reason) = reason {
        let input = json!({Choice::REASON: {"type": "plain_text_input", "value": reason}});
        payload["state"] = json!({"values": {Choice::REASON: input}});
    }
    payload
}

/// A dialog that was sent.
pub(crate) fn submission(about: &str, reason: &Value) -> Value {
    let input = json!({Choice::REASON: {"type": "plain_text_input", "value": reason}});
    json!({
        "type": "view_submission", "api_app_id": "A07MLCONN1", "trigger_id": "t2",
        "user": {"id": "U07APPROV1", "team_id": "T07LEDGER1"}, "team": {"id": "T07LEDGER1"},
        "view": {
            "id": "V1", "hash": "h1", "callback_id": "approval.reject", "private_metadata": about,
            "state": {"values": {Choice::REASON: input}},
        },
    })
}

#[test]
fn half_an_emoji_costs_no_reason() {
    let half = |payload: &Value| {
        let payload = payload.to_string().replace("HALF", r"\ud83d");
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload).finish();
        accepted(&signed(FORM, body))
    };
    let about = r#"{"value":"approval:abc:1","place":null}"#;
    let typed = json!("too dear HALF");
    for payload in [click(Choice::REJECT, "approval:abc:1", Some(typed.clone())), submission(about, &typed)] {
        let intake = half(&payload);
        assert!(intake.prompt.is_none() && subjects(&intake)[0].starts_with("action/"), "{intake:?}");
        let clicked = String::from_utf8_lossy(intake.signals[0].payload.as_ref().unwrap()).into_owned();
        assert!(clicked.contains("too dear \u{fffd}"), "{clicked}");
    }
}

#[test]
fn no_click_is_lost_for_a_member_that_it_does_not_need() {
    let plain = click("other", "other", None);
    let odd = [
        json!(null),
        json!(7),
        json!([1]),
        json!("x"),
        json!({"id": 7, "values": 7}),
        json!({"values": null}),
    ];
    for member in
        ["channel", "container", "message", "state", "view", "enterprise", "team", "trigger_id", "extra"]
    {
        for odd in &odd {
            let mut payload = plain.clone();
            payload[member] = odd.clone();
            let intake = accepted(&interaction(&payload));
            assert!(subjects(&intake)[0].starts_with("action/"), "{member} {odd}: {:?}", subjects(&intake));
        }
    }
    let mut payload = plain.clone();
    payload["actions"] = json!([7, {"action_id": 7}, plain["actions"][0], {"action_id": "a", "value": {}}]);
    assert_eq!(accepted(&interaction(&payload)).signals.len(), 2, "what can be read is taken");
    let input = json!({"x": 7, Choice::REASON: {"value": "too dear"}});
    payload["state"] = json!({"values": {"other": 7, Choice::REASON: input}});
    assert_eq!(accepted(&interaction(&payload)).signals.len(), 2);
}

#[test]
fn a_replay_with_another_content_type_is_the_same() {
    let form = interaction(&click("other", "x&payload=y", None));
    let event = signed(JSON, fixture("event_reaction_added.json"));
    for request in [form, event] {
        let first = accepted(&request);
        for other in [JSON, FORM, "text/plain", "multipart/form-data; boundary=x"] {
            let mut replay = request.clone();
            replay.headers_mut().insert("content-type", other.parse().unwrap());
            assert_eq!(accepted(&replay).signals, first.signals, "{other}");
            assert!(first.signals[0].dedupe.is_some());
        }
    }
}

#[test]
fn a_rejection_without_a_line_for_a_reason_opens_a_dialog_instead_of_deciding() {
    let value = Choice::new("abc", "1").to_value();
    let asked = accepted(&interaction(&click(Choice::REJECT, &value, None)));
    assert!(asked.prompt.is_some());
    assert!(subjects(&asked)[0].starts_with("notice/"), "{:?}", subjects(&asked));
    for decided in [
        click(Choice::REJECT, &value, Some(json!("too dear"))),
        click(Choice::REJECT, &value, Some(Value::Null)),
        click(Choice::APPROVE, &value, None),
        click("other", "other", None),
    ] {
        let intake = accepted(&interaction(&decided));
        assert!(intake.prompt.is_none());
        assert!(subjects(&intake)[0].starts_with("action/"), "{:?}", subjects(&intake));
    }
}

#[test]
fn a_dialog_is_told_what_is_wrong_with_its_input() {
    let about = r#"{"value":"approval:abc:1","place":"C07APPROV1/1767225605.000219"}"#;
    for wrong in [Value::Null, json!(""), json!("  \n"), json!("x".repeat(501))] {
        let intake = accepted(&interaction(&submission(about, &wrong)));
        let said: Value = serde_json::from_slice(intake.reply.body()).unwrap();
        assert_eq!(said["response_action"], "errors");
        assert!(said["errors"][Choice::REASON].is_string() && intake.signals.is_empty());
    }
    let intake = accepted(&interaction(&submission(about, &json!("too dear"))));
    assert_eq!((subjects(&intake), intake.reply.body().len()), (vec!["action/V1/h1".to_owned()], 0));
    for about in ["", "{}", "not json"] {
        let refused = receive(&interaction(&submission(about, &json!("x")))).unwrap_err();
        assert_eq!(kind(&refused), ErrorKind::InvalidRequest);
    }
}

#[test]
fn a_source_without_a_secret_or_a_team_is_not_made() {
    let base = || Slack::builder("slack").token("xoxb-1");
    for (slack, missing) in [
        (base(), "team"),
        (base().team("T1"), "secret"),
        (base().team("T1").signing_secret(""), "empty"),
        (base().signing_secret("s"), "team"),
    ] {
        let error = slack.build().unwrap().source().unwrap_err();
        assert_eq!(kind(&error), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(missing), "{error}");
    }
    let shown = format!("{:?}", source_with("planted-signing-secret"));
    assert!(!shown.contains("planted"), "{shown}");
}
