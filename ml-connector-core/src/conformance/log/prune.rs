//! Forgetting what is old and settled.

use super::{
    MINUTE, NOON, append, apply, apply_at, child_of, documents, done, entry, find_seqs, keyed, pending_seqs,
    read, settle, signal, versions, write,
};
use bytes::Bytes;

use crate::{
    AuditLog, Timestamp,
    audit::{
        Appended, DocKey, DocumentWrite, EntryKind, Expected, NewEntry, Outcome, Parent, Query, Transaction,
    },
    model::{ConnectionId, Seq},
};

const LATER: Timestamp = Timestamp::from_secs(NOON.as_secs() + 3600);

/// A signal, its event and a delivery that waits.
fn story() -> Transaction {
    append([
        signal(),
        child_of(Parent::Nth(0), entry(EntryKind::Event)),
        child_of(Parent::Nth(1), NewEntry { lane: Some(2), ..entry(EntryKind::Delivery) }),
    ])
}

async fn settled_story(log: &dyn AuditLog) -> Vec<Seq> {
    let seqs = apply(log, story()).await;
    apply(log, settle([(seqs[0], done()), (seqs[2], done())])).await;
    seqs
}

async fn prune(log: &dyn AuditLog, before: Timestamp, limit: usize) -> usize {
    log.prune(before, limit).await.expect("pruning succeeds")
}

async fn everything(log: &dyn AuditLog) -> Vec<Seq> {
    find_seqs(log, &Query::default()).await
}

/// From the first hint to the last replay, whatever the age of the younger members.
pub async fn a_settled_family_goes(log: &dyn AuditLog) {
    let seqs = settled_story(log).await;
    let replay = child_of(Parent::Entry(seqs[2]), entry(EntryKind::Delivery));
    apply_at(log, append([replay]), LATER).await;
    assert_eq!(prune(log, NOON + MINUTE, 10).await, 4, "all four entries go");
    assert_eq!(everything(log).await, []);
    assert_eq!(find_seqs(log, &Query::family_of(seqs[0])).await, [], "nothing is left of the family");
    assert_eq!(prune(log, NOON + MINUTE, 10).await, 0, "and nothing goes twice");
}

/// One member on the work list keeps its whole family; a family that began at `before` is not older.
pub async fn what_is_unsettled_or_young_stays(log: &dyn AuditLog) {
    let waiting = apply(log, story()).await;
    apply(log, settle([(waiting[0], done())])).await;
    let parked = apply(log, append([signal()])).await[0];
    apply(log, settle([(parked, Outcome::Parked { error: "channel_archived".into() })])).await;
    let young = apply_at(log, append([entry(EntryKind::Note)]), NOON + MINUTE).await[0].seq();
    let kept = [&waiting[..], &[parked, young]].concat();
    assert_eq!(prune(log, NOON + MINUTE, 10).await, 0);
    assert_eq!(everything(log).await, kept);
    assert_eq!(pending_seqs(log).await, [waiting[2], parked]);
    apply(log, settle([(waiting[2], Outcome::Dead { error: "gone".into() }), (parked, done())])).await;
    assert_eq!(prune(log, NOON + MINUTE, 10).await, 4, "once they are settled they go");
    assert_eq!(everything(log).await, [young]);
}

/// Snapshots stay; a dedupe key goes with its entry.
pub async fn documents_and_numbers_outlive_their_entries(log: &dyn AuditLog) {
    apply(log, documents([write("a", Expected::Absent, Some("1"))])).await;
    let first = apply(log, append([keyed("k")])).await[0];
    apply(log, settle([(first, done())])).await;
    let before = versions(log, ["a"]).await;
    assert_eq!(prune(log, LATER, 10).await, 1);
    assert_eq!(versions(log, ["a"]).await, before, "documents are not pruned");
    let again = apply_at(log, append([keyed("k")]), NOON).await;
    assert!(matches!(again[..], [Appended::New(seq)] if seq > first), "{again:?} is new and later");
}

