//! Webhook subscriptions: looked after on their own schedule, and whenever something is said about them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Shared, feeds, foreign,
    intake::signal_entry,
    lanes::Batch,
    registry::SourceSlot,
    resolve::{Resolved, Stop, Waiting, commit, dropped, failed, settle},
    stored::StoredSignal,
};
use crate::{
    Error, ErrorKind, Result, Timestamp, UpkeepRequest,
    audit::{
        Appended, Committed, DocKey, DocumentWrite, Expected, Lease, NewEntry, Outcome, Parent, Settlement,
        Transaction,
    },
    model::{DedupeKey, Signal, Subject},
};

/// However soon a source wants to look again, and however late.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// When to look again after a series has ended in an error.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// How old a state that proves a signature wrong may be. Forgers cannot make us read the log more often.
const RELOAD: Duration = Duration::from_secs(5);
/// The subject of scheduled upkeep.
const ALL: &str = "all";

/// The document that holds the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    /// The number of the look that waits.
    n: u64,
    /// When it is due.
    due: Timestamp,
    /// Where webhooks were wanted at the last look.
    callback: Option<String>,
    /// Why they do not come, by the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<Arc<str>>,
}

/// What [`Source::upkeep`](crate::Source::upkeep) stored last, kept in memory for every request.
#[derive(Debug, Default)]
pub(super) struct StateCache(Mutex<Option<Cached>>);

#[derive(Debug, Clone)]
struct Cached {
    state: Option<Bytes>,
    loaded_at: Timestamp,
}

impl StateCache {
    fn get(&self) -> Option<Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Option<Bytes>, loaded_at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Cached { state, loaded_at });
    }
}

impl Shared {
    /// The state with which a source verifies requests.
    pub(super) async fn upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        match slot.upkeep_state.get() {
            Some(cached) => Ok(cached.state),
            None => Box::pin(self.load_upkeep_state(slot)).await,
        }
    }

    /// Another state than the one that did not fit, if another host has stored one meanwhile.
    pub(super) async fn newer_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let now = self.clock.now();
        let known = slot.upkeep_state.get();
        if known.as_ref().is_some_and(|known| now.saturating_since(known.loaded_at) < RELOAD) {
            return Ok(None);
        }
        let loaded = self.load_upkeep_state(slot).await?;
        Ok(loaded.filter(|loaded| known.is_none_or(|known| known.state.as_ref() != Some(loaded))))
    }

    async fn load_upkeep_state(&self, slot: &SourceSlot) -> Result<Option<Bytes>> {
        let stored = self.log.documents(&[state_key(slot)]).await?.pop().flatten();
        let state = stored.map(|document| document.bytes);
        slot.upkeep_state.set(state.clone(), self.clock.now());
        Ok(state)
    }
}

/// Makes sure that the next look waits in the log, and comes at once when webhooks are wanted elsewhere now.
pub(super) async fn ensure(shared: &Shared, slot: &SourceSlot) -> Result<()> {
    if !slot.source.info().mode.subscribes() {
        return Ok(());
    }
    let (expected, mut plan) = read_plan(shared, slot).await?;
    let now = shared.clock.now();
    let due = plan.due.max(now);
    let mut append = vec![look(slot, &plan_number(slot, plan.n), due)?];
    let callback = callback(shared, slot);
    if expected != Expected::Absent && plan.callback != callback {
        let moved = format!("{}/{}", plan_number(slot, plan.n), callback.as_deref().unwrap_or("nowhere"));
        append.push(look(slot, &moved, now)?);
    }
    let appended = shared.commit(Transaction { append, ..Transaction::default() }).await?;
    let Some(Appended::Duplicate(seq)) = appended.first() else { return Ok(()) };
    if !feeds::is_settled(shared, *seq).await? {
        return Ok(());
    }
    plan.n += 1;
    plan.due = now + AFTER_FAILURE;
    let heal = Transaction {
        documents: vec![plan.write(slot, expected)?],
        append: vec![look(slot, &plan_number(slot, plan.n), plan.due)?],
        ..Transaction::default()
    };
    // Stale: somebody else moved it on.
    shared.log.commit(vec![heal], now).await.map(drop)
}

/// When the source looks after its subscriptions next, if it has such.
pub(super) async fn next_look(shared: &Shared, slot: &SourceSlot) -> Result<Option<Timestamp>> {
    if !slot.source.info().mode.subscribes() {
        return Ok(None);
    }
    let (expected, plan) = read_plan(shared, slot).await?;
    Ok((expected != Expected::Absent).then_some(plan.due))
}

