//! Two hosts, or two programs, with one log: each has a handle of its own and knows nothing of the other.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::{join, join_all};

use super::{
    Behavior, MINUTE, NOON, PARTITION, append, apply, apply_at, child_of, commit, documents, done, entry,
    find, find_seqs, hold, key, keyed, page, read, release, settle, signal, write,
};
use crate::{
    AuditLog,
    audit::{
        Appended, Committed, DocumentWrite, EntryKind, Expected, Lease, NewEntry, Parent, PendingScope,
        Query, Transaction,
    },
    conformance::behaviors,
    model::{Partition, Seq},
};

/// Two handles of one log that is empty.
#[derive(Debug)]
pub struct Handles {
    /// One host's.
    pub one: Arc<dyn AuditLog>,
    /// The other's.
    pub two: Arc<dyn AuditLog>,
}

/// What two handles of one log have to keep to.
///
/// An ambiguous commit is not among them: an answer that is lost is lost between a handle and its storage, where no caller
/// can reach. A store whose storage is far away loses it in tests of its own, as `ml-connector-sql` does with a proxy before
/// Postgres that swallows `COMMIT` or the answer to it.
pub const HANDLES_BEHAVIORS: &[Behavior<Handles>] = behaviors![Handles:
    between::a_reader_misses_nothing_while_another_host_commits_to_several_partitions,
    between::a_settlement_comes_before_a_take_over_or_is_refused,
    between::an_entry_is_settled_once,
    between::a_dedupe_key_has_one_winner_among_hosts,
    between::no_update_of_a_document_is_lost,
    between::hosts_that_want_the_same_in_another_order_do_not_block_each_other,
    between::pruning_removes_no_family_that_somebody_joins,
    between::waiting_ends_with_a_commit_of_another_host,
];

/// Checks [`HANDLES_BEHAVIORS`], each on a log of its own. It has to run on several threads for what happens at the same
/// time to do so.
pub async fn all_with_two_handles(fresh: impl AsyncFn() -> Handles) {
    for (_, check) in HANDLES_BEHAVIORS {
        check(&fresh().await).await;
    }
}

/// Longer than any commit takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn signal_in(partition: Partition) -> NewEntry {
    NewEntry { partition, ..signal() }
}

/// One function per behavior.
pub mod between {
    #[allow(clippy::wildcard_imports)] // all of it belongs to these behaviors
    use super::*;

    /// In no partition, whatever the order in which a transaction names them.
    pub async fn a_reader_misses_nothing_while_another_host_commits_to_several_partitions(
        Handles { one, two }: &Handles,
    ) {
        const ROUNDS: usize = 30;
        let partitions = [0, 1, 2].map(Partition::new);
        let leases: Vec<Lease> = hold(&**one, "one", NOON).await.into_iter().take(3).collect();
        let write = async |log: &dyn AuditLog, turn: usize| {
            for round in 0..ROUNDS {
                let mut parts = partitions;
                parts.rotate_left((round + turn) % 3);
                apply(log, append(parts.map(signal_in))).await;
            }
        };
        let read_all = async |lease: Lease| {
            let (mut found, mut idle): (Vec<Seq>, usize) = (Vec::new(), 0);
            while found.len() < ROUNDS * 3 {
                let after = found.last().copied().unwrap_or_default();
                let page = page(&**one, lease, PendingScope::Partition, after, 10).await.expect("it is held");
                idle = if page.is_empty() { idle + 1 } else { 0 };
                assert!(idle < 100_000, "only {} of {} entries appeared", found.len(), ROUNDS * 3);
                found.extend(page.into_iter().map(|pending| pending.seq));
                tokio::task::yield_now().await;
            }
            found
        };
        let writers = join(write(&**one, 0), join(write(&**two, 1), write(&**two, 2)));
        let (found, _) = join(join_all(leases.iter().map(|lease| read_all(*lease))), writers).await;
        for (lease, found) in leases.iter().zip(found) {
            let again =
                page(&**two, *lease, PendingScope::Partition, Seq(0), 1000).await.expect("it is held");
            assert_eq!(
                again.iter().map(|pending| pending.seq).collect::<Vec<_>>(),
                found,
                "the cursor passed nothing"
            );
        }
    }

