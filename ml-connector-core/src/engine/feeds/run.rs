//! One step of a run: one page.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        Shared, foreign,
        intake::signal_entry,
        lanes::{Batch, Hold, Item, LaneId},
        observe::{Noticed, Purpose, observe, remember},
        outcome::{self, Told},
        promise::append_page,
        registry::SourceSlot,
        resolve::{Resolved, Stop, Waiting, commit, dropped, failed, settle},
        stats::Stat,
        stored::StoredSignal,
    },
    Ask, offers,
    schedule::{Series, ensure, slot_after},
    state::{FeedState, Run, RunId},
    sweep,
};
use crate::{
    Error, ErrorKind, FeedInfo, PollRequest, Result, Scope, Timestamp,
    audit::{Committed, DocumentWrite, EntryKind, Expected, Lease, Outcome, Parent, Settlement, Transaction},
    model::{Change, EntityRef, Event, Origin, Page, PollMode, Seq, Signal, Subject},
};

/// How often a step is put together again because somebody else wrote one of its documents meanwhile.
const STALE_TRIES: usize = 5;
/// Records of the past that have to be read one by one are spread over time, so that news is never far behind them.
const BACKFILL_PACE: Duration = Duration::from_secs(1);

/// How often a feed is tried whose connection does not work for it.
const OUTAGE_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What one step works on.
struct Turn<'a> {
    slot: &'a Arc<SourceSlot>,
    feed: &'a str,
    lane: LaneId,
    id: RunId,
    mode: PollMode,
    /// The signals that ask for it.
    asking: Vec<&'a Waiting>,
    since: Option<Timestamp>,
}

/// Reads one page of a feed for the signals that wait in its lane.
pub(in crate::engine) async fn step(
    shared: &Shared,
    lease: Lease,
    slot: &Arc<SourceSlot>,
    batch: &Batch,
    feed: &Arc<str>,
    group: &[Waiting],
) -> Result<Resolved, Stop> {
    let info = slot.source.info();
    if !offers(&info.feeds, feed) && !offers(&info.sweeps, feed) {
        let gone = |waiting: &Waiting| dropped(waiting.item.seq, "the source does not offer this feed");
        settle(shared, lease, group.iter().map(gone).collect()).await?;
        return Ok(Resolved::default());
    }
    let key = FeedState::key(slot, feed);
    let document = shared.log.documents(std::slice::from_ref(&key)).await?.pop().flatten();
    let (expected, state) = FeedState::read(document)?;
    let turn = Turn::choose(slot, feed, batch.lane, &state, group);
    let checkpoint = turn.id.checkpoint(slot, feed);
    let checkpoint = match shared.log.documents(&[checkpoint]).await?.pop().flatten() {
        // A run that has not begun has none, whatever an earlier one has left.
        Some(document) if turn.id == RunId::Live || state.runs.contains_key(&turn.id) => Some(document.bytes),
        _ => None,
    };
    let ctx = shared.context.within(shared.settings.call);
    let poll = slot.source.poll(&ctx, PollRequest::new(feed, turn.mode).checkpoint(checkpoint.as_ref()));
    match foreign::call(shared.settings.call, "the page did not come in time", poll).await {
        Ok(page) if page.more && checkpoint.as_ref() == Some(&page.checkpoint) => {
            let error = Error::new(ErrorKind::InvalidResponse, "a page of the feed leads to itself")
                .with_context("feed", feed);
            turn.fail(shared, lease, batch, group, error).await
        }
        Ok(page) => turn.take(shared, lease, group, &page, state, expected).await,
        Err(error) => turn.fail(shared, lease, batch, group, error).await,
    }
}

