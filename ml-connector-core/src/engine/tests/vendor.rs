//! A tiny vendor: a ledger whose entries a source reads, and a board on which a sink writes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    AttemptNotes, CheckStep, Context, Effect, Error, ErrorKind, FeedInfo, Money, OnUnknown, PollRequest,
    ReceiveRequest, Repeat, Result, Sink, SinkInfo, Source, SourceInfo, SourceMode, Timestamp, UpkeepRequest,
    auth::OAuth2,
    model::{
        AccountKey, ConnectionId, Date, Delivery, DeliveryPlan, EntityRef, Intake, LaneKey, LeftOut,
        LeftOutReason, Lookup, LostRow, Observation, Observed, Page, PollMode, Prompt, Receipt, Record,
        RecordKind, Resolution, Revision, Signal, Status, Upkeep,
    },
    rate::{Cost, Quota},
    snapshot::Snapshot,
};

/// The ledger's state, and the errors its next reads fail with.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) invoices: Mutex<BTreeMap<String, Record>>,
    pub(super) failures: Mutex<VecDeque<Error>>,
    pub(super) reads: Mutex<Vec<String>>,
    /// Reads are never answered.
    pub(super) hangs: AtomicBool,
    /// Neither reads nor pages are answered.
    pub(super) is_down: AtomicBool,
    /// Records that cannot be read.
    pub(super) broken: Mutex<BTreeSet<String>>,
    /// The mode of every page read.
    pub(super) pages: Mutex<Vec<PollMode>>,
    /// A feed that the plan does not allow, and how often it was asked for all the same.
    pub(super) refused_feed: Mutex<(Option<&'static str>, usize)>,
    /// What the next pages fail with; `None` = not.
    pub(super) page_failures: Mutex<VecDeque<Option<Error>>>,
    /// A record that is on no page, as if it had moved while pages were read.
    pub(super) unlisted: Mutex<Option<String>>,
    /// The next list is read from its beginning again when it has ended.
    pub(super) read_twice: AtomicBool,
    /// Rows of the first page of each list that cannot be read, and do not say what they are.
    pub(super) lost: Mutex<Vec<LostRow>>,
    pub(super) subscription: Mutex<Subscription>,
}

/// The ledger's side of a webhook subscription.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// What webhooks are proven with; `good` when nothing was agreed.
    pub(super) secret: Option<String>,
    /// It was dropped at this instant, and nobody has noticed.
    pub(super) lost_at: Option<Timestamp>,
    pub(super) callbacks: Vec<Option<String>>,
    /// Who has ended it, and what it was verified with; or the error with which the vendor answers.
    pub(super) ended: Vec<Option<String>>,
    pub(super) cannot_end: bool,
}

impl Ledger {
    pub(super) fn put(&self, id: &str, status: Status, due: &str) {
        let mut record = Record::new(RecordKind::Invoice, id, status);
        record.number = Some(format!("INV-{id}"));
        record.total = Some(Money::parse("100.00", "USD").unwrap());
        record.due_date = Some(Date::parse(due).unwrap());
        record.reference = Some(format!("PO {id}"));
        self.invoices.lock().unwrap().insert(id.to_owned(), record);
    }

    /// An entry with stamps, as feeds need them.
    pub(super) fn put_at(&self, id: &str, status: Status, created: Timestamp, modified: Timestamp) {
        self.put(id, status, "2026-06-01");
        if let Some(record) = self.invoices.lock().unwrap().get_mut(id) {
            (record.created_at, record.modified_at) = (Some(created), Some(modified));
        }
    }

    pub(super) fn remove(&self, id: &str) {
        self.invoices.lock().unwrap().remove(id);
    }

    pub(super) fn fail_page(&self, error: Error) {
        self.page_failures.lock().unwrap().push_back(Some(error));
    }

    /// How many pages were read in a mode.
    pub(super) fn pages(&self, mode: PollMode) -> usize {
        self.pages.lock().unwrap().iter().filter(|read| **read == mode).count()
    }

    pub(super) fn fail(&self, error: Error) {
        self.failures.lock().unwrap().push_back(error);
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.lock().unwrap().len()
    }
}

