//! Several hosts with one Postgres: one is killed, one stands still beyond its lease, one after the other is replaced. No
//! acknowledged change is lost, and nothing is posted twice.

#[path = "../../../ml-connector-sql/tests/it/postgres/cluster.rs"]
#[allow(dead_code)] // of the helpers, the store's own tests use more
mod cluster;
mod host;
mod paused;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ml_connector_core::{
    AuditLog, Clock, Connector, ErrorKind, HttpTransport, SystemClock,
    audit::{EntryKind, EntryState, Outcome, Query},
    engine::Act,
    http::{Limits, ReqwestTransport},
};
use ml_connector_sql::{PostgresLog, PostgresOptions};
use rustix::process::Signal;
use tokio::task::JoinSet;

use self::{
    cluster::{Cluster, cluster, fresh},
    host::{DEADLINE, Host, Job, LEASE, PAIRS, books},
};
use crate::proof::{
    Dice, Post, Vendor,
    ledger::{settings, webhook_for},
};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
const RECORDS: u64 = 64;
const SENDERS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hosts_one_stands_still_beyond_its_lease_and_then_the_other_is_killed() {
    let Some(mut world) = World::with_hosts(2).await else { return };
    world.work(80).await;
    world.pause(0).await;
    world.kill(1).await;
    world.work(40).await;
    world.check().await;
}

// Proves: hosts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_hosts_one_is_killed_and_one_stands_still_beyond_its_lease() {
    let Some(mut world) = World::with_hosts(4).await else { return };
    world.work(80).await;
    world.kill(3).await;
    world.pause(0).await;
    world.work(40).await;
    world.check().await;
}

/// Each host is replaced by a new one: webhooks are taken all the time.
// Proves: hosts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_refuses_no_webhook() {
    let Some(mut world) = World::with_hosts(2).await else { return };
    for _ in 0..2 {
        world.work(40).await;
        world.add_host().await;
        let old = world.remove_host(0);
        old.stop().await;
    }
    world.work(40).await;
    assert_eq!(world.traffic.refused.load(Ordering::SeqCst), 0, "one host took what another could not");
    world.check().await;
}

/// Once as somebody stops the server, and once as it crashes. Hosts go on by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_webhooks_are_refused_with_503_and_nothing_is_lost() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    // It ends with this process.
    let world = World::on(Box::leak(Box::new(cluster)), 2).await;
    for how in ["fast", "immediate"] {
        world.work(40).await;
        world.server_is_away(how).await;
    }
    world.work(40).await;
    let answers = world.traffic.answers.lock().unwrap().clone();
    assert_eq!(answers.into_keys().collect::<Vec<_>>(), [503], "the vendor is told to come again");
    world.check().await;
}

/// Whoever waits for the log for longer than the lease lasts has lost the partition before it hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_calls_may_outlast_the_lease_is_refused() {
    let Some(cluster) = cluster() else { return };
    for (deadline, is_refused) in [(8_000, true), (7_000, false)] {
        let options = fresh().with_deadline(Duration::from_millis(deadline));
        let builder = Connector::builder().audit_log(cluster.open(&options).await);
        let built = builder.settings(settings(Duration::from_secs(15))).build();
        assert_eq!(built.is_err(), is_refused, "{deadline} ms");
        if let Err(error) = built {
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert_eq!(error.context("deadline_ms"), Some("8000"), "{error}");
        }
    }
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
    /// How often hosts answered otherwise than that they took one; 0 = not at all.
    answers: Mutex<BTreeMap<u16, usize>>,
    stopped: AtomicBool,
}

impl World {
    async fn with_hosts(count: usize) -> Option<Self> {
        Some(Self::on(cluster()?, count).await)
    }

