//! Which records have disappeared without a word: what a full look at a feed no longer shows is read again.

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;

use super::state::{FeedState, Ids, Run, StoppedSweep};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{DocKey, DocumentWrite, Entry, EntryKind, Expected, Parent, Query, Transaction},
    engine::{
        entries, fan_out::append_time_signals, registry::SourceSlot, resolve::load_snapshots, shared::Shared,
    },
    model::{EntityRef, Event, RecordKind, Seq, Signal},
    snapshot::Snapshot,
};

/// If more than this many records *and* more than this share of all have disappeared at once, the look is more likely
/// wrong than the books.
const MOST_MISSING: usize = 20;
const MOST_MISSING_PERCENT: usize = 5;
/// How many entries and snapshots are read at once.
const PAGE: usize = 500;

/// Keeps the ids of a page, until the look is complete beside those of the last one.
pub(super) fn write_ids<'a>(
    slot: &SourceSlot,
    feed: &str,
    state: &FeedState,
    number: u32,
    ids: impl Iterator<Item = &'a EntityRef>,
    transaction: &mut Transaction,
) {
    transaction.documents.push(ids_document(slot, feed, !state.ids.set, number, ids));
}

/// The look is complete: its ids are those that are known from now on, and those it missed until they are confirmed
/// to be gone. A record that only moved to another page meanwhile exists, and is looked for the next time.
pub(super) fn accept(
    slot: &SourceSlot,
    feed: &str,
    state: &mut FeedState,
    run: &Run,
    missing: &[EntityRef],
    transaction: &mut Transaction,
) {
    let set = !state.ids.set;
    let mut missed = 0;
    for some in missing.chunks(PAGE) {
        transaction.documents.push(ids_document(slot, feed, set, run.pages + missed, some.iter()));
        missed += 1;
    }
    state.stopped = None;
    state.calendar = calendar(slot);
    state.ids = Ids { set, pages: run.pages, missed, begun: Some(run.begun) };
}

/// The records that a look has shown, which is complete and not accepted yet.
pub(super) async fn seen(
    shared: &Shared,
    slot: &SourceSlot,
    feed: &str,
    state: &FeedState,
    run: &Run,
    transaction: &Transaction,
) -> Result<BTreeSet<EntityRef>> {
    let last = run.pages.saturating_sub(1);
    let mut seen = read_ids(shared, slot, feed, !state.ids.set, 0..last).await?;
    // The last page is in the transaction still.
    for write in &transaction.documents {
        if write.key == ids_key(slot, feed, !state.ids.set, last) {
            seen.extend(lines(write.value.as_deref().unwrap_or_default()));
        }
    }
    Ok(seen)
}

/// Compares a complete look with what was known, and adds signals for records that differ. The inner error says that
/// too much has disappeared to be true, beside what somebody has confirmed; then nothing is accepted, and the next look
/// compares with the same again.
#[allow(clippy::too_many_arguments)] // one look has as many sides
pub(super) async fn compare(
    shared: &Shared,
    slot: &SourceSlot,
    feed: &str,
    state: &mut FeedState,
    run: &Run,
    (cause, confirmed): (Seq, u64),
    transaction: &mut Transaction,
) -> Result<Result<bool>> {
    let seen = seen(shared, slot, feed, state, run, transaction).await?;
    let Ids { set, pages, missed, .. } = state.ids;
    let mut known = read_ids(shared, slot, feed, set, 0..pages).await?;
    let missed = read_ids(shared, slot, feed, set, pages..pages + missed).await?;
    known.extend(missed.iter().cloned());
    let kinds: BTreeSet<_> = known.iter().chain(&seen).map(|entity| entity.kind.clone()).collect();
    let told = told_between(shared, slot, state.ids.begun.unwrap_or_default(), run.begun).await?;
    known.extend(told.into_iter().filter(|entity| kinds.contains(&entity.kind)));

    let mut missing = Vec::new();
    let gone: Vec<EntityRef> = known.difference(&seen).cloned().collect();
    for some in gone.chunks(PAGE) {
        for (entity, known) in some.iter().zip(load_snapshots(shared, slot, some).await?) {
            if known.value.is_some_and(|snapshot| snapshot.revision.is_some() && is_listed(slot, &snapshot)) {
                missing.push(entity.clone());
            }
        }
    }
    let new = missing.iter().filter(|entity| !missed.contains(entity)).count();
    let surprising = new.saturating_sub(usize::try_from(confirmed).unwrap_or(usize::MAX));
    // A list that shows nothing is what a missing right looks like.
    let nothing = seen.is_empty() && surprising > 0;
    if nothing || surprising > MOST_MISSING && surprising * 100 > known.len() * MOST_MISSING_PERCENT {
        state.stopped = Some(StoppedSweep {
            feed: feed.to_owned(),
            at: shared.clock.now(),
            missing: new as u64,
            known: known.len() as u64,
        });
        return Ok(Err(Error::new(
            ErrorKind::Conflict,
            "too many records have disappeared at once to be true",
        )
        .with_context("connection", slot.connection())
        .with_context("feed", feed)
        .with_context("missing", new)
        .with_context("known", known.len())));
    }
    // What nobody has told of is read as well, once there is something to compare with.
    let mut untold = Vec::new();
    if state.ids.begun.is_some() {
        let unknown: Vec<EntityRef> = seen.difference(&known).cloned().collect();
        for some in unknown.chunks(PAGE) {
            for (entity, known) in some.iter().zip(load_snapshots(shared, slot, some).await?) {
                if known.value.is_none() {
                    untold.push(entity.clone());
                }
            }
        }
    }
    let now = shared.clock.now();
    let swept = missing.iter().map(|entity| (entity, Signal::SWEPT.into()));
    let listed = untold.iter().map(|entity| (entity, format!("{}.listed", entity.kind).into()));
    for (entity, hint) in swept.chain(listed) {
        let signal = Signal { hint: Some(hint), ..Signal::entity(entity.clone()) };
        transaction.append.push(entries::signal(slot, &signal, Parent::Entry(cause), now)?);
    }
    if state.calendar != calendar(slot) {
        let since = state.ids.begun.unwrap_or(now);
        append_new_days(shared, slot, &seen, since, transaction).await?;
    }
    let asked = !missing.is_empty() || !untold.is_empty();
    // Asked for twice is enough: what is still there, and never listed, would be asked for at every look.
    missing.retain(|entity| !missed.contains(entity));
    accept(slot, feed, state, run, &missing, transaction);
    Ok(Ok(asked))
}

