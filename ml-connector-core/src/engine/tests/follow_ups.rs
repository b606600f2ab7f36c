//! A connection that is a sink and a source: what its receipts lead to, what it hears, what it remembers.

use std::sync::Mutex;

use async_trait::async_trait;
use vendor::{Fault, webhook};

use super::*;
use crate::{
    AttemptNotes, Context, Effect, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Retry, Scope, Sink,
    SinkInfo, Source, SourceInfo, UpkeepRequest,
    model::{
        Approval, ConnectionId, Delivery, DeliveryPlan, DocumentRef, Ended, EntityRef, Event, Fate, Intake,
        Interaction, LaneKey, Lookup, Observation, Observed, Page, Prompt, Raw, Receipt, Record, RecordKind,
        Resolution, Revision, Signal, Status, Upkeep,
    },
    snapshot::Snapshot,
};

/// Files every event it gets as a case, says two words about each, and looks at it again an hour later.
#[derive(Debug, Clone)]
struct Desk(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    source: SourceInfo,
    sink: SinkInfo,
    heard: Mutex<Vec<Fate>>,
    remembered: Mutex<Vec<Option<String>>>,
    lose_answers: Mutex<usize>,
}

impl Desk {
    fn new() -> Self {
        let connection = ConnectionId::from("desk");
        let mut source = SourceInfo::new(connection.clone(), "desk");
        (source.outcomes, source.keeps_raw) = (true, true);
        let sink = SinkInfo::new(connection, "desk");
        let (heard, remembered, lose_answers) = Default::default();
        Self(Arc::new(Parts { source, sink, heard, remembered, lose_answers }))
    }
}

fn said(id: &str, word: &str, order: u64, now: Timestamp) -> Observation {
    let status = serde_json::from_value(word.into()).unwrap();
    let document = DocumentRef { connection: "books".into(), entity: EntityRef::new("bill", "1"), n: 1 };
    let shown = Box::new(Record::new(RecordKind::Bill, "1", Status::PendingApproval));
    let mut approval = Approval::new("1-a".into(), document, shown, now);
    approval.status = status;
    let raw = serde_json::value::RawValue::from_string(format!("\"{word}\"")).unwrap();
    let state = Observed::Present {
        revision: Revision::of(word.as_bytes()),
        order: Some(order),
        content: Interaction::Approval(approval).into(),
        raw: Some(Raw::new(raw)),
        notes: Vec::new(),
    };
    Observation { entity: EntityRef::new("approval", id), read_at: now, state }
}

#[async_trait]
impl Sink for Desk {
    fn info(&self) -> &SinkInfo {
        &self.0.sink
    }

    fn plan(&self, _: &Delivery) -> Result<DeliveryPlan> {
        Ok(DeliveryPlan::new(LaneKey::from("in")))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        {
            let mut lose = self.0.lose_answers.lock().unwrap();
            if *lose > 0 {
                *lose -= 1;
                let error = Error::new(ErrorKind::Unavailable, "the answer was lost");
                return vec![Err(error.with_effect(Effect::Unknown))];
            }
        }
        let Ok(Lookup::Happened(receipt)) = self.look_up(ctx, &batch[0]).await else { unreachable!() };
        vec![Ok(receipt)]
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        let case = EntityRef::new("approval", Arc::clone(&delivery.event.entity.id));
        let mut receipt = Receipt::new(format!("case/{}", case.id));
        receipt.signals = vec![Signal::entity(case)];
        Ok(Lookup::Happened(receipt))
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

#[async_trait]
impl Source for Desk {
    fn info(&self) -> &SourceInfo {
        &self.0.source
    }

    fn receive(&self, _: ReceiveRequest<'_>) -> Result<Intake> {
        Err(Error::new(ErrorKind::SignatureInvalid, "nobody writes to the desk"))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let raw = last.and_then(|last| last.raw.as_ref()).map(|raw| raw.get().to_owned());
        self.0.remembered.lock().unwrap().push(raw);
        let crate::model::Subject::Entity(entity) = &signals[0].subject else { unreachable!() };
        let fates = signals.iter().filter_map(|signal| signal.payload.as_ref());
        self.0.heard.lock().unwrap().extend(fates.map(|payload| serde_json::from_slice(payload).unwrap()));
        let now = ctx.now();
        if signals.iter().any(|signal| signal.hint.as_deref() == Some("later")) {
            return Ok(Resolution::Observed(vec![said(&entity.id, "reminded", 3, now)]));
        }
        if last.is_some() {
            return Ok(Resolution::Done { note: "heard" });
        }
        let seen = vec![said(&entity.id, "superseded", 1, now), said(&entity.id, "requested", 2, now)];
        let mut later = Signal::entity(entity.clone());
        (later.hint, later.dedupe) = (Some("later".into()), Some("once".into()));
        let later = vec![(now + secs(3600), later.clone()), (now + secs(3600), later)];
        Ok(Resolution::Scheduled { seen, later })
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "the desk has no feeds"))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + secs(86_400)))
    }
}

