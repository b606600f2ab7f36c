//! The connector under test: a source that reads the vendor's records, a sink that posts, one route between them.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use ml_connector_core::{
    AttemptNotes, AuditLog, Clock, Connector, Context, Effect, Error, ErrorKind, PollRequest, ReceiveRequest,
    Repeat, Result, Secret, Sink, SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest,
    engine::Settings,
    http::Limits,
    model::{
        Delivery, DeliveryPlan, Destination, EntityRef, Intake, LaneKey, Lookup, Observation, Observed, Page,
        Prompt, Receipt, Record, RecordKind, Resolution, Revision, Signal, Status, Subject, Upkeep,
    },
    route::Route,
    snapshot::Snapshot,
    webhook::{Encoding, HmacSha256},
};

/// Where the sink posts. Several lanes, so that posts and commits of different lanes meet.
const LANES: u64 = 4;
/// Short, so that the next process need not wait long for what the killed one held.
const LEASE: Duration = Duration::from_millis(150);

/// The vendor as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    pub(crate) generation: u64,
}

impl Remote {
    async fn call(
        &self,
        ctx: &Context,
        method: &str,
        path: String,
        body: String,
    ) -> Result<(StatusCode, Bytes)> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("generation", self.generation)
            .body(Bytes::from(body))
            .map_err(|source| Error::new(ErrorKind::Unexpected, "no request").with_source(source))?;
        let answer = ctx.transport().send(request, Limits::within(ctx.time_left())).await;
        answer.map(|answer| (answer.status(), answer.into_body())).map_err(|source| {
            Error::new(ErrorKind::Unavailable, "no answer").with_effect(Effect::Unknown).with_source(source)
        })
    }
}

/// Puts the connector together.
pub(crate) fn connector(
    log: impl AuditLog,
    clock: impl Clock,
    source: LedgerSource,
    sink: impl Sink,
) -> Connector {
    Connector::builder()
        .audit_log(log)
        .clock(clock)
        .settings(settings(LEASE))
        .source(source)
        .sink(sink)
        .route(Route::new("all").to("board", Destination::from("board")))
        .build()
        .unwrap()
}

/// Settings with leases of this length.
pub(crate) fn settings(lease: Duration) -> Settings {
    let mut settings = Settings::default();
    settings.lease = lease;
    settings.grace = Duration::from_secs(5);
    settings
}

fn signatures() -> HmacSha256 {
    HmacSha256::new([&Secret::from("a webhook secret of the ledger")]).unwrap()
}

/// The webhook that tells of a change of a record: signed, for `/hooks/books`.
pub(crate) fn webhook(base: &str, record: u64) -> http::Request<Bytes> {
    webhook_for(base, "books", record)
}

/// The same for a connection of another name.
pub(crate) fn webhook_for(base: &str, connection: &str, record: u64) -> http::Request<Bytes> {
    let body = record.to_string();
    http::Request::post(format!("{base}/{connection}"))
        .header("signature", signatures().sign(&[body.as_bytes()], Encoding::Hex))
        .body(body.into())
        .unwrap()
}

#[derive(Debug)]
pub(crate) struct LedgerSource {
    info: SourceInfo,
    signatures: HmacSha256,
    remote: Remote,
}

impl LedgerSource {
    pub(crate) fn new(remote: Remote) -> Self {
        Self::named("books", remote)
    }

    pub(crate) fn named(connection: &str, remote: Remote) -> Self {
        let mut info = SourceInfo::new(connection.into(), "ledger");
        info.coalesce = Duration::from_millis(5);
        Self { info, signatures: signatures(), remote }
    }
}

#[async_trait]
impl Source for LedgerSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let request = request.request;
        let signature = request.headers().get("signature").and_then(|value| value.to_str().ok());
        self.signatures.verify(&[request.body()], signature.unwrap_or_default(), &[Encoding::Hex])?;
        let id = std::str::from_utf8(request.body())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected the number of a record"))?;
        Ok(Intake::accepted(vec![Signal::entity(EntityRef::new("invoice", id))]))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let Subject::Entity(entity) = &signals[0].subject else {
            return Err(Error::new(ErrorKind::Unexpected, "expected a record"));
        };
        let read_at = ctx.now();
        let (_, version) =
            self.remote.call(ctx, "GET", format!("/records/{}", entity.id), String::new()).await?;
        let mut record = Record::new(RecordKind::Invoice, entity.id.clone(), Status::Open);
        record.number = Some(String::from_utf8_lossy(&version).into_owned());
        let state = Observed::Present {
            revision: Revision::of(&version),
            order: String::from_utf8_lossy(&version).parse().ok(),
            content: record.into(),
            raw: None,
            notes: Vec::new(),
        };
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "the ledger has no feeds"))
    }

    async fn upkeep(&self, _: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(Timestamp::MAX))
    }
}

#[derive(Debug)]
pub(crate) struct BoardSink {
    info: SinkInfo,
    remote: Remote,
}

impl BoardSink {
    pub(crate) fn new(remote: Remote, repeat: Repeat) -> Self {
        Self::named("board", remote, repeat)
    }

    pub(crate) fn named(connection: &str, remote: Remote, repeat: Repeat) -> Self {
        let mut info = SinkInfo::new(connection.into(), "board");
        info.repeat = repeat;
        Self { info, remote }
    }

    async fn post(&self, ctx: &Context, delivery: &Delivery) -> Result<Receipt> {
        let record = delivery.event.record().and_then(|record| record.number.clone());
        let body =
            format!("{} {} {}", delivery.event.id(), delivery.event.entity.id, record.unwrap_or_default());
        ctx.require_lease()?;
        let answer = self.remote.call(ctx, "POST", format!("/posts/{}", delivery.id), body).await?;
        match answer.0 {
            StatusCode::CREATED => Ok(Receipt::new(delivery.id.to_string())),
            _ => Err(Error::new(ErrorKind::Unavailable, "the board refused")),
        }
    }
}

#[async_trait]
impl Sink for BoardSink {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let number: u64 = delivery.event.entity.id.parse().unwrap_or(0);
        Ok(DeliveryPlan::new(LaneKey::from(format!("corner/{}", number % LANES))))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.post(ctx, delivery).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let answer = self.remote.call(ctx, "GET", format!("/posts/{}", delivery.id), String::new()).await?;
        Ok(match answer.0 {
            StatusCode::OK => Lookup::Happened(Receipt::new(delivery.id.to_string())),
            _ => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
