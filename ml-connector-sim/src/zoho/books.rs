//! The books of one organization, and everything that can happen to a record.

use std::collections::BTreeMap;

use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    model::{Date, Decimal},
};

use super::{
    Organization,
    limits::Counters,
    records::{Approval, Comment, Document, Entity, NewDocument, Party, Payment, Plain, Stage},
};

/// The books of one organization.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) organization: Organization,
    local: jiff::tz::TimeZone,
    pub(super) counters: Counters,
    pub(super) documents: BTreeMap<String, Document>,
    pub(super) payments: BTreeMap<String, Payment>,
    pub(super) plain: BTreeMap<String, Plain>,
    /// Whether payments received have the filter that is not documented for them.
    pub(super) filters_payments: bool,
    /// Whether rows of payments received leave their currency out, as recorded.
    pub(super) bare_payment_rows: bool,
    /// How many have to approve what is submitted.
    pub(super) approvers: usize,
    parties: BTreeMap<String, String>,
    /// What happened since it was last taken: workflow rules look at it.
    pub(super) changes: Vec<Happened>,
    drawn: u64,
}

/// A change that a workflow rule may fire on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Added,
    Edited,
    Submitted,
    Deleted,
}

impl Books {
    pub(super) fn new(organization: Organization) -> Self {
        let zone = &organization.time_zone;
        Self {
            counters: Counters::new(organization.plan, zone.clone()),
            // Core's zone came out of the same database.
            local: jiff::tz::TimeZone::get(zone.name()).unwrap_or(jiff::tz::TimeZone::UTC),
            documents: BTreeMap::new(),
            payments: BTreeMap::new(),
            plain: BTreeMap::new(),
            filters_payments: false,
            bare_payment_rows: true,
            approvers: 1,
            parties: BTreeMap::new(),
            changes: Vec::new(),
            drawn: 0,
            organization,
        }
    }

    /// The organization's calendar date.
    pub(super) fn today(&self, now: Timestamp) -> Date {
        now.date_in(&self.organization.time_zone)
    }

    /// An instant as Zoho writes it: the organization's time, whole seconds, an offset without a colon.
    pub(super) fn stamp(&self, at: Timestamp) -> String {
        self.local_time(at, "%Y-%m-%dT%H:%M:%S%z")
    }

    pub(super) fn local_time(&self, at: Timestamp, format: &str) -> String {
        let instant = jiff::Timestamp::from_second(at.as_secs()).unwrap_or(jiff::Timestamp::MAX);
        instant.to_zoned(self.local.clone()).strftime(format).to_string()
    }

    pub(super) fn create(&mut self, entity: Entity, new: NewDocument, now: Timestamp) -> Result<String> {
        if new.total.is_sign_negative() {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected a total of zero or more"));
        }
        let date = new.date.unwrap_or_else(|| self.today(now));
        let id = self.next_id();
        let ordinal = 101 + self.documents.values().filter(|document| document.entity == entity).count();
        let number = new.number.unwrap_or_else(|| match entity {
            Entity::Bill => format!("BILL-{ordinal:06}"),
            _ => format!("INV-{ordinal:06}"),
        });
        let document = Document {
            entity,
            id: id.clone(),
            number,
            reference: new.reference,
            party: self.party(&new.counterparty),
            currency: new.currency,
            date,
            due_date: new.due_date.unwrap_or_else(|| date.plus_days(30)),
            description: new.description,
            total: new.total,
            paid: Decimal::ZERO,
            last_payment: None,
            stage: if entity == Entity::Bill { Stage::Open } else { Stage::Draft },
            approval: None,
            created: now,
            modified: now,
            comments: Vec::new(),
            fields: BTreeMap::new(),
        };
        self.documents.insert(id.clone(), document);
        self.happened(entity, &id, How::Added);
        Ok(id)
    }

