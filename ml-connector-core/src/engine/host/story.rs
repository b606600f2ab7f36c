//! The whole story of an entry: what was received, decided and done, as it was decided then.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    CallMade, Connector, Error, ErrorKind, LimitWait, Result, Timestamp,
    audit::{Entry, EntryKind, Outcome, Query, Recorded},
    engine::{
        entries::{LOST_ROW, lost_row_of},
        fan_out::{RouteNames, names_key},
        stored::{StoredDelivery, StoredSignal},
        trace::{EventTrace, OutcomeTrace},
    },
    model::{ConnectionId, Event, LeftOut, LostRow, Seq},
    route::RouteMatch,
};

/// How many entries of a family are read at once, with how many bytes of bodies, and how far up the way to one is followed.
const FAMILY: usize = 500;
const FAMILY_BYTES: usize = 8 << 20;
const GENERATIONS: usize = 64;
/// Of how many events it is looked up what they changed: each is a question of its own, and a read of a vendor may have found
/// hundreds.
const COMPARED: usize = 8;
/// How many entries of a family are counted.
const MOST_COUNTED: usize = 100_000;

/// The whole story of an entry: from the bytes received to the receipt. `Display` prints the way to the asked entry and
/// what follows from it, one line per step; what else belongs to the same request or poll is counted.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Story {
    /// The entry that was asked for.
    pub asked: Seq,
    /// Everything that happened, entry by entry in the order of the log.
    pub steps: Vec<Step>,
    /// The entries, in the order of the log: the way to the asked one, what follows from it, and what else began with the
    /// same request or poll, as far as that is little.
    pub entries: Vec<Entry>,
    /// How many entries of the same family are not among them, up to 100,000.
    pub left_out: usize,
}

/// One thing that happened. `Debug` does not show why: people write what they like.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The entry that it happened to.
    pub seq: Seq,
    /// How many entries lie between it and what began the family.
    pub depth: usize,
    /// Whose entry it is.
    pub connection: ConnectionId,
    /// When it began.
    pub from: Timestamp,
    /// When it ended, if it took time.
    pub to: Option<Timestamp>,
    /// What it was.
    pub what: StepKind,
    /// Why, where that is known: an error, a reason, what somebody said.
    pub why: Option<Arc<str>>,
    /// Another entry that it is about.
    pub link: Option<Seq>,
}

/// What happened. `Debug` shows which kind, and nothing of what it holds.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
#[non_exhaustive]
pub enum StepKind {
    /// A request came in and was stored: a signal, or a note when it led to none.
    Received {
        /// Its method.
        method: Arc<str>,
        /// Its path and query, without the endpoint.
        target: Arc<str>,
        /// How many bytes its body has.
        bytes: usize,
        /// The SHA-256 of its body, in hexadecimal digits.
        sha256: String,
    },
    /// The connector itself asked for a look.
    Asked,
    /// A row of a list could not be read, and nothing was read in its place.
    LostRow {
        /// Which, and why.
        row: LostRow,
    },
    /// The same entry came again and was not stored.
    Repeated {
        /// How often.
        count: u64,
    },
    /// One call of the vendor.
    Called {
        /// The call, with the limits that it waited for.
        #[serde(flatten)]
        call: CallMade,
    },
    /// It waited for room in a limit.
    Waited {
        /// The limit's key.
        key: String,
    },
    /// The same read answered other signals.
    Answered {
        /// Which.
        signals: Vec<Seq>,
    },
    /// A change of a record.
    Event {
        /// Its type.
        name: Arc<str>,
        /// What differs from the record's event before, as far as that is in the log. It is looked up for the eight events
        /// that are nearest to the asked entry, of those that it follows from and that follow from it; empty for others.
        changed: Vec<FieldChange>,
        /// What of the record could not be read.
        left_out: Vec<LeftOut>,
    },
    /// What the routes said of the event.
    Routed {
        /// Those that matched.
        matched: Vec<Arc<str>>,
        /// The others, and why.
        others: Vec<(Arc<str>, RouteMatch)>,
    },
    /// A delivery was appended for a route that matched.
    FannedOut {
        /// The route.
        route: Arc<str>,
        /// Where it goes.
        destination: Arc<str>,
        /// The schedule it waits for.
        schedule: Option<Arc<str>>,
    },
    /// Somebody did something.
    Act {
        /// What.
        name: Arc<str>,
    },
    /// An attempt began.
    Begun {
        /// Its number.
        attempt: u32,
    },
    /// It is tried again.
    Retry {
        /// When.
        due: Timestamp,
        /// Whether the attempt may have had its effect.
        uncertain: bool,
    },
    /// It waits until somebody changes something.
    Parked,
    /// It succeeded.
    Done {
        /// With this receipt.
        receipt: Option<Arc<str>>,
        /// Where a person sees what it names, as far as the [sink](crate::Sink::link) knows now.
        url: Option<Arc<str>>,
    },
    /// It failed for good.
    Dead,
    /// Nothing had to be done.
    Dropped,
    /// Somebody knows of it.
    Acknowledged {
        /// Who.
        by: Arc<str>,
    },
    /// Somebody took it off the work list.
    Cancelled {
        /// Who.
        by: Arc<str>,
    },
    /// Somebody left it undone.
    Discarded {
        /// Who.
        by: Arc<str>,
    },
    /// Another entry stands for it.
    Replayed,
}

