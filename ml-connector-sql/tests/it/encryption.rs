//! What encryption promises, on a store that keeps what it is given: for every store alike.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use ml_connector_core::{
    AuditLog, Error, ErrorKind, TokenStore,
    audit::{
        Appended, Committed, DocKey, DocumentRewrite, DocumentWrite, Entry, EntryKind, EntryRewrite,
        Expected, Index, NewEntry, Outcome, Query, RewriteLog, Settlement, StoredEntry, Transaction,
        amount_key,
    },
    encryption::{EncryptLog, EncryptTokens, Key, KeyRing},
    model::{ConnectionId, DedupeKey, EntityRef, Money, Partition, Seq},
    token::TokenKey,
};

use crate::NOON;

/// Stands in everything that is written, with a letter more in each.
const PLANTED: &str = "Zq7PlantedSecret";

pub(crate) fn ring(id: &str) -> KeyRing {
    KeyRing::new(key_of(id))
}

fn key_bytes(id: &str) -> Vec<u8> {
    id.bytes().cycle().zip(0..).take(32).map(|(byte, n): (u8, u8)| byte ^ n).collect()
}

fn planted(what: &str) -> Arc<str> {
    format!("{PLANTED}-{what}").into()
}

/// Writes one of everything that can hold somebody's business.
pub(crate) async fn write(log: &dyn AuditLog, tokens: &dyn TokenStore) {
    let index = Index {
        entity: Some(EntityRef::new("invoice", planted("entity"))),
        number: Some(planted("number")),
        name: Some("invoice.paid".into()),
        amount: Some(Money::parse("47110815.5", "EUR").unwrap()),
        destination: Some(planted("destination")),
    };
    let entry = |lane| NewEntry {
        lane,
        body: Some(planted("body").to_string().into()),
        trace: Some(planted("trace").to_string().into()),
        dead: Some(planted("dead")).filter(|_| lane.is_none()),
        dedupe: Some(DedupeKey::from(format!("{PLANTED}-{lane:?}"))),
        index: index.clone(),
        ..NewEntry::new(Partition::new(0), EntryKind::Signal, "books".into(), NOON)
    };
    let key = DocKey::new("snapshot", &"books".into(), &planted("document"));
    let value = Some(planted("value").to_string().into());
    let documents = vec![DocumentWrite { key, expected: Expected::Any, value }];
    let append = vec![entry(Some(1)), entry(None)];
    let appended = apply(log, Transaction { documents, append, ..Transaction::default() }).await;
    let (note, error) = (Some(planted("note").to_string().into()), planted("error"));
    let retry = Outcome::Retry { attempt: 1, due: NOON, error, uncertain: false, note };
    let done = Outcome::Done { receipt: Some(planted("receipt")) };
    let settle = |nth: usize, outcome| Settlement {
        trace: Some(planted("way").to_string().into()),
        ..Settlement::new(appended[nth], outcome)
    };
    let acknowledged = Outcome::Acknowledged { by: planted("by"), why: planted("why") };
    let settle = vec![settle(0, retry), settle(0, done), settle(1, acknowledged)];
    apply(log, Transaction { settle, ..Transaction::default() }).await;
    let key = TokenKey::new(&ConnectionId::from("books"));
    tokens.swap(&key, None, Some(planted("token").to_string().into())).await.unwrap();
}

