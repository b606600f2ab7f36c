//! What the app is sent: signatures, the challenge, events, their retries, and how they go wrong.

use std::time::Duration;

use http::{Response, StatusCode, header};
use ml_connector_core::{Clock, ErrorKind, Secret, Timestamp, TokioClock};
use ml_connector_sim::{
    SimTransport,
    slack::{Attempt, SlackConfig, signature},
};
use serde_json::{Value, json};

use super::{ACCOUNTING, ANNA, APPROVALS, TOM, Workspace, ok, workspace, workspace_with};

#[test]
fn the_published_vectors_verify() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../fixtures/slack/signature_vectors.json")).unwrap();
    let text = |vector: &Value, name: &str| vector[name].as_str().unwrap().to_owned();
    assert!(vectors.len() >= 8);
    for vector in &vectors {
        let signed = signature(
            &Secret::from(text(vector, "secret")),
            &text(vector, "timestamp"),
            text(vector, "body").as_bytes(),
        );
        assert_eq!(signed == text(vector, "expected"), vector["valid"] == true, "{}", vector["name"]);
    }
}

#[tokio::test]
async fn a_request_url_is_saved_only_when_the_challenge_comes_back() {
    let workspace = workspace();
    let url: url::Url = "https://new.example.com/slack".parse().unwrap();
    let connect = || workspace.sim.connect_app(url.clone(), &workspace.transport);
    assert_eq!(connect().await.unwrap_err().kind(), ErrorKind::ConfigInvalid);

    let echo = |wrap: fn(String) -> String, status: StatusCode| {
        let router = axum::Router::new().fallback(move |body: axum::Json<Value>| async move {
            (status, wrap(body.0["challenge"].as_str().unwrap().to_owned()))
        });
        SimTransport::new().with_router("https://new.example.com", router)
    };
    let json = |challenge: String| json!({ "challenge": challenge }).to_string();
    for transport in [echo(json, StatusCode::ACCEPTED), echo(|_| "else".to_owned(), StatusCode::OK)] {
        assert!(workspace.sim.connect_app(url.clone(), &transport).await.is_err());
    }
    // The URL from before still holds.
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    assert_eq!(workspace.deliver().await[0].status, Some(StatusCode::OK));
    for wrap in [json, |challenge| challenge, |challenge| format!("challenge={challenge}")] {
        workspace.sim.connect_app(url.clone(), &echo(wrap, StatusCode::OK)).await.unwrap();
    }
    workspace.sim.unreact(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    assert_eq!(workspace.deliver().await[0].failure, Some("connection_failed"));
}

#[tokio::test]
async fn a_reaction_becomes_a_signed_event() {
    let workspace = workspace();
    let ts = workspace.card(APPROVALS).await;
    workspace.sim.react(ANNA, APPROVALS, &ts, "white_check_mark").unwrap();
    workspace.sim.unreact(ANNA, APPROVALS, &ts, "white_check_mark").unwrap();
    let attempts = workspace.deliver().await;
    let names: Vec<&str> = attempts.iter().map(|attempt| attempt.about.name.as_str()).collect();
    assert_eq!(names, ["reaction_added", "reaction_removed"]);
    let heard = workspace.app.heard();
    let (added, removed) = (heard[0].json(), heard[1].json());
    assert_eq!(heard[0].header("content-type"), "application/json");
    assert!(heard.iter().all(|heard| heard.signed_by(&workspace.sim)));
    assert_eq!(
        (&added["type"], &added["event"]["type"], &added["event"]["user"]),
        (&json!("event_callback"), &json!("reaction_added"), &json!(ANNA))
    );
    let item = json!({ "type": "message", "channel": APPROVALS, "ts": ts });
    assert_eq!((&added["event"]["item"], &added["event"]["item_user"]), (&item, &json!("U07MLBOT01")));
    assert_ne!(added["event_id"], removed["event_id"]);
    assert!(added["event"]["event_ts"].as_str() < removed["event"]["event_ts"].as_str());
    assert!(workspace.deliver().await.is_empty());
}

#[tokio::test]
async fn a_reaction_is_not_told_without_scope_or_membership() {
    let workspace = workspace();
    ok(&workspace.post(json!({ "channel": "C07EXECAL1", "text": "x" })).await);
    let ts = workspace.sim.posts("C07EXECAL1")[0].ts.clone();
    workspace.sim.react(ANNA, "C07EXECAL1", &ts, "eyes").unwrap();
    let seen = workspace.card(ACCOUNTING).await;
    workspace.sim.set_scopes(&["chat:write"]);
    workspace.sim.react(ANNA, ACCOUNTING, &seen, "eyes").unwrap();
    assert!(workspace.deliver().await.is_empty());
    for (user, channel, ts, emoji, expected) in [
        (ANNA, ACCOUNTING, seen.as_str(), "eyes", ErrorKind::Conflict),
        (ANNA, ACCOUNTING, &seen, ":eyes:", ErrorKind::InvalidRequest),
        (ANNA, ACCOUNTING, &seen, "thumbsup::skin-tone-9", ErrorKind::InvalidRequest),
        (ANNA, ACCOUNTING, "1.000000", "eyes", ErrorKind::NotFound),
        ("U07NOBODY1", ACCOUNTING, &seen, "eyes", ErrorKind::NotFound),
    ] {
        assert_eq!(workspace.sim.react(user, channel, ts, emoji).unwrap_err().kind(), expected, "{emoji}");
    }
    assert!(workspace.sim.unreact(TOM, ACCOUNTING, &seen, "eyes").is_err());
    workspace.sim.react(TOM, ACCOUNTING, &seen, "thumbsup::skin-tone-3").unwrap();
}

/// Lets the clock run until the next delivery is due, and delivers.
async fn next(workspace: &Workspace) -> (Duration, Vec<Attempt>) {
    let from = workspace.clock.now();
    let due = workspace.sim.next_delivery().unwrap();
    workspace.clock.set(due.max(from));
    (due.saturating_since(from), workspace.deliver().await)
}

#[tokio::test]
async fn a_failed_event_comes_again_at_once_then_after_one_and_five_minutes() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        workspace.app.answers(500, "");
        let (pause, attempts) = next(&workspace).await;
        assert_eq!(attempts.len(), 1);
        pauses.push(pause.as_secs());
    }
    assert_eq!((pauses, workspace.sim.next_delivery()), (vec![0, 0, 60, 300], None));
    let heard = workspace.app.heard();
    let marks: Vec<_> = heard
        .iter()
        .map(|heard| (heard.header("x-slack-retry-num"), heard.header("x-slack-retry-reason")))
        .collect();
    assert_eq!(marks, [("", ""), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]);
    // The same event in every attempt, signed at the time of each.
    assert!(heard.iter().all(|heard| heard.signed_by(&workspace.sim)));
    assert!(heard.iter().all(|other| other.body == heard[0].body));
    assert_ne!(heard[0].header("x-slack-signature"), heard[3].header("x-slack-signature"));
}

