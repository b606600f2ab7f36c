//! The suite that every sink passes, against the simulated workspace.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use ml_connector_core::{
    Clock, Context, HttpTransport, Sink, TokioClock,
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
    },
    model::{Actor, Approval, Decision, Destination, DocumentRef, EntityRef, Interaction},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    SimTransport, SlackSim,
    slack::{Channel, SlackConfig},
};
use ml_connector_slack::{MessageRef, Slack, channel, clicker, email, message, thread, user};

use crate::support::{NOW, NoNotes, delivery, invoice};

const CHANNEL: &str = "C07ACCTNG1";
const PERSON: &str = "U07APPROV1";
const ADDRESS: &str = "anna.verhoeven@ledgerworks.example";
/// The bot's conversation with that person.
const DIRECT: &str = "D07APPROV1";

fn answer(status: u16, retry_after: &str, body: &'static str) -> Response<Bytes> {
    let response = Response::builder().status(status).header("retry-after", retry_after);
    response.body(Bytes::from_static(body.as_bytes())).unwrap()
}

/// What is counted as written.
#[derive(Clone, Copy)]
enum Written {
    /// Messages in a conversation, replies included.
    Posts(&'static str),
    /// Replies in the accounting channel.
    Replies,
    /// Changes of the first message in the accounting channel.
    Changes,
    /// What one person saw.
    Shown,
}

/// Slack in front of the simulated workspace, in whose accounting channel the bot has posted once.
async fn under_test(to: impl FnOnce(&MessageRef) -> Destination, written: Written) -> SinkUnderTest {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
    let mut config = SlackConfig::default();
    config.scopes.push("im:write".to_owned());
    let slack = SlackSim::with_config(Arc::clone(&clock), config);
    let mut direct = Channel::new(DIRECT, "directmessage").private();
    direct.with_user = Some(PERSON.to_owned());
    slack.set_channel(direct);
    let token = slack.bot_token();
    let vendor: Arc<dyn HttpTransport> = Arc::new(SimTransport::new().with_slack(&slack));
    let connect = {
        let token = token.clone();
        move || {
            let slack = Slack::builder("slack").token(token.clone()).workspace("T07LEDGER1");
            Arc::new(slack.build().unwrap())
        }
    };
    let first = match written {
        Written::Posts(_) => MessageRef { channel: CHANNEL.to_owned(), ts: String::new() },
        _ => first_message(&connect(), Arc::clone(&vendor), &clock).await,
    };
    let wait = Duration::from_secs;
    let mut actor = Actor::new("slack", PERSON);
    actor.place = Some(first.to_string().into());
    let about = Box::new(invoice());
    let document = DocumentRef { connection: "books".into(), entity: about.entity(), n: 1 };
    let mut approval = Approval::new("1-x".into(), document, about, NOW);
    approval.decision = Some(Decision::new(actor, NOW));
    let approval = Interaction::Approval(approval);
    SinkUnderTest {
        vendor,
        clock,
        writes: |request| request.uri().path().starts_with("/api/chat."),
        destination: to(&first),
        brings: Box::new(move |_| (EntityRef::new(approval.kind(), "case1"), approval.clone().into())),
        refusals: Refusals {
            token: answer(200, "", r#"{"ok":false,"error":"invalid_auth"}"#),
            renews_tokens: false,
            too_often: vec![
                (wait(7), answer(429, "7", r#"{"ok":false,"error":"ratelimited"}"#)),
                (wait(30), answer(429, "30", "")),
                (wait(9), answer(200, "9", r#"{"ok":false,"error":"rate_limited"}"#)),
            ],
            refused: vec![
                answer(200, "", r#"{"ok":false,"error":"channel_not_found"}"#),
                answer(200, "", r#"{"ok":false,"error":"is_archived"}"#),
                answer(200, "", r#"{"ok":false,"error":"msg_too_long"}"#),
                answer(400, "", r#"{"ok":false,"error":"invalid_blocks"}"#),
            ],
        },
        secrets: [&*token, "Acme", "1250.5", "1,250.5", ADDRESS].map(str::to_owned).to_vec(),
        connect: Box::new(move || connect()),
        written: Box::new(move || match written {
            Written::Posts(place) => slack.posts(place).len(),
            Written::Replies => slack.posts(CHANNEL).iter().filter(|post| post.thread_ts.is_some()).count(),
            Written::Changes => slack.posts(CHANNEL)[0].edits as usize,
            Written::Shown => slack.ephemerals(PERSON).len(),
        }),
    }
}

/// Posts a message that deliveries go on from.
async fn first_message(slack: &Slack, vendor: Arc<dyn HttpTransport>, clock: &Arc<dyn Clock>) -> MessageRef {
    let limiter = Arc::new(MemoryRateLimiter::new());
    let ctx = Context::new(vendor, Arc::new(MemoryTokenStore::new()), limiter, Arc::clone(clock));
    let receipt = slack.deliver(&ctx, &[delivery(channel(CHANNEL))], &NoNotes).await.remove(0).unwrap();
    receipt.reference.parse().unwrap()
}

// Proves: sink_of_slack.
#[tokio::test(start_paused = true)]
async fn a_channel_by_id_has_every_behavior_of_a_sink() {
    sink::all(async || under_test(|_| channel(CHANNEL), Written::Posts(CHANNEL)).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_by_name_has_every_behavior_of_a_sink() {
    sink::all(async || under_test(|_| channel("#accounting"), Written::Posts(CHANNEL)).await).await;
}

#[tokio::test(start_paused = true)]
async fn direct_messages_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(|_| user(PERSON), Written::Posts(DIRECT)).await).await;
}

#[tokio::test(start_paused = true)]
async fn direct_messages_by_address_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(|_| email(ADDRESS), Written::Posts(DIRECT)).await).await;
}

#[tokio::test(start_paused = true)]
async fn replies_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(thread, Written::Replies).await).await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_message_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(message, Written::Changes).await).await;
}

#[tokio::test(start_paused = true)]
async fn words_for_one_person_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(|_| clicker(), Written::Shown).await).await;
}
