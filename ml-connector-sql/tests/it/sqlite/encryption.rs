//! The file of an encrypted log, byte by byte.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ml_connector_core::{
    AuditLog, ErrorKind, TokenStore,
    audit::{
        DocKey, DocumentWrite, EntryKind, Expected, Index, NewEntry, Outcome, RewriteLog, Settlement,
        Transaction,
    },
    conformance,
    encryption::{EncryptLog, EncryptTokens, Key, KeyRing},
    model::{ConnectionId, DedupeKey, EntityRef, Money, Partition, Seq},
    token::TokenKey,
};
use ml_connector_sql::SqliteLog;
use tempfile::TempDir;

use crate::NOON;

/// Stands in everything that is written, with a letter more in each.
const PLANTED: &str = "Zq7PlantedSecret";

fn ring(id: &str) -> KeyRing {
    let bytes: Vec<u8> = id.bytes().cycle().zip(0..).take(32).map(|(byte, n): (u8, u8)| byte ^ n).collect();
    KeyRing::new(Key::new(id, &bytes).unwrap())
}

fn planted(what: &str) -> Arc<str> {
    format!("{PLANTED}-{what}").into()
}

/// Writes one of everything that can hold somebody's business.
async fn write(log: &dyn AuditLog, tokens: &dyn TokenStore) {
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
    log.commit(vec![Transaction { documents, append, ..Transaction::default() }], NOON).await.unwrap();
    let (note, error) = (Some(planted("note").to_string().into()), planted("error"));
    let retry = Outcome::Retry { attempt: 1, due: NOON, error, uncertain: false, note };
    let done = Outcome::Done { receipt: Some(planted("receipt")) };
    let settle = |seq, outcome| Settlement {
        trace: Some(planted("way").to_string().into()),
        ..Settlement::new(Seq(seq), outcome)
    };
    let acknowledged = Outcome::Acknowledged { by: planted("by"), why: planted("why") };
    let settle = vec![settle(1, retry), settle(1, done), settle(2, acknowledged)];
    log.commit(vec![Transaction { settle, ..Transaction::default() }], NOON).await.unwrap();
    let key = TokenKey::new(&ConnectionId::from("books"));
    tokens.swap(&key, None, Some(planted("token").to_string().into())).await.unwrap();
}

/// What of the planted stands in the files, database and write-ahead log.
fn found_in(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for start in bytes.windows(PLANTED.len()).enumerate().filter(|(_, part)| part == &PLANTED.as_bytes())
        {
            let text = String::from_utf8_lossy(&bytes[start.0..bytes.len().min(start.0 + 28)]).into_owned();
            found.push(format!("{name}: {text}"));
        }
        let amount = ml_connector_core::audit::amount_key("47110815.5".parse().unwrap());
        if bytes.windows(amount.len()).any(|part| part == amount) {
            found.push(format!("{name}: the amount"));
        }
    }
    found
}

#[tokio::test]
async fn no_byte_of_the_files_says_what_is_stored() {
    for encrypted in [false, true] {
        let directory = TempDir::new().unwrap();
        let log = SqliteLog::open(directory.path().join("log.db")).unwrap();
        let tokens = log.token_store();
        if encrypted {
            let log = log.clone().encrypted(ring("a")).await.unwrap();
            write(&log, &tokens.encrypted(ring("a"))).await;
        } else {
            write(&log, &tokens).await;
        }
        // Once in the write-ahead log, and once merged into the file.
        for when in ["open", "closed"] {
            let found = found_in(directory.path());
            assert_eq!(found.is_empty(), encrypted, "{when}: {found:?}");
            if when == "open" {
                drop(SqliteLog::open(directory.path().join("log.db")).unwrap());
            }
        }
        drop(log);
        let found = found_in(directory.path());
        assert_eq!(found.is_empty(), encrypted, "after the file was closed: {found:?}");
    }
}

#[tokio::test]
async fn a_file_that_was_clear_is_encrypted_as_a_whole() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    let plain = SqliteLog::open(&path).unwrap();
    write(&plain, &plain.token_store()).await;
    let before = plain.stored_entries(Seq(0), 9).await.unwrap();
    let refused = plain.clone().encrypted(ring("a")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);

    let log = plain.clone().encrypting(ring("a")).await.unwrap();
    while !log.reencrypt(1).await.unwrap().is_done {}
    let tokens = plain.token_store().encrypted(ring("a")).accepting_clear();
    assert!(tokens.reencrypt(&TokenKey::new(&ConnectionId::from("books"))).await.unwrap());
    let query = ml_connector_core::audit::Query::default().with_bodies();
    let entries: Vec<_> = before.into_iter().map(|stored| stored.entry).collect();
    assert_eq!(log.query(&query).await.unwrap(), entries);
    drop((log, tokens, plain));
    assert_eq!(
        found_in(directory.path()),
        [""; 0],
        "what was there in clear is gone from the free pages, too"
    );
    SqliteLog::open(&path).unwrap().encrypted(ring("a")).await.unwrap();
}

#[tokio::test]
async fn the_encrypted_log_has_every_behavior() {
    let directory = TempDir::new().unwrap();
    let files = AtomicUsize::new(0);
    let open = || {
        let file = files.fetch_add(1, Ordering::SeqCst);
        SqliteLog::open(directory.path().join(format!("{file}.db"))).unwrap()
    };
    conformance::log::all(async || Arc::new(open().encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>)
        .await;
    conformance::tokens::all(async || {
        Arc::new(open().token_store().encrypted(ring("a"))) as Arc<dyn TokenStore>
    })
    .await;
    conformance::log::all_rewriting(async || Arc::new(open()) as Arc<dyn RewriteLog>).await;
}

#[tokio::test]
async fn the_encrypted_log_survives_reopening() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    conformance::log::survives_reopening(async || {
        Arc::new(SqliteLog::open(&path).unwrap().encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}
