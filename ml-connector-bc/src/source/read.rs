//! Reading one record, and what it means when there is none.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, decode,
    model::{
        Content, Date, Decimal, DeletionProof, EntityRef, Observation, Observed, Person, Raw, Record,
        Resolution, Revision, Signal, Status,
    },
    snapshot::Snapshot,
};

use crate::{
    BusinessCentral,
    client::Detail,
    models::{self, INVOICED, Set, is_placeholder, revision},
    webhook::DELETED,
};

/// A record that was just created may not be readable yet: reads can run before the commit.
const FRESH: Duration = Duration::from_secs(30);
/// The API tells no time of entry. A document that was never seen, and whose own dates are all older than this, is no news: it
/// comes from a data upgrade, or a copied environment.
const NEWS_DAYS: u32 = 30;

/// What is done with a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is told.
    News,
    /// It is remembered, so that what happens to it from now on is told.
    Past,
    /// It is no record at all: it keeps the number of a draft that was deleted.
    Nothing,
}

impl BusinessCentral {
    /// Reads one record as it is now, on the primary.
    ///
    /// # Errors
    /// As [`ApiClient::get`](crate::client::ApiClient::get).
    pub(crate) async fn read_record(
        &self,
        ctx: &Context,
        set: Set,
        entity: &EntityRef,
        last: Option<&Snapshot>,
    ) -> Result<(Observation, String)> {
        let read_at = ctx.now();
        let mut detail = self.client.get(ctx, set, &entity.id).await?;
        self.complete(ctx, set, &mut detail, last).await?;
        self.name_responsible(ctx, set, &mut detail).await?;
        if self.attachments && set.is_invoice() && is_draft(&detail.record) {
            self.name_files(ctx, set, &mut detail).await?;
        }
        let etag = std::mem::take(&mut detail.etag);
        let state = self.present(set, detail)?;
        Ok((Observation { entity: entity.clone(), read_at, state }, etag))
    }