/// Invoices go to the desk, and what the desk says to the board.
async fn desk() -> (World, Connector, Desk) {
    let (world, desk) = (World::new(), Desk::new());
    let connector = world.connector_with(Vec::new());
    connector.add_source(desk.clone()).unwrap();
    connector.add_sink(desk.clone()).unwrap();
    let routes = vec![
        Route::new("in").on("invoice.*").to("desk", Destination::from("in")),
        Route::new("out").on("approval.*").to("board", Destination::from("a")),
    ];
    connector.set_routes(routes).unwrap();
    (world, connector, desk)
}

async fn tell(world: &World, connector: &Connector, time: Duration) {
    world.ledger.put("1", Status::Open, "2026-04-01");
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(connector, time).await;
}

#[tokio::test(start_paused = true)]
async fn a_receipt_s_signals_are_written_with_it_and_each_state_of_a_sequence_is_a_change() {
    let (world, connector, desk) = desk().await;
    tell(&world, &connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["approval.superseded 1", "approval.requested 1"]);
    let deliveries = world.entries(EntryKind::Delivery).await;
    let delivery = deliveries.iter().find(|entry| entry.connection == "desk".into()).unwrap();
    let signals = world.entries(EntryKind::Signal).await;
    let signal =
        signals.iter().find(|entry| entry.connection == "desk".into() && entry.parent.is_some()).unwrap();
    assert_eq!((signal.parent, signal.at), (Some(delivery.seq), delivery.outcomes.last().unwrap().at));
    let events = world.entries(EntryKind::Event).await;
    let numbers: Vec<u64> =
        events[1..].iter().map(|e| Event::from_cloudevent(e.body.as_ref().unwrap()).unwrap().n).collect();
    assert_eq!(numbers, [1, 2]);
    let remembered = desk.0.remembered.lock().unwrap().clone();
    assert_eq!(remembered[..2], [None, Some("\"requested\"".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_looked_up_leads_to_the_same_signals_once() {
    let (world, connector, desk) = desk().await;
    *desk.0.lose_answers.lock().unwrap() = 1;
    tell(&world, &connector, secs(600)).await;
    assert_eq!(connector.stats().looked_up, 1);
    assert_eq!(world.board.corner("a"), ["approval.superseded 1", "approval.requested 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_comes_on_its_day_and_once() {
    let (world, connector, _) = desk().await;
    tell(&world, &connector, secs(3500)).await;
    assert_eq!(world.board.corner("a").len(), 2);
    world.run(&connector, secs(3700)).await;
    let told = ["approval.superseded 1", "approval.requested 1", "approval.reminded 1"];
    assert_eq!(world.board.corner("a"), told);
}

#[tokio::test(start_paused = true)]
async fn a_source_hears_what_becomes_of_its_events() {
    let (world, connector, desk) = desk().await;
    let refusal = |scope| Fault::Before(ErrorKind::InvalidRequest, Effect::None, scope, Retry::Never);
    world.board.fault(refusal(Scope::Lane));
    world.board.fault(refusal(Scope::Lane));
    world.board.fault(refusal(Scope::Entry));
    tell(&world, &connector, secs(600)).await;
    let heard = desk.0.heard.lock().unwrap();
    let told: Vec<_> = heard.iter().map(|fate| (fate.n, fate.state, fate.error.as_deref())).collect();
    let refused = Some("invalid_request: refused");
    let expected = [(1, Ended::Parked, refused), (1, Ended::Dead, refused), (2, Ended::Done, None)];
    assert_eq!(told, expected);
    assert!(heard[2].reference.as_deref().is_some_and(|reference| reference.starts_with("board/")));
    assert_eq!(
        (heard[2].sink.as_str(), heard[2].destination.as_str(), &*heard[2].route),
        ("board", "a", "out")
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_is_known_by_its_receipt_and_by_when_it_was_looked_at() {
    let (world, connector, _) = desk().await;
    tell(&world, &connector, secs(60)).await;
    let context = connector.context();
    let board = ConnectionId::from("board");
    let told = world.entries(EntryKind::Delivery).await;
    let told: Vec<&Entry> = told.iter().filter(|entry| entry.connection == board).collect();
    let receipt = told[1].receipt().unwrap();
    let document = context.delivered(&board, receipt, context.now()).await.unwrap().unwrap();
    assert_eq!(
        (document.connection.as_str(), &*document.entity.to_string(), document.n),
        ("desk", "approval/1", 2)
    );
    assert_eq!(context.delivered(&board, "nothing", context.now()).await.unwrap(), None);
    let snapshot = context.known(&"desk".into(), &document.entity).await.unwrap().unwrap();
    assert_eq!(snapshot.n, 2);
    let last = context.last_told(&"desk".into(), &document.entity).await.unwrap().unwrap();
    assert_eq!((last.n, last.event_type().as_str()), (2, "approval.requested"));
}