/// Families that have to stay do not use up the limit. One that is larger goes from its end.
pub async fn no_more_entries_go_than_allowed(log: &dyn AuditLog) {
    let kept = apply(log, append([signal(), signal(), signal()])).await;
    let mut settled = Vec::new();
    for _ in 0..3 {
        settled.push(settled_story(log).await);
    }
    assert_eq!(prune(log, LATER, 0).await, 0);
    assert_eq!(prune(log, LATER, 5).await, 5, "a family of three, and two of the next");
    let left = [&kept[..], &settled[1][..1], &settled[2]].concat();
    assert_eq!(everything(log).await, left, "the oldest go first, and what began a family goes last");
    assert_eq!(prune(log, LATER, 2).await, 2);
    assert_eq!(
        everything(log).await,
        [&kept[..], &settled[2][..2]].concat(),
        "what is left goes before others"
    );
    assert_eq!(prune(log, LATER, 3).await, 2);
    assert_eq!(everything(log).await, kept);

    let young = apply_at(log, append([entry(EntryKind::Note)]), LATER).await[0].seq();
    apply_at(log, append([entry(EntryKind::Note)]), NOON).await;
    assert_eq!(prune(log, LATER + MINUTE, 1).await, 1);
    assert_eq!(everything(log).await, [&kept[..], &[young]].concat(), "age is time, not number");
}

/// What follows from an entry that is there belongs to its family, what follows from one that has gone does not.
pub async fn what_is_left_of_a_family_is_a_family(log: &dyn AuditLog) {
    let story = settled_story(log).await;
    assert_eq!(prune(log, LATER, 1).await, 1, "the delivery goes");
    let again = NewEntry { lane: Some(2), ..entry(EntryKind::Delivery) };
    let replays = [story[2], story[1]].map(|seq| child_of(Parent::Entry(seq), again.clone()));
    let [begun, joined] = apply(log, append(replays)).await[..] else { panic!("two entries are appended") };
    assert_eq!(read(log, begun).await.parent, None, "what it followed from has gone");
    assert_eq!(read(log, joined).await.parent, Some(story[1]));
    assert_eq!(find_seqs(log, &Query::family_of(joined)).await, [story[0], story[1], joined]);
    assert_eq!(prune(log, LATER, 10).await, 0, "a family stays with the member that waits");
    apply(log, settle([(joined, done())])).await;
    assert_eq!(prune(log, LATER, 2).await, 2, "once that is settled the rest goes");
    assert_eq!(everything(log).await, [story[0], begun]);
    assert_eq!(prune(log, LATER, 2).await, 1);
    assert_eq!(everything(log).await, [begun]);
}

/// Those of a connection whose name begins in the same way stay, and so do those of other collections.
pub async fn documents_go_by_collection_and_connection(log: &dyn AuditLog) {
    let key = |collection: &str, connection: &str, rest: &str| {
        DocKey::new(collection, &ConnectionId::from(connection), rest)
    };
    let going = ["1", "a/b", "", "%_"].map(|rest| key("seen", "books", rest));
    let staying = [
        key("seen", "books2", "1"),
        key("seen2", "books", "1"),
        key("seen", "book", "s/1"),
        key("other", "books", "1"),
        key("Seen", "books", "1"),
    ];
    let put = |key: &DocKey| DocumentWrite {
        key: key.clone(),
        expected: Expected::Absent,
        value: Some(Bytes::from_static(b"{}")),
    };
    apply(log, documents(going.iter().chain(&staying).map(put))).await;
    let there = async |keys: &[DocKey]| {
        log.documents(keys).await.expect("documents can be read").into_iter().flatten().count()
    };
    let remove = async |limit| {
        log.remove_documents("seen", &"books".into(), limit).await.expect("documents can be removed")
    };
    assert_eq!((remove(3).await, there(&going).await), (3, 1), "no more than asked for");
    assert_eq!((remove(3).await, there(&going).await), (1, 0));
    assert_eq!(remove(3).await, 0, "and nothing goes twice");
    assert_eq!(there(&staying).await, staying.len(), "what is not of both stays");
    apply(log, documents([put(&going[0])])).await;
    assert_eq!(there(&going).await, 1, "a name is free again");
}