#[derive(Debug)]
pub(super) struct LedgerSource {
    info: SourceInfo,
    ledger: Arc<Ledger>,
    /// Whether rows have to be read one by one, because they say less than the records.
    rows_only: bool,
    /// Whether such rows are told of before that.
    rows_first: bool,
    counts_rows: bool,
    /// Whether a record that is not there may come yet.
    not_yet: bool,
}

/// How many rows a page has.
const PAGE: usize = 3;

impl LedgerSource {
    pub(super) fn new(connection: &str, ledger: &Arc<Ledger>) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from(connection), "ledger");
        info.endpoint = "ledger".into();
        info.accounts = vec![AccountKey::from(format!("account:{connection}"))];
        info.overdue_after = vec![7];
        info.coalesce = Duration::from_millis(100);
        Self {
            info,
            ledger: Arc::clone(ledger),
            rows_only: false,
            rows_first: false,
            counts_rows: false,
            not_yet: false,
        }
    }

    /// With a feed that is read every quarter of an hour and swept every day.
    pub(super) fn polled(mut self, mode: SourceMode) -> Self {
        self.info.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(900))];
        self.info.sweeps = vec![FeedInfo::new("invoices", Duration::from_secs(86_400))];
        self.info.mode = mode;
        self
    }

    /// With another feed that shows the same.
    pub(super) fn also_polled(mut self, feed: &'static str) -> Self {
        self.info.feeds.push(FeedInfo::new(feed, Duration::from_secs(900)));
        self
    }

    pub(super) fn overdue_after(mut self, days: &[u32]) -> Self {
        self.info.overdue_after = days.to_vec();
        self
    }

    pub(super) fn in_zone(mut self, zone: &str) -> Self {
        self.info.zone = crate::model::Zone::named(zone).unwrap();
        self
    }

    /// With tokens that have to be kept alive, and nothing else to do.
    pub(super) fn idle(mut self, tokens: OAuth2) -> Self {
        self.info.tokens = Some(tokens);
        self.info.mode = SourceMode::Poll;
        self
    }

    pub(super) fn of_system(mut self, system: &'static str) -> Self {
        self.info.system = system;
        self
    }

    /// Somebody waits for what comes of its webhooks.
    pub(super) fn prompt(mut self) -> Self {
        self.info.coalesce = Duration::ZERO;
        self
    }

    /// Shares its token with others of this person.
    pub(super) fn of_person(mut self, person: &str) -> Self {
        self.info.affinity = person.into();
        self
    }

    pub(super) fn of_account(mut self, account: &str) -> Self {
        self.info.accounts = vec![AccountKey::from(account)];
        self
    }

    pub(super) fn not_yet(mut self) -> Self {
        self.not_yet = true;
        self
    }

    pub(super) fn rows_only(mut self) -> Self {
        self.rows_only = true;
        self
    }

    /// Its lists say how long they are.
    pub(super) fn counting_rows(mut self) -> Self {
        self.counts_rows = true;
        self
    }

    /// Rows say less than the records, and are worth telling for the time being.
    pub(super) fn rows_first(mut self) -> Self {
        self.rows_first = true;
        self.rows_only()
    }

    /// What a list shows of a record: less, and not whether it waits for somebody's approval.
    fn row(&self, record: &Record, read_at: Timestamp) -> Observation {
        let mut row = record.clone();
        if self.rows_only {
            row.reference = None;
            row.status = if row.status == Status::PendingApproval { Status::Draft } else { row.status };
        }
        let mut row = self.seen(&row, read_at);
        if let (true, Observed::Present { raw, .. }) = (self.rows_first, &mut row.state) {
            *raw = serde_json::from_str(r#"{"of":"a list"}"#).ok();
        }
        row
    }

    pub(super) fn seen(&self, record: &Record, read_at: Timestamp) -> Observation {
        let revision = Revision::of(&serde_json::to_vec(record).unwrap());
        let mut state = Observed::present(revision, record.clone());
        if let (Some("odd"), Observed::Present { notes, .. }) = (record.reference.as_deref(), &mut state) {
            notes.push(LeftOut::new("due", LeftOutReason::Unreadable, None));
        }
        Observation { entity: record.entity(), read_at, state }
    }
}

