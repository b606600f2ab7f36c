//! What a destination was told about a record: a document per destination and record that a route follows, so that
//! what comes later goes on from the first.

use std::{collections::BTreeMap, sync::Arc};

use super::Shared;
use crate::{
    Error, ErrorKind, Result,
    audit::{DocKey, DocumentWrite, Expected},
    model::{ConnectionId, Delivery, Root},
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
/// written meanwhile.
pub(super) async fn keep(
    shared: &Shared,
    sink: &ConnectionId,
    told: &[(&Delivery, Arc<str>)],
) -> Result<Vec<DocumentWrite>> {
    let mut latest: BTreeMap<DocKey, Root> = BTreeMap::new();
    for (delivery, reference) in told {
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

/// The write that forgets what was told about a record: the message is gone, and the next delivery is the first.
pub(super) fn forget(sink: &ConnectionId, delivery: &Delivery) -> DocumentWrite {
    DocumentWrite { key: key(sink, delivery), expected: Expected::Any, value: None }
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
