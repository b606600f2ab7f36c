//! A tiny ledger and a board, to tell stories with.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, FeedInfo, Money, PollRequest, ReceiveRequest, Result,
    Sink, SinkInfo, Source, SourceInfo, SourceMode, Timestamp, UpkeepRequest,
    model::{
        AccountKey, ConnectionId, Delivery, DeliveryPlan, EntityRef, Intake, LaneKey, Lookup, Observation,
        Observed, Page, Party, PollMode, Prompt, Receipt, Record, RecordKind, Resolution, Revision, Signal,
        Status, Subject, Upkeep, Zone,
    },
    rate::{Cost, Quota},
    snapshot::Snapshot,
};
use url::Url;

/// A source: a webhook is `account id total`, and the record is what the webhook says.
#[derive(Debug)]
pub(crate) struct Ledger {
    info: SourceInfo,
    state: Arc<Corners>,
}

/// The name of the customer in every record: what must not be seen without the right.
pub(crate) const CUSTOMER: &str = "Bluebird Logistics";
/// What somebody might write anywhere.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\" onmouseover=\"x' {{7*7}} <img src=x>";

impl Ledger {
    pub(crate) fn new(connection: &str, zone: &str, state: &Arc<Corners>) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from(connection), "ledger");
        info.accounts = vec![AccountKey::from(format!("account:{connection}"))];
        info.coalesce = Duration::from_millis(100);
        info.mode = SourceMode::Both;
        info.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(900))];
        info.sweeps = vec![FeedInfo::new("invoices", Duration::from_secs(3600))];
        info.zone = Zone::named(zone).unwrap();
        Self { info, state: Arc::clone(state) }
    }

    /// Shares the endpoint of another connection.
    pub(crate) fn at_endpoint(mut self, endpoint: &str) -> Self {
        self.info.endpoint = endpoint.into();
        self
    }
}

/// An invoice as a read shows it.
pub(crate) fn invoice(id: &str, number: &str, total: &str, read_at: Timestamp) -> Observation {
    invoice_of(CUSTOMER, id, number, total, read_at)
}

fn invoice_of(customer: &str, id: &str, number: &str, total: &str, read_at: Timestamp) -> Observation {
    let mut record = Record::new(RecordKind::Invoice, id, Status::Open);
    record.number = Some(number.to_owned());
    record.total = Some(Money::parse(total, "EUR").unwrap());
    record.counterparty = Some(Party { id: None, name: customer.to_owned() });
    let state = Observed::present(Revision::of(total.as_bytes()), record);
    Observation { entity: EntityRef::new("invoice", id), read_at, state }
}

#[async_trait]
impl Source for Ledger {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let body = String::from_utf8_lossy(request.request.body()).into_owned();
        if request.request.headers().get("proof").is_none() {
            return Err(Error::new(ErrorKind::SignatureInvalid, "no proof"));
        }
        let (account, record) = body.split_once(' ').unwrap_or((&body, ""));
        let signal = Signal {
            account: Some(AccountKey::from(account)),
            ..Signal::entity(EntityRef::new("invoice", record))
        };
        Ok(Intake::accepted(vec![signal]))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let Subject::Entity(entity) = &signals[0].subject else { unreachable!() };
        let (id, total) = entity.id.split_once(' ').unwrap_or((&entity.id, "100.00"));
        // One whose total is another one whenever it is read.
        let moving = format!("{}.00", ctx.now().as_secs() % 100_000);
        let total = if id == "moving" { &*moving } else { total };
        let customer = self.state.customer.lock().unwrap().clone();
        let customer = customer.as_deref().unwrap_or(CUSTOMER);
        let seen = invoice_of(customer, &entity.id, &format!("INV-{id}"), total, ctx.now());
        Ok(Resolution::Observed(vec![seen]))
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let end = Page::new(Bytes::from_static(b"end"));
        if self.info.connection.as_str() != "books" {
            return Ok(end);
        }
        match request.mode {
            PollMode::Live => Ok(self.state.news.lock().unwrap().pop_front().unwrap_or(end)),
            PollMode::Backfill { .. } => {
                let begins = request.checkpoint.map(|at| std::str::from_utf8(at).unwrap().parse::<u64>());
                let begins = begins.map_or(0, Result::unwrap);
                if begins > 0 {
                    tokio::time::sleep(A_PAGE_OF_THE_PAST).await;
                }
                let (ends, all) = (begins + 50, self.state.past.load(Ordering::SeqCst));
                let row = |i| invoice(&format!("o{i}"), &format!("O-{i}"), "5.00", ctx.now());
                let page = Page::new(ends.to_string().into())
                    .observations((begins..ends.min(all)).map(row).collect());
                let left = all.saturating_sub(ends);
                Ok(page.more(left > 0).left(Some(left)))
            }
            PollMode::Sweep => {
                let named = |i| Signal::entity(EntityRef::new("invoice", format!("s{i}")));
                Ok(end.signals((0..self.state.existing.load(Ordering::SeqCst)).map(named).collect()))
            }
            _ => Ok(end),
        }
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + Duration::from_secs(3600)))
    }
}

