//! A process that is paused, as by a move of its machine, at a known place.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where a process waits to be paused: two files beside its database.
#[derive(Debug, Clone)]
pub(crate) struct Halt {
    reached: PathBuf,
    may_go_on: PathBuf,
}

impl Halt {
    pub(crate) fn beside(database: &Path) -> Self {
        Self { reached: database.with_extension("reached"), may_go_on: database.with_extension("go-on") }
    }

    /// In the process: says that it is here, and waits.
    pub(crate) async fn wait(&self) {
        std::fs::write(&self.reached, []).unwrap();
        appears(&self.may_go_on).await;
    }

    /// In the test: waits until the process is here.
    pub(crate) async fn reached(&self) {
        appears(&self.reached).await;
    }

    /// In the test: what waits goes on as soon as its process runs again.
    pub(crate) fn go_on(&self) {
        std::fs::write(&self.may_go_on, []).unwrap();
    }
}

async fn appears(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// SIGSTOP: nothing of the process runs, and nobody is told. Not within a transaction: SQLite lets nobody else write then,
/// and nobody could take over.
pub(crate) async fn pause(process: Pid, database: &Path) {
    loop {
        kill_process(process, Signal::STOP).unwrap();
        // Its threads go on for a moment.
        waitid(WaitId::Pid(process), WaitIdOptions::STOPPED).unwrap();
        let probe = rusqlite::Connection::open(database).unwrap();
        probe.busy_timeout(Duration::from_millis(200)).unwrap();
        if probe.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return;
        }
        kill_process(process, Signal::CONT).unwrap();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
