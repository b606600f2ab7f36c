//! Who works on which partition.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Timestamp, audit::Lease, model::Partition};

/// The partitions, and the hosts that share them.
#[derive(Debug)]
pub(super) struct Leases {
    /// Hosts and when they count as gone. A host counts before it holds anything.
    hosts: BTreeMap<Arc<str>, Timestamp>,
    slots: Vec<LeaseSlot>,
}

#[derive(Debug, Clone, Default)]
struct LeaseSlot {
    holder: Option<LeaseHolder>,
    fence: u64,
}

#[derive(Debug, Clone)]
struct LeaseHolder {
    owner: Arc<str>,
    until: Timestamp,
}

impl Default for Leases {
    fn default() -> Self {
        Self { hosts: BTreeMap::new(), slots: vec![LeaseSlot::default(); Partition::COUNT.into()] }
    }
}

impl Leases {
    /// Renews what `owner` holds and takes free partitions, up to its share; gives back what is above it.
    pub(super) fn hold(
        &mut self,
        owner: &Arc<str>,
        want: usize,
        until: Timestamp,
        now: Timestamp,
    ) -> Vec<Lease> {
        if want == 0 {
            // A host that works on nothing must not shrink the others' share.
            self.release(owner);
            return Vec::new();
        }
        self.hosts.retain(|_, end| !has_ended(*end, now));
        self.hosts.insert(Arc::clone(owner), until);
        let share = want.min(self.slots.len().div_ceil(self.hosts.len()));
        let mut held = 0;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_held_by(owner)) {
            let keeps = held < share;
            slot.holder = keeps.then(|| LeaseHolder { owner: Arc::clone(owner), until });
            held += usize::from(keeps);
        }
        let free = self.slots.iter_mut().filter(|slot| slot.is_free(now));
        for slot in free.take(share - held) {
            slot.holder = Some(LeaseHolder { owner: Arc::clone(owner), until });
            slot.fence += 1;
        }
        self.held_by(owner)
    }

    /// Gives everything back.
    pub(super) fn release(&mut self, owner: &str) {
        self.hosts.remove(owner);
        for slot in self.slots.iter_mut().filter(|slot| slot.is_held_by(owner)) {
            slot.holder = None;
        }
    }

    /// Whether nobody took the partition since. An expired lease is held until somebody does.
    pub(super) fn holds(&self, lease: Lease) -> bool {
        let slot = &self.slots[usize::from(lease.partition.number())];
        slot.holder.is_some() && slot.fence == lease.fence
    }

    fn held_by(&self, owner: &str) -> Vec<Lease> {
        Partition::all()
            .zip(&self.slots)
            .filter(|(_, slot)| slot.is_held_by(owner))
            .map(|(partition, slot)| Lease { partition, fence: slot.fence })
            .collect()
    }
}

impl LeaseSlot {
    fn is_held_by(&self, owner: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| &*holder.owner == owner)
    }

    fn is_free(&self, now: Timestamp) -> bool {
        self.holder.as_ref().is_none_or(|holder| has_ended(holder.until, now))
    }
}

fn has_ended(until: Timestamp, now: Timestamp) -> bool {
    until <= now || until > now + Lease::LONGEST
}
