//! What a host appends in its own transaction.

use ml_connector_core::audit::{Appended, ChainedLog, Committed};
use ml_connector_sql::tokio_postgres::NoTls;

use super::cluster::{cluster, fresh};
use crate::{NOON, append, seqs};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_hosts_and_its_signal_are_there_together_or_not_at_all() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.open(&fresh().with_chain()).await;
    cluster.execute("CREATE TABLE IF NOT EXISTS invoice (id int PRIMARY KEY)").await;
    let (mut client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut written = Vec::new();
    for (id, commits) in [(1, true), (2, false), (3, true)] {
        let transaction = client.transaction().await.unwrap();
        transaction
            .execute_typed(
                "INSERT INTO invoice VALUES ($1)",
                &[(&id, ml_connector_sql::tokio_postgres::types::Type::INT4)],
            )
            .await
            .unwrap();
        let Committed::Applied(appended) = log.append_in(&transaction, append(10), NOON).await.unwrap()
        else {
            panic!("there is nothing to refuse");
        };
        if commits {
            transaction.commit().await.unwrap();
            written.extend(appended.into_iter().map(Appended::seq));
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    assert_eq!(seqs(&log).await, written);
    let verified = log.verify(&[]).await.unwrap();
    assert_eq!((verified.links, verified.broken), (2, vec![]), "each has its link");
    let rows = client.query_typed("SELECT id FROM invoice ORDER BY id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 3]);
}
