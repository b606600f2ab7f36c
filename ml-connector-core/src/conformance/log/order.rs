//! Numbers, order, time and waiting.

use std::{pin::pin, time::Duration};

use futures_util::{
    FutureExt,
    future::{join, join_all},
};

use super::{
    MINUTE, NOON, PARTITION, append, apply, apply_at, documents, done, lease, page, pending_seqs, read,
    settle, signal, write,
};
use crate::{
    AuditLog,
    audit::{Expected, PendingScope},
    model::{Partition, Seq},
};

/// Longer than any commit takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Within a transaction, a call, and from call to call.
pub async fn numbers_grow_in_order_of_commit(log: &dyn AuditLog) {
    let mut seqs = apply(log, append([signal(), signal()])).await;
    seqs.extend(apply(log, append([signal(), signal()])).await);
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?} grow");
    assert!(seqs[0] > Seq(0), "a reader begins after 0");
    assert_eq!(pending_seqs(log).await, seqs);
}

/// A cursor that stands behind a pruned entry must not hide the next one.
pub async fn numbers_are_never_given_twice(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal()])).await;
    apply(log, settle(seqs.iter().map(|seq| (*seq, done())))).await;
    let removed = log.prune(NOON + MINUTE, 10).await.expect("pruning succeeds");
    assert_eq!(removed, 2, "both entries were settled");
    let next = apply(log, append([signal()])).await[0];
    assert!(next > seqs[1], "{next} follows {}", seqs[1]);
}

/// A reader that moves its cursor forward sees every entry of its partition once, in order.
pub async fn a_reader_misses_nothing_while_others_commit(log: &dyn AuditLog) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let lease = lease(log).await;
    let write = async || {
        for _ in 0..EACH {
            apply(log, append([signal()])).await;
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        let (mut found, mut idle) = (Vec::new(), 0);
        while found.len() < WRITERS * EACH {
            let after = found.last().copied().unwrap_or_default();
            let page = page(log, lease, PendingScope::Partition, after, 10).await.expect("a page is read");
            idle = if page.is_empty() { idle + 1 } else { 0 };
            assert!(idle < 100_000, "only {} of {} entries appeared", found.len(), WRITERS * EACH);
            found.extend(page.into_iter().map(|pending| pending.seq));
            tokio::task::yield_now().await;
        }
        found
    };
    let (found, _) = join(read, join_all((0..WRITERS).map(|_| write()))).await;
    assert!(found.is_sorted_by(|a, b| a < b), "the cursor only moves forward");
    assert_eq!(found, pending_seqs(log).await, "the cursor passed nothing that appeared later");
}

/// `now` is recorded, and orders nothing.
pub async fn time_may_go_back(log: &dyn AuditLog) {
    let before = NOON - MINUTE;
    let late = apply_at(log, append([signal()]), NOON).await[0].seq();
    let early = apply_at(log, append([signal()]), before).await[0].seq();
    assert!(early > late, "order of commit is not order of time");
    assert_eq!(pending_seqs(log).await, [late, early]);
    assert_eq!((read(log, late).await.at, read(log, early).await.at), (NOON, before));
    apply_at(log, settle([(late, done())]), before).await;
    apply_at(log, documents([write("a", Expected::Absent, Some("1"))]), before).await;
    assert_eq!(read(log, late).await.outcomes[0].at, before);
    assert_eq!(pending_seqs(log).await, [early]);
}

/// A commit of this process after the call is not missed.
pub async fn waiting_ends_with_a_commit(log: &dyn AuditLog) {
    let partitions: Vec<Partition> = Partition::all().collect();
    let mut waiting = pin!(log.wait(&partitions, PATIENCE * 2));
    assert!(waiting.as_mut().now_or_never().is_none(), "nothing was appended yet");
    apply(log, append([signal()])).await;
    let woken = tokio::time::timeout(PATIENCE, waiting).await;
    let news = woken.expect("a commit ends the waiting").expect("waiting succeeds");
    assert!(news.contains(&PARTITION), "{news:?} names where something was appended");
    // Not about a partition that nobody asked about.
    let mut waiting = pin!(log.wait(&[PARTITION], PATIENCE * 2));
    assert!(waiting.as_mut().now_or_never().is_none(), "nothing was appended since");
    apply(log, append([signal()])).await;
    let woken = tokio::time::timeout(PATIENCE, waiting).await;
    let news = woken.expect("a commit ends the waiting").expect("waiting succeeds");
    assert_eq!(news, [PARTITION]);
}

/// Nothing has to happen for that.
pub async fn waiting_ends_by_itself(log: &dyn AuditLog) {
    for at_most in [Duration::ZERO, Duration::from_millis(5)] {
        let over = tokio::time::timeout(PATIENCE, log.wait(&[PARTITION], at_most)).await;
        let news = over.expect("the waiting is over after its time").expect("waiting succeeds");
        assert!(news.iter().all(|partition| *partition == PARTITION), "{news:?} was not asked about");
    }
}
