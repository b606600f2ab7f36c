use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    AuditLog, TokenStore,
    audit::{NewEntry, Transaction},
    conformance,
    conformance::log::Handles,
    model::Partition,
};

use ml_connector_sql::{
    PostgresLog,
    deadpool_postgres::{Manager, Pool},
    tokio_postgres::NoTls,
};

use super::cluster::{cluster, fresh};
use crate::NOON;

// Proves: duplicates.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_every_behavior() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all(async || Arc::new(cluster.log().await) as Arc<dyn AuditLog>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_the_log() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all_shared(async || Arc::new(cluster.log().await) as Arc<dyn AuditLog>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_keep_to_the_same_log() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all_with_two_handles(async || {
        let options = fresh();
        let one = Arc::new(cluster.open(&options).await);
        Handles { one, two: Arc::new(cluster.open(&options).await) }
    })
    .await;
}

/// The host's pool hears no notifications: what the other appends is found by looking.
#[tokio::test(flavor = "multi_thread")]
async fn two_handles_over_pools_of_the_hosts_keep_to_the_same_log() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all_with_two_handles(async || {
        let options = fresh();
        let open = async || {
            let pool = Pool::builder(Manager::new(cluster.config("postgres"), NoTls)).max_size(8).build();
            Arc::new(PostgresLog::with_pool(pool.unwrap(), &options).await.unwrap())
        };
        Handles { one: open().await, two: open().await }
    })
    .await;
}

/// So that a host reads one work list, and not all of them.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_names_the_partitions_with_news_and_no_others() {
    const MINUTE: Duration = Duration::from_secs(60);
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    let (one, two) = (cluster.open(&options).await, cluster.open(&options).await);
    let all: Vec<Partition> = Partition::all().collect();
    // At first everything may be news.
    while !one.wait(&all, Duration::from_secs(3)).await.unwrap().is_empty() {}
    let signal = |part| NewEntry { partition: Partition::new(part), ..crate::signal("{}".into()) };
    let writing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let append = vec![signal(5), signal(41)];
        two.commit(vec![Transaction { append, ..Transaction::default() }], NOON).await.unwrap();
    };
    let (news, ()) = tokio::join!(one.wait(&all, MINUTE), writing);
    assert_eq!(news.unwrap(), [5, 41].map(Partition::new));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_survives_reopening() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    conformance::log::survives_reopening(async || {
        Arc::new(cluster.open(&options).await) as Arc<dyn AuditLog>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_have_every_behavior() {
    let Some(cluster) = cluster() else { return };
    conformance::tokens::all(async || Arc::new(cluster.log().await.token_store()) as Arc<dyn TokenStore>)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_survive_reopening() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    conformance::tokens::survives_reopening(async || {
        Arc::new(cluster.open(&options).await.token_store()) as Arc<dyn TokenStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_has_every_behavior() {
    let Some(cluster) = cluster() else { return };
    for (name, check) in conformance::limiter::BEHAVIORS {
        println!("{name}");
        check(&cluster.log().await.rate_limiter()).await;
    }
}

/// Two hosts count in one place.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_host_spends_counts_at_the_other() {
    let Some(cluster) = cluster() else { return };
    for (name, check) in conformance::limiter::HAND_OVER_BEHAVIORS {
        let options = fresh();
        let (first, next) = (cluster.open(&options).await, cluster.open(&options).await);
        let hosts = conformance::limiter::Hosts {
            first: Arc::new(first.rate_limiter()),
            next: Arc::new(next.rate_limiter()),
        };
        println!("{name}");
        check(&hosts).await;
    }
}
