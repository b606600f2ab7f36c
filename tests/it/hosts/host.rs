//! One of several hosts: this test binary, started again with a job in its environment.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use ml_connector_core::{Connector, Repeat, SystemClock, model::Destination, route::Route};
use ml_connector_sql::{
    PostgresLog, PostgresOptions,
    tokio_postgres::{Config, NoTls},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::{PATIENCE, watched::WatchedLog};
use crate::proof::{
    host::{FailPoint, FailingSink, serve},
    ledger::{BoardSink, LedgerSource, Remote, settings},
    pause::Halt,
};

/// How many pairs of books and boards there are; each pair belongs to partitions of its own.
pub(super) const PAIRS: u64 = 8;
/// Long enough for a busy machine to renew in time.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// How long a call of the log may take: well below the lease.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);

/// What a host needs to know.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) socket: PathBuf,
    pub(super) schema: String,
    pub(super) vendor: SocketAddr,
    pub(super) generation: u64,
    /// Where it waits to be paused, before its first post.
    pub(super) halt: Option<PathBuf>,
}

/// A host that runs. It is asked to stop by dropping its input.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) process: Child,
    pub(super) input: Option<ChildStdin>,
    pub(super) hooks: String,
    /// What it has said since.
    pub(super) said: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// Starts a process, and returns once it takes webhooks.
    pub(super) async fn start(job: &Job) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["hosts::host::host", "--exact", "--nocapture"])
            .env("HOSTS_SOCKET", &job.socket)
            .env("HOSTS_SCHEMA", &job.schema)
            .env("HOSTS_VENDOR", job.vendor.to_string())
            .env("HOSTS_GENERATION", job.generation.to_string())
            .envs(job.halt.iter().map(|halt| ("HOSTS_HALT", halt)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let listens = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = line.strip_prefix("listens on ") {
                    return format!("http://{address}/hooks");
                }
            }
            panic!("the host did not start");
        };
        let hooks = tokio::time::timeout(PATIENCE, listens).await.expect("the host starts");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let (input, heard) = (process.stdin.take(), Arc::clone(&said));
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap().push(line);
            }
        });
        Self { process, input, hooks, said }
    }

    /// Lets it hand over, and waits for its end.
    pub(super) async fn stop(mut self) {
        drop(self.input.take());
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(status.expect("the host stops when it is asked to").unwrap().success());
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("it runs"), signal).unwrap();
    }
}

/// Says on its output where it takes webhooks, and works until its input is closed or it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host() {
    let Some(job) = job() else { return };
    let remote = Remote { address: job.vendor, generation: job.generation };
    let mut config = Config::new();
    config.host_path(&job.socket).user("postgres").dbname("postgres");
    let options = PostgresOptions::default().with_schema(job.schema).with_deadline(DEADLINE);
    let log = WatchedLog(PostgresLog::connect(&config, NoTls, &options).await.unwrap());
    let mut builder = Connector::builder().audit_log(log).clock(SystemClock).settings(settings(LEASE));
    let point = job.halt.is_some().then_some(FailPoint::HaltsBeforePost(1));
    let halt = Halt::beside(&job.halt.unwrap_or_default());
    for pair in 0..PAIRS {
        let (books, board) = (books(pair), format!("board-{pair}"));
        builder = builder
            .source(LedgerSource::named(&books, remote.clone()))
            .sink(FailingSink::new(
                BoardSink::named(&board, remote.clone(), Repeat::AfterLookup),
                point,
                halt.clone(),
            ))
            .route(
                Route::new(format!("pair-{pair}"))
                    .from(books.as_str())
                    .to(board.as_str(), Destination::from("wall")),
            );
    }
    let connector = builder.build().unwrap();
    serve(connector).await;
}

/// The books that a record is in.
pub(super) fn books(record: u64) -> String {
    format!("books-{}", record % PAIRS)
}

fn job() -> Option<Job> {
    let variable = |name| std::env::var(name).ok();
    Some(Job {
        socket: variable("HOSTS_SOCKET")?.into(),
        schema: variable("HOSTS_SCHEMA")?,
        vendor: variable("HOSTS_VENDOR")?.parse().unwrap(),
        generation: variable("HOSTS_GENERATION")?.parse().unwrap(),
        halt: variable("HOSTS_HALT").map(Into::into),
    })
}
