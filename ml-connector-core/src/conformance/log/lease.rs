//! Who works on which partition.

use std::{collections::BTreeSet, time::Duration};

use super::{MINUTE, NOON, append, commit, hold, hold_request, lease, page, pending_seqs, release, signal};
use crate::{
    AuditLog,
    audit::{Committed, Lease, PendingScope, Transaction},
    model::{Partition, Seq},
};

const ALL: usize = Partition::COUNT as usize;

async fn is_held(log: &dyn AuditLog, lease: Lease) -> bool {
    let fenced = Transaction { fence: Some(lease), ..Transaction::default() };
    let by_commit = match commit(log, fenced).await {
        Committed::Applied(_) => true,
        Committed::Fenced => false,
        stale @ Committed::Stale(_) => panic!("no document was written, but the answer was {stale:?}"),
    };
    let by_read = page(log, lease, PendingScope::Partition, Seq(0), 1).await.is_some();
    assert_eq!(by_commit, by_read, "reading and writing agree about {lease:?}");
    by_commit
}

fn partitions(leases: &[Lease]) -> BTreeSet<Partition> {
    let partitions: BTreeSet<_> = leases.iter().map(|lease| lease.partition).collect();
    assert_eq!(partitions.len(), leases.len(), "a partition is granted once");
    partitions
}

/// An owner keeps its fence while it renews, and shares no partition with anybody.
pub async fn a_lease_is_held_until_it_ends(log: &dyn AuditLog) {
    let mine = hold(log, "one", NOON).await;
    assert_eq!(partitions(&mine).len(), ALL, "the only owner gets every partition");
    let theirs = hold(log, "two", NOON + MINUTE / 2).await;
    assert_eq!(theirs, [], "nothing is free while a lease runs");
    // The other asked, so it may get a share now; what stays, stays under its fence.
    let renewed = hold(log, "one", NOON + MINUTE / 2).await;
    assert!(
        !renewed.is_empty() && renewed.iter().all(|lease| mine.contains(lease)),
        "renewing keeps the fence"
    );
    let theirs = hold(log, "two", NOON + MINUTE).await;
    assert!(partitions(&renewed).is_disjoint(&partitions(&theirs)), "a renewed lease goes on");
    for lease in renewed.into_iter().chain(theirs) {
        assert!(is_held(log, lease).await, "{lease:?} was granted");
    }
}

/// A fence that was never given, or not for this partition, opens nothing.
pub async fn an_unheld_lease_is_refused(log: &dyn AuditLog) {
    let lease = lease(log).await;
    assert!(is_held(log, lease).await);
    for fence in [lease.fence + 1, 0, lease.fence.wrapping_sub(1), u64::MAX] {
        assert!(!is_held(log, Lease { fence, ..lease }).await, "fence {fence} is not {}", lease.fence);
    }
    let refused = Transaction { fence: Some(Lease { fence: 0, ..lease }), ..append([signal()]) };
    assert_eq!(commit(log, refused).await, Committed::Fenced);
    assert_eq!(pending_seqs(log).await, [], "nothing of a fenced transaction is applied");
}

/// When a lease has ended another takes over; the former holder finds out at its next step.
pub async fn a_new_holder_has_a_larger_fence(log: &dyn AuditLog) {
    let first = hold(log, "one", NOON).await;
    assert!(is_held(log, first[0]).await);
    let second = hold(log, "two", NOON + MINUTE).await;
    assert_eq!(partitions(&second).len(), ALL, "an ended lease is free");
    let third = hold(log, "one", NOON + MINUTE * 2).await;
    for ((first, second), third) in first.iter().zip(&second).zip(&third) {
        assert!(first.fence < second.fence && second.fence < third.fence, "fences grow for ever");
        assert!(!is_held(log, *first).await, "a former holder is fenced");
        assert!(!is_held(log, *second).await, "a former holder is fenced");
        assert!(is_held(log, *third).await);
    }
}

