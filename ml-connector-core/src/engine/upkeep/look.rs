//! One look after the subscriptions of a source.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::schedule::{callback, ensure, is_numbered, load, look, plan_number};
use crate::{
    UpkeepRequest,
    audit::{Committed, Expected, Lease, Outcome, Parent, Settlement, Transaction},
    engine::{
        documents, entries, guard,
        lanes::{Batch, Evidence},
        registry::SourceSlot,
        resolve::{Resolved, WaitingSignal, failed},
        shared::Shared,
        writes::{Stop, commit, dropped, settle},
    },
    model::DedupeKey,
};

/// However soon a source wants to look again, and however late.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Lets the source look after its subscriptions, for all signals about them.
pub(crate) async fn look_after(
    shared: &Shared,
    lease: Lease,
    slot: &Arc<SourceSlot>,
    batch: &Batch,
    group: &[WaitingSignal],
) -> Result<Resolved, Stop> {
    let (document, mut plan) = load(shared, slot).await?;
    let number = DedupeKey::from(plan_number(slot, plan.n));
    let old = |waiting: &WaitingSignal| {
        let key = waiting.signal.dedupe.as_ref();
        key.is_some_and(|key| is_numbered(slot, key) && !key.as_str().starts_with(number.as_str()))
    };
    if !slot.source.info().mode.subscribes() || group.iter().all(old) {
        let unneeded = |waiting: &WaitingSignal| dropped(waiting.item.seq, "nothing to look after");
        settle(shared, lease, group.iter().map(unneeded).collect()).await?;
        return Ok(Resolved::default());
    }
    let state = shared.load::<Bytes>(slot.upkeep_state_key()).await?;
    let former = shared.load::<Bytes>(slot.former_upkeep_state_key()).await?.value;
    let callback = callback(shared, slot);
    let (ctx, calls) = shared.context.within(shared.settings.call).watched();
    let request = UpkeepRequest::new()
        .callback(callback.as_deref())
        .state(state.value.as_ref())
        .former(former.as_ref());
    let upkeep = slot.source.upkeep(&ctx, request);
    let late = "the subscriptions could not be looked after in time";
    let upkeep = match guard::call(shared.settings.call, late, upkeep).await {
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
        transaction.append.push(entries::signal(slot, signal, parent, now)?);
    }
    let next = upkeep.next.max(now + SOONEST).min(now + LATEST);
    let due = group.iter().any(|waiting| waiting.signal.dedupe.as_ref() == Some(&number));
    if due || next < plan.due || document.expected == Expected::Absent {
        plan.n += 1;
        plan.due = next;
        transaction.append.push(look(slot, &plan_number(slot, plan.n), next)?);
    }
    plan.callback = callback;
    plan.problem.clone_from(&upkeep.problem);
    plan.subscriptions.clone_from(&upkeep.subscriptions);
    transaction.documents.push(document.replace(&plan)?);
    transaction.documents.push(state.replace(&upkeep.state)?);
    if former.is_some() {
        transaction.documents.push(documents::remove(slot.former_upkeep_state_key()));
    }
    let done = |waiting: &WaitingSignal| Settlement::new(waiting.item.seq, Outcome::Done { receipt: None });
    transaction.settle = group.iter().map(done).collect();
    match commit(shared, transaction).await? {
        Committed::Applied(_) => {
            slot.upkeep_state.set(Some(upkeep.state), now);
            shared.mailbox.wake(&[slot.partition]);
            // A source may find that there is nothing to do, and call nobody.
            Ok(Resolved::settled(if calls.succeeded() == Some(true) {
                Evidence::Works
            } else {
                Evidence::Nothing
            }))
        }
        Committed::Fenced => Err(Stop::Fenced),
        // Idempotent: look again.
        Committed::Stale(_) => {
            Ok(Resolved { waits: group.iter().map(|waiting| waiting.item).collect(), ..Resolved::default() })
        }
    }
}