/// A sink. Corners that are broken refuse for good.
#[derive(Debug)]
pub(crate) struct Board {
    info: SinkInfo,
    state: Arc<Corners>,
}

/// How long the vendor takes for each further page of the past.
const A_PAGE_OF_THE_PAST: Duration = Duration::from_secs(30);

/// What both of them know.
#[derive(Debug, Default)]
pub(crate) struct Corners {
    /// The pages that the next reads of the books show.
    pub(crate) news: Mutex<VecDeque<Page>>,
    /// How many invoices of the past there are: fifty on each page.
    pub(crate) past: AtomicU64,
    /// How many invoices a look at what exists finds.
    pub(crate) existing: AtomicU64,
    /// Another name of the customer.
    pub(crate) customer: Mutex<Option<String>>,
    /// What the board answers next instead of what it would, and another receipt.
    pub(crate) faults: Mutex<VecDeque<Error>>,
    pub(crate) receipt: Mutex<Option<String>>,
    pub(crate) written: Mutex<Vec<String>>,
    pub(crate) broken: Mutex<BTreeSet<String>>,
}

impl Board {
    pub(crate) fn new(connection: &str, state: &Arc<Corners>) -> Self {
        Self { info: SinkInfo::new(connection.into(), "board"), state: Arc::clone(state) }
    }
}

#[async_trait]
impl Sink for Board {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let second = Quota::Rolling { limit: 5, window: Duration::from_secs(1) };
        let key = format!("board/{}", delivery.destination).as_str().into();
        let lane = LaneKey::from(delivery.destination.as_str());
        Ok(DeliveryPlan::new(lane).costs(vec![Cost::one(key, Arc::from([second]))]))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let written = |delivery: &Delivery| {
            let corner = delivery.destination.as_str();
            if let Some(fault) = self.state.faults.lock().unwrap().pop_front() {
                return Err(fault);
            }
            if self.state.broken.lock().unwrap().contains(corner) {
                return Err(Error::new(ErrorKind::NotFound, "channel_not_found")
                    .with_effect(Effect::None)
                    .with_retry(ml_connector_core::Retry::Never));
            }
            self.state.written.lock().unwrap().push(format!("{corner} {}", delivery.event.entity));
            let receipt = self.state.receipt.lock().unwrap().clone();
            Ok(Receipt::new(receipt.unwrap_or_else(|| format!("board/{}", delivery.seq))))
        };
        batch.iter().map(written).collect()
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// A receipt that is an address of its own is taken for one: what a careless sink does.
    fn link(&self, receipt: &str) -> Option<Url> {
        assert_ne!(receipt, "board/broken", "a sink that panics");
        Url::parse(receipt).or_else(|_| Url::parse(&format!("https://boards.example/{receipt}"))).ok()
    }
}
