//! Transactions: preconditions, documents, dedupe keys, parents.

use futures_util::future::join_all;

use super::{
    MINUTE, NOON, append, apply, apply_at, child_of, commit, documents, done, entry, find, find_seqs, key,
    keyed, lease, pending_seqs, read, settle, signal, versions, write,
};
use crate::{
    AuditLog, ErrorKind,
    audit::{
        Appended, Committed, EntryKind, EntryState, Expected, Lease, NewEntry, Parent, Query, Repeats,
        Transaction,
    },
    model::Seq,
};

/// A stale document refuses the whole transaction, and only that one.
pub async fn a_refused_transaction_leaves_nothing_behind(log: &dyn AuditLog) {
    let old = apply(log, append([signal()])).await[0];
    let refused = Transaction {
        documents: vec![write("a", Expected::Absent, Some("1")), write("b", Expected::Version(7), Some("1"))],
        append: vec![signal()],
        ..settle([(old, done())])
    };
    let good = documents([write("c", Expected::Absent, Some("1"))]);
    let committed = log.commit(vec![refused, good], NOON).await.expect("a stale document is no error");

    assert_eq!(committed[0], Committed::Stale(key("b")), "the document that is not as expected is named");
    assert_eq!(committed[1], Committed::Applied(vec![]), "the next transaction is on its own");
    assert_eq!(
        versions(log, ["a", "b"]).await,
        [None, None],
        "no document of a refused transaction is written"
    );
    assert_eq!(
        find_seqs(log, &Query::default()).await,
        [old],
        "no entry of a refused transaction is appended"
    );
    assert_eq!(pending_seqs(log).await, [old], "nothing is settled by a refused transaction");
}

/// All preconditions look at the state before the transaction, the fence first.
pub async fn preconditions_are_checked_before_anything_is_written(log: &dyn AuditLog) {
    let twice = [write("a", Expected::Absent, Some("1")), write("a", Expected::Absent, Some("2"))];
    assert_eq!(commit(log, documents(twice)).await, Committed::Applied(vec![]));
    let found = log.documents(&[key("a")]).await.expect("documents can be read");
    assert_eq!(found[0].as_ref().map(|document| &*document.bytes), Some(&b"2"[..]), "the last write counts");

    let held = lease(log).await;
    let both = Transaction {
        fence: Some(Lease { fence: held.fence + 1, ..held }),
        ..documents([write("a", Expected::Absent, Some("3"))])
    };
    assert_eq!(commit(log, both).await, Committed::Fenced, "the fence is checked before the documents");
}

/// A transaction sees what the one before it in the same call wrote.
pub async fn transactions_of_a_call_are_applied_in_order(log: &dyn AuditLog) {
    let first = documents([write("a", Expected::Absent, Some("1"))]);
    let second = documents([write("a", Expected::Absent, Some("2"))]);
    let third = append([keyed("k")]);
    let committed = log.commit(vec![first, second, third.clone(), third], NOON).await.expect("it commits");
    assert_eq!(committed[0], Committed::Applied(vec![]));
    assert_eq!(committed[1], Committed::Stale(key("a")), "the document exists since the transaction before");
    let [Committed::Applied(new), Committed::Applied(duplicate)] = &committed[2..] else {
        panic!("expected two transactions to be applied, but they were {committed:?}");
    };
    assert_eq!(
        duplicate[0],
        Appended::Duplicate(new[0].seq()),
        "the entry exists since the transaction before"
    );
}

