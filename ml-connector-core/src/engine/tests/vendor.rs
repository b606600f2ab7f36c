//! A tiny vendor: a ledger whose entries a source reads, and a board on which a sink writes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Context, Effect, Error, ErrorKind, Money, Notes, OnUnknown, Repeat, Result, Sink, SinkInfo, Source,
    SourceInfo, Timestamp,
    model::{
        AccountKey, ConnectionId, Date, Delivery, EntityRef, Intake, LaneKey, Lookup, Observation, Observed,
        Page, Plan, PollMode, Prompt, Receipt, Record, RecordKind, Resolution, Revision, Signal, Status,
        Upkeep,
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
}

impl Ledger {
    pub(super) fn put(&self, id: &str, status: Status, due: &str) {
        let mut record = Record::new(RecordKind::Invoice, id, status);
        record.number = Some(format!("INV-{id}"));
        record.total = Some(Money::parse("100.00", "USD").unwrap());
        record.due_date = Some(Date::parse(due).unwrap());
        self.invoices.lock().unwrap().insert(id.to_owned(), record);
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
}

impl LedgerSource {
    pub(super) fn new(connection: &str, ledger: &Arc<Ledger>) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from(connection), "ledger");
        info.endpoint = "ledger".into();
        info.accounts = vec![AccountKey::from(format!("account:{connection}"))];
        info.overdue_after = vec![7];
        info.coalesce = Duration::from_millis(100);
        Self { info, ledger: Arc::clone(ledger) }
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

    fn receive(&self, request: &http::Request<Bytes>, _: Option<&Bytes>, _: Timestamp) -> Result<Intake> {
        assert_eq!(request.uri(), "/hook?x=1", "the endpoint is stripped, the query is not");
        if request.headers().get("proof").is_none_or(|proof| proof != "good") {
            return Err(Error::new(ErrorKind::SignatureInvalid, "no proof"));
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
        if let Some(error) = self.ledger.failures.lock().unwrap().pop_front() {
            return Err(error);
        }
        let record = self.ledger.invoices.lock().unwrap().get(&*entity.id).cloned();
        let state = record.map_or(Observed::Gone, |record| Observed::Present {
            revision: Revision::of(&serde_json::to_vec(&record).unwrap()),
            order: None,
            record: Box::new(record),
            raw: None,
        });
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
    }

    async fn poll(&self, _: &Context, _: &str, _: PollMode, _: Option<&Bytes>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "the ledger has no feeds"))
    }

    async fn upkeep(&self, _: &Context, _: Option<&str>, _: Option<&Bytes>) -> Result<Upkeep> {
        Ok(Upkeep { state: Bytes::new(), signals: Vec::new(), next: Timestamp::MAX })
    }
}

/// What the board does with the next attempt.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Refuses it with this error.
    Before(ErrorKind, Effect, crate::Scope, crate::Retry),
    /// Writes it, and then fails with an unknown effect.
    After,
    /// Never answers.
    Hang,
    Panic,
}

/// What was written on the board, and when.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) written: Mutex<Vec<(String, String, Timestamp)>>,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) lookups: Mutex<VecDeque<Lookup>>,
}

impl Board {
    pub(super) fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
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

    fn plan(&self, delivery: &Delivery) -> Result<Plan> {
        if delivery.destination.as_str() == "nowhere" {
            return Err(Error::new(ErrorKind::InvalidRequest, "the board has no such corner"));
        }
        let quota = Quota::Rolling { limit: 1, window: Duration::from_secs(1) };
        let key = crate::rate::QuotaKey::from(format!("board/{}", delivery.destination));
        let lane = LaneKey::from(delivery.destination.as_str());
        Ok(Plan { lane, costs: vec![Cost::one(key, Arc::from([quota]))] })
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn Notes) -> Vec<Result<Receipt>> {
        let mut results = Vec::new();
        for delivery in batch {
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
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::Panic) => panic!("the sink has a bug"),
            });
        }
        results
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        if let Some(lookup) = self.board.lookups.lock().unwrap().pop_front() {
            return Ok(lookup);
        }
        let text = format!("{} {}", delivery.event.event_type(), delivery.event.entity.id);
        let corner = self.board.corner(delivery.destination.as_str());
        Ok(match corner.contains(&text) {
            true => Lookup::Happened(Receipt::new(format!("board/{}", delivery.id))),
            false => Lookup::DidNotHappen,
        })
    }
}
