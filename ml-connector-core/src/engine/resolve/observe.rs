//! The snapshot step: from observations to snapshots, events and deliveries, gathered in one transaction.

use std::{sync::Arc, time::Duration};

use crate::{
    Result, Timestamp,
    audit::{DocKey, Parent, Transaction},
    engine::{
        documents::{DocumentKind, Loaded},
        fan_out::{append_event, append_time_signals},
        registry::SourceSlot,
        shared::Shared,
    },
    model::{Change, Content, EntityRef, Event, Observation, Observed, Origin, Partition, Record},
    snapshot::{ChangeRules, Facts, Snapshot, SnapshotStep, step},
};

/// What a comparison of stamps allows for by itself; see [`ChangeRules::watched_since`].
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Why records were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To tell what changed. `heard` = when something was first said of the record, other than by a list.
    Live { heard: Option<Timestamp> },
    /// A write of ours was read back: whatever it changed is told, but not as news when it is no more than that
    /// something about the record is different.
    Ours,
    /// To tell of every record; `alone` = nothing but the request for the past led to the read.
    Backfill { alone: bool },
    /// To tell of every record of a page together.
    Page,
}

impl Purpose {
    fn was_heard_before(self, read_at: Timestamp) -> bool {
        matches!(self, Self::Live { heard: Some(heard) } if heard <= read_at)
    }
}

/// What observations led to, beside what is in the transaction.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) events: usize,
    /// What is to be told of a page of the past.
    pub(crate) page: Vec<Event>,
    /// Records of which something newer is known: to be read again.
    pub(crate) older: Vec<EntityRef>,
    /// How many values could not be read.
    pub(crate) left_out: usize,
    /// Whose work lists will have grown.
    pub(crate) wake: Vec<Partition>,
}

/// Compares observations with what is known, and adds what follows to the transaction.
pub(crate) async fn observe(
    shared: &Shared,
    slot: &SourceSlot,
    observations: &[Observation],
    purpose: Purpose,
    parent: Parent,
    transaction: &mut Transaction,
) -> Result<Found> {
    let watched_since = shared.watched_since(slot).await?;
    let snapshots = load_snapshots(shared, slot, observations.iter().map(|seen| &seen.entity)).await?;
    let now = shared.clock.now();
    let mut found = Found::default();
    // What a source that is itself the truth says of one record is a sequence: each state follows the one before.
    let keeps_raw = slot.source.info().keeps_raw;
    let mut before: Option<(DocKey, Snapshot)> = None;
    for (seen, known) in observations.iter().zip(snapshots) {
        let key = &known.key;
        let written = transaction.documents.iter().position(|write| write.key == *key);
        let previous = before.as_ref().filter(|(earlier, _)| keeps_raw && earlier == key);
        if written.is_some() && previous.is_none() {
            // A list may show a row twice.
            continue;
        }
        let last = previous.map(|(_, snapshot)| snapshot);
        let last = last.or(known.value.as_ref());
        let filled_in = last
            .filter(|last| last.revision.is_some() && is_provisional(last, seen, purpose))
            .and_then(|last| filled_in(last, seen, purpose, watched_since - Shared::stamp_margin(slot)));
        // A row that was read after somebody had said that something happened shows what is to be told.
        let is_swallowed =
            |row: &&Snapshot| row.row_only && row.n == 0 && purpose.was_heard_before(row.read_at);
        let last = filled_in.as_ref().or(last.filter(|row| !is_swallowed(row)));
        let (mut snapshot, changes) = match step(last, seen, &policy(slot, watched_since, now)) {
            SnapshotStep::Older => {
                found.older.push(seen.entity.clone());
                continue;
            }
            SnapshotStep::Changed { snapshot, changes } => (snapshot, changes),
            SnapshotStep::Unchanged if filled_in.is_some() && !is_of_the_past(purpose) => {
                transaction.documents.extend(filled_in.map(|filled| known.replace(&filled)).transpose()?);
                continue;
            }
            SnapshotStep::Unchanged => match (purpose, last) {
                (Purpose::Backfill { .. } | Purpose::Page, Some(last)) if last.revision.is_some() => {
                    (Box::new(last.clone()), [Change::Updated].into())
                }
                _ => continue,
            },
        };
        let mut origin = Origin::Live;
        let same_facts = last.is_some_and(|last| last.facts == snapshot.facts);
        if purpose == Purpose::Ours && same_facts && changes == [Change::Updated].into() {
            origin = Origin::Ours;
        }
        if is_of_the_past(purpose) {
            let alone = purpose != Purpose::Backfill { alone: false };
            // A change that nobody has told yet is news, however it was found.
            let news = last.is_some_and(|last| snapshot.n > last.n) || last.is_none() && !alone;
            if !news {
                origin = Origin::Backfill;
                snapshot.n = last.map_or(0, |last| last.n) + 1;
            }
        }
        if let Observed::Present { raw, .. } = &seen.state
            && keeps_raw
        {
            snapshot.raw.clone_from(raw);
        }
        match written {
            Some(earlier) => transaction.documents[earlier].value = Some(snapshot.encode()?),
            None => transaction.documents.push(known.replace(&snapshot)?),
        }
        append_time_signals(slot, &seen.entity, &snapshot, now, transaction)?;
        let (connection, entity) = (slot.connection().clone(), seen.entity.clone());
        let mut event = Event::new(connection, entity, snapshot.n, changes, now, None);
        match &seen.state {
            Observed::Present { content, raw, notes, .. } => {
                let known = last.filter(|last| last.revision.is_some());
                event.before = known.and_then(|last| last.facts.as_ref()?.before(snapshot.facts.as_ref()?));
                event.content = Some(content.clone());
                (event.raw, event.notes) = (raw.clone(), notes.clone());
                found.left_out += notes.len();
            }
            Observed::Gone(_) => {
                event.content = snapshot.to_record(Arc::clone(&seen.entity.id)).map(Content::from);
            }
        }
        let info = slot.source.info();
        (event.system, event.account) = (info.system.into(), info.accounts.first().cloned());
        event.origin = origin;
        event.epoch = u64::try_from(watched_since.as_millis()).unwrap_or(0);
        if purpose == Purpose::Page && origin == Origin::Backfill {
            found.page.push(event);
            continue;
        }
        append_event(shared, slot.partition, event, transaction, parent, &mut found.wake).await?;
        found.events += 1;
        before = Some((known.key, *snapshot));
    }
    Ok(found)
}