    pub(super) async fn read(
        &self,
        ctx: &Context,
        set: Set,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let hinted = |hint: &str| signals.iter().any(|signal| signal.hint.as_deref() == Some(hint));
        // An order that became an invoice stays away, and costs no call.
        let is_invoiced =
            last.and_then(|last| last.facts.as_ref()).is_some_and(|facts| facts.status.as_str() == INVOICED);
        if is_invoiced && signals.iter().all(|signal| signal.hint.as_deref() == Some(Signal::SWEPT)) {
            return Ok(Resolution::Done { note: "the order became an invoice" });
        }
        // A draft that is told about because it was read is not read for that at once.
        if let Some((at, signal)) = self.quiet.later(entity, signals, ctx.now()) {
            return Ok(Resolution::Scheduled { seen: Vec::new(), later: vec![(at, signal)] });
        }
        let error = match self.read_record(ctx, set, entity, last).await {
            Ok((seen, _)) => {
                self.quiet.note(&signals[0], &seen, last, ctx.now());
                return Ok(self.news(ctx, seen, last.is_some() || hinted(Signal::BACKFILL)));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            Err(error) => return Err(error),
        };
        // A 404 names no record: it may be about one that this one refers to. One list may come from a replica that is
        // behind; a sweep has read another.
        let proof = if hinted(DELETED) { DeletionProof::SignedDeletion } else { DeletionProof::AbsentTwice };
        let lists = if proof == DeletionProof::AbsentTwice && !hinted(Signal::SWEPT) { 2 } else { 1 };
        if !self.is_gone(ctx, set, &entity.id, lists).await? {
            return Err(unreadable(&entity.id, error));
        }
        let state = match last {
            Some(last) if set.is_order() => {
                self.vanished(ctx, set, entity, last).await?.unwrap_or(Observed::Gone(proof))
            }
            Some(_) => Observed::Gone(proof),
            None if hinted(DELETED) || hinted(Signal::SWEPT) => {
                return Ok(Resolution::Done { note: "the record was gone before it was ever read" });
            }
            None => return Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH }),
        };
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at: ctx.now(), state }]))
    }

    /// Whether so many lists that can be read do not show a record: what a 404 cannot tell.
    ///
    /// # Errors
    /// As [`ApiClient::is_listed`](crate::client::ApiClient::is_listed).
    pub(crate) async fn is_gone(&self, ctx: &Context, set: Set, id: &str, lists: u32) -> Result<bool> {
        for _ in 0..lists {
            if self.client.is_listed(ctx, set, id).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a read is worth; `is_asked` = the record is known, or somebody asks for the past.
    fn news(&self, ctx: &Context, seen: Observation, is_asked: bool) -> Resolution {
        match self.worth(ctx, &seen, is_asked) {
            Worth::News => Resolution::Observed(vec![seen]),
            Worth::Past => {
                let note = "its dates are long past, and it is seen for the first time";
                Resolution::Past { seen: vec![seen], note }
            }
            Worth::Nothing => Resolution::Done { note: "it keeps the number of a draft that was deleted" },
        }
    }

    /// What a record is worth that was read.
    pub(super) fn worth(&self, ctx: &Context, seen: &Observation, is_asked: bool) -> Worth {
        let Observed::Present { content: Content::Record(record), raw, .. } = &seen.state else {
            return Worth::News;
        };
        if is_placeholder(record) {
            return Worth::Nothing;
        }
        let posting = raw.as_ref().and_then(posting_date);
        let newest = record.date.into_iter().chain(posting).max();
        let since = ctx.now().date_in(&self.source.zone).minus_days(NEWS_DAYS);
        if !is_asked && newest.is_some_and(|newest| newest < since) { Worth::Past } else { Worth::News }
    }

    /// What became of an order that is gone: it was invoiced in full where the invoices that name it come to its total. `None` =
    /// it was deleted, or what was left of it.
    async fn vanished(
        &self,
        ctx: &Context,
        set: Set,
        entity: &EntityRef,
        last: &Snapshot,
    ) -> Result<Option<Observed>> {
        let Some(facts) = &last.facts else { return Ok(None) };
        let Some(number) = facts.number.as_deref() else { return Ok(None) };
        let invoices = self.client.totals_of_order(ctx, set.invoices(), number).await?;
        let Some((invoice, _)) = invoices.first() else { return Ok(None) };
        let invoiced: Decimal = invoices.iter().map(|(_, total)| *total).sum();
        // Each invoice rounds for itself.
        let is_part = facts.total.is_some_and(|total| {
            let cents = Decimal::new(i64::try_from(invoices.len()).unwrap_or(i64::MAX), 2);
            invoiced.abs() + cents < total.amount.abs()
        });
        if is_part {
            return Ok(None);
        }
        let mut record = facts.to_record(Arc::clone(&entity.id));
        record.status = Status::Other(INVOICED.into());
        record.vendor_status = INVOICED.to_owned();
        let revision = Revision::of(format!("{INVOICED} {invoice}").as_bytes());
        let raw = Some(models::invoiced(&record)?);
        let content = Content::Record(Box::new(record));
        Ok(Some(Observed::Present { revision, order: None, content, raw, notes: Vec::new() }))
    }

    /// Adds what the record itself does not say: whether a draft waits for an approval inside Business Central, and whether a
    /// sales invoice that reads Open is posted.
    ///
    /// # Errors
    /// As the calls that tell.
    async fn complete(
        &self,
        ctx: &Context,
        set: Set,
        detail: &mut Detail,
        last: Option<&Snapshot>,
    ) -> Result<()> {
        let record = &mut detail.record;
        let number = record.number.clone().unwrap_or_default();
        if set == Set::PurchaseInvoices && record.status == Status::Draft && self.approval_entries {
            let waiting = self.client.open_approvals(ctx, set, Some(&number)).await?.unwrap_or_default();
            submitted(record, &waiting);
        }
        if may_be_released(set, record, last) {
            let posted = self.client.posted_among(ctx, set, &[&number]).await?;
            if !posted.map_or_else(|| is_posted_by_itself(record, last), |ids| ids.contains(&*record.id)) {
                released(record);
            }
        }
        Ok(())
    }

    /// Adds the names of the files beside a document, with the document's own page, where people see them. What cannot be
    /// read for good is left out.
    ///
    /// # Errors
    /// What passes.
    async fn name_files(&self, ctx: &Context, set: Set, detail: &mut Detail) -> Result<()> {
        let files = match self.client.attachments(ctx, set, &detail.record.id).await {
            Ok(files) => files,
            Err(error) if passes(&error) => return Err(error),
            Err(error) => {
                tracing::info!(%error, "the files beside a document cannot be read");
                return Ok(());
            }
        };
        let url = self.site.link(set, &detail.record);
        detail.record.attachments = files
            .into_iter()
            .map(|mut file| {
                file.url.clone_from(&url);
                file
            })
            .collect();
        Ok(())
    }

    pub(super) fn present(&self, set: Set, detail: Detail) -> Result<Observed> {
        let Detail { mut record, raw, left_out, .. } = detail;
        record.url = self.site.link(set, &record);
        let revision = revision(set, &raw, &record)?;
        let content = Content::Record(Box::new(record));
        Ok(Observed::Present { revision, order: None, content, raw: Some(Raw::new(raw)), notes: left_out })
    }
}

/// What a 404 says of a record that its list shows. It heals by repairing the reference.
pub(crate) fn unreadable(id: &str, error: Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the record is there, but one that it refers to is missing: repair the reference in Business Central",
    )
    .with_operation(error.operation())
    .with_context("id", id)
    .with_source(error)
}

