//! Sending again what was given up, or what should go elsewhere now.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    act::{HOST, StoredAct},
    dry_run::Way,
    replay::{Replay, ReplayMode, Replayed},
};
use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{
        Appended, Committed, DocKey, Entry, EntryKind, NewEntry, Outcome, Parent, Query, Settlement,
        Transaction,
    },
    engine::{
        documents::{self, JsonDocument, Loaded},
        entries::{self, UNROUTED},
        fan_out::{append_deliveries, append_pages},
        registry::{Registry, SourceSlot},
        stored::{StoredDelivery, StoredSignal},
        writes,
    },
    model::{DedupeKey, DeliveryId, Event, Origin, Seq, Signal},
};

/// How many entries are read at once.
const PAGE: usize = 200;

/// How far a replay is: kept in the log, so that the same request goes on where it was, on any host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ReplayState {
    /// The last entry of the selection that was looked at.
    after: Option<Seq>,
    looked_at: usize,
    selected: usize,
    appended: usize,
    /// What could not be read.
    #[serde(default)]
    unreadable: usize,
    /// What is being replayed, and whether nothing follows.
    going: Vec<Seq>,
    is_last: bool,
    /// How many documents name what was appended.
    pages: usize,
    ended: bool,
}

impl JsonDocument for ReplayState {
    const NAME: &'static str = "state of a replay";
}

/// What one page of a replay has appended.
#[derive(Debug, Serialize, Deserialize)]
struct ReplayPage(Vec<Seq>);

impl JsonDocument for ReplayPage {
    const NAME: &'static str = "page of a replay";
}

fn state_key(nonce: &str) -> DocKey {
    DocKey::new("replay", &"all".into(), nonce)
}

fn page_key(nonce: &str, page: usize) -> DocKey {
    DocKey::new("replay_page", &"all".into(), &format!("{nonce}/{page}"))
}

/// A replay on its way through its selection. `Debug` does not show who asked for it.
pub(crate) struct Replaying {
    replay: Replay,
    /// Who asked for it, and the entry that says so once it is written.
    actor: Arc<str>,
    act: Option<Seq>,
    /// What had been appended before.
    before: Option<usize>,
    done: Replayed,
    /// What was appended by this request, now or before, and not taken yet.
    entries: Vec<Seq>,
    /// All of that.
    known: HashSet<Seq>,
    taken_pages: usize,
    /// Whether the last step has only chosen what comes next.
    has_chosen: bool,
}

impl fmt::Debug for Replaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { act, done, .. } = self;
        f.debug_struct("Replaying").field("act", act).field("done", done).finish_non_exhaustive()
    }
}

impl Replaying {
    pub(crate) fn new(replay: Replay, actor: Arc<str>) -> Self {
        Self {
            replay,
            actor,
            act: None,
            before: None,
            done: Replayed::default(),
            entries: Vec::new(),
            known: HashSet::new(),
            taken_pages: 0,
            has_chosen: false,
        }
    }

    /// Replays the next page. Tells whether there may be another.
    pub(crate) async fn page(&mut self, connector: &Connector) -> Result<bool> {
        loop {
            self.has_chosen = false;
            let more = self.step(connector).await?;
            if !self.has_chosen {
                return Ok(more);
            }
        }
    }

