//! Ledgerly with a defect in it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, CheckStep, Clock, Context, Effect, Error, ErrorKind, HttpTransport, PollRequest,
    ReceiveRequest, Result, Retry, Scope, Sink, SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest,
    http::{Limits, TransportError},
    model::{
        Column, Columns, Content, DeletionProof, Delivery, DeliveryId, DeliveryPlan, EntityRef, Intake,
        LaneKey, Lookup, Observation, Observed, Page, PollMode, Prompt, Receipt, Record, RecordKind,
        Resolution, Revision, Signal, Status, Subject, Upkeep,
    },
    rate::MemoryRateLimiter,
    snapshot::Snapshot,
    token::MemoryTokenStore,
};

use super::{
    super::{SECRET, ledgerly, ledgerly::Ledgerly},
    Defect::{self, *},
};

pub(super) struct Mutant {
    ledgerly: Ledgerly,
    source: SourceInfo,
    defect: Option<Defect>,
    count: AtomicU64,
    busy: AtomicBool,
}

impl Mutant {
    pub(super) fn with(defect: Option<Defect>) -> Self {
        let ledgerly = ledgerly();
        let mut source = Source::info(&ledgerly).clone();
        let table = |total| {
            let table = Columns::new(RecordKind::Invoice, "invoices", "Sales invoices");
            Arc::new(table.with(Column::decimal("total", total, 4)))
        };
        match defect {
            Some(PublishesNoTable) => source.columns.clear(),
            Some(RowsLookWhole) => source.columns = vec![table("/total")],
            Some(PublishesTwoTables) => source.columns.push(table("/total")),
            Some(PointsAtTheWrongMember) => source.columns = vec![table("/number")],
            _ => {}
        }
        Self { ledgerly, source, defect, count: AtomicU64::new(0), busy: AtomicBool::new(false) }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the list, read once, shows what a signal is about.
    async fn lists(&self, ctx: &Context, asked: &Signal) -> Result<bool> {
        let mut checkpoint = None;
        loop {
            let request = PollRequest::new("invoices", PollMode::Live).checkpoint(checkpoint.as_ref());
            let page = self.ledgerly.poll(ctx, request).await?;
            let is_listed = page.signals.iter().any(|signal| signal.subject == asked.subject);
            if is_listed || !page.more {
                return Ok(is_listed);
            }
            checkpoint = Some(page.checkpoint);
        }
    }

    /// What is wrong with errors, of sources and sinks alike.
    fn spoil(&self, error: Error) -> Error {
        match (self.defect, error.kind()) {
            (Some(ForgetsRetryAfter), ErrorKind::RateLimited) => error.with_retry(Retry::Backoff),
            (Some(NarrowsDeadTokens), ErrorKind::Unauthenticated) => error.with_scope(Scope::Entry),
            (Some(TellsASecret), _) => error.with_context("name", "Planted Customer"),
            (Some(NeverDoubts), _) => error.with_effect(Effect::None),
            (Some(AlwaysDoubts), _) => error.with_effect(Effect::Unknown),
            _ => error,
        }
    }
}

/// A wire on which every call carries the first token, whether it is refused or not.
#[derive(Debug)]
struct FirstToken(Context);

impl FirstToken {
    fn within(ctx: &Context) -> Context {
        let through = || Arc::new(Self(ctx.clone()));
        let (tokens, limiter) = (Arc::new(MemoryTokenStore::new()), Arc::new(MemoryRateLimiter::new()));
        let left = ctx.deadline().saturating_since(ctx.now());
        Context::new(through(), tokens, limiter, through()).within(left)
    }
}

#[async_trait]
impl HttpTransport for FirstToken {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if let Some(token) = request.headers_mut().get_mut(http::header::AUTHORIZATION) {
            *token = http::HeaderValue::from_static("Bearer planted-token-1");
        }
        self.0.transport().send(request, limits).await
    }
}

impl Clock for FirstToken {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has(ShowsASecret) { SECRET } else { "Mutant" })
    }
}