/// A field of a record that changed, as JSON. `Debug` shows its name only.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it was; `None` = it was not there.
    pub before: Option<String>,
    /// What it is; `None` = it is gone.
    pub after: Option<String>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, depth, connection, from, to, what, link, .. } = self;
        f.debug_struct("Step")
            .field("seq", seq)
            .field("depth", depth)
            .field("connection", connection)
            .field("from", from)
            .field("to", to)
            .field("what", what)
            .field("link", link)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received { .. } => "Received",
            Self::Asked => "Asked",
            Self::LostRow { .. } => "LostRow",
            Self::Repeated { .. } => "Repeated",
            Self::Called { .. } => "Called",
            Self::Waited { .. } => "Waited",
            Self::Answered { .. } => "Answered",
            Self::Event { .. } => "Event",
            Self::Routed { .. } => "Routed",
            Self::FannedOut { .. } => "FannedOut",
            Self::Act { .. } => "Act",
            Self::Begun { .. } => "Begun",
            Self::Retry { .. } => "Retry",
            Self::Parked => "Parked",
            Self::Done { .. } => "Done",
            Self::Dead => "Dead",
            Self::Dropped => "Dropped",
            Self::Acknowledged { .. } => "Acknowledged",
            Self::Cancelled { .. } => "Cancelled",
            Self::Discarded { .. } => "Discarded",
            Self::Replayed => "Replayed",
        })
    }
}

impl fmt::Debug for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldChange").field("field", &self.field).finish_non_exhaustive()
    }
}

