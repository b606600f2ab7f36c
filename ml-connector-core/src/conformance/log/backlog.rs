//! How much waits.

use super::{MINUTE, NOON, append, apply, done, entry, settle, signal};
use crate::{
    AuditLog, Timestamp,
    audit::{Backlog, EntryKind, NewEntry, Outcome, Transaction},
    model::{Partition, Seq},
};

async fn backlog(log: &dyn AuditLog, now: Timestamp) -> Vec<Backlog> {
    log.backlog(now).await.expect("the backlog is counted")
}

/// The only row of a log where one connection has one kind of work.
async fn only(log: &dyn AuditLog, now: Timestamp) -> Backlog {
    let mut rows = backlog(log, now).await;
    assert_eq!(rows.len(), 1, "one connection, one kind: {rows:?}");
    rows.remove(0)
}

/// Due, later, parked and acknowledged; [due, later, parked, acknowledged].
fn numbers(row: &Backlog) -> [u64; 4] {
    [row.due, row.later, row.parked, row.acknowledged]
}

/// Whatever an outcome makes of an entry, it is counted as what it is.
pub async fn the_backlog_follows_every_outcome(log: &dyn AuditLog) {
    assert_eq!(backlog(log, NOON).await, [], "nothing waits");
    let seqs = apply(log, append([signal(), signal(), signal(), signal(), entry(EntryKind::Event)])).await;
    assert_eq!(numbers(&only(log, NOON).await), [4, 0, 0, 0], "what has no lane does not wait");
    assert_eq!(numbers(&only(log, NOON - MINUTE).await), [0, 4, 0, 0]);
    let error = || "unavailable".into();
    let retry = |due| Outcome::Retry { attempt: 1, due, error: error(), uncertain: false, note: None };
    let (by, why) = ("jane".into(), "seen".into());
    let steps: [(Seq, Outcome, [u64; 4]); 9] = [
        (seqs[0], Outcome::Begun { attempt: 1, note: None }, [4, 0, 0, 0]),
        (seqs[0], retry(NOON + MINUTE * 5), [3, 1, 0, 0]),
        (seqs[1], Outcome::Parked { error: error() }, [2, 1, 1, 0]),
        (seqs[1], Outcome::Acknowledged { by, why }, [2, 1, 0, 1]),
        (seqs[1], Outcome::Parked { error: error() }, [2, 1, 0, 1]),
        (seqs[1], retry(NOON), [3, 1, 0, 0]),
        (seqs[2], Outcome::Dead { error: error() }, [2, 1, 0, 0]),
        (seqs[2], done(), [2, 1, 0, 0]),
        (seqs[3], Outcome::Cancelled { by: error(), why: error() }, [1, 1, 0, 0]),
    ];
    for (seq, outcome, expected) in steps {
        let what = format!("{outcome:?}");
        apply(log, settle([(seq, outcome)])).await;
        assert_eq!(numbers(&only(log, NOON).await), expected, "after {what}");
    }
    apply(log, settle([(seqs[0], done()), (seqs[1], done())])).await;
    assert_eq!(backlog(log, NOON).await, [], "nothing is left");
}

/// Connections and kinds have rows of their own, over all partitions, also when a transaction is refused.
pub async fn the_backlog_is_told_by_connection_and_kind(log: &dyn AuditLog) {
    let delivery = NewEntry { lane: Some(1), ..entry(EntryKind::Delivery) };
    let elsewhere = NewEntry { partition: Partition::new(7), ..delivery.clone() };
    let other = NewEntry { connection: "another".into(), ..signal() };
    apply(log, append([signal(), other, delivery, elsewhere])).await;
    let refused = Transaction {
        documents: vec![super::write("a", crate::audit::Expected::Version(7), None)],
        ..append([signal()])
    };
    super::commit(log, refused).await;
    let rows: Vec<_> = backlog(log, NOON).await;
    let told: Vec<_> = rows.iter().map(|row| (row.connection.as_str(), row.kind, row.due)).collect();
    let expected = [
        ("another", EntryKind::Signal, 1),
        ("books", EntryKind::Signal, 1),
        ("books", EntryKind::Delivery, 2),
    ];
    assert_eq!(told, expected);
}

/// By the minute in which each fell due.
pub async fn the_backlog_tells_ages(log: &dyn AuditLog) {
    let due = |minutes: u32| NewEntry { due: NOON - MINUTE * minutes, ..signal() };
    let waits = NewEntry { due: NOON + MINUTE, ..signal() };
    apply(log, append([due(0), due(1), due(4), due(20), due(25 * 60), waits])).await;
    let row = only(log, NOON).await;
    assert_eq!((row.due, row.later), (5, 1));
    assert_eq!(row.older_than, [4, 2, 2, 1, 1, 1], "1, 5 and 15 minutes, an hour, 6 hours, a day");
    let oldest = (NOON - MINUTE * 25 * 60).as_secs() / 60 * 60;
    assert_eq!(row.oldest, Some(Timestamp::from_secs(oldest)));
}
