//! The file of an encrypted log, byte by byte.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ml_connector_core::{
    AuditLog, TokenStore,
    audit::RewriteLog,
    conformance,
    encryption::{EncryptLog, EncryptTokens},
};
use ml_connector_sql::{SqliteLog, SqliteTokenStore};
use tempfile::TempDir;

use crate::encryption::{self, found_in, ring, what_was_clear_is_encrypted_as_a_whole, write};

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
    let tokens = plain.token_store();
    what_was_clear_is_encrypted_as_a_whole(plain, tokens).await;
    assert_eq!(
        found_in(directory.path()),
        [""; 0],
        "what was there in clear is gone from the free pages, too"
    );
    SqliteLog::open(&path).unwrap().encrypted(ring("a")).await.unwrap();
}

/// A file of its own, which goes with the folder.
fn file() -> (TempDir, SqliteLog, SqliteTokenStore) {
    let directory = TempDir::new().unwrap();
    let log = SqliteLog::open(directory.path().join("log.db")).unwrap();
    let tokens = log.token_store();
    (directory, log, tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_nothing() {
    let (_directory, log, tokens) = file();
    encryption::a_rotation_under_load_loses_nothing(log, tokens).await;
}

#[tokio::test]
async fn a_revoked_key_is_named() {
    let (_directory, log, tokens) = file();
    encryption::a_revoked_key_is_named(log, tokens).await;
}

#[tokio::test]
async fn what_was_moved_or_changed_is_refused() {
    let (_directory, log, tokens) = file();
    encryption::what_was_moved_or_changed_is_refused(log, tokens).await;
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