/// Nobody has to wait for the end of a lease that was given back.
pub async fn a_release_is_effective_at_once(log: &dyn AuditLog) {
    let first = hold(log, "one", NOON).await;
    release(log, "two").await;
    assert!(is_held(log, first[0]).await, "who holds nothing gives nothing back");
    release(log, "one").await;
    assert!(!is_held(log, first[0]).await, "a released lease is not held");
    let second = hold(log, "two", NOON).await;
    assert_eq!(partitions(&second).len(), ALL, "what was given back is free");
    assert!(second[0].fence > first[0].fence, "a new holder has a larger fence");
    release(log, "two").await;
    let again = hold(log, "two", NOON).await;
    assert!(again[0].fence > second[0].fence, "who comes back is a new holder");
}

/// A host whose clock is set back neither loses its leases nor takes those of others.
pub async fn a_lease_does_not_end_when_time_goes_back(log: &dyn AuditLog) {
    let first = hold(log, "one", NOON).await;
    let back = NOON - MINUTE * 10;
    assert_eq!(hold(log, "two", back).await, [], "an earlier clock ends no lease");
    assert!(is_held(log, first[0]).await);
    let renewed = hold(log, "one", back).await;
    assert!(!renewed.is_empty(), "the holder goes on");
    assert!(renewed.iter().all(|lease| first.contains(lease)), "renewing keeps the fence");
}

/// A host whose clock was ahead when it died holds nothing back until that time has come.
pub async fn a_lease_that_goes_on_for_too_long_has_ended(log: &dyn AuditLog) {
    let long = NOON + Lease::LONGEST;
    let first = hold(log, "one", long - MINUTE).await;
    assert_eq!(hold(log, "two", NOON).await, [], "this long a lease may go on");
    assert!(is_held(log, first[0]).await);
    let second = hold(log, "two", NOON - Duration::from_millis(1)).await;
    assert_eq!(partitions(&second).len(), ALL, "the former host does not even count");
    assert!(second[0].fence > first[0].fence && !is_held(log, first[0]).await);
}

/// Also when an owner wants less than before.
pub async fn no_more_is_granted_than_wanted(log: &dyn AuditLog) {
    let mut most = ALL;
    for want in [1000, 3, 1, 0] {
        most = most.min(want);
        let held = log.lease(hold_request("one", want, NOON)).await.expect("the request is answered");
        assert_eq!(partitions(&held).len(), most, "{want} partitions were wanted");
        let kept = partitions(&held);
        for partition in Partition::all().filter(|partition| !kept.contains(partition)) {
            for fence in 0..4 {
                assert!(!is_held(log, Lease { partition, fence }).await, "{partition:?} was given back");
            }
        }
    }
    let other = hold(log, "two", NOON).await;
    assert_eq!(partitions(&other).len(), ALL, "who wants nothing holds nothing back");
}

/// For several hosts: who joins gets its share at the others' next renewal.
pub async fn hosts_share_fairly(log: &dyn AuditLog) {
    let owners = ["one", "two", "three"];
    for count in 1..=owners.len() {
        // The first round gives back, the second takes.
        for owner in owners[..count].iter().chain(&owners[..count]) {
            hold(log, owner, NOON).await;
        }
        let mut seen = BTreeSet::new();
        for owner in &owners[..count] {
            let held = partitions(&hold(log, owner, NOON).await);
            assert!(held.len() <= ALL.div_ceil(count), "{owner} of {count} holds {}", held.len());
            assert!(seen.is_disjoint(&held), "no partition has two holders");
            seen.extend(held);
        }
        assert_eq!(seen.len(), ALL, "every partition has a holder among {count}");
    }
}

/// For several hosts: a host that stops renewing stops counting.
pub async fn a_host_that_is_gone_is_replaced(log: &dyn AuditLog) {
    for owner in ["one", "two", "one", "two"] {
        hold(log, owner, NOON).await;
    }
    let alone = hold(log, "one", NOON + MINUTE).await;
    assert_eq!(partitions(&alone).len(), ALL, "the host that is left takes everything");
}
