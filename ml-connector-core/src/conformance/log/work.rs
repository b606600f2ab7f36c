//! The work list and the outcomes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    MINUTE, NOON, PARTITION, append, apply, apply_at, connection, done, entry, find, find_seqs, hold, lease,
    page, pending, pending_seqs, read, settle, signal,
};
use crate::{
    AuditLog, Timestamp,
    audit::{
        Entry, EntryKind, EntryState, Lease, NewEntry, Outcome, Pending, PendingRequest, PendingScope, Query,
        Recorded, Settlement, Transaction,
    },
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
        let trace =
            (minutes % 2 == 0).then(|| Bytes::from(vec![0, 0xff, u8::try_from(minutes).unwrap_or(0)]));
        let settlement = Settlement { trace: trace.clone(), ..Settlement::new(seq, outcome.clone()) };
        apply_at(log, Transaction { settle: vec![settlement], ..Transaction::default() }, at).await;
        expected.push(Recorded { at, outcome, trace });
    }
    let found = read(log, seq).await;
    let without = find(log, &Query::default()).await.remove(0);
    assert!(without.outcomes.iter().all(|recorded| recorded.trace.is_none()), "traces come with bodies only");
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

fn by(who: &str) -> (Arc<str>, Arc<str>) {
    (who.into(), "the channel is gone".into())
}

fn acknowledged() -> Outcome {
    let (by, why) = by("jane");
    Outcome::Acknowledged { by, why }
}

fn cancelled() -> Outcome {
    let (by, why) = by("joe");
    Outcome::Cancelled { by, why }
}

fn discarded() -> Outcome {
    let (by, why) = by("ann");
    Outcome::Discarded { by, why }
}

/// Where an entry stands, and how many outcomes it has.
async fn standing(log: &dyn AuditLog, seq: Seq) -> (EntryState, bool, usize) {
    let Entry { state, acknowledged, outcomes, .. } = read(log, seq).await;
    (state, acknowledged, outcomes.len())
}

/// It stays what it is: a parked entry on the list, until it is due again; a dead one for ever.
pub async fn what_is_parked_or_dead_can_be_acknowledged(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal(), entry(EntryKind::Event)])).await;
    let parked = || Outcome::Parked { error: error() };
    apply(log, settle([(seqs[0], parked()), (seqs[1], Outcome::Dead { error: error() })])).await;
    let all = || seqs.iter().map(|seq| (*seq, acknowledged()));
    apply(log, settle(all().chain(all()))).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Parked, true, 2), "once");
    assert_eq!(standing(log, seqs[1]).await, (EntryState::Dead, true, 2), "once");
    assert_eq!(standing(log, seqs[2]).await, (EntryState::Pending, false, 0), "what waits needs nobody");
    assert_eq!(standing(log, seqs[3]).await, (EntryState::Done, false, 0), "what is done needs nobody");
    assert_eq!(pending_seqs(log).await, [seqs[0], seqs[2]], "a parked entry stays on the list");
    let known = Query::default().with_acknowledged(true);
    assert_eq!(find_seqs(log, &known).await, seqs[..2]);
    assert_eq!(find_seqs(log, &known.clone().with_state(EntryState::Dead)).await, seqs[1..2]);

    apply(log, settle([(seqs[0], Outcome::Begun { attempt: 1, note: None }), (seqs[0], parked())])).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Parked, true, 4), "an attempt in vain is no news");
    apply(log, settle([(seqs[0], retry(1, NOON, false))])).await;
    assert_eq!(
        standing(log, seqs[0]).await,
        (EntryState::Pending, false, 5),
        "once it is due it is forgotten"
    );
    apply(log, settle([(seqs[0], parked())])).await;
    assert_eq!(find_seqs(log, &Query::default().with_acknowledged(false)).await, [seqs[0]]);
}