/// What of the planted stands in the files of a folder and of all in it.
pub(crate) fn found_in(folder: &Path) -> Vec<String> {
    let amount = amount_key("47110815.5".parse().unwrap());
    let mut found = Vec::new();
    for path in files(folder) {
        // What goes away while it is read holds nothing any more.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (at, _) in
            bytes.windows(PLANTED.len()).enumerate().filter(|(_, part)| part == &PLANTED.as_bytes())
        {
            let text = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 28)]).into_owned();
            found.push(format!("{name}: {text}"));
        }
        if bytes.windows(amount.len()).any(|part| part == amount) {
            found.push(format!("{name}: the amount"));
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

async fn apply(log: &dyn AuditLog, transaction: Transaction) -> Vec<Seq> {
    match log.commit(vec![transaction], NOON).await.unwrap().remove(0) {
        Committed::Applied(appended) => appended.into_iter().map(Appended::seq).collect(),
        refused => panic!("{refused:?}"),
    }
}

fn bodies() -> Query {
    Query::default().with_bodies().with_limit(10_000)
}

fn token() -> TokenKey {
    TokenKey::new(&ConnectionId::from("books"))
}

/// While hosts write, a key takes another's place and everything is encrypted with it.
pub(crate) async fn a_rotation_under_load_loses_nothing(
    store: impl RewriteLog + Clone,
    tokens: impl TokenStore + Clone,
) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 40;
    let shared = ring("old");
    let log = store.clone().encrypted(shared.clone()).await.unwrap();
    let sealed = tokens.clone().encrypted(shared.clone());
    write(&log, &sealed).await;
    let key = |writer: u64| DocKey::new("snapshot", &"books".into(), &format!("{PLANTED}-{writer}"));
    let writing = join_all((0..WRITERS).map(async |writer| {
        for nth in 0..EACH {
            let entry = NewEntry {
                lane: Some(writer),
                body: Some(format!("{PLANTED}-{writer}-{nth}").into()),
                dedupe: Some(DedupeKey::from(format!("{PLANTED}-{writer}-{nth}"))),
                ..NewEntry::new(Partition::new(0), EntryKind::Signal, "books".into(), NOON)
            };
            let value = Some(Bytes::from(format!("{PLANTED}-{nth}")));
            let documents = vec![DocumentWrite { key: key(writer), expected: Expected::Any, value }];
            let appended =
                apply(&log, Transaction { documents, append: vec![entry], ..Transaction::default() }).await;
            let done = Outcome::Done { receipt: Some(planted("receipt")) };
            let settle = vec![Settlement::new(appended[0], done)];
            apply(&log, Transaction { settle, ..Transaction::default() }).await;
        }
    }));
    let rotating = async {
        tokio::task::yield_now().await;
        shared.replace(&ring("new").with_old(key_of("old")));
        while !log.reencrypt(7).await.unwrap().is_done {}
        assert!(sealed.reencrypt(&token()).await.unwrap());
    };
    join(writing, rotating).await;
    // What was written between the new key and the end of the work has the new one in any case.
    while !log.reencrypt(500).await.unwrap().is_done {}

    let ring = ring("new").with_revoked("old");
    let log = store.encrypted(ring.clone()).await.expect("the old key is not needed any more");
    let found = log.query(&bodies()).await.unwrap();
    assert_eq!(found.len() as u64, 2 + WRITERS * EACH);
    for (writer, nth) in (0..WRITERS).flat_map(|writer| (0..EACH).map(move |nth| (writer, nth))) {
        let body = Bytes::from(format!("{PLANTED}-{writer}-{nth}"));
        assert_eq!(found.iter().filter(|entry| entry.body.as_ref() == Some(&body)).count(), 1);
    }
    let told = Query::default().with_receipt(planted("receipt"));
    assert_eq!(log.count(&told, 10_000).await.unwrap() as u64, 1 + WRITERS * EACH);
    for document in log.documents(&(0..WRITERS).map(key).collect::<Vec<_>>()).await.unwrap() {
        assert_eq!(document.unwrap().bytes, format!("{PLANTED}-{}", EACH - 1));
    }
    assert!(tokens.encrypted(ring).load(&token()).await.unwrap().is_some());
}

pub(crate) fn key_of(id: &str) -> Key {
    Key::new(id, &key_bytes(id)).unwrap()
}

/// A key that is revoked opens nothing, and whoever asks is told which it is.
pub(crate) async fn a_revoked_key_is_named(store: impl RewriteLog + Clone, tokens: impl TokenStore + Clone) {
    let shared = ring("a");
    let log = store.clone().encrypted(shared.clone()).await.unwrap();
    let sealed = tokens.encrypted(shared.clone());
    write(&log, &sealed).await;
    shared.replace(&ring("b").with_revoked("a"));
    let refused = [
        store.encrypted(ring("b").with_revoked("a")).await.unwrap_err(),
        log.query(&bodies()).await.unwrap_err(),
        log.reencrypt(10).await.unwrap_err(),
        sealed.load(&token()).await.unwrap_err(),
    ];
    for error in refused {
        let text = error.to_string();
        assert!(text.contains("revoked") && text.contains("key=a"), "{error:?}");
    }
}

