//! Any sequence of operations has the same answers from a database and from the log in memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ml_connector_core::{
    AuditLog, ErrorKind, Result, Timestamp,
    audit::{
        DocKey, DocumentWrite, EntryKind, EntryState, Expected, Index, Lease, LeaseRequest, MemoryLog,
        NewEntry, Outcome, Parent, PendingRequest, PendingScope, Query, Settlement, Transaction,
    },
    model::{ConnectionId, Currency, DedupeKey, EntityRef, Money, Partition, Seq},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use rust_decimal::Decimal;

use crate::NOON;

const PARTITIONS: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Transaction>, Timestamp),
    /// The holder renews, gives back, or loses its lease to the other one. Shares are not compared: SQLite has
    /// one owner.
    Lease(Handover),
    /// With the lease that is held, unless it says another.
    Pending(Partition, Option<u64>, PendingScope, Seq, usize),
    Documents(Vec<DocKey>),
    Query(Query),
    Count(Query, usize),
    Backlog(Timestamp),
    Prune(Timestamp, usize),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Handover {
    Renew,
    Release,
    Expire,
}

fn instant() -> impl Strategy<Value = Timestamp> + Clone {
    (-3..4_i64).prop_map(|minutes| Timestamp::from_secs(NOON.as_secs() + minutes * 60))
}

fn due() -> impl Strategy<Value = Timestamp> {
    prop_oneof![9 => instant(), 1 => Just(Timestamp::MAX)]
}

fn seq() -> impl Strategy<Value = Seq> + Clone {
    (0..40_u64).prop_map(Seq)
}

fn text(choices: &'static [&'static str]) -> impl Strategy<Value = Arc<str>> + Clone {
    select(choices).prop_map(Arc::from)
}

fn kind() -> impl Strategy<Value = EntryKind> + Clone {
    select(&EntryKind::ALL[..])
}

fn connection() -> impl Strategy<Value = ConnectionId> + Clone {
    text(&["books", "slack"]).prop_map(ConnectionId::new)
}

fn entity() -> impl Strategy<Value = EntityRef> + Clone {
    (text(&["invoice", "bill"]), text(&["1", "2"])).prop_map(|(kind, id)| EntityRef { kind, id })
}

fn number() -> impl Strategy<Value = Arc<str>> + Clone {
    text(&["INV-1", "ä"])
}

fn name() -> impl Strategy<Value = Arc<str>> + Clone {
    text(&["invoice.paid", "overdue"])
}

fn destination() -> impl Strategy<Value = Arc<str>> + Clone {
    text(&["channel:a", "channel:b"])
}

fn amount() -> impl Strategy<Value = Decimal> + Clone {
    select(&["-1.5", "0", "0.10", "99.99", "100"][..]).prop_map(|amount| amount.parse().unwrap())
}

fn currency() -> impl Strategy<Value = Currency> + Clone {
    select(&["EUR", "USD"][..]).prop_map(|code| Currency::parse(code).unwrap())
}

