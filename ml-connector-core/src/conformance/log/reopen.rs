//! What outlives the process.

use std::sync::Arc;

use super::{
    MINUTE, NOON, append, apply, apply_at, documents, done, find, hold, keyed, pending_seqs, settle, signal,
    versions, write,
};
use crate::{
    AuditLog,
    audit::{Appended, Expected, NewEntry, Outcome, Query},
};

/// For durable logs: everything that was committed is there when `open` opens the same storage again. It has to
/// be empty the first time.
pub async fn survives_reopening(open: impl AsyncFn() -> Arc<dyn AuditLog>) {
    let log = open().await;
    let seqs = apply(&*log, append([keyed("a"), signal(), signal()])).await;
    let begun = Outcome::Begun { attempt: 1, note: Some("handle".into()) };
    apply(&*log, settle([(seqs[0], done()), (seqs[1], begun)])).await;
    apply(&*log, documents(["a", "b"].map(|name| write(name, Expected::Absent, Some("1"))))).await;
    apply(&*log, documents([write("b", Expected::Any, None)])).await;
    let again = NewEntry { counts_as_repeat: true, ..keyed("a") };
    let troubled = apply(&*log, append([signal(), signal(), again])).await;
    let parked = Outcome::Parked { error: "gone".into() };
    let dead = Outcome::Dead { error: "gone".into() };
    let acknowledged = || Outcome::Acknowledged { by: "jane".into(), why: "seen".into() };
    let outcomes = [(troubled[0], parked), (troubled[1], dead)];
    apply(&*log, settle(outcomes.into_iter().chain(troubled.iter().map(|seq| (*seq, acknowledged()))))).await;
    let backlog = log.backlog(NOON).await.expect("the backlog is counted");
    let fence = hold(&*log, "one", NOON).await[0].fence;
    let entries = find(&*log, &Query::default()).await;
    let pending = pending_seqs(&*log).await;
    let [version, gone] = versions(&*log, ["a", "b"]).await;
    assert!(version.is_some() && gone.is_none(), "one document exists, the other was deleted");
    drop(log);

    let log = open().await;
    assert_eq!(find(&*log, &Query::default()).await, entries, "entries and outcomes are there");
    assert_eq!(pending_seqs(&*log).await, pending, "the work list is there");
    assert_eq!(log.backlog(NOON).await.expect("the backlog is counted"), backlog, "it is counted as before");
    assert_eq!(versions(&*log, ["a", "b"]).await, [version, None], "documents are there");
    apply(&*log, documents([write("b", Expected::Absent, Some("2"))])).await;
    assert!(versions(&*log, ["b"]).await[0] > Some(1), "versions grow across a restart");
    let appended = apply_at(&*log, append([keyed("a"), signal()]), NOON).await;
    assert_eq!(appended[0], Appended::Duplicate(seqs[0]), "dedupe keys are there");
    assert!(appended[1].seq() > seqs[2], "numbers go on");
    assert_eq!(hold(&*log, "one", NOON).await[0].fence, fence, "a holder that comes back in time goes on");
    let next = hold(&*log, "two", NOON + MINUTE).await;
    assert!(next[0].fence > fence, "fences grow across a restart");
    apply(&*log, settle(seqs.iter().chain([&troubled[0], &appended[1].seq()]).map(|seq| (*seq, done()))))
        .await;
    assert_eq!(log.prune(NOON + MINUTE, 10).await.expect("pruning succeeds"), 6, "everything is settled");
    drop(log);

    let log = open().await;
    let next = apply(&*log, append([signal()])).await[0];
    assert!(next > appended[1].seq(), "numbers go on although nothing is left of the others");
}