/// Whether the vendor's lists would show a record that is as it was last seen.
fn is_listed(slot: &SourceSlot, snapshot: &Snapshot) -> bool {
    let unlisted = &slot.source.info().unlisted;
    snapshot.facts.as_ref().is_none_or(|facts| !unlisted.contains(&facts.status))
}

/// What decides about the days on which records become overdue.
fn calendar(slot: &SourceSlot) -> String {
    let info = slot.source.info();
    format!("{:?} {}", info.overdue_after, info.zone.name())
}

/// Days that a new threshold or another zone adds for records that do not change by themselves, from `since` on. What
/// was passed before is told with the record's next change.
async fn append_new_days(
    shared: &Shared,
    slot: &SourceSlot,
    seen: &BTreeSet<EntityRef>,
    since: Timestamp,
    transaction: &mut Transaction,
) -> Result<()> {
    let falls_due = |entity: &&EntityRef| {
        matches!(RecordKind::from(&*entity.kind), RecordKind::Invoice | RecordKind::Bill)
    };
    let records: Vec<EntityRef> = seen.iter().filter(falls_due).cloned().collect();
    for some in records.chunks(PAGE) {
        for (entity, known) in some.iter().zip(load_snapshots(shared, slot, some).await?) {
            if let Some(snapshot) = known.value {
                append_time_signals(slot, entity, &snapshot, since, transaction)?;
            }
        }
    }
    Ok(())
}

/// Records of which something was told in this time: they exist, or did.
async fn told_between(
    shared: &Shared,
    slot: &SourceSlot,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeSet<EntityRef>> {
    let mut query =
        Query::of_kind(EntryKind::Event).with_connection(slot.connection().clone()).with_limit(PAGE);
    (query.from, query.to) = (Some(from), Some(to));
    let mut told = BTreeSet::new();
    loop {
        let page = shared.log.query(&query).await?;
        let (pages, single): (Vec<_>, Vec<_>) = page.iter().partition(|entry| is_page(entry));
        told.extend(single.into_iter().filter_map(|entry| entry.index.entity.clone()));
        for entry in pages {
            // One at a time: they are large.
            let whole = shared.log.query(&Query::entries(vec![entry.seq])).await?.pop();
            let event =
                whole.and_then(|whole| whole.body).map(|body| Event::from_cloudevent(&body)).transpose()?;
            told.extend(event.into_iter().flat_map(|event| event.page).map(|record| record.entity));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => query.after = Some(last.seq),
            _ => return Ok(told),
        }
    }
}

fn is_page(entry: &Entry) -> bool {
    entry.index.entity.as_ref().is_some_and(|entity| &*entity.kind == Event::PAGE)
}

async fn read_ids(
    shared: &Shared,
    slot: &SourceSlot,
    feed: &str,
    set: bool,
    pages: Range<u32>,
) -> Result<BTreeSet<EntityRef>> {
    let keys: Vec<_> = pages.map(|page| ids_key(slot, feed, set, page)).collect();
    let mut ids = BTreeSet::new();
    for some in keys.chunks(PAGE) {
        for page in shared.load_all::<Bytes>(some.to_vec()).await? {
            ids.extend(lines(page.value.as_deref().unwrap_or_default()));
        }
    }
    Ok(ids)
}

fn ids_document<'a>(
    slot: &SourceSlot,
    feed: &str,
    set: bool,
    page: u32,
    ids: impl Iterator<Item = &'a EntityRef>,
) -> DocumentWrite {
    let lines: Vec<String> = ids.map(ToString::to_string).collect();
    let (key, value) = (ids_key(slot, feed, set, page), Some(lines.join("\n").into()));
    DocumentWrite { key, expected: Expected::Any, value }
}

fn lines(bytes: &[u8]) -> Vec<EntityRef> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once('/')).map(|(kind, id)| EntityRef::new(kind, id)).collect()
}

fn ids_key(slot: &SourceSlot, feed: &str, set: bool, page: u32) -> DocKey {
    DocKey::new("ids", slot.connection(), &format!("{feed}/{}/{page}", if set { 'a' } else { 'b' }))
}