impl Connector {
    /// Tells the whole story of an entry: what was received, what the read showed, which routes matched then and why the
    /// others did not, what was waited for, and what became of every attempt.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such entry (any more); [`ErrorKind::Unavailable`] when the log cannot be
    /// read.
    pub async fn explain(&self, seq: Seq) -> Result<Story> {
        let mut entries = self.way_to(seq).await?;
        if entries.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "the log has no such entry").with_context("seq", seq));
        }
        let mut near: BTreeSet<Seq> = entries.keys().copied().collect();
        let family =
            |after| Query { after, limit: FAMILY, max_bytes: Some(FAMILY_BYTES), ..Query::family_of(seq) };
        let size = self.count(&Query { bodies: false, ..Query::family_of(seq) }, MOST_COUNTED).await?;
        // A backfill has hundreds of thousands of descendants: what follows from the asked one comes behind it.
        let begun = self.search(&family(None)).await?;
        let follows = if begun.len() < size { self.search(&family(Some(seq))).await? } else { Vec::new() };
        for entry in begun.into_iter().chain(follows) {
            entries.entry(entry.seq).or_insert(entry);
        }
        for entry in entries.values() {
            if entry.seq > seq && entry.parent.is_some_and(|parent| parent >= seq && near.contains(&parent)) {
                near.insert(entry.seq);
            }
        }
        let mut changed = self.changes(&entries, &near, seq).await?;
        let entries: Vec<Entry> = entries.into_values().collect();
        let verdicts = self.verdicts(&entries).await?;
        let mut teller = Teller::new(&entries);
        let registry = self.shared.registry();
        for entry in &entries {
            teller.tell(entry, changed.remove(&entry.seq).unwrap_or_default(), verdicts.of(entry));
        }
        for step in &mut teller.steps {
            if let StepKind::Done { receipt: Some(receipt), url } = &mut step.what {
                let link = registry.sink(&step.connection).and_then(|sink| sink.link(receipt));
                *url = link.map(|link| link.as_str().into());
            }
        }
        let (steps, left_out) = (teller.steps, size.saturating_sub(entries.len()));
        Ok(Story { asked: seq, steps, entries, left_out })
    }

    /// An entry, what it follows from, and what stands for it.
    async fn way_to(&self, seq: Seq) -> Result<BTreeMap<Seq, Entry>> {
        let mut way: BTreeMap<Seq, Entry> = BTreeMap::new();
        let mut next = vec![seq];
        for _ in 0..GENERATIONS {
            next.retain(|seq| !way.contains_key(seq));
            if next.is_empty() {
                break;
            }
            for entry in self.search(&Query::entries(std::mem::take(&mut next))).await? {
                next.extend(entry.parent);
                next.extend(entry.replayed_by().filter(|_| entry.seq == seq));
                way.insert(entry.seq, entry);
            }
        }
        Ok(way)
    }

    /// What the events nearest to the asked entry changed.
    async fn changes(
        &self,
        entries: &BTreeMap<Seq, Entry>,
        near: &BTreeSet<Seq>,
        asked: Seq,
    ) -> Result<BTreeMap<Seq, Vec<FieldChange>>> {
        let (above, below) =
            (near.range(..=asked).rev(), near.range((Bound::Excluded(asked), Bound::Unbounded)));
        let events = above.chain(below).filter_map(|seq| entries.get(seq));
        let mut changes = BTreeMap::new();
        for event in events.filter(|entry| entry.kind == EntryKind::Event).take(COMPARED) {
            changes.insert(event.seq, self.changed(event).await?);
        }
        Ok(changes)
    }

    /// What differs from the record's event before.
    async fn changed(&self, event: &Entry) -> Result<Vec<FieldChange>> {
        let Some(entity) = &event.index.entity else { return Ok(Vec::new()) };
        let before = Query::of_kind(EntryKind::Event)
            .with_connection(event.connection.clone())
            .with_entity(entity.clone())
            .after(event.seq)
            .newest_first()
            .with_bodies()
            .with_limit(1);
        let before = self.search(&before).await?.pop().and_then(|before| record_of(&before));
        let (Some(before), Some(after)) = (before, record_of(event)) else { return Ok(Vec::new()) };
        let fields = before.keys().chain(after.keys().filter(|field| !before.contains_key(*field)));
        let text =
            |record: &RecordFields, field: &String| record.get(field).map(|value| value.get().to_owned());
        let change = |field: &String| FieldChange {
            field: field.clone(),
            before: text(&before, field),
            after: text(&after, field),
        };
        Ok(fields.map(change).filter(|change| change.before != change.after).collect())
    }

    /// What the routes said of the events among these entries, with the names that they had then.
    async fn verdicts(&self, entries: &[Entry]) -> Result<Verdicts> {
        let sets: BTreeSet<u64> = entries.iter().filter_map(trace_of).map(|trace| trace.set).collect();
        if sets.is_empty() {
            return Ok(Verdicts::default());
        }
        let keys = sets.iter().map(|set| names_key(*set)).collect();
        let names = self.shared.load_all::<RouteNames>(keys).await?;
        let named = sets.into_iter().zip(names).filter_map(|(set, names)| Some((set, names.value?.0)));
        Ok(Verdicts { names: named.collect() })
    }
}

