//! History: what happened to each connection, by minutes and by hours, in documents that all hosts add to.
//!
//! A document holds a quarter of an hour by minutes, or a day by hours. There is a fixed number of them for each
//! connection: the newest takes the place of the oldest, so nothing has to be pruned.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    documents::{JsonDocument, Loaded},
    shared::Shared,
    tally::{ByMinute, Tally, minute_of},
    writes::commit,
};
use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Transaction},
    model::ConnectionId,
};

/// The collection of its documents.
pub(crate) const HISTORY: &str = "history";
/// How often a document is read again because another host wrote it meanwhile.
const STALE_TRIES: usize = 8;

/// A grain of history: how long its buckets are, how many go into a document, and how many documents there are.
struct Grain {
    name: &'static str,
    minutes: i64,
    buckets: i64,
    documents: i64,
    /// How many buckets are told.
    told: i64,
}

const MINUTES: Grain = Grain { name: "minutes", minutes: 1, buckets: 15, documents: 9, told: 120 };
const HOURS: Grain = Grain { name: "hours", minutes: 60, buckets: 24, documents: 32, told: 30 * 24 };

/// What happened to a connection: on all hosts, up to about a minute ago, and on this host up to now. A process that dies
/// takes its last minute with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct History {
    /// By minutes, of the last two hours. A minute in which nothing happened is left out.
    pub minutes: Vec<HistoryBucket>,
    /// By hours, of the last 30 days. An hour in which nothing happened is left out.
    pub hours: Vec<HistoryBucket>,
}

/// What happened in a minute or an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistoryBucket {
    /// When it began.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub tally: Tally,
}

/// When an event was found and a delivery was done last, by minutes since the epoch: in one document, whenever that was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latest {
    event: Option<i64>,
    delivery: Option<i64>,
}

impl JsonDocument for Latest {
    const NAME: &'static str = "when something happened to a connection last";
}

/// By how many minutes the clock of another host may be ahead.
const AHEAD: i64 = 5;

impl Latest {
    fn of(minutes: &ByMinute) -> Self {
        let last = |count: fn(&Tally) -> u64| {
            minutes.iter().rev().find(|(_, tally)| count(tally) > 0).map(|(minute, _)| *minute)
        };
        Self { event: last(|tally| tally.events), delivery: last(|tally| tally.delivered) }
    }

    /// The later of both. A time that is still to come was written by a clock that was wrong.
    fn and(self, other: Self, now: Timestamp) -> Self {
        let latest = |one: Option<i64>, other: Option<i64>| {
            [one, other].into_iter().flatten().filter(|minute| *minute <= minute_of(now) + AHEAD).max()
        };
        Self { event: latest(self.event, other.event), delivery: latest(self.delivery, other.delivery) }
    }

    /// When the last event was found: the beginning of that minute.
    pub(crate) fn event(self) -> Option<Timestamp> {
        self.event.map(|minute| Timestamp::from_millis(minute * 60_000))
    }

    /// When the last delivery was done: the beginning of that minute.
    pub(crate) fn delivery(self) -> Option<Timestamp> {
        self.delivery.map(|minute| Timestamp::from_millis(minute * 60_000))
    }
}

fn latest_key(connection: &ConnectionId) -> DocKey {
    DocKey::new(HISTORY, connection, "latest")
}

impl Shared {
    /// When something happened to each connection last: on all hosts, up to about a minute ago, and on this host up to now.
    pub(crate) async fn latest(&self, connections: &[ConnectionId], now: Timestamp) -> Result<Vec<Latest>> {
        let stored = self.load_all::<Latest>(connections.iter().map(latest_key).collect()).await?;
        let with_own = |(connection, stored): (&ConnectionId, Loaded<Latest>)| {
            stored.value.unwrap_or_default().and(Latest::of(&self.tallies.of(connection)), now)
        };
        Ok(connections.iter().zip(stored).map(with_own).collect())
    }
}

/// Buckets that follow each other, by their numbers since the epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Page {
    /// The number of the page since the epoch.
    page: i64,
    buckets: BTreeMap<i64, Tally>,
}

impl JsonDocument for Page {
    const NAME: &'static str = "the history of a connection";
}

impl Grain {
    fn bucket_of(&self, minute: i64) -> i64 {
        minute.div_euclid(self.minutes)
    }

    fn page_of(&self, bucket: i64) -> i64 {
        bucket.div_euclid(self.buckets)
    }