/// The body of a webhook is `account id id …`, and `proof` stands for a signature.
pub(super) fn webhook(body: &str, proof: &str) -> http::Request<Bytes> {
    http::Request::post("/ledger/hook?x=1").header("proof", proof).body(Bytes::from(body.to_owned())).unwrap()
}

#[async_trait]
impl Source for LedgerSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let ReceiveRequest { request, state, .. } = request;
        assert_eq!(request.uri(), "/hook?x=1", "the endpoint is stripped, the query is not");
        let wanted = state.filter(|state| !state.is_empty()).map_or(&b"good"[..], |state| state);
        if request.headers().get("proof").is_none_or(|proof| proof.as_bytes() != wanted) {
            let error = Error::new(ErrorKind::SignatureInvalid, "no proof");
            let proof = request.headers().get("proof").and_then(|proof| proof.to_str().ok());
            return Err(match proof.and_then(|proof| proof.strip_prefix("forged for ")) {
                Some(account) => error.with_context("account", account),
                None => error,
            });
        }
        let body = std::str::from_utf8(request.body()).ok();
        let mut words = body.map(str::split_whitespace).into_iter().flatten();
        let account =
            words.next().ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "expected an account"))?;
        let signal = |id: &str| Signal {
            account: Some(AccountKey::from(account)),
            hint: Some("invoice.changed".into()),
            ..Signal::entity(EntityRef::new("invoice", id))
        };
        Ok(Intake::accepted(words.map(signal).collect()))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let crate::model::Subject::Entity(entity) = &signals[0].subject else { unreachable!() };
        let read_at = ctx.now();
        self.ledger.reads.lock().unwrap().push(entity.id.to_string());
        if self.ledger.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.ledger.failures.lock().unwrap().pop_front() {
            return Err(error);
        }
        if self.ledger.is_down.load(Ordering::SeqCst)
            || self.ledger.broken.lock().unwrap().contains(&*entity.id)
        {
            return Err(Error::new(ErrorKind::Unavailable, "the ledger answers 503"));
        }
        let record = self.ledger.invoices.lock().unwrap().get(&*entity.id).cloned();
        if record.is_none() && self.not_yet {
            return Ok(Resolution::NotYet { retry_at: read_at + Duration::from_secs(30) });
        }
        let gone = Observation {
            entity: entity.clone(),
            read_at,
            state: Observed::Gone(crate::model::DeletionProof::AbsentTwice),
        };
        Ok(Resolution::Observed(vec![record.map_or(gone, |record| self.seen(&record, read_at))]))
    }

    /// The checkpoint is `since newest last-id`: rows changed since, in the order of their ids.
    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let PollRequest { feed, mode, checkpoint, .. } = request;
        {
            let mut refused = self.ledger.refused_feed.lock().unwrap();
            if refused.0 == Some(feed) {
                refused.1 += 1;
                return Err(Error::new(ErrorKind::PermissionDenied, "the plan does not allow it"));
            }
        }
        self.ledger.pages.lock().unwrap().push(mode);
        if let Some(Some(error)) = self.ledger.page_failures.lock().unwrap().pop_front() {
            return Err(error);
        }
        if self.ledger.is_down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the ledger answers 503"));
        }
        let read_at = ctx.now();
        let text = checkpoint.map(|bytes| std::str::from_utf8(bytes).unwrap()).unwrap_or("0 0 ");
        let words: Vec<&str> = text.split(' ').collect();
        let number = |i: usize| words[i].parse::<i64>().unwrap();
        let begun = match mode {
            PollMode::Backfill { since: Some(since) } => since.as_millis(),
            _ => number(0),
        };
        let invoices = self.ledger.invoices.lock().unwrap();
        let unlisted = self.ledger.unlisted.lock().unwrap().clone();
        let stamp = |record: &Record| record.modified_at.map_or(0, Timestamp::as_millis);
        let rows: Vec<&Record> = invoices
            .values()
            .filter(|record| stamp(record) >= begun && *record.id > *words[2])
            .filter(|record| unlisted.as_deref() != Some(&*record.id))
            .collect();
        let more = rows.len() > PAGE;
        let left = rows.len().saturating_sub(PAGE) as u64;
        let rows = &rows[..rows.len().min(PAGE)];
        // What is entered while the first read goes on must be in the second.
        let first = if checkpoint.is_none() { read_at.as_millis() } else { number(1) };
        let newest = rows.iter().map(|record| stamp(record)).max().unwrap_or(0).min(first).max(number(1));
        let newest = if mode == PollMode::Baseline { first } else { newest.max(number(1)) };
        let last = rows.last().map_or("", |record| &*record.id);
        let again = !more && mode != PollMode::Sweep && self.ledger.read_twice.swap(false, Ordering::SeqCst);
        let (more, last) = if again { (true, "") } else { (more, last) };
        let checkpoint =
            if more { format!("{begun} {newest} {last}") } else { format!("{newest} {newest} ") };
        let names_only = mode == PollMode::Sweep || self.rows_only && mode != PollMode::Baseline;
        let rows_first = self.rows_first && mode != PollMode::Sweep;
        let (observed, listed, named): (&[&Record], &[&Record], &[&Record]) = match (rows_first, names_only) {
            (true, _) => (&[], rows, &[]),
            (_, true) => (&[], &[], rows),
            _ => (rows, &[], &[]),
        };
        Ok(Page {
            observations: observed.iter().map(|record| self.row(record, read_at)).collect(),
            rows: listed.iter().map(|record| self.row(record, read_at)).collect(),
            past: Vec::new(),
            lost: if words[2].is_empty() { self.ledger.lost.lock().unwrap().clone() } else { Vec::new() },
            signals: named.iter().map(|record| Signal::entity(record.entity())).collect(),
            checkpoint: checkpoint.into(),
            more,
            remark: None,
            left: self.counts_rows.then_some(left),
        })
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        let mut subscription = self.ledger.subscription.lock().unwrap();
        subscription.callbacks.push(request.callback.map(ToOwned::to_owned));
        let lost = subscription.lost_at.take();
        Ok(Upkeep {
            state: subscription.secret.clone().unwrap_or_default().into(),
            signals: lost.map(|at| Signal::feed("invoices", Some(at))).into_iter().collect(),
            next: ctx.now() + Duration::from_secs(3600),
            subscriptions: vec![crate::model::Subscription {
                name: "invoice.changed".into(),
                ends: Some(ctx.now() + Duration::from_secs(86_400)),
            }],
            problem: None,
        })
    }

    async fn unsubscribe(&self, _: &Context, request: UpkeepRequest<'_>) -> Result<()> {
        let mut subscription = self.ledger.subscription.lock().unwrap();
        if subscription.cannot_end {
            return Err(Error::new(ErrorKind::Unavailable, "the vendor does not answer"));
        }
        subscription.ended.push(request.callback.map(ToOwned::to_owned));
        Ok(())
    }

    async fn check(&self, _: &Context) -> Vec<CheckStep> {
        let failure = self.ledger.failures.lock().unwrap().pop_front();
        vec![CheckStep::of("account", failure.as_ref().map_or(Ok(()), Err))]
    }
}

