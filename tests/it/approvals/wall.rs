//! A workspace as people see it: cards with buttons, and what is whispered to whoever clicked.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, HttpTransport, Result, Secret, Sink, SinkInfo,
    Timestamp,
    approval::Choice,
    http::{Limits, TransportError},
    model::{
        Approval, ApprovalStatus, Delivery, DeliveryPlan, Destination, Follow, Interaction, LaneKey, Lookup,
        Money, Receipt,
    },
    webhook::{Encoding, HmacSha256},
};
use serde_json::json;
use url::form_urlencoded;

pub(super) const SECRET: &str = "signing-secret";
const CHANNEL: &str = "C07APPROV1";

/// A message as it stands.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub(super) ts: String,
    /// What its buttons carry, if it has any.
    pub(super) value: Option<String>,
    /// The amount it shows.
    pub(super) total: Option<Money>,
    pub(super) status: ApprovalStatus,
}

#[derive(Debug, Default)]
struct State {
    cards: BTreeMap<String, Card>,
    /// By document's number, the card that was posted first, and replies.
    posted: Vec<(String, String)>,
    /// By delivery, its receipt.
    done: BTreeMap<String, String>,
    /// Who was told what about which approval.
    whispers: Vec<(String, String)>,
    faults: VecDeque<bool>,
    clicks: u64,
}

#[derive(Debug, Default)]
pub(super) struct Wall(Mutex<State>);

impl Wall {
    /// The card of a document as it stands.
    pub(super) fn card(&self, number: &str) -> Option<Card> {
        let state = self.0.lock().unwrap();
        let (_, ts) = state.posted.iter().find(|(of, _)| of == number)?;
        state.cards.get(ts).cloned()
    }

    /// What somebody was told about a document.
    pub(super) fn whispers(&self, user: &str, number: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let about = |text: &str| text.split([' ', '.', ',', ':']).any(|word| word == number);
        let told = state.whispers.iter().filter(|(to, text)| to == user && about(text));
        told.map(|(_, text)| text.clone()).collect()
    }

    /// Whether the answers of the next calls are lost after they had their effect.
    pub(super) fn lose(&self, answers: impl IntoIterator<Item = bool>) {
        self.0.lock().unwrap().faults.extend(answers);
    }

    /// Somebody clicks on what they see.
    pub(super) fn click(&self, user: &str, action: &str, card: &Card, now: Timestamp) -> Request<Bytes> {
        let click = {
            let mut state = self.0.lock().unwrap();
            state.clicks += 1;
            state.clicks
        };
        let payload = json!({
            "type": "block_actions", "trigger_id": format!("trigger{click}"),
            "user": {"id": user, "team_id": "T07LEDGER1"}, "team": {"id": "T07LEDGER1"},
            "channel": {"id": CHANNEL}, "message": {"ts": card.ts},
            "state": {"values": {Choice::REASON: {Choice::REASON: {"value": null}}}},
            "actions": [{"action_id": action, "action_ts": format!("176722{click:04}.000000"), "value": card.value}],
        });
        let form = form_urlencoded::Serializer::new(String::new());
        let body = { form }.append_pair("payload", &payload.to_string()).finish();
        let stamp = now.as_secs().to_string();
        let signer = HmacSha256::new(&[Secret::from(SECRET)]).unwrap();
        let digest = signer.sign(&[b"v0:", stamp.as_bytes(), b":", body.as_bytes()], Encoding::Hex);
        Request::post("/slack")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", stamp)
            .header("x-slack-signature", format!("v0={digest}"))
            .body(Bytes::from(body))
            .unwrap()
    }
}

pub(super) fn cards() -> Destination {
    Destination::from("cards")
}

pub(super) fn clicker() -> Destination {
    Destination::from("clicker")
}

/// The wall as a sink of the connection whose source is the real one.
#[derive(Debug)]
pub(super) struct Painter {
    info: SinkInfo,
    wall: Arc<Wall>,
}

impl Painter {
    pub(super) fn new(wall: &Arc<Wall>) -> Self {
        let mut info = SinkInfo::new("slack".into(), "slack");
        info.affinity = "slack/T07LEDGER1".into();
        Self { info, wall: Arc::clone(wall) }
    }

    fn paint(&self, delivery: &Delivery) -> Result<Receipt> {
        let mut state = self.wall.0.lock().unwrap();
        let interaction = delivery.event.interaction().unwrap();
        let receipt = if delivery.destination == clicker() {
            let Interaction::Answer(answer) = interaction else { panic!() };
            state.whispers.push((answer.to.id.to_string(), answer.text.clone()));
            format!("ephemeral:{}", delivery.id)
        } else {
            let root = delivery.root.as_ref().filter(|_| delivery.follow == Some(Follow::Update));
            let ts = match root {
                Some(root) => root.reference.split_once('/').unwrap().1.to_owned(),
                None => format!("1767225605.{:06}", state.cards.len()),
            };
            let Interaction::Approval(approval) = interaction else { panic!() };
            if root.is_none() {
                state.posted.push((approval.shown.number.clone().unwrap_or_default(), ts.clone()));
            }
            state.cards.insert(ts.clone(), card(&ts, &delivery.event.entity.id, approval));
            format!("{CHANNEL}/{ts}")
        };
        state.done.insert(delivery.id.to_string(), receipt.clone());
        match state.faults.pop_front() {
            Some(true) => Err(Error::new(ErrorKind::Unavailable, "lost").with_effect(Effect::Unknown)),
            _ => Ok(Receipt::new(receipt)),
        }
    }
}

fn card(ts: &str, id: &str, approval: &Approval) -> Card {
    let status = approval.status;
    let is_open = matches!(status, ApprovalStatus::Requested | ApprovalStatus::Reminded);
    let value = is_open.then(|| Choice::new(id, approval.request.clone()).to_value());
    Card { ts: ts.to_owned(), value, total: approval.shown.total, status }
}

#[async_trait]
impl Sink for Painter {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let lane = match &delivery.root {
            Some(root) if delivery.follow == Some(Follow::Update) => format!("update:{}", root.reference),
            _ => delivery.destination.to_string(),
        };
        Ok(DeliveryPlan::new(LaneKey::from(lane)))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        batch.iter().map(|delivery| self.paint(delivery)).collect()
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        let state = self.wall.0.lock().unwrap();
        let receipt = state.done.get(&delivery.id.to_string()).cloned();
        Ok(receipt.map_or(Lookup::DidNotHappen, |receipt| Lookup::Happened(Receipt::new(receipt))))
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

/// Says who people are.
#[derive(Debug)]
pub(super) struct Api;

#[async_trait]
impl HttpTransport for Api {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let mut fields = form_urlencoded::parse(request.body());
        let user = fields.find(|(key, _)| key == "user").map(|(_, user)| user.into_owned());
        let user = user.unwrap_or_default();
        let name = match &*user {
            "U07RITA001" => "Rita Requester",
            _ => "Somebody",
        };
        let profile = json!({"real_name": name, "email": format!("{user}@x.example")});
        let person = json!({"id": user, "team_id": "T07LEDGER1", "profile": profile});
        let body = json!({"ok": true, "user": person, "user_id": "U07BOT0001"});
        Ok(Response::new(Bytes::from(body.to_string())))
    }
}
