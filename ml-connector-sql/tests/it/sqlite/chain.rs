//! Tamper evidence in a file.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::FutureExt;
use ml_connector_core::{AuditLog, audit::RewriteLog, conformance, encryption::EncryptLog};
use ml_connector_sql::{SqliteLog, SqliteOptions};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    chain::{self, Store},
    encryption::ring,
    try_append,
};

fn open(path: &PathBuf) -> SqliteLog {
    SqliteLog::open_with(path, &SqliteOptions::default().with_chain()).unwrap()
}

/// A log in a file, and how to change that behind its back.
fn store(path: PathBuf) -> Store<SqliteLog> {
    let (log, changed) = (open(&path), path.clone());
    let run = move |sql: &str| {
        let connection = Connection::open(&changed).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(120)).unwrap();
        connection.execute_batch(&sql.replace('@', "")).unwrap();
        async {}.boxed()
    };
    // Without the option: the file knows.
    let reopen = move || {
        let log = SqliteLog::open(&path).unwrap();
        async { log }.boxed()
    };
    let adds = [
        "INSERT INTO @entry (seq, part, kind, connection, at) VALUES (999, 0, 1, 'books', 5)",
        "INSERT INTO @outcome (seq, nth, at, what) VALUES (2, 1, 5, 4)",
    ];
    Store { log, run: Box::new(run), reopen: Box::new(reopen), adds }
}

/// Files of one folder.
struct Files(TempDir, AtomicUsize);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap(), AtomicUsize::new(0))
    }

    fn next(&self) -> PathBuf {
        self.0.path().join(format!("{}.db", self.1.fetch_add(1, Ordering::SeqCst)))
    }
}

// Proves: chain.
#[tokio::test]
async fn what_is_changed_behind_its_back_is_found() {
    let files = Files::new();
    chain::what_is_changed_behind_its_back_is_found(async || store(files.next())).await;
}

#[tokio::test]
async fn a_kept_head_tells_that_the_end_was_cut_off() {
    chain::a_kept_head_tells_that_the_end_was_cut_off(store(Files::new().next())).await;
}

// Proves: chain.
#[tokio::test]
async fn what_is_pruned_is_no_break() {
    let files = Files::new();
    chain::what_is_pruned_is_no_break(store(files.next())).await;
}

#[tokio::test]
async fn a_rotation_does_not_break_it() {
    let files = Files::new();
    chain::a_rotation_does_not_break_it(async || store(files.next())).await;
}

#[tokio::test]
async fn a_log_that_is_encrypted_later_keeps_its_chain() {
    let files = Files::new();
    chain::a_log_that_is_encrypted_later_keeps_its_chain(store(files.next())).await;
}

#[tokio::test]
async fn it_can_begin_later() {
    let files = Files::new();
    let path = files.next();
    let plain = SqliteLog::open(&path).unwrap();
    for _ in 0..3 {
        try_append(&plain, 20).await.unwrap();
    }
    chain::it_can_begin_later(plain, async || store(path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_under_load() {
    let files = Files::new();
    let path = files.next();
    chain::it_holds_under_load(vec![Arc::new(open(&path)), Arc::new(open(&path))]).await;
}

#[tokio::test]
async fn a_log_with_a_chain_has_every_behavior() {
    let files = Files::new();
    conformance::log::all(async || Arc::new(open(&files.next())) as Arc<dyn AuditLog>).await;
    conformance::log::all_rewriting(async || Arc::new(open(&files.next())) as Arc<dyn RewriteLog>).await;
    let sealed =
        async || Arc::new(open(&files.next()).encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>;
    conformance::log::all(sealed).await;
}
