//! What happens to servers and on the way to them.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, join_all},
};
use ml_connector_core::{
    AuditLog, Effect, ErrorKind, RateLimiter, Result, Timestamp, TokenStore,
    audit::{DocKey, Lease, LeaseRequest, PendingRequest, PendingScope, Query},
    model::{Cost, Quota, QuotaKey, Seq},
    token::TokenKey,
};
use ml_connector_sql::{
    LeaseClock, PostgresLog, PostgresOptions,
    deadpool_postgres::{Manager, Pool, Runtime},
    tokio_postgres::NoTls,
};

use super::{
    cluster::{Cluster, cluster, fresh},
    proxy::{Loss, Proxy},
};
use crate::{NOON, PAYLOAD, append, seqs, try_append};

async fn refused(cluster: &Cluster, role: &str, options: &PostgresOptions) -> ml_connector_core::Error {
    PostgresLog::connect(&cluster.config(role), NoTls, options).await.unwrap_err()
}

#[tokio::test]
async fn settings_that_lose_commits_are_refused() {
    let Some(cluster) = cluster() else { return };
    cluster.execute("CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off").await;
    let error = refused(cluster, "hasty", &fresh()).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("synchronous_commit"), "{error}");
    let unsafe_server = Cluster::start(&["fsync = off"]).unwrap();
    let error = refused(&unsafe_server, "postgres", &fresh()).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("fsync"), "{error}");
    let torn_pages = Cluster::start(&["full_page_writes = off"]).unwrap();
    let error = refused(&torn_pages, "postgres", &fresh()).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("full_page_writes"), "{error}");
}

#[tokio::test]
async fn a_role_without_rights_is_a_mistake_of_the_host() {
    let Some(cluster) = cluster() else { return };
    cluster.execute("CREATE ROLE nobody LOGIN").await;
    let options = fresh();
    let error = refused(cluster, "nobody", &options).await;
    assert_eq!((error.kind(), error.context("sqlstate")), (ErrorKind::ConfigInvalid, Some("42501")));
    assert!(error.message().contains("rights"), "{error}");
    drop(cluster.open(&options).await);
    let error = refused(cluster, "nobody", &options).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "also when the schema is there");
    // A schema that was made for the role is enough.
    let given = fresh();
    cluster.execute(&format!("CREATE SCHEMA {} AUTHORIZATION nobody", name(&given))).await;
    let log = PostgresLog::connect(&cluster.config("nobody"), NoTls, &given).await.unwrap();
    try_append(&log, 10).await.unwrap();
    let error = refused(cluster, "stranger", &options).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "a role that is not there: {error}");
}

/// The schema as SQL writes it.
fn name(options: &PostgresOptions) -> String {
    format!("\"{}\"", options.schema.replace('"', "\"\""))
}

