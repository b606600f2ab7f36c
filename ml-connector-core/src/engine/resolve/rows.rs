//! Rows of the past that say less than the records' details: told at the speed of lists, and filled in later.

use super::observe::{is_touched, load_snapshots, policy};
use crate::{
    Result,
    audit::Transaction,
    engine::{fan_out::append_time_signals, registry::SourceSlot, shared::Shared},
    model::{Change, EntityRef, Event, Observation, Observed, Origin, Seq},
    snapshot::{Snapshot, SnapshotStep, step},
};

/// What rows of a backfill led to, beside what is in the transaction.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// What is told of them together.
    pub(crate) page: Vec<Event>,
    /// Whose details are still to be read for the past.
    pub(crate) details: Vec<EntityRef>,
    /// What has changed since the connection is watched, and nobody has told of: news, to be read as such.
    pub(crate) news: Vec<EntityRef>,
}

/// Tells of rows to the routes that take pages. What was known of a record stays what it was, whether that is a detail or
/// an earlier row: the detail that follows is compared with it, so that a change which nobody has told yet is news.
pub(crate) async fn tell_rows(
    shared: &Shared,
    slot: &SourceSlot,
    rows: &[Observation],
    backfill: Seq,
    transaction: &mut Transaction,
) -> Result<Rows> {
    let watched_since = shared.watched_since(slot).await?;
    let snapshots = load_snapshots(shared, slot, rows.iter().map(|row| &row.entity)).await?;
    let routes = shared.registry().routes().clone();
    let now = shared.clock.now();
    let mut told = Rows::default();
    for (row, known) in rows.iter().zip(snapshots) {
        let Observed::Present { content, raw, notes, .. } = &row.state else { continue };
        let last = known.value.as_ref();
        let is_repeated = last.is_some_and(|last| last.told_by == Some(backfill))
            || transaction.documents.iter().any(|write| write.key == known.key);
        if is_repeated {
            continue;
        }
        let present = last.filter(|last| last.revision.is_some());
        let untold =
            content.record().filter(|record| is_touched(record, watched_since - Shared::stamp_margin(slot)));
        if last.is_none() && untold.is_some() {
            told.news.push(row.entity.clone());
            continue;
        }
        let (mut snapshot, changes) = match (present, step(None, row, &policy(slot, watched_since, now))) {
            // What has come back, and what is known as it was later, is read anew.
            (None, _) if last.is_some() => {
                told.details.push(row.entity.clone());
                continue;
            }
            (Some(last), _) if last.read_at > row.read_at => {
                told.details.push(row.entity.clone());
                continue;
            }
            (Some(last), _) => (Snapshot { n: last.n + 1, ..last.clone() }, [Change::Updated].into()),
            (None, SnapshotStep::Changed { snapshot, changes }) => {
                let row_stamp = content.record().and_then(|record| record.modified_at);
                (Snapshot { row_only: true, row_stamp, ..*snapshot }, changes)
            }
            (None, _) => continue,
        };
        snapshot.told_by = Some(backfill);
        let (connection, entity) = (slot.connection().clone(), row.entity.clone());
        let mut event = Event::new(connection, entity, snapshot.n, changes, now, None);
        (event.content, event.raw, event.notes) = (Some(content.clone()), raw.clone(), notes.clone());
        let info = slot.source.info();
        (event.system, event.account) = (info.system.into(), info.accounts.first().cloned());
        event.epoch = u64::try_from(watched_since.as_millis()).unwrap_or(0);
        event.origin = Origin::Backfill;
        let (pages, alone): (Vec<_>, Vec<_>) = routes.takers(&event).partition(|route| route.pages);
        let is_enough = alone.is_empty() && !pages.is_empty() && is_whole(slot, &event);
        if !is_enough {
            told.details.push(row.entity.clone());
        }
        if pages.is_empty() {
            continue;
        }
        transaction.documents.push(known.replace(&snapshot)?);
        if last.is_none() {
            append_time_signals(slot, &row.entity, &snapshot, now, transaction)?;
        }
        told.page.push(event);
    }
    Ok(told)
}

/// Whether the row shows all that the source's tables have of such a record.
fn is_whole(slot: &SourceSlot, row: &Event) -> bool {
    let columns =
        slot.source.info().columns.iter().find(|columns| *columns.kind.as_str() == *row.entity.kind);
    columns.zip(row.raw.as_ref()).is_some_and(|(columns, raw)| columns.is_whole(raw))
}
