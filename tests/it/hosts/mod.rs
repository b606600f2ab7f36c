//! Several hosts with one Postgres: one is killed, one stands still beyond its lease, one after the other is replaced. No
//! acknowledged change is lost, and nothing is posted twice.

#[path = "../../../ml-connector-sql/tests/it/postgres/cluster.rs"]
#[allow(dead_code)] // of the helpers, the store's own tests use more
mod cluster;
mod host;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ml_connector_core::{
    AuditLog, Clock, HttpTransport, SystemClock,
    audit::{EntryKind, EntryState, Outcome, Query},
    http::{Limits, ReqwestTransport},
};
use ml_connector_sql::PostgresOptions;
use rustix::process::Signal;
use tokio::task::JoinSet;

use self::{
    cluster::{Cluster, cluster, fresh},
    host::{Host, Job, LEASE, books},
};
use crate::proof::{Dice, Vendor, ledger::webhook_for};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
const RECORDS: u64 = 64;
const SENDERS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hosts_one_stands_still_beyond_its_lease_and_then_the_other_is_killed() {
    let Some(mut world) = World::with_hosts(2).await else { return };
    world.work_for(Duration::from_secs(3)).await;
    world.pause(0).await;
    world.kill(1).await;
    world.work_for(Duration::from_secs(2)).await;
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_hosts_one_is_killed_and_one_stands_still_beyond_its_lease() {
    let Some(mut world) = World::with_hosts(4).await else { return };
    world.work_for(Duration::from_secs(3)).await;
    world.kill(3).await;
    world.pause(0).await;
    world.work_for(Duration::from_secs(2)).await;
    world.check().await;
}

/// Each host is replaced by a new one: webhooks are taken all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_refuses_no_webhook() {
    let Some(mut world) = World::with_hosts(2).await else { return };
    for _ in 0..2 {
        world.work_for(Duration::from_secs(2)).await;
        world.add_host().await;
        let old = world.remove_host(0);
        old.stop().await;
    }
    world.work_for(Duration::from_secs(2)).await;
    assert_eq!(world.traffic.refused.load(Ordering::SeqCst), 0, "one host took what another could not");
    world.check().await;
}

/// A vendor, a database, hosts, and the webhooks that were acknowledged.
struct World {
    cluster: &'static Cluster,
    vendor: Arc<Vendor>,
    job: Job,
    hosts: Vec<Host>,
    traffic: Arc<Traffic>,
    senders: JoinSet<()>,
}

/// What senders of webhooks know.
#[derive(Default)]
struct Traffic {
    /// The hosts that a load balancer would choose from.
    hooks: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<(u64, u64)>>,
    /// Webhooks that no host took.
    refused: AtomicUsize,
    stopped: AtomicBool,
}

impl World {
    async fn with_hosts(count: usize) -> Option<Self> {
        let cluster = cluster()?;
        let (vendor, address) = Vendor::serve().await;
        let job = Job {
            socket: cluster.socket().to_owned(),
            schema: fresh().schema,
            vendor: address,
            generation: vendor.next_generation(),
        };
        let traffic = Arc::new(Traffic::default());
        let mut world = Self { cluster, vendor, job, hosts: Vec::new(), traffic, senders: JoinSet::new() };
        for _ in 0..count {
            world.add_host().await;
        }
        for seed in 0..SENDERS {
            world.senders.spawn(send(Arc::clone(&world.vendor), Arc::clone(&world.traffic), seed));
        }
        Some(world)
    }

    async fn add_host(&mut self) {
        let host = Host::start(&self.job).await;
        self.traffic.hooks.lock().unwrap().push(host.hooks.clone());
        self.hosts.push(host);
    }

    /// No webhook goes to this host any more.
    fn remove_host(&mut self, place: usize) -> Host {
        let host = self.hosts.remove(place);
        self.traffic.hooks.lock().unwrap().retain(|hooks| *hooks != host.hooks);
        host
    }

