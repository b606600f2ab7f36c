use std::sync::Arc;

use ml_connector_core::{AuditLog, TokenStore, conformance, conformance::log::Handles};
use ml_connector_sql::SqliteLog;
use tempfile::TempDir;

use super::remote::Remote;

// Proves: duplicates.
#[tokio::test]
async fn the_log_has_every_behavior() {
    let directory = TempDir::new().unwrap();
    let files = std::sync::atomic::AtomicUsize::new(0);
    conformance::log::all(async || {
        let file = files.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Arc::new(SqliteLog::open(directory.path().join(format!("{file}.db"))).unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_keep_to_the_same_log() {
    let directory = TempDir::new().unwrap();
    let files = std::sync::atomic::AtomicUsize::new(0);
    conformance::log::all_with_two_handles(async || {
        let file = files.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let path = directory.path().join(format!("{file}.db"));
        let (one, two) = (SqliteLog::open(&path).unwrap(), SqliteLog::open(&path).unwrap());
        Handles { one: Arc::new(one), two: Arc::new(two) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_keep_to_the_same_log() {
    let directory = TempDir::new().unwrap();
    let files = std::sync::atomic::AtomicUsize::new(0);
    conformance::log::all_with_two_handles(async || {
        let file = files.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let path = directory.path().join(format!("{file}.db"));
        let one = Arc::new(SqliteLog::open(&path).unwrap());
        Handles { one, two: Arc::new(Remote::open(&path)) }
    })
    .await;
}

#[tokio::test]
async fn the_log_survives_reopening() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    conformance::log::survives_reopening(async || {
        Arc::new(SqliteLog::open(&path).unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}

#[tokio::test]
async fn tokens_have_every_behavior() {
    let directory = TempDir::new().unwrap();
    let files = std::sync::atomic::AtomicUsize::new(0);
    conformance::tokens::all(async || {
        let file = files.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let log = SqliteLog::open(directory.path().join(format!("{file}.db"))).unwrap();
        Arc::new(log.token_store()) as Arc<dyn TokenStore>
    })
    .await;
}

#[tokio::test]
async fn tokens_survive_reopening() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    conformance::tokens::survives_reopening(async || {
        Arc::new(SqliteLog::open(&path).unwrap().token_store()) as Arc<dyn TokenStore>
    })
    .await;
}
