//! The one thread that writes.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use ml_connector_core::{Result, model::Seq};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Appended, error, schema};

/// The most jobs in one SQLite transaction: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;

/// Runs inside the group's transaction and returns what to do once that is committed or lost.
type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(&rusqlite::Result<()>) + Send>;

/// A queue in front of the thread that writes. Whatever waits there when the thread gets to it shares one
/// SQLite transaction and one fsync.
pub(super) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection, queue: usize, appended: Arc<Appended>) -> Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write(&connection, &receiver, &appended))
            .map_err(|_| error::thread("sqlite_log.open", "the writer thread cannot be started"))?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    /// Runs `work` on the thread; answers when its effects are durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |batch| {
            let result = work(batch);
            Box::new(move |committed| {
                let answer = match (result, committed) {
                    (Err(cause), _) => Err(error::running(operation, &cause)),
                    (Ok(_), Err(cause)) => Err(error::committing(operation, cause)),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // The caller may have gone; what was written stays.
                let _ = sender.send(answer);
            })
        });
        let stopped = || error::thread(operation, "the writer thread has stopped: open the database again");
        self.queue.as_ref().ok_or_else(stopped)?.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => error::thread(operation, "too many writes are waiting for the disk"),
            TrySendError::Disconnected(_) => stopped(),
        })?;
        receiver.await.map_err(|_| stopped())?
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

fn write(connection: &Connection, queue: &Receiver<Job>, appended: &Appended) {
    while let Ok(first) = queue.recv() {
        let mut batch = Batch::begin(connection);
        let jobs = std::iter::once(first).chain(queue.try_iter()).take(MAX_GROUP);
        let replies: Vec<Reply> = jobs.map(|job| job(&mut batch)).collect();
        let last = batch.last;
        let committed = batch.commit();
        if committed.is_ok() {
            appended.tell(last);
        }
        for reply in replies {
            reply(&committed);
        }
    }
}

/// The SQLite transaction of a group of jobs.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    /// Why nothing of the group can be committed any more.
    failed: Option<rusqlite::Error>,
    first: u64,
    last: u64,
}

impl<'a> Batch<'a> {
    fn begin(connection: &'a Connection) -> Self {
        let begun = execute(connection, "BEGIN IMMEDIATE").and_then(|()| schema::last(connection));
        let (last, failed) = match begun {
            Ok(last) => (last, None),
            Err(cause) => (0, Some(cause)),
        };
        Self { connection, failed, first: last, last }
    }

    /// Runs `work` so that its failure leaves nothing behind, and the rest of the group as it was.
    pub(super) fn savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if let Some(failed) = &self.failed {
            return Err(same(failed));
        }
        let last = self.last;
        execute(self.connection, "SAVEPOINT job")?;
        let result = work(self);
        if let Err(cause) = &result {
            self.last = last;
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

    fn commit(self) -> rusqlite::Result<()> {
        let result = match self.failed {
            Some(cause) => Err(cause),
            None => self.save_last().and_then(|()| execute(self.connection, "COMMIT")),
        };
        if result.is_err() && !self.connection.is_autocommit() {
            // Fails only when there is nothing left to roll back.
            let _ = execute(self.connection, "ROLLBACK");
        }
        result
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
        (directory, Writer::start(connection, 16, Arc::default()).unwrap())
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
