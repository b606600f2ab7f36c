//! The one thread that writes.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use ml_connector_core::{Result, model::Seq};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{backlog, error, files::Files, links::Links, news::News, schema, signals};
use crate::chain::Chain;

/// The most jobs in one SQLite transaction: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;

/// When nobody has written for so long, there is time for what can wait.
const IDLE: Duration = Duration::from_millis(5);

/// What waits in the queue.
trait Job: Send {
    /// Writes, inside the group's transaction. Once more if that was undone because another job failed.
    fn run(&mut self, batch: &mut Batch<'_>);
    /// Tells the caller, once the transaction is committed or lost.
    fn answer(self: Box<Self>, committed: &Result<(), Lost>);
}

/// Why nothing of a group can be relied on.
enum Lost {
    /// SQLite could not commit.
    Failed(rusqlite::Error),
    /// It went into files that are not under their names any more.
    Replaced,
}

struct Write<T, W> {
    operation: &'static str,
    work: W,
    result: Option<rusqlite::Result<T>>,
    /// The work goes back to the caller: memory is cheapest to free where it came from.
    caller: oneshot::Sender<(Result<T>, W)>,
}

impl<T: Send, W: FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send> Job for Write<T, W> {
    fn run(&mut self, batch: &mut Batch<'_>) {
        self.result = Some((self.work)(batch));
    }

    fn answer(self: Box<Self>, committed: &Result<(), Lost>) {
        let Self { operation, work, result, caller } = *self;
        let answer = match (result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)), Err(Lost::Failed(cause))) => Err(error::committing(operation, cause)),
            (Some(Ok(_)), Err(Lost::Replaced)) => Err(error::replaced(operation)),
            (Some(Err(cause)), _) => Err(error::running(operation, &cause)),
            (None, _) => Err(error::thread(operation, "the write was not run")),
        };
        // The caller may have gone; what was written stays.
        let _ = caller.send((answer, work));
    }
}

/// A queue in front of the thread that writes. Whatever waits there when the thread gets to it shares one
/// SQLite transaction and one fsync.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        connection: Connection,
        files: Arc<Files>,
        queue: usize,
        news: Arc<News>,
        chain: Arc<Chain>,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write(&connection, &files, &receiver, &news, &chain))
            .map_err(|_| error::thread("sqlite_log.open", "the writer thread cannot be started"))?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    /// Runs `work` on the thread; answers when its effects are durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Write { operation, work, result: None, caller });
        let stopped = || error::thread(operation, "the writer thread has stopped: open the database again");
        self.queue.as_ref().ok_or_else(stopped)?.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => error::thread(operation, "too many writes are waiting for the disk"),
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answer.await.map_err(|_| stopped())?.0
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the queue is closed and empty.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