#[tokio::test]
async fn the_app_can_end_the_retries_and_a_setting_prolongs_them() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    let refusal = Response::builder().status(500).header("x-slack-no-retry", "1");
    workspace.app.answers_with(refusal.body(bytes::Bytes::new()).unwrap());
    assert_eq!(workspace.deliver().await[0].failure, Some("http_error"));
    assert_eq!(workspace.sim.next_delivery(), None);

    workspace.sim.set_delayed_events(true);
    workspace.sim.react(TOM, ACCOUNTING, &ts, "eyes").unwrap();
    let mut attempts = 0;
    while workspace.sim.next_delivery().is_some() {
        workspace.app.answers(503, "");
        next(&workspace).await;
        attempts += 1;
    }
    assert_eq!(attempts, 1 + 3 + 24);
}

#[tokio::test(start_paused = true)]
async fn the_app_has_three_seconds() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let deaf = axum::Router::new().fallback(async || std::future::pending::<()>().await);
    let transport = SimTransport::new().with_router("https://erp.example.com", deaf);
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap();
    let clock = TokioClock::starting_at(Timestamp::from_secs(0));
    let attempts = workspace.sim.deliver(&transport).await;
    // Both at once.
    assert_eq!(clock.now(), Timestamp::from_secs(3));
    assert!(
        attempts.iter().all(|attempt| attempt.failure == Some("http_timeout") && attempt.status.is_none())
    );
    // The event again; the click never.
    workspace.app.heard();
    assert_eq!(workspace.deliver().await.len(), 1);
    assert_eq!(workspace.app.heard()[0].header("x-slack-retry-reason"), "http_timeout");
    assert!(workspace.deliver().await.is_empty());
}