/// Takes over from approval entries that a draft waits, and who sent it.
pub(super) fn submitted(record: &mut Record, waiting: &[(String, String)]) {
    let entry = waiting.iter().find(|(number, _)| Some(number) == record.number.as_ref());
    if let Some((_, sender)) = entry {
        record.status = Status::PendingApproval;
        record.submitted_by = Some(sender).filter(|sender| !sender.is_empty()).map(Person::named);
    }
}

/// Whether a sales invoice reads Open and may be released only: nobody has seen it posted.
pub(super) fn may_be_released(set: Set, record: &Record, known: Option<&Snapshot>) -> bool {
    let reads_open = matches!(record.status, Status::Open | Status::PartiallyPaid);
    set == Set::SalesInvoices && reads_open && !known.is_some_and(is_posted)
}

/// Whether a sales invoice that reads Open is posted as far as it tells itself: a part of it was paid, or its number is not
/// that of the draft any more.
pub(super) fn is_posted_by_itself(record: &Record, known: Option<&Snapshot>) -> bool {
    let before = known.and_then(|known| known.facts.as_ref()?.number.as_deref());
    record.status == Status::PartiallyPaid || before.is_some() && before != record.number.as_deref()
}

/// It is released, and waits to be posted.
pub(super) fn released(record: &mut Record) {
    record.status = Status::Approved;
    record.balance = None;
}

fn posting_date(raw: &Raw) -> Option<Date> {
    let text = decode::plain_text(raw.at("/postingDate")?)?;
    Date::parse(&text).ok()
}

/// Whether a document waits to be posted.
pub(super) fn is_draft(record: &Record) -> bool {
    matches!(record.status, Status::Draft | Status::PendingApproval | Status::Approved)
}

/// Whether a record was posted when it was last seen.
pub(super) fn is_posted(known: &Snapshot) -> bool {
    known.facts.as_ref().is_some_and(|facts| {
        matches!(facts.status, Status::Open | Status::PartiallyPaid | Status::Paid | Status::Void)
    })
}

/// Whether trying again later may help.
pub(super) fn passes(error: &Error) -> bool {
    error.retry() != Retry::Never
}
