//! A host that stands still between the beginning of an attempt and its post, and wakes up when another has its work.

use ml_connector_core::{
    AuditLog, HttpTransport,
    audit::{EntryKind, Outcome, Query},
    http::{Limits, ReqwestTransport},
};
use ml_connector_sql::PostgresOptions;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tempfile::TempDir;

use super::{
    PATIENCE,
    cluster::{cluster, fresh},
    host::{Host, Job, books},
    watched::REFUSED,
};
use crate::proof::{Vendor, ledger::webhook_for, pause::Halt};

const RECORD: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_post_of_a_host_that_stood_still_is_prevented_and_its_settlement_is_refused() {
    let Some(cluster) = cluster() else { return };
    let (vendor, address) = Vendor::serve().await;
    let folder = TempDir::new().unwrap();
    let job = Job {
        socket: cluster.socket().to_owned(),
        schema: fresh().schema,
        vendor: address,
        generation: vendor.next_generation(),
        halt: Some(folder.path().join("host")),
    };
    let halt = Halt::beside(job.halt.as_ref().unwrap());
    let paused = Host::start(&job).await;
    let version = vendor.change(RECORD);
    let webhook = webhook_for(&paused.hooks, &books(RECORD), RECORD);
    let told = ReqwestTransport::new().send(webhook, Limits::within(PATIENCE)).await;
    assert!(told.unwrap().status().is_success());
    tokio::time::timeout(PATIENCE, halt.reached()).await.expect("it is about to post");
    let log = cluster.open(&PostgresOptions::default().with_schema(job.schema.clone())).await;
    let delivery = async || {
        let deliveries = Query::of_kind(EntryKind::Delivery);
        let mut found = log.query(&deliveries).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let begun = delivery().await;
    assert!(
        matches!(&begun.outcomes[..], [only] if matches!(only.outcome, Outcome::Begun { attempt: 1, .. }))
    );

    paused.signal(Signal::STOP);
    let pid = paused.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
    assert_eq!(vendor.posts(), [], "it has not posted");
    // What the host sends from now on is counted apart.
    let other = Host::start(&Job { generation: vendor.next_generation(), halt: None, ..job }).await;
    let missing = vendor.missing_after(&[(RECORD, version)], PATIENCE).await;
    assert_eq!(missing, [], "another has taken over");
    let settled = async {
        while !delivery().await.state.is_settled() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it is settled");
    let settled = delivery().await;

    halt.go_on();
    paused.signal(Signal::CONT);
    let line = format!("{REFUSED}{}", settled.seq);
    let refused = async {
        while !paused.said.lock().unwrap().contains(&line) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await;
    let said = paused.said.lock().unwrap().clone();
    refused.unwrap_or_else(|_| panic!("what it has to say about its attempt is refused: {said:?}"));
    paused.stop().await;
    other.stop().await;
    assert_eq!((vendor.posts().len(), vendor.stale()), (1, 0), "it has sent nothing since");
    assert_eq!(delivery().await, settled, "and changed nothing");
}
