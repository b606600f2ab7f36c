//! Records as the books keep them.

use std::collections::BTreeMap;

use ml_connector_core::{
    Timestamp,
    model::{Date, Decimal},
};

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A sales invoice.
    Invoice,
    /// A purchase bill.
    Bill,
    /// A payment received.
    CustomerPayment,
    /// A payment made.
    VendorPayment,
}

impl Entity {
    /// The word in `mlc_event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Bill => "bill",
            Self::CustomerPayment => "customerpayment",
            Self::VendorPayment => "vendorpayment",
        }
    }

    /// The path segment and the key of a list.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Invoice => "invoices",
            Self::Bill => "bills",
            Self::CustomerPayment => "customerpayments",
            Self::VendorPayment => "vendorpayments",
        }
    }

    /// The key of a detail.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::CustomerPayment => "payment",
            other => other.name(),
        }
    }

    pub(super) fn id_key(self) -> &'static str {
        match self {
            Self::Invoice => "invoice_id",
            Self::Bill => "bill_id",
            Self::CustomerPayment | Self::VendorPayment => "payment_id",
        }
    }

    /// What the answer to an unknown id says.
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Invoice => "Invoice does not exist.",
            Self::Bill => "Bill does not exist.",
            Self::CustomerPayment | Self::VendorPayment => "Payment does not exist.",
        }
    }

    pub(super) fn parse(plural: &str) -> Option<Self> {
        [Self::Invoice, Self::Bill, Self::CustomerPayment, Self::VendorPayment]
            .into_iter()
            .find(|entity| entity.plural() == plural)
    }
}

/// An invoice or bill to create.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewDocument {
    /// The customer's or vendor's name.
    pub counterparty: String,
    /// The total, on one line.
    pub total: Decimal,
    /// What the line says.
    pub description: String,
    /// The currency; USD unless set.
    pub currency: String,
    /// The number; the next one unless set.
    pub number: Option<String>,
    /// The reference.
    pub reference: String,
    /// The document's date; today unless set.
    pub date: Option<Date>,
    /// The due date; 30 days after the date unless set.
    pub due_date: Option<Date>,
}

impl NewDocument {
    /// A document of today over one line, due in 30 days.
    #[must_use]
    pub fn new(counterparty: &str, total: Decimal) -> Self {
        Self {
            counterparty: counterparty.to_owned(),
            total,
            description: "Consulting".to_owned(),
            currency: "USD".to_owned(),
            number: None,
            reference: String::new(),
            date: None,
            due_date: None,
        }
    }

    /// With another due date.
    #[must_use]
    pub fn due(mut self, date: Date) -> Self {
        self.due_date = Some(date);
        self
    }

    /// With another date.
    #[must_use]
    pub fn dated(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }

    /// With a number of its own.
    #[must_use]
    pub fn numbered(mut self, number: &str) -> Self {
        self.number = Some(number.to_owned());
        self
    }

    /// In another currency.
    #[must_use]
    pub fn in_currency(mut self, currency: &str) -> Self {
        self.currency = currency.to_owned();
        self
    }

    /// With a reference.
    #[must_use]
    pub fn with_reference(mut self, reference: &str) -> Self {
        self.reference = reference.to_owned();
        self
    }
}

/// An invoice or a bill.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) number: String,
    pub(super) reference: String,
    pub(super) party: Party,
    pub(super) currency: String,
    pub(super) date: Date,
    pub(super) due_date: Date,
    pub(super) description: String,
    pub(super) total: Decimal,
    pub(super) paid: Decimal,
    pub(super) last_payment: Option<Date>,
    pub(super) stage: Stage,
    pub(super) approval: Option<Approval>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) comments: Vec<Comment>,
    /// Custom fields by id.
    pub(super) fields: BTreeMap<String, String>,
}

/// Where a document stands, apart from what payments and the calendar say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Draft,
    PendingApproval,
    Approved,
    Open,
    Void,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Approval {
    pub(super) submitted: Date,
    pub(super) approved: Option<Date>,
}

#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) kind: &'static str,
    pub(super) at: Timestamp,
}

impl Document {
    /// What is left to pay. A void document keeps it.
    pub(super) fn balance(&self) -> Decimal {
        self.total - self.paid
    }

    /// The status on a day. The calendar changes it without touching the record.
    pub(super) fn status(&self, today: Date) -> &'static str {
        match self.stage {
            Stage::Draft => "draft",
            Stage::PendingApproval => "pending_approval",
            Stage::Approved => "approved",
            Stage::Void => "void",
            Stage::Open if self.balance() <= Decimal::ZERO => "paid",
            Stage::Open if today > self.due_date => "overdue",
            Stage::Open if self.paid > Decimal::ZERO => "partially_paid",
            Stage::Open if self.entity == Entity::Bill => "open",
            Stage::Open => "sent",
        }
    }
}

/// A payment of one document.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) allocation_id: String,
    pub(super) number: String,
    pub(super) party: Party,
    pub(super) document: String,
    pub(super) currency: String,
    pub(super) amount: Decimal,
    pub(super) date: Date,
    pub(super) created: Timestamp,
}