    /// Whatever is under way when a partition changes hands: the next holder reads what is settled, and it stays so.
    pub async fn a_settlement_comes_before_a_take_over_or_is_refused(Handles { one, two }: &Handles) {
        for round in 0..20_u32 {
            let now = NOON + MINUTE * (2 * round);
            let held = hold(&**one, "one", now).await;
            let lease = *held.iter().find(|lease| lease.partition == PARTITION).expect("it is free");
            let seq = apply(&**one, append([signal()])).await[0];
            let settled = commit(&**one, Transaction { fence: Some(lease), ..settle([(seq, done())]) });
            let taken = async {
                let taken = hold(&**two, "two", now + MINUTE).await;
                let lease =
                    *taken.iter().find(|lease| lease.partition == PARTITION).expect("the lease has ended");
                let found =
                    page(&**two, lease, PendingScope::Partition, Seq(0), 10).await.expect("it is held");
                (lease, found.into_iter().map(|pending| pending.seq).collect::<Vec<_>>())
            };
            let (settled, (lease, found)) = join(settled, taken).await;
            match settled {
                Committed::Applied(_) => assert_eq!(found, [], "what is settled is not done again"),
                Committed::Fenced => assert_eq!(found, [seq], "what was refused waits for the next holder"),
                stale @ Committed::Stale(_) => {
                    panic!("no document was written, but the answer was {stale:?}")
                }
            }
            let rest = Transaction { fence: Some(lease), ..settle([(seq, done())]) };
            assert!(matches!(commit(&**two, rest).await, Committed::Applied(_)), "the new holder settles");
            assert_eq!(read(&**one, seq).await.outcomes.len(), 1, "one outcome, whoever it is of");
            release(&**two, "two").await;
            release(&**one, "one").await;
        }
    }

    /// By whoever comes first; the other's outcome does not fit any more.
    pub async fn an_entry_is_settled_once(Handles { one, two }: &Handles) {
        for _ in 0..20 {
            let seq = apply(&**one, append([signal()])).await[0];
            join(commit(&**one, settle([(seq, done())])), commit(&**two, settle([(seq, done())]))).await;
            assert_eq!(read(&**one, seq).await.outcomes.len(), 1);
        }
        assert_eq!(two.backlog(NOON).await.expect("it is counted"), [], "and counted once");
    }

    /// Also when the entries are for different partitions.
    pub async fn a_dedupe_key_has_one_winner_among_hosts(Handles { one, two }: &Handles) {
        for round in 0..20 {
            let entry = |part| NewEntry { partition: Partition::new(part), ..keyed(&format!("k{round}")) };
            // Each is the parent of another, so that a duplicate stands for its entry at both hosts.
            let story =
                |part| append([entry(part), child_of(Parent::Nth(0), super::entry(EntryKind::Event))]);
            let (mine, theirs) =
                join(apply_at(&**one, story(0), NOON), apply_at(&**two, story(1), NOON)).await;
            let winners =
                [&mine, &theirs].into_iter().filter(|appended| matches!(appended[0], Appended::New(_)));
            assert_eq!(winners.count(), 1, "{mine:?} {theirs:?}");
            assert_eq!(mine[0].seq(), theirs[0].seq(), "both are told where the entry is");
            for appended in [mine, theirs] {
                assert_eq!(read(&**two, appended[1].seq()).await.parent, Some(appended[0].seq()));
            }
        }
    }

    /// Each writes what it read plus one.
    pub async fn no_update_of_a_document_is_lost(Handles { one, two }: &Handles) {
        const EACH: usize = 20;
        let count = async |log: &dyn AuditLog| {
            let found = log.documents(&[key("n")]).await.expect("documents can be read").remove(0);
            let value = found.as_ref().map_or(0, |document| document.bytes.len());
            (found.map(|document| document.version), value)
        };
        let increment = async |log: &dyn AuditLog| {
            for _ in 0..EACH {
                loop {
                    let (version, value) = count(log).await;
                    let expected = version.map_or(Expected::Absent, Expected::Version);
                    let value = Some(vec![b'x'; value + 1].into());
                    let next = documents([DocumentWrite { key: key("n"), expected, value }]);
                    if commit(log, next).await == Committed::Applied(vec![]) {
                        break;
                    }
                }
            }
        };
        join(increment(&**one), increment(&**two)).await;
        assert_eq!(count(&**one).await.1, 2 * EACH, "every update is counted");
    }

