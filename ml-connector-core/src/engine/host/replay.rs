//! Sending again what was given up, or what should go elsewhere now.

use std::sync::Arc;

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Appended, Entry, EntryKind, Index, NewEntry, Parent, Query, Transaction},
    engine::{
        entries::{self, UNROUTED},
        fan_out::{append_deliveries, append_pages},
        registry::{Registry, SourceSlot},
        stored::{StoredDelivery, StoredSignal},
        writes,
    },
    model::{Affinity, DedupeKey, DeliveryId, Event, Origin, Seq, Signal},
};

/// How many entries are read at once.
const PAGE: usize = 200;

/// A wish to send again.
///
/// ```
/// use ml_connector_core::{audit::{EntryKind, EntryState, Query}, engine::{Replay, ReplayMode}};
///
/// let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
/// let replay = Replay::new("2026-03-12 after the outage", dead).dry_run();
/// assert_eq!(replay.mode, ReplayMode::SameDestination);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replay {
    /// Names the wish: the same wish, made again, adds nothing. Goes into the audit trail.
    pub nonce: Arc<str>,
    /// Deliveries, signals, unrouted webhooks or events to send again; its limit is the most that are.
    pub selection: Query,
    /// How.
    pub mode: ReplayMode,
    /// Only counts.
    pub dry_run: bool,
}

/// Where a replay sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayMode {
    /// Deliveries go where they went; signals are resolved again, webhooks without a connection by the one that has their
    /// account now.
    SameDestination,
    /// Events go where the routes send them now, with [`Origin::Replay`]: a route has to take that origin.
    Reroute,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Entries of the selection that can be replayed in this mode.
    pub selected: usize,
    /// Entries that were appended; 0 in a dry run.
    pub appended: usize,
    /// What the same nonce had appended before.
    pub repeated: usize,
}

impl Replay {
    /// Sends everything in `selection` again, where it went.
    pub fn new(nonce: impl Into<Arc<str>>, selection: Query) -> Self {
        Self { nonce: nonce.into(), selection, mode: ReplayMode::SameDestination, dry_run: false }
    }

    /// Sends events where the routes send them now.
    #[must_use]
    pub fn reroute(mut self) -> Self {
        self.mode = ReplayMode::Reroute;
        self
    }

    /// Only counts.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

/// A replay on its way through its selection.
#[derive(Debug)]
pub(crate) struct Replaying {
    replay: Replay,
    query: Query,
    left: usize,
    done: Replayed,
    /// What was appended by this wish, now or before, and not taken yet.
    entries: Vec<Seq>,
}

impl Replaying {
    pub(crate) fn new(replay: Replay) -> Self {
        let query = Query { bodies: true, ..replay.selection.clone() };
        let left = replay.selection.effective_limit();
        Self { replay, query, left, done: Replayed::default(), entries: Vec::new() }
    }

    /// Replays the next page. Tells whether there may be another.
    pub(crate) async fn page(&mut self, connector: &Connector) -> Result<bool> {
        if self.replay.nonce.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "a replay needs a nonce"));
        }
        self.query.limit = PAGE.min(self.left);
        if self.left == 0 {
            return Ok(false);
        }
        let entries = connector.search(&self.query).await?;
        for entry in &entries {
            let seqs = connector.replay_entry(&self.replay, entry, &mut self.done).await?;
            self.entries.extend(seqs);
            // Whoever calls again after an error goes on behind it.
            self.query.after = Some(entry.seq);
            self.left -= 1;
        }
        connector.shared.mailbox.wake_all();
        Ok(entries.len() == self.query.limit && self.left > 0)
    }

    pub(crate) fn take_entries(&mut self) -> Vec<Seq> {
        std::mem::take(&mut self.entries)
    }

    /// Leaves a note.
    pub(crate) async fn end(&self, connector: &Connector) -> Result<Replayed> {
        if self.done.appended > 0 {
            tracing::info!(nonce = %self.replay.nonce, appended = self.done.appended, "replayed");
            connector.audit(&self.replay, &self.done).await?;
        }
        Ok(self.done.clone())
    }
}

impl Connector {
    /// Sends again, and leaves a note about it. Every entry of a replay is a new one below the original, so that `explain` shows both, and the
    /// original keeps its outcome. Idempotent by nonce.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] without a nonce; [`ErrorKind::Unavailable`] when the log fails on the way: call
    /// again with the same nonce.
    pub async fn replay(&self, replay: &Replay) -> Result<Replayed> {
        let mut replaying = Replaying::new(replay.clone());
        while replaying.page(self).await? {}
        replaying.end(self).await
    }

    /// Leaves a note that somebody replayed something.
    async fn audit(&self, replay: &Replay, done: &Replayed) -> Result<()> {
        let mode = match replay.mode {
            ReplayMode::SameDestination => "to the same destinations",
            ReplayMode::Reroute => "by the present routes",
        };
        let text =
            format!("replay \"{}\" {mode}: {} of {} entries", replay.nonce, done.appended, done.selected);
        let connection = replay.selection.connection.clone().unwrap_or_else(|| "all".into());
        let (partition, now) = (Affinity::from(connection.as_str()).partition(), self.shared.clock.now());
        let note = NewEntry {
            dedupe: Some(format!("replay/{}", replay.nonce).into()),
            index: Index { name: Some("replay".into()), ..Index::default() },
            body: Some(text.into()),
            ..NewEntry::new(partition, EntryKind::Act, connection, now)
        };
        let transaction = Transaction { append: vec![note], ..Transaction::default() };
        writes::append(&self.shared, transaction).await.map(drop)
    }

