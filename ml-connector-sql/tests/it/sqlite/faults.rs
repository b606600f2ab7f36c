//! What happens to files: full, locked, damaged, foreign, newer.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use ml_connector_core::{AuditLog, Effect, Error, ErrorKind, TokenStore, audit::Query, token::TokenKey};
use ml_connector_sql::{SqliteLog, SqliteOptions};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{NOON, PAYLOAD, append, seqs, try_append};

fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    (directory, path)
}

fn check(error: &Error, kind: ErrorKind, advice: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(advice), "{error} says {advice:?}");
    assert!(!format!("{error} {error:?}").contains(PAYLOAD), "an error quotes no payload");
}

fn check_open(path: &Path, advice: &str) {
    check(&SqliteLog::open(path).unwrap_err(), ErrorKind::ConfigInvalid, advice);
}

fn overwrite(path: &Path, from: u64) {
    let mut file = File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length > from, "there is something to overwrite");
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length - from).unwrap()]).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_directory, path) = place();
    drop(SqliteLog::open(&path).unwrap());
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    check_open(&path, "newer version of ml-connector-sql: update this program (schema_version=99");
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn an_older_schema_is_refused_and_left_alone() {
    let (_directory, path) = place();
    drop(SqliteLog::open(&path).unwrap());
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    check_open(
        &path,
        "let the program that wrote it finish what waits, then begin with a new file (schema_version=1",
    );
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let (directory, path) = place();
    fs::write(&path, "no database at all, but long enough to have a header".repeat(100)).unwrap();
    check_open(&path, "no SQLite database: give another path");

    let foreign = directory.path().join("foreign.db");
    let raw = Connection::open(&foreign).unwrap();
    raw.execute_batch("CREATE TABLE entry (id); PRAGMA user_version = 1;").unwrap();
    check_open(&foreign, "another application");
    let tables: i64 = raw.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_path_that_cannot_be_opened_is_a_mistake_of_the_host() {
    let (directory, _) = place();
    check_open(&directory.path().join("missing/log.db"), "its directory has to exist");
    check_open(directory.path(), "cannot be opened");
    check_open(Path::new(""), "needs a path");
}

#[tokio::test]
async fn a_damaged_file_is_reported_when_it_is_met() {
    let (directory, path) = place();
    let log = SqliteLog::open(&path).unwrap();
    for _ in 0..20 {
        try_append(&log, 10_000).await.unwrap();
    }
    drop(log);
    let copy = directory.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();

    overwrite(&path, 4096);
    check_open(&path, "damaged: restore it from a backup");

    overwrite(&copy, fs::metadata(&copy).unwrap().len() / 2);
    let log = SqliteLog::open(&copy).unwrap();
    let mut bodies = Query::default();
    bodies.bodies = true;
    let error = log.query(&bodies).await.unwrap_err();
    check(&error, ErrorKind::Unavailable, "damaged: restore it from a backup");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let (_directory, path) = place();
    let options = SqliteOptions::default().with_max_size_bytes(512 * 1024);
    let log = SqliteLog::open_with(&path, &options).unwrap();
    let mut acknowledged = Vec::new();
    let error = loop {
        assert!(acknowledged.len() < 100, "the limit is met before");
        // Several at a time, so that good and bad share a group.
        let answers = join_all([30_000, 10, 30_000].map(|bytes| try_append(&log, bytes))).await;
        let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        acknowledged.extend(good.into_iter().map(Result::unwrap));
        if let Some(Err(error)) = bad.into_iter().next() {
            break error;
        }
    };
    check(&error, ErrorKind::Unavailable, "free space or raise its size limit");
    acknowledged.sort();
    assert_eq!(seqs(&log).await, acknowledged, "what was acknowledged is there, and nothing else");
    drop(log);

    let log = SqliteLog::open(&path).unwrap();
    acknowledged.push(try_append(&log, 30_000).await.unwrap());
    assert_eq!(seqs(&log).await, acknowledged, "with room it goes on");
}

#[tokio::test]
async fn a_locked_file_refuses_writes_and_answers_reads() {
    let (_directory, path) = place();
    let log =
        SqliteLog::open_with(&path, &SqliteOptions::default().with_busy_timeout(Duration::ZERO)).unwrap();
    let first = try_append(&log, 10).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = try_append(&log, 10).await.unwrap_err();
    check(&error, ErrorKind::Unavailable, "locked: end the other program");
    let swap = log.token_store().swap(&TokenKey::new(&"books".into()), None, Some(PAYLOAD.into())).await;
    check(&swap.unwrap_err(), ErrorKind::Unavailable, "locked");
    assert_eq!(seqs(&log).await, [first], "readers do not wait for writers");
    other.execute_batch("ROLLBACK").unwrap();
    let second = try_append(&log, 10).await.unwrap();
    assert_eq!(seqs(&log).await, [first, second], "when the lock is gone it goes on");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (_directory, path) = place();
    let options = SqliteOptions::default().with_queue(8).with_busy_timeout(Duration::from_secs(60));
    let log = SqliteLog::open_with(&path, &options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More than the writer takes at once while it waits for the lock, plus the queue.
    let mut waiting = Vec::new();
    let refused = loop {
        assert!(waiting.len() < 2000, "the queue is bounded");
        let mut commit = log.commit(vec![append(10)], NOON);
        match commit.as_mut().now_or_never() {
            None => waiting.push(commit),
            Some(answer) => break answer.unwrap_err(),
        }
    };
    check(&refused, ErrorKind::Unavailable, "too many writes");
    other.execute_batch("ROLLBACK").unwrap();
    let accepted = waiting.len();
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    assert_eq!(seqs(&log).await.len(), accepted, "what was accepted is written");
}

#[tokio::test]
async fn dropping_the_last_handle_writes_what_is_queued() {
    let (_directory, path) = place();
    let log = SqliteLog::open(&path).unwrap();
    for _ in 0..20 {
        let queued = log.commit(vec![append(10)], NOON).now_or_never();
        assert!(queued.is_none_or(|answer| answer.is_ok()));
    }
    let tokens = log.token_store();
    drop(log);
    drop(tokens);
    assert!(!path.with_extension("db-wal").exists(), "the write-ahead log is merged and gone");
    assert_eq!(seqs(&SqliteLog::open(&path).unwrap()).await.len(), 20);
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_before_they_are_closed() {
    let (directory, path) = place();
    let log = SqliteLog::open(&path).unwrap();
    let first = try_append(&log, 10).await.unwrap();
    let second = try_append(&log, 10).await.unwrap();
    // What a process that is killed here would leave behind.
    let left = directory.path().join("left.db");
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        fs::copy(name(&path), name(&left)).unwrap();
    }
    assert_eq!(seqs(&SqliteLog::open(&left).unwrap()).await, [first, second]);
}

/// What is written into a deleted file is lost, so nothing is acknowledged any more, and what is read may be old.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_takes_nothing_more() {
    const ADVICE: &str = "deleted or replaced while it is open";
    for (suffix, replaced) in [("", false), ("", true), ("-wal", false)] {
        let (directory, path) = place();
        let log = SqliteLog::open(&path).unwrap();
        let first = try_append(&log, 10).await.unwrap();
        let (file, away) =
            (PathBuf::from(format!("{}{suffix}", path.display())), directory.path().join("away"));
        fs::rename(&file, &away).unwrap();
        if replaced {
            fs::copy(&away, &file).unwrap();
        }
        let error = try_append(&log, 10).await.unwrap_err();
        check(&error, ErrorKind::Unavailable, ADVICE);
        assert_eq!(error.effect(), Effect::Unknown, "it may be in the file that is gone");
        check(&log.query(&Query::default()).await.unwrap_err(), ErrorKind::Unavailable, ADVICE);
        check(&log.backlog(NOON).await.unwrap_err(), ErrorKind::Unavailable, ADVICE);
        fs::rename(&away, &file).unwrap();
        let second = try_append(&log, 10).await.unwrap();
        let found = seqs(&log).await;
        assert_eq!((found[0], *found.last().unwrap()), (first, second), "once it is back it goes on");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = place();
    let log = SqliteLog::open(&path).unwrap();
    try_append(&log, 10).await.unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["log.db", "log.db-shm", "log.db-wal"]);
}
