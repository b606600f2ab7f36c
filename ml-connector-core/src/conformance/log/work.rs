//! The work list and the outcomes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    MINUTE, NOON, PARTITION, append, apply, apply_at, connection, done, entry, hold, lease, pending,
    pending_seqs, read, settle, signal,
};
use crate::{
    AuditLog, ErrorKind, Timestamp,
    audit::{EntryKind, EntryState, Lease, NewEntry, Outcome, Pending, PendingScope, Recorded},
    model::{Partition, Seq},
};

fn error() -> Arc<str> {
    "unavailable".into()
}

fn retry(attempt: u32, due: Timestamp, uncertain: bool) -> Outcome {
    Outcome::Retry { attempt, due, error: error(), uncertain, note: None }
}

async fn only_pending(log: &dyn AuditLog) -> Pending {
    let mut found = pending(log, PendingScope::Partition).await;
    assert_eq!(found.len(), 1, "one entry is on the work list");
    found.remove(0)
}

/// An entry with a lane is on the list until it is done, dead or dropped.
pub async fn the_work_list_holds_what_is_unsettled(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal(), signal()])).await;
    assert_eq!(pending_seqs(log).await, seqs);
    let outcomes = [done(), Outcome::Dead { error: error() }, Outcome::Dropped { reason: error() }];
    let states = [EntryState::Done, EntryState::Dead, EntryState::Dropped];
    for ((seq, outcome), state) in seqs.iter().zip(outcomes).zip(states) {
        apply(log, settle([(*seq, outcome)])).await;
        assert_eq!(read(log, *seq).await.state, state);
    }
    let left = only_pending(log).await;
    let expected = Pending {
        seq: seqs[3],
        kind: EntryKind::Signal,
        connection: connection(),
        lane: 1,
        due: NOON,
        attempt: 0,
        uncertain: false,
    };
    assert_eq!(left, expected, "an untouched entry is listed as it was appended");

    apply(log, settle([(seqs[3], retry(3, NOON + MINUTE, false))])).await;
    let retried = Pending { due: NOON + MINUTE, attempt: 3, ..expected };
    assert_eq!(only_pending(log).await, retried, "a retry says when, and how many attempts have begun");
}

/// Every outcome is kept with its time and its words, in the order in which they came.
pub async fn outcomes_are_kept_in_order(log: &dyn AuditLog) {
    let seq = apply(log, append([signal()])).await[0];
    let note = Some(Bytes::from_static(b"handle\0"));
    let outcomes = [
        Outcome::Begun { attempt: 1, note: None },
        Outcome::Begun { attempt: 1, note: note.clone() },
        Outcome::Retry {
            attempt: 1,
            due: NOON + MINUTE,
            error: error(),
            uncertain: true,
            note: note.clone(),
        },
        Outcome::Parked { error: error() },
        Outcome::Retry { attempt: u32::MAX, due: NOON, error: "".into(), uncertain: false, note: None },
        Outcome::Done { receipt: Some("message/C1/1.2".into()) },
    ];
    let mut expected = Vec::new();
    for (outcome, minutes) in outcomes.into_iter().zip(1..) {
        let at = NOON + MINUTE * minutes;
        apply_at(log, settle([(seq, outcome.clone())]), at).await;
        expected.push(Recorded { at, outcome });
    }
    let found = read(log, seq).await;
    assert_eq!(found.outcomes, expected);
    assert_eq!(found.state, EntryState::Done);
    assert_eq!(found.receipt(), Some("message/C1/1.2"));
    assert_eq!(found.note(), note.as_ref(), "the latest note counts");

    let together = apply(log, append([signal()])).await[0];
    apply(log, settle([(together, Outcome::Begun { attempt: 1, note: None }), (together, done())])).await;
    assert_eq!(read(log, together).await.outcomes.len(), 2, "two outcomes of one transaction are both kept");
}

/// After a crash in the middle of an attempt the next holder sees that there was one.
pub async fn an_attempt_is_uncertain_until_another_outcome(log: &dyn AuditLog) {
    let seq = apply(log, append([signal()])).await[0];
    apply(log, settle([(seq, Outcome::Begun { attempt: 1, note: None })])).await;
    let begun = only_pending(log).await;
    assert_eq!((begun.attempt, begun.uncertain, begun.due), (1, true, NOON), "it stays due while under way");
    assert_eq!(read(log, seq).await.state, EntryState::Pending);
    apply(log, settle([(seq, retry(1, NOON + MINUTE, true))])).await;
    assert!(only_pending(log).await.uncertain, "a retry may leave it uncertain");
    apply(log, settle([(seq, retry(2, NOON + MINUTE, false))])).await;
    assert!(!only_pending(log).await.uncertain, "a retry may make it certain");
}

