//! What a destination was told about a record: a document per destination and record that a route follows, so that
//! what comes later goes on from the first.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Shared,
    deliver::{Attempt, Loaded},
    lanes::{Hold, Item},
    resolve::{Stop, apply, dropped},
    run::Finished,
};
use crate::{
    Effect, Error, ErrorKind, Result, Scope,
    audit::{DocKey, DocumentWrite, Expected, NewEntry, Outcome, Parent, Query, Transaction},
    model::{ConnectionId, Delivery, Follow, Root},
};

/// Reads what was told before into deliveries that follow it.
pub(super) async fn recall(shared: &Shared, sink: &ConnectionId, deliveries: &mut [Delivery]) -> Result<()> {
    let mut following: Vec<&mut Delivery> =
        deliveries.iter_mut().filter(|delivery| delivery.follow.is_some()).collect();
    if following.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = following.iter().map(|delivery| key(sink, delivery)).collect();
    for (delivery, document) in following.iter_mut().zip(shared.log.documents(&keys).await?) {
        delivery.root = document.map(|document| read(&document.bytes)).transpose()?;
    }
    Ok(())
}

/// The writes that keep what has been told now: (delivery, its receipt). Under the condition that nobody else has
/// written meanwhile. A reply leaves what the first message shows as it was.
pub(super) async fn keep(
    shared: &Shared,
    sink: &ConnectionId,
    told: &[(&Delivery, Arc<str>)],
) -> Result<Vec<DocumentWrite>> {
    let mut latest: BTreeMap<DocKey, Root> = BTreeMap::new();
    for (delivery, reference) in told {
        if delivery.root.is_some() && delivery.follow == Some(Follow::Thread) {
            continue;
        }
        let n = delivery.event.n;
        let first = || Root { reference: Arc::clone(reference), n };
        let root = latest.entry(key(sink, delivery)).or_insert_with(first);
        root.n = root.n.max(n);
    }
    if latest.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = latest.keys().cloned().collect();
    let known = shared.log.documents(&keys).await?;
    let mut writes = Vec::with_capacity(keys.len());
    for ((key, now), known) in latest.into_iter().zip(known) {
        let (expected, root) = match known {
            None => (Expected::Absent, now),
            Some(document) => {
                let root = read(&document.bytes)?;
                (Expected::Version(document.version), Root { n: root.n.max(now.n), ..root })
            }
        };
        let value = serde_json::to_vec(&root).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the root of a conversation cannot be written")
                .with_source(source)
        })?;
        writes.push(DocumentWrite { key, expected, value: Some(value.into()) });
    }
    Ok(writes)
}

/// Whether the message that a delivery goes on from is not there any more.
pub(super) fn is_root_gone(delivery: &Delivery, error: &Error) -> bool {
    delivery.follow.and(delivery.root.as_ref()).is_some()
        && error.kind() == ErrorKind::NotFound
        && error.effect() == Effect::None
        && error.scope() == &Scope::Entry
}

impl Attempt<'_> {
    /// Forgets what was told about a record: its message is gone, and this delivery is the first when it comes again.
    pub(super) fn begin_anew(
        &self,
        item: Item,
        delivery: &Delivery,
        error: &Error,
        transaction: &mut Transaction,
    ) -> (Outcome, Item) {
        tracing::warn!(seq = item.seq.0, %error, "what a delivery follows is gone: it begins anew");
        let key = key(&self.batch.connection, delivery);
        transaction.documents.push(DocumentWrite { key, expected: Expected::Any, value: None });
        let next = Item { due: self.shared.clock.now(), attempt: item.attempt + 1, uncertain: false, ..item };
        let outcome = Outcome::Retry {
            attempt: next.attempt,
            due: next.due,
            error: error.to_string().into(),
            uncertain: false,
            note: None,
        };
        (outcome, next)
    }

    /// A first delivery that follows what was told before may have nothing to add, or may have to wait elsewhere: then
    /// the others come again.
    pub(super) async fn go_on(&self, loaded: &Loaded) -> Result<Option<Finished>, Stop> {
        let (Some(head), Some((item, others))) = (loaded.deliveries.first(), loaded.items.split_first())
        else {
            return Ok(None);
        };
        let Some(root) = head.follow.and(head.root.as_ref()) else { return Ok(None) };
        let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
        if head.follow == Some(Follow::Update) && root.n >= head.event.n {
            transaction.settle.push(dropped(item.seq, "superseded: a newer state is shown"));
        } else {
            // It was made before the first was told. In the lane of its message it cannot meet what was made after.
            let lane = self.shared.lane_of(&self.batch.connection, head);
            if lane == self.batch.lane.lane {
                return Ok(None);
            }
            let entry = self.shared.log.query(&Query::entries(vec![item.seq])).await?.pop();
            let Some(entry) = entry.filter(|entry| !entry.state.is_settled()) else { return Ok(None) };
            let now = self.shared.clock.now();
            transaction.append.push(NewEntry {
                lane: Some(lane),
                parent: entry.parent.map_or(Parent::None, Parent::Entry),
                index: entry.index,
                body: entry.body,
                trace: entry.trace,
                ..NewEntry::new(entry.partition, entry.kind, entry.connection, now)
            });
            transaction.settle.push(dropped(item.seq, "goes on in the lane of the message that it updates"));
        }
        apply(self.shared, transaction).await?;
        self.shared.wake.partitions(&[self.batch.lane.partition]);
        // No call was made: that proves nothing about the connection.
        Ok(Some(Finished::again_from(others, Hold::Until(self.shared.clock.now()))))
    }
}

/// The same record at the same destination. No id and no destination holds a line break.
fn key(sink: &ConnectionId, delivery: &Delivery) -> DocKey {
    let Delivery { destination, event, .. } = delivery;
    DocKey::new("root", sink, &format!("{destination}\n{}/{}", event.connection, event.entity))
}

fn read(bytes: &[u8]) -> Result<Root> {
    serde_json::from_slice(bytes).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the root of a conversation cannot be read").with_source(source)
    })
}