impl<'a> Turn<'a> {
    /// What is most urgent: news before the past.
    fn choose(
        slot: &'a Arc<SourceSlot>,
        feed: &'a str,
        lane: LaneId,
        state: &FeedState,
        group: &'a [Waiting],
    ) -> Self {
        let of = |wanted: fn(&Signal) -> bool| -> Vec<&'a Waiting> {
            group.iter().filter(|waiting| wanted(&waiting.signal)).collect()
        };
        let turn = |id, mode, asking, since| Turn { slot, feed, lane, id, mode, asking, since };
        let sweeps = of(|signal| matches!(ask(signal), Some(Ask::Sweep(_) | Ask::ConfirmedSweep(_))));
        if state.baseline.is_none() && sweeps.len() < group.len() {
            return turn(RunId::Live, PollMode::Baseline, group.iter().collect(), None);
        }
        let reads = of(|signal| match ask(signal) {
            Some(Ask::Read(_) | Ask::ReadNow) => true,
            Some(Ask::Sweep(_) | Ask::ConfirmedSweep(_) | Ask::Backfill(_)) => false,
            None => since(signal).is_none(),
        });
        if !reads.is_empty() {
            return turn(RunId::Live, PollMode::Live, reads, None);
        }
        let gaps = of(|signal| ask(signal).is_none());
        if let Some(since) = gaps.iter().filter_map(|waiting| since(&waiting.signal)).min() {
            // A run that has begun keeps its beginning; what asks for more waits for the next.
            let since = state.runs.get(&RunId::Gap).and_then(|run| run.since).unwrap_or(since);
            return turn(RunId::Gap, PollMode::Backfill { since: Some(since) }, gaps, Some(since));
        }
        if !sweeps.is_empty() {
            return turn(RunId::Sweep, PollMode::Sweep, sweeps, None);
        }
        let first = &group[0];
        let since = match ask(&first.signal) {
            Some(Ask::Backfill(since)) => since,
            _ => None,
        };
        turn(RunId::Backfill(first.item.seq), PollMode::Backfill { since }, vec![first], since)
    }

    /// Stores a page, and ends the run with its last one.
    async fn take(
        &self,
        shared: &Shared,
        lease: Lease,
        group: &[Waiting],
        page: &Page,
        state: FeedState,
        expected: Expected,
    ) -> Result<Resolved, Stop> {
        let now = shared.clock.now();
        let number = state.runs.get(&self.id).map_or(0, |run| run.pages);
        let mut run = state.runs.get(&self.id).cloned().unwrap_or_else(|| Run {
            begun: now,
            since: self.since,
            answers: self.asking.iter().map(|waiting| waiting.item.seq).max().unwrap_or_default(),
            pages: 0,
            rows: 0,
            found: false,
            ended: None,
        });
        run.pages += 1;
        run.rows += (page.observations.len() + page.signals.len()) as u64;
        for _ in 0..STALE_TRIES {
            let mut state = state.clone();
            let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
            let noticed = self.gather(shared, page, number, &state, &mut transaction).await?;
            run.found |= !transaction.append.is_empty();
            state.runs.insert(self.id, run.clone());
            let settled = if page.more {
                Vec::new()
            } else {
                self.end(shared, &mut state, &run, &mut transaction).await?
            };
            let ended = !state.runs.contains_key(&self.id);
            let keep = !ended || self.id == RunId::Live;
            transaction.documents.push(DocumentWrite {
                key: self.id.checkpoint(self.slot, self.feed),
                expected: Expected::Any,
                value: keep.then(|| page.checkpoint.clone()),
            });
            transaction.documents.push(state.write(FeedState::key(self.slot, self.feed), expected)?);
            let deliveries =
                transaction.append.iter().filter(|entry| entry.kind == EntryKind::Delivery).count();
            let mut wake = noticed.wake;
            wake.push(self.slot.partition);
            match commit(shared, transaction).await? {
                Committed::Applied(_) => {
                    shared.stats.add(Stat::Events, noticed.events);
                    shared.stats.add(Stat::Deliveries, deliveries);
                    shared.wake.partitions(&wake);
                    return Ok(Resolved {
                        waits: self.waits(group, &settled, page, now),
                        ..Resolved::default()
                    });
                }
                Committed::Fenced => return Err(Stop::Fenced),
                Committed::Stale(key) => {
                    tracing::debug!(%key, "somebody else wrote: putting the page together again");
                }
            }
        }
        let waits = group.iter().map(|waiting| Item { due: now + Duration::from_secs(1), ..waiting.item });
        Ok(Resolved { waits: waits.collect(), ..Resolved::default() })
    }

    /// What follows from a page, whichever it is.
    async fn gather(
        &self,
        shared: &Shared,
        page: &Page,
        number: u32,
        state: &FeedState,
        transaction: &mut Transaction,
    ) -> Result<Noticed> {
        let parent = Parent::Entry(self.asking[0].item.seq);
        if self.mode == PollMode::Sweep {
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
            return Ok(Noticed::default());
        }
        let mut noticed = Noticed::default();
        let mut again = Vec::new();
        if self.mode == PollMode::Baseline {
            again = remember(shared, self.slot, &page.observations, transaction).await?;
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
        } else {
            let purpose = match self.id {
                RunId::Backfill(_) => Purpose::Page,
                _ => Purpose::Live,
            };
            noticed = observe(shared, self.slot, &page.observations, purpose, parent, transaction).await?;
            again.append(&mut noticed.older);
            if let (RunId::Backfill(seq), false) = (self.id, noticed.page.is_empty()) {
                let records = std::mem::take(&mut noticed.page);
                let page = page_event(self.slot, self.feed, seq, number, records, shared.clock.now());
                let (partition, wake) = (self.slot.partition, &mut noticed.wake);
                noticed.events += append_page(shared, partition, page, transaction, parent, wake).await?;
            }
        }
        let again = again.into_iter().map(Signal::entity);
        let (origin, pace) = match self.id {
            RunId::Backfill(_) => (Origin::Backfill, BACKFILL_PACE),
            _ => (Origin::Live, Duration::ZERO),
        };
        let mut due = shared.clock.now();
        for mut signal in again.chain(page.signals.iter().cloned()) {
            if origin == Origin::Backfill {
                signal.hint = Some(Signal::BACKFILL.into());
            }
            let signal = &signal;
            let body = StoredSignal::encode_as(origin, Some(signal), None, b"")?;
            transaction.append.push(signal_entry(self.slot, signal, parent, body, due));
            due = due + pace;
        }
        Ok(noticed)
    }

    /// Ends the run: settles what it answers, and appends what comes next. Returns what is settled.
    async fn end(
        &self,
        shared: &Shared,
        state: &mut FeedState,
        run: &Run,
        transaction: &mut Transaction,
    ) -> Result<Vec<Seq>> {
        let now = shared.clock.now();
        let found = match self.mode {
            PollMode::Baseline => {
                sweep::accept(self.slot, self.feed, state, run, &[], transaction);
                state.end(self.id, now);
                tracing::info!(connection = %self.slot.connection(), feed = self.feed, rows = run.rows, "baseline complete");
                // What has changed meanwhile is read next, for the same signals.
                return Ok(Vec::new());
            }
            PollMode::Sweep => {
                let answered = self.asking.iter().filter(|waiting| waiting.item.seq <= run.answers);
                let confirmed = answered.filter_map(|waiting| match ask(&waiting.signal) {
                    Some(Ask::ConfirmedSweep(missing)) => Some(missing),
                    _ => None,
                });
                let cause = (self.asking[0].item.seq, confirmed.max().unwrap_or(0));
                sweep::compare(shared, self.slot, self.feed, state, run, cause, transaction).await?
            }
            _ => Ok(run.found),
        };
        match &found {
            Ok(_) => state.end(self.id, now),
            Err(error) => {
                state.runs.remove(&self.id);
                self.alarm(shared, error, transaction).await?;
            }
        }
        let answered = self.asking.iter().filter(|waiting| match self.id {
            RunId::Gap => waiting.item.seq <= run.answers && since(&waiting.signal) >= run.since,
            _ => waiting.item.seq <= run.answers,
        });
        let mut settled = Vec::new();
        for waiting in answered {
            let outcome = match &found {
                Ok(true) => Outcome::Done { receipt: None },
                Ok(false) => Outcome::Dropped { reason: "unchanged".into() },
                Err(error) => Outcome::Dead { error: error.to_string().into() },
            };
            transaction.settle.push(Settlement::new(waiting.item.seq, outcome));
            settled.push(waiting.item.seq);
            self.schedule_next(waiting, state, now, transaction)?;
        }
        Ok(settled)
    }

    /// Tells that somebody has to look.
    async fn alarm(&self, shared: &Shared, error: &Error, transaction: &mut Transaction) -> Result<()> {
        tracing::error!(%error, "a sweep was not believed");
        shared.stats.count(Stat::Dead);
        let told = Told {
            kind: "signal",
            seq: self.asking[0].item.seq,
            change: Change::Dead,
            connection: self.slot.connection().clone(),
            lane: self.lane,
            about: None,
            reason: error.to_string().into(),
        };
        let wake = outcome::append(shared, told, transaction).await?;
        shared.wake.partitions(&wake);
        Ok(())
    }

    /// Appends the successor of a scheduled signal.
    fn schedule_next(
        &self,
        settled: &Waiting,
        state: &mut FeedState,
        now: Timestamp,
        transaction: &mut Transaction,
    ) -> Result<()> {
        let info = self.slot.source.info();
        let (series, feeds): (_, &[FeedInfo]) = match ask(&settled.signal) {
            Some(Ask::Read(n)) if n == state.read => (Series::Read, &info.feeds),
            Some(Ask::Sweep(n)) if n == state.sweep => (Series::Sweep, &info.sweeps),
            _ => return Ok(()),
        };
        series.advance(state);
        let Some(feed) = feeds.iter().find(|feed| feed.name == self.feed) else { return Ok(()) };
        transaction.append.extend(series.next(self.slot, feed, state, now)?);
        Ok(())
    }

    /// What goes on waiting. The next page comes behind other work that is due; that of a backfill comes when the
    /// records of this one have had their turn.
    fn waits(&self, group: &[Waiting], settled: &[Seq], page: &Page, now: Timestamp) -> Vec<Item> {
        let rest = group.iter().filter(|waiting| !settled.contains(&waiting.item.seq));
        let pace = u32::try_from(page.signals.len()).unwrap_or(u32::MAX);
        let due = |waiting: &Waiting| match self.id {
            RunId::Backfill(seq) if seq == waiting.item.seq => now + BACKFILL_PACE.saturating_mul(pace),
            _ => waiting.item.due.max(now),
        };
        rest.map(|waiting| Item { due: due(waiting), attempt: 0, ..waiting.item }).collect()
    }

    /// The page did not come: those who asked for it wait as the error says, the others as before.
    async fn fail(
        &self,
        shared: &Shared,
        lease: Lease,
        batch: &Batch,
        group: &[Waiting],
        error: Error,
    ) -> Result<Resolved, Stop> {
        let error = match error.scope() {
            // What a poll has to leave to others must not keep others waiting.
            Scope::Quota(_) => error.with_scope(Scope::Entry),
            _ => error,
        };
        let asking: Vec<Waiting> = self.asking.iter().map(|waiting| (*waiting).clone()).collect();
        let mut resolved = failed(shared, lease, batch, &asking, &error).await?;
        if resolved.waits.len() < asking.len() {
            ensure(shared, self.slot).await?;
        }
        if resolved.hold != Hold::None {
            // What else works of the connection ends the outage. A feed that does not waits for its own time then.
            let until = slot_after(self.slot, self.feed, OUTAGE_PAUSE, shared.clock.now());
            resolved.waits.iter_mut().for_each(|item| item.due = item.due.max(until));
        }
        let others =
            group.iter().filter(|waiting| !asking.iter().any(|one| one.item.seq == waiting.item.seq));
        resolved.waits.extend(others.map(|waiting| waiting.item));
        Ok(resolved)
    }
}

/// What a page of the past tells.
fn page_event(
    slot: &SourceSlot,
    feed: &str,
    backfill: Seq,
    number: u32,
    records: Vec<Event>,
    now: Timestamp,
) -> Event {
    let entity = EntityRef::new(Event::PAGE, format!("{feed}-{backfill}"));
    let changes = [Change::Created].into();
    let mut page = Event::new(slot.connection().clone(), entity, u64::from(number) + 1, changes, now, None);
    (page.origin, page.page) = (Origin::Backfill, records);
    page
}

fn ask(signal: &Signal) -> Option<Ask> {
    serde_json::from_slice(signal.payload.as_ref()?).ok()
}

fn since(signal: &Signal) -> Option<Timestamp> {
    match signal.subject {
        Subject::Feed { since, .. } => since,
        _ => None,
    }
}

fn ids(page: &Page) -> impl Iterator<Item = &EntityRef> {
    let observed = page.observations.iter().map(|seen| &seen.entity);
    observed.chain(page.signals.iter().filter_map(|signal| match &signal.subject {
        Subject::Entity(entity) => Some(entity),
        _ => None,
    }))
}