fn trace_of(entry: &Entry) -> Option<EventTrace> {
    entry.trace.as_ref().filter(|_| entry.kind == EntryKind::Event).and_then(EventTrace::decode)
}

/// The names of routes by their sets.
#[derive(Debug, Default)]
struct Verdicts {
    names: BTreeMap<u64, Vec<Arc<str>>>,
}

impl Verdicts {
    /// What the routes said of an event then.
    fn of(&self, entry: &Entry) -> Option<StepKind> {
        let trace = trace_of(entry)?;
        let names = self.names.get(&trace.set);
        let (mut matched, mut others) = (Vec::new(), Vec::new());
        for (i, code) in trace.codes.chars().enumerate() {
            let name = names.and_then(|names| names.get(i)).cloned();
            let name = name.unwrap_or_else(|| format!("route {}", i + 1).into());
            match RouteMatch::from_code(code) {
                Some(RouteMatch::Matched) => matched.push(name),
                Some(other) => others.push((name, other)),
                None => {}
            }
        }
        Some(StepKind::Routed { matched, others })
    }
}

type RecordFields = BTreeMap<String, Box<RawValue>>;

/// The fields of an event's record, each as it was written.
fn record_of(event: &Entry) -> Option<RecordFields> {
    let event = Event::from_cloudevent(event.body.as_ref()?).ok()?;
    serde_json::from_str(&serde_json::to_string(event.record()?).ok()?).ok()
}

/// Puts a story together.
struct Teller {
    /// How deep each entry is: those that it follows from come earlier in the log.
    depths: BTreeMap<Seq, usize>,
    steps: Vec<Step>,
}

impl Teller {
    fn new(entries: &[Entry]) -> Self {
        let mut depths: BTreeMap<Seq, usize> = BTreeMap::new();
        for entry in entries {
            let above = entry.parent.and_then(|parent| depths.get(&parent));
            let depth = above.map_or(0, |above| above + 1);
            depths.insert(entry.seq, depth);
        }
        Self { depths, steps: Vec::new() }
    }

    fn tell(&mut self, entry: &Entry, changed: Vec<FieldChange>, routed: Option<StepKind>) {
        let step = |from, what| Step {
            seq: entry.seq,
            depth: 0,
            connection: entry.connection.clone(),
            from,
            to: None,
            what,
            why: None,
            link: None,
        };
        let depth = self.depths.get(&entry.seq).copied().unwrap_or_default();
        let mut steps = Vec::new();
        let (what, why) = beginning(entry, changed);
        steps.push(Step { why, ..step(entry.at, what) });
        steps.extend(routed.map(|routed| step(entry.at, routed)));
        if let Some(repeats) = entry.repeats {
            let what = StepKind::Repeated { count: repeats.count };
            steps.push(Step { to: Some(repeats.last), ..step(entry.at, what) });
        }
        let mut before: Option<&Outcome> = None;
        for recorded in &entry.outcomes {
            let trace = recorded.trace.as_ref().and_then(OutcomeTrace::decode).unwrap_or_default();
            for LimitWait { key, since, until, .. } in trace.waits {
                steps.push(Step { to: Some(until), ..step(since, StepKind::Waited { key }) });
            }
            for call in trace.calls {
                let (began, ended) = (call.began, call.ended);
                let why = call.error.as_deref().map(Arc::from);
                steps.push(Step { to: Some(ended), why, ..step(began, StepKind::Called { call }) });
            }
            if !trace.answered.is_empty() {
                let what = StepKind::Answered { signals: trace.answered };
                steps.push(step(trace.began.unwrap_or(recorded.at), what));
            }
            let (what, why, link) = ending(recorded, before);
            let link = link.or(trace.with);
            steps.push(Step { why, link, ..step(recorded.at, what) });
            before = Some(&recorded.outcome);
        }
        self.steps.extend(steps.into_iter().map(|step| Step { depth, ..step }));
    }
}

