//! A tiny ledger and a board, to tell stories with.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, FeedInfo, Money, PollRequest, ReceiveRequest, Result,
    Sink, SinkInfo, Source, SourceInfo, SourceMode, Timestamp, UpkeepRequest,
    model::{
        AccountKey, ConnectionId, Delivery, DeliveryPlan, EntityRef, Intake, LaneKey, Lookup, Observation,
        Observed, Page, Party, Prompt, Receipt, Record, RecordKind, Resolution, Revision, Signal, Status,
        Subject, Upkeep, Zone,
    },
    rate::{Cost, Quota},
    snapshot::Snapshot,
};

/// A source: a webhook is `account id total`, and the record is what the webhook says.
#[derive(Debug)]
pub(crate) struct Ledger(SourceInfo);

/// The name of the customer in every record: what must not be seen without the right.
pub(crate) const CUSTOMER: &str = "Bluebird Logistics";

impl Ledger {
    pub(crate) fn new(connection: &str, zone: &str) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from(connection), "ledger");
        info.accounts = vec![AccountKey::from(format!("account:{connection}"))];
        info.coalesce = Duration::from_millis(100);
        info.mode = SourceMode::Both;
        info.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(900))];
        info.zone = Zone::named(zone).unwrap();
        Self(info)
    }
}

#[async_trait]
impl Source for Ledger {
    fn info(&self) -> &SourceInfo {
        &self.0
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
        let mut record = Record::new(RecordKind::Invoice, &*entity.id, Status::Open);
        record.number = Some(format!("INV-{id}"));
        record.total = Some(Money::parse(total, "EUR").unwrap());
        record.counterparty = Some(Party { id: None, name: CUSTOMER.to_owned() });
        let revision = Revision::of(total.as_bytes());
        let state = Observed::present(revision, record);
        let observation = Observation { entity: entity.clone(), read_at: ctx.now(), state };
        Ok(Resolution::Observed(vec![observation]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        Ok(Page::new(Bytes::from_static(b"end")))
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

#[derive(Debug, Default)]
pub(crate) struct Corners {
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
            if self.state.broken.lock().unwrap().contains(corner) {
                return Err(Error::new(ErrorKind::NotFound, "channel_not_found")
                    .with_effect(Effect::None)
                    .with_retry(ml_connector_core::Retry::Never));
            }
            self.state.written.lock().unwrap().push(format!("{corner} {}", delivery.event.entity));
            Ok(Receipt::new(format!("board/{}", delivery.seq)))
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
}
