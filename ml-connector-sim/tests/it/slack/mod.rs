//! Slack, seen by an app.

mod app;
mod interactions;
mod methods;
mod page;
mod posting;
mod reading;
mod shapes;
mod tokens;
mod views;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use ml_connector_core::{HttpTransport, ManualClock, http::Limits};
use ml_connector_sim::{
    SimTransport, SlackSim,
    slack::{Attempt, SlackConfig, signature},
};
use serde_json::{Value, json};

use crate::{Answered, clock, get, post, send};

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const ACCOUNTING: &str = "C07ACCTNG1";
pub(crate) const APPROVALS: &str = "C07APPROV1";
pub(crate) const ANNA: &str = "U07APPROV1";
pub(crate) const TOM: &str = "U07CLERK01";

/// A workspace, an app that is connected to it, and a way between them.
pub(crate) struct Workspace {
    pub(crate) sim: SlackSim,
    pub(crate) transport: SimTransport,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) token: String,
    pub(crate) app: App,
}

pub(crate) fn workspace() -> Workspace {
    workspace_with(SlackConfig::default())
}

pub(crate) fn workspace_with(mut config: SlackConfig) -> Workspace {
    let clock = clock();
    config.request_url = Some("https://erp.example.com/slack".parse().unwrap());
    let sim = SlackSim::with_config(clock.clone(), config);
    let token = format!("Bearer {}", sim.bot_token());
    let app = App::default();
    let transport = SimTransport::new().with_slack(&sim).with_router("https://erp.example.com", app.router());
    Workspace { transport, sim, clock, token, app }
}

impl Workspace {
    pub(crate) async fn call(&self, method: &str, args: Value) -> Answered {
        let url = format!("https://slack.com/api/{method}");
        send(&self.transport, post(&url, &self.token, JSON, args.to_string())).await.unwrap()
    }

    pub(crate) async fn read(&self, method_and_query: &str) -> Answered {
        let url = format!("https://slack.com/api/{method_and_query}");
        send(&self.transport, get(&url, &self.token)).await.unwrap()
    }

    pub(crate) async fn post(&self, args: Value) -> Answered {
        self.clock.advance(Duration::from_secs(1));
        self.call("chat.postMessage", args).await
    }

    /// A card with a button that asks first, in a channel. Returns its `ts`.
    pub(crate) async fn card(&self, channel: &str) -> String {
        let plain = |text: &str| json!({ "type": "plain_text", "text": text });
        let confirm = json!({
            "title": plain("Sure?"), "text": plain("It will be posted."),
            "confirm": plain("Post"), "deny": plain("Cancel"),
        });
        let blocks = json!([
            { "type": "section", "block_id": "what", "text": plain("Invoice PI-1") },
            { "type": "input", "block_id": "why", "optional": true, "label": plain("Reason"),
              "element": { "type": "plain_text_input", "action_id": "why.text", "max_length": 20 } },
            { "type": "actions", "block_id": "act", "elements": [
                { "type": "button", "action_id": "approve", "style": "primary", "value": "key-1",
                  "text": plain("Approve"), "confirm": confirm },
                { "type": "button", "action_id": "reject", "value": "key-1", "text": plain("Reject") },
            ] },
        ]);
        let metadata = json!({ "event_type": "mlc_notification", "event_payload": { "delivery_id": "d-1" } });
        let args = json!({
            "channel": channel, "text": "Invoice PI-1", "blocks": blocks, "metadata": metadata,
        });
        ok(&self.post(args).await)["ts"].as_str().unwrap().to_owned()
    }

    /// What the app is sent now, and what came of it.
    pub(crate) async fn deliver(&self) -> Vec<Attempt> {
        self.sim.deliver(&self.transport).await
    }

    /// The payload of the only interaction that the app is sent now.
    pub(crate) async fn interaction(&self) -> Value {
        assert_eq!(self.deliver().await.len(), 1);
        self.app.heard().pop().unwrap().payload()
    }

    pub(crate) async fn page(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(format!("https://slack.com{path}")).body(Bytes::new()).unwrap();
        let answer = self.transport.send(request, Limits::default()).await.unwrap();
        (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
    }
}

pub(crate) fn error(answer: &Answered) -> &str {
    assert_eq!((answer.status, &answer.body["ok"]), (StatusCode::OK, &Value::Bool(false)), "{answer:?}");
    answer.body["error"].as_str().unwrap()
}

pub(crate) fn ok(answer: &Answered) -> &Value {
    assert_eq!((answer.status, &answer.body["ok"]), (StatusCode::OK, &Value::Bool(true)), "{answer:?}");
    &answer.body
}

/// A request that the app received.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let mut form = url::form_urlencoded::parse(&self.body);
        form.find(|(field, _)| field == name).unwrap().1.into_owned()
    }

    pub(crate) fn payload(&self) -> Value {
        serde_json::from_str(&self.field("payload")).unwrap()
    }

    pub(crate) fn signed_by(&self, sim: &SlackSim) -> bool {
        let timestamp = self.header("x-slack-request-timestamp");
        signature(&sim.signing_secret(), timestamp, &self.body) == self.header("x-slack-signature")
    }
}

/// An app that writes down what it hears, and answers as it was told; otherwise with an empty 200.
#[derive(Debug, Clone, Default)]
pub(crate) struct App(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    heard: Vec<Heard>,
    answers: VecDeque<Response<Bytes>>,
}

impl App {
    fn router(&self) -> Router {
        let app = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let app = app.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut recorded = app.0.lock().unwrap();
                recorded.heard.push(Heard { headers: parts.headers, body });
                recorded.answers.pop_front().unwrap_or_default().map(Body::from)
            }
        })
    }

    /// What it heard since it was asked last.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }

    /// Answers the next request so.
    pub(crate) fn answers(&self, status: u16, body: impl Into<Bytes>) {
        let mut answer = Response::new(body.into());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        self.answers_with(answer);
    }

    pub(crate) fn answers_with(&self, answer: Response<Bytes>) {
        self.0.lock().unwrap().answers.push_back(answer);
    }
}
