//! One step of a run: one page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    page::BACKFILL_PACE,
    schedule::{ensure, slot_after},
    state::{FeedState, Run, RunId},
    task::offers,
    turn::FeedTurn,
    unavailable::refuses,
};
use crate::{
    Error, ErrorKind, PollRequest, Result, Scope, Timestamp,
    audit::{Appended, Committed, EntryKind, Lease, Transaction},
    engine::{
        documents::{self, Loaded},
        guard,
        lanes::{Batch, Evidence, Hold, Item},
        registry::SourceSlot,
        resolve::{Resolved, WaitingSignal, failed},
        shared::Shared,
        stats::Stat,
        writes::{Stop, commit, dropped, settle},
    },
    model::{Page, Seq},
};

/// How often a step is put together again because somebody else wrote one of its documents meanwhile.
const STALE_TRIES: usize = 5;
/// How often a feed is tried whose connection does not work for it.
const OUTAGE_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Reads one page of a feed for the signals that wait in its lane.
pub(crate) async fn step(
    shared: &Shared,
    lease: Lease,
    slot: &Arc<SourceSlot>,
    batch: &Batch,
    feed: &Arc<str>,
    group: &[WaitingSignal],
) -> Result<Resolved, Stop> {
    let info = slot.source.info();
    if !offers(&info.feeds, feed) && !offers(&info.sweeps, feed) {
        let gone = |waiting: &WaitingSignal| dropped(waiting.item.seq, "the source does not offer this feed");
        settle(shared, lease, group.iter().map(gone).collect()).await?;
        return Ok(Resolved::default());
    }
    let (document, state) = FeedState::load(shared, slot, feed).await?;
    let turn = FeedTurn::choose(slot, feed, batch.lane, &state, group);
    if turn.is_too_early(&state, shared.clock.now()) {
        return turn.set_aside(shared, lease, group, (&document, state), None).await;
    }
    let checkpoint = shared.load::<Bytes>(turn.id.checkpoint(slot, feed)).await?.value;
    // A run that has not begun has none, whatever an earlier one has left.
    let checkpoint = checkpoint.filter(|_| turn.id == RunId::Live || state.runs.contains_key(&turn.id));
    let within = shared.context.within(shared.settings.call).with_vendor_clock(&slot.vendor_clock);
    let (ctx, calls) = within.watched();
    let poll = slot.source.poll(&ctx, PollRequest::new(feed, turn.mode).checkpoint(checkpoint.as_ref()));
    match guard::call(shared.settings.call, "the page did not come in time", poll).await {
        Ok(page) if page.more && checkpoint.as_ref() == Some(&page.checkpoint) => {
            let error = Error::new(ErrorKind::InvalidResponse, "a page of the feed leads to itself")
                .with_context("feed", feed);
            turn.fail(shared, lease, batch, group, error).await
        }
        Ok(page) => {
            let mut resolved = turn.take(shared, lease, group, &page, state, &document).await?;
            resolved.proof = proof_of(calls.succeeded(), &page);
            Ok(resolved)
        }
        Err(error) if refuses(&error) => {
            turn.set_aside(shared, lease, group, (&document, state), Some(&error)).await
        }
        Err(error) => turn.fail(shared, lease, batch, group, error).await,
    }
}

/// What a page says of its connection. One that was not read through the SDK's client has worked if it shows something.
fn proof_of(succeeded: Option<bool>, page: &Page) -> Evidence {
    if succeeded.unwrap_or(rows(page) > 0) { Evidence::Works } else { Evidence::Nothing }
}

/// How many rows a page has.
fn rows(page: &Page) -> usize {
    page.observations.len() + page.rows.len() + page.past.len() + page.signals.len()
}

/// Whether a row is lost that was not before.
fn is_new_note(kind: EntryKind, appended: Appended) -> bool {
    kind == EntryKind::Note && matches!(appended, Appended::New(_))
}

impl FeedTurn<'_> {
    /// Stores a page, and ends the run with its last one.
    async fn take(
        &self,
        shared: &Shared,
        lease: Lease,
        group: &[WaitingSignal],
        page: &Page,
        state: FeedState,
        document: &Loaded<FeedState>,
    ) -> Result<Resolved, Stop> {
        let now = shared.clock.now();
        let mut run = state.runs.get(&self.id).cloned().unwrap_or_else(|| Run {
            begun: now,
            since: self.since,
            answers: self.asking.iter().map(|waiting| waiting.item.seq).max().unwrap_or_default(),
            pages: 0,
            rows: 0,
            left: None,
            found: false,
            ended: None,
        });
        run.pages += 1;
        run.rows += rows(page) as u64;
        run.left = page.left.filter(|_| page.more);
        for _ in 0..STALE_TRIES {
            let mut state = state.clone();
            let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
            let mut turned = Vec::new();
            self.resume(shared, &mut state, &mut transaction, &mut turned).await?;
            let found = self.gather(shared, page, &run, &state, &mut transaction).await?;
            run.found |= !transaction.append.is_empty();
            state.runs.insert(self.id, run.clone());
            let settled = if page.more {
                Vec::new()
            } else {
                self.end(shared, &mut state, &run, &mut transaction).await?
            };
            if !page.more && self.id == RunId::Live {
                state.take_remark(self.slot, self.feed, page.remark.as_ref(), now);
            }
            let ended = !state.runs.contains_key(&self.id);
            let keep = !ended || self.id == RunId::Live;
            let checkpoint = self.id.checkpoint(self.slot, self.feed);
            transaction.documents.push(match keep {
                true => documents::put(checkpoint, &page.checkpoint)?,
                false => documents::remove(checkpoint),
            });
            transaction.documents.push(document.replace(&state)?);
            let deliveries =
                transaction.append.iter().filter(|entry| entry.kind == EntryKind::Delivery).count();
            let mut wake = found.wake;
            wake.append(&mut turned);
            wake.push(self.slot.partition);
            let kinds: Vec<EntryKind> = transaction.append.iter().map(|entry| entry.kind).collect();
            match commit(shared, transaction).await? {
                Committed::Applied(appended) => {
                    let appended = kinds.iter().zip(&appended);
                    let lost = appended.filter(|(kind, at)| is_new_note(**kind, **at)).count();
                    shared.count(Stat::Events, found.events, self.slot.connection(), None);
                    shared.count(Stat::Deliveries, deliveries, self.slot.connection(), None);
                    shared.count_left_out(self.slot, found.left_out + lost);
                    shared.mailbox.wake(&wake);
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

    /// What goes on waiting. The next page comes behind other work that is due; that of a backfill comes when the
    /// records of this one have had their turn.
    fn waits(&self, group: &[WaitingSignal], settled: &[Seq], page: &Page, now: Timestamp) -> Vec<Item> {
        let rest = group.iter().filter(|waiting| !settled.contains(&waiting.item.seq));
        let pace = u32::try_from(page.signals.len()).unwrap_or(u32::MAX);
        let due = |waiting: &WaitingSignal| match self.id {
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
        group: &[WaitingSignal],
        error: Error,
    ) -> Result<Resolved, Stop> {
        let error = match error.scope() {
            // What a poll has to leave to others must not keep others waiting.
            Scope::Quota(_) => error.with_scope(Scope::Entry),
            _ => error,
        };
        let asking: Vec<WaitingSignal> = self.asking.iter().map(|waiting| (*waiting).clone()).collect();
        let mut resolved = failed(shared, lease, batch, &asking, &error).await?;
        if resolved.waits.len() < asking.len() {
            ensure(shared, self.slot).await?;
        }
        if matches!(resolved.hold, Hold::Outage(_)) {
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
