//! What clicks and reactions become.

use std::sync::Arc;

use ml_connector_core::{
    AuditLog, Clock, ErrorKind, ReceiveRequest, Scope, Source, TokioClock,
    approval::{Choice, Directory},
    audit::{EntryKind, Index, MemoryLog, NewEntry, Outcome, Parent, Settlement, Transaction},
    conformance::source as suite,
    model::{
        Action, Change, Content, EntityRef, Event, Interaction, LaneKey, Observed, Partition, Resolution,
        Signal,
    },
    snapshot::{ChangeRules, SnapshotStep, step},
};
use ml_connector_slack::SlackSource;
use serde_json::{Value, json};

use crate::{
    receive::{SECRET, SIGNED, click, interaction, signed, source_with, submission},
    support::{NOW, World, error, event, fixture, invoice, json, ok, secs},
};

const MESSAGE: &str = "C07APPROV1/1767225605.000219";

fn source(world: &World) -> SlackSource {
    world.builder().signing_secret(SECRET).team("T07LEDGER1").build().unwrap().source().unwrap()
}

/// The signals of a request, taken in at the time of the world.
fn signals(world: &World, request: &http::Request<bytes::Bytes>) -> Vec<Signal> {
    let signed_at = ml_connector_core::Timestamp::from_secs(SIGNED);
    let mut intake = source_with(SECRET).receive(ReceiveRequest::new(request, signed_at)).unwrap();
    assert!(signed_at <= world.ctx.now());
    std::mem::take(&mut intake.signals)
}

fn reaction(kind: &str, at: &str) -> http::Request<bytes::Bytes> {
    let event = json!({
        "type": kind, "user": "U07APPROV1", "reaction": "eyes", "event_ts": at,
        "item": {"type": "message", "channel": "C07APPROV1", "ts": "1767225605.000219"}, "item_user": "U07MLBOT01",
    });
    let envelope = json!({"type": "event_callback", "team_id": "T07LEDGER1", "event_id": at, "event": event});
    signed("application/json", envelope.to_string())
}

/// What somebody did.
fn done(resolution: Resolution) -> Interaction {
    let Resolution::Observed(seen) = resolution else { panic!("{resolution:?}") };
    let Observed::Present { content: Content::Interaction(done), .. } = &seen[0].state else {
        panic!("{seen:?}")
    };
    (**done).clone()
}

fn action(resolution: Resolution) -> Action {
    match done(resolution) {
        Interaction::Action(action) => action,
        other => panic!("{other:?}"),
    }
}

/// A log in which a message is known to tell about an invoice.
async fn log() -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::new());
    tell(&log, 3, NOW).await;
    log
}

/// The message tells about a change of the invoice from now on.
async fn tell(log: &MemoryLog, n: u64, at: ml_connector_core::Timestamp) {
    let mut event: Event = event(invoice(), &[Change::Sent]);
    event.n = n;
    let entry = |kind, parent, connection: &str, body| NewEntry {
        lane: (kind == EntryKind::Delivery).then(|| LaneKey::from("a").number(&connection.into())),
        parent,
        index: Index { entity: Some(event.entity.clone()), ..Index::default() },
        body: Some(body),
        ..NewEntry::new(Partition::new(0), kind, connection.into(), at)
    };
    let told = entry(EntryKind::Event, Parent::None, "books", event.to_cloudevent().unwrap());
    let brought = entry(EntryKind::Delivery, Parent::Nth(0), "slack", "{}".into());
    let transaction = Transaction { append: vec![told, brought], ..Transaction::default() };
    let committed = log.commit(vec![transaction], at).await.unwrap();
    let ml_connector_core::audit::Committed::Applied(appended) = &committed[0] else { panic!() };
    let done = Outcome::Done { receipt: Some(MESSAGE.into()) };
    let settle = vec![Settlement::new(appended[1].seq(), done)];
    log.commit(vec![Transaction { settle, ..Transaction::default() }], at).await.unwrap();
}

