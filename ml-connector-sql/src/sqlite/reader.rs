//! The threads that read, beside the one that writes.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use ml_connector_core::Result;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{SqliteOptions, error, files::Files, schema};

const THREADS: usize = 2;

/// How many reads may wait.
const QUEUE: usize = 4096;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A queue in front of the threads that read.
pub(super) struct Readers {
    files: Arc<Files>,
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads on a file that is open for writing already.
    pub(super) fn start(path: &Path, files: Arc<Files>, options: &SqliteOptions) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut readers = Self { files, queue: Some(sender), threads: Vec::with_capacity(THREADS) };
        for _ in 0..THREADS {
            let connection = schema::open_for_reading(path, options)?;
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new()
                .name("sqlite-reader".into())
                .spawn(move || read(connection, &receiver))
                .map_err(|_| error::thread("sqlite_log.open", "a reader thread cannot be started"))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs `work` on one of the threads, on one consistent state of the database.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let files = Arc::clone(&self.files);
        let job: Job = Box::new(move |connection| {
            let result = connection.transaction().and_then(|transaction| work(&transaction));
            // The caller may have gone.
            let _ = sender.send(files.are_in_place().then_some(result));
        });
        let stopped = || error::thread(operation, "the reader threads have stopped: open the database again");
        self.queue.as_ref().ok_or_else(stopped)?.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => error::thread(operation, "too many reads are waiting for the disk"),
            TrySendError::Disconnected(_) => stopped(),
        })?;
        let read = receiver.await.map_err(|_| stopped())?.ok_or_else(|| error::replaced(operation))?;
        read.map_err(|cause| error::running(operation, &cause))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

fn read(mut connection: Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        // Held while waiting for a job, not while doing it: the next job wakes the other thread.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut connection),
            Err(_) => return,
        }
    }
}
