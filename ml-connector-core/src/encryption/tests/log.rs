use std::sync::Arc;

use bytes::Bytes;

use super::{key, ring};
use crate::{
    AuditLog, Error, ErrorKind, Money, Timestamp,
    audit::{
        Appended, Committed, DocKey, DocumentRewrite, DocumentWrite, Entry, EntryKind, EntryRewrite,
        Expected, Index, MemoryLog, NewEntry, Outcome, Query, Recorded, RewriteLog, Settlement, Transaction,
        sealed::CheckedLog,
    },
    conformance,
    encryption::{EncryptLog, EncryptedLog, EncryptionOptions, KeyRing},
    model::{DedupeKey, EntityRef, Partition, Seq},
};

const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);
/// In every value that is somebody's business.
const PLANTED: &str = "Planted";

fn document(name: &str) -> DocKey {
    DocKey::new("snapshot", &"books".into(), &format!("{PLANTED}/{name}"))
}

fn entity(id: &str) -> EntityRef {
    EntityRef::new("invoice", format!("{PLANTED}-{id}"))
}

/// An entry with everything that an entry can have.
fn event(id: &str) -> NewEntry {
    let text = |what: &str| format!("{PLANTED} {what} {id}");
    let index = Index {
        entity: Some(entity(id)),
        number: Some(text("number").into()),
        name: Some("invoice.paid".into()),
        amount: Some(Money::parse("4711.50", "EUR").unwrap()),
        destination: Some(text("channel").into()),
    };
    NewEntry {
        dedupe: Some(DedupeKey::from(text("key"))),
        body: Some(text("body").into()),
        trace: Some(text("trace").into()),
        index,
        ..NewEntry::new(Partition::new(0), EntryKind::Event, "books".into(), NOON)
    }
}

async fn apply(log: &dyn AuditLog, transaction: Transaction) -> Vec<Appended> {
    match log.commit(vec![transaction], NOON).await.unwrap().remove(0) {
        Committed::Applied(appended) => appended,
        refused => panic!("{refused:?}"),
    }
}

async fn append(log: &dyn AuditLog, entries: Vec<NewEntry>) -> Vec<Appended> {
    apply(log, Transaction { append: entries, ..Transaction::default() }).await
}

async fn settle(log: &dyn AuditLog, seq: Seq, outcomes: Vec<Outcome>) {
    let settlement = |outcome| Settlement { seq, outcome, trace: Some(format!("{PLANTED} way").into()) };
    let settle = outcomes.into_iter().map(settlement).collect();
    apply(log, Transaction { settle, ..Transaction::default() }).await;
}

async fn put(log: &dyn AuditLog, name: &str, expected: Expected, value: Option<&str>) -> Committed {
    let value = value.map(|value| Bytes::from(format!("{PLANTED} {value}")));
    let write = DocumentWrite { key: document(name), expected, value };
    let transaction = Transaction { documents: vec![write], ..Transaction::default() };
    log.commit(vec![transaction], NOON).await.unwrap().remove(0)
}

async fn found(log: &dyn AuditLog, name: &str) -> Option<(u64, String)> {
    let document = log.documents(&[document(name)]).await.unwrap().remove(0)?;
    Some((document.version, String::from_utf8(document.bytes.to_vec()).unwrap()))
}

async fn all(log: &dyn AuditLog) -> Vec<Entry> {
    log.query(&Query::default().with_bodies().with_limit(1_000)).await.unwrap()
}

