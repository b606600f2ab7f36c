//! What follows from a page of a feed.

use std::time::Duration;

use super::{
    state::{FeedState, Run, RunId},
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
        resolve::{Found, Purpose, observe, remember, tell_rows, write_down},
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
        run: &Run,
        state: &FeedState,
        transaction: &mut Transaction,
    ) -> Result<Found> {
        let parent = Parent::Entry(self.asking[0].item.seq);
        let number = run.pages - 1;
        for row in &page.lost {
            let note = entries::lost_row(self.slot, self.feed, row, parent, shared.clock.now())?;
            transaction.append.push(note);
        }
        if self.mode == PollMode::Sweep {
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
            return Ok(Found::default());
        }
        let mut found = Found::default();
        let mut again = Vec::new();
        write_down(shared, self.slot, &page.past, transaction).await?;
        if self.mode == PollMode::Baseline {
            for seen in [&page.observations, &page.rows] {
                again.extend(remember(shared, self.slot, seen, state.watched_since, transaction).await?);
            }
            sweep::write_ids(self.slot, self.feed, state, number, ids(page), transaction);
        } else {
            let purpose = match self.id {
                RunId::Backfill(_) => Purpose::Page,
                _ => Purpose::Live { heard: None },
            };
            found = observe(shared, self.slot, &page.observations, purpose, parent, transaction).await?;
            again.append(&mut found.older);
            if let RunId::Backfill(seq) = self.id {
                let rows = tell_rows(shared, self.slot, &page.rows, seq, transaction).await?;
                self.append_details(shared, rows.details, page, run, transaction)?;
                for entity in rows.news {
                    let signal = listed(entity);
                    transaction.append.push(entries::signal(self.slot, &signal, parent, shared.clock.now())?);
                }
                let records = std::mem::take(&mut found.page);
                if !(records.is_empty() && rows.page.is_empty()) {
                    let page = page_event(self.slot, self.feed, seq, number, records, shared.clock.now());
                    let (partition, wake) = (self.slot.partition, &mut found.wake);
                    found.events +=
                        append_page(shared, partition, page, rows.page, transaction, parent, wake).await?;
                }
            }
        }
        let listed =
            page.rows.iter().filter(|_| self.asks_for_details()).map(|row| listed(row.entity.clone()));
        let again = again.into_iter().map(Signal::entity).chain(listed);
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

    /// Whether rows are only a reason to read the records: neither a first look nor the past.
    fn asks_for_details(&self) -> bool {
        !matches!((self.mode, self.id), (PollMode::Baseline, _) | (_, RunId::Backfill(_)))
    }

    /// The details of a page's rows are read after those of the pages before, and the list does not wait for them.
    fn append_details(
        &self,
        shared: &Shared,
        details: Vec<EntityRef>,
        page: &Page,
        run: &Run,
        transaction: &mut Transaction,
    ) -> Result<()> {
        let parent = Parent::Entry(self.asking[0].item.seq);
        let before = run.rows.saturating_sub(page.rows.len() as u64);
        let before = BACKFILL_PACE.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        let mut due = (run.begun + before).max(shared.clock.now());
        for entity in details {
            let signal = Signal { hint: Some(Signal::BACKFILL.into()), ..Signal::entity(entity) };
            transaction.append.push(entries::signal_of(Origin::Backfill, self.slot, &signal, parent, due)?);
            due = due + BACKFILL_PACE;
        }
        Ok(())
    }
}

fn listed(entity: EntityRef) -> Signal {
    let hint = format!("{}.listed", entity.kind);
    Signal { hint: Some(hint.into()), ..Signal::entity(entity) }
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

fn ids(page: &Page) -> impl Iterator<Item = &EntityRef> {
    let observed = page.observations.iter().chain(&page.rows).chain(&page.past).map(|seen| &seen.entity);
    observed.chain(page.signals.iter().filter_map(|signal| match &signal.subject {
        Subject::Entity(entity) => Some(entity),
        _ => None,
    }))
}