/// Writes down what is there when a connection is new, without telling. Returns the records that have changed since
/// the connection is watched, or since `later`: what happened to them is news, so they have to be read as if a webhook
/// had come.
pub(crate) async fn remember(
    shared: &Shared,
    slot: &SourceSlot,
    observations: &[Observation],
    later: Option<Timestamp>,
    transaction: &mut Transaction,
) -> Result<Vec<EntityRef>> {
    let watched_since = shared.watched_since(slot).await?;
    let watched_since = later.map_or(watched_since, |later| later.max(watched_since));
    let snapshots = load_snapshots(shared, slot, observations.iter().map(|seen| &seen.entity)).await?;
    let now = shared.clock.now();
    let mut recent = Vec::new();
    for (seen, known) in observations.iter().zip(snapshots) {
        let Some(record) = seen.state.record() else { continue };
        // What a webhook has led to already is newer, or will be read again by what follows the baseline.
        if known.value.is_some() || transaction.documents.iter().any(|write| write.key == known.key) {
            continue;
        }
        if is_touched(record, watched_since - Shared::stamp_margin(slot)) {
            recent.push(seen.entity.clone());
        } else if let SnapshotStep::Changed { mut snapshot, .. } =
            step(None, seen, &policy(slot, watched_since, now))
        {
            snapshot.n = 0;
            (snapshot.row_only, snapshot.row_stamp) = (true, record.modified_at);
            transaction.documents.push(known.replace(&snapshot)?);
            append_time_signals(slot, &seen.entity, &snapshot, now, transaction)?;
        }
    }
    Ok(recent)
}

