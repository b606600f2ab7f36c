//! What is secret or personal stays out of logs, errors, `Debug` and explanations.

mod elsewhere;
mod locked;
mod rotation;
mod twins;

use std::{
    error::Error as _,
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};

use http::StatusCode;
use ml_connector_core::{
    Error, TokenStore,
    audit::{EntryKind, EntryState, Outcome, Query, RewriteLog, StoredEntry},
    encryption::{EncryptLog, EncryptTokens, Key, KeyRing},
    engine::Act,
    model::{Event, Seq},
    token::{NamedSecrets, TokenKey},
};
use ml_connector_sim::{Fault, slack::Channel, zoho::Entity};
use tracing::{
    Event as LogEvent, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::world::{ACCOUNTING, Story, WEBHOOK_SECRET, World, amount, document, everything, secs};

const CUSTOMER: &str = "Quillfeather Holdings";
const VENDOR: &str = "Marrowstone Quarry";
/// Somebody who acts, and in what they say about it.
const PERSON: &str = "Thistledown";
/// 73519.86, in every form it could be written in.
const CENTS: i64 = 7_351_986;

/// Everything our crates log at any level, spans and their fields included.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<String>>);

impl Captured {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        if metadata.target().starts_with("ml_connector") {
            let mut line = Line(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()));
            record(&mut line);
            writeln!(self.0.lock().unwrap(), "{}", line.0).unwrap();
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    /// The whole chain of an error, as a reporter would print it, and its long form.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {field}={value} {value:?}").unwrap();
        let mut source = value.source();
        while let Some(cause) = source {
            write!(self.0, " because {cause} {cause:?}").unwrap();
            source = cause.source();
        }
    }
}

impl<S: Subscriber> Layer<S> for Captured {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note(attributes.metadata(), |line| attributes.record(line));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut line = Line("record".to_owned());
        values.record(&mut line);
        writeln!(self.0.lock().unwrap(), "{}", line.0).unwrap();
    }

    fn on_event(&self, event: &LogEvent<'_>, _: Context<'_, S>) {
        self.note(event.metadata(), |line| event.record(line));
    }
}

/// What must not be seen: credentials first, then what a record says about people and money.
fn planted(story: &Story) -> (Vec<String>, Vec<String>) {
    let credentials = story.world.books.credentials();
    let secrets = vec![
        credentials.client_secret,
        credentials.refresh_token,
        story.world.slack.bot_token(),
        WEBHOOK_SECRET.to_owned(),
        // Access tokens are random, but say what they are for.
        "Zoho-oauthtoken ".to_owned(),
        "Bearer ".to_owned(),
        "access_token\":".to_owned(),
    ];
    let personal = ["Quillfeather", "Marrowstone", "73519.86", "73,519.86", "7351986"].map(str::to_owned);
    (secrets, personal.to_vec())
}

fn assert_absent(what: &str, text: &str, planted: &[String]) {
    for secret in planted {
        if let Some(at) = text.find(secret) {
            let mut from = at.saturating_sub(300);
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            panic!("{what} shows a planted value: …{}", &text[from..at]);
        }
    }
}