#[tokio::test]
async fn two_redirects_are_followed_and_a_third_is_not() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let moved = || {
        let answer =
            Response::builder().status(302).header(header::LOCATION, "https://erp.example.com/other");
        workspace.app.answers_with(answer.body(bytes::Bytes::new()).unwrap());
    };
    for (redirects, failure) in [(2, None), (3, Some("too_many_redirects"))] {
        (0..redirects).for_each(|_| moved());
        workspace.sim.react(ANNA, ACCOUNTING, &ts, &format!("n{redirects}")).unwrap();
        assert_eq!(workspace.deliver().await[0].failure, failure);
    }
}

#[tokio::test]
async fn deliveries_go_wrong_as_they_are_tuned() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let mut emoji = 0;
    let mut react = || {
        emoji += 1;
        workspace.sim.react(ANNA, ACCOUNTING, &ts, &format!("e{emoji}")).unwrap();
    };
    let ids = |attempts: Vec<Attempt>| -> Vec<String> {
        attempts.into_iter().map(|attempt| attempt.about.id).collect()
    };
    workspace.sim.tune_deliveries(|tuning| tuning.duplicates = 1);
    react();
    let twice = ids(workspace.deliver().await);
    assert_eq!((twice.len(), &twice[0]), (2, &twice[1]));
    workspace.sim.tune_deliveries(|tuning| tuning.renumber_duplicates = true);
    react();
    let renumbered = ids(workspace.deliver().await);
    assert_ne!(renumbered[0], renumbered[1]);
    assert_eq!(workspace.app.heard().pop().unwrap().json()["event_id"], renumbered[1].as_str());

    workspace.sim.tune_deliveries(|tuning| {
        *tuning = Default::default();
        (tuning.lose, tuning.shuffle) = (1, true);
    });
    (0..9).for_each(|_| react());
    let shuffled = workspace.deliver().await.len();
    let order: Vec<String> = workspace
        .app
        .heard()
        .iter()
        .map(|heard| heard.json()["event"]["event_ts"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shuffled, 8);
    assert!(!order.is_sorted());

    type Change = fn(&mut ml_connector_sim::DeliveryTuning);
    let cases: [(Change, bool, i64); 3] = [
        (|tuning| tuning.wrong_secret = true, false, 0),
        (|tuning| tuning.unsigned = true, false, i64::MIN),
        (|tuning| tuning.clock_skew_secs = -301, true, -301),
    ];
    for (change, signed, skew) in cases {
        workspace.sim.tune_deliveries(|tuning| {
            *tuning = Default::default();
            change(tuning);
        });
        react();
        workspace.deliver().await;
        let heard = workspace.app.heard().pop().unwrap();
        assert_eq!(heard.signed_by(&workspace.sim), signed);
        let at = heard.header("x-slack-request-timestamp").parse::<i64>();
        let now = workspace.clock.now().as_secs();
        assert_eq!(at.map_or(i64::MIN, |at| at - now), skew);
    }
    workspace.sim.tune_deliveries(|tuning| {
        *tuning = Default::default();
        tuning.delay = Duration::from_secs(4);
    });
    workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap();
    assert!(workspace.deliver().await.is_empty());
    assert_eq!(next(&workspace).await.0, Duration::from_secs(4));
    let before = workspace.sim.signing_secret();
    assert_ne!(before.expose(), workspace.sim.renew_signing_secret().expose());
}

