//! When subscriptions are looked after: one entry waits in the log, and the transaction that settles it appends the
//! next.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Result, Timestamp,
    audit::{Appended, DocKey, Expected, NewEntry, Parent, Transaction},
    engine::{
        documents::{JsonDocument, Loaded},
        entries,
        registry::SourceSlot,
        shared::Shared,
        writes::{self, commit, is_settled},
    },
    model::{DedupeKey, Signal, Subject, Subscription},
};

/// When to look again after a series has ended in an error.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// The subject of scheduled upkeep.
const ALL: &str = "all";

/// The document that holds the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UpkeepPlan {
    /// The number of the look that waits.
    pub(super) n: u64,
    /// When it is due.
    pub(super) due: Timestamp,
    /// Where webhooks were wanted at the last look.
    pub(super) callback: Option<String>,
    /// Why they do not come, by the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<Arc<str>>,
    /// What was registered then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subscriptions: Vec<Subscription>,
}

impl JsonDocument for UpkeepPlan {
    const NAME: &'static str = "the plan of upkeep";
}

/// The schedule, with the document that holds it.
pub(super) async fn load(shared: &Shared, slot: &SourceSlot) -> Result<(Loaded<UpkeepPlan>, UpkeepPlan)> {
    let mut document = shared.load::<UpkeepPlan>(plan_key(slot)).await?;
    let plan = document.value.take().unwrap_or_default();
    Ok((document, plan))
}

/// Makes sure that the next look waits in the log, and comes at once when webhooks are wanted elsewhere now or are still
/// subscribed at an account that the connection read before.
pub(crate) async fn ensure(shared: &Shared, slot: &SourceSlot) -> Result<()> {
    if !slot.source.info().mode.subscribes() {
        return Ok(());
    }
    let (document, mut plan) = load(shared, slot).await?;
    let now = shared.clock.now();
    let due = plan.due.max(now);
    let mut append = vec![look(slot, &plan_number(slot, plan.n), due)?];
    let callback = callback(shared, slot);
    if document.expected != Expected::Absent && plan.callback != callback {
        let moved = format!("{}/{}", plan_number(slot, plan.n), callback.as_deref().unwrap_or("nowhere"));
        append.push(look(slot, &moved, now)?);
    }
    let former = shared.load::<Bytes>(slot.former_upkeep_state_key()).await?;
    if document.expected != Expected::Absent && former.value.is_some() {
        append.push(look(slot, &format!("{}/former", plan_number(slot, plan.n)), now)?);
    }
    let appended = writes::append(shared, Transaction { append, ..Transaction::default() }).await?;
    let Some(Appended::Duplicate(seq)) = appended.first() else { return Ok(()) };
    if !is_settled(shared, *seq).await? {
        return Ok(());
    }
    plan.n += 1;
    plan.due = now + AFTER_FAILURE;
    let heal = Transaction {
        documents: vec![document.replace(&plan)?],
        append: vec![look(slot, &plan_number(slot, plan.n), plan.due)?],
        ..Transaction::default()
    };
    // Stale: somebody else moved it on.
    commit(shared, heal).await.map(drop)
}

/// What is known of subscriptions by the last look after them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// When the next look is due.
    pub(crate) due: Option<Timestamp>,
    /// Why webhooks do not come.
    pub(crate) problem: Option<Arc<str>>,
    pub(crate) subscriptions: Vec<Subscription>,
}

/// What is known of the subscriptions of each of these connections, as far as it has such.
pub(crate) async fn known(shared: &Shared, slots: &[&SourceSlot]) -> Result<Vec<Known>> {
    let plans = shared.load_all::<UpkeepPlan>(slots.iter().map(|slot| plan_key(slot)).collect()).await?;
    let known = |(slot, plan): (&&SourceSlot, Loaded<UpkeepPlan>)| {
        let plan = plan.value.filter(|_| slot.source.info().mode.subscribes());
        plan.map_or_else(Known::default, |UpkeepPlan { due, problem, subscriptions, .. }| Known {
            due: Some(due),
            problem,
            subscriptions,
        })
    };
    Ok(slots.iter().zip(plans).map(known).collect())
}

pub(super) fn look(slot: &SourceSlot, key: &str, due: Timestamp) -> Result<NewEntry> {
    let signal = Signal {
        hint: Some("subscriptions.upkeep".into()),
        dedupe: Some(key.into()),
        ..Signal::of(Subject::Subscription(ALL.into()))
    };
    entries::signal(slot, &signal, Parent::None, due)
}

pub(super) fn plan_number(slot: &SourceSlot, n: u64) -> String {
    format!("upkeep/{}/{n:08}", slot.connection())
}

pub(super) fn is_numbered(slot: &SourceSlot, key: &DedupeKey) -> bool {
    key.as_str().starts_with(&format!("upkeep/{}/", slot.connection()))
}

pub(super) fn callback(shared: &Shared, slot: &SourceSlot) -> Option<String> {
    shared.url_of(&slot.source.info().endpoint).map(String::from)
}

fn plan_key(slot: &SourceSlot) -> DocKey {
    DocKey::new("upkeep", slot.connection(), "plan")
}
