//! The log behind the console: in memory, and the same tests again on SQLite and on Postgres.

#[cfg(unix)]
#[path = "../../../ml-connector-sql/tests/it/postgres/cluster.rs"]
#[allow(dead_code)] // of the helpers, the store's own tests use more
mod cluster;

use std::{
    fs::{self, File},
    future::Future,
    pin::pin,
    process::Command,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use ml_connector_core::{AuditLog, audit::MemoryLog};
use ml_connector_sql::SqliteLog;
use tempfile::TempDir;

/// Where the variable names another log than that in memory, tests run on it: `sqlite` or `postgres`.
const LOG: &str = "ML_CONNECTOR_CONSOLE_LOG";

/// How long a call may take, in real time, before the clock takes a step, and how long that is.
const MOMENT: Duration = Duration::from_millis(20);
const STEP: Duration = Duration::from_millis(2);
/// How long all tests may take on another log, in real time.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A new log, with what it is stored in.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) log: Arc<dyn AuditLog>,
    is_outside: bool,
    _folder: Option<TempDir>,
}

impl Stored {
    pub(crate) async fn fresh() -> Self {
        match std::env::var(LOG).as_deref() {
            Err(_) => Self { log: Arc::new(MemoryLog::new()), is_outside: false, _folder: None },
            Ok("sqlite") => {
                let folder = TempDir::new().unwrap();
                let log = SqliteLog::open(folder.path().join("log.db")).unwrap();
                Self { log: Arc::new(log), is_outside: true, _folder: Some(folder) }
            }
            Ok("postgres") => {
                Self { log: standing_still(on_postgres()).await, is_outside: true, _folder: None }
            }
            Ok(other) => panic!("{LOG}={other}"),
        }
    }

    /// Waits for a call.
    pub(crate) async fn at_work<T>(&self, call: impl Future<Output = T>) -> T {
        if self.is_outside { standing_still(call).await } else { call.await }
    }
}

/// Waits for what takes its time outside of a paused clock, which does not jump ahead meanwhile: it stands still while a thread
/// works for the runtime. By little steps it goes on, so that short pauses within the call end.
async fn standing_still<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        let (answered, moment) = mpsc::channel::<()>();
        let moment = tokio::task::spawn_blocking(move || _ = moment.recv_timeout(MOMENT));
        tokio::select! {
            biased;
            answer = &mut call => return answer,
            _ = moment => tokio::time::advance(STEP).await,
        }
        drop(answered);
    }
}

#[cfg(unix)]
async fn on_postgres() -> Arc<dyn AuditLog> {
    Arc::new(cluster::cluster().expect("looked for before").log().await)
}

#[cfg(not(unix))]
async fn on_postgres() -> Arc<dyn AuditLog> {
    unreachable!("looked for before")
}

/// Runs the tests of this program again, on another log. Those in a browser take real time, and are about pages.
#[allow(clippy::disallowed_methods)] // another process takes its time
fn all_hold_on(log: &str) {
    let folder = TempDir::new().unwrap();
    let (out, errors) = (folder.path().join("out"), folder.path().join("errors"));
    let mut again = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=2", "--skip=logs::", "--skip=browser::"])
        .env(LOG, log)
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = again.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            again.kill().unwrap();
        }
        std::thread::sleep(MOMENT);
    };
    let said = fs::read_to_string(out).unwrap();
    assert!(status.success(), "on {log}:\n{said}\n{}", fs::read_to_string(errors).unwrap());
    let passed = said.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next());
    let passed: usize = passed.and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(passed > 30, "on {log}:\n{said}");
}

#[test]
fn all_that_the_console_shows_and_does_holds_on_sqlite() {
    all_hold_on("sqlite");
}

#[test]
#[cfg(unix)]
fn all_that_the_console_shows_and_does_holds_on_postgres() {
    // Skipped aloud where there is no server to start.
    if cluster::cluster().is_some() {
        all_hold_on("postgres");
    }
}