#[tokio::test]
async fn too_many_events_in_an_hour_are_lost_and_the_app_is_told_once_a_minute() {
    let mut config = SlackConfig::default();
    config.events_per_hour = 2;
    let workspace = workspace_with(config);
    let ts = workspace.card(ACCOUNTING).await;
    for emoji in ["a", "b", "c", "d"] {
        workspace.sim.react(ANNA, ACCOUNTING, &ts, emoji).unwrap();
    }
    let names = |attempts: &[Attempt]| -> Vec<String> {
        attempts.iter().map(|attempt| attempt.about.name.clone()).collect()
    };
    assert_eq!(names(&workspace.deliver().await), ["reaction_added", "reaction_added", "app_rate_limited"]);
    let told = workspace.app.heard().pop().unwrap().json();
    assert_eq!(
        (&told["type"], told["minute_rate_limited"].as_i64().unwrap() % 60),
        (&json!("app_rate_limited"), 0)
    );
    workspace.clock.advance(Duration::from_secs(60));
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "e").unwrap();
    assert_eq!(names(&workspace.deliver().await), ["app_rate_limited"]);
    workspace.clock.advance(Duration::from_secs(3600));
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "f").unwrap();
    assert_eq!(names(&workspace.deliver().await), ["reaction_added"]);
}

#[tokio::test]
async fn a_deaf_app_is_cut_off_and_heard_again_after_a_new_challenge() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let nobody = SimTransport::new();
    for i in 0..260 {
        workspace.sim.react(ANNA, ACCOUNTING, &ts, &format!("e{i}")).unwrap();
    }
    workspace.sim.deliver(&nobody).await;
    workspace.sim.deliver(&nobody).await;
    workspace.clock.advance(Duration::from_secs(60));
    workspace.sim.deliver(&nobody).await;
    assert!(!workspace.sim.events_cut_off());
    workspace.clock.advance(Duration::from_secs(300));
    workspace.sim.deliver(&nobody).await;
    assert!(workspace.sim.events_cut_off());
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    assert!(workspace.deliver().await.is_empty());
    let echo = axum::Router::new().fallback(async |body: axum::Json<Value>| body);
    let transport = SimTransport::new().with_router("https://erp.example.com", echo);
    let url = "https://erp.example.com/slack".parse().unwrap();
    workspace.sim.connect_app(url, &transport).await.unwrap();
    workspace.sim.react(TOM, ACCOUNTING, &ts, "eyes").unwrap();
    assert_eq!(workspace.deliver().await.len(), 1);
}

#[tokio::test]
async fn renaming_archiving_and_removing_are_told_and_after_the_last_there_is_silence() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.rename_channel(ACCOUNTING, "ledger");
    workspace.sim.archive_channel(APPROVALS, ANNA);
    workspace.deliver().await;
    let told: Vec<Value> = workspace.app.heard().iter().map(|heard| heard.json()["event"].clone()).collect();
    assert_eq!((&told[0]["type"], &told[0]["channel"]["name"]), (&json!("channel_rename"), &json!("ledger")));
    assert_eq!((&told[1]["type"], &told[1]["channel"]), (&json!("group_archive"), &json!(APPROVALS)));
    let lost = workspace.post(json!({ "channel": "#accounting", "text": "x" })).await;
    assert_eq!(super::error(&lost), "channel_not_found");
    ok(&workspace.post(json!({ "channel": "#ledger", "text": "x" })).await);

    workspace.sim.uninstall();
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    workspace.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap();
    workspace.deliver().await;
    let told: Vec<Value> = workspace.app.heard().iter().map(|heard| heard.json()["event"].clone()).collect();
    assert_eq!(
        told[0],
        json!({ "type": "tokens_revoked", "tokens": { "oauth": [], "bot": ["U07MLBOT01"] } })
    );
    assert_eq!(told[1..], [json!({ "type": "app_uninstalled" })]);
}