/// `Absent`, `Version` and `Any` hold exactly when they say so.
pub async fn documents_are_compared_and_set(log: &dyn AuditLog) {
    let stale = Committed::Stale(key("a"));
    let applied = Committed::Applied(vec![]);
    assert_eq!(commit(log, documents([write("a", Expected::Version(1), Some("0"))])).await, stale);
    assert_eq!(commit(log, documents([write("a", Expected::Absent, Some(""))])).await, applied);
    let [Some(first)] = versions(log, ["a"]).await else { panic!("an empty document exists") };
    assert_eq!(commit(log, documents([write("a", Expected::Absent, Some("1"))])).await, stale);
    assert_eq!(commit(log, documents([write("a", Expected::Version(first + 1), Some("1"))])).await, stale);
    assert_eq!(commit(log, documents([write("a", Expected::Version(first), Some("1"))])).await, applied);
    assert_eq!(commit(log, documents([write("a", Expected::Any, Some("2"))])).await, applied);
    assert_eq!(commit(log, documents([write("b", Expected::Any, Some("3"))])).await, applied);

    let keys = [key("b"), key("none"), key("a"), key("b")];
    let found = log.documents(&keys).await.expect("documents can be read");
    let bytes: Vec<_> = found.iter().map(|found| found.as_ref().map(|document| &*document.bytes)).collect();
    assert_eq!(bytes, [Some(&b"3"[..]), None, Some(b"2"), Some(b"3")], "one answer per key, in order");
}

/// Of several writers that expect the same version one is applied.
pub async fn a_document_has_one_winner(log: &dyn AuditLog) {
    apply(log, documents([write("a", Expected::Absent, Some("0"))])).await;
    let [Some(version)] = versions(log, ["a"]).await else { panic!("the document exists") };
    let attempt = || commit(log, documents([write("a", Expected::Version(version), Some("1"))]));
    let outcomes = join_all((0..8).map(|_| attempt())).await;
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, Committed::Applied(_))).count();
    assert_eq!(winners, 1, "one of eight concurrent writers wins");
}

/// A version is never seen twice, also when the document was deleted in between.
pub async fn versions_grow_across_a_delete(log: &dyn AuditLog) {
    apply(log, documents([write("a", Expected::Absent, Some("1"))])).await;
    let [Some(first)] = versions(log, ["a"]).await else { panic!("the document exists") };
    apply(log, documents([write("a", Expected::Any, Some("2"))])).await;
    let [Some(second)] = versions(log, ["a"]).await else { panic!("the document exists") };
    assert!(second > first, "a version grows with a write");
    apply(log, documents([write("a", Expected::Version(second), None)])).await;
    assert_eq!(versions(log, ["a"]).await, [None], "a deleted document is gone");
    let resurrect = documents([write("a", Expected::Version(second), Some("3"))]);
    assert_eq!(commit(log, resurrect).await, Committed::Stale(key("a")), "a deleted document has no version");
    apply(log, documents([write("a", Expected::Absent, Some("3"))])).await;
    let [Some(third)] = versions(log, ["a"]).await else { panic!("the document exists again") };
    assert!(third > second, "a version grows across a delete: {third} follows {second}");
}

/// The second entry with a key is not appended, wherever it comes from.
pub async fn a_dedupe_key_is_appended_once(log: &dyn AuditLog) {
    let appended =
        apply_at(log, append([keyed("a"), keyed("a"), keyed("b"), signal(), signal()]), NOON).await;
    assert_eq!(appended[1], Appended::Duplicate(appended[0].seq()), "also within one transaction");
    for (position, what) in [(0, "a new key"), (2, "another key"), (3, "no key"), (4, "no key again")] {
        assert!(matches!(appended[position], Appended::New(_)), "{what} makes a new entry");
    }
    apply(log, settle([(appended[0].seq(), done())])).await;
    let again = apply_at(log, append([keyed("a")]), NOON).await;
    assert_eq!(again, [Appended::Duplicate(appended[0].seq())], "also when the entry is settled");
    assert_eq!(find(log, &Query::default()).await.len(), 4, "duplicates leave no entry");
    assert_eq!(pending_seqs(log).await.len(), 3, "duplicates leave nothing on the work list");
}