/// Writes down records that are no news although nobody has seen them before, without telling, whatever their stamps say.
pub(crate) async fn write_down(
    shared: &Shared,
    slot: &SourceSlot,
    past: &[Observation],
    transaction: &mut Transaction,
) -> Result<()> {
    let watched_since = shared.watched_since(slot).await?;
    let snapshots = load_snapshots(shared, slot, past.iter().map(|seen| &seen.entity)).await?;
    let now = shared.clock.now();
    for (seen, known) in past.iter().zip(snapshots) {
        if known.value.is_some() || transaction.documents.iter().any(|write| write.key == known.key) {
            continue;
        }
        if let SnapshotStep::Changed { mut snapshot, .. } =
            step(None, seen, &policy(slot, watched_since, now))
        {
            snapshot.n = 0;
            transaction.documents.push(known.replace(&snapshot)?);
            append_time_signals(slot, &seen.entity, &snapshot, now, transaction)?;
        }
    }
    Ok(())
}

/// A list shows no more of a record than its row, so the first detail differs from it whether or not anything has
/// happened. As far as the vendor's stamp says that nothing has, the detail is what was meant: there is no change
/// between the two. `None` = there may be one.
fn filled_in(
    row: &Snapshot,
    seen: &Observation,
    purpose: Purpose,
    watched_since: Timestamp,
) -> Option<Snapshot> {
    let Observed::Present { revision, order, content: Content::Record(record), .. } = &seen.state else {
        return None;
    };
    let (revision, order, read_at, facts) = (Some(*revision), *order, seen.read_at, Some(Facts::of(record)));
    let is_same = match record.modified_at {
        // A stamp that was young when the row was read may have been given a second time.
        Some(at) => at < watched_since || row.row_stamp == Some(at) && at + CLOCK_SKEW < row.read_at,
        // Without stamps there is nothing but the fields.
        None => is_of_the_past(purpose) && shows_the_same(row, record),
    };
    is_same.then(|| Snapshot {
        revision,
        order,
        read_at,
        facts,
        row_only: false,
        row_stamp: None,
        ..row.clone()
    })
}

/// Whether what is known is no more than a row, which the observation may only fill in. What a row says of status, amounts
/// and dates is believed, except when nothing but the past is asked for: there lists may say less than records.
fn is_provisional(last: &Snapshot, seen: &Observation, purpose: Purpose) -> bool {
    if purpose == (Purpose::Backfill { alone: true }) {
        return last.n == 0 || last.row_only;
    }
    last.row_only && seen.state.record().is_some_and(|record| shows_the_same(last, record))
}

/// Whether a record is in all that decides as its row has shown it, but for what rows do not have.
fn shows_the_same(row: &Snapshot, record: &Record) -> bool {
    row.facts.as_ref().is_some_and(|row| *row == Facts { content: row.content, ..Facts::of(record) })
}

fn is_of_the_past(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Backfill { .. } | Purpose::Page)
}

/// Whether the record has changed since the connection is watched, by the vendor's own word.
pub(super) fn is_touched(record: &Record, watched_since: Timestamp) -> bool {
    let touched = record.modified_at.or(record.created_at);
    touched.is_some_and(|at| at >= watched_since)
}

pub(super) fn policy(slot: &SourceSlot, watched_since: Timestamp, now: Timestamp) -> ChangeRules<'_> {
    let info = slot.source.info();
    let watched_since = watched_since + CLOCK_SKEW.saturating_sub(Shared::stamp_margin(slot));
    ChangeRules { today: now.date_in(&info.zone), overdue_after: &info.overdue_after, watched_since }
}

/// What is known of records.
pub(crate) async fn load_snapshots<'a>(
    shared: &Shared,
    slot: &SourceSlot,
    entities: impl IntoIterator<Item = &'a EntityRef>,
) -> Result<Vec<Loaded<Snapshot>>> {
    let keys = entities.into_iter().map(|entity| Snapshot::key(slot.connection(), entity)).collect();
    let mut known = shared.load_all::<Snapshot>(keys).await?;
    if let Some(moved_at) = shared.moved_at(slot).await? {
        // Ids may repeat in another account.
        for known in &mut known {
            known.value.take_if(|snapshot| snapshot.read_at < moved_at);
        }
    }
    // What was read by a clock that was ahead is older than what is read now.
    let latest = shared.clock.now() + CLOCK_SKEW;
    for snapshot in known.iter_mut().filter_map(|known| known.value.as_mut()) {
        if snapshot.read_at > latest {
            snapshot.read_at = Timestamp::default();
        }
    }
    Ok(known)
}