/// Whatever waits, parked or not. An attempt that was under way may still turn out well.
pub async fn what_waits_can_be_cancelled(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal()])).await;
    apply(log, settle([(seqs[0], Outcome::Parked { error: error() })])).await;
    apply(log, settle(seqs[..2].iter().map(|seq| (*seq, cancelled())))).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Cancelled, false, 2));
    assert_eq!(standing(log, seqs[1]).await, (EntryState::Cancelled, false, 1));
    assert_eq!(read(log, seqs[1]).await.outcomes[0].outcome, cancelled(), "who and why is kept");
    assert_eq!(pending_seqs(log).await, [seqs[2]]);
    for late in [cancelled(), discarded(), acknowledged(), retry(1, NOON, false)] {
        apply(log, settle([(seqs[0], late)])).await;
    }
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Cancelled, false, 2), "it stays cancelled");
    let receipt = Outcome::Done { receipt: Some("message/1".into()) };
    apply(log, settle([(seqs[1], receipt), (seqs[1], done())])).await;
    assert_eq!(standing(log, seqs[1]).await, (EntryState::Done, false, 2), "what has happened is not denied");
    assert_eq!(find_seqs(log, &Query::default().with_receipt("message/1")).await, [seqs[1]]);
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Cancelled)).await, [seqs[0]]);
}

/// And nothing else.
pub async fn what_is_dead_can_be_discarded(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal()])).await;
    let dead = || Outcome::Dead { error: error() };
    apply(log, settle([(seqs[0], dead()), (seqs[1], dead()), (seqs[1], acknowledged())])).await;
    apply(log, settle(seqs.iter().map(|seq| (*seq, discarded())))).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Discarded, false, 2));
    assert_eq!(
        standing(log, seqs[1]).await,
        (EntryState::Discarded, false, 3),
        "also when it was acknowledged"
    );
    assert_eq!(standing(log, seqs[2]).await, (EntryState::Pending, false, 0), "what waits is cancelled");
    apply(log, settle([(seqs[0], done()), (seqs[0], discarded())])).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Discarded, false, 2), "it stays discarded");
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Dead)).await, []);
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Discarded)).await, seqs[..2]);
}

/// In the transaction that appends the other. What was not dead stays as it was.
pub async fn a_replayed_entry_is_not_dead_and_names_its_replay(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal()])).await;
    let dead = || Outcome::Dead { error: error() };
    apply(log, settle([(seqs[0], dead()), (seqs[1], dead()), (seqs[1], acknowledged()), (seqs[2], done())]))
        .await;
    let again = |seq| NewEntry { replays: Some(seq), ..signal() };
    let replays =
        apply(log, append([again(seqs[0]), again(seqs[1]), again(seqs[2]), again(Seq(4711))])).await;
    for (seq, replay) in seqs[..2].iter().zip(&replays) {
        let found = read(log, *seq).await;
        assert_eq!((found.state, found.acknowledged), (EntryState::Replayed, false));
        assert_eq!(found.replayed_by(), Some(*replay));
    }
    assert_eq!(standing(log, seqs[2]).await, (EntryState::Done, false, 1), "what was done needs no replay");
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Dead)).await, []);
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Replayed)).await, seqs[..2]);
    apply(log, append([again(seqs[0])])).await;
    assert_eq!(read(log, seqs[0]).await.replayed_by(), Some(replays[0]), "the first replay stands for it");
    apply(log, settle([(replays[0], dead())])).await;
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Dead)).await, [replays[0]]);
}

