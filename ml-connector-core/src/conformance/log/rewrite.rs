//! Behaviors of a [`RewriteLog`]: its stored form changes, and nothing else does.

use super::{
    Arc, Bytes, DedupeKey, DocKey, EntityRef, Expected, Index, MINUTE, NOON, NewEntry, Outcome, Query,
    RewriteLog, Seq, append, apply, apply_at, documents, done, find, key, keyed, named, pending_seqs, read,
    settle, signal, versions, write,
};
use crate::audit::{
    Appended, DocumentRewrite, EntryKind, EntryRewrite, Recorded, Rename, StoredDocument, StoredEntry,
};

const ALL: usize = 100;

async fn stored(log: &dyn RewriteLog) -> Vec<StoredEntry> {
    log.stored_entries(Seq(0), ALL).await.expect("entries can be read")
}

async fn stored_documents(log: &dyn RewriteLog, after: Option<&DocKey>, limit: usize) -> Vec<StoredDocument> {
    log.stored_documents(after, limit).await.expect("documents can be read")
}

async fn rename(log: &dyn RewriteLog, names: Vec<Rename>) {
    log.rename(names).await.expect("what is stored can be renamed");
}

async fn rewrite(log: &dyn RewriteLog, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) {
    log.rewrite(entries, documents).await.expect("what is stored can be rewritten");
}

/// Everything that was written is read, in pages.
pub async fn everything_stored_is_read_in_pages(log: &dyn RewriteLog) {
    let trace = Some(Bytes::from_static(b"trace"));
    let first = NewEntry { body: Some("body".into()), trace: trace.clone(), ..keyed("k") };
    let seqs = apply(log, append([first, signal(), signal()])).await;
    apply(log, settle([(seqs[0], Outcome::Begun { attempt: 1, note: Some("note".into()) })])).await;
    let all = stored(log).await;
    assert_eq!(all.iter().map(|it| it.entry.seq).collect::<Vec<_>>(), seqs);
    assert_eq!(all[0].dedupe, Some(DedupeKey::from("k")));
    assert_eq!(all[0].entry, read(log, seqs[0]).await, "it has its body, its trace and its outcomes");
    assert_eq!((&all[0].entry.trace, &all[1].dedupe), (&trace, &None));
    let page = log.stored_entries(seqs[0], 1).await.expect("entries can be read");
    assert_eq!(page, all[1..2], "a page goes on after an entry");

    apply(log, documents(["b", "a", "c"].map(|name| write(name, Expected::Any, Some(name))))).await;
    apply(log, documents([write("b", Expected::Any, None)])).await;
    let all = stored_documents(log, None, ALL).await;
    let names: Vec<_> = all.iter().map(|document| (document.key.clone(), document.bytes.clone())).collect();
    assert_eq!(names, [(key("a"), Some("a".into())), (key("b"), None), (key("c"), Some("c".into()))]);
    assert_eq!(stored_documents(log, Some(&key("a")), 1).await, all[1..2]);
}

/// A document under another key is the same document, and keeps its version, also when it was deleted.
pub async fn a_renamed_document_is_the_same(log: &dyn RewriteLog) {
    apply(log, documents(["a", "gone", "taken"].map(|name| write(name, Expected::Any, Some("1"))))).await;
    apply(log, documents([write("a", Expected::Any, Some("2")), write("gone", Expected::Any, None)])).await;
    let [before, _] = versions(log, ["a", "gone"]).await;
    let name = |from, to| Rename::Document { from: key(from), to: key(to) };
    rename(log, vec![name("a", "A"), name("gone", "GONE"), name("none", "NONE"), name("A", "taken")]).await;
    assert_eq!(versions(log, ["a", "A", "GONE", "NONE"]).await, [None, before, None, None]);
    apply(log, documents([write("GONE", Expected::Absent, Some("2"))])).await;
    assert!(versions(log, ["GONE"]).await[0] > Some(1), "versions grow across a delete and a rename");
    let found = log.documents(&[key("A"), key("taken")]).await.expect("documents can be read");
    let found: Vec<_> = found.into_iter().flatten().map(|document| document.bytes).collect();
    assert_eq!(found, ["2", "1"], "a name that is taken stays whose it is");
}

/// An entry is found as a duplicate under its other key, and only under that.
pub async fn a_renamed_dedupe_key_stands_for_its_entry(log: &dyn RewriteLog) {
    let seqs = apply(log, append([keyed("a"), keyed("b")])).await;
    let name = |from: &str, to: &str| Rename::Dedupe { from: from.into(), to: to.into() };
    rename(log, vec![name("a", "A"), name("none", "NONE"), name("A", "b")]).await;
    let again = apply_at(log, append([keyed("A"), keyed("b"), keyed("a")]), NOON).await;
    assert_eq!(again[..2], [Appended::Duplicate(seqs[0]), Appended::Duplicate(seqs[1])]);
    assert!(matches!(again[2], Appended::New(_)), "the key so far is nobody's");
}