/// Lets the source look after its subscriptions, for all signals about them.
pub(super) async fn look_after(
    shared: &Shared,
    lease: Lease,
    slot: &Arc<SourceSlot>,
    batch: &Batch,
    group: &[Waiting],
) -> Result<Resolved, Stop> {
    let (expected, mut plan) = read_plan(shared, slot).await?;
    let number = DedupeKey::from(plan_number(slot, plan.n));
    let old = |waiting: &Waiting| {
        let key = waiting.signal.dedupe.as_ref();
        key.is_some_and(|key| is_numbered(slot, key) && !key.as_str().starts_with(number.as_str()))
    };
    if !slot.source.info().mode.subscribes() || group.iter().all(old) {
        let unneeded = |waiting: &Waiting| dropped(waiting.item.seq, "nothing to look after");
        settle(shared, lease, group.iter().map(unneeded).collect()).await?;
        return Ok(Resolved::default());
    }
    let state = shared.log.documents(&[state_key(slot)]).await?.pop().flatten();
    let callback = callback(shared, slot);
    let ctx = shared.context.within(shared.settings.call);
    let bytes = state.as_ref().map(|document| &document.bytes);
    let upkeep = slot.source.upkeep(&ctx, UpkeepRequest::new().callback(callback.as_deref()).state(bytes));
    let late = "the subscriptions could not be looked after in time";
    let upkeep = match foreign::call(shared.settings.call, late, upkeep).await {
        Ok(upkeep) => upkeep,
        Err(error) => {
            let resolved = failed(shared, lease, batch, group, &error).await?;
            if resolved.waits.len() < group.len() {
                ensure(shared, slot).await?;
            }
            return Ok(resolved);
        }
    };
    let now = shared.clock.now();
    let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
    let parent = Parent::Entry(group[0].item.seq);
    for signal in &upkeep.signals {
        let body = StoredSignal::encode(Some(signal), None, b"")?;
        transaction.append.push(signal_entry(slot, signal, parent, body, now));
    }
    let next = upkeep.next.max(now + SOONEST).min(now + LATEST);
    let due = group.iter().any(|waiting| waiting.signal.dedupe.as_ref() == Some(&number));
    if due || next < plan.due || expected == Expected::Absent {
        plan.n += 1;
        plan.due = next;
        transaction.append.push(look(slot, &plan_number(slot, plan.n), next)?);
    }
    plan.callback = callback;
    plan.problem.clone_from(&upkeep.problem);
    transaction.documents.push(plan.write(slot, expected)?);
    transaction.documents.push(DocumentWrite {
        key: state_key(slot),
        expected: state.map_or(Expected::Absent, |document| Expected::Version(document.version)),
        value: Some(upkeep.state.clone()),
    });
    let done = |waiting: &Waiting| Settlement::new(waiting.item.seq, Outcome::Done { receipt: None });
    transaction.settle = group.iter().map(done).collect();
    match commit(shared, transaction).await? {
        Committed::Applied(_) => {
            slot.upkeep_state.set(Some(upkeep.state), now);
            shared.wake.partitions(&[slot.partition]);
            Ok(Resolved::default())
        }
        Committed::Fenced => Err(Stop::Fenced),
        // Idempotent: look again.
        Committed::Stale(_) => {
            Ok(Resolved { waits: group.iter().map(|waiting| waiting.item).collect(), ..Resolved::default() })
        }
    }
}

/// Why webhooks of a connection do not come, by the last look after them.
pub(super) async fn problem(shared: &Shared, slot: &SourceSlot) -> Result<Option<Arc<str>>> {
    if !slot.source.info().mode.subscribes() {
        return Ok(None);
    }
    Ok(read_plan(shared, slot).await?.1.problem)
}

async fn read_plan(shared: &Shared, slot: &SourceSlot) -> Result<(Expected, Plan)> {
    let Some(document) = shared.log.documents(&[plan_key(slot)]).await?.pop().flatten() else {
        return Ok((Expected::Absent, Plan::default()));
    };
    let plan = serde_json::from_slice(&document.bytes).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the plan of upkeep cannot be read").with_source(source)
    })?;
    Ok((Expected::Version(document.version), plan))
}

impl Plan {
    fn write(&self, slot: &SourceSlot, expected: Expected) -> Result<DocumentWrite> {
        let bytes = serde_json::to_vec(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the plan of upkeep cannot be written").with_source(source)
        })?;
        Ok(DocumentWrite { key: plan_key(slot), expected, value: Some(bytes.into()) })
    }
}

fn look(slot: &SourceSlot, key: &str, due: Timestamp) -> Result<NewEntry> {
    let signal = Signal {
        hint: Some("subscriptions.upkeep".into()),
        dedupe: Some(key.into()),
        ..Signal::of(Subject::Subscription(ALL.into()))
    };
    let body = StoredSignal::encode(Some(&signal), None, b"")?;
    Ok(signal_entry(slot, &signal, Parent::None, body, due))
}

fn plan_number(slot: &SourceSlot, n: u64) -> String {
    format!("upkeep/{}/{n:08}", slot.connection())
}

fn is_numbered(slot: &SourceSlot, key: &DedupeKey) -> bool {
    key.as_str().starts_with(&format!("upkeep/{}/", slot.connection()))
}

fn callback(shared: &Shared, slot: &SourceSlot) -> Option<String> {
    shared.url_of(&slot.source.info().endpoint).map(String::from)
}

fn state_key(slot: &SourceSlot) -> DocKey {
    DocKey::new("upkeep", slot.connection(), "state")
}

fn plan_key(slot: &SourceSlot) -> DocKey {
    DocKey::new("upkeep", slot.connection(), "plan")
}
