//! Telling and hearing what was appended: within the process at once, from other hosts by NOTIFY, and by looking where that
//! does not come through.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::tokio_postgres::{self, AsyncMessage, types::Type};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use ml_connector_core::{Result, model::Partition};
use tokio::{sync::Notify, time::sleep};

use super::{
    prune::tidy,
    server::{Server, quoted},
};

/// How often a waiting process looks for itself.
const POLL: Duration = Duration::from_secs(1);
/// How often others are told at most: every NOTIFY wakes every host.
const TELL_GAP: Duration = Duration::from_millis(50);
/// After how many looks the tables are tidied.
const TIDY_EVERY: u64 = 30;
/// How long to wait before listening again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Opens a connection that hears notifications.
pub(super) type Listen =
    Box<dyn Fn() -> BoxFuture<'static, std::result::Result<Listening, tokio_postgres::Error>> + Send + Sync>;

/// A connection that hears notifications for as long as both halves are there.
pub(super) type Listening =
    (tokio_postgres::Client, BoxStream<'static, std::result::Result<AsyncMessage, tokio_postgres::Error>>);

/// What this process knows of new entries.
pub(super) struct News {
    /// How often something was appended to each partition, as far as this process knows.
    counts: Mutex<[u64; Partition::COUNT as usize]>,
    changed: Notify,
    /// What others are to be told, one bit for each partition.
    untold: AtomicU64,
    tell: Notify,
    /// The partitions that this process holds, whose news are nobody else's business.
    held: AtomicU64,
    waiting: AtomicUsize,
}

impl Default for News {
    fn default() -> Self {
        Self {
            counts: Mutex::new([0; Partition::COUNT as usize]),
            changed: Notify::new(),
            untold: AtomicU64::new(0),
            tell: Notify::new(),
            held: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl News {
    /// Something was appended here to these partitions.
    pub(super) fn appended(&self, bits: u64) {
        if bits == 0 {
            return;
        }
        self.heard(bits);
        let of_others = bits & !self.held.load(Ordering::SeqCst);
        if of_others != 0 {
            self.untold.fetch_or(of_others, Ordering::SeqCst);
            self.tell.notify_one();
        }
    }

    /// These partitions are ours.
    pub(super) fn hold(&self, partitions: impl Iterator<Item = Partition>) {
        self.held.store(bits(partitions), Ordering::SeqCst);
    }

    /// Something was appended somewhere to these partitions.
    fn heard(&self, bits: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, count) in counts.iter_mut().enumerate() {
            *count += bits >> place & 1;
        }
        drop(counts);
        self.changed.notify_waiters();
    }

    /// Returns those of these partitions to which something was appended after the call, as soon as there are any.
    pub(super) async fn wait(&self, partitions: &[Partition]) -> Vec<Partition> {
        let counts = || *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let _waiting = Waiting::begin(&self.waiting);
        let before = counts();
        loop {
            let changed = self.changed.notified();
            let now = counts();
            let has_news = |partition: &&Partition| {
                let place = usize::from(partition.number());
                now[place] != before[place]
            };
            let news: Vec<Partition> = partitions.iter().filter(has_news).copied().collect();
            if !news.is_empty() {
                return news;
            }
            changed.await;
        }
    }
}

/// Counts those who wait, also those who give up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells other hosts what was appended here, after it is committed: within the transaction every commit would wait for
/// every other. Ends when nobody uses the log any more.
pub(super) async fn tell(news: Weak<News>, server: Arc<Server>) {
    let me = RandomState::new().hash_one(0);
    tell_as(me, &news, &server).await;
}

async fn tell_as(me: u64, news: &Weak<News>, server: &Server) {
    while let Some(known) = news.upgrade() {
        let untold = known.untold.swap(0, Ordering::SeqCst);
        if untold == 0 {
            let told = known.tell.notified().map(Some);
            // Looks up from time to time whether anybody is left.
            let _ = tokio::time::timeout(POLL, told).await;
            continue;
        }
        let (channel, payload) = (channel(server.schema()), format!("{untold:x} {me:x}"));
        let sql = "SELECT pg_notify($1, $2)";
        if let Err(error) =
            server.read("postgres_log.notify", sql, &[(&channel, Type::TEXT), (&payload, Type::TEXT)]).await
        {
            tracing::debug!(%error, "other hosts cannot be told: they look for themselves");
        }
        drop(known);
        sleep(TELL_GAP).await;
    }
}

/// Hears what other hosts tell. Ends when nobody uses the log any more.
pub(super) async fn hear(news: Weak<News>, schema: String, listen: Listen) {
    while news.strong_count() > 0 {
        if let Ok((client, mut messages)) = listen().await {
            let subscribe = format!("LISTEN {}", quoted(&channel(&schema)));
            // The answer comes while messages are read.
            let subscribed = async { client.batch_execute(&subscribe).await.is_ok() };
            let mut subscribed = std::pin::pin!(subscribed.fuse());
            let mut is_subscribed = false;
            loop {
                tokio::select! {
                    answer = &mut subscribed, if !is_subscribed => {
                        if !answer {
                            break;
                        }
                        is_subscribed = true;
                        // What was told before is not known.
                        if let Some(news) = news.upgrade() {
                            news.heard(u64::MAX);
                        }
                    }
                    message = messages.next() => {
                        let (Some(Ok(message)), Some(news)) = (message, news.upgrade()) else { break };
                        if let AsyncMessage::Notification(told) = message
                            && let Some(bits) = told.payload().split(' ').next()
                        {
                            news.heard(u64::from_str_radix(bits, 16).unwrap_or(u64::MAX));
                        }
                    }
                    () = sleep(POLL) => {
                        if news.strong_count() == 0 {
                            return;
                        }
                    }
                }
            }
        }
        sleep(LISTEN_PAUSE).await;
    }
}

/// Looks for itself while somebody waits: notifications are lost with their connection, and need one of their own. Ends when
/// nobody uses the log any more.
pub(super) async fn look(news: Weak<News>, server: Arc<Server>) {
    let mut known = [0_i64; Partition::COUNT as usize];
    for nth in 1_u64.. {
        sleep(POLL).await;
        let Some(news) = news.upgrade() else { return };
        if nth.is_multiple_of(TIDY_EVERY)
            && let Err(error) = tidy(&server).await
        {
            tracing::debug!(%error, "counts are put together later");
        }
        if news.waiting.load(Ordering::SeqCst) == 0 {
            continue;
        }
        match appended_since(&server, &mut known).await {
            // At first everything is news.
            Ok(bits) if bits != 0 => news.heard(bits),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the log cannot be looked at"),
        }
    }
}

/// The partitions whose work lists have grown since what is known.
async fn appended_since(server: &Server, known: &mut [i64]) -> Result<u64> {
    let parts: Vec<i16> = Partition::all().map(|partition| partition.number().into()).collect();
    let last: Vec<i64> = known.to_vec();
    let rows = server
        .read(
            "postgres_log.wait",
            "SELECT known.part, (SELECT w.seq FROM @work w WHERE w.part = known.part AND w.seq > known.seq
                                 ORDER BY w.seq DESC LIMIT 1)
             FROM unnest($1::smallint[], $2::bigint[]) AS known (part, seq)",
            &[(&parts, Type::INT2_ARRAY), (&last, Type::INT8_ARRAY)],
        )
        .await?;
    let mut bits = 0;
    for row in &rows {
        if let (Ok(part), Ok(Some(seq))) = (row.try_get::<_, i16>(0), row.try_get::<_, Option<i64>>(1))
            && let Some(known) = usize::try_from(part).ok().and_then(|part| known.get_mut(part))
        {
            *known = seq;
            bits |= 1 << part;
        }
    }
    Ok(bits)
}

fn bits(partitions: impl Iterator<Item = Partition>) -> u64 {
    partitions.fold(0, |bits, partition| bits | 1 << partition.number())
}

fn channel(schema: &str) -> String {
    format!("ml_connector.{schema}")
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}
