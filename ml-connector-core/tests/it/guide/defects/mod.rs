//! The suite is checked too: Ledgerly with a planted defect does not pass it.

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
    AttemptNotes, Context, Effect, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Retry, Scope, Sink,
    SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest,
    conformance::{sink, source},
    http::Limits,
    model::{
        Delivery, DeliveryId, DeliveryPlan, EntityRef, Intake, LaneKey, Lookup, Observed, Page, Prompt,
        Proof, Receipt, Resolution, Revision, Signal, Subject, Upkeep,
    },
    rate::MemoryRateLimiter,
    snapshot::Snapshot,
};

use super::{SECRET, ledgerly, ledgerly::Ledgerly, sink_under_test, source_under_test};

/// What Ledgerly does wrong. Each has the name of its line below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    AcceptsForgeries,
    CallsForgeriesInvalid,
    HintsAtTheSignature,
    AcceptsRepeatedHeaders,
    AcceptsStaleWebhooks,
    AcceptsGarbage,
    RemembersWebhooks,
    NamesNoAccount,
    ReadsBeforeItIsAsked,
    ReadsAfterTheAnswer,
    CountsViewsAsChanges,
    TakesFailuresForGone,
    TakesAbsenceForGone,
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    StaysBusyWhenDropped,
    KnowsEveryFeed,
    NeverEndsAFeed,
    KeepsTheCheckpoint,
    ListsAnotherForm,
    KeepsTheHandshake,
    IgnoresTheHandshake,
    TakesAnyHandshake,
    NeverAsksTheLimiter,
    AcceptsAnyRecord,
    ShowsASecret,
    TellsASecret,
    ShufflesLanes,
    LosesAResult,
    NeverDoubts,
    AlwaysDoubts,
    RepeatsInDoubt,
    FindsNothing,
    FindsEverything,
    ForgetsAtARestart,
    MarksEachAttempt,
    PingsNobody,
    PingsByWriting,
}
use Defect::*;

const OF_SOURCES: [Defect; 28] = [
    AcceptsForgeries,
    CallsForgeriesInvalid,
    HintsAtTheSignature,
    AcceptsRepeatedHeaders,
    AcceptsStaleWebhooks,
    AcceptsGarbage,
    RemembersWebhooks,
    NamesNoAccount,
    ReadsBeforeItIsAsked,
    ReadsAfterTheAnswer,
    CountsViewsAsChanges,
    TakesFailuresForGone,
    TakesAbsenceForGone,
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    StaysBusyWhenDropped,
    KnowsEveryFeed,
    NeverEndsAFeed,
    KeepsTheCheckpoint,
    ListsAnotherForm,
    KeepsTheHandshake,
    IgnoresTheHandshake,
    TakesAnyHandshake,
    NeverAsksTheLimiter,
    AcceptsAnyRecord,
    ShowsASecret,
    TellsASecret,
];
const OF_SINKS: [Defect; 16] = [
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    ShowsASecret,
    TellsASecret,
    ShufflesLanes,
    LosesAResult,
    NeverDoubts,
    AlwaysDoubts,
    RepeatsInDoubt,
    FindsNothing,
    FindsEverything,
    ForgetsAtARestart,
    MarksEachAttempt,
    PingsNobody,
    PingsByWriting,
];

struct Mutant {
    ledgerly: Ledgerly,
    defect: Option<Defect>,
    count: AtomicU64,
    busy: AtomicBool,
}

impl Mutant {
    fn with(defect: Option<Defect>) -> Self {
        Self { ledgerly: ledgerly(), defect, count: AtomicU64::new(0), busy: AtomicBool::new(false) }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
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

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has(ShowsASecret) { SECRET } else { "Mutant" })
    }
}

