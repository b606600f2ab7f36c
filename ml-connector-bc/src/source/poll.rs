//! Lists, read page by page for what has changed.
//!
//! A list is a window: what was changed after an instant, five minutes earlier than the newest stamp that was seen, because a
//! posting is stamped long before it is committed. It moves on with the server's clock where nothing changes: else a set that
//! was imported or upgraded at once would be read whole at every look. Rows carry the whole record and are compared by their values; so a row
//! that is read again is no change, and a new stamp alone (a data upgrade, a discount that was calculated anew) is none
//! either. All values come from the primary. Only the list of ids, which nothing is concluded from without a second read, comes
//! from the replica.

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp,
    model::{EntityRef, Observation, Page, PollMode, Record, Signal, Status},
    snapshot::Snapshot,
};

use super::checkpoint::Checkpoint;
use super::read::{Worth, is_draft, is_posted_by_itself, may_be_released, passes, released, submitted};
use crate::{
    BusinessCentral,
    client::{Detail, Listing, Rows},
    models::Set,
};

/// How many numbers are asked about in one URL.
const AT_ONCE: usize = 50;
impl BusinessCentral {
    /// The next page of a set.
    pub(super) async fn page(
        &self,
        ctx: &Context,
        set: Set,
        mode: PollMode,
        checkpoint: Option<&Bytes>,
    ) -> Result<Page> {
        let read_at = ctx.now();
        let checkpoint = checkpoint.map(Checkpoint::parse).transpose()?;
        let mut at = match checkpoint {
            Some(checkpoint) => checkpoint.go_on(mode, read_at),
            None => Checkpoint::begin(mode, read_at),
        };
        let sweeps = mode == PollMode::Sweep;
        let Some((page, reached)) = self.rows(ctx, set, &mut at, sweeps).await? else {
            return Ok(Page::new(at.to_bytes()?).more(true));
        };
        let Rows { mut rows, unreadable, lost, next, at: answered } = page;
        at.answered = at.answered.or(answered);
        let stamps = (reached, newest(&rows));
        let ids: Vec<String> =
            rows.iter().map(|row| row.record.id.to_string()).chain(unreadable.clone()).collect();
        let signal = |id: &str| Signal::entity(EntityRef::new(set.kind().as_str(), id));
        let mut signals: Vec<Signal> = unreadable.iter().map(|id| signal(id)).collect();
        let (mut observations, mut past) = (Vec::new(), Vec::new());
        if sweeps {
            signals.extend(rows.drain(..).map(|row| signal(&row.record.id)));
        }
        let mut known = Vec::with_capacity(rows.len());
        for row in &rows {
            known.push(ctx.known(&self.source.connection, &row.record.entity()).await?);
        }
        self.name_waiting(ctx, set, &mut rows).await?;
        self.name_released(ctx, set, &mut rows, &known, mode == PollMode::Baseline).await?;
        for (mut row, known) in rows.into_iter().zip(known) {
            // The files beside a draft take another call.
            let has_files = self.attachments && known.is_none() && set.is_invoice() && is_draft(&row.record);
            self.name_responsible(ctx, set, &mut row).await?;
            let entity = row.record.entity();
            let seen = Observation { entity, read_at, state: self.present(set, row)? };
            let is_asked = mode != PollMode::Live || known.is_some();
            match self.worth(ctx, &seen, is_asked) {
                Worth::News if has_files && mode != PollMode::Baseline => {
                    signals.push(signal(&seen.entity.id));
                }
                Worth::News => observations.push(seen),
                Worth::Past => past.push(seen),
                Worth::Nothing => {}
            }
        }
        let more = at.advance(stamps, next, ids)?;
        let page = Page::new(at.to_bytes()?).observations(observations).past(past);
        Ok(page.signals(signals).lost(lost).more(more))
    }