/// What somebody writes into the storage who may: of another connection, key or column, cut off, or with a bit that is
/// another.
pub(crate) async fn what_was_moved_or_changed_is_refused(
    store: impl RewriteLog + Clone,
    tokens: impl TokenStore + Clone,
) {
    type Change = fn(&mut Entry, Entry);
    let log = store.clone().encrypted(ring("a")).await.unwrap();
    let sealed = tokens.clone().encrypted(ring("a"));
    write(&log, &sealed).await;
    let of_another = NewEntry {
        lane: Some(1),
        body: Some(planted("other body").to_string().into()),
        index: Index { entity: Some(EntityRef::new("invoice", planted("other"))), ..Index::default() },
        ..NewEntry::new(Partition::new(0), EntryKind::Signal, "other-books".into(), NOON)
    };
    let append = vec![of_another];
    let other = apply(&log, Transaction { append, ..Transaction::default() }).await[0];
    let settle = vec![Settlement::new(other, Outcome::Dead { error: planted("error") })];
    apply(&log, Transaction { settle, ..Transaction::default() }).await;
    let before = log.query(&bodies()).await.unwrap();

    let changes: [(&str, Change); 10] = [
        ("the body of another connection", |entry, other| entry.body = other.body),
        ("the trace as the body", |entry, _| entry.body = entry.trace.clone()),
        ("the body as the trace", |entry, _| entry.trace = entry.body.clone()),
        ("another record", |entry, other| entry.index.entity = other.index.entity),
        ("a number as the destination", |entry, _| entry.index.destination = entry.index.number.clone()),
        ("another kind of record", |entry, _| {
            let entity = entry.index.entity.as_mut().unwrap();
            *entity = EntityRef::new("bill", &*entity.id);
        }),
        ("an empty body", |entry, _| entry.body = Some(Bytes::new())),
        ("a body in clear", |entry, _| entry.body = Some("{}".into())),
        ("the trace of another outcome", |entry, _| {
            entry.outcomes[0].trace = entry.outcomes[1].trace.clone();
        }),
        ("a reason in clear", |entry, _| {
            if let Outcome::Retry { error, .. } = &mut entry.outcomes[0].outcome {
                *error = "gone".into();
            }
        }),
    ];
    for (what, change) in changes {
        tampered(&store, &log, what, change).await;
    }
    let body = raw(&store).await[0].body.clone().unwrap();
    for place in 0..body.len() {
        let with =
            |bytes: Vec<u8>| move |entry: &mut Entry, _: Entry| entry.body = Some(Bytes::from(bytes.clone()));
        let mut flipped = body.to_vec();
        flipped[place] ^= 1 << (place % 8);
        tampered(&store, &log, &format!("bit {} of byte {place}", place % 8), with(flipped)).await;
        // Every third is enough of what is cut off.
        if place % 3 == 0 {
            tampered(&store, &log, &format!("{place} bytes of it"), with(body[..place].to_vec())).await;
        }
    }
    assert_eq!(log.query(&bodies()).await.unwrap(), before, "nothing else was touched");
    documents(&store, &log).await;
    blobs(&tokens, &sealed).await;
}

async fn raw(store: &impl RewriteLog) -> Vec<Entry> {
    let stored = store.stored_entries(Seq(0), 100).await.unwrap();
    stored.into_iter().map(|StoredEntry { entry, .. }| entry).collect()
}

