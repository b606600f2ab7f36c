//! Two programs with one file, as two logs in one process, which have nothing in common but that either. `conformance` has two
//! processes.

use std::{collections::BTreeSet, time::Duration};

use ml_connector_core::{
    AuditLog,
    audit::{Committed, Lease, LeaseRequest, NewEntry, PendingRequest, PendingScope, Transaction},
    model::{Partition, Seq},
};
use ml_connector_sql::SqliteLog;
use tempfile::TempDir;

use crate::{NOON, append, seqs, try_append};

const MINUTE: Duration = Duration::from_secs(60);

fn two() -> (TempDir, SqliteLog, SqliteLog) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    let (one, two) = (SqliteLog::open(&path).unwrap(), SqliteLog::open(&path).unwrap());
    (directory, one, two)
}

async fn hold(log: &SqliteLog, owner: &str, after: Duration) -> Vec<Lease> {
    let now = NOON + after;
    let request = LeaseRequest::Hold { owner: owner.into(), want: 64, until: now + MINUTE, now };
    log.lease(request).await.unwrap()
}

#[tokio::test]
async fn one_of_two_programs_works() {
    let (_directory, one, two) = two();
    let lease = hold(&one, "one", Duration::ZERO).await[0];
    assert_eq!(hold(&two, "two", MINUTE / 2).await, [], "the other gets nothing");
    assert_eq!(hold(&one, "one", MINUTE / 2).await.len(), 64, "and takes nothing away");
    let taken = hold(&two, "two", MINUTE * 2).await;
    assert_eq!(taken.len(), 64, "a lease that is not renewed ends");
    let fenced = Transaction { fence: Some(lease), ..append(10) };
    assert_eq!(one.commit(vec![fenced], NOON).await.unwrap(), [Committed::Fenced]);
    let wanted = PendingRequest { lease, scope: PendingScope::Partition, after: Seq(0) };
    assert_eq!(one.pending(&[wanted], 1).await.unwrap(), [None]);
    two.lease(LeaseRequest::Release { owner: "two".into() }).await.unwrap();
    assert_eq!(hold(&one, "one", MINUTE * 2).await.len(), 64, "a release is seen by the other");
}

#[test]
fn programs_that_open_and_close_a_file_at_the_same_time_wait_for_each_other() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| drop(SqliteLog::open(&path).unwrap())));
        }
    });
}

#[tokio::test]
async fn numbers_are_shared() {
    let (_directory, one, two) = two();
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(try_append(&one, 10).await.unwrap());
        expected.push(try_append(&two, 10).await.unwrap());
    }
    assert_eq!(seqs(&one).await, expected);
    assert_eq!(seqs(&two).await, expected);
    assert!(expected.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn waiting_ends_with_a_commit_of_another_program() {
    let (_directory, one, two) = two();
    let partitions: Vec<Partition> = Partition::all().collect();
    let waiting = one.wait(&partitions, MINUTE * 10);
    try_append(&two, 10).await.unwrap();
    let news = tokio::time::timeout(MINUTE, waiting).await.expect("the other's commit is noticed").unwrap();
    assert_eq!(news, [Partition::new(0)], "and those without news are not named");
}

#[tokio::test]
async fn waiting_names_the_partitions_that_have_news_also_those_of_another_program_meanwhile() {
    let (_directory, one, two) = two();
    let partitions: Vec<Partition> = Partition::all().collect();
    let to = |part| {
        let entry = NewEntry { partition: Partition::new(part), ..append(10).append.remove(0) };
        vec![Transaction { append: vec![entry], ..Transaction::default() }]
    };
    // One appends all the time, and hears of itself at once; what the other appends is heard nevertheless.
    two.commit(to(9), NOON).await.unwrap();
    let mut heard = BTreeSet::new();
    while heard.len() < 2 {
        let (news, committed) = tokio::join!(one.wait(&partitions, MINUTE * 10), one.commit(to(5), NOON));
        committed.unwrap();
        heard.extend(news.unwrap());
    }
    assert_eq!(heard, [5, 9].map(Partition::new).into());
    let asked = [Partition::new(1), Partition::new(2)];
    let (news, _) = tokio::join!(one.wait(&asked, Duration::from_millis(50)), one.commit(to(5), NOON));
    assert_eq!(news.unwrap(), [], "nobody asked about that");
}
