//! A batch of signals of one lane: loaded, grouped by what one piece of work answers, and handed to the room of their
//! subject.

use std::sync::Arc;

use crate::{
    ErrorKind,
    audit::Lease,
    engine::{
        feeds,
        lanes::{Batch, Evidence, Finished, Hold},
        resolve::{self, WaitingSignal},
        retry,
        shared::Shared,
        stats::Stat,
        upkeep,
        writes::{Stop, dead, drop_forgotten, is_ready, settle},
    },
    model::Subject,
};

/// Resolves a batch of signals of one lane.
pub(crate) async fn resolve(shared: Arc<Shared>, lease: Lease, batch: Batch) -> Finished {
    match try_resolve(&shared, lease, &batch).await {
        Ok(finished) => finished,
        Err(Stop::Fenced) => Finished::fenced(),
        // Nothing was written: the log decides when it works again.
        Err(Stop::Log(error)) => {
            tracing::error!(%error, connection = %batch.connection, "what signals lead to cannot be written down: they wait");
            Finished::again(&batch, Hold::Unwritten)
        }
    }
}

async fn try_resolve(shared: &Shared, lease: Lease, batch: &Batch) -> Result<Finished, Stop> {
    let registry = shared.registry();
    let Some(slot) = registry.source(&batch.connection) else {
        if registry.is_forgotten(&batch.connection) {
            return drop_forgotten(shared, lease, batch).await;
        }
        tracing::warn!(connection = %batch.connection, "signals wait for a source that is not connected");
        return Ok(Finished::again(batch, Hold::Outage(shared.clock.now())));
    };
    if !is_ready(shared).await {
        return Ok(Finished::again(batch, Hold::Until(retry::log_at(shared.clock.now()))));
    }
    let mut waits = Vec::new();
    let (mut hold, mut down, mut proof) = (Hold::None, None, Evidence::Nothing);
    let mut by_subject: Vec<(Subject, Vec<WaitingSignal>)> = Vec::with_capacity(1);
    for (item, loaded) in resolve::load(shared, &batch.items).await? {
        match loaded {
            Ok(waiting) => {
                match by_subject.iter_mut().find(|(subject, _)| together(subject, &waiting.signal.subject)) {
                    Some((_, group)) => group.push(waiting),
                    None => by_subject.push((waiting.signal.subject.clone(), vec![waiting])),
                }
            }
            Err(error) => {
                settle(shared, lease, vec![dead(item.seq, &error)]).await?;
                shared.count(Stat::Dead, 1, &batch.connection, None);
            }
        }
    }
    for (subject, group) in by_subject {
        let worked = match &subject {
            Subject::Feed { name, .. } | Subject::Sweep(name) => {
                feeds::step(shared, lease, slot, batch, name, &group).await
            }
            Subject::Subscription(_) => upkeep::look_after(shared, lease, slot, batch, &group).await,
            Subject::Entity(entity) => resolve::read(shared, lease, slot, batch, entity, &group).await,
        };
        let resolved = match worked {
            // The log works, and does not take this: it is tried as any read that fails by itself.
            Err(Stop::Log(error)) if error.kind() == ErrorKind::Unexpected => {
                let failed = resolve::failed(shared, lease, batch, &group, &error).await?;
                if subject.feed().is_some() && failed.waits.len() < group.len() {
                    feeds::ensure(shared, slot).await?;
                }
                failed
            }
            worked => worked?,
        };
        if resolved.proof != Evidence::Nothing {
            slot.pulse.beat(batch.lane.lane);
        }
        waits.extend(resolved.waits);
        proof = proof.max(resolved.proof);
        if resolved.hold != Hold::None {
            (hold, down) = (resolved.hold, resolved.down);
        }
    }
    Ok(Finished { waits, hold, fenced: false, down, proof })
}

/// Whether one piece of work answers both.
fn together(a: &Subject, b: &Subject) -> bool {
    match (a, b) {
        (Subject::Subscription(_), Subject::Subscription(_)) => true,
        _ => a == b || a.feed().is_some() && a.feed() == b.feed(),
    }
}