fn lane() -> impl Strategy<Value = u64> + Clone {
    select(&[0, 1, u64::MAX][..])
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

fn partition() -> impl Strategy<Value = Partition> + Clone {
    (0..PARTITIONS).prop_map(Partition::new)
}

fn lease() -> impl Strategy<Value = Lease> + Clone {
    (partition(), 0..4_u64).prop_map(|(partition, fence)| Lease { partition, fence })
}

fn key() -> impl Strategy<Value = DocKey> {
    select(&["a", "b", "c"][..]).prop_map(|name| DocKey::new("test", &ConnectionId::from("books"), name))
}

fn parent() -> impl Strategy<Value = Parent> {
    prop_oneof![
        4 => Just(Parent::None),
        3 => seq().prop_map(Parent::Entry),
        1 => Just(Parent::Nth(0)),
    ]
}

fn entry() -> impl Strategy<Value = NewEntry> {
    let money = (amount(), currency()).prop_map(|(amount, currency)| Money::new(amount, currency));
    let index = (
        option::of(entity()),
        option::of(number()),
        option::of(name()),
        option::of(money),
        option::of(destination()),
    )
        .prop_map(|(entity, number, name, amount, destination)| Index {
            entity,
            number,
            name,
            amount,
            destination,
        });
    let dedupe = option::weighted(0.3, text(&["k1", "k2", "k3"])).prop_map(|key| key.map(DedupeKey::new));
    let place = (partition(), kind(), connection(), option::weighted(0.7, lane()), due());
    let content = (option::of(bytes()), option::of(bytes()), option::weighted(0.2, text(&["gone"])));
    let origin = (dedupe, any::<bool>(), parent(), option::weighted(0.2, seq()));
    (place, origin, index, content).prop_map(|(place, origin, index, (body, trace, dead))| {
        let (partition, kind, connection, lane, due) = place;
        let (dedupe, counts_as_repeat, parent, replays) = origin;
        let new = NewEntry::new(partition, kind, connection, due);
        NewEntry { lane, dedupe, counts_as_repeat, parent, replays, dead, index, body, trace, ..new }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let words = || text(&["", "unavailable: 503"]);
    prop_oneof![
        (0..5_u32, option::of(bytes())).prop_map(|(attempt, note)| Outcome::Begun { attempt, note }),
        (0..5_u32, due(), words(), any::<bool>(), option::of(bytes())).prop_map(
            |(attempt, due, error, uncertain, note)| Outcome::Retry { attempt, due, error, uncertain, note }
        ),
        words().prop_map(|error| Outcome::Parked { error }),
        option::of(text(&["message/1", "message/2"])).prop_map(|receipt| Outcome::Done { receipt }),
        words().prop_map(|error| Outcome::Dead { error }),
        words().prop_map(|reason| Outcome::Dropped { reason }),
        words().prop_map(|why| Outcome::Acknowledged { by: "jane".into(), why }),
        words().prop_map(|why| Outcome::Cancelled { by: "jane".into(), why }),
        words().prop_map(|why| Outcome::Discarded { by: "jane".into(), why }),
        seq().prop_map(|replay| Outcome::Replayed { replay }),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let expected =
        prop_oneof![Just(Expected::Absent), (0..4_u64).prop_map(Expected::Version), Just(Expected::Any)];
    let write = (key(), expected, option::of(bytes())).prop_map(|(key, expected, value)| DocumentWrite {
        key,
        expected,
        value,
    });
    let settlement = (seq(), outcome(), option::of(bytes()))
        .prop_map(|(seq, outcome, trace)| Settlement { trace, ..Settlement::new(seq, outcome) });
    (option::weighted(0.2, lease()), vec(write, 0..2), vec(entry(), 0..4), vec(settlement, 0..4))
        .prop_map(|(fence, documents, append, settle)| Transaction { fence, documents, append, settle })
}

fn query() -> impl Strategy<Value = Query> {
    let states = select(&EntryState::ALL[..]);
    let about = (
        option::weighted(0.3, connection()),
        option::weighted(0.3, kind()),
        option::weighted(0.3, entity()),
        option::weighted(0.2, number()),
        option::weighted(0.2, name()),
        option::weighted(0.3, states),
        option::weighted(0.2, text(&["message/1", "message/2"])),
    );
    let more = (
        option::weighted(0.1, vec(connection(), 0..3)),
        option::weighted(0.1, any::<bool>()),
        option::weighted(0.1, text(&["", "message", "message/2", "x"])),
        option::weighted(0.1, destination()),
        option::weighted(0.1, amount()),
        option::weighted(0.1, amount()),
        option::weighted(0.1, currency()),
    );
    let among = (
        option::weighted(0.2, instant()),
        option::weighted(0.2, instant()),
        vec(seq(), 0..3),
        option::weighted(0.3, seq()),
        option::weighted(0.3, seq()),
    );
    let how = (any::<bool>(), any::<bool>(), 0..6_usize);
    (about, more, among, how).prop_map(|(about, more, among, (newest_first, bodies, limit))| {
        let (connection, kind, entity, number, name, state, receipt) = about;
        let (from, to, seqs, family_of, after) = among;
        let mut query = Query::default();
        (query.connection, query.kind, query.entity, query.number) = (connection, kind, entity, number);
        (query.name, query.state, query.receipt, query.from, query.to) = (name, state, receipt, from, to);
        (query.within, query.acknowledged, query.receipt_prefix, query.destination) =
            (more.0, more.1, more.2, more.3);
        (query.amount_from, query.amount_to, query.currency) = (more.4, more.5, more.6);
        (query.seqs, query.family_of, query.after) = (seqs, family_of, after);
        (query.newest_first, query.bodies, query.limit) = (newest_first, bodies, limit);
        query
    })
}

fn step() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![
        Just(PendingScope::Partition),
        (kind(), lane()).prop_map(|(kind, lane)| PendingScope::Lane(kind, lane)),
    ];
    let handover = select(&[Handover::Renew, Handover::Release, Handover::Expire][..]);
    prop_oneof![
        10 => (vec(transaction(), 1..4), instant()).prop_map(|(all, now)| Step::Commit(all, now)),
        3 => handover.prop_map(Step::Lease),
        4 => (partition(), option::weighted(0.1, 0..4_u64), scope, seq(), 0..5_usize)
            .prop_map(|(partition, fence, scope, after, limit)| {
                Step::Pending(partition, fence, scope, after, limit)
            }),
        2 => vec(key(), 0..4).prop_map(Step::Documents),
        8 => query().prop_map(Step::Query),
        2 => (query(), 0..6_usize).prop_map(|(query, cap)| Step::Count(query, cap)),
        3 => instant().prop_map(Step::Backlog),
        2 => (instant(), 0..4_usize).prop_map(|(before, limit)| Step::Prune(before, limit)),
        1 => Just(Step::Reopen),
    ]
}

/// Who holds the lease, and until when.
struct Holder {
    owner: &'static str,
    now: Timestamp,
    fence: u64,
}

impl Holder {
    const LEASE: Duration = Duration::from_secs(60);

    fn requests(&mut self, handover: Handover) -> Vec<LeaseRequest> {
        let mut requests = Vec::new();
        match handover {
            Handover::Renew => {}
            Handover::Release => requests.push(LeaseRequest::Release { owner: self.owner.into() }),
            Handover::Expire => {
                self.now = self.now + Self::LEASE;
                self.owner = if self.owner == "one" { "two" } else { "one" };
            }
        }
        let (now, until) = (self.now, self.now + Self::LEASE);
        requests.push(LeaseRequest::Hold { owner: self.owner.into(), want: 64, until, now });
        requests
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    memory: Result<T>,
    other: Result<T>,
) -> std::result::Result<(), TestCaseError> {
    let kind = |error: ml_connector_core::Error| -> ErrorKind { error.kind() };
    prop_assert_eq!(memory.map_err(kind), other.map_err(kind));
    Ok(())
}

/// Opens the same storage, which is empty the first time. What was open before is dropped.
trait Storage {
    type Log: AuditLog;
    async fn open(&self) -> Self::Log;
}

async fn agree(storage: &impl Storage, steps: Vec<Step>) -> std::result::Result<(), TestCaseError> {
    let memory = MemoryLog::new();
    let mut log = storage.open().await;
    let mut holder = Holder { owner: "one", now: NOON, fence: 0 };
    let mut everything = Query::default().with_limit(1000);
    everything.bodies = true;
    let work = |number| Step::Pending(Partition::new(number), None, PendingScope::Partition, Seq(0), 1000);
    let begin = [Step::Lease(Handover::Renew)];
    let end = [Step::Reopen, Step::Query(everything), Step::Backlog(NOON)]
        .into_iter()
        .chain((0..PARTITIONS).map(work));
    for step in begin.into_iter().chain(steps).chain(end) {
        match step {
            Step::Commit(all, now) => {
                same(memory.commit(all.clone(), now).await, log.commit(all, now).await)?;
            }
            Step::Lease(handover) => {
                for request in holder.requests(handover) {
                    let held = memory.lease(request.clone()).await;
                    holder.fence =
                        held.as_ref().ok().and_then(|held| held.first()).map_or(0, |lease| lease.fence);
                    same(held, log.lease(request).await)?;
                }
            }
            Step::Pending(partition, fence, scope, after, limit) => {
                let lease = Lease { partition, fence: fence.unwrap_or(holder.fence) };
                let elsewhere =
                    Lease { partition: Partition::new((partition.number() + 1) % PARTITIONS), ..lease };
                let wanted = [lease, elsewhere].map(|lease| PendingRequest { lease, scope, after });
                same(memory.pending(&wanted, limit).await, log.pending(&wanted, limit).await)?;
            }
            Step::Documents(keys) => same(memory.documents(&keys).await, log.documents(&keys).await)?,
            Step::Query(query) => same(memory.query(&query).await, log.query(&query).await)?,
            Step::Count(query, cap) => {
                same(memory.count(&query, cap).await, log.count(&query, cap).await)?;
            }
            Step::Backlog(now) => same(memory.backlog(now).await, log.backlog(now).await)?,
            Step::Prune(before, limit) => {
                same(memory.prune(before, limit).await, log.prune(before, limit).await)?;
            }
            Step::Reopen => {
                drop(log);
                log = storage.open().await;
            }
        }
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use ml_connector_sql::SqliteLog;
    use tempfile::TempDir;

    use super::*;

    impl Storage for TempDir {
        type Log = SqliteLog;

        async fn open(&self) -> SqliteLog {
            SqliteLog::open(self.path().join("log.db")).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sqlite_and_memory_give_the_same_answers(steps in vec(step(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(agree(&TempDir::new().unwrap(), steps))?;
        }
    }
}

#[cfg(all(feature = "postgres", unix))]
mod postgres {
    use ml_connector_sql::{PostgresLog, PostgresOptions};

    use super::*;
    use crate::postgres::cluster::{Cluster, cluster, fresh};

    impl Storage for (&Cluster, PostgresOptions) {
        type Log = PostgresLog;

        async fn open(&self) -> PostgresLog {
            self.0.open(&self.1).await
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn postgres_and_memory_give_the_same_answers(steps in vec(step(), 1..60)) {
            let Some(cluster) = cluster() else { return Ok(()) };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(agree(&(cluster, fresh()), steps))?;
        }
    }
}