    /// Chooses the next page, or replays the one that is chosen.
    async fn step(&mut self, connector: &Connector) -> Result<bool> {
        if self.replay.nonce.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "a replay needs a nonce"));
        }
        if self.replay.dry_run {
            return self.dry_page(connector).await;
        }
        if self.act.is_none() {
            let request = StoredAct::replay(&self.actor, &self.replay);
            self.act = Some(request.append(connector, Some(format!("replay/{}", self.replay.nonce))).await?);
        }
        let shared = &connector.shared;
        let known = shared.load::<ReplayState>(state_key(&self.replay.nonce)).await?;
        let mut state = known.value.clone().unwrap_or_default();
        if self.before.is_none() {
            self.before = Some(state.appended);
            if state.ended {
                // Once more, for what could not be replayed then. What was is known.
                state =
                    ReplayState { appended: state.appended, pages: state.pages, ..ReplayState::default() };
            }
        }
        for page in self.taken_pages..state.pages {
            let page = shared.load::<ReplayPage>(page_key(&self.replay.nonce, page)).await?.value;
            let seqs = page.map(|ReplayPage(seqs)| seqs).unwrap_or_default();
            self.known.extend(&seqs);
            self.entries.extend(seqs);
        }
        self.taken_pages = state.pages;
        if state.ended {
            self.note(&state);
            return Ok(false);
        }
        // What is replayed is written down before it is: what was dead is not found as such any more afterwards.
        if state.going.is_empty() {
            let left = self.replay.selection.effective_limit().saturating_sub(state.looked_at);
            let page =
                connector.selected(self.act, &self.replay.selection, state.after, PAGE.min(left)).await?;
            let found = page.entries;
            state.after = found.last().map(|last| last.seq).or(state.after);
            state.looked_at += found.len();
            state.is_last = page.is_last || found.len() == left;
            state.going = found.iter().map(|entry| entry.seq).collect();
            state.ended = state.going.is_empty();
            if !self.write(connector, &known, &state, None).await? || !state.ended {
                self.has_chosen = true;
                return Ok(true);
            }
            self.note(&state);
            return Ok(false);
        }
        let mut append = Vec::new();
        for entry in connector.search(&Query::entries(std::mem::take(&mut state.going))).await? {
            match connector.again(&self.replay, &entry).await {
                Ok(again) => {
                    state.selected += usize::from(!again.is_empty());
                    append.extend(again);
                }
                Err(error) => state.unreadable += skipped(&self.replay, &entry, error)?,
            }
        }
        let appended = writes::append(shared, Transaction { append, ..Transaction::default() }).await?;
        let seqs = appended.into_iter().map(Appended::seq);
        let seqs: Vec<Seq> = seqs.filter(|seq| !self.known.contains(seq)).collect();
        shared.mailbox.wake_all();
        (state.appended, state.ended) = (state.appended + seqs.len(), state.is_last);
        let page = state.pages;
        state.pages += usize::from(!seqs.is_empty());
        if !self.write(connector, &known, &state, Some((page, &seqs))).await? {
            return Ok(true);
        }
        tracing::info!(nonce = %self.replay.nonce, appended = seqs.len(), "replayed");
        self.known.extend(&seqs);
        self.entries.extend(seqs);
        self.taken_pages = state.pages;
        self.note(&state);
        Ok(!state.ended)
    }

    /// Writes how far it is. Tells whether nobody else has worked on the same request meanwhile, who does the same.
    async fn write(
        &self,
        connector: &Connector,
        known: &Loaded<ReplayState>,
        state: &ReplayState,
        page: Option<(usize, &[Seq])>,
    ) -> Result<bool> {
        let mut transaction =
            Transaction { documents: vec![known.replace(state)?], ..Transaction::default() };
        if let Some((page, seqs)) = page.filter(|(_, seqs)| !seqs.is_empty()) {
            let key = page_key(&self.replay.nonce, page);
            transaction.documents.push(documents::put(key, &ReplayPage(seqs.to_vec()))?);
        }
        if state.ended {
            let unreadable = match state.unreadable {
                0 => String::new(),
                count => format!("; {count} more cannot be read"),
            };
            let receipt =
                Some(format!("{} of {} entries{unreadable}", state.appended, state.selected).into());
            transaction.settle.extend(self.act.map(|act| Settlement::new(act, Outcome::Done { receipt })));
        }
        Ok(matches!(writes::commit(&connector.shared, transaction).await?, Committed::Applied(_)))
    }

    fn note(&mut self, state: &ReplayState) {
        let repeated = self.before.unwrap_or_default();
        let appended = state.appended.saturating_sub(repeated);
        let ReplayState { selected, unreadable, .. } = *state;
        self.done = Replayed { selected, appended, repeated, unreadable, ..Replayed::default() };
    }

    async fn dry_page(&mut self, connector: &Connector) -> Result<bool> {
        let mut query = Query { bodies: true, max_bytes: None, ..self.replay.selection.clone() };
        let mut left = query.effective_limit();
        let mut would_go: BTreeMap<Way, usize> = BTreeMap::new();
        while left > 0 {
            query.limit = PAGE.min(left);
            let entries = connector.search(&query).await?;
            for entry in &entries {
                // What a delivery would be is not asked: that reads its event.
                if let (ReplayMode::SameDestination, EntryKind::Delivery) = (self.replay.mode, entry.kind) {
                    self.done.selected += usize::from(entry.body.is_some() && entry.parent.is_some());
                    continue;
                }
                match connector.again(&self.replay, entry).await {
                    Ok(again) => {
                        self.done.selected += usize::from(!again.is_empty());
                        for way in again.iter().filter_map(way_of) {
                            *would_go.entry(way).or_default() += 1;
                        }
                    }
                    Err(error) => self.done.unreadable += skipped(&self.replay, entry, error)?,
                }
            }
            query.after = entries.last().map(|last| last.seq);
            left = if entries.len() < query.limit { 0 } else { left - entries.len() };
        }
        self.done.would_go = would_go.into_iter().collect();
        Ok(false)
    }

    pub(crate) fn take_entries(&mut self) -> Vec<Seq> {
        std::mem::take(&mut self.entries)
    }

    pub(crate) fn done(&self) -> Replayed {
        self.done.clone()
    }

    /// Goes on with a request that is in the log.
    pub(crate) fn with_act(mut self, act: Seq) -> Self {
        self.act = Some(act);
        self
    }
}