/// A delivery that was tried, failed and came through, and one that is dead; documents, one of them deleted.
async fn history(log: &dyn AuditLog) -> Vec<Seq> {
    let text = |what: &str| Arc::<str>::from(format!("{PLANTED} {what}"));
    let note = Some(Bytes::from(format!("{PLANTED} note")));
    let delivery = |id: &str| NewEntry { lane: Some(1), ..event(id) };
    let dead = NewEntry { dead: Some(text("dead")), ..event("dead") };
    let seqs = append(log, vec![delivery("1"), delivery("2"), event("3"), dead]).await;
    let seqs: Vec<Seq> = seqs.into_iter().map(Appended::seq).collect();
    let retry =
        Outcome::Retry { attempt: 1, due: NOON, error: text("error"), uncertain: true, note: note.clone() };
    let done = Outcome::Done { receipt: Some(text("receipt")) };
    settle(log, seqs[0], vec![Outcome::Begun { attempt: 1, note }, retry, done]).await;
    let acknowledged = Outcome::Acknowledged { by: text("Jane"), why: text("why") };
    settle(log, seqs[1], vec![Outcome::Dead { error: text("error") }, acknowledged]).await;
    for (name, value) in [("a", Some("1")), ("gone", Some("1")), ("gone", None)] {
        assert_eq!(put(log, name, Expected::Any, value).await, Committed::Applied(vec![]));
    }
    seqs
}

/// What the storage holds of what is nobody else's business.
async fn in_clear(log: &dyn RewriteLog) -> Vec<String> {
    let mut bytes = Vec::new();
    for stored in log.stored_entries(Seq(0), 1_000).await.unwrap() {
        let Entry { index, outcomes, body, trace, .. } = stored.entry;
        bytes.extend(body.into_iter().chain(trace));
        // As JSON: `Debug` leaves out what is somebody's business.
        let Index { entity, number, name, amount, destination } = &index;
        let index = (entity, number, name, amount, destination, stored.dedupe.as_ref(), &outcomes);
        bytes.push(serde_json::to_vec(&index).unwrap().into());
        for Recorded { outcome, trace, .. } in outcomes {
            bytes.extend(trace);
            if let Outcome::Begun { note, .. } | Outcome::Retry { note, .. } = outcome {
                bytes.extend(note);
            }
        }
    }
    for stored in log.stored_documents(None, 1_000).await.unwrap() {
        bytes.push(stored.key.to_string().into());
        bytes.extend(stored.bytes);
    }
    let texts = bytes.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    texts.filter(|text| text.contains(PLANTED) || text.contains("4711")).collect()
}

async fn reencrypt(log: &EncryptedLog, limit: usize) -> usize {
    let mut steps = 1;
    while !log.reencrypt(limit).await.unwrap().is_done {
        steps += 1;
    }
    steps
}

async fn refusal(log: &Arc<MemoryLog>, ring: KeyRing) -> Error {
    Arc::clone(log).encrypted(ring).await.unwrap_err()
}