/// Parked entries stay on the list, for ever until somebody makes them due again.
pub async fn a_parked_entry_waits_for_somebody(log: &dyn AuditLog) {
    let seq = apply(log, append([signal()])).await[0];
    let begun = Outcome::Begun { attempt: 2, note: None };
    apply(log, settle([(seq, begun), (seq, Outcome::Parked { error: error() })])).await;
    let parked = only_pending(log).await;
    assert!(parked.is_parked(), "a parked entry is never due, but this one is at {}", parked.due);
    assert_eq!((parked.attempt, parked.uncertain), (2, false), "the attempt had no effect, and counts");
    assert_eq!(read(log, seq).await.state, EntryState::Parked);
    apply(log, settle([(seq, retry(2, NOON, true))])).await;
    assert_eq!(only_pending(log).await.due, NOON, "it can be made due again");
    assert_eq!(read(log, seq).await.state, EntryState::Pending);
}

/// An outcome that comes too late changes nothing.
pub async fn a_settled_entry_stays_settled(log: &dyn AuditLog) {
    let seq = apply(log, append([signal()])).await[0];
    apply(log, settle([(seq, Outcome::Dead { error: error() })])).await;
    let before = read(log, seq).await;
    for late in [done(), retry(2, NOON, false), Outcome::Begun { attempt: 2, note: None }] {
        apply(log, settle([(seq, late)])).await;
    }
    apply(log, settle([(Seq(4711), done())])).await;
    assert_eq!(read(log, seq).await, before, "outcomes of a settled entry are ignored");
    assert_eq!(pending_seqs(log).await, [], "a settled entry does not come back");
}

/// Nothing is left to do for it, so nothing can become of it.
pub async fn an_entry_without_lane_is_done(log: &dyn AuditLog) {
    let seq = apply(log, append([entry(EntryKind::Event)])).await[0];
    assert_eq!(pending_seqs(log).await, []);
    apply(log, settle([(seq, Outcome::Dead { error: error() })])).await;
    let found = read(log, seq).await;
    assert_eq!((found.state, found.outcomes), (EntryState::Done, vec![]));
}

/// `after` and `limit` walk through the list without holes or repetitions.
pub async fn pending_is_read_in_pages(log: &dyn AuditLog) {
    let seqs = apply(log, append((0..7).map(|_| signal()))).await;
    apply(log, settle([(seqs[2], done()), (seqs[4], Outcome::Parked { error: error() })])).await;
    let lease = lease(log).await;
    let (mut found, mut after) = (Vec::new(), Seq(0));
    loop {
        let page = log.pending(lease, PendingScope::Partition, after, 2).await.expect("a page is read");
        assert!(page.len() <= 2, "a page is no longer than its limit");
        let Some(last) = page.last() else { break };
        assert!(page[0].seq > after, "a page begins after its cursor");
        after = last.seq;
        found.extend(page.into_iter().map(|pending| pending.seq));
    }
    assert_eq!(found, [seqs[0], seqs[1], seqs[3], seqs[4], seqs[5], seqs[6]]);
}

/// Each partition has a list of its own, and an entry tells where it belongs.
pub async fn pending_keeps_partitions_apart(log: &dyn AuditLog) {
    let last = Partition::new(Partition::COUNT - 1);
    let elsewhere = NewEntry { partition: last, ..signal() };
    let seqs = apply(log, append([signal(), elsewhere])).await;
    for held in hold(log, "one", NOON).await {
        let found = log.pending(held, PendingScope::Partition, Seq(0), 10).await.expect("it is held");
        let expected: &[Seq] = match held.partition {
            PARTITION => &seqs[..1],
            partition if partition == last => &seqs[1..],
            _ => &[],
        };
        assert_eq!(found.iter().map(|pending| pending.seq).collect::<Vec<_>>(), expected);
    }
    assert_eq!(read(log, seqs[1]).await.partition, last);
    let unheld = Lease { partition: PARTITION, fence: u64::from(u32::MAX) };
    let refused = log.pending(unheld, PendingScope::Partition, Seq(0), 10).await;
    assert_eq!(refused.expect_err("an unheld partition is not read").kind(), ErrorKind::Conflict);
}

/// A lane is a number of one kind; any number will do.
pub async fn pending_keeps_lanes_apart(log: &dyn AuditLog) {
    let lanes = [0, 1, u64::MAX, 1 << 63];
    let entries = lanes.iter().flat_map(|lane| {
        [EntryKind::Signal, EntryKind::Delivery].map(|kind| NewEntry { lane: Some(*lane), ..entry(kind) })
    });
    let entries: Vec<NewEntry> = entries.collect();
    let seqs = apply(log, append(entries.iter().chain(&entries).cloned())).await;
    for (position, entry) in entries.iter().enumerate() {
        let lane = entry.lane.expect("every entry here has a lane");
        let found = pending(log, PendingScope::Lane(entry.kind, lane)).await;
        assert!(found.iter().all(|pending| (pending.kind, pending.lane) == (entry.kind, lane)));
        let found: Vec<Seq> = found.iter().map(|pending| pending.seq).collect();
        assert_eq!(found, [seqs[position], seqs[position + entries.len()]], "lane {lane}, {:?}", entry.kind);
    }
    let held = lease(log).await;
    let scope = PendingScope::Lane(EntryKind::Delivery, 1);
    let page = log.pending(held, scope, seqs[3], 1).await.expect("a page is read");
    assert_eq!(page[0].seq, seqs[3 + entries.len()], "a lane is read in pages too");
}