impl Connector {
    /// Sends again, in the name of `host`; see [`act`](Self::act). Every entry of a replay is a new one beside the
    /// original, which is not dead any more and names it. Idempotent by nonce: the same request, made again, goes on where
    /// it was and adds nothing once it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] without a nonce; [`ErrorKind::Unavailable`] when the log fails on the way: a host
    /// that runs goes on by itself, or call again with the same nonce.
    pub async fn replay(&self, replay: &Replay) -> Result<Replayed> {
        let mut replaying = Replaying::new(replay.clone(), HOST.into());
        while replaying.page(self).await? {}
        Ok(replaying.done())
    }

    /// What an entry is replayed as; nothing if it cannot be in this mode.
    async fn again(&self, replay: &Replay, entry: &Entry) -> Result<Vec<NewEntry>> {
        match (replay.mode, entry.kind) {
            (ReplayMode::SameDestination, EntryKind::Delivery) => self.same_delivery(replay, entry).await,
            (ReplayMode::SameDestination, EntryKind::Signal) => {
                self.same_signal(replay, entry, |registry, _| registry.source(&entry.connection).cloned())
                    .await
            }
            (ReplayMode::SameDestination, EntryKind::Note)
                if entry.index.name.as_deref() == Some(UNROUTED) =>
            {
                self.same_signal(replay, entry, |registry, signal| {
                    let came_by = registry.source(&entry.connection)?;
                    let endpoint = &came_by.source.info().endpoint;
                    registry.account(endpoint, signal.account.as_ref(), came_by).cloned()
                })
                .await
            }
            (ReplayMode::Reroute, EntryKind::Event) => self.rerouted(replay, entry).await,
            _ => Ok(Vec::new()),
        }
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

/// The way that a delivery would take.
fn way_of(again: &NewEntry) -> Option<Way> {
    Way::of(&again.index, &again.connection).filter(|_| again.kind == EntryKind::Delivery)
}

/// One entry that cannot be read holds up none of the others. Returns how many that is.
///
/// # Errors
/// What the log itself fails with.
fn skipped(replay: &Replay, entry: &Entry, error: Error) -> Result<usize> {
    if error.kind() == ErrorKind::Unavailable {
        return Err(error);
    }
    let (connection, seq) = (&entry.connection, entry.seq.0);
    tracing::error!(%error, %connection, seq, nonce = %replay.nonce, "an entry cannot be read, and is not replayed");
    Ok(1)
}

fn key(replay: &Replay, seq: Seq) -> DedupeKey {
    format!("replay/{}/{seq}", replay.nonce).into()
}
