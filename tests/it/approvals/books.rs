//! Books in which bills wait for approval, and what is planted there.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, Money, PollRequest, ReceiveRequest, Result, Retry, Sink,
    SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest,
    model::{
        Delivery, DeliveryPlan, Destination, EntityRef, Intake, Interaction, LaneKey, Lookup, Observation,
        Observed, Page, Person, PostedDocument, Prompt, Receipt, Record, RecordKind, Resolution, Revision,
        Signal, Status, Upkeep,
    },
    snapshot::Snapshot,
};

/// What the books do with the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are down.
    Down,
    /// They do it, and the answer is lost.
    LostAnswer,
    /// They never answer, and have not done it.
    Hang,
    /// The period is closed.
    Refuse,
}

#[derive(Debug, Clone)]
pub(super) struct Bill {
    /// Grows with every change.
    pub(super) version: u64,
    /// How many have to approve it.
    levels: usize,
    /// How many have, in the books themselves.
    there: usize,
    /// The version at each approval of ours, and by which delivery.
    pub(super) approvals: Vec<(u64, String)>,
    faults: VecDeque<Fault>,
}

impl Bill {
    fn approvers(&self) -> usize {
        self.there + self.approvals.len()
    }
}

#[derive(Debug, Default)]
pub(super) struct Books(Mutex<BTreeMap<String, Bill>>);

impl Books {
    /// Somebody submits a bill that so many have to approve.
    pub(super) fn submit(&self, id: &str, levels: usize, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        let bill = Bill { version: 1, levels, there: 0, approvals: Vec::new(), faults };
        self.0.lock().unwrap().insert(id.to_owned(), bill);
    }

    /// Somebody edits a bill.
    pub(super) fn change(&self, id: &str) {
        self.0.lock().unwrap().get_mut(id).unwrap().version += 1;
    }

    /// The next approver approves it in the books.
    pub(super) fn approve_there(&self, id: &str) {
        self.0.lock().unwrap().get_mut(id).unwrap().there += 1;
    }

    /// What is planted for the next command. A period stays closed.
    fn fault(&self, id: &str) -> Option<Fault> {
        let mut bills = self.0.lock().unwrap();
        let faults = &mut bills.get_mut(id).unwrap().faults;
        match faults.front() {
            Some(Fault::Refuse) => Some(Fault::Refuse),
            _ => faults.pop_front(),
        }
    }

    pub(super) fn bill(&self, id: &str) -> Bill {
        self.0.lock().unwrap()[id].clone()
    }
}

/// A webhook of the books.
pub(super) fn webhook(id: &str) -> Request<Bytes> {
    Request::post("/books").body(Bytes::from(id.to_owned())).unwrap()
}

/// What the books' command is called.
pub(super) fn approve() -> Destination {
    Destination::from("approve")
}

/// The amount shows the version: what somebody saw can be told from it.
pub(super) fn amount(version: u64) -> Money {
    Money::parse(&format!("{version}.00"), "EUR").unwrap()
}

#[derive(Debug, Clone)]
pub(super) struct Connection {
    source: SourceInfo,
    sink: SinkInfo,
    books: Arc<Books>,
}

impl Connection {
    pub(super) fn new(books: &Arc<Books>) -> Self {
        let mut source = SourceInfo::new("books".into(), "books");
        source.coalesce = Duration::from_millis(100);
        Self { source, sink: SinkInfo::new("books".into(), "books"), books: Arc::clone(books) }
    }

    fn read(&self, id: &str, now: Timestamp) -> Observation {
        let bill = self.books.bill(id);
        let (version, approvers) = (bill.version, bill.approvers());
        let status = if approvers < bill.levels { Status::PendingApproval } else { Status::Open };
        let mut record = Record::new(RecordKind::Bill, id, status);
        record.number = Some(format!("B-{id}"));
        record.total = Some(amount(version));
        record.submitted_by = Some(Person::named("Rita Requester"));
        let revision = Revision::of(format!("{version} {approvers}").as_bytes());
        let state = Observed::present(revision, record);
        Observation { entity: EntityRef::new("bill", id), read_at: now, state }
    }

    /// Approves what was shown, and nothing else: as a books' sink has to.
    async fn carry_out(&self, ctx: &Context, delivery: &Delivery) -> Result<Receipt> {
        let refused = |message| Err(Error::new(ErrorKind::Conflict, message).with_retry(Retry::Never));
        let shown = delivery.event.interaction().and_then(Interaction::about).unwrap();
        let known = ctx.known(&shown.connection, &shown.entity).await?;
        let fault = self.books.fault(&shown.entity.id);
        let down = |effect| Err(Error::new(ErrorKind::Unavailable, "down").with_effect(effect));
        match fault {
            Some(Fault::Down) => return down(Effect::None),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Refuse) => return refused("the period is closed"),
            Some(Fault::LostAnswer) | None => {}
        }
        let Observed::Present { revision, .. } = self.read(&shown.entity.id, ctx.now()).state else {
            panic!()
        };
        if known.is_none_or(|known| known.n != shown.n || known.revision != Some(revision)) {
            return refused("the document changed since it was shown");
        }
        {
            let mut bills = self.books.0.lock().unwrap();
            let bill = bills.get_mut(&*shown.entity.id).unwrap();
            let version = bill.version;
            bill.approvals.push((version, delivery.id.to_string()));
        }
        if fault == Some(Fault::LostAnswer) {
            return down(Effect::Unknown);
        }
        Ok(self.receipt(&shown.entity.id, ctx.now()))
    }

    fn receipt(&self, id: &str, now: Timestamp) -> Receipt {
        let mut receipt = Receipt::new(format!("bill/{id}#approve"));
        let read = self.read(id, now);
        receipt.result = read.state.record().map(PostedDocument::of);
        receipt.observed = Some(Arc::new(read));
        receipt
    }
}

#[async_trait]
impl Source for Connection {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let id = std::str::from_utf8(request.request.body()).unwrap();
        Ok(Intake::accepted(vec![Signal::entity(EntityRef::new("bill", id))]))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let ml_connector_core::model::Subject::Entity(entity) = &signals[0].subject else { panic!() };
        Ok(Resolution::Observed(vec![self.read(&entity.id, ctx.now())]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "there are no feeds"))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        let next = ctx.now() + Duration::from_secs(86_400);
        Ok(Upkeep::new(next))
    }
}

#[async_trait]
impl Sink for Connection {
    fn info(&self) -> &SinkInfo {
        &self.sink
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let about = delivery.event.interaction().and_then(Interaction::about);
        let document = about.ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "about nothing"))?;
        Ok(DeliveryPlan::new(LaneKey::from(document.entity.to_string())))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let mut results = Vec::new();
        for delivery in batch {
            results.push(self.carry_out(ctx, delivery).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let shown = delivery.event.interaction().and_then(Interaction::about).unwrap();
        let done = self.books.bill(&shown.entity.id).approvals;
        Ok(match done.iter().any(|(_, by)| *by == delivery.id.to_string()) {
            true => Lookup::Happened(self.receipt(&shown.entity.id, ctx.now())),
            false => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