/// Changes the first entry, sees that reading it fails, and changes it back.
async fn tampered(
    store: &impl RewriteLog,
    log: &dyn AuditLog,
    what: &str,
    change: impl Fn(&mut Entry, Entry),
) {
    let rewrite = async |entry: Entry| {
        let Entry { seq, index, body, trace, outcomes, .. } = entry;
        store.rewrite(vec![EntryRewrite { seq, index, body, trace, outcomes }], vec![]).await.unwrap();
    };
    let [first, .., last] = &raw(store).await[..] else { panic!("there are several entries") };
    let mut changed = first.clone();
    change(&mut changed, last.clone());
    rewrite(changed).await;
    let read = log.query(&bodies()).await;
    let error = read.err().unwrap_or_else(|| panic!("{what} was taken"));
    refuses_well(what, &error);
    assert!(error.to_string().contains(&format!("seq={}", first.seq)), "{what}: {error}");
    rewrite(first.clone()).await;
}

fn refuses_well(what: &str, error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Unexpected | ErrorKind::ConfigInvalid), "{what}: {error:?}");
    assert!(!format!("{error} {error:?}").contains(PLANTED), "{what}: {error:?}");
}

async fn documents(store: &impl RewriteLog, log: &dyn AuditLog) {
    let key = |name: &str| DocKey::new("snapshot", &"books".into(), name);
    let put =
        |name: &str| DocumentWrite { key: key(name), expected: Expected::Any, value: Some("{}".into()) };
    apply(log, Transaction { documents: vec![put("a"), put("b")], ..Transaction::default() }).await;
    let stored = store.stored_documents(None, 100).await.unwrap();
    let mut stored = stored.into_iter().filter(|stored| stored.key.as_str().starts_with("snapshot"));
    let (first, second) = (stored.next().unwrap(), stored.next().unwrap());
    let own = first.bytes.clone().unwrap();
    let mut flipped = own.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let keys = [key("a"), key("b"), key(&planted("document"))];
    for (what, bytes) in [
        ("another document's value", second.bytes.unwrap()),
        ("a flipped bit", flipped.into()),
        ("a value cut off", own.slice(..own.len() - 1)),
        ("a value in clear", "{}".into()),
    ] {
        let rewrite = |bytes| DocumentRewrite { key: first.key.clone(), version: first.version, bytes };
        store.rewrite(vec![], vec![rewrite(bytes)]).await.unwrap();
        let read =
            join_all(keys.iter().map(async |key| log.documents(std::slice::from_ref(key)).await)).await;
        let refused: Vec<_> = read.iter().filter_map(|found| found.as_ref().err()).collect();
        assert_eq!(refused.len(), 1, "{what}: that document, and no other");
        refuses_well(what, refused[0]);
        store.rewrite(vec![], vec![rewrite(own.clone())]).await.unwrap();
    }
    log.documents(&keys).await.expect("everything is as it was");
}

async fn blobs(store: &dyn TokenStore, sealed: &dyn TokenStore) {
    let other = TokenKey::new(&ConnectionId::from("other-books"));
    let own = store.load(&token()).await.unwrap().unwrap().bytes;
    store.swap(&other, None, Some(own.clone())).await.unwrap();
    refuses_well("another connection's token", &sealed.load(&other).await.unwrap_err());
    let mut flipped = own.to_vec();
    *flipped.last_mut().unwrap() ^= 0x80;
    for (what, bytes) in [
        ("a flipped bit", Bytes::from(flipped)),
        ("a blob cut off", own.slice(..own.len() - 1)),
        ("nothing", Bytes::new()),
        ("a blob in clear", "{}".into()),
    ] {
        let version = store.load(&token()).await.unwrap().map(|stored| stored.version);
        store.swap(&token(), version, Some(bytes)).await.unwrap();
        refuses_well(what, &sealed.load(&token()).await.unwrap_err());
    }
}

/// What was in clear is encrypted as a whole, and says what it said before.
pub(crate) async fn what_was_clear_is_encrypted_as_a_whole(
    store: impl RewriteLog + Clone,
    tokens: impl TokenStore + Clone,
) {
    write(&store, &tokens).await;
    let before = raw(&store).await;
    let refused = store.clone().encrypted(ring("a")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    let log = store.encrypting(ring("a")).await.unwrap();
    while !log.reencrypt(1).await.unwrap().is_done {}
    assert!(tokens.encrypted(ring("a")).accepting_clear().reencrypt(&token()).await.unwrap());
    assert_eq!(log.query(&bodies()).await.unwrap(), before);
}