#[tokio::test]
async fn a_click_says_who_what_about_and_which_button() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    world.answer("users.info", ok("users.info.ok.json")).await;
    let value = Choice::new("abc", "1").to_value();
    let request = interaction(&click(Choice::REJECT, &value, Some(json!(" too dear "))));
    let source = source(&world);
    for _ in 0..2 {
        let action = action(source.resolve(&world.ctx, &signals(&world, &request), None).await.unwrap());
        let actor = action.actor;
        assert_eq!((&*actor.id, actor.name.as_deref()), ("U07APPROV1", Some("Jo Clerk")));
        assert_eq!(actor.aliases, ["Jo"], "books may know people by any of their names");
        assert_eq!(actor.email.as_deref(), Some("jo.clerk@ledgerworks.example"));
        assert_eq!(actor.place.as_deref(), Some(MESSAGE));
        assert_eq!((&*action.action_id, action.text.as_deref()), (Choice::REJECT, Some("too dear")));
        assert_eq!(action.value.as_deref(), Some(&*value));
        let about = action.about.unwrap();
        assert_eq!((about.connection.as_str(), about.n), ("books", 3));
    }
    assert_eq!(world.requests("users.info").await.len(), 1, "people are remembered for some minutes");
}

#[tokio::test]
async fn half_an_emoji_in_a_name_hides_nobody() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    let user = r#"{"id":"U07APPROV1","team_id":"T07LEDGER1","deleted":null,"enterprise_user":7,"real_name":"Jo \ud83d",
        "profile":{"display_name":"Jo","status_text":"\ud83d","real_name_normalized":[null],"email":"jo@ledgerworks.example"}}"#;
    world.answer("users.info", crate::support::json(200, &format!(r#"{{"ok":true,"user":{user}}}"#))).await;
    let request = interaction(&click(Choice::APPROVE, &Choice::new("abc", "1").to_value(), None));
    let signals = signals(&world, &request);
    let actor = action(source(&world).resolve(&world.ctx, &signals, None).await.unwrap()).actor;
    assert_eq!((actor.name.as_deref(), &actor.aliases[..]), (Some("Jo \u{fffd}"), &["Jo".to_owned()][..]));
    assert_eq!(actor.email.as_deref(), Some("jo@ledgerworks.example"));
}

#[tokio::test]
async fn a_dialog_that_was_sent_says_the_same_without_a_message() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    world.answer("users.info", ok("users.info.ok.json")).await;
    let about = format!(r#"{{"value":"approval:abc:1","place":"{MESSAGE}"}}"#);
    let request = interaction(&submission(&about, &json!("too dear")));
    let action = action(source(&world).resolve(&world.ctx, &signals(&world, &request), None).await.unwrap());
    assert_eq!((action.value.as_deref(), action.text.as_deref()), (Some("approval:abc:1"), Some("too dear")));
    assert_eq!(action.actor.place.as_deref(), Some(MESSAGE));
}

#[tokio::test]
async fn nobody_s_word_is_taken_for_who_they_are() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    world.answer("users.info", error("missing_scope")).await;
    let signals = signals(&world, &interaction(&click(Choice::APPROVE, "approval:abc:1", None)));
    let actor = action(source(&world).resolve(&world.ctx, &signals, None).await.unwrap()).actor;
    assert_eq!((&*actor.id, actor.name, actor.email), ("U07APPROV1", None, None));
    assert_eq!(world.requests("users.info").await.len(), 1);
}

#[tokio::test]
async fn the_address_of_a_guest_is_not_believed_and_of_an_organization_s_own_people_it_is() {
    let guest = json!({"team_id": "T0OTHER001"});
    let (organization, team) = (json!({"enterprise_id": "E07LEDGER"}), json!({"teams": ["T07LEDGER1"]}));
    for (connected_to, user, expected) in [
        ("T07LEDGER1", json!({}), true),
        ("T07LEDGER1", guest.clone(), false),
        ("T07LEDGER1", json!({"team_id": null}), false),
        ("T07LEDGER1", json!({"team_id": "T0OTHER001", "enterprise_user": team}), true),
        ("T07LEDGER1", json!({"team_id": "T0OTHER001", "enterprise_user": organization}), false),
        ("E07LEDGER", guest, false),
        ("E07LEDGER", json!({"team_id": "E07LEDGER", "enterprise_user": null}), true),
        ("E07LEDGER", json!({"team_id": "T07LEDGER2", "enterprise_user": organization}), true),
    ] {
        let mut world = World::new().await;
        world.ctx = world.ctx.clone().with_log(log().await);
        let mut answer: Value = serde_json::from_str(&fixture("users.info.ok.json")).unwrap();
        for (key, value) in user.as_object().unwrap() {
            answer["user"][key] = value.clone();
        }
        world.answer("users.info", json(200, &answer.to_string())).await;
        world.answer("auth.test", ok("auth.test.ok.json")).await;
        let slack = world.builder().signing_secret(SECRET).team(connected_to).build().unwrap();
        let source = slack.source().unwrap();
        for request in [
            interaction(&click(Choice::APPROVE, "approval:abc:1", None)),
            reaction("reaction_added", "1767225660.000400"),
        ] {
            let resolved = source.resolve(&world.ctx, &signals(&world, &request), None).await.unwrap();
            let done = done(resolved);
            let actor = done.actor().unwrap();
            assert_eq!(actor.email.is_some(), expected, "{connected_to} {user}");
            assert_eq!(
                actor.name.as_deref(),
                Some("Jo Clerk"),
                "whoever asked is known by name all the same"
            );
        }
    }
}

#[tokio::test]
async fn a_bot_decides_nothing_with_an_emoji() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    let bot = fixture("users.info.ok.json").replace(r#""is_bot": false"#, r#""is_bot": true"#);
    world.answer("users.info", json(200, &bot)).await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    let signals = signals(&world, &reaction("reaction_added", "1767225660.000400"));
    let ends = source(&world).resolve(&world.ctx, &signals, None).await.unwrap();
    assert!(matches!(ends, Resolution::Done { note: "by a bot" }), "{ends:?}");
}

#[tokio::test]
async fn a_reaction_that_is_told_late_is_about_what_the_message_told_when_it_was_given() {
    let mut world = World::new().await;
    let log = Arc::new(MemoryLog::new());
    let before = |time: u64| NOW - secs(time);
    tell(&log, 3, before(200)).await;
    tell(&log, 4, before(100)).await;
    world.ctx = world.ctx.clone().with_log(log);
    world.answer("users.info", ok("users.info.ok.json")).await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    // Whole seconds are an instant, too. A clock that is ahead of ours changes nothing.
    for (given, expected) in [
        (format!("{}.000100", before(150).as_secs()), 3),
        (before(150).as_secs().to_string(), 3),
        (format!("{}.000100", before(96).as_secs()), 3),
        (format!("{}.000100", before(50).as_secs()), 4),
        (format!("{}.000100", (NOW + secs(3600)).as_secs()), 4),
    ] {
        let signals = signals(&world, &reaction("reaction_added", &given));
        let done = done(source(&world).resolve(&world.ctx, &signals, None).await.unwrap());
        assert_eq!(done.about().unwrap().n, expected, "{given}");
    }
}

#[tokio::test]
async fn a_person_who_cannot_be_read_now_is_waited_for_but_not_for_long() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    world.answer("users.info", error("internal_error")).await;
    let request = interaction(&click(Choice::APPROVE, "approval:abc:1", None));
    let (source, signals) = (source(&world), signals(&world, &request));
    // No time for a second try within the call.
    let waiting = source.resolve(&world.ctx.within(secs(1)), &signals, None).await.unwrap_err();
    assert_ne!(waiting.scope(), &Scope::Connection, "{waiting}");
    world.clock.advance(secs(600));
    let ctx = world.ctx.within(secs(1));
    let action = action(source.resolve(&ctx, &signals, None).await.unwrap());
    assert_eq!(action.actor.name, None);
}

