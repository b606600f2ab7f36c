//! The suite that every sink passes, against the simulated workspace.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Clock, HttpTransport, Result, TokioClock,
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
    },
    http::{Limits, TransportError},
    model::Destination,
};
use ml_connector_sim::{SimTransport, SlackSim, slack::Channel};
use ml_connector_slack::{Slack, channel, user};

use crate::support::{NOW, invoice};

const CHANNEL: &str = "C07ACCTNG1";
const PERSON: &str = "U07APPROV1";
/// The bot's conversation with that person.
const DIRECT: &str = "D07APPROV1";

fn answer(status: u16, retry_after: &str, body: &'static str) -> Response<Bytes> {
    let response = Response::builder().status(status).header("retry-after", retry_after);
    response.body(Bytes::from_static(body.as_bytes())).unwrap()
}

/// The simulated workspace, and the one method that it does not have.
#[derive(Debug)]
struct Workspace(SimTransport);

#[async_trait]
impl HttpTransport for Workspace {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        match request.uri().path() {
            "/api/conversations.open" => Ok(answer(200, "", r#"{"ok":true,"channel":{"id":"D07APPROV1"}}"#)),
            _ => self.0.send(request, limits).await,
        }
    }
}

/// Slack in front of the simulated workspace; `place` is the conversation that the destination leads to.
fn under_test(destination: Destination, place: &'static str) -> SinkUnderTest {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
    let slack = SlackSim::new(Arc::clone(&clock));
    let mut direct = Channel::new(DIRECT, "directmessage").private();
    direct.with_user = Some(PERSON.to_owned());
    slack.set_channel(direct);
    let token = slack.bot_token();
    let wait = Duration::from_secs;
    SinkUnderTest {
        vendor: Arc::new(Workspace(SimTransport::new().with_slack(&slack))),
        clock,
        writes: |request| request.uri().path() == "/api/chat.postMessage",
        destination,
        record: Box::new(|_| invoice()),
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
        secrets: vec![token.clone(), "Acme".to_owned(), "1250.5".to_owned(), "1,250.5".to_owned()],
        connect: Box::new(move || {
            Arc::new(Slack::builder("slack").token(token.clone()).workspace("T07LEDGER1").build().unwrap())
        }),
        written: Box::new(move || slack.posts(place).len()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_by_id_has_every_behavior_of_a_sink() {
    sink::all(async || under_test(channel(CHANNEL), CHANNEL)).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_by_name_has_every_behavior_of_a_sink() {
    sink::all(async || under_test(channel("#accounting"), CHANNEL)).await;
}

#[tokio::test(start_paused = true)]
async fn direct_messages_have_every_behavior_of_a_sink() {
    sink::all(async || under_test(user(PERSON), DIRECT)).await;
}