/// How an entry came to be.
fn beginning(entry: &Entry, changed: Vec<FieldChange>) -> (StepKind, Option<Arc<str>>) {
    let name = entry.index.name.clone().unwrap_or_default();
    match entry.kind {
        EntryKind::Note if &*name == LOST_ROW => {
            let row = entry.body.as_ref().and_then(lost_row_of);
            (row.map_or(StepKind::Asked, |row| StepKind::LostRow { row }), None)
        }
        EntryKind::Signal | EntryKind::Note => {
            let stored = entry.body.as_ref().and_then(|body| StoredSignal::decode(body).ok());
            let Some((received, body)) = stored.and_then(|stored| Some((stored.received?, stored.body)))
            else {
                return (StepKind::Asked, None);
            };
            let digest = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
            let (method, target) = (received.method.into(), received.target.into());
            let what = StepKind::Received { method, target, bytes: body.len(), sha256: digest };
            (what, received.rejected.map(|why| why.into()))
        }
        EntryKind::Event => {
            let event = entry.body.as_ref().and_then(|body| Event::from_cloudevent(body).ok());
            let (reason, left_out) = event.map(|event| (event.reason, event.notes)).unwrap_or_default();
            (StepKind::Event { name, changed, left_out }, reason)
        }
        EntryKind::Delivery => {
            let stored = entry.body.as_ref().and_then(|body| StoredDelivery::decode(body).ok());
            let destination = stored.as_ref().map(|stored| stored.destination.as_str().into());
            let schedule = stored.and_then(|stored| stored.schedule);
            let destination = destination.or(entry.index.destination.clone()).unwrap_or_default();
            (StepKind::FannedOut { route: name, destination, schedule }, None)
        }
        EntryKind::Act => {
            let why = entry.body.as_deref().and_then(|body| std::str::from_utf8(body).ok());
            (StepKind::Act { name }, why.map(Arc::from))
        }
    }
}

/// What an outcome says; `before` is the one before it.
fn ending(recorded: &Recorded, before: Option<&Outcome>) -> (StepKind, Option<Arc<str>>, Option<Seq>) {
    let what = |what| (what, None, None);
    let because = |what, why: &Arc<str>| (what, Some(Arc::clone(why)), None);
    match &recorded.outcome {
        Outcome::Begun { attempt, note } => {
            let why = match before {
                Some(Outcome::Begun { attempt: earlier, .. }) if earlier == attempt => Some(match note {
                    Some(_) => "the sink left a handle to find it by",
                    None => "its beginning was recorded twice",
                }),
                Some(Outcome::Begun { .. }) => Some(
                    "the attempt before began and has no result: its process ended, or lost the partition",
                ),
                _ => None,
            };
            (StepKind::Begun { attempt: *attempt }, why.map(Arc::from), None)
        }
        Outcome::Retry { due, error, uncertain, .. } => {
            because(StepKind::Retry { due: *due, uncertain: *uncertain }, error)
        }
        Outcome::Parked { error } => because(StepKind::Parked, error),
        Outcome::Done { receipt } => what(StepKind::Done { receipt: receipt.clone(), url: None }),
        Outcome::Dead { error } => because(StepKind::Dead, error),
        Outcome::Dropped { reason } => because(StepKind::Dropped, reason),
        Outcome::Acknowledged { by, why } => because(StepKind::Acknowledged { by: Arc::clone(by) }, why),
        Outcome::Cancelled { by, why } => because(StepKind::Cancelled { by: Arc::clone(by) }, why),
        Outcome::Discarded { by, why } => because(StepKind::Discarded { by: Arc::clone(by) }, why),
        Outcome::Replayed { replay } => (StepKind::Replayed, None, Some(*replay)),
    }
}