#[tokio::test]
async fn a_reaction_is_about_the_document_of_its_message_whatever_order_slack_tells_it_in() {
    let mut world = World::new().await;
    world.ctx = world.ctx.clone().with_log(log().await);
    world.answer("users.info", ok("users.info.ok.json")).await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    let source = source(&world);
    let zone = ml_connector_core::model::Zone::UTC;
    let policy = ChangeRules { today: NOW.date_in(&zone), overdue_after: &[], watched_since: NOW };
    let mut last = None;
    let mut told = Vec::new();
    for (kind, at) in [
        ("reaction_added", "1767225660.000400"),
        ("reaction_added", "1767225660.000400"),
        ("reaction_added", "1767225661.000000"),
        ("reaction_removed", "1767225670.000100"),
        ("reaction_added", "1767225665.000000"),
        ("reaction_added", "1767225680.000000"),
    ] {
        let signals = signals(&world, &reaction(kind, at));
        let resolution = source.resolve(&world.ctx, &signals, last.as_ref()).await.unwrap();
        let Resolution::Observed(seen) = resolution else {
            told.push(format!("{resolution:?}"));
            continue;
        };
        told.push(match step(last.as_ref(), &seen[0], &policy) {
            SnapshotStep::Changed { snapshot, changes } => {
                last = Some(*snapshot);
                changes.iter().map(ToString::to_string).collect::<String>()
            }
            other => format!("{other:?}"),
        });
        let done = done(Resolution::Observed(seen));
        let Interaction::Reaction(reaction) = &done else { panic!("{done:?}") };
        assert_eq!(&*reaction.emoji, "eyes");
        assert_eq!(reaction.about.entity, EntityRef::new("invoice", invoice().id));
        assert_eq!(&*reaction.actor.id, "U07APPROV1");
    }
    let older = "Done { note: \"older than what is known\" }";
    assert_eq!(told, ["created", older, "Unchanged", "deleted", older, "created"]);
}

