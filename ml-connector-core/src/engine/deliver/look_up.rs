//! Before anything is repeated: what became of the attempts before?

use std::{collections::VecDeque, sync::Arc};

use super::{
    attempt::{Attempt, Deliveries, SinkCall},
    classify::{Class, Failure},
};
use crate::{
    Effect, Error, ErrorKind, OnUnknown, Repeat, Result, Timestamp,
    audit::{Outcome, Settlement},
    engine::{
        guard,
        lanes::{Finished, Hold, Item},
        registry::SinkSlot,
        stats::Stat,
        trace::OutcomeTrace,
        writes::{Stop, settle},
    },
    model::{Delivery, Lookup, Receipt},
};

impl Attempt<'_> {
    /// Looks up deliveries in their order, and leaves in `loaded` those that did not happen or may be repeated: should
    /// they have to wait for room, nothing new can have happened when their turn comes. What was sent as one, by its
    /// note, is looked up once. Where repeating cannot do harm, only what left a note is: the other side may still be at
    /// work. `Some`: one is still open, and what follows it waits with it.
    pub(super) async fn look_up(
        &self,
        slot: &SinkSlot,
        loaded: &mut Deliveries,
    ) -> Result<Option<Finished>, Stop> {
        let look_up_first = slot.sink.info().repeat == Repeat::AfterLookup;
        let is_asked = |(_, delivery): &(Item, Delivery)| look_up_first || delivery.note.is_some();
        let (mut open, others): (VecDeque<_>, VecDeque<_>) = loaded.take().partition(is_asked);
        let (mut ended, mut results) = (Deliveries::default(), Vec::new());
        let (mut wait_until, mut is_everywhere) = (None, false);
        while let Some((item, delivery)) = open.pop_front() {
            let looked_up = self.ask(slot, item, &delivery).await?;
            let mut group: VecDeque<(Item, Delivery)>;
            (group, open) = open.into_iter().partition(|(_, other)| went_together(&delivery, other));
            group.push_front((item, delivery));
            match looked_up {
                LookedUp::Happened(receipt) => {
                    // What it says about one record is told once.
                    let reference = Arc::clone(&receipt.reference);
                    results.push(Ok(receipt));
                    results.extend(group.iter().skip(1).map(|_| Ok(Receipt::new(Arc::clone(&reference)))));
                    ended.extend(group);
                }
                LookedUp::Repeat { warn } => {
                    if warn {
                        self.warn(&group).await?;
                    }
                    loaded
                        .extend(group.into_iter().map(|(item, of)| (Item { uncertain: false, ..item }, of)));
                }
                LookedUp::Missing(error) => {
                    for (item, delivery) in &group {
                        self.kill(*item, Some(delivery), &error).await?;
                    }
                }
                LookedUp::AskAgain(at) => {
                    wait_until = Some(at);
                    loaded.extend(group);
                    break;
                }
                LookedUp::Failed(error, everywhere) => {
                    is_everywhere = everywhere;
                    let error = Arc::new(error);
                    results.extend(group.iter().map(|_| Err(Arc::clone(&error))));
                    ended.extend(group);
                    wait_until = Some(Timestamp::default());
                    break;
                }
            }
        }
        loaded.extend(open);
        loaded.extend(others);
        loaded.in_order();
        let mut finished = Finished::settled();
        if !results.is_empty() {
            let asked = SinkCall::WhatBecame { look_up_first }.with(is_everywhere);
            finished = self.settle(&ended, results, asked, &OutcomeTrace::default()).await?;
        }
        let Some(at) = wait_until else { return Ok(None) };
        if finished.hold == Hold::None {
            finished.hold = Hold::Until(at);
        }
        finished.waits.extend(&loaded.items);
        Ok(Some(finished))
    }

    async fn ask(&self, slot: &SinkSlot, item: Item, delivery: &Delivery) -> Result<LookedUp, Stop> {
        self.shared.stats.count(Stat::LookedUp);
        let is_safe = slot.sink.info().repeat == Repeat::Safe;
        let call = self.time_for(slot, delivery);
        let ctx = self.shared.context.within(call);
        let asked = slot.sink.look_up(&ctx, delivery);
        let lookup = guard::call(call, "the look-up did not end in time", asked).await;
        let may_repeat =
            matches!(lookup, Ok(Lookup::MayRepeat)) || slot.sink.info().on_unknown == OnUnknown::Repeat;
        Ok(match lookup {
            Ok(Lookup::Happened(receipt)) => LookedUp::Happened(receipt),
            Ok(Lookup::DidNotHappen) => LookedUp::Repeat { warn: false },
            Ok(Lookup::AskAgain { at }) => LookedUp::AskAgain(at),
            Ok(Lookup::MayRepeat | Lookup::CannotTell) if is_safe => LookedUp::Repeat { warn: false },
            Ok(Lookup::MayRepeat | Lookup::CannotTell) if may_repeat => {
                tracing::warn!(seq = item.seq.0, "a delivery is repeated and possibly duplicated");
                LookedUp::Repeat { warn: true }
            }
            Ok(Lookup::MayRepeat | Lookup::CannotTell) => {
                let message = "possibly missing: the other side cannot tell what became of the attempt";
                LookedUp::Missing(Error::new(ErrorKind::Unexpected, message).with_effect(Effect::Unknown))
            }
            Err(error) => {
                let is_everywhere = Failure::is_down(&error) && self.is_unreachable(slot).await;
                let asked = SinkCall::WhatBecame { look_up_first: !is_safe };
                let failure = asked.with(is_everywhere).failure(&error);
                let now = self.shared.clock.now();
                if Class::of(failure, item, self.batch, &self.shared.settings, now) != Class::Dead {
                    return Ok(LookedUp::Failed(error.with_effect(Effect::Unknown), is_everywhere));
                }
                if is_safe {
                    return Ok(LookedUp::Repeat { warn: false });
                }
                // It has failed for as long as a delivery may: the host has decided what follows then.
                tracing::warn!(seq = item.seq.0, %error, "what became of a delivery cannot be looked up");
                if may_repeat {
                    LookedUp::Repeat { warn: true }
                } else {
                    let message =
                        format!("possibly delivered: what became of it cannot be looked up: {error}");
                    let missing = Error::new(error.kind(), message).with_effect(Effect::Unknown);
                    LookedUp::Missing(missing.with_source(error))
                }
            }
        })
    }

    /// The audit trail says so before it happens.
    async fn warn(&self, group: &VecDeque<(Item, Delivery)>) -> Result<(), Stop> {
        let outcome = |item: &Item| Outcome::Retry {
            attempt: item.attempt,
            due: item.due,
            error: "possibly duplicated: the other side cannot tell what became of the attempt".into(),
            uncertain: false,
            note: None,
        };
        let warned = group.iter().map(|(item, _)| Settlement::new(item.seq, outcome(item)));
        settle(self.shared, self.lease, warned.collect()).await
    }
}

/// What a look-up means.
enum LookedUp {
    Happened(Receipt),
    Repeat {
        /// It may be a repetition.
        warn: bool,
    },
    Missing(Error),
    AskAgain(Timestamp),
    /// It is tried again; whether it is not only this lane that fails.
    Failed(Error, bool),
}

/// Whether one call of the sink sent both: they carry its handle.
fn went_together(a: &Delivery, b: &Delivery) -> bool {
    a.note.is_some() && a.note == b.note
}