    /// The rows of a page; `None` = the checkpoint asks for another one instead. One record that refers to a missing one fails
    /// a whole page. So pages get smaller, and around it records are read one by one; what cannot be read is named with the
    /// unreadable rows.
    async fn rows(
        &self,
        ctx: &Context,
        set: Set,
        at: &mut Checkpoint,
        sweeps: bool,
    ) -> Result<Option<(Rows, Option<Timestamp>)>> {
        if at.is_one_by_one() {
            return self.one_by_one(ctx, set, at).await.map(Some);
        }
        match self.list(ctx, set, at, sweeps).await {
            Ok(page) => {
                let reached = newest(&page.rows);
                Ok(Some((page, reached)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound && sweeps => Err(unreadable(error)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !at.shrink() {
                    tracing::warn!(%error, set = set.name(), "a page cannot be read whole: its records are read one by one");
                    at.begin_one_by_one();
                }
                Ok(None)
            }
            Err(error) if passes(&error) && timed_out(&error) && at.shrink() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of ids, and the records that can be read of it.
    async fn one_by_one(
        &self,
        ctx: &Context,
        set: Set,
        at: &mut Checkpoint,
    ) -> Result<(Rows, Option<Timestamp>)> {
        let mut page = self.list(ctx, set, at, true).await.map_err(unreadable)?;
        let reached = newest(&page.rows);
        let client = self.client.in_background();
        for row in std::mem::take(&mut page.rows) {
            match client.get(ctx, set, &row.record.id).await {
                Ok(detail) => page.rows.push(detail),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    tracing::warn!(%error, set = set.name(), id = %row.record.id, "a record that it refers to is missing");
                    at.note_hole(row.record.modified_at);
                    page.unreadable.push(row.record.id.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok((page, reached))
    }

    async fn list(&self, ctx: &Context, set: Set, at: &Checkpoint, bare: bool) -> Result<Rows> {
        let filter = at.since.map(|since| format!("lastModifiedDateTime gt {since}"));
        let listing = Listing {
            filter,
            pages: &at.pages,
            bare,
            page_size: at.page_size,
            replica: bare && !at.is_one_by_one(),
        };
        self.client.in_background().list(ctx, set, listing).await
    }

    /// Takes over from approval entries which purchase invoices wait, where one of the rows may be one.
    async fn name_waiting(&self, ctx: &Context, set: Set, rows: &mut [Detail]) -> Result<()> {
        let drafts = rows.iter().any(|row| row.record.status == Status::Draft);
        if !self.approval_entries || set != Set::PurchaseInvoices || !drafts {
            return Ok(());
        }
        let waiting = self.client.open_approvals(ctx, set, None).await?.unwrap_or_default();
        rows.iter_mut().for_each(|row| submitted(&mut row.record, &waiting));
        Ok(())
    }

    /// Takes over from the posted documents which sales invoices that read Open are released only. What nobody has seen before
    /// counts as posted at the baseline, where no route tells.
    async fn name_released(
        &self,
        ctx: &Context,
        set: Set,
        rows: &mut [Detail],
        known: &[Option<Snapshot>],
        begins: bool,
    ) -> Result<()> {
        let mut doubtful: Vec<(&mut Record, Option<&Snapshot>)> = rows
            .iter_mut()
            .zip(known)
            .map(|(row, known)| (&mut row.record, known.as_ref()))
            .filter(|(record, known)| may_be_released(set, record, *known))
            .collect();
        for some in doubtful.chunks_mut(AT_ONCE) {
            let numbers: Vec<&str> = some.iter().filter_map(|(record, _)| record.number.as_deref()).collect();
            let posted = self.client.posted_among(ctx, set, &numbers).await?;
            for (record, known) in some {
                let is_posted = match &posted {
                    Some(posted) => posted.contains(&*record.id),
                    None => begins || is_posted_by_itself(record, *known),
                };
                if !is_posted {
                    released(record);
                }
            }
        }
        Ok(())
    }

    /// Approval entries that changed lead to their documents.
    pub(super) async fn approvals_page(&self, ctx: &Context, checkpoint: Option<&Bytes>) -> Result<Page> {
        let now = ctx.now();
        let checkpoint = checkpoint.map(Checkpoint::parse).transpose()?;
        let mut at = match checkpoint {
            Some(mut checkpoint) => {
                checkpoint.compared = now;
                checkpoint.go_on(PollMode::Live, now)
            }
            None => Checkpoint::begin(PollMode::Live, now),
        };
        let read = self.client.in_background().approval_changes(ctx, at.since, &at.pages).await;
        let (changed, newest, next) = match read {
            // Before version 29 there are none.
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Page::new(at.to_bytes()?)),
            read => read?,
        };
        let (mut signals, mut numbers) = (Vec::new(), Vec::new());
        for (set, number) in changed {
            numbers.push(number.clone());
            let Some(set) = set.filter(|set| self.sets.contains(set)) else { continue };
            for id in self.client.ids_where(ctx, set, "number", &number).await? {
                signals.push(Signal::entity(EntityRef::new(set.kind().as_str(), id)));
            }
        }
        let more = at.advance((None, Some(newest)), next, numbers)?;
        Ok(Page::new(at.to_bytes()?).signals(signals).more(more))
    }
}

fn newest(rows: &[Detail]) -> Option<Timestamp> {
    rows.iter().filter_map(|row| row.record.modified_at).max()
}

/// What a 404 of a list is: no statement about any record of ours, and healed by repairing the reference.
fn unreadable(error: Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the list cannot be read, because a record that one of its rows refers to is missing: repair the reference in \
         Business Central",
    )
    .with_operation(error.operation())
    .with_source(error)
}

fn timed_out(error: &Error) -> bool {
    matches!(error.context(ml_connector_core::error_context::STATUS), Some("408" | "504"))
}