    async fn work_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Kills a host, and waits until another has taken over what it held.
    async fn kill(&mut self, place: usize) {
        let mut host = self.remove_host(place);
        host.process.start_kill().unwrap();
        host.process.wait().await.unwrap();
        let began = SystemClock.now();
        let before = self.traffic.acknowledged.lock().unwrap().clone();
        let missing = self.vendor.missing_after(&before, PATIENCE).await;
        assert_eq!(missing, [], "others do what the killed host had to");
        println!(
            "taken over within {:?} after the kill, with a lease of {LEASE:?}",
            SystemClock.now().saturating_since(began)
        );
    }

    /// Stops a host in the middle of its work until another has its partitions, and lets it go on.
    async fn pause(&mut self, place: usize) {
        let host = &self.hosts[place];
        let is_its = |hooks: &String| *hooks == host.hooks;
        self.traffic.hooks.lock().unwrap().retain(|hooks| !is_its(hooks));
        host.signal(Signal::STOP);
        let before = self.traffic.acknowledged.lock().unwrap().clone();
        tokio::time::sleep(LEASE * 2).await;
        let missing = self.vendor.missing_after(&before, PATIENCE).await;
        assert_eq!(missing, [], "others do what the host that stands still had to");
        host.signal(Signal::CONT);
        self.traffic.hooks.lock().unwrap().push(host.hooks.clone());
        tokio::time::sleep(LEASE / 2).await;
    }

    /// Everything that was acknowledged is posted once, and settled once with the receipt of its post.
    async fn check(mut self) {
        self.traffic.stopped.store(true, Ordering::SeqCst);
        while self.senders.join_next().await.is_some() {}
        let acknowledged = self.traffic.acknowledged.lock().unwrap().clone();
        assert!(acknowledged.len() > 100, "the hosts had something to do: {}", acknowledged.len());
        let missing = self.vendor.missing_after(&acknowledged, PATIENCE).await;
        assert_eq!(missing, [], "every acknowledged change was posted");
        let options = PostgresOptions::default().with_schema(self.job.schema.clone());
        let log = self.cluster.open(&options).await;
        let settled = async {
            let pending = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Pending);
            while log.count(&pending, 1).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("everything is settled in the end");
        for host in self.hosts {
            host.stop().await;
        }
        assert_eq!(self.vendor.repeated(), [], "nothing was posted twice");
        let deliveries = log.query(&Query::of_kind(EntryKind::Delivery).with_limit(1_000_000)).await.unwrap();
        let mut receipts = BTreeSet::new();
        for delivery in &deliveries {
            let settled =
                delivery.outcomes.iter().filter(|it| it.outcome.state().is_some_and(EntryState::is_settled));
            assert_eq!(settled.count(), 1, "{delivery:?}");
            let Some(Outcome::Done { receipt: Some(receipt) }) =
                delivery.outcomes.last().map(|it| &it.outcome)
            else {
                panic!("{delivery:?}")
            };
            assert!(receipts.insert(receipt.to_string()), "{delivery:?}");
        }
        let posted: BTreeSet<String> = self.vendor.posts().into_iter().map(|post| post.delivery).collect();
        assert_eq!(receipts, posted, "every post is in the log, and nothing else");
        println!(
            "acknowledged={} posts={} found_by_lookup={} refused={}",
            acknowledged.len(),
            posted.len(),
            self.vendor.found(),
            self.traffic.refused.load(Ordering::SeqCst)
        );
    }
}

/// Changes records and sends webhooks about it, to the next host when one does not take it.
async fn send(vendor: Arc<Vendor>, traffic: Arc<Traffic>, seed: u64) {
    let transport = ReqwestTransport::new();
    let mut dice = Dice::new(seed);
    while !traffic.stopped.load(Ordering::SeqCst) {
        let record = dice.below(RECORDS);
        let version = vendor.change(record);
        let mut hooks = traffic.hooks.lock().unwrap().clone();
        let first = usize::try_from(dice.below(hooks.len() as u64)).unwrap();
        hooks.rotate_left(first);
        let mut taken = false;
        for hooks in hooks {
            let request = webhook_for(&hooks, &books(record), record);
            let answer = transport.send(request, Limits::within(Duration::from_secs(20))).await;
            taken = answer.is_ok_and(|answer| answer.status().is_success());
            if taken {
                traffic.acknowledged.lock().unwrap().push((record, version));
                break;
            }
        }
        traffic.refused.fetch_add(usize::from(!taken), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