    /// Changes a document. Its modification time moves, and edit rules fire.
    pub(super) fn edit(
        &mut self,
        entity: Entity,
        id: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Document, Date) -> Result<()>,
    ) -> Result<()> {
        let today = self.today(now);
        let document = self.document_mut(entity, id)?;
        change(document, today)?;
        document.modified = now;
        self.happened(entity, id, How::Edited);
        Ok(())
    }

    pub(super) fn mark_sent(&mut self, id: &str, now: Timestamp) -> Result<()> {
        self.edit(Entity::Invoice, id, now, |invoice, _| {
            in_stage(invoice, &[Stage::Draft, Stage::Approved])?;
            invoice.stage = Stage::Open;
            Ok(())
        })
    }

    pub(super) fn void(&mut self, entity: Entity, id: &str, now: Timestamp) -> Result<()> {
        self.edit(entity, id, now, |document, _| {
            in_stage(document, &[Stage::Draft, Stage::Approved, Stage::Open, Stage::PendingApproval])?;
            document.stage = Stage::Void;
            Ok(())
        })
    }

    pub(super) fn submit(&mut self, entity: Entity, id: &str, now: Timestamp) -> Result<()> {
        let approvers = self.approvers;
        self.edit(entity, id, now, |document, today| {
            in_stage(document, &[Stage::Draft, Stage::Open])?;
            document.stage = Stage::PendingApproval;
            document.approval = Some(Approval { submitted: today, approvers, approved: Vec::new() });
            Ok(())
        })?;
        self.happened(entity, id, How::Submitted);
        Ok(())
    }

    /// The next approver approves; with the last one's word the document is approved.
    pub(super) fn approve(&mut self, entity: Entity, id: &str, now: Timestamp) -> Result<()> {
        self.edit(entity, id, now, |document, today| {
            in_stage(document, &[Stage::PendingApproval])?;
            if let Some(approval) = &mut document.approval {
                approval.approved.push(today);
                if approval.approved.len() < approval.approvers {
                    return Ok(());
                }
            }
            document.stage = if entity == Entity::Bill { Stage::Open } else { Stage::Approved };
            Ok(())
        })
    }

    /// Pays a document, in whole or in part. Returns the payment's id.
    pub(super) fn pay(
        &mut self,
        entity: Entity,
        id: &str,
        amount: Decimal,
        now: Timestamp,
    ) -> Result<String> {
        if amount <= Decimal::ZERO {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected an amount above zero"));
        }
        self.edit(entity, id, now, |document, today| {
            in_stage(document, &[Stage::Open])?;
            if amount > document.balance() {
                return Err(Error::new(ErrorKind::Conflict, "expected an amount up to the balance"));
            }
            document.paid += amount;
            document.last_payment = Some(today);
            Ok(())
        })?;
        let (party, currency) = {
            let document = self.document_mut(entity, id)?;
            (document.party.clone(), document.currency.clone())
        };
        let kind = if entity == Entity::Bill { Entity::VendorPayment } else { Entity::CustomerPayment };
        let payment = Payment {
            entity: kind,
            id: self.next_id(),
            allocation_id: self.next_id(),
            number: (1 + self.payments.values().filter(|payment| payment.entity == kind).count()).to_string(),
            party,
            document: id.to_owned(),
            currency,
            amount,
            date: self.today(now),
            created: now,
        };
        let payment_id = payment.id.clone();
        self.payments.insert(payment_id.clone(), payment);
        self.happened(kind, &payment_id, How::Added);
        Ok(payment_id)
    }

    pub(super) fn delete(&mut self, entity: Entity, id: &str, now: Timestamp) -> Result<()> {
        match entity {
            Entity::Invoice | Entity::Bill => {
                self.document_mut(entity, id)?;
                self.documents.remove(id);
            }
            Entity::CustomerPayment | Entity::VendorPayment => {
                let payment = self.payment(entity, id).ok_or_else(|| missing(entity, id))?.clone();
                self.payments.remove(id);
                let paid = if entity == Entity::VendorPayment { Entity::Bill } else { Entity::Invoice };
                if self.document(paid, &payment.document).is_some() {
                    self.edit(paid, &payment.document, now, |document, _| {
                        document.paid -= payment.amount;
                        Ok(())
                    })?;
                }
            }
            _ => {
                self.plain(entity, id).ok_or_else(|| missing(entity, id))?;
                self.plain.remove(id);
            }
        }
        self.happened(entity, id, How::Deleted);
        Ok(())
    }

    /// Adds a comment. It moves no modification time and fires no rule.
    pub(super) fn comment(
        &mut self,
        entity: Entity,
        id: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<Comment> {
        let comment = Comment { id: self.next_id(), text: text.to_owned(), kind: "internal", at: now };
        self.document_mut(entity, id)?.comments.push(comment.clone());
        Ok(comment)
    }

    pub(super) fn delete_comment(&mut self, entity: Entity, id: &str, comment: &str) -> Result<()> {
        let comments = &mut self.document_mut(entity, id)?.comments;
        let at =
            comments.iter().position(|known| known.id == comment).ok_or_else(|| missing(entity, comment))?;
        comments.remove(at);
        Ok(())
    }

    /// Sets custom fields: an edit like any other.
    pub(super) fn set_fields(
        &mut self,
        entity: Entity,
        id: &str,
        fields: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<()> {
        self.edit(entity, id, now, |document, _| {
            document.fields.extend(fields);
            Ok(())
        })
    }

    pub(super) fn document(&self, entity: Entity, id: &str) -> Option<&Document> {
        self.documents.get(id).filter(|document| document.entity == entity)
    }

    pub(super) fn payment(&self, entity: Entity, id: &str) -> Option<&Payment> {
        self.payments.get(id).filter(|payment| payment.entity == entity)
    }

    fn document_mut(&mut self, entity: Entity, id: &str) -> Result<&mut Document> {
        let found = self.documents.get_mut(id).filter(|document| document.entity == entity);
        found.ok_or_else(|| missing(entity, id))
    }

    pub(super) fn party(&mut self, name: &str) -> Party {
        let id = match self.parties.get(name) {
            Some(id) => id.clone(),
            None => self.next_id(),
        };
        self.parties.insert(name.to_owned(), id.clone());
        Party { id, name: name.to_owned() }
    }

    /// The name of a contact, or of a party that a document named.
    pub(super) fn party_name(&self, id: &str) -> Option<String> {
        self.parties.iter().find(|(_, known)| *known == id).map(|(name, _)| name.clone())
    }

    /// Whether a number is taken.
    pub(super) fn has_number(&self, entity: Entity, number: &str) -> bool {
        self.documents.values().any(|document| document.entity == entity && document.number == number)
    }

    pub(super) fn happened(&mut self, entity: Entity, id: &str, how: How) {
        self.changes.push(Happened { entity, id: id.to_owned(), how });
    }

    /// 18 digits, as real ids have; more than a binary fraction can hold.
    pub(super) fn next_id(&mut self) -> String {
        self.drawn += 1;
        let account: u64 = self.organization.id.parse().unwrap_or(0);
        format!("{:06}{:012}", account % 900_000 + 100_000, 200_000 + 7 * self.drawn)
    }
}

pub(super) fn missing(entity: Entity, id: &str) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such record")
        .with_context("entity", entity.name())
        .with_context("id", id)
}

fn in_stage(document: &Document, allowed: &[Stage]) -> Result<()> {
    if allowed.contains(&document.stage) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "the record's status does not allow it")
        .with_context("id", &document.id)
        .with_context("stage", format!("{:?}", document.stage)))
}