fn write(connection: &Connection, files: &Files, queue: &Receiver<Box<dyn Job>>, news: &News, chain: &Chain) {
    let mut jobs = Vec::with_capacity(MAX_GROUP);
    let (mut last, mut indexed) = signals::progress(connection).unwrap_or_default();
    loop {
        let is_late = last - indexed.min(last) >= signals::LATE;
        match if is_late { queue.recv_timeout(IDLE) } else { queue.recv().map_err(Into::into) } {
            Ok(job) => jobs.push(job),
            Err(RecvTimeoutError::Timeout) => {
                // What fails is tried again as many entries later.
                indexed = signals::index_more(connection).unwrap_or(last);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        jobs.extend(queue.try_iter().take(MAX_GROUP - 1));
        let committed = match write_group(connection, &mut jobs, chain) {
            Ok(_) if !files.are_in_place() => Err(Lost::Replaced),
            Ok((end, grown)) => {
                last = end;
                news.tell(grown);
                Ok(())
            }
            Err(cause) => Err(Lost::Failed(cause)),
        };
        jobs.drain(..).for_each(|job| job.answer(&committed));
    }
}

/// Writes a group in one transaction, and returns the last number given, and the partitions whose work lists have grown. Hardly ever does a job fail: only then are
/// all of them run again, each so that it can be undone by itself.
fn write_group(
    connection: &Connection,
    jobs: &mut [Box<dyn Job>],
    chain: &Chain,
) -> rusqlite::Result<(u64, u64)> {
    let mut batch = Batch::begin(connection, chain);
    let begun = batch.failed.is_none();
    jobs.iter_mut().for_each(|job| job.run(&mut batch));
    if begun && batch.failed.is_some() {
        batch.roll_back();
        batch = Batch { guarded: true, ..Batch::begin(connection, chain) };
        jobs.iter_mut().for_each(|job| job.run(&mut batch));
    }
    batch.commit()
}

/// The SQLite transaction of a group of jobs.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    /// Whether what fails can be undone alone.
    guarded: bool,
    /// Why nothing of the group can be committed any more.
    failed: Option<rusqlite::Error>,
    first: u64,
    last: u64,
    /// What the work list grows and shrinks by.
    pub(super) backlog: backlog::Change,
    /// The partitions whose work lists have grown, one bit for each. May name more, after what was undone.
    pub(super) grown: u64,
    /// Tamper evidence.
    pub(super) links: Links<'a>,
}

impl<'a> Batch<'a> {
    fn begin(connection: &'a Connection, chain: &'a Chain) -> Self {
        let begun = execute(connection, "BEGIN IMMEDIATE").and_then(|()| schema::last(connection));
        let (last, failed) = match begun {
            Ok(last) => (last, None),
            Err(cause) => (0, Some(cause)),
        };
        let (backlog, links) = (backlog::Change::default(), Links::new(chain));
        Self { connection, guarded: false, failed, first: last, last, backlog, grown: 0, links }
    }

    /// Runs `work` so that its failure leaves nothing behind, and the rest of the group as it was.
    pub(super) fn savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if let Some(failed) = &self.failed {
            return Err(same(failed));
        }
        if !self.guarded {
            return work(self).inspect_err(|cause| self.failed = Some(same(cause)));
        }
        let (last, backlog, links) = (self.last, self.backlog.clone(), self.links.clone());
        execute(self.connection, "SAVEPOINT job")?;
        let result = work(self);
        if let Err(cause) = &result {
            (self.last, self.backlog, self.links) = (last, backlog, links);
            // A full or failing disk ends the whole transaction by itself.
            let undone = execute(self.connection, "ROLLBACK TO job");
            if undone.is_err() || self.connection.is_autocommit() {
                self.failed = Some(same(cause));
                return result;
            }
        }
        execute(self.connection, "RELEASE job")?;
        result
    }

    /// The connection, inside the transaction.
    pub(super) fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The number of a new entry.
    pub(super) fn next_seq(&mut self) -> Seq {
        self.last += 1;
        Seq(self.last)
    }

    fn commit(mut self) -> rusqlite::Result<(u64, u64)> {
        let result = match self.failed.take() {
            Some(cause) => Err(cause),
            None => self
                .save_last()
                .and_then(|()| self.backlog.write(self.connection))
                .and_then(|()| execute(self.connection, "COMMIT")),
        };
        if result.is_err() {
            self.roll_back();
        }
        result.map(|()| (self.last, self.grown))
    }

    /// Fails only when there is nothing left to roll back.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = execute(self.connection, "ROLLBACK");
        }
    }

    fn save_last(&self) -> rusqlite::Result<()> {
        if self.last > self.first {
            self.connection.prepare_cached("UPDATE head SET last = ?1")?.execute([self.last])?;
        }
        Ok(())
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// SQLite's errors cannot be cloned; code and message are what counts.
fn same(cause: &rusqlite::Error) -> rusqlite::Error {
    match cause {
        rusqlite::Error::SqliteFailure(failure, message) => {
            rusqlite::Error::SqliteFailure(*failure, message.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use ml_connector_core::{Effect, ErrorKind};

    use super::*;
    use crate::SqliteOptions;

    fn writer(prepare: &str) -> (tempfile::TempDir, Writer) {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("log.db");
        let connection = schema::open(&path, &SqliteOptions::default()).unwrap();
        connection.execute_batch(prepare).unwrap();
        let files = Arc::new(Files::of(&path));
        (directory, Writer::start(connection, files, 16, Arc::new(News::after(0)), Arc::default()).unwrap())
    }

    #[tokio::test]
    async fn a_file_that_became_read_only_refuses_writes() {
        let (_directory, writer) = writer("PRAGMA query_only = on");
        let write = writer
            .run("test", |batch| batch.savepoint(|batch| execute(batch.connection, "DELETE FROM entry")));
        let error = write.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("read-only: make the file and its directory writable"), "{error}");
    }

    #[tokio::test]
    async fn a_failed_step_leaves_the_rest_of_its_group_alone() {
        let (_directory, writer) = writer("");
        let (first, failed, last) = writer
            .run("test", |batch| {
                let first = batch.savepoint(|batch| Ok(batch.next_seq()));
                let failed = batch.savepoint(|batch| {
                    batch.next_seq();
                    execute(batch.connection, "INSERT INTO document VALUES ('half', 1, x'00')")?;
                    execute(batch.connection, "INSERT INTO head VALUES (2, 0)")
                });
                let last = batch.savepoint(|batch| {
                    let count = "SELECT count(*) FROM document";
                    assert_eq!(batch.connection.query_row(count, [], |row| row.get::<_, i64>(0))?, 0);
                    Ok(batch.next_seq())
                });
                Ok((first?, failed.is_err(), last?))
            })
            .await
            .unwrap();
        assert!(failed);
        assert_eq!((first, last), (Seq(1), Seq(2)), "the number of the failed step is given again");
    }

    #[tokio::test]
    async fn a_group_that_cannot_be_committed_is_lost_as_a_whole() {
        let deferred = "CREATE TABLE child (id INTEGER REFERENCES entry DEFERRABLE INITIALLY DEFERRED);
                        PRAGMA foreign_keys = on";
        let (_directory, writer) = writer(deferred);
        let insert = |batch: &mut Batch<'_>| {
            batch.savepoint(|batch| execute(batch.connection, "INSERT INTO child VALUES (4711)"))
        };
        let error = writer.run("test", insert).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "what a failed commit left is unknown");
        let count = "SELECT count(*) FROM child";
        let left =
            writer.run("test", |batch| batch.connection.query_row(count, [], |row| row.get::<_, i64>(0)));
        assert_eq!(left.await.unwrap(), 0, "the next group begins anew");
    }
}
