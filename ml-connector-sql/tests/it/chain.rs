//! What tamper evidence promises, on every store alike: whatever somebody changes behind the log's back is found.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join, join_all};
use ml_connector_core::{
    AuditLog, ErrorKind, Timestamp,
    audit::{
        Appended, Break, Broken, ChainHead, ChainedLog, Committed, EntryKind, NewEntry, Outcome, Parent,
        Query, RewriteLog, Settlement, Transaction,
    },
    encryption::EncryptLog,
    model::{DedupeKey, Partition, Seq},
};

use crate::{
    NOON,
    encryption::{key_of, ring},
};

/// Runs SQL.
type Run = Box<dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync>;

/// A log with a chain, a way to change its tables behind its back, and to open it again.
pub(crate) struct Store<L> {
    pub(crate) log: L,
    /// Runs SQL in which `@` stands for what comes before the name of a table.
    pub(crate) run: Run,
    pub(crate) reopen: Box<dyn Fn() -> BoxFuture<'static, L> + Send + Sync>,
    /// What adds an entry 999 to partition 0, and an outcome to entry 2.
    pub(crate) adds: [&'static str; 2],
}

fn entry(part: u8, n: u64) -> NewEntry {
    NewEntry {
        lane: Some(n),
        body: Some(format!("body {n}").into()),
        trace: Some(format!("trace {n}").into()),
        dedupe: Some(DedupeKey::from(format!("dedupe {part}/{n}"))),
        ..NewEntry::new(Partition::new(part), EntryKind::Signal, "books".into(), NOON)
    }
}

async fn apply(log: &dyn AuditLog, transaction: Transaction, now: Timestamp) -> Vec<Seq> {
    match log.commit(vec![transaction], now).await.unwrap().remove(0) {
        Committed::Applied(appended) => appended.into_iter().map(Appended::seq).collect(),
        refused => panic!("{refused:?}"),
    }
}

fn done(seq: Seq) -> Settlement {
    Settlement::new(seq, Outcome::Done { receipt: Some("receipt".into()) })
}

fn retry(seq: Seq) -> Settlement {
    let (error, note) = ("busy".into(), None);
    Settlement::new(seq, Outcome::Retry { attempt: 1, due: NOON, error, uncertain: true, note })
}

/// Five entries in partition 0, of which the first is done at the second attempt, and two in partition 3.
async fn fill(log: &dyn AuditLog) -> Vec<Seq> {
    let append = (1..=5).map(|n| entry(0, n)).chain([entry(3, 6), entry(3, 7)]).collect();
    let seqs = apply(log, Transaction { append, ..Transaction::default() }, NOON).await;
    let settle = vec![retry(seqs[0]), done(seqs[0])];
    apply(log, Transaction { settle, ..Transaction::default() }, NOON).await;
    // The last link of partition 0 is about its last entry.
    let settle = vec![done(seqs[4])];
    apply(log, Transaction { settle, ..Transaction::default() }, NOON).await;
    seqs
}

async fn broken(log: &dyn ChainedLog, kept: &[ChainHead]) -> Vec<Broken> {
    log.verify(kept).await.unwrap().broken
}

/// Every way to change what is stored is found, at the entry that was changed.
pub(crate) async fn what_is_changed_behind_its_back_is_found<L>(open: impl AsyncFn() -> Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    use Break::{Added, Anchor, Changed, Link, Removed};
    type Found = (&'static [Break], Option<u64>, Option<u64>);
    let fixed: [(&str, &str, Found); 18] = [
        ("a time", "UPDATE @entry SET at = at + 1 WHERE seq = 2", (&[Changed], Some(2), None)),
        ("a connection", "UPDATE @entry SET connection = 'x' WHERE seq = 7", (&[Changed], Some(7), None)),
        ("a parent", "UPDATE @entry SET parent = 1 WHERE seq = 2", (&[Changed], Some(2), None)),
        ("a dedupe key", "UPDATE @entry SET dedupe = NULL WHERE seq = 2", (&[Changed], Some(2), None)),
        ("a kind", "UPDATE @entry SET kind = 99 WHERE seq = 4", (&[Changed], Some(4), None)),
        ("another partition", "UPDATE @entry SET part = 9 WHERE seq = 4", (&[Changed], Some(4), None)),
        (
            "the body of another",
            "UPDATE @entry SET body = (SELECT body FROM @entry WHERE seq = 3) WHERE seq = 2",
            (&[Changed], Some(2), None),
        ),
        (
            "two that change places",
            "UPDATE @entry SET seq = 900 WHERE seq = 2; UPDATE @entry SET seq = 2 WHERE seq = 3;
             UPDATE @entry SET seq = 3 WHERE seq = 900",
            (&[Changed], Some(2), None),
        ),
        (
            "a receipt",
            "UPDATE @outcome SET receipt = 'forged' WHERE seq = 1 AND receipt IS NOT NULL",
            (&[Changed], Some(1), Some(2)),
        ),
        // The second takes its place where outcomes are only counted.
        ("an outcome", "DELETE FROM @outcome WHERE seq = 1 AND what = 2", (&[Removed, Changed], Some(1), Some(1))),
        ("an entry", "DELETE FROM @entry WHERE seq = 3", (&[Removed], Some(3), None)),
        (
            "an entry with its link",
            "DELETE FROM @entry WHERE seq = 3; DELETE FROM @chain WHERE seq = 3",
            (&[Link], Some(4), None),
        ),
        (
            "links that change places",
            "UPDATE @chain SET position = 900 WHERE part = 0 AND position = 2;
             UPDATE @chain SET position = 2 WHERE part = 0 AND position = 3;
             UPDATE @chain SET position = 3 WHERE part = 0 AND position = 900",
            (&[Link], Some(3), None),
        ),
        (
            "a row and its digest",
            "UPDATE @entry SET body = (SELECT body FROM @entry WHERE seq = 3) WHERE seq = 2;
             UPDATE @chain SET digest = link WHERE seq = 2",
            (&[Link], Some(2), None),
        ),
        (
            "a removal that is none",
            "DELETE FROM @entry WHERE seq = 7;
             INSERT INTO @chain SELECT part, position + 1, seq, -1, digest, link FROM @chain WHERE seq = 7",
            (&[Link], Some(7), None),
        ),
        (
            "the beginning cut off",
            "UPDATE @chain_anchor SET position = 2, link = (SELECT link FROM @chain WHERE part = 0 AND position = 2)
             WHERE part = 0;
             DELETE FROM @chain WHERE part = 0 AND position <= 2; DELETE FROM @entry WHERE seq <= 2;
             DELETE FROM @outcome WHERE seq <= 2",
            (&[Anchor], None, None),
        ),
        ("what has no links", "UPDATE @chain_anchor SET after = 100 WHERE part = 0", (&[Anchor], None, None)),
        (
            "the last link",
            "DELETE FROM @chain WHERE part = 3 AND position = 2",
            (&[Added], Some(7), None),
        ),
    ];
    for keyed in [false, true] {
        for (what, sql, (how, entry, outcome)) in &fixed {
            let store = open().await;
            let sealed =
                if keyed { Some(store.log.clone().encrypted(ring("a")).await.unwrap()) } else { None };
            let log: &dyn AuditLog = sealed.as_ref().map_or(&store.log, |log| log);
            fill(log).await;
            let before = store.log.verify(&[]).await.unwrap();
            assert_eq!((before.links, before.broken), (10, vec![]), "{what}");
            (store.run)(sql).await;
            let found = &broken(&store.log, &[]).await[0];
            assert!(how.contains(&found.how), "{what}: {found}");
            assert_eq!((found.entry, found.outcome), (entry.map(Seq), *outcome), "{what}: {found}");
        }
        let store = open().await;
        fill(&store.log).await;
        for (sql, entry) in store.adds.iter().zip([999, 2]) {
            (store.run)(sql).await;
            let found = broken(&store.log, &[]).await;
            assert_eq!((found[0].how, found[0].entry), (Added, Some(Seq(entry))), "{sql}");
            (store.run)("DELETE FROM @entry WHERE seq = 999").await;
        }
        (store.run)("DROP TABLE @chain").await;
        assert_eq!(broken(&store.log, &[]).await[0].how, Anchor);
    }
}

/// What is cut off at the end leaves a chain that is shorter and whole: a head that was kept tells.
pub(crate) async fn a_kept_head_tells_that_the_end_was_cut_off<L>(store: Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    let begin = store.log.heads().await.unwrap();
    fill(&store.log).await;
    let kept = store.log.heads().await.unwrap();
    let written = serde_json::to_string(&kept).unwrap();
    let kept: Vec<ChainHead> = serde_json::from_str(&written).unwrap();
    apply(&store.log, Transaction { append: vec![entry(0, 8)], ..Transaction::default() }, NOON).await;
    assert_eq!(broken(&store.log, &kept).await, [], "the chain has grown since");
    assert_eq!(broken(&store.log, &begin).await, []);
    (store.run)(
        "DELETE FROM @entry WHERE seq = 8; DELETE FROM @work WHERE seq = 8; DELETE FROM @outcome WHERE seq = 5;
         DELETE FROM @chain WHERE part = 0 AND position >= 8",
    )
    .await;
    assert_eq!(broken(&store.log, &[]).await, [], "without a head nobody knows");
    let found = broken(&store.log, &kept).await;
    let [Broken { how: Break::Kept, partition, .. }] = found[..] else { panic!("{found:?}") };
    assert_eq!(partition, Partition::new(0));
    // And so does one that is in another chain's place.
    apply(
        &store.log,
        Transaction { append: vec![entry(0, 9), entry(0, 10)], ..Transaction::default() },
        NOON,
    )
    .await;
    let settle = vec![retry(Seq(2))];
    apply(&store.log, Transaction { settle, ..Transaction::default() }, NOON).await;
    assert_eq!(broken(&store.log, &[]).await, []);
    assert_eq!(broken(&store.log, &kept).await[0].how, Break::Kept);
}

/// Pruning keeps the rest checkable, lets links go, and is not to be undone.
pub(crate) async fn what_is_pruned_is_no_break<L>(store: Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    let log = &store.log;
    let before = log.heads().await.unwrap();
    let later = Timestamp::from_secs(NOON.as_millis() / 1000 + 60);
    let seqs = fill(log).await;
    // A child in another partition goes with its family.
    let child = NewEntry { parent: Parent::Entry(seqs[0]), lane: None, ..entry(3, 20) };
    apply(log, Transaction { append: vec![child], ..Transaction::default() }, NOON).await;
    let kept = log.heads().await.unwrap();
    apply(log, Transaction { append: vec![entry(0, 21)], ..Transaction::default() }, later).await;
    // 1 and 5 are done; 2, 3 and 4 wait, so that links are left on both sides of them.
    assert_eq!(log.prune(later, 2).await.unwrap(), 2);
    assert_eq!(log.prune(later, 100).await.unwrap(), 1);
    assert_eq!(log.prune(later, 100).await.unwrap(), 0);
    for heads in [&before, &kept, &vec![]] {
        assert_eq!(broken(log, heads).await, []);
    }
    let settle = seqs[1..4].iter().chain(&seqs[5..]).map(|seq| done(*seq)).collect();
    apply(log, Transaction { settle, ..Transaction::default() }, NOON).await;
    while log.prune(later, 3).await.unwrap() > 0 {
        assert_eq!(broken(log, &[]).await, []);
    }
    let verified = log.verify(&kept).await.unwrap();
    assert_eq!(verified.broken, []);
    assert!(verified.links < 16, "{} links are left of one entry", verified.links);
    // As if it had never been pruned.
    let back = store.adds[0].replace("999", "3");
    (store.run)(&back).await;
    let found = broken(log, &[]).await;
    assert_eq!((found[0].how, found[0].entry), (Break::Added, Some(Seq(3))));
}

/// A rotation of keys rewrites rows, and the chain says so; what was changed before stays found.
pub(crate) async fn a_rotation_does_not_break_it<L>(open: impl AsyncFn() -> Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    let store = open().await;
    let shared = ring("old");
    let log = store.log.clone().encrypted(shared.clone()).await.unwrap();
    fill(&log).await;
    let kept = store.log.heads().await.unwrap();
    (store.run)("UPDATE @entry SET at = at + 1 WHERE seq = 7").await;
    shared.replace(&ring("new").with_old(key_of("old")));
    while !log.reencrypt(3).await.unwrap().is_done {}
    let verified = store.log.verify(&kept).await.unwrap();
    assert!(verified.links > 10, "every row was written anew: {}", verified.links);
    let found: Vec<_> = verified.broken.iter().map(|it| (it.entry, it.how)).collect();
    assert_eq!(found, [(Some(Seq(7)), Break::Changed)], "it is not made good by being encrypted");
    (store.run)("UPDATE @entry SET at = at - 1 WHERE seq = 7").await;

    // The old key is not needed for that any more.
    let again = (store.reopen)().await;
    assert_eq!(again.verify(&[]).await.unwrap_err().kind(), ErrorKind::ConfigInvalid, "nobody gave its key");
    let refused =
        again.commit(vec![Transaction { append: vec![entry(1, 1)], ..Transaction::default() }], NOON);
    assert!(refused.await.is_err(), "a link without the key would break it");
    again.clone().encrypted(ring("new")).await.unwrap();
    let found: Vec<_> = broken(&again, &kept).await.iter().map(|it| (it.entry, it.how)).collect();
    assert_eq!(found, [(Some(Seq(7)), Break::Changed)], "it was rewritten as it had been changed");

    // Without keys again, as if it had never had any.
    (store.run)("UPDATE @chain_anchor SET keyed = NULL, keyed_link = NULL").await;
    let again = (store.reopen)().await;
    again.clone().encrypted(ring("new")).await.unwrap();
    assert!(broken(&again, &[]).await.iter().all(|it| it.how == Break::Anchor));
    assert_eq!(broken(&again, &[]).await.len(), usize::from(Partition::COUNT));
}

/// What was linked without a key is frozen when the log is encrypted.
pub(crate) async fn a_log_that_is_encrypted_later_keeps_its_chain<L>(store: Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    fill(&store.log).await;
    let kept = store.log.heads().await.unwrap();
    let log = store.log.clone().encrypting(ring("a")).await.unwrap();
    apply(&log, Transaction { append: vec![entry(0, 8)], ..Transaction::default() }, NOON).await;
    while !log.reencrypt(2).await.unwrap().is_done {}
    assert_eq!(broken(&store.log, &kept).await, []);
    (store.run)("UPDATE @outcome SET at = at + 1 WHERE seq = 1").await;
    assert_eq!(broken(&store.log, &[]).await[0].how, Break::Changed);
}

/// A log that has entries when it gets a chain: what is appended from then on is linked.
pub(crate) async fn it_can_begin_later<L>(plain: L, chained: impl AsyncFnOnce() -> Store<L>)
where
    L: ChainedLog + RewriteLog + Clone,
{
    assert_eq!(plain.heads().await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(plain.verify(&[]).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let Store { log, run, .. } = chained().await;
    let everything = Query::default();
    let before = log.count(&everything, 100).await.unwrap();
    assert!(before > 0);
    assert_eq!(log.verify(&[]).await.unwrap().links, 0);
    let seqs = apply(&log, Transaction { append: vec![entry(0, 50)], ..Transaction::default() }, NOON).await;
    let settle = vec![done(Seq(2)), done(seqs[0])];
    apply(&log, Transaction { settle, ..Transaction::default() }, NOON).await;
    let verified = log.verify(&[]).await.unwrap();
    assert_eq!((verified.links, verified.broken), (3, vec![]));
    run(&format!("DELETE FROM @entry WHERE seq = {}", seqs[0])).await;
    assert_eq!(broken(&log, &[]).await[0].entry, Some(seqs[0]));
}

/// Several write to the same partitions, one prunes, and one checks all the while.
pub(crate) async fn it_holds_under_load<L>(logs: Vec<Arc<L>>)
where
    L: ChainedLog,
{
    let later = Timestamp::from_secs(NOON.as_millis() / 1000 + 60);
    let writing = join_all(logs.iter().zip(1_u64..).flat_map(|(log, host)| {
        (0..3_u64).map(move |task| async move {
            for n in 0..12 {
                let append = (0..2).map(|part| entry(part, host * 1000 + task * 100 + n)).collect();
                let seqs = apply(&**log, Transaction { append, ..Transaction::default() }, NOON).await;
                let settle = seqs.iter().flat_map(|seq| [retry(*seq), done(*seq)]).collect();
                apply(&**log, Transaction { settle, ..Transaction::default() }, NOON).await;
                if task == 0 {
                    log.prune(later, 5).await.unwrap();
                }
            }
        })
    }));
    let checking = async {
        for _ in 0..3 {
            assert_eq!(broken(&*logs[0], &[]).await, []);
        }
    };
    join(writing, checking).await;
    while logs[0].prune(later, 100).await.unwrap() > 0 {}
    for log in &logs {
        assert_eq!(broken(&**log, &[]).await, []);
    }
}
