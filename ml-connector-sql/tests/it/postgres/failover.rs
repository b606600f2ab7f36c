//! A primary that dies, and a standby that takes its place.

use std::time::Duration;

use ml_connector_core::{AuditLog, Effect, ErrorKind, audit::Query};
use ml_connector_sql::{
    PostgresLog,
    tokio_postgres::{Config, NoTls, config::TargetSessionAttrs},
};

use super::cluster::{Cluster, fresh};
use crate::{seqs, try_append};

/// Longer than any promotion takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_the_log_goes_on_at_the_new_primary() {
    let Some(primary) = Cluster::start(&[]) else { return };
    let standby = primary.standby();
    // What is committed is on the standby as well.
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    primary.execute("SELECT pg_reload_conf()").await;
    let mut both = Config::new();
    both.host_path(primary.socket()).host_path(standby.socket()).user("postgres").dbname("postgres");
    let options = fresh().with_deadline(Duration::from_secs(4));

    let mut only_standby = standby.config("postgres");
    let refused = PostgresLog::connect(&only_standby, NoTls, &options).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "a standby does not write: {refused}");
    only_standby.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let refused = PostgresLog::connect(&only_standby, NoTls, &options).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");

    both.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let log = PostgresLog::connect(&both, NoTls, &options).await.unwrap();
    let mut written = Vec::new();
    for _ in 0..20 {
        written.push(try_append(&log, 10).await.unwrap());
    }
    primary.stop_server("immediate");
    let error = try_append(&log, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
    standby.promote();
    let again = async {
        loop {
            if let Ok(seq) = try_append(&log, 10).await {
                return seq;
            }
        }
    };
    let next = tokio::time::timeout(PATIENCE, again).await.expect("it finds the new primary by itself");
    written.push(next);
    assert_eq!(seqs(&log).await, written, "what was answered is there, and nothing else");
    assert_eq!(log.count(&Query::default(), 100).await.unwrap(), written.len());
}
