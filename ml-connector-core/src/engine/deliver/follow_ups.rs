//! Follow-ups of a delivery that ended: signals for the source that shares the sink's connection, and for the source
//! whose event it was. They are written in the transaction that settles the delivery. A document that a command of its own
//! connection was about, and that was refused, is read anew: it may have changed without a word, and who decided about it
//! is asked again then.

use std::sync::Arc;

use crate::{
    Error, ErrorKind, Result,
    audit::{Parent, Transaction},
    engine::{entries, registry::SourceSlot, shared::Shared},
    model::{ConnectionId, Delivery, Ended, Fate, Interaction, Partition, Receipt, Signal},
};

/// How a delivery ended, with what is to be said about it.
pub(super) enum Ending<'a> {
    Done(&'a Receipt),
    Parked(&'a str),
    Dead(&'a str),
    /// Given up without knowing what became of it.
    Uncertain(&'a str),
}

/// Adds what follows. Returns whose work lists have grown. What cannot be written is logged: the outcome is not lost
/// because of it.
pub(super) fn append(
    shared: &Shared,
    sink: &ConnectionId,
    delivery: &Delivery,
    ending: &Ending<'_>,
    transaction: &mut Transaction,
) -> Vec<Partition> {
    let registry = shared.registry();
    let now = shared.clock.now();
    let mut wake = Vec::new();
    let parent = Parent::Entry(delivery.seq);
    let mut add = |slot: &SourceSlot, signal: &Signal| match entries::signal(slot, signal, parent, now) {
        Ok(entry) => {
            transaction.append.push(entry);
            wake.push(slot.partition);
        }
        Err(error) => {
            tracing::error!(%error, seq = delivery.seq.0, "what follows from a delivery is not written");
        }
    };
    if let Ending::Done(receipt) = ending
        && !receipt.signals.is_empty()
    {
        match registry.source(sink) {
            Some(slot) => receipt.signals.iter().for_each(|signal| add(slot, signal)),
            None => {
                tracing::error!(connection = %sink, "a receipt's signals have no source: connect it, and replay");
            }
        }
    }
    if let Ending::Dead(_) | Ending::Uncertain(_) = ending {
        let document = delivery.event.interaction().and_then(Interaction::about);
        let own = document.filter(|document| document.connection == *sink);
        if let Some((document, slot)) = own.zip(registry.source(sink)) {
            add(slot, &Signal::entity(document.entity.clone()));
        }
    }
    let teller = registry.source(&delivery.event.connection).filter(|slot| slot.source.info().outcomes);
    if let Some(slot) = teller.filter(|_| !delivery.event.is_outcome()) {
        match fate(sink, delivery, ending) {
            Ok(signal) => add(slot, &signal),
            Err(error) => {
                tracing::error!(%error, seq = delivery.seq.0, "what became of a delivery is not told");
            }
        }
    }
    wake
}

/// What the source of the event hears.
fn fate(sink: &ConnectionId, delivery: &Delivery, ending: &Ending<'_>) -> Result<Signal> {
    let (state, hint, reference, error) = match ending {
        Ending::Done(receipt) => (Ended::Done, "delivery.done", Some(Arc::clone(&receipt.reference)), None),
        Ending::Parked(why) => (Ended::Parked, "delivery.parked", None, Some(Arc::from(*why))),
        Ending::Dead(why) => (Ended::Dead, "delivery.dead", None, Some(Arc::from(*why))),
        Ending::Uncertain(why) => (Ended::Uncertain, "delivery.dead", None, Some(Arc::from(*why))),
    };
    let result = match ending {
        Ending::Done(receipt) => receipt.result.clone(),
        Ending::Parked(_) | Ending::Dead(_) | Ending::Uncertain(_) => None,
    };
    let fate = Fate {
        n: delivery.event.n,
        sink: sink.clone(),
        destination: delivery.destination.clone(),
        route: Arc::clone(&delivery.route),
        state,
        reference,
        result,
        error,
    };
    let payload = serde_json::to_vec(&fate).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "an outcome cannot be written as JSON").with_source(source)
    })?;
    Ok(Signal {
        hint: Some(hint.into()),
        payload: Some(payload.into()),
        ..Signal::entity(delivery.event.entity.clone())
    })
}