#[async_trait]
impl Source for Mutant {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let ReceiveRequest { request, state, now, .. } = request;
        let header =
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let changed = || Ok(Intake::accepted(vec![Signal::entity(EntityRef::new("invoice", "inv_2"))]));
        let now = match header("x-ledgerly-time").parse() {
            Ok(secs) if self.has(AcceptsStaleWebhooks) => Timestamp::from_secs(secs),
            _ => now,
        };
        let mut single = request.clone();
        if self.has(AcceptsRepeatedHeaders) {
            for name in ["x-ledgerly-signature", "x-ledgerly-time"] {
                let first = request.headers().get(name).cloned();
                _ = first.map(|first| single.headers_mut().insert(name, first));
            }
        }
        let waiting = super::super::state(None);
        let state = match state {
            Some(_) if self.has(TakesAnyHandshake) && header("x-ledgerly-signature").is_empty() => {
                Some(&waiting)
            }
            state => state,
        };
        let mut intake =
            match (self.ledgerly.receive(ReceiveRequest::new(&single, now).state(state)), self.defect) {
                (Err(error), Some(AcceptsForgeries)) if error.kind() == ErrorKind::SignatureInvalid => {
                    return changed();
                }
                (Err(error), Some(AcceptsGarbage)) if error.kind() == ErrorKind::InvalidRequest => {
                    return changed();
                }
                (Err(error), Some(CallsForgeriesInvalid)) => {
                    return Err(Error::new(ErrorKind::InvalidRequest, error.message().to_owned()));
                }
                (Err(error), Some(HintsAtTheSignature)) => {
                    let digits = header("x-ledgerly-signature").trim_end_matches(',').to_owned();
                    return Err(error.with_context("expected", digits));
                }
                (received, _) => received?,
            };
        if self.has(KeepsTheHandshake) {
            intake.evidence = None;
        }
        if self.has(IgnoresTheHandshake) {
            intake.state = None;
        }
        for signal in &mut intake.signals {
            if self.has(NamesNoAccount) {
                signal.account = None;
            }
            if self.has(RemembersWebhooks) {
                static SEEN: AtomicU64 = AtomicU64::new(0);
                signal.hint = Some(SEEN.fetch_add(1, Ordering::Relaxed).to_string().into());
            }
        }
        Ok(intake)
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
        if self.has(StaysBusyWhenDropped) && self.busy.swap(true, Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unexpected, "another read is under way"));
        }
        let mut asked = signals.to_vec();
        if self.has(AcceptsAnyRecord) {
            asked[0].subject = Subject::Entity(EntityRef::new("invoice", "inv_3"));
        }
        if self.has(ListsOnce) && !self.lists(ctx, &asked[0]).await? {
            let entity = EntityRef::new("invoice", "inv_2");
            let state = Observed::Gone(DeletionProof::AbsentTwice);
            return Ok(Resolution::Observed(vec![Observation { entity, read_at: ctx.now(), state }]));
        }
        let unlimited = ctx.clone().with_limiter(Arc::new(MemoryRateLimiter::new()));
        let first_token = FirstToken::within(ctx);
        let ctx = match self.defect {
            Some(NeverAsksTheLimiter) => &unlimited,
            Some(NeverRenewsTokens) => &first_token,
            _ => ctx,
        };
        let resolved = self.ledgerly.resolve(ctx, &asked, last).await;
        self.busy.store(false, Ordering::Relaxed);
        if self.has(OverstaysTheDeadline) && resolved.is_err() {
            tokio::time::sleep(Duration::from_secs(200)).await;
        }
        let gone = || {
            let state = Observed::Gone(DeletionProof::Tombstone);
            let entity = EntityRef::new("invoice", "inv_2");
            Resolution::Observed(vec![Observation { entity, read_at: ctx.now(), state }])
        };
        let resolved = match resolved {
            Err(_) if self.has(TakesFailuresForGone) => gone(),
            Err(error) if self.has(AcceptsAnyAccount) && error.kind() == ErrorKind::ConfigInvalid => {
                let record = Record::new(RecordKind::Invoice, "inv_2", Status::Open);
                let state = Observed::present(Revision::of(b"of whomever"), record);
                let entity = EntityRef::new("invoice", "inv_2");
                Resolution::Observed(vec![Observation { entity, read_at: ctx.now(), state }])
            }
            Err(error)
                if self.has(TakesAbsenceForGone) && error.message() == "the invoice may not be read" =>
            {
                gone()
            }
            resolved => resolved.map_err(|error| self.spoil(error))?,
        };
        let Resolution::Observed(mut seen) = resolved else { return Ok(resolved) };
        for seen in &mut seen {
            match (self.defect, &mut seen.state) {
                (Some(ReadsBeforeItIsAsked), _) => seen.read_at = ctx.now() - Duration::from_secs(5),
                (Some(AcceptsAnyRecord), _) => seen.entity = EntityRef::new("invoice", "inv_2"),
                (Some(ReadsAfterTheAnswer), _) => seen.read_at = ctx.now(),
                (Some(CountsViewsAsChanges), Observed::Present { revision, .. }) => {
                    *revision = Revision::of(ctx.now().to_string().as_bytes());
                }
                _ => {}
            }
        }
        Ok(Resolution::Observed(seen))
    }

    async fn poll(&self, ctx: &Context, mut request: PollRequest<'_>) -> Result<Page> {
        if self.has(KnowsEveryFeed) {
            request.feed = "invoices";
        }
        let mode = request.mode;
        let mut page = match self.ledgerly.poll(ctx, request).await {
            Err(error) if self.has(TakesHalfAPage) && error.kind() != ErrorKind::Unsupported => {
                Page::new(Bytes::new())
            }
            page => page?,
        };
        if self.has(NeverEndsAFeed) {
            (page.more, page.checkpoint) = (true, Bytes::from_static(b"inv_1"));
        }
        if self.has(KeepsTheCheckpoint) && page.more {
            page.checkpoint = Bytes::from_static(b"I know where I was");
        }
        if self.has(ListsAnotherForm) {
            page.observations = std::mem::take(&mut page.rows);
            for row in &mut page.observations {
                if let Observed::Present { revision, .. } = &mut row.state {
                    *revision = Revision::of(b"what a list shows");
                }
            }
        }
        // In these modes, what cannot be read of a list is all that is signaled.
        let tells = matches!(mode, PollMode::Baseline | PollMode::Backfill { .. });
        match self.defect {
            Some(DropsUnreadableRows) if tells => page.signals.clear(),
            Some(StopsAtAnUnreadableRow) if tells && !page.signals.is_empty() => {
                return Err(Error::new(ErrorKind::InvalidResponse, "a row cannot be read"));
            }
            _ => {}
        }
        for row in &mut page.rows {
            let Observed::Present { raw, content, .. } = &mut row.state else { continue };
            match (self.defect, content) {
                (Some(RowsLackTheirJson), _) => *raw = None,
                (Some(RowsHaveAnotherStamp), Content::Record(record)) => {
                    record.modified_at = Some(row.read_at);
                }
                _ => {}
            }
        }
        Ok(page)
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        self.ledgerly.upkeep(ctx, request).await
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        match self.defect {
            Some(ChecksNothing) => Vec::new(),
            _ => Source::check(&self.ledgerly, ctx).await,
        }
    }
}