#[async_trait]
impl Source for Mutant {
    fn info(&self) -> &SourceInfo {
        Source::info(&self.ledgerly)
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
        let waiting = super::state(None);
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
        let unlimited = ctx.clone().with_limiter(Arc::new(MemoryRateLimiter::new()));
        let ctx = if self.has(NeverAsksTheLimiter) { &unlimited } else { ctx };
        let resolved = self.ledgerly.resolve(ctx, &asked, last).await;
        self.busy.store(false, Ordering::Relaxed);
        if self.has(OverstaysTheDeadline) && resolved.is_err() {
            tokio::time::sleep(Duration::from_secs(200)).await;
        }
        let gone = || {
            let state = Observed::Gone(Proof::Tombstone);
            let entity = EntityRef::new("invoice", "inv_2");
            Resolution::Observed(vec![ml_connector_core::model::Observation {
                entity,
                read_at: ctx.now(),
                state,
            }])
        };
        let resolved = match resolved {
            Err(_) if self.has(TakesFailuresForGone) => gone(),
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
        let mut page = self.ledgerly.poll(ctx, request).await?;
        if self.has(NeverEndsAFeed) {
            (page.more, page.checkpoint) = (true, Bytes::from_static(b"inv_1"));
        }
        if self.has(KeepsTheCheckpoint) && page.more {
            page.checkpoint = Bytes::from_static(b"I know where I was");
        }
        if self.has(ListsAnotherForm) {
            for signal in page.signals.drain(..) {
                let Resolution::Observed(seen) = self.ledgerly.resolve(ctx, &[signal], None).await? else {
                    continue;
                };
                page.observations.extend(seen);
            }
            for row in &mut page.observations {
                if let Observed::Present { revision, .. } = &mut row.state {
                    *revision = Revision::of(b"what a list shows");
                }
            }
        }
        Ok(page)
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        self.ledgerly.upkeep(ctx, request).await
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
        self.ledgerly.maintain(ctx).await
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        match self.defect {
            Some(PingsNobody) => Ok(()),
            Some(PingsByWriting) => {
                let note = http::Request::post("https://api.ledgerly.example/v1/invoices/inv_1/notes")
                    .header(http::header::AUTHORIZATION, "Bearer planted-token-1")
                    .body(Bytes::from_static(br#"{"reference": "ping", "text": "ping"}"#));
                let sent = ctx.transport().send(note.unwrap(), Limits::default()).await;
                sent.map(drop).map_err(|_| Error::new(ErrorKind::Unavailable, "no answer"))
            }
            _ => self.ledgerly.ping(ctx).await,
        }
    }
}

/// The behaviors that a source with this defect does not have.
async fn missed_by_source(defect: Option<Defect>) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for (name, check) in source::BEHAVIORS {
        let mut mutant = source_under_test().await;
        mutant.connect = Box::new(move || Arc::new(Mutant::with(defect)));
        // A task of its own, so that its panic is a result.
        if tokio::spawn(async move { check(&mutant).await }).await.is_err() {
            missed.push(*name);
        }
    }
    missed
}

/// The behaviors that a sink with this defect does not have.
async fn missed_by_sink(defect: Option<Defect>) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for (name, check) in sink::BEHAVIORS {
        let mut mutant = sink_under_test().await;
        mutant.connect = Box::new(move || Arc::new(Mutant::with(defect)));
        if tokio::spawn(async move { check(&mutant).await }).await.is_err() {
            missed.push(*name);
        }
    }
    missed
}

#[tokio::test(start_paused = true)]
async fn every_defect_of_a_source_is_noticed() {
    assert_eq!(missed_by_source(None).await, [""; 0], "a mutant without a defect is sound");
    for defect in OF_SOURCES {
        assert!(!missed_by_source(Some(defect)).await.is_empty(), "no behavior notices that it {defect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_defect_of_a_sink_is_noticed() {
    assert_eq!(missed_by_sink(None).await, [""; 0], "a mutant without a defect is sound");
    for defect in OF_SINKS {
        assert!(!missed_by_sink(Some(defect)).await.is_empty(), "no behavior notices that it {defect:?}");
    }
}