#[tokio::test]
async fn a_schema_of_others_or_of_a_newer_version_is_refused_and_left_alone() {
    let Some(cluster) = cluster() else { return };
    let (theirs, newer) = (fresh(), fresh());
    cluster.execute(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.entry (x int)", name(&theirs))).await;
    let error = refused(cluster, "postgres", &theirs).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("another application"), "{error}");
    drop(cluster.open(&newer).await);
    cluster.execute(&format!("UPDATE {}.meta SET version = 7", name(&newer))).await;
    let error = refused(cluster, "postgres", &newer).await;
    assert_eq!((error.kind(), error.context("schema_version")), (ErrorKind::ConfigInvalid, Some("7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_migrate_once() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    let logs = futures_util::future::join_all((0..6).map(|_| cluster.open(&options))).await;
    for log in &logs {
        try_append(log, 10).await.unwrap();
    }
    assert_eq!(seqs(&logs[0]).await.len(), 6);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_at_once() {
    let Some(cluster) = cluster() else { return };
    let mut config = cluster.config("postgres");
    config.port(1);
    let options = fresh().with_deadline(Duration::from_secs(1));
    let error = PostgresLog::connect(&config, NoTls, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("address") || error.message().contains("in time"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_used_again_once_it_is_back() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let log = cluster.open(&fresh().with_deadline(Duration::from_secs(2))).await;
    let first = try_append(&log, 10).await.unwrap();
    cluster.stop_server("fast");
    let error = try_append(&log, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        log.query(&ml_connector_core::audit::Query::default()).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    cluster.start_server();
    let second = loop {
        if let Ok(seq) = try_append(&log, 10).await {
            break seq;
        }
    };
    assert_eq!(seqs(&log).await, [first, second]);
}

/// Whatever was answered is there once, whatever was refused is not there, and what is in doubt says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_under_load_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let cluster = Arc::new(cluster);
    let log = cluster.open(&fresh().with_deadline(Duration::from_secs(20))).await;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let (mut written, mut doubts) = (Vec::new(), 0);
                for _ in 0..60 {
                    match try_append(&log, 10).await {
                        Ok(seq) => written.push(seq),
                        Err(error) if error.effect() == Effect::Unknown => doubts += 1,
                        Err(_) => {}
                    }
                }
                (written, doubts)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let server = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || {
            server.stop_server("immediate");
            server.start_server();
        })
        .await
        .unwrap();
    }
    let (mut written, mut doubts) = (Vec::new(), 0);
    for writer in writers {
        let (some, few) = writer.await.unwrap();
        written.extend(some);
        doubts += few;
    }
    written.sort();
    let mut there = seqs(&log).await;
    let count = there.len();
    assert!(written.iter().all(|seq| there.contains(seq)), "nothing that was answered is lost");
    there.retain(|seq| !written.contains(seq));
    assert!(there.len() <= doubts, "{} of {count} were refused and written, {doubts} in doubt", there.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_commit_is_found_out() {
    let Some(cluster) = cluster() else { return };
    let proxy = Proxy::start(cluster.socket());
    let options = fresh().with_deadline(Duration::from_secs(60));
    let log = PostgresLog::connect(&proxy.config(), NoTls, &options).await.unwrap();
    for _ in 0..5 {
        let before = seqs(&log).await;
        proxy.lose(Loss::Answer);
        let written = try_append(&log, 10).await.unwrap();
        assert_eq!(
            seqs(&log).await,
            [&before[..], &[written]].concat(),
            "it was applied once, and is told so"
        );

        proxy.lose(Loss::Commit);
        let error = try_append(&log, 10).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
        assert_eq!(seqs(&log).await.len(), before.len() + 1, "what was refused is not there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_became_read_only_refuses_writes_until_it_is_not() {
    let Some(cluster) = cluster() else { return };
    cluster.execute("CREATE ROLE demoted LOGIN SUPERUSER").await;
    let options = fresh();
    let log = PostgresLog::connect(&cluster.config("demoted"), NoTls, &options).await.unwrap();
    try_append(&log, 10).await.unwrap();
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'demoted'";
    cluster
        .execute(&format!("ALTER ROLE demoted SET default_transaction_read_only = on; {disconnect}"))
        .await;
    let error = try_append(&log, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.context("sqlstate")), (ErrorKind::Unavailable, Some("25006")));
    assert!(error.message().contains("read-only"), "{error}");
    assert_eq!(seqs(&log).await.len(), 1, "reads go on");
    let error = refused(cluster, "demoted", &fresh()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "also when it is opened: {error}");
    cluster.execute("ALTER ROLE demoted RESET default_transaction_read_only").await;
    try_append(&log, 10).await.unwrap();
}

/// As the server says it when the disk is full, which a test cannot fill: by its code, with the row that has no room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_answers_reads_until_there_is_room() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    let log = cluster.open(&options).await;
    let first = try_append(&log, 10).await.unwrap();
    let schema = name(&options);
    cluster
        .execute(&format!(
            "CREATE FUNCTION {schema}.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'could not extend file: no space left for %', convert_from(new.body, 'UTF8')
                 USING ERRCODE = '53100'; END $$;
             CREATE TRIGGER no_room BEFORE INSERT ON {schema}.entry FOR EACH ROW EXECUTE FUNCTION {schema}.no_room()"
        ))
        .await;
    for _ in 0..2 {
        let error = try_append(&log, 40).await.unwrap_err();
        assert_eq!((error.kind(), error.context("sqlstate")), (ErrorKind::Unavailable, Some("53100")));
        assert_eq!(error.effect(), Effect::None);
        assert!(error.message().contains("free space"), "{error}");
        assert!(!format!("{error} {error:?}").contains(PAYLOAD), "{error:?}");
    }
    assert_eq!(seqs(&log).await, [first], "reads go on, and what was refused is not there");
    cluster.execute(&format!("DROP TRIGGER no_room ON {schema}.entry")).await;
    let second = try_append(&log, 10).await.unwrap();
    assert_eq!(seqs(&log).await, [first, second], "with room it goes on by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_while_it_runs_are_told_and_used_again_once_they_are_back() {
    let Some(cluster) = cluster() else { return };
    let given = fresh();
    let schema = name(&given);
    cluster
        .execute(&format!("CREATE ROLE limited LOGIN; CREATE SCHEMA {schema} AUTHORIZATION limited"))
        .await;
    let log = PostgresLog::connect(&cluster.config("limited"), NoTls, &given).await.unwrap();
    let first = try_append(&log, 10).await.unwrap();
    cluster.execute(&format!("REVOKE INSERT ON {schema}.entry FROM limited")).await;
    let error = try_append(&log, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.context("sqlstate")), (ErrorKind::Unavailable, Some("42501")));
    assert!(error.message().contains("rights"), "{error}");
    assert_eq!(seqs(&log).await, [first], "reads go on");
    cluster.execute(&format!("GRANT INSERT ON {schema}.entry TO limited")).await;
    let second = try_append(&log, 10).await.unwrap();
    assert_eq!(seqs(&log).await, [first, second]);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_says_so() {
    let Some(cluster) = cluster() else { return };
    let pool = Pool::builder(Manager::new(cluster.config("postgres"), NoTls)).max_size(1).build().unwrap();
    let options = fresh().with_deadline(Duration::from_secs(1));
    let log = PostgresLog::with_pool(pool.clone(), &options.clone().with_deadline(Duration::from_secs(60)))
        .await
        .unwrap();
    let impatient = PostgresLog::with_pool(pool.clone(), &options).await.unwrap();
    let held = pool.get().await.unwrap();
    let error = try_append(&impatient, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.effect(), Effect::None);
    drop(held);
    try_append(&log, 10).await.unwrap();
    assert_eq!(seqs(&log).await.len(), 1, "what was refused is not there");

    // A pool that gives up before the call does names the cause.
    let pool = Pool::builder(Manager::new(cluster.config("postgres"), NoTls))
        .max_size(1)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_millis(100)))
        .build()
        .unwrap();
    let log = PostgresLog::with_pool(pool.clone(), &fresh()).await.unwrap();
    let held = pool.get().await.unwrap();
    let error = try_append(&log, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.message().contains("every connection to the database is in use"), "{error}");
    drop(held);
    try_append(&log, 10).await.unwrap();
}

#[tokio::test]
async fn a_host_whose_clock_is_wrong_gets_no_partitions() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.open(&fresh().with_lease_clock(LeaseClock::Server)).await;
    let hold = async |owner: &str, now: Timestamp| -> ml_connector_core::Result<Vec<Lease>> {
        let until = now + Duration::from_secs(600);
        log.lease(LeaseRequest::Hold { owner: owner.into(), want: 64, until, now }).await
    };
    // What passes until the server looks at its clock makes a clock that is slow seem slower, and one that is fast less fast.
    let [hour, above, below] = [3600, 6, 4].map(Duration::from_secs);
    for wrong in [real() - hour, real() + hour, real() - above] {
        let error = hold("wrong", wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.message().contains("clock"), "{error}");
    }
    assert_eq!(hold("a little fast", real() + below).await.unwrap().len(), 64);
    assert_eq!(hold("other", real()).await.unwrap().len(), 0, "the lease is the server's to end");
}

/// As the server's clock shows it.
fn real() -> Timestamp {
    #[allow(clippy::disallowed_methods)] // the server's clock is the real one
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(real.as_millis()).unwrap())
}

/// Nothing is refused and nothing breaks: no answer comes. A host must not wait for longer than its lease lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_answers_ends_by_its_deadline() {
    const DEADLINE: Duration = Duration::from_secs(4);
    let Some(cluster) = cluster() else { return };
    let proxy = Proxy::start(cluster.socket());
    let options = fresh().with_deadline(DEADLINE);
    let log = PostgresLog::connect(&proxy.config(), NoTls, &options).await.unwrap();
    assert_eq!(log.deadline(), Some(DEADLINE));
    let first = try_append(&log, 10).await.unwrap();
    let hold = |owner: &str| {
        let until = NOON + Duration::from_secs(600);
        LeaseRequest::Hold { owner: owner.into(), want: 64, until, now: NOON }
    };
    let lease = log.lease(hold("one")).await.unwrap()[0];
    proxy.lose(Loss::Always);
    let (query, tokens, limiter) = (Query::default(), log.token_store(), log.rate_limiter());
    let pending = PendingRequest { lease, scope: PendingScope::Partition, after: Seq(0) };
    let (pending, keys) = ([pending], [DocKey::new("snapshot", &"books".into(), "1")]);
    let token = TokenKey::new(&"books".into());
    let costs = [Cost::one(QuotaKey::new("a"), [Quota::Concurrent { limit: 1 }].into())];
    let calls: Vec<(&str, BoxFuture<'_, Result<()>>)> = vec![
        ("commit", log.commit(vec![append(10)], NOON).map_ok(drop).boxed()),
        ("lease", log.lease(hold("one")).map_ok(drop).boxed()),
        ("pending", log.pending(&pending, 10).map_ok(drop).boxed()),
        ("documents", log.documents(&keys).map_ok(drop).boxed()),
        ("query", log.query(&query).map_ok(drop).boxed()),
        ("count", log.count(&query, 10).map_ok(drop).boxed()),
        ("backlog", log.backlog(NOON).map_ok(drop).boxed()),
        ("prune", log.prune(NOON, 10).map_ok(drop).boxed()),
        ("load", tokens.load(&token).map_ok(drop).boxed()),
        ("swap", tokens.swap(&token, None, Some("a".into())).map_ok(drop).boxed()),
        ("admit", limiter.admit(&costs, NOON).map_ok(drop).boxed()),
    ];
    let calls = calls.into_iter().map(async |(name, call)| {
        let answer = tokio::time::timeout(DEADLINE * 2, call).await;
        let error = answer.unwrap_or_else(|_| panic!("{name} goes on")).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
    });
    join_all(calls).await;
    proxy.lose(Loss::Nothing);
    let second = loop {
        if let Ok(seq) = try_append(&log, 10).await {
            break seq;
        }
    };
    let there = seqs(&cluster.open(&options).await).await;
    assert_eq!(there, [first, second], "what was not answered is not there, and it goes on by itself");
}

/// A host that is stopped in the middle of a transaction: the server undoes it, so that others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stands_still_holds_nobody_up_for_long() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    let proxy = Proxy::start(cluster.socket());
    let frozen = fresh().with_schema(options.schema.clone()).with_deadline(Duration::from_secs(4));
    let frozen = PostgresLog::connect(&proxy.config(), NoTls, &frozen).await.unwrap();
    let log = cluster.open(&options).await;
    try_append(&frozen, 10).await.unwrap();
    proxy.lose(Loss::Everything);
    let stuck = tokio::spawn(async move { frozen.commit(vec![append(10)], NOON).await });
    proxy.is_silent().await;
    // The same partition, whose lock the other has.
    try_append(&log, 10).await.unwrap();
    assert!(stuck.await.unwrap().is_err(), "and the other knows that it failed");
    assert_eq!(seqs(&log).await.len(), 2);
}