#[async_trait]
impl Sink for Mutant {
    fn info(&self) -> &SinkInfo {
        Sink::info(&self.ledgerly)
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let plan = self.ledgerly.plan(delivery)?;
        static LANES: AtomicU64 = AtomicU64::new(0);
        Ok(match self.defect {
            Some(ShufflesLanes) => {
                DeliveryPlan::new(LaneKey::new(LANES.fetch_add(1, Ordering::Relaxed).to_string()))
                    .costs(plan.costs)
            }
            _ => plan,
        })
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        self.count();
        let mut batch = batch.to_vec();
        if self.has(MarksEachAttempt) {
            batch.iter_mut().for_each(|delivery| delivery.id = DeliveryId::generate(ctx.now()));
        }
        let mut results = self.ledgerly.deliver(ctx, &batch, notes).await;
        if self.has(RepeatsInDoubt) && results.iter().any(Result::is_err) {
            results = self.ledgerly.deliver(ctx, &batch, notes).await;
        }
        if self.has(OverstaysTheDeadline) && results.iter().any(Result::is_err) {
            tokio::time::sleep(Duration::from_secs(200)).await;
        }
        if self.has(WritesAfterTheLease) && ctx.require_lease().is_err() {
            return vec![writes_by_hand(ctx).await.map(|()| Receipt::new("n1"))];
        }
        if self.has(LosesAResult) {
            results.pop();
        }
        results.into_iter().map(|result| result.map_err(|error| self.spoil(error))).collect()
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        match self.defect {
            Some(FindsNothing) => Ok(Lookup::DidNotHappen),
            Some(FindsEverything) => Ok(Lookup::Happened(Receipt::new("n1"))),
            Some(ForgetsAtARestart) if self.count.load(Ordering::Relaxed) == 0 => Ok(Lookup::DidNotHappen),
            _ => self.ledgerly.look_up(ctx, delivery).await,
        }
    }

    async fn maintain(&self, ctx: &Context) -> Result<Option<Timestamp>> {
        match self.defect {
            Some(MaintainsByWriting) => writes_by_hand(ctx).await.map(|()| None),
            Some(MaintainsInThePast) => Ok(Some(ctx.now() - Duration::from_secs(60))),
            _ => self.ledgerly.maintain(ctx).await,
        }
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        match self.defect {
            Some(PingsNobody) => Ok(()),
            Some(PingsByWriting) => writes_by_hand(ctx).await,
            _ => self.ledgerly.ping(ctx).await,
        }
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        match self.defect {
            Some(ChecksNothing) => Vec::new(),
            Some(ChecksByWriting) => vec![CheckStep::of("write", writes_by_hand(ctx).await.as_ref())],
            _ => Sink::check(&self.ledgerly, ctx).await,
        }
    }
}

/// A note that nobody has asked for, past everything that the pipeline asks before it writes.
async fn writes_by_hand(ctx: &Context) -> Result<()> {
    let note = http::Request::post("https://api.ledgerly.example/v1/invoices/inv_1/notes")
        .header(http::header::AUTHORIZATION, "Bearer planted-token-1")
        .body(Bytes::from_static(br#"{"reference": "by hand", "text": "by hand"}"#));
    let sent = ctx.transport().send(note.unwrap(), Limits::default()).await;
    sent.map(drop).map_err(|_| Error::new(ErrorKind::Unavailable, "no answer"))
}