/// What is rewritten is found under what it says now; the rest of it stays, and so do outcomes that came meanwhile.
pub async fn a_rewritten_entry_says_something_else(log: &dyn RewriteLog) {
    let event =
        NewEntry { body: Some("clear".into()), ..named(EntryKind::Event, "1", "INV-1", "invoice.paid") };
    let hint = NewEntry { lane: Some(1), ..named(EntryKind::Signal, "1", "INV-1", "hint") };
    let seqs = apply(log, append([event, hint, signal()])).await;
    let begun = Outcome::Begun { attempt: 1, note: Some("clear".into()) };
    apply_at(log, settle([(seqs[1], begun)]), NOON + MINUTE).await;
    let before = stored(log).await;
    let receipt = |receipt: &str| Outcome::Done { receipt: Some(Arc::from(receipt)) };
    apply(log, settle([(seqs[1], receipt("clear"))])).await;

    let changed = |position: usize, outcomes: Vec<Recorded>| {
        let index = &before[position].entry.index;
        let entity = index.entity.clone().map(|entity| EntityRef { id: "other".into(), ..entity });
        let index = Index { entity, number: Some("other".into()), ..index.clone() };
        let body = before[position].entry.body.as_ref().map(|_| Bytes::from_static(b"sealed"));
        EntryRewrite { seq: seqs[position], index, body, trace: Some("sealed".into()), outcomes }
    };
    let note = Outcome::Begun { attempt: 1, note: Some("sealed".into()) };
    let outcome = Recorded { at: NOON, outcome: note.clone(), trace: Some("sealed".into()) };
    let gone = EntryRewrite { seq: Seq(4711), ..changed(0, vec![]) };
    rewrite(log, vec![changed(0, vec![]), changed(1, vec![outcome]), gone], vec![]).await;

    let seqs_by =
        async |query: Query| find(log, &query).await.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    let by_entity = |id: &str| Query::default().with_entity(EntityRef::new("invoice", id));
    assert_eq!(seqs_by(by_entity("other")).await, seqs[..2]);
    assert_eq!(seqs_by(by_entity("1")).await, []);
    assert_eq!(seqs_by(by_entity("other").with_kind(EntryKind::Signal)).await, [seqs[1]]);
    assert_eq!(seqs_by(Query::default().with_number("INV-1")).await, []);
    assert_eq!(seqs_by(Query::default().with_number("other")).await, seqs[..2]);
    let [event, hint] = [read(log, seqs[0]).await, read(log, seqs[1]).await];
    assert_eq!((event.body, event.at), (Some("sealed".into()), before[0].entry.at));
    assert_eq!(hint.outcomes.len(), 2, "the outcome that came meanwhile stays");
    assert_eq!((&hint.outcomes[0].outcome, hint.outcomes[0].at), (&note, NOON + MINUTE));
    assert_eq!(hint.outcomes[0].trace, Some("sealed".into()));
    assert_eq!(hint.receipt(), Some("clear"));
    assert_eq!(pending_seqs(log).await, [seqs[2]], "the work list stays as it is");

    let outcomes = hint.outcomes.iter().cloned();
    let outcomes = outcomes.map(|it| match it.outcome {
        Outcome::Done { .. } => Recorded { outcome: receipt("other"), ..it },
        _ => it,
    });
    let again = EntryRewrite { outcomes: outcomes.collect(), ..changed(1, vec![]) };
    rewrite(log, vec![again], vec![]).await;
    assert_eq!(seqs_by(Query::default().with_receipt("other")).await, [seqs[1]]);
    assert_eq!(seqs_by(Query::default().with_receipt("clear")).await, []);
    apply(log, settle([(seqs[2], done())])).await;
    assert_eq!(
        log.prune(NOON + MINUTE * 9, ALL).await.expect("pruning succeeds"),
        3,
        "all of it can be pruned"
    );
}

/// A document is rewritten as long as nobody wrote it, and keeps its version.
pub async fn a_rewritten_document_keeps_its_version(log: &dyn RewriteLog) {
    apply(log, documents(["a", "b", "c"].map(|name| write(name, Expected::Absent, Some("clear"))))).await;
    let [a, b, c] = versions(log, ["a", "b", "c"]).await.map(Option::unwrap_or_default);
    apply(log, documents([write("b", Expected::Any, Some("newer")), write("c", Expected::Any, None)])).await;
    let sealed = |name, version| DocumentRewrite { key: key(name), version, bytes: "sealed".into() };
    rewrite(log, vec![], vec![sealed("a", a), sealed("b", b), sealed("c", c), sealed("none", 1)]).await;
    let keys = ["a", "b", "c", "none"].map(key);
    let found = log.documents(&keys).await.expect("documents can be read");
    let found: Vec<_> = found.into_iter().map(|found| found.map(|document| document.bytes)).collect();
    assert_eq!(found, [Some("sealed".into()), Some("newer".into()), None, None]);
    assert_eq!(versions(log, ["a"]).await, [Some(a)]);
}
