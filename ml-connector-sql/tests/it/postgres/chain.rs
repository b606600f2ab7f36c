//! Tamper evidence in a database that hosts share.

use std::sync::Arc;

use futures_util::FutureExt;
use ml_connector_core::{AuditLog, audit::RewriteLog, conformance, encryption::EncryptLog};
use ml_connector_sql::{PostgresLog, PostgresOptions};

use super::cluster::{Cluster, cluster, fresh};
use crate::{
    chain::{self, Store},
    encryption::ring,
    try_append,
};

/// A log in a schema, and how to change that behind its back.
async fn store(cluster: &'static Cluster, options: PostgresOptions) -> Store<PostgresLog> {
    let log = cluster.open(&options.clone().with_chain()).await;
    let schema = format!("\"{}\".", options.schema.replace('"', "\"\""));
    let run = move |sql: &str| {
        let sql = sql.replace('@', &schema);
        async move { cluster.execute(&sql).await }.boxed()
    };
    // Without the option: the schema knows.
    let reopen = move || {
        let options = options.clone();
        async move { cluster.open(&options).await }.boxed()
    };
    let adds = [
        "INSERT INTO @entry (seq, root, part, kind, connection, at) VALUES (999, 999, 0, 1, 'books', 5)",
        "INSERT INTO @outcome (seq, at, what) VALUES (2, 5, 4)",
    ];
    Store { log, run: Box::new(run), reopen: Box::new(reopen), adds }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_behind_its_back_is_found() {
    let Some(cluster) = cluster() else { return };
    chain::what_is_changed_behind_its_back_is_found(async || store(cluster, fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_head_tells_that_the_end_was_cut_off() {
    let Some(cluster) = cluster() else { return };
    chain::a_kept_head_tells_that_the_end_was_cut_off(store(cluster, fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_is_no_break() {
    let Some(cluster) = cluster() else { return };
    chain::what_is_pruned_is_no_break(store(cluster, fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_does_not_break_it() {
    let Some(cluster) = cluster() else { return };
    chain::a_rotation_does_not_break_it(async || store(cluster, fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_encrypted_later_keeps_its_chain() {
    let Some(cluster) = cluster() else { return };
    chain::a_log_that_is_encrypted_later_keeps_its_chain(store(cluster, fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_begin_later() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    let plain = cluster.open(&options).await;
    for _ in 0..3 {
        try_append(&plain, 20).await.unwrap();
    }
    chain::it_can_begin_later(plain, async || store(cluster, options).await).await;
}

// Proves: chain.
#[tokio::test(flavor = "multi_thread")]
async fn it_holds_while_two_hosts_write_and_prune() {
    let Some(cluster) = cluster() else { return };
    let options = fresh().with_chain();
    let (one, two) = (cluster.open(&options).await, cluster.open(&options).await);
    chain::it_holds_under_load(vec![Arc::new(one), Arc::new(two)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_chain_has_every_behavior() {
    let Some(cluster) = cluster() else { return };
    let open = async || cluster.open(&fresh().with_chain()).await;
    conformance::log::all(async || Arc::new(open().await) as Arc<dyn AuditLog>).await;
    conformance::log::all_rewriting(async || Arc::new(open().await) as Arc<dyn RewriteLog>).await;
    conformance::log::all_with_two_handles(async || {
        let options = fresh().with_chain();
        let one = Arc::new(cluster.open(&options).await.encrypted(ring("a")).await.unwrap());
        let two = Arc::new(cluster.open(&options).await.encrypted(ring("a")).await.unwrap());
        conformance::log::Handles { one, two }
    })
    .await;
}
