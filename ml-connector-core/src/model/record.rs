//! What an accounting system holds, in one vocabulary: business data only. What people did is an
//! [`Interaction`](super::Interaction).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Address, Allocation, Attachment, CodeName, CustomField, Date, Decimal, EntityRef, Line, Money, Party,
    Person, Timestamp, parts::decimal_text,
};

/// Makes an enum that is text on the wire and keeps values it does not know.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)* #[doc = "A value this version does not know, kept as it came."] Other(Arc<str>) }

        impl $name {
            /// The texts that this version knows.
            pub const KNOWN: &'static [&'static str] = &[$($text),*];

            /// The stable text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $text,)* Self::Other(text) => text }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text { $($text => Self::$variant,)* other => Self::Other(other.into()) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Ok(Self::from(&*std::borrow::Cow::<'_, str>::deserialize(from)?))
            }
        }
    };
}

open_enum! {
    /// What a record is.
    RecordKind {
        /// A sales invoice.
        Invoice = "invoice",
        /// A supplier's bill (purchase invoice).
        Bill = "bill",
        /// Money received from a customer.
        CustomerPayment = "customer_payment",
        /// Money paid to a supplier.
        VendorPayment = "vendor_payment",
        /// An order to a supplier.
        PurchaseOrder = "purchase_order",
        /// An expense.
        Expense = "expense",
        /// A general journal entry.
        JournalEntry = "journal_entry",
        /// A customer or supplier.
        Contact = "contact",
        /// A thing that is bought or sold.
        Item = "item",
        /// An account of the chart of accounts.
        Account = "account",
        /// A currency and its rate.
        Currency = "currency",
        /// A person who uses the system.
        User = "user",
        /// An order of a customer.
        SalesOrder = "sales_order",
        /// A credit to a customer.
        CreditNote = "credit_note",
        /// The payment of one bill.
        BillPayment = "bill_payment",
        /// An entry of a bank journal.
        BankEntry = "bank_entry",
        /// An entry of a cash journal.
        CashEntry = "cash_entry",
        /// An entry in cost accounting.
        CostTransaction = "cost_transaction",
        /// A cost center.
        CostCenter = "cost_center",
        /// A cost unit.
        CostUnit = "cost_unit",
    }
}

open_enum! {
    /// Where a document stands, in one vocabulary; [`Record::vendor_status`] keeps the vendor's word. Being
    /// overdue is no status: it follows from the due date and the balance.
    Status {
        /// Not issued yet.
        Draft = "draft",
        /// Waits for somebody's approval.
        PendingApproval = "pending_approval",
        /// Approved, not issued yet.
        Approved = "approved",
        /// Approval was refused.
        Rejected = "rejected",
        /// Issued (sent, posted) and unpaid.
        Open = "open",
        /// Paid in part.
        PartiallyPaid = "partially_paid",
        /// Settled in full.
        Paid = "paid",
        /// Void or cancelled; a balance the vendor still shows means nothing.
        Void = "void",
    }
}

/// One record as it was read: the fields that all systems share. Amounts are the vendor's own digits.
///
/// `Debug` shows ids and states only, because names and amounts are the customer's business.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The vendor's id.
    pub id: Arc<str>,
    /// The number people use, such as `INV-000101`. Not an identity: vendors reuse numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// What a contact, an item, an account or a currency is called. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is about, in the words of whoever entered it. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The journal it is entered in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<CodeName>,
    /// The counterparty's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// The vendor's word for it.
    pub vendor_status: String,
    /// The customer or supplier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<Party>,
    /// The document's date, local to the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// When it falls due, local to the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// When it was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the vendor says it changed last. A stamp, not a version: two changes can share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// The document's total, or the amount of a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What is still to be paid, or the unapplied part of a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Money>,
    /// The total without tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_total: Option<Money>,
    /// The tax in the total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// The total in the organisation's currency, where the document is in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_total: Option<Money>,
    /// How much of the organisation's currency one unit of the document's currency is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "decimal_text")]
    pub exchange_rate: Option<Decimal>,
    /// How a payment was made, such as `banktransfer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_mode: Option<String>,
    /// Who submitted it for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Person>,
    /// Who is responsible for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Person>,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// The documents a payment settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Allocation>,
    /// Reporting tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where the bill goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// The fields that the organisation added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_fields: Vec<CustomField>,
    /// The files beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Where a person opens it in the vendor's web application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Record {
    /// A record with nothing but its identity and status.
    pub fn new(kind: RecordKind, id: impl Into<Arc<str>>, status: Status) -> Self {
        Self {
            kind,
            id: id.into(),
            number: None,
            name: None,
            subject: None,
            journal: None,
            reference: None,
            vendor_status: status.to_string(),
            status,
            counterparty: None,
            date: None,
            due_date: None,
            created_at: None,
            modified_at: None,
            total: None,
            balance: None,
            sub_total: None,
            tax: None,
            base_total: None,
            exchange_rate: None,
            payment_mode: None,
            submitted_by: None,
            assignee: None,
            lines: Vec::new(),
            allocations: Vec::new(),
            tags: Vec::new(),
            billing_address: None,
            custom_fields: Vec::new(),
            attachments: Vec::new(),
            url: None,
        }
    }

    /// Its identity within a connection.
    #[must_use]
    pub fn entity(&self) -> EntityRef {
        EntityRef::new(self.kind.as_str(), Arc::clone(&self.id))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, status, lines, .. } = self;
        f.debug_struct("Record")
            .field("kind", kind)
            .field("id", id)
            .field("status", status)
            .field("lines", &lines.len())
            .finish_non_exhaustive()
    }
}

/// The vendor's own JSON of a record, byte for byte. `Debug` shows the size only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// Keeps a JSON value.
    #[must_use]
    pub fn new(value: Box<RawValue>) -> Self {
        Self(value)
    }

    /// The JSON text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    pub(super) fn value(&self) -> &RawValue {
        &self.0
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.get().len())
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Raw {}
