//! Lives and deaths of the process, and what has to be true after them.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ml_connector_core::{
    AuditLog, HttpTransport, Repeat,
    audit::{EntryKind, EntryState, Outcome, Query},
    http::{Limits, ReqwestTransport},
};
use ml_connector_sql::SqliteLog;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{
    Dice, Vendor,
    host::{FailPoint, Job},
    ledger::webhook,
    pause::{Halt, pause},
};

/// How many senders of webhooks there are, and between how many records they choose.
const SENDERS: u64 = 3;
const RECORDS: u64 = 40;
/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A vendor, a database, and the webhooks that were acknowledged.
pub(crate) struct World {
    pub(crate) vendor: Arc<Vendor>,
    pub(crate) directory: TempDir,
    pub(crate) repeat: Repeat,
    pub(crate) answers_early: bool,
    /// More for the environment of the process.
    pub(crate) environment: Vec<(String, String)>,
    address: SocketAddr,
    acknowledged: Vec<(u64, u64)>,
    seed: u64,
}

/// How a life ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Death {
    /// Killed from outside after a time.
    After(Duration),
    /// Kills itself.
    At(FailPoint),
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let (vendor, address) = Vendor::serve().await;
        Self {
            vendor,
            directory: TempDir::new().unwrap(),
            repeat: Repeat::AfterLookup,
            answers_early: false,
            environment: Vec::new(),
            address,
            acknowledged: Vec::new(),
            seed,
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("connector.db")
    }

    /// How many webhooks were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Starts the process, sends webhooks until it is dead, and remembers which were acknowledged.
    pub(crate) async fn live_and_die(&mut self, death: Death) {
        let fail_point = match death {
            Death::At(point) => Some(point),
            Death::After(_) => None,
        };
        let (mut process, hooks) = self.start(fail_point).await;
        let hooks = hooks.unwrap_or_else(|| "http://127.0.0.1:1".to_owned());
        // Waiting would close its input, and so ask it to stop.
        let _input = process.stdin.take();
        let seed = self.next_seed();
        let senders = Senders::start(&self.vendor, &hooks, seed);
        match death {
            Death::After(time) => {
                tokio::time::sleep(time).await;
                process.start_kill().unwrap();
            }
            Death::At(_) => {}
        }
        let status = tokio::time::timeout(PATIENCE, process.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the process did not die: {death:?}")).unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "the process ended by itself: {status}");
        self.acknowledged.extend(senders.stop().await);
    }

    /// A process is paused right before its first post; another takes over, and posts; then the first goes on, and is asked to
    /// end.
    pub(crate) async fn pause_over_a_take_over(&mut self) {
        let (mut paused, hooks) = self.start(Some(FailPoint::HaltsBeforePost(1))).await;
        let version = self.vendor.change(1);
        let told = ReqwestTransport::new().send(webhook(&hooks.unwrap(), 1), Limits::within(PATIENCE)).await;
        assert!(told.unwrap().status().is_success());
        self.acknowledged.push((1, version));
        let halt = Halt::beside(&self.database());
        tokio::time::timeout(PATIENCE, halt.reached()).await.expect("it is about to post");
        let pid = Pid::from_raw(i32::try_from(paused.id().unwrap()).unwrap()).unwrap();
        pause(pid, &self.database()).await;
        assert_eq!(self.vendor.posts(), [], "it has not posted");
        let (mut other, _) = self.start(None).await;
        let missing = self.vendor.missing_after(&self.acknowledged, PATIENCE).await;
        assert_eq!(missing, [], "another has taken over");
        halt.go_on();
        kill_process(pid, Signal::CONT).unwrap();
        for process in [&mut paused, &mut other] {
            drop(process.stdin.take());
            let status = tokio::time::timeout(PATIENCE, process.wait()).await;
            assert!(status.expect("the process stops when it is asked to").unwrap().success());
        }
    }

    /// Lets a process do what is left. Returns the acknowledged changes of which no post tells.
    pub(crate) async fn drain(&mut self, patience: Duration) -> Vec<(u64, u64)> {
        let (mut process, _) = self.start(None).await;
        let missing = self.vendor.missing_after(&self.acknowledged, patience).await;
        let log = SqliteLog::open(self.database()).unwrap();
        let settled = async {
            // What the connector looks after by itself, such as subscriptions, goes on for ever.
            let pending = Query::default().with_state(EntryState::Pending).with_limit(1000);
            while log.query(&pending).await.unwrap().iter().any(|entry| entry.index.entity.is_some()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("everything is settled in the end");
        drop(process.stdin.take());
        let status = tokio::time::timeout(PATIENCE, process.wait()).await;
        assert!(status.expect("the process stops when it is asked to").unwrap().success());
        missing
    }

    /// What the log says: every delivery was settled once and last, with the receipt of its only post.
    pub(crate) async fn check_log(&self) {
        let log = SqliteLog::open(self.database()).unwrap();
        let deliveries = log.query(&Query::of_kind(EntryKind::Delivery).with_limit(1_000_000)).await.unwrap();
        let mut receipts = BTreeSet::new();
        for delivery in &deliveries {
            let settled: Vec<_> = delivery
                .outcomes
                .iter()
                .filter(|recorded| recorded.outcome.state().is_some_and(EntryState::is_settled))
                .collect();
            assert_eq!(settled.len(), 1, "{delivery:?}");
            let last = delivery.outcomes.last().map(|recorded| &recorded.outcome);
            let Some(Outcome::Done { receipt: Some(receipt) }) = last else { panic!("{delivery:?}") };
            assert!(receipts.insert(receipt.to_string()), "{delivery:?}");
        }
        let posted: BTreeSet<String> = self.vendor.posts().into_iter().map(|post| post.delivery).collect();
        assert_eq!(receipts, posted, "every post is in the log, and nothing else");
    }

    /// Starts the process. The second is where it takes webhooks, if it lives that long.
    async fn start(&mut self, fail_point: Option<FailPoint>) -> (Child, Option<String>) {
        let job = Job {
            database: self.database(),
            vendor: self.address,
            generation: self.vendor.next_generation(),
            fail_point,
            repeat: self.repeat,
            answers_early: self.answers_early,
        };
        let mut process = Command::from(job.command())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let listens = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = line.strip_prefix("listens on ") {
                    return Some(format!("http://{address}/hooks"));
                }
            }
            None
        };
        let hooks = tokio::time::timeout(PATIENCE, listens).await.expect("the process starts or dies");
        // Whatever it says later must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        (process, hooks)
    }

    fn next_seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }
}