    /// The same partitions, documents and entries.
    pub async fn hosts_that_want_the_same_in_another_order_do_not_block_each_other(
        Handles { one, two }: &Handles,
    ) {
        for round in 0..20 {
            let waiting = apply(&**one, append([signal(), signal()])).await;
            let retry = |seq: &Seq| {
                let error = "unavailable".into();
                (
                    *seq,
                    crate::audit::Outcome::Retry {
                        attempt: 1,
                        due: NOON,
                        error,
                        uncertain: false,
                        note: None,
                    },
                )
            };
            let mut wanted = Transaction {
                documents: ["a", "b"].map(|name| write(name, Expected::Any, Some("1"))).into(),
                append: [0, 1]
                    .map(|part| NewEntry {
                        partition: Partition::new(part),
                        ..keyed(&format!("{round}/{part}"))
                    })
                    .into(),
                ..settle(waiting.iter().map(retry))
            };
            let mine = wanted.clone();
            wanted.documents.reverse();
            wanted.append.reverse();
            wanted.settle.reverse();
            let both = join(commit(&**one, mine), commit(&**two, wanted));
            let both = tokio::time::timeout(PATIENCE, both).await.expect("neither waits for ever");
            assert!(matches!(both, (Committed::Applied(_), Committed::Applied(_))), "{both:?}");
        }
    }

    /// Whoever joins finds its family whole, or begins one.
    pub async fn pruning_removes_no_family_that_somebody_joins(Handles { one, two }: &Handles) {
        for _ in 0..20 {
            let story = append([entry(EntryKind::Note), child_of(Parent::Nth(0), entry(EntryKind::Event))]);
            let seqs = apply(&**one, story).await;
            let child = child_of(Parent::Entry(seqs[1]), signal());
            let joining = apply(&**one, append([child]));
            let pruning = async { two.prune(NOON + MINUTE, 10).await.expect("pruning succeeds") };
            let (joined, _) = join(joining, pruning).await;
            let family = find_seqs(&**two, &Query::family_of(joined[0])).await;
            match read(&**two, joined[0]).await.parent {
                Some(parent) => {
                    assert_eq!(parent, seqs[1]);
                    assert_eq!(
                        family,
                        [seqs[0], seqs[1], joined[0]],
                        "with a member that waits a family stays"
                    );
                }
                None => assert_eq!(family, joined, "what it followed from has gone"),
            }
            apply(&**one, settle([(joined[0], done())])).await;
            while two.prune(NOON + MINUTE, 10).await.expect("pruning succeeds") > 0 {}
            assert_eq!(find(&**one, &Query::default()).await, [], "nothing is left without its family");
        }
    }

    /// Within seconds.
    pub async fn waiting_ends_with_a_commit_of_another_host(Handles { one, two }: &Handles) {
        let partitions: BTreeSet<Partition> = Partition::all().collect();
        let partitions: Vec<Partition> = partitions.into_iter().collect();
        let lease = hold(&**one, "one", NOON).await[0];
        // As a host does: it waits, and looks; what it was woken for before may be old.
        let reading = async {
            let mut named = BTreeSet::new();
            loop {
                let found =
                    page(&**one, lease, PendingScope::Partition, Seq(0), 10).await.expect("it is held");
                if !found.is_empty() && named.contains(&lease.partition) {
                    return found.len();
                }
                let news = one.wait(&partitions, PATIENCE * 10).await.expect("waiting succeeds");
                assert!(!news.is_empty(), "it has not waited for its whole time");
                named.extend(news);
            }
        };
        let writing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            apply(&**two, append([signal()])).await;
        };
        let both = tokio::time::timeout(PATIENCE, join(reading, writing)).await;
        assert_eq!(both.expect("the other's commit is noticed").0, 1);
    }
}
