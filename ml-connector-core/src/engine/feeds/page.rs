//! What follows from a page of a feed.

use std::time::Duration;

use super::{
    state::{FeedState, RunId},
    sweep,
    turn::FeedTurn,
};
use crate::{
    Result, Timestamp,
    audit::{Parent, Transaction},
    engine::{
        entries,
        fan_out::append_page,
        registry::SourceSlot,
        resolve::{Found, Purpose, observe, remember},
        shared::Shared,
    },
    model::{Change, EntityRef, Event, Origin, Page, PollMode, Seq, Signal, Subject},
};

/// Records of the past that have to be read one by one are spread over time, so that news is never far behind them.
pub(super) const BACKFILL_PACE: Duration = Duration::from_secs(1);

impl FeedTurn<'_> {
    /// What follows from a page, whichever it is.
    pub(super) async fn gather(
        &self,
        shared: &Shared,
        page: &Page,
        number: u32,
        state: &FeedState,
        transaction: &mut Transaction,
    ) -> Result<Found> {
        let parent = Parent::Entry(self.asking[0].item.seq);
        if self.mode == PollMode::Sweep {
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
            return Ok(Found::default());
        }
        let mut found = Found::default();
        let mut again = Vec::new();
        if self.mode == PollMode::Baseline {
            again = remember(shared, self.slot, &page.observations, state.watched_since, transaction).await?;
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
        } else {
            let purpose = match self.id {
                RunId::Backfill(_) => Purpose::Page,
                _ => Purpose::Live { heard: None },
            };
            found = observe(shared, self.slot, &page.observations, purpose, parent, transaction).await?;
            again.append(&mut found.older);
            if let (RunId::Backfill(seq), false) = (self.id, found.page.is_empty()) {
                let records = std::mem::take(&mut found.page);
                let page = page_event(self.slot, self.feed, seq, number, records, shared.clock.now());
                let (partition, wake) = (self.slot.partition, &mut found.wake);
                found.events += append_page(shared, partition, page, transaction, parent, wake).await?;
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
            transaction.append.push(entries::signal_of(origin, self.slot, &signal, parent, due)?);
            due = due + pace;
        }
        Ok(found)
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
    if let Some(first) = records.first() {
        (page.system, page.account, page.epoch) = (first.system.clone(), first.account.clone(), first.epoch);
    }
    (page.origin, page.page) = (Origin::Backfill, records);
    page
}

fn ids(page: &Page) -> impl Iterator<Item = &EntityRef> {
    let observed = page.observations.iter().map(|seen| &seen.entity);
    observed.chain(page.signals.iter().filter_map(|signal| match &signal.subject {
        Subject::Entity(entity) => Some(entity),
        _ => None,
    }))
}
