//! An encrypted log in a database: what the database holds, byte by byte, and what happens to it.

use std::sync::Arc;

use ml_connector_core::{
    AuditLog, TokenStore,
    audit::RewriteLog,
    conformance,
    encryption::{EncryptLog, EncryptTokens},
};

use super::cluster::{Cluster, cluster, fresh};
use crate::encryption::{self, found_in, ring, what_was_clear_is_encrypted_as_a_whole, write};

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_form_can_be_replaced() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all_rewriting(async || Arc::new(cluster.log().await) as Arc<dyn RewriteLog>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_encrypted_log_has_every_behavior() {
    let Some(cluster) = cluster() else { return };
    conformance::log::all(async || {
        Arc::new(cluster.log().await.encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>
    })
    .await;
    conformance::tokens::all(async || {
        Arc::new(cluster.log().await.token_store().encrypted(ring("a"))) as Arc<dyn TokenStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_the_encrypted_log() {
    let Some(cluster) = cluster() else { return };
    let open =
        async || Arc::new(cluster.log().await.encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>;
    conformance::log::all_shared(open).await;
    conformance::log::all_with_two_handles(async || {
        let options = fresh();
        let one = Arc::new(cluster.open(&options).await.encrypted(ring("a")).await.unwrap());
        let two = Arc::new(cluster.open(&options).await.encrypted(ring("a")).await.unwrap());
        conformance::log::Handles { one, two }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_encrypted_log_survives_reopening() {
    let Some(cluster) = cluster() else { return };
    let options = fresh();
    conformance::log::survives_reopening(async || {
        Arc::new(cluster.open(&options).await.encrypted(ring("a")).await.unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_the_data_directory_says_what_is_stored() {
    for encrypted in [false, true] {
        let Some(cluster) = Cluster::start(&["log_min_duration_statement = 0"]) else { return };
        let log = cluster.log().await;
        let tokens = log.token_store();
        if encrypted {
            let log = log.encrypted(ring("a")).await.unwrap();
            write(&log, &tokens.encrypted(ring("a"))).await;
        } else {
            write(&log, &tokens).await;
        }
        // Once in the write-ahead log, and once in the tables. The server's own log is there, too.
        for when in ["written", "checkpointed"] {
            let found = found_in(cluster.socket());
            assert_eq!(found.is_empty(), encrypted, "{when}: {found:?}");
            cluster.execute("CHECKPOINT").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_clear_are_encrypted_as_a_whole() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let log = cluster.log().await;
    let tokens = log.token_store();
    what_was_clear_is_encrypted_as_a_whole(log, tokens).await;
    // Postgres keeps what was replaced until the table is written anew; its write-ahead log for longer.
    cluster.execute("VACUUM FULL").await;
    cluster.execute("CHECKPOINT").await;
    assert_eq!(found_in(&cluster.data().join("base")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_nothing() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.log().await;
    encryption::a_rotation_under_load_loses_nothing(log.clone(), log.token_store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_named() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.log().await;
    encryption::a_revoked_key_is_named(log.clone(), log.token_store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_or_changed_is_refused() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.log().await;
    encryption::what_was_moved_or_changed_is_refused(log.clone(), log.token_store()).await;
}