#[tokio::test]
async fn a_message_whose_receipt_is_on_its_way_is_waited_for_and_one_of_others_is_not() {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    let (source, signals) =
        (source(&world), signals(&world, &reaction("reaction_added", "1767225660.000400")));
    let waits = source.resolve(&world.ctx, &signals, None).await.unwrap();
    assert!(matches!(waits, Resolution::NotYet { retry_at } if retry_at > world.ctx.now()), "{waits:?}");
    world.clock.advance(secs(120));
    let ends = source.resolve(&world.ctx, &signals, None).await.unwrap();
    assert!(matches!(ends, Resolution::Done { .. }), "{ends:?}");
}

#[tokio::test]
async fn a_decision_waits_for_the_receipt_of_its_card_and_other_clicks_do_not() {
    let world = World::new().await;
    world.answer("users.info", ok("users.info.ok.json")).await;
    world.answer("chat.postEphemeral", json(200, r#"{"ok":true,"message_ts":"1"}"#)).await;
    let source = source(&world);
    let decides = signals(&world, &interaction(&click(Choice::APPROVE, "approval:abc:1-x", None)));
    for _ in 0..3 {
        let waits = source.resolve(&world.ctx, &decides, None).await.unwrap();
        assert!(matches!(waits, Resolution::NotYet { retry_at } if retry_at > world.ctx.now()), "{waits:?}");
        world.clock.advance(secs(10));
    }
    // Whoever clicked is told once that it is waited for.
    let told = world.requests("chat.postEphemeral").await;
    let [told] = &told[..] else { panic!("{told:?}") };
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((&told["channel"], &told["user"]), (&json!("C07APPROV1"), &json!("U07APPROV1")));
    assert!(told["text"].as_str().unwrap().starts_with("One moment: "), "{told}");
    let opens = signals(&world, &interaction(&click("mlc.open", "anything", None)));
    assert_eq!(action(source.resolve(&world.ctx, &opens, None).await.unwrap()).about, None);
    assert_eq!(world.requests("chat.postEphemeral").await.len(), 1, "it is not waited for");
    // Without a receipt it says so: it is told, and decides nothing.
    world.clock.advance(secs(120));
    assert_eq!(action(source.resolve(&world.ctx, &decides, None).await.unwrap()).about, None);
}

#[tokio::test]
async fn somebody_else_s_message_is_nobody_s_business() {
    let world = World::new().await;
    world.answer("auth.test", ok("auth.test.ok.json")).await;
    let body = fixture("event_reaction_added.json").replace("U07MLBOT01", "U07CLERK01");
    let signals = signals(&world, &signed("application/json", body));
    let ends = source(&world).resolve(&world.ctx, &signals, None).await.unwrap();
    assert!(matches!(ends, Resolution::Done { note: "on somebody else's message" }), "{ends:?}");
}

#[tokio::test]
async fn an_uninstalled_app_stops_the_connection_and_a_false_alarm_does_not() {
    for file in ["event_app_uninstalled.json", "event_tokens_revoked.json"] {
        let world = World::new().await;
        let (source, signals) = (source(&world), signals(&world, &signed("application/json", fixture(file))));
        world.answer("auth.test", ok("auth.test.ok.json")).await;
        let fine = source.resolve(&world.ctx, &signals, None).await.unwrap();
        assert!(matches!(fine, Resolution::Done { .. }), "{fine:?}");
        world.answer_once("auth.test", error("account_inactive")).await;
        let dead = source.resolve(&world.ctx, &signals, None).await.unwrap_err();
        assert_eq!((dead.kind(), dead.scope()), (ErrorKind::Unauthenticated, &Scope::Connection), "{dead}");
    }
}

#[tokio::test]
async fn a_dialog_is_opened_in_time_or_not_at_all() {
    let world = World::new().await;
    world.answer("views.open", ok("views.open.ok.json")).await;
    let request = interaction(&click(Choice::REJECT, "approval:abc:1", None));
    let prompt = || {
        let now = ml_connector_core::Timestamp::from_secs(SIGNED);
        let mut prompt =
            source_with(SECRET).receive(ReceiveRequest::new(&request, now)).unwrap().prompt.unwrap();
        prompt.deadline = prompt.deadline + world.ctx.now().saturating_since(now);
        prompt
    };
    source(&world).prompt(&world.ctx, prompt()).await.unwrap();
    let sent = world.requests("views.open").await;
    let sent: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(
        (sent["trigger_id"].as_str(), sent["view"]["callback_id"].as_str()),
        (Some("t1"), Some("approval.reject"))
    );
    assert!(sent["view"]["private_metadata"].as_str().unwrap().contains("approval:abc:1"));
    let late = prompt();
    world.clock.advance(secs(3));
    world.answer("chat.postEphemeral", ok("chat.postEphemeral.ok.json")).await;
    assert!(source(&world).prompt(&world.ctx, late).await.is_err());
    assert_eq!(world.requests("views.open").await.len(), 1);

    // Whoever clicked is told, whyever the dialog did not open.
    world.answer_once("views.open", error("expired_trigger_id")).await;
    assert!(source(&world).prompt(&world.ctx, prompt()).await.is_err());
    let told = world.requests("chat.postEphemeral").await;
    assert_eq!(told.len(), 2);
    for told in told {
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        let to = (told["channel"].as_str(), told["user"].as_str());
        assert_eq!(to, (Some("C07APPROV1"), Some("U07APPROV1")));
        assert!(told["text"].as_str().unwrap().contains("nothing was decided"), "{told}");
    }
}

#[tokio::test]
async fn the_members_of_a_group_are_remembered_for_some_minutes() {
    let world = World::new().await;
    world.answer("usergroups.users.list", ok("usergroups.users.list.ok.json")).await;
    let directory = world.slack().directory();
    let members = directory.members(&world.ctx, "S07FINANCE").await.unwrap();
    assert!(!members.is_empty());
    directory.members(&world.ctx, "S07FINANCE").await.unwrap();
    assert_eq!(world.requests("usergroups.users.list").await.len(), 1);
    world.clock.advance(secs(300));
    directory.members(&world.ctx, "S07FINANCE").await.unwrap();
    assert_eq!(world.requests("usergroups.users.list").await.len(), 2);
}

/// What the suite for sources asks of one whose webhooks are all there is: nothing of it can be read again.
#[tokio::test(start_paused = true)]
async fn webhooks_have_every_behavior_of_a_source() {
    for (content_type, body, entity) in [
        (
            "application/json",
            fixture("event_reaction_added.json"),
            "reaction/C07APPROV1/1767225605.000219/U07APPROV1/white_check_mark",
        ),
        (
            "application/x-www-form-urlencoded",
            fixture("block_actions_approve.form"),
            "action/C07APPROV1/1767225605.000219/U07APPROV1/1767225720.112233",
        ),
    ] {
        let (kind, id) = entity.split_once('/').unwrap();
        let clock: Arc<dyn Clock> =
            Arc::new(TokioClock::starting_at(ml_connector_core::Timestamp::from_secs(SIGNED)));
        let garbage = ["", "null", "[]", "{}", "payload=", "payload=%7B%7D", "x=1"];
        let under_test = suite::SourceUnderTest {
            connect: Box::new(|| Arc::new(source_with(SECRET))),
            vendor: Arc::new(ml_connector_core::http::ReqwestTransport::new()),
            clock,
            reads: |_| false,
            entity: EntityRef::new(kind, id),
            another: None,
            handshake: None,
            webhook: suite::Webhook {
                proves: suite::Proof::Body,
                state: None,
                request: signed(content_type, body),
                account: Some("team:T07LEDGER1".into()),
                signature: Some("x-slack-signature"),
                tolerance: Some(secs(300)),
                forged: Vec::new(),
                misunderstood: garbage.into_iter().map(|body| signed(content_type, body)).collect(),
            },
            refusals: ml_connector_core::conformance::Refusals {
                token: http::Response::default(),
                renews_tokens: false,
                too_often: Vec::new(),
                refused: Vec::new(),
            },
            lists: suite::Lists::Ids,
            names_account: None,
            missing: Vec::new(),
            secrets: vec![SECRET.to_owned()],
        };
        suite::webhooks::a_verified_webhook_names_its_record(&under_test).await;
        suite::webhooks::a_repeated_webhook_gives_the_same_signals(&under_test).await;
        suite::webhooks::a_webhook_without_one_good_signature_is_refused_without_a_hint(&under_test).await;
        suite::webhooks::a_webhook_that_was_changed_is_refused(&under_test).await;
        suite::webhooks::a_webhook_signed_long_ago_or_ahead_is_refused(&under_test).await;
        suite::webhooks::garbage_behind_a_good_signature_is_an_invalid_request(&under_test).await;
        suite::feeds::an_unknown_feed_is_unsupported(&under_test).await;
    }
}