/// Tasks that change records and send webhooks about it.
struct Senders {
    tasks: tokio::task::JoinSet<()>,
    acknowledged: Arc<Mutex<Vec<(u64, u64)>>>,
    stopped: Arc<AtomicBool>,
}

impl Senders {
    fn start(vendor: &Arc<Vendor>, hooks: &str, seed: u64) -> Self {
        let (acknowledged, stopped) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let mut tasks = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let (vendor, hooks) = (Arc::clone(vendor), hooks.to_owned());
            let (acknowledged, stopped) = (Arc::clone(&acknowledged), Arc::clone(&stopped));
            tasks.spawn(async move {
                let transport = ReqwestTransport::new();
                let mut dice = Dice::new(seed << 8 | sender);
                while !stopped.load(Ordering::SeqCst) {
                    let record = dice.below(RECORDS);
                    let version = vendor.change(record);
                    let sent =
                        transport.send(webhook(&hooks, record), Limits::within(Duration::from_secs(5))).await;
                    match sent {
                        Ok(answer) if answer.status().is_success() => {
                            acknowledged.lock().unwrap().push((record, version));
                        }
                        // Refused, or the process is dead: nothing was promised.
                        _ => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            });
        }
        Self { tasks, acknowledged, stopped }
    }

    async fn stop(mut self) -> Vec<(u64, u64)> {
        self.stopped.store(true, Ordering::SeqCst);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

/// Replaces the files of a directory by those of another. Hidden ones are nobody's.
pub(crate) fn restore(directory: &Path, from: &Path) {
    for file in std::fs::read_dir(directory).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    for file in std::fs::read_dir(from).unwrap() {
        let (path, name) = file.map(|file| (file.path(), file.file_name())).unwrap();
        match name.to_string_lossy().starts_with('.') {
            true => std::fs::remove_file(path).unwrap(),
            false => drop(std::fs::copy(path, directory.join(name)).unwrap()),
        }
    }
}
