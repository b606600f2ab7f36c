//! What a destination was told about a record: a document per destination and record that a route follows, so that
//! what comes later goes on from the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    Result,
    audit::{DocKey, DocumentWrite},
    engine::{
        documents::{self, JsonDocument},
        shared::Shared,
    },
    model::{ConnectionId, Delivery, Follow, Root},
};

impl JsonDocument for Root {
    const NAME: &'static str = "the root of a conversation";
}

/// Reads what was told before into deliveries that follow it.
pub(crate) async fn recall(shared: &Shared, sink: &ConnectionId, deliveries: &mut [Delivery]) -> Result<()> {
    let mut following: Vec<&mut Delivery> =
        deliveries.iter_mut().filter(|delivery| delivery.follow.is_some()).collect();
    if following.is_empty() {
        return Ok(());
    }
    let keys = following.iter().map(|delivery| key(sink, delivery)).collect();
    for (delivery, root) in following.iter_mut().zip(shared.load_all(keys).await?) {
        delivery.root = root.value;
    }
    Ok(())
}

/// What a delivery has told now.
pub(crate) struct ToldNow<'a> {
    pub(crate) delivery: &'a Delivery,
    /// Its receipt.
    pub(crate) reference: Arc<str>,
    /// The message that it goes on from is gone: this one is the first.
    pub(crate) begins_anew: bool,
}

/// The writes that keep what has been told now. Under the condition that nobody else has written meanwhile. A reply
/// leaves what the first message shows as it was.
pub(crate) async fn keep(
    shared: &Shared,
    sink: &ConnectionId,
    told: &[ToldNow<'_>],
) -> Result<Vec<DocumentWrite>> {
    let mut latest: BTreeMap<DocKey, Root> = BTreeMap::new();
    let mut anew = BTreeSet::new();
    for ToldNow { delivery, reference, begins_anew } in told {
        if *begins_anew {
            anew.insert(key(sink, delivery));
        } else if delivery.root.is_some() && delivery.follow == Some(Follow::Thread) {
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
    let known = shared.load_all::<Root>(latest.keys().cloned().collect()).await?;
    let writes = latest.into_iter().zip(known).map(|((key, now), known)| {
        let root = match &known.value {
            None => now,
            Some(root) if anew.contains(&key) => Root { n: root.n.max(now.n), ..now },
            Some(root) => Root { n: root.n.max(now.n), ..root.clone() },
        };
        known.replace(&root)
    });
    let mut writes: Vec<DocumentWrite> = writes.collect::<Result<_>>()?;
    writes.extend(begin_anew(shared, sink).await?);
    Ok(writes)
}

/// What is written with the first that is kept of a sink: hosts that still forget one of its name leave it alone then.
async fn begin_anew(shared: &Shared, sink: &ConnectionId) -> Result<Option<DocumentWrite>> {
    let registry = shared.registry();
    let Some(slot) = registry.sink(sink).filter(|slot| !slot.begun.load(Ordering::Relaxed)) else {
        return Ok(None);
    };
    let write = shared.begin_anew(sink).await?;
    // Otherwise it is asked once more, when that has been written.
    slot.begun.store(write.is_none(), Ordering::Relaxed);
    Ok(write)
}

/// The write that forgets what was told about a record: its message is gone.
pub(crate) fn forget(sink: &ConnectionId, delivery: &Delivery) -> DocumentWrite {
    documents::remove(key(sink, delivery))
}

/// The same record at the same destination. No id and no destination holds a line break.
fn key(sink: &ConnectionId, delivery: &Delivery) -> DocKey {
    let Delivery { destination, event, .. } = delivery;
    DocKey::new("root", sink, &format!("{destination}\n{}/{}", event.connection, event.entity))
}