/// What the board does with the next attempt.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Refuses it with this error.
    Before(ErrorKind, Effect, crate::Scope, crate::Retry),
    /// Writes it, and then fails with an unknown effect.
    After,
    /// Writes it after a while.
    Late(Duration),
    /// Never answers.
    Hang,
    Panic,
}

/// What was written on the board, and when.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) written: Mutex<Vec<(String, String, Timestamp)>>,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) lookups: Mutex<VecDeque<Result<Lookup>>>,
    /// Nobody answers: not the next attempts, look-ups and pings.
    pub(super) is_down: AtomicBool,
    /// Corners on which nothing can be written, although everything else of the board works.
    pub(super) broken: Mutex<BTreeSet<String>>,
    /// When attempts were made.
    pub(super) attempts: Mutex<Vec<Timestamp>>,
    /// How often a corner may be written on; once a second unless it says otherwise.
    pub(super) quota: Mutex<Option<Quota>>,
}

impl Board {
    pub(super) fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn answers(&self) -> Result<()> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "nobody answers").with_effect(Effect::Unknown));
        }
        Ok(())
    }

    /// What stands in a corner, in order: event types and numbers.
    pub(super) fn corner(&self, corner: &str) -> Vec<String> {
        let written = self.written.lock().unwrap();
        written.iter().filter(|(at, ..)| at == corner).map(|(_, text, _)| text.clone()).collect()
    }
}