/// A day on which everything goes wrong that can: its log lines, and the story.
async fn a_bad_day(captured: &Captured, mut story: Story) -> Story {
    let (books, slack) = (story.world.books.clone(), story.world.slack.clone());
    let post = "chat.postMessage";
    let faults = [
        Fault::too_many_requests(3).on(post),
        Fault::html(StatusCode::INTERNAL_SERVER_ERROR).on(post),
        Fault::status(StatusCode::BAD_GATEWAY).having_acted().on(post),
        Fault::timeout().having_acted().on(post),
        Fault::truncated().on(post),
        Fault::reset().on("conversations.history"),
    ];
    for fault in faults {
        slack.plant(fault);
        let id = books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
        books.mark_sent(&id).unwrap();
        books.pay_invoice(&id, amount(CENTS)).unwrap();
        story.told().await;
    }
    for fault in [
        Fault::html(StatusCode::BAD_GATEWAY).on("/books/v3"),
        Fault::truncated().on("/books/v3"),
        Fault::timeout().on("/books/v3"),
        Fault::status(StatusCode::OK)
            .with_body(
                "application/json",
                format!(r#"{{"code":0,"bill":{{"vendor_name":"{VENDOR}","total":73519.86}}}}"#),
            )
            .on("/bills"),
        Fault::status(StatusCode::BAD_REQUEST)
            .with_body("application/json", format!(r#"{{"code":4,"message":"{VENDOR} owes 73519.86"}}"#))
            .on("/bills"),
    ] {
        books.plant(fault);
        let bill = books.create_bill(document(VENDOR, CENTS)).unwrap();
        books.submit_for_approval(Entity::Bill, &bill).unwrap();
        story.told().await;
    }
    // Tokens: expired, unreadable answers of the token endpoint, withdrawn.
    books.expire_tokens();
    let secret = books.credentials().refresh_token;
    for body in [format!(r#"{{"access_token":"{secret}""#), format!(r#"{{"error":"{secret}"}}"#)] {
        books.plant(Fault::status(StatusCode::OK).with_body("application/json", body).on("/oauth/v2/token"));
    }
    books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    story.told().await;
    story.later(secs(600)).await;
    books.expire_tokens();
    books.revoke_grants();
    books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    story.told().await;
    // Forged and malformed webhooks.
    books.tune_webhooks(|tuning| tuning.wrong_secret = true);
    books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    for webhook in books.take_webhooks() {
        assert_eq!(story.send(webhook.request).await, StatusCode::UNAUTHORIZED);
    }
    // Slack: archived, without scope, uninstalled; the log fails.
    slack.set_channel(Channel::new(ACCOUNTING, "accounting").archived());
    story.later(secs(300)).await;
    story.world.log.fail_next_commits(30);
    story.later(secs(300)).await;
    slack.uninstall();
    story.later(secs(3600)).await;
    assert!(captured.text().lines().count() > 80, "{}", captured.text());
    story
}

// Proves: secrets.
#[tokio::test(start_paused = true)]
async fn planted_secrets_and_records_are_in_no_log_line_debug_text_or_explanation() {
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let mut story = a_bad_day(&captured, Story::new()).await;
    acts_by_a_person(&mut story).await;
    let (secrets, personal) = planted(&story);
    // Explanations are for people: they say who did something. Whatever is written without being asked for does not.
    let shown = [secrets, personal].concat();
    let all = [&shown[..], &[PERSON.to_owned()]].concat();

    assert_absent("the log", &captured.text(), &all);

    let world = &story.world;
    let connector = &story.connector;
    let source = world.source();
    let sink = world.sink();
    let debugs = [
        format!("{connector:?} {:?}", connector.stats()),
        format!("{source:?} {:?}", world.source().build().unwrap()),
        format!("{sink:?} {:?}", world.sink().build().unwrap()),
        format!("{:?} {:?} {:?} {:?}", world.books, world.slack, world.transport, world.books.credentials()),
        format!("{:?} {:?}", world.limiter, world.clock),
        format!("{:?}", connector.health().await.unwrap()),
        format!("{:?}", world.builder().source(source.build().unwrap()).sink(sink.build().unwrap())),
    ];
    for debug in debugs {
        assert_absent("Debug", &debug, &all);
    }

    let (mut explained, mut named) = (0, 0);
    for kind in EntryKind::ALL {
        let entries = connector.search(&Query::of_kind(kind).with_limit(10_000)).await.unwrap();
        for entry in entries {
            assert_absent("Debug of an entry", &format!("{entry:?}"), &all);
            let explanation = connector.explain(entry.seq).await.unwrap();
            assert_absent("an explanation", &explanation.to_string(), &shown);
            named += explanation.to_string().matches(PERSON).count();
            assert_absent("Debug of an explanation", &format!("{explanation:?}"), &all);
            explained += 1;
        }
    }
    assert!(explained > 30, "{explained}");
    assert!(named > 3, "acts and outcomes say who, and why, where that is asked for: {named}");
    for entry in world.entries(EntryKind::Event).await {
        let event = Event::from_cloudevent(&entry.body.unwrap()).unwrap();
        assert_absent("Debug of an event", &format!("{event:?}"), &all);
    }
}

/// Somebody does all that people can do with what failed, says why, and looks into it.
async fn acts_by_a_person(story: &mut Story) {
    let person = format!("Jane {PERSON}");
    let why: Arc<str> = format!("{PERSON} has asked for it").into();
    let deliveries = |state, limit| Query::of_kind(EntryKind::Delivery).with_state(state).with_limit(limit);
    let parked = deliveries(EntryState::Parked, 1);
    let acts = [
        Act::Acknowledge { selection: parked.clone(), why: Arc::clone(&why) },
        Act::Cancel { selection: parked, why: Arc::clone(&why) },
        Act::Discard { selection: deliveries(EntryState::Dead, 1), why },
        Act::Resume { connection: "slack".into() },
    ];
    for act in acts {
        let shown = format!("{act:?}");
        assert!(!shown.contains(PERSON), "{shown}");
        let acted = story.connector.act(&*person, act).await.unwrap();
        assert!(!format!("{acted:?}").contains(PERSON));
    }
    story.later(secs(60)).await;
}

/// Everything that the log and the token store hold, as they hold it.
async fn stored(world: &World) -> Vec<String> {
    let mut bytes = Vec::new();
    for StoredEntry { entry, dedupe } in world.log.stored_entries(Seq(0), 100_000).await.unwrap() {
        // As JSON: `Debug` leaves out what is somebody's business. Amounts once as people write them, too.
        let amount = entry.index.amount.map(|amount| amount.to_string());
        bytes.push(serde_json::to_vec(&(&entry, dedupe, amount)).unwrap().into());
        bytes.extend(entry.body.into_iter().chain(entry.trace));
        for recorded in entry.outcomes {
            bytes.extend(recorded.trace);
            if let Outcome::Begun { note, .. } | Outcome::Retry { note, .. } = recorded.outcome {
                bytes.extend(note);
            }
        }
    }
    for document in world.log.stored_documents(None, 100_000).await.unwrap() {
        bytes.push(document.key.to_string().into());
        bytes.extend(document.bytes);
    }
    bytes
        .extend(world.tokens.load(&TokenKey::new(&"books".into())).await.unwrap().map(|stored| stored.bytes));
    bytes.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

// Proves: secrets.
#[tokio::test(start_paused = true)]
async fn an_encrypted_connector_stores_none_of_it_and_logs_none_of_it() {
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let world = World::new();
    let ring = KeyRing::new(Key::generate("test").unwrap());
    let log = Arc::clone(&world.log).encrypted(ring.clone()).await.unwrap();
    let tokens = Arc::clone(&world.tokens).encrypted(ring);
    let builder = world.builder().audit_log(log).token_store(tokens);
    let builder = builder.source(world.source().build().unwrap()).sink(world.sink().build().unwrap());
    let connector = builder.route(everything(ACCOUNTING)).build().unwrap();
    let story = a_bad_day(&captured, Story::of(world, connector)).await;

    let (secrets, personal) = planted(&story);
    let all = [secrets, personal].concat();
    assert_absent("the log", &captured.text(), &all);
    let stored = stored(&story.world).await;
    assert!(stored.len() > 100, "{}", stored.len());
    for text in stored {
        assert_absent("the storage", &text, &all);
    }
    // And it works: what was told is found again by its record, and explained.
    let deliveries = story.connector.search(&Query::of_kind(EntryKind::Delivery)).await.unwrap();
    let told = deliveries.iter().find(|entry| entry.receipt().is_some()).unwrap();
    let same = Query::of_kind(EntryKind::Delivery).with_entity(told.index.entity.clone().unwrap());
    assert!(story.connector.search(&same).await.unwrap().iter().any(|entry| entry.seq == told.seq));
    assert!(told.index.amount.is_some());
    story.connector.explain(told.seq).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn secrets_by_name_are_changed_while_the_connector_runs() {
    let world = World::new();
    let secrets = NamedSecrets::new(Arc::clone(&world.tokens));
    secrets.set("zoho/webhooks", "anotherSecret2026").await.unwrap();
    secrets.set("slack/bot", "xoxb-not-this-one").await.unwrap();
    let credentials = world.books.credentials();
    secrets.set("zoho/client", credentials.client_secret).await.unwrap();
    let source = ml_connector_zoho::ZohoBooks::builder("books")
        .organization_id(credentials.organization_id)
        .data_center(ml_connector_zoho::DataCenter::Us)
        .client(credentials.client_id, secrets.get("zoho/client").await.unwrap())
        .refresh_token(credentials.refresh_token)
        .webhook_secret(secrets.get("zoho/webhooks").await.unwrap())
        .time_zone("America/New_York")
        .endpoint("books");
    let sink = world.sink().token(secrets.get("slack/bot").await.unwrap());
    let builder = world.builder().source(source.build().unwrap()).sink(sink.build().unwrap());
    let connector = builder.route(everything(ACCOUNTING)).build().unwrap();
    let mut story = Story::of(world, connector);
    let invoice = |story: &Story| {
        let books = &story.world.books;
        let id = books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
        books.mark_sent(&id).unwrap();
        books.take_webhooks()
    };

    let statuses = async |story: &Story| {
        let mut statuses = Vec::new();
        for webhook in invoice(story) {
            statuses.push(story.send(webhook.request).await);
        }
        statuses
    };
    story.later(secs(60)).await;
    assert!(statuses(&story).await.iter().all(|status| *status == StatusCode::UNAUTHORIZED));
    secrets.set("zoho/webhooks", WEBHOOK_SECRET).await.unwrap();
    assert!(statuses(&story).await.iter().all(|status| *status == StatusCode::OK));
    assert!(story.later(secs(60)).await.is_empty(), "Slack refuses the bot's token");
    secrets.set("slack/bot", story.world.slack.bot_token()).await.unwrap();
    story.connector.resume(&"slack".into()).await.unwrap();
    assert!(!story.later(secs(600)).await.is_empty(), "the new token is used, and nothing was lost");

    // The vendor still signs with the one before: until it is retired, that holds.
    secrets.set("zoho/webhooks", "nextSecret2026").await.unwrap();
    assert!(statuses(&story).await.iter().all(|status| *status == StatusCode::OK));
    secrets.retire("zoho/webhooks").await.unwrap();
    assert!(statuses(&story).await.iter().all(|status| *status == StatusCode::UNAUTHORIZED));
}

#[test]
fn errors_of_a_wrong_configuration_do_not_quote_it() {
    let secret = "hunter2hunter2hunter2";
    let mut errors: Vec<Error> = Vec::new();
    errors.extend(
        ml_connector_zoho::ZohoBooks::builder("books").webhook_secret(format!("{secret}!")).build().err(),
    );
    errors.extend(
        ml_connector_zoho::ZohoBooks::builder("books")
            .organization_id("778812345")
            .time_zone("UTC")
            .api_url(format!("http://{secret}@example.com"))
            .build()
            .err(),
    );
    errors.extend(ml_connector_slack::Slack::builder("slack").token(format!("{secret}\n")).build().err());
    errors.extend(
        ml_connector_slack::Slack::builder("slack")
            .base_url(format!("https://x:{secret}@slack.com"))
            .build()
            .err(),
    );
    assert_eq!(errors.len(), 4);
    for error in errors {
        let mut text = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            write!(text, " {cause} {cause:?}").unwrap();
            source = cause.source();
        }
        assert!(!text.contains("hunter2"), "an error quotes a secret of {} characters", secret.len());
    }
}