    /// Replays one entry. Returns what stands for it in the log now.
    async fn replay_entry(&self, replay: &Replay, entry: &Entry, done: &mut Replayed) -> Result<Vec<Seq>> {
        let append = match (replay.mode, entry.kind) {
            (ReplayMode::SameDestination, EntryKind::Delivery) => self.same_delivery(replay, entry).await?,
            (ReplayMode::SameDestination, EntryKind::Signal) => {
                self.same_signal(replay, entry, |registry, _| registry.source(&entry.connection).cloned())
                    .await?
            }
            (ReplayMode::SameDestination, EntryKind::Note)
                if entry.index.name.as_deref() == Some(UNROUTED) =>
            {
                self.same_signal(replay, entry, |registry, signal| {
                    let came_by = registry.source(&entry.connection)?;
                    let endpoint = &came_by.source.info().endpoint;
                    registry.account(endpoint, signal.account.as_ref(), came_by).cloned()
                })
                .await?
            }
            (ReplayMode::Reroute, EntryKind::Event) => self.rerouted(replay, entry).await?,
            _ => Vec::new(),
        };
        if append.is_empty() {
            return Ok(Vec::new());
        }
        done.selected += 1;
        if replay.dry_run {
            return Ok(Vec::new());
        }
        let appended = writes::append(&self.shared, Transaction { append, ..Transaction::default() }).await?;
        for appended in &appended {
            match appended {
                Appended::New(_) => done.appended += 1,
                Appended::Duplicate(_) => done.repeated += 1,
            }
        }
        Ok(appended.into_iter().map(Appended::seq).collect())
    }

    /// A delivery to where it went, with an identity of its own: the other side must not take it for the old one.
    async fn same_delivery(&self, replay: &Replay, entry: &Entry) -> Result<Vec<NewEntry>> {
        let (Some(body), Some(event)) = (&entry.body, entry.parent) else { return Ok(Vec::new()) };
        let now = self.shared.clock.now();
        let stored = StoredDelivery { id: DeliveryId::generate(now), ..StoredDelivery::decode(body)? };
        Ok(vec![NewEntry {
            lane: self.lane_of(entry, event, &stored).await?,
            dedupe: Some(key(replay, entry.seq)),
            parent: Parent::Entry(event),
            replays: Some(entry.seq),
            index: entry.index.clone(),
            body: Some(stored.encode()?),
            ..NewEntry::new(entry.partition, EntryKind::Delivery, entry.connection.clone(), now)
        }])
    }

    async fn lane_of(&self, entry: &Entry, event: Seq, stored: &StoredDelivery) -> Result<Option<u64>> {
        let parent = self.search(&Query::entries(vec![event])).await?.pop();
        let event =
            parent.and_then(|parent| parent.body).map(|body| Event::from_cloudevent(&body)).transpose()?;
        let Some(event) = event else { return Ok(None) };
        let route = entry.index.name.clone().unwrap_or_default();
        self.shared.lane(&entry.connection, stored, &route, &Arc::new(event)).await.map(Some)
    }

    /// The same hint once more, to the source that it is for.
    async fn same_signal(
        &self,
        replay: &Replay,
        entry: &Entry,
        whose: impl FnOnce(&Registry, &Signal) -> Option<Arc<SourceSlot>>,
    ) -> Result<Vec<NewEntry>> {
        let Some(body) = &entry.body else { return Ok(Vec::new()) };
        let stored = StoredSignal::decode(body)?;
        let Some(signal) = stored.signal else { return Ok(Vec::new()) };
        let Some(slot) = whose(&self.shared.registry(), &signal) else { return Ok(Vec::new()) };
        self.shared.watched_since(&slot).await?;
        let parent = Parent::Entry(entry.seq);
        let now = self.shared.clock.now();
        let mut again = entries::signal_of(stored.origin, &slot, &signal, parent, now)?;
        (again.dedupe, again.replays) = (Some(key(replay, entry.seq)), Some(entry.seq));
        Ok(vec![again])
    }

    async fn rerouted(&self, replay: &Replay, entry: &Entry) -> Result<Vec<NewEntry>> {
        let Some(body) = &entry.body else { return Ok(Vec::new()) };
        let event = Event::from_cloudevent(body)?;
        if event.origin == Origin::Replay {
            // A page that a replay has made, perhaps this one.
            return Ok(Vec::new());
        }
        let mut event = Event { origin: Origin::Replay, ..event };
        event.page.iter_mut().for_each(|record| record.origin = Origin::Replay);
        let (parent, now) = (Parent::Entry(entry.seq), self.shared.clock.now());
        let mut append = Vec::new();
        if event.is_page() {
            let routes = Arc::clone(self.shared.registry().routes());
            let mut pages = Transaction::default();
            let event = Event { at: now, ..event };
            append_pages(&self.shared, entry.partition, event, &routes, &mut pages, parent, &mut Vec::new())
                .await?;
            append = pages.append;
        } else {
            append_deliveries(&self.shared, &Arc::new(event), &mut append, parent, now).await?;
        }
        for (i, delivery) in append.iter_mut().enumerate() {
            delivery.dedupe = Some(format!("{}/{i}", key(replay, entry.seq)).into());
        }
        Ok(append)
    }
}

fn key(replay: &Replay, seq: Seq) -> DedupeKey {
    format!("replay/{}/{seq}", replay.nonce).into()
}