    fn key(&self, connection: &ConnectionId, page: i64) -> DocKey {
        DocKey::new(HISTORY, connection, &format!("{}/{}", self.name, page.rem_euclid(self.documents)))
    }

    /// What was counted, by page and bucket.
    fn pages(&self, minutes: &ByMinute) -> BTreeMap<i64, BTreeMap<i64, Tally>> {
        let mut pages: BTreeMap<i64, BTreeMap<i64, Tally>> = BTreeMap::new();
        for (minute, tally) in minutes {
            let bucket = self.bucket_of(*minute);
            pages.entry(self.page_of(bucket)).or_default().entry(bucket).or_default().merge(tally);
        }
        pages
    }

    async fn read(
        &self,
        shared: &Shared,
        connection: &ConnectionId,
        own: &ByMinute,
        now: Timestamp,
    ) -> Result<Vec<HistoryBucket>> {
        let last = self.bucket_of(minute_of(now));
        let first = last - self.told + 1;
        let keys =
            (self.page_of(first)..=self.page_of(last)).map(|page| self.key(connection, page)).collect();
        let mut told: BTreeMap<i64, Tally> = BTreeMap::new();
        let stored = shared.load_all::<Page>(keys).await?.into_iter().filter_map(|loaded| loaded.value);
        let own = self.pages(own).into_values();
        for (bucket, tally) in stored.map(|page| page.buckets).chain(own).flatten() {
            if (first..=last).contains(&bucket) {
                told.entry(bucket).or_default().merge(&tally);
            }
        }
        let at = |bucket: i64| Timestamp::from_millis(bucket * self.minutes * 60_000);
        Ok(told.into_iter().map(|(bucket, tally)| HistoryBucket { at: at(bucket), tally }).collect())
    }
}

/// Adds what was counted to the page that is there.
fn add(known: &Loaded<Page>, page: i64, buckets: BTreeMap<i64, Tally>) -> Option<Page> {
    let mut stored = known.value.clone().unwrap_or_default();
    if stored.page > page {
        // What comes so late is not told any more.
        return None;
    }
    if stored.page < page {
        stored = Page { page, buckets: BTreeMap::new() };
    }
    for (bucket, tally) in buckets {
        stored.buckets.entry(bucket).or_default().merge(&tally);
    }
    Some(stored)
}

/// Writes down what was counted. What cannot be written is kept for the next time.
pub(crate) async fn write(shared: &Arc<Shared>) {
    if shared.log_gate.known().is_some() {
        return;
    }
    for (connection, minutes) in shared.tallies.take() {
        if let Err(error) = write_one(shared, &connection, &minutes).await {
            tracing::warn!(%error, %connection, "what happened cannot be written down: trying again later");
            shared.tallies.put_back(&connection, minutes);
        }
    }
}

async fn write_one(shared: &Shared, connection: &ConnectionId, minutes: &ByMinute) -> Result<()> {
    for _ in 0..STALE_TRIES {
        let mut transaction = Transaction::default();
        for grain in [&MINUTES, &HOURS] {
            for (page, buckets) in grain.pages(minutes) {
                let known = shared.load::<Page>(grain.key(connection, page)).await?;
                if let Some(merged) = add(&known, page, buckets) {
                    transaction.documents.push(known.replace(&merged)?);
                }
            }
        }
        let known = shared.load::<Latest>(latest_key(connection)).await?;
        let before = known.value.unwrap_or_default();
        let latest = before.and(Latest::of(minutes), shared.clock.now());
        if latest != before {
            transaction.documents.push(known.replace(&latest)?);
        }
        if transaction.documents.is_empty()
            || matches!(commit(shared, transaction).await?, Committed::Applied(_))
        {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Conflict, "other hosts kept writing the same history"))
}

impl Connector {
    /// What happened to a connection, by minutes and hours. Empty when nothing has.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the log cannot be read.
    pub async fn history(&self, connection: &ConnectionId) -> Result<History> {
        let now = self.shared.clock.now();
        let own = self.shared.tallies.of(connection);
        Ok(History {
            minutes: MINUTES.read(&self.shared, connection, &own, now).await?,
            hours: HOURS.read(&self.shared, connection, &own, now).await?,
        })
    }

    /// Writes down what was counted, when it is time to, on a host that takes webhooks and does no work.
    pub(crate) fn write_history_of_intake(&self, now: Timestamp) {
        if !self.shared.mailbox.is_running() && self.shared.tallies.is_time(now) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { write(&shared).await });
        }
    }
}