#[derive(Debug)]
pub(super) struct BoardSink {
    info: SinkInfo,
    board: Arc<Board>,
}

impl BoardSink {
    pub(super) fn idle(mut self, tokens: OAuth2) -> Self {
        self.info.tokens = Some(tokens);
        self
    }

    pub(super) fn named(mut self, connection: &str) -> Self {
        (self.info.connection, self.info.affinity) = (connection.into(), connection.into());
        self
    }

    /// Shares its token with others of this person.
    pub(super) fn of_person(mut self, person: &str) -> Self {
        self.info.affinity = person.into();
        self
    }

    pub(super) fn new(board: &Arc<Board>, repeat: Repeat, on_unknown: OnUnknown) -> Self {
        let mut info = SinkInfo::new("board".into(), "board");
        info.repeat = repeat;
        info.on_unknown = on_unknown;
        Self { info, board: Arc::clone(board) }
    }

    fn write(&self, delivery: &Delivery, now: Timestamp) {
        let corner = delivery.destination.to_string();
        let text = format!("{} {}", delivery.event.event_type(), delivery.event.entity.id);
        self.board.written.lock().unwrap().push((corner, text, now));
    }
}

#[async_trait]
impl Sink for BoardSink {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        if delivery.destination.as_str() == "nowhere" {
            return Err(Error::new(ErrorKind::InvalidRequest, "the board has no such corner"));
        }
        if delivery.destination.as_str().contains(':') {
            return Err(Error::new(ErrorKind::InvalidRequest, "the board has no prefixes")
                .with_context("destination", &delivery.destination));
        }
        let once_a_second = Quota::Rolling { limit: 1, window: Duration::from_secs(1) };
        let quota = self.board.quota.lock().unwrap().unwrap_or(once_a_second);
        let key = crate::rate::QuotaKey::from(format!("board/{}", delivery.destination));
        let lane = LaneKey::from(delivery.destination.as_str());
        Ok(DeliveryPlan::new(lane).costs(vec![Cost::one(key, Arc::from([quota]))]))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let mut results = Vec::new();
        for delivery in batch {
            self.board.attempts.lock().unwrap().push(ctx.now());
            if let Err(error) = self.board.answers() {
                results.push(Err(error));
                continue;
            }
            if self.board.broken.lock().unwrap().contains(delivery.destination.as_str()) {
                results.push(Err(Error::new(ErrorKind::Unavailable, "the corner answers 500")));
                continue;
            }
            let fault = self.board.faults.lock().unwrap().pop_front();
            results.push(match fault {
                None => {
                    self.write(delivery, ctx.now());
                    Ok(Receipt::new(format!("board/{}", delivery.id)))
                }
                Some(Fault::Before(kind, effect, scope, retry)) => {
                    Err(Error::new(kind, "refused").with_effect(effect).with_scope(scope).with_retry(retry))
                }
                Some(Fault::After) => {
                    self.write(delivery, ctx.now());
                    Err(Error::new(ErrorKind::Unavailable, "the answer was lost")
                        .with_effect(Effect::Unknown))
                }
                Some(Fault::Late(late)) => {
                    tokio::time::sleep(late).await;
                    self.write(delivery, ctx.now());
                    Ok(Receipt::new(format!("board/{}", delivery.id)))
                }
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::Panic) => panic!("the sink has a bug"),
            });
        }
        results
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.board.answers()?;
        if let Some(lookup) = self.board.lookups.lock().unwrap().pop_front() {
            return lookup;
        }
        let text = format!("{} {}", delivery.event.event_type(), delivery.event.entity.id);
        let corner = self.board.corner(delivery.destination.as_str());
        Ok(match corner.contains(&text) {
            true => Lookup::Happened(Receipt::new(format!("board/{}", delivery.id))),
            false => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        self.board.answers()
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