    async fn on(cluster: &'static Cluster, count: usize) -> Self {
        let (vendor, address) = Vendor::serve().await;
        let job = Job {
            socket: cluster.socket().to_owned(),
            schema: fresh().schema,
            vendor: address,
            generation: vendor.next_generation(),
            halt: None,
        };
        let traffic = Arc::new(Traffic::default());
        let mut world = Self { cluster, vendor, job, hosts: Vec::new(), traffic, senders: JoinSet::new() };
        for _ in 0..count {
            world.add_host().await;
        }
        for seed in 0..SENDERS {
            world.senders.spawn(send(Arc::clone(&world.vendor), Arc::clone(&world.traffic), seed));
        }
        world
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

    /// Lets the hosts work until so many more changes were acknowledged, however busy the machine is.
    async fn work(&self, changes: usize) {
        let acknowledged = || self.traffic.acknowledged.lock().unwrap().len();
        let enough = acknowledged() + changes;
        let working = async {
            while acknowledged() < enough {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, working).await.expect("webhooks are taken");
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

    /// Stops the server under load for longer than any call waits for it, and starts it again.
    async fn server_is_away(&self, how: &'static str) {
        let cluster = self.cluster;
        let control = async |act: fn(&Cluster, &str)| {
            tokio::task::spawn_blocking(move || act(cluster, how)).await.unwrap();
        };
        let (refused, acknowledged) = (
            || self.traffic.refused.load(Ordering::SeqCst),
            || self.traffic.acknowledged.lock().unwrap().len(),
        );
        let before = refused();
        control(|cluster, how| cluster.stop_server(how)).await;
        tokio::time::sleep(DEADLINE * 3).await;
        assert!(refused() > before, "nothing can be stored");
        let taken = acknowledged();
        control(|cluster, _| cluster.start_server()).await;
        let back = SystemClock.now();
        let again = async {
            while acknowledged() == taken {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("webhooks are taken again by themselves");
        println!(
            "server stopped ({how}): {} webhooks refused meanwhile, taken again after {:?}",
            refused() - before,
            SystemClock.now().saturating_since(back)
        );
    }

    /// Everything that was acknowledged is posted once and in order, and settled once with the receipt of its post.
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
        questions(log.clone(), &self.vendor.posts()).await;
        assert_eq!(self.vendor.repeated(), [], "nothing was posted twice");
        let mut latest = BTreeMap::new();
        for post in self.vendor.posts() {
            let before = latest.insert(post.record, post.version);
            assert!(
                before < Some(post.version),
                "{before:?} of record {} came before: {post:?}",
                post.record
            );
        }
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
            "acknowledged={} posts={} in_order={} found_by_lookup={} refused={}",
            acknowledged.len(),
            posted.len(),
            latest.len(),
            self.vendor.found(),
            self.traffic.refused.load(Ordering::SeqCst)
        );
    }
}

/// What an operator asks is answered from the log of all hosts, whichever of them did the work.
async fn questions(log: PostgresLog, posts: &[Post]) {
    let operator = Connector::builder().audit_log(log).build().unwrap();
    let done = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Done);
    assert_eq!(operator.count(&done, 1_000_000).await.unwrap(), posts.len());
    let waiting = operator.backlog().await.unwrap();
    assert!(waiting.iter().all(|row| row.kind != EntryKind::Delivery), "{waiting:?}");
    let post = &posts[posts.len() / 2];
    let found = operator.search(&Query::default().with_receipt(&*post.delivery)).await.unwrap();
    let [delivery] = &found[..] else { panic!("{post:?} is {found:?}") };
    let story = operator.explain(delivery.seq).await.unwrap().to_string();
    assert!(story.contains(&*post.delivery), "{story}");
    let mut delivered = 0;
    for pair in 0..PAIRS {
        let history = operator.history(&format!("board-{pair}").into()).await.unwrap();
        delivered += history.hours.iter().map(|hour| hour.tally.delivered).sum::<u64>();
    }
    assert!(delivered > 0, "hosts write down what they have done");
    let act = Act::Resume { connection: "board-0".into() };
    let acted = operator.act("anna", act).await.unwrap();
    let acts = operator.search(&Query::of_kind(EntryKind::Act)).await.unwrap();
    assert!(acts.iter().any(|act| act.seq == acted.act && act.state == EntryState::Done), "{acts:?}");
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
            let status = answer.map_or(0, |answer| answer.status().as_u16());
            taken = status == 200;
            if !taken {
                *traffic.answers.lock().unwrap().entry(status).or_default() += 1;
            }
            if taken {
                traffic.acknowledged.lock().unwrap().push((record, version));
                break;
            }
        }
        traffic.refused.fetch_add(usize::from(!taken), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
