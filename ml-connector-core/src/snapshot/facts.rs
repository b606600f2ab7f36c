//! The fields that decide what happened.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Before, Date, Money, Record, RecordKind, Revision, Status, Timestamp};

/// The fields of a record that decide what happened to it. Small, because one is kept for every record. `Debug` shows what
/// it is and where it stands only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Facts {
    /// What the record is.
    pub kind: RecordKind,
    /// The number people use, by which a list shows whether a record that cannot be read is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Its total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What is still to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Money>,
    /// When it falls due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// When it was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The digest of counterparty and lines.
    pub content: Revision,
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, status, content, .. } = self;
        f.debug_struct("Facts")
            .field("kind", kind)
            .field("status", status)
            .field("content", content)
            .finish_non_exhaustive()
    }
}

impl Facts {
    /// The facts of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let content = serde_json::to_vec(&(&record.counterparty, &record.lines)).unwrap_or_default();
        Self {
            kind: record.kind.clone(),
            number: record.number.clone(),
            status: record.status.clone(),
            total: record.total,
            balance: record.balance,
            due_date: record.due_date,
            created_at: record.created_at,
            content: Revision::of(&content),
        }
    }

    /// What is still known of a record that is gone.
    #[must_use]
    pub fn to_record(&self, id: impl Into<std::sync::Arc<str>>) -> Record {
        let mut record = Record::new(self.kind.clone(), id, self.status.clone());
        record.number = self.number.clone();
        record.total = self.total;
        record.balance = self.balance;
        record.due_date = self.due_date;
        record.created_at = self.created_at;
        record
    }

    /// How the record stood, where it is different now.
    #[must_use]
    pub fn before(&self, now: &Self) -> Option<Before> {
        let before = Before {
            status: Some(self.status.clone()).filter(|status| *status != now.status),
            total: self.total.filter(|total| Some(*total) != now.total),
            balance: self.balance.filter(|balance| Some(*balance) != now.balance),
            due_date: self.due_date.filter(|date| Some(*date) != now.due_date),
        };
        (before != Before::default()).then_some(before)
    }

    /// Whether the record is a payment.
    #[must_use]
    pub fn is_payment(&self) -> bool {
        matches!(self.kind, RecordKind::CustomerPayment | RecordKind::VendorPayment | RecordKind::BillPayment)
    }

    /// Whether the counterparty still owes something: issued, neither settled nor void, and a balance where the
    /// vendor states one.
    #[must_use]
    pub fn is_payable(&self) -> bool {
        matches!(self.kind, RecordKind::Invoice | RecordKind::Bill)
            && matches!(self.status, Status::Open | Status::PartiallyPaid)
            && self
                .balance
                .is_none_or(|balance| balance.amount.is_sign_positive() && !balance.amount.is_zero())
    }
}
