//! What a host appends in its own transaction.

use std::time::Duration;

use ml_connector_core::{
    AuditLog, ErrorKind, Money, Result,
    audit::{
        Appended, ChainedLog, Committed, DocKey, DocumentWrite, Expected, NewEntry, Outcome, Query,
        Settlement, Transaction,
    },
    encryption::EncryptLog,
    model::{DedupeKey, EntityRef, Seq},
};
use ml_connector_sql::{
    PostgresLog,
    deadpool_postgres::{Manager, Pool},
    tokio_postgres::{self, Client, NoTls},
};

use super::cluster::{Cluster, cluster, fresh};
use crate::{NOON, append, encryption::ring, seqs, signal, try_append};

async fn client(cluster: &Cluster) -> Client {
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_hosts_and_its_signal_are_there_together_or_not_at_all() {
    let Some(cluster) = cluster() else { return };
    let log = cluster.open(&fresh().with_chain()).await;
    cluster.execute("CREATE TABLE IF NOT EXISTS invoice (id int PRIMARY KEY)").await;
    let mut client = client(cluster).await;
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

/// Everything that a host can append, one kind each: whatever it is, it says something.
fn kinds_of_transactions(waiting: Seq) -> Vec<Transaction> {
    let bare = |change: fn(&mut NewEntry)| {
        let mut entry = NewEntry { body: None, ..signal("".into()) };
        change(&mut entry);
        Transaction { append: vec![entry], ..Transaction::default() }
    };
    let document = |value: Option<&'static str>| {
        let key = DocKey::new("snapshot", &"books".into(), "1");
        let write = DocumentWrite { key, expected: Expected::Any, value: value.map(Into::into) };
        Transaction { documents: vec![write], ..Transaction::default() }
    };
    let settled =
        |outcome| Transaction { settle: vec![Settlement::new(waiting, outcome)], ..Transaction::default() };
    vec![
        append(10),
        bare(|_| {}),
        bare(|entry| entry.index.entity = Some(EntityRef::new("invoice", "1"))),
        bare(|entry| entry.index.number = Some("INV-1".into())),
        bare(|entry| entry.index.destination = Some("C1".into())),
        bare(|entry| entry.index.amount = Some(Money::parse("4711.50", "EUR").unwrap())),
        bare(|entry| entry.trace = Some("{}".into())),
        bare(|entry| entry.dedupe = Some(DedupeKey::from("zoho_books/1"))),
        bare(|entry| (entry.lane, entry.dead) = (None, Some("refused".into()))),
        document(Some("{}")),
        document(None),
        settled(Outcome::Begun { attempt: 1, note: Some("a".into()) }),
        settled(Outcome::Dead { error: "gone".into() }),
    ]
}

/// The host goes on with its own rows, whatever becomes of the log's.
async fn within_a_transaction(
    client: &mut Client,
    append: impl AsyncFnOnce(&tokio_postgres::Transaction<'_>) -> Result<Committed>,
) -> Result<Committed> {
    let transaction = client.transaction().await.unwrap();
    let committed = append(&transaction).await;
    transaction.commit().await.unwrap();
    committed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_log_takes_what_is_sealed_and_nothing_else() {
    let Some(cluster) = cluster() else { return };
    let stored = cluster.log().await;
    let log = stored.clone().encrypted(ring("a")).await.unwrap();
    let mut client = client(cluster).await;
    let waiting = try_append(&log, 10).await.unwrap();
    let everything = Query::default().with_bodies().with_limit(1000);
    let before = log.query(&everything).await.unwrap();
    for (kind, clear) in kinds_of_transactions(waiting).into_iter().enumerate() {
        let appended =
            within_a_transaction(&mut client, async |host| stored.append_in(host, clear, NOON).await).await;
        let error = appended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{kind}: {error}");
        assert!(error.message().contains("append_sealed_in"), "{kind}: {error}");
    }
    assert_eq!(log.query(&everything).await.unwrap(), before, "nothing of it is there");

    for clear in kinds_of_transactions(waiting) {
        let sealed = log.sealed(clear).await.unwrap();
        let appended =
            within_a_transaction(&mut client, async |host| stored.append_sealed_in(host, sealed, NOON).await);
        assert!(matches!(appended.await.unwrap(), Committed::Applied(_)));
    }
    let found = log.query(&everything).await.unwrap();
    assert_eq!(found.len(), before.len() + 9, "all of it is there and readable");
    assert_eq!(found[0].outcomes.len(), 2, "what the host has settled is settled");
    for wanted in [
        Query::default().with_entity(EntityRef::new("invoice", "1")),
        Query::default().with_number("INV-1"),
        Query::default().with_destination("C1"),
        Query::default().with_error("refused"),
    ] {
        assert_eq!(log.query(&wanted).await.unwrap().len(), 1, "{wanted:?}");
    }
    assert!(found.iter().any(|entry| entry.index.amount.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_clear_takes_nothing_that_is_sealed_for_another() {
    let Some(cluster) = cluster() else { return };
    let (clear, other) = (cluster.log().await, cluster.log().await.encrypted(ring("a")).await.unwrap());
    let sealed = other.sealed(append(10)).await.unwrap();
    let mut client = client(cluster).await;
    let appended =
        within_a_transaction(&mut client, async |host| clear.append_sealed_in(host, sealed, NOON).await);
    assert_eq!(appended.await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    assert_eq!(seqs(&clear).await, []);
}

/// So that hosts which have taken all of a pool's connections do not wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn appending_takes_no_connection_beside_the_hosts() {
    let Some(cluster) = cluster() else { return };
    let pool = Pool::builder(Manager::new(cluster.config("postgres"), NoTls)).max_size(1).build().unwrap();
    let options = fresh().with_deadline(Duration::from_secs(20));
    let log = PostgresLog::with_pool(pool.clone(), &options).await.unwrap();
    let mut only = pool.get().await.unwrap();
    let appended = within_a_transaction(&mut only, async |host| log.append_in(host, append(10), NOON).await);
    assert!(matches!(appended.await.unwrap(), Committed::Applied(_)));
    drop(only);
    assert_eq!(seqs(&log).await.len(), 1);
}