/// The rest of the transaction is applied, and children go to the entry that exists.
pub async fn a_duplicate_changes_nothing_and_stands_for_its_entry(log: &dyn AuditLog) {
    let first = apply(log, append([keyed("a")])).await[0];
    let again = Transaction {
        append: vec![keyed("a"), child_of(Parent::Nth(0), entry(EntryKind::Event))],
        ..documents([write("a", Expected::Absent, Some("1"))])
    };
    let appended = apply_at(log, again, NOON).await;
    assert_eq!(appended[0], Appended::Duplicate(first));
    assert_eq!(
        read(log, appended[1].seq()).await.parent,
        Some(first),
        "the child belongs to the existing entry"
    );
    assert!(versions(log, ["a"]).await[0].is_some(), "a duplicate refuses nothing");
}

/// The entry that is there tells how often it came again, and when last; the others tell nothing.
pub async fn a_repeat_leaves_its_trace_where_that_is_asked_for(log: &dyn AuditLog) {
    let counted = || NewEntry { counts_as_repeat: true, ..keyed("a") };
    let seqs = apply(log, append([counted(), keyed("b")])).await;
    assert_eq!(read(log, seqs[0]).await.repeats, None, "the first is no repeat");
    apply_at(log, append([counted(), counted(), keyed("b")]), NOON + MINUTE).await;
    apply_at(log, append([counted(), keyed("a")]), NOON + MINUTE * 2).await;
    let repeats = Some(Repeats { count: 3, last: NOON + MINUTE * 2 });
    assert_eq!(read(log, seqs[0]).await.repeats, repeats);
    assert_eq!(find(log, &Query::default()).await[0].repeats, repeats, "with and without bodies");
    assert_eq!(read(log, seqs[1]).await.repeats, None);
    apply(log, settle([(seqs[0], done())])).await;
    assert_eq!(log.prune(NOON + MINUTE, 10).await.expect("pruning succeeds"), 1);
    let anew = apply(log, append([counted()])).await[0];
    assert_eq!(read(log, anew).await.repeats, None, "what went is not counted any more");
}

/// The key decides, not who looked first.
pub async fn concurrent_duplicates_have_one_winner(log: &dyn AuditLog) {
    let appended = join_all((0..8).map(|_| apply_at(log, append([keyed("a")]), NOON))).await;
    let new = appended.iter().filter(|appended| matches!(appended[0], Appended::New(_))).count();
    assert_eq!(new, 1, "one of eight concurrent entries with the same key is new");
    let seqs: std::collections::BTreeSet<Seq> = appended.iter().map(|appended| appended[0].seq()).collect();
    assert_eq!(seqs.len(), 1, "all are told where the entry is");
}

/// A parent is an entry of the log or an earlier one of the same transaction; anything else is refused.
pub async fn a_parent_comes_earlier(log: &dyn AuditLog) {
    let root = apply(log, append([signal()])).await[0];
    let event = child_of(Parent::Entry(root), entry(EntryKind::Event));
    let delivery = child_of(Parent::Nth(0), entry(EntryKind::Delivery));
    let seqs = apply(log, append([event, delivery])).await;
    assert_eq!(read(log, seqs[0]).await.parent, Some(root));
    assert_eq!(read(log, seqs[1]).await.parent, Some(seqs[0]));
    assert_eq!(read(log, root).await.parent, None);

    for position in [1, 2] {
        let bad = Transaction {
            append: vec![signal(), child_of(Parent::Nth(position), signal())],
            ..documents([write("a", Expected::Absent, Some("1"))])
        };
        let refused = log.commit(vec![append([signal()]), bad], NOON).await;
        let kind = refused.expect_err("a parent that does not come earlier is refused").kind();
        assert_eq!(kind, ErrorKind::InvalidRequest);
    }
    assert_eq!(find(log, &Query::default()).await.len(), 3, "nothing of an invalid call is applied");
    assert_eq!(versions(log, ["a"]).await, [None], "nothing of an invalid call is written");
}

/// What an entry follows from may have been pruned meanwhile.
pub async fn an_unknown_parent_begins_a_family(log: &dyn AuditLog) {
    let seq = apply(log, append([child_of(Parent::Entry(Seq(4711)), entry(EntryKind::Note))])).await[0];
    let found = read(log, seq).await;
    assert_eq!((found.parent, found.state), (None, EntryState::Done));
}
