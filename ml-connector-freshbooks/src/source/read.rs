//! One record, and what its read shows besides.
//!
//! A payment names its client and its invoice by ids only, a bill its vendor: they are read as well. What such a read shows
//! of the other record is told, too, because FreshBooks may not send a webhook about it.

use std::time::Duration;

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    decode::{self, LeftOut, Reason, Row},
    model::{EntityRef, LostRow, Observation, Observed, Proof, Raw, Resolution, Signal},
    snapshot::Snapshot,
};

use crate::{
    FreshBooks,
    client::{Detail, FreshBooksClient},
    models::{Bill, BillPayment, BillVendor, Invoice, Payment, Resource, Shape, name_payment, revision},
    webhook::is_deletion,
};

/// A record that was just created may not be readable yet.
const FRESH: Duration = Duration::from_secs(30);

impl FreshBooks {
    pub(super) async fn read<T: Resource>(
        &self,
        ctx: &Context,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let can_wait = |hint: &str| matches!(hint, Signal::BACKFILL | Signal::SWEPT);
        let can_wait = signals.iter().all(|signal| signal.hint.as_deref().is_some_and(can_wait));
        let client = if can_wait { &self.client.in_background() } else { &self.client };
        let read_at = ctx.now();
        match client.get::<T>(ctx, &entity.id).await {
            Ok(detail) => {
                let reading = Reading { books: self, ctx, client, alone: can_wait };
                reading.with_related::<T>(detail, read_at).await.map(Resolution::Observed)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.missing::<T>(ctx, client, &entity.id, signals, last).await? {
                    Missing::Gone(proof) => {
                        let state = Observed::Gone(proof);
                        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
                    }
                    Missing::Known => Ok(Resolution::Done { note: "the record is known to be gone" }),
                    Missing::Fresh => Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH }),
                    Missing::Unproven => Ok(Resolution::NotYet { retry_at: ctx.now() }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// A record as it was read. What is left of a deleted one says that it is gone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when its JSON is no object.
    pub(super) fn observe<T: Resource>(&self, detail: Detail, read_at: Timestamp) -> Result<Observation> {
        let Detail { record, deleted, raw, left_out, .. } = detail;
        let entity = record.entity();
        if deleted {
            return Ok(Observation { entity, read_at, state: Observed::Gone(Proof::Tombstone) });
        }
        if !left_out.is_empty() {
            tracing::warn!(connection = %self.source.info().connection, %entity, ?left_out, "values were left out");
        }
        let revision = revision::<T>(&raw, &record)?;
        let (content, raw) = (record.into(), Some(Raw::new(raw)));
        let state = Observed::Present { revision, order: None, content, raw, notes: left_out };
        Ok(Observation { entity, read_at, state })
    }

    /// What was paid of a bill, by the bill's own JSON; and the rows of that which say nothing.
    pub(super) fn payments_of(
        &self,
        bill: &Detail,
        read_at: Timestamp,
    ) -> Result<(Vec<Observation>, Vec<LostRow>)> {
        let (mut paid, mut lost) = Default::default();
        if !self.tells_bill_payments {
            return Ok((paid, lost));
        }
        let payments =
            decode::object(&bill.raw, |bill| Ok(bill.raw("bill_payments").map(ToOwned::to_owned)))?;
        let Some(payments) = payments.value else { return Ok((paid, lost)) };
        let site = self.client.site();
        let rows = decode::rows(&payments, BillPayment::ID, |payment| {
            Ok((BillPayment::read(payment, site)?, payment.text("vis_state") == "1"))
        })?;
        for row in rows {
            match row {
                Row::Read { decoded, raw } => {
                    let (mut record, deleted) = decoded.value;
                    name_payment(&mut record, &bill.record);
                    let (shape, left_out) = (Shape::Whole, decoded.left_out);
                    let payment = Detail { record, shape, deleted, raw, left_out };
                    paid.push(self.observe::<BillPayment>(payment, read_at)?);
                }
                Row::Unreadable { row, error } => {
                    tracing::warn!(%error, bill = %bill.record.id, "a payment of a bill cannot be read");
                    lost.push(row);
                }
            }
        }
        Ok((paid, lost))
    }

    /// What "does not exist" means: FreshBooks still shows what was deleted, so the record was never there, is not there
    /// yet, or was purged.
    async fn missing<T: Resource>(
        &self,
        ctx: &Context,
        client: &FreshBooksClient,
        id: &str,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Missing> {
        if signals.iter().filter_map(|signal| signal.hint.as_deref()).any(is_deletion) {
            return Ok(Missing::Gone(Proof::SignedDeletion));
        }
        let Some(last) = last else { return Ok(Missing::Fresh) };
        if last.revision.is_none() {
            return Ok(Missing::Known);
        }
        // A sweep has just read the whole list.
        let swept = signals.iter().any(|signal| signal.hint.as_deref() == Some(Signal::SWEPT));
        let lists = if swept { 1 } else { 2 };
        let absent = self.searches.is_absent::<T>(ctx, client, id, lists).await?;
        Ok(if absent { Missing::Gone(Proof::AbsentTwice) } else { Missing::Unproven })
    }
}

enum Missing {
    Gone(Proof),
    /// It was gone before.
    Known,
    Fresh,
    /// The list is longer than the time for one call.
    Unproven,
}

/// One read.
struct Reading<'a> {
    books: &'a FreshBooks,
    ctx: &'a Context,
    client: &'a FreshBooksClient,
    /// Whether nothing but the record itself is to be told.
    alone: bool,
}

impl Reading<'_> {
    /// A record and what its read shows besides, the record first.
    async fn with_related<T: Resource>(
        &self,
        mut detail: Detail,
        read_at: Timestamp,
    ) -> Result<Vec<Observation>> {
        let mut related = Vec::new();
        if !detail.deleted {
            match T::KIND {
                Payment::KIND => related = self.name_by_invoice(&mut detail).await?,
                BillPayment::KIND => related = self.name_by_bill(&mut detail).await?,
                Bill::KIND => {
                    self.name_vendor(&mut detail).await?;
                    let (payments, lost) = self.books.payments_of(&detail, read_at)?;
                    related = payments;
                    // Nothing else tells of them here: no page has them.
                    let lost = lost.iter().map(|row| {
                        LeftOut::new(format!("bill_payments[{}]", row.number), Reason::Unreadable, None)
                    });
                    detail.left_out.extend(lost);
                }
                _ => {}
            }
        }
        let mut seen = vec![self.books.observe::<T>(detail, read_at)?];
        if !self.alone {
            seen.extend(related);
        }
        Ok(seen)
    }

    /// What a payment has been paid for, and by whom.
    async fn name_by_invoice(&self, payment: &mut Detail) -> Result<Vec<Observation>> {
        let Some(settled) = payment.record.allocations.first_mut() else { return Ok(Vec::new()) };
        if self.alone && payment.shape == Shape::Whole {
            return Ok(Vec::new());
        }
        let read_at = self.ctx.now();
        let Some(invoice) = self.related::<Invoice>(&settled.document.id).await? else {
            return Ok(Vec::new());
        };
        settled.number = invoice.record.number.clone().unwrap_or_default();
        if let Some(party) = &invoice.record.counterparty {
            payment.record.counterparty = Some(party.clone());
        }
        Ok(vec![self.books.observe::<Invoice>(invoice, read_at)?])
    }

    /// Which bill was paid, and to whom.
    async fn name_by_bill(&self, payment: &mut Detail) -> Result<Vec<Observation>> {
        let Some(settled) = payment.record.allocations.first() else { return Ok(Vec::new()) };
        let read_at = self.ctx.now();
        let Some(mut bill) = self.related::<Bill>(&settled.document.id).await? else { return Ok(Vec::new()) };
        self.name_vendor(&mut bill).await?;
        name_payment(&mut payment.record, &bill.record);
        Ok(vec![self.books.observe::<Bill>(bill, read_at)?])
    }

    /// The name of a bill's vendor, where the bill does not say it.
    async fn name_vendor(&self, bill: &mut Detail) -> Result<()> {
        let Some(vendor) = bill.record.counterparty.as_mut().filter(|vendor| vendor.name.is_empty()) else {
            return Ok(());
        };
        let Some(id) = vendor.id.clone() else { return Ok(()) };
        let read = async {
            let vendor = self.related::<BillVendor>(&id).await?;
            Ok(vendor.and_then(|vendor| vendor.record.name))
        };
        let name = self.books.vendors.get(self.ctx, &id, read).await?;
        vendor.name = name.unwrap_or_default();
        Ok(())
    }

    /// Another record, unless it is not there or may not be read: then the first one is told without it.
    async fn related<T: Resource>(&self, id: &str) -> Result<Option<Detail>> {
        match self.client.get::<T>(self.ctx, id).await {
            Ok(detail) => Ok(Some(detail)),
            Err(error) if is_out_of_reach(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_out_of_reach(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
        && error.scope() == &Scope::Entry
}