#[tokio::test]
async fn an_encrypted_log_has_every_behavior() {
    let options = EncryptionOptions::default();
    for options in [options, options.with_clear_amounts(), options.taking_clear()] {
        conformance::log::all(async || {
            let inner = MemoryLog::new();
            if options.takes_clear {
                // Only then there is something to take.
                put(&inner, "clear", Expected::Any, Some("1")).await;
            }
            Arc::new(EncryptedLog::open(inner, ring("a"), options).await.unwrap()) as Arc<dyn AuditLog>
        })
        .await;
    }
    conformance::log::all_shared(async || {
        Arc::new(MemoryLog::new().encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}

#[tokio::test]
async fn nothing_is_stored_in_clear_and_everything_comes_back() {
    let (plain, inner) = (MemoryLog::new(), Arc::new(MemoryLog::new()));
    let log = Arc::clone(&inner).encrypted(ring("a")).await.unwrap();
    history(&plain).await;
    assert!(!in_clear(&plain).await.is_empty(), "the check sees what is in clear");
    history(&log).await;
    assert_eq!(in_clear(&*inner).await, [""; 0]);
    assert_eq!(all(&log).await, all(&plain).await);
    assert_eq!(found(&log, "a").await, found(&plain, "a").await);
    let by_error = Query::default().with_error(format!("{PLANTED} error"));
    assert_eq!(log.query(&by_error).await.unwrap(), plain.query(&by_error).await.unwrap());
    assert_eq!(log.count(&by_error, 9).await.unwrap(), 2);
    assert_eq!(log.count(&by_error, 1).await.unwrap(), 1);
}

#[tokio::test]
async fn amounts_and_beginnings_are_searched_by_only_where_they_are_clear() {
    let log = MemoryLog::new().encrypted(ring("a")).await.unwrap();
    let by_amount = Query::default().with_amount_from(1.into());
    for query in [by_amount.clone(), Query::default().with_receipt_prefix("C")] {
        assert_eq!(log.query(&query).await.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(log.count(&query, 1).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let options = EncryptionOptions::default().with_clear_amounts();
    let log = EncryptedLog::open(MemoryLog::new(), ring("a"), options).await.unwrap();
    append(&log, vec![event("1")]).await;
    assert_eq!(log.query(&by_amount).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_log_opens_with_its_own_key_only() {
    let inner = Arc::new(MemoryLog::new());
    append(&Arc::clone(&inner).encrypted(ring("a")).await.unwrap(), vec![event("1")]).await;
    for (ring, what) in [(ring("b"), "not in the key ring"), (ring("b").with_revoked("a"), "revoked")] {
        let refused = refusal(&inner, ring).await;
        assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
        assert!(refused.to_string().contains(what) && refused.to_string().contains("key=a"), "{refused}");
    }
    let another = KeyRing::new(crate::encryption::Key::new("a", key("other").bytes.expose()).unwrap());
    let refused = refusal(&inner, another).await;
    assert!(refused.to_string().contains("key=a"), "{refused}");
    let clear_amounts = EncryptionOptions::default().with_clear_amounts();
    let refused = EncryptedLog::open(Arc::clone(&inner), ring("a"), clear_amounts).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);

    let clear = Arc::new(MemoryLog::new());
    append(&*clear, vec![event("1")]).await;
    let refused = refusal(&clear, ring("a")).await;
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    assert!(refused.to_string().contains("active=a"), "{refused}");
    // What was opened and not finished stays refused.
    drop(Arc::clone(&clear).encrypting(ring("a")).await.unwrap());
    assert_eq!(refusal(&clear, ring("a")).await.kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test]
async fn a_log_is_encrypted_while_it_is_used() {
    let (plain, inner) = (MemoryLog::new(), Arc::new(MemoryLog::new()));
    history(&plain).await;
    let seqs = history(&*inner).await;
    let open = async || Arc::clone(&inner).encrypting(ring("a")).await.unwrap();
    let log = open().await;
    assert_eq!(all(&log).await, all(&plain).await, "what is in clear is readable");
    let again = append(&log, vec![event("3"), event("4")]).await;
    assert_eq!(again[0], Appended::Duplicate(seqs[2]), "a duplicate of what is in clear is one");
    let fourth = again[1].seq();

    let (version, _) = found(&log, "a").await.unwrap();
    assert_eq!(put(&log, "a", Expected::Version(version), Some("2")).await, Committed::Applied(vec![]));
    assert_eq!(put(&log, "a", Expected::Version(version), Some("3")).await, Committed::Stale(document("a")));
    assert!(found(&log, "a").await.unwrap().0 > version);
    assert_eq!(put(&log, "gone", Expected::Absent, Some("2")).await, Committed::Applied(vec![]));
    assert!(found(&log, "gone").await.unwrap().0 > 1, "versions grow across a delete and the change of form");

    let queries = [
        Query::default().with_entity(entity("3")),
        Query::default().with_number(format!("{PLANTED} number 3")),
        Query::default().with_destination(format!("{PLANTED} channel 3")),
    ];
    for log in [log, open().await] {
        for query in &queries {
            let seqs: Vec<Seq> = log.query(query).await.unwrap().iter().map(|entry| entry.seq).collect();
            assert_eq!((seqs, log.count(query, 9).await.unwrap()), (vec![again[0].seq()], 1), "{query:?}");
        }
        let receipt = Query::default().with_receipt(format!("{PLANTED} receipt"));
        assert_eq!(log.query(&receipt).await.unwrap()[0].seq, seqs[0]);
        assert_eq!(log.count(&receipt, 9).await.unwrap(), 1);
        let newest = Query { newest_first: true, limit: 2, ..queries[0].clone() };
        assert_eq!(log.query(&newest).await.unwrap().len(), 1);
        // In between, another process takes over.
        log.reencrypt(1).await.unwrap();
    }
    assert!(!in_clear(&*inner).await.is_empty(), "it has only begun");
    let log = open().await;
    assert!(reencrypt(&log, 2).await > 3, "it goes on in steps");
    assert_eq!(in_clear(&*inner).await, [""; 0]);
    let strict = Arc::clone(&inner).encrypted(ring("a")).await.unwrap();
    let (before, after) = (all(&plain).await, all(&strict).await);
    assert_eq!((&after[..4], after[4].seq), (&before[..], fourth));
    assert_eq!(append(&strict, vec![event("3")]).await, [Appended::Duplicate(seqs[2])]);
    assert!(found(&strict, "a").await.is_some_and(|(_, text)| text.ends_with('2')));
    assert_eq!(log.reencrypt(100).await.unwrap().entries, 5, "once more finds nothing to do");
}

#[tokio::test]
async fn a_rotation_under_load_loses_nothing() {
    const EACH: usize = 60;
    let inner = Arc::new(MemoryLog::new());
    let shared = ring("old");
    let log = Arc::clone(&inner).encrypted(shared.clone()).await.unwrap();
    history(&log).await;
    let write = async |writer: usize| {
        for n in 0..EACH {
            let appended =
                append(&log, vec![NewEntry { lane: Some(1), ..event(&format!("{writer}-{n}")) }]).await;
            tokio::task::yield_now().await;
            let done = Outcome::Done { receipt: Some("C1".into()) };
            settle(&log, appended[0].seq(), vec![Outcome::Begun { attempt: 1, note: None }, done]).await;
            put(&log, &format!("{writer}"), Expected::Any, Some(&n.to_string())).await;
        }
    };
    let rotate = async {
        tokio::task::yield_now().await;
        shared.replace(&ring("new").with_old(key("old")));
        while !log.reencrypt(7).await.unwrap().is_done {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write(0), write(1), write(2), rotate);
    // The old key is gone, and nobody misses it.
    let log = Arc::clone(&inner).encrypted(ring("new").with_revoked("old")).await.unwrap();
    let entries = all(&log).await;
    assert_eq!(entries.len(), 4 + 3 * EACH);
    assert!(
        entries.iter().all(|entry| entry.body.as_ref().is_some_and(|body| body.starts_with(b"Planted body")))
    );
    assert_eq!(log.count(&Query::default().with_receipt("C1"), 1_000).await.unwrap(), 3 * EACH);
    for writer in 0..3 {
        let (_, text) = found(&log, &writer.to_string()).await.unwrap();
        assert_eq!(text, format!("{PLANTED} {}", EACH - 1));
    }
}

/// Changes one entry as somebody could who may write to the storage.
async fn tampered(inner: &MemoryLog, seq: Seq, change: impl FnOnce(&mut Entry)) {
    let mut stored = inner.stored_entries(Seq(seq.0 - 1), 1).await.unwrap().remove(0).entry;
    change(&mut stored);
    let Entry { index, body, trace, outcomes, .. } = stored;
    inner.rewrite(vec![EntryRewrite { seq, index, body, trace, outcomes }], vec![]).await.unwrap();
}

#[tokio::test]
async fn what_was_moved_or_changed_in_the_storage_is_refused() {
    type Change = fn(&mut Entry, Entry);
    let changes: [(&str, Change); 9] = [
        ("the body of another record", |entry, other| entry.body = other.body),
        ("the trace as the body", |entry, _| entry.body = entry.trace.clone()),
        ("another record", |entry, other| entry.index.entity = other.index.entity),
        ("a number as the destination", |entry, _| entry.index.destination = entry.index.number.clone()),
        ("another kind of record", |entry, _| entry.index.entity.as_mut().unwrap().kind = "bill".into()),
        ("another entry's outcomes", |entry, other| entry.outcomes = other.outcomes),
        ("a body cut off", |entry, _| {
            entry.body = entry.body.as_ref().map(|body| body.slice(..body.len() - 1));
        }),
        ("a body in clear", |entry, _| entry.body = Some("{}".into())),
        ("a reason in clear", |entry, _| entry.outcomes[0].outcome = Outcome::Dead { error: "gone".into() }),
    ];
    for (what, change) in changes {
        let inner = Arc::new(MemoryLog::new());
        let log = Arc::clone(&inner).encrypted(ring("a")).await.unwrap();
        let delivery = |id: &str| NewEntry { lane: Some(1), ..event(id) };
        let seqs = append(&log, vec![delivery("1"), delivery("2")]).await;
        for appended in &seqs {
            settle(&log, appended.seq(), vec![Outcome::Dead { error: "gone".into() }]).await;
        }
        assert_eq!(all(&log).await.len(), 2);
        let other = inner.stored_entries(Seq(1), 1).await.unwrap().remove(0).entry;
        tampered(&inner, seqs[0].seq(), |entry| change(entry, other)).await;
        let error = log.query(&Query::default().with_bodies()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{what}: {error}");
        assert!(error.to_string().contains("seq=1"), "{what}: {error}");
        assert!(!format!("{error:?}").contains(PLANTED), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn a_document_of_another_key_or_connection_is_refused() {
    let inner = Arc::new(MemoryLog::new());
    let log = Arc::clone(&inner).encrypted(ring("a")).await.unwrap();
    put(&log, "a", Expected::Any, Some("1")).await;
    put(&log, "b", Expected::Any, Some("1")).await;
    let stored = inner.stored_documents(None, 9).await.unwrap();
    let mut stored = stored.into_iter().filter(|stored| stored.key.as_str().starts_with("snapshot"));
    let (first, second) = (stored.next().unwrap(), stored.next().unwrap());
    let moved = DocumentRewrite { key: first.key, version: 1, bytes: second.bytes.unwrap() };
    inner.rewrite(vec![], vec![moved]).await.unwrap();
    let errors = [log.documents(&[document("a")]).await, log.documents(&[document("b")]).await];
    assert_eq!(errors.iter().filter(|found| found.is_err()).count(), 1, "{errors:?}");
}

#[tokio::test]
async fn whoever_opens_an_encrypted_log_without_its_keys_is_refused() {
    let inner = Arc::new(MemoryLog::new());
    let unchecked = CheckedLog::new(Arc::clone(&inner) as Arc<dyn AuditLog>);
    append(&unchecked, vec![event("1")]).await;
    let open = async || Arc::new(Arc::clone(&inner).encrypting(ring("a")).await.unwrap());
    drop(open().await);
    let plain = CheckedLog::new(Arc::clone(&inner) as Arc<dyn AuditLog>);
    let refused = plain.query(&Query::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    assert!(refused.to_string().contains("key=a"), "{refused}");
    let transaction = Transaction { append: vec![event("2")], ..Transaction::default() };
    assert!(
        plain.commit(vec![transaction], NOON).await.is_err(),
        "nothing in clear gets beside what is encrypted"
    );

    // With its keys it is used, while there is something in clear and afterwards, and stays what it is.
    let log = open().await;
    assert_eq!(all(&CheckedLog::new(log.clone())).await.len(), 1);
    reencrypt(&log, 9).await;
    assert_eq!(all(&CheckedLog::new(log)).await.len(), 1);
    assert!(plain.query(&Query::default()).await.is_err());
}