/// Nobody has worked on it, and somebody has to: it can be replayed like any other.
pub async fn an_entry_can_be_dead_from_the_start(log: &dyn AuditLog) {
    let note = || NewEntry { dead: Some("no connection".into()), ..entry(EntryKind::Note) };
    let seqs = apply(log, append([note(), note(), NewEntry { lane: Some(1), ..note() }])).await;
    assert_eq!(pending_seqs(log).await, seqs[2..], "one with a lane is worked on");
    let found = read(log, seqs[0]).await;
    assert_eq!(found.state, EntryState::Dead);
    let outcome = Outcome::Dead { error: "no connection".into() };
    assert_eq!(found.outcomes, [Recorded { at: NOON, outcome, trace: None }]);
    assert_eq!(find_seqs(log, &Query::default().with_state(EntryState::Dead)).await, seqs[..2]);
    apply(log, settle([(seqs[0], acknowledged())])).await;
    apply(log, append([NewEntry { replays: Some(seqs[1]), ..signal() }])).await;
    assert_eq!(standing(log, seqs[0]).await, (EntryState::Dead, true, 2));
    assert_eq!(standing(log, seqs[1]).await, (EntryState::Replayed, false, 2));
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
        let page = page(log, lease, PendingScope::Partition, after, 2).await.expect("a page is read");
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
        let found = page(log, held, PendingScope::Partition, Seq(0), 10).await.expect("it is held");
        let expected: &[Seq] = match held.partition {
            PARTITION => &seqs[..1],
            partition if partition == last => &seqs[1..],
            _ => &[],
        };
        assert_eq!(found.iter().map(|pending| pending.seq).collect::<Vec<_>>(), expected);
    }
    assert_eq!(read(log, seqs[1]).await.partition, last);
    let unheld = Lease { partition: PARTITION, fence: u64::from(u32::MAX) };
    let refused = page(log, unheld, PendingScope::Partition, Seq(0), 10).await;
    assert_eq!(refused, None, "an unheld partition is not read");
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
    let page = page(log, held, scope, seqs[3], 1).await.expect("a page is read");
    assert_eq!(page[0].seq, seqs[3 + entries.len()], "a lane is read in pages too");
}

/// Each request has its own answer, from its own place: also beside one whose lease is lost, and of several lanes.
pub async fn several_work_lists_are_read_at_once(log: &dyn AuditLog) {
    let delivery = |lane| NewEntry { lane: Some(lane), ..entry(EntryKind::Delivery) };
    let other = Partition::new(Partition::COUNT - 1);
    let elsewhere = || NewEntry { partition: other, ..signal() };
    let entries = [signal(), signal(), delivery(7), delivery(8), delivery(7), elsewhere(), elsewhere()];
    let seqs = apply(log, append(entries)).await;
    let held = hold(log, "one", NOON).await;
    let of = |partition| *held.iter().find(|lease| lease.partition == partition).expect("all are held");
    let (mine, theirs) = (of(PARTITION), of(other));
    let lost = Lease { fence: mine.fence.wrapping_sub(1), ..mine };
    let lane = |lane| PendingScope::Lane(EntryKind::Delivery, lane);
    let whole = PendingScope::Partition;
    let wanted = [
        (theirs, whole, Seq(0)),
        (mine, whole, seqs[0]),
        (lost, whole, Seq(0)),
        (mine, lane(7), Seq(0)),
        (theirs, whole, seqs[5]),
        (mine, PendingScope::Lane(EntryKind::Signal, 1), seqs[0]),
        (of(Partition::new(9)), whole, Seq(0)),
        (mine, lane(8), seqs[3]),
        (lost, lane(7), Seq(0)),
        (mine, lane(7), seqs[2]),
    ];
    let wanted = wanted.map(|(lease, scope, after)| PendingRequest { lease, scope, after });
    let pages = log.pending(&wanted, 2).await.expect("work lists can be read");
    let seqs_of = |page: Option<Vec<Pending>>| page.map(|page| page.iter().map(|it| it.seq).collect());
    let pages: Vec<Option<Vec<Seq>>> = pages.into_iter().map(seqs_of).collect();
    let expected: [Option<&[Seq]>; 10] = [
        Some(&seqs[5..]),
        Some(&seqs[1..3]),
        None,
        Some(&[seqs[2], seqs[4]]),
        Some(&seqs[6..]),
        Some(&seqs[1..2]),
        Some(&[]),
        Some(&[]),
        None,
        Some(&seqs[4..5]),
    ];
    assert_eq!(pages, expected.map(|seqs| seqs.map(<[Seq]>::to_vec)));
    assert_eq!(log.pending(&[], 2).await.expect("nothing is read"), [], "no request has no answer");
}
