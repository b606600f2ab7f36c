//! What an accounting system holds, in one vocabulary.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ConnectionId, Date, EntityRef, Money, Timestamp};

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
        /// Somebody's decision about a document, asked for by an approval source.
        Approval = "approval",
        /// What somebody who clicked or wrote is to be told.
        Answer = "answer",
        /// A click, or another input of a person, on a message.
        Action = "action",
        /// An emoji that somebody put on a message.
        Reaction = "reaction",
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
    /// How a payment was made, such as `banktransfer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_mode: Option<String>,
    /// Who submitted it for approval, as the vendor names the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// The address of who submitted it. People change the names they go by; this tells them for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by_email: Option<String>,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// The documents a payment settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Allocation>,
    /// Words it is marked with: reporting tags; of a reaction, the emoji's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The document it is about: of an approval, an action, a reaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<DocumentRef>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// What somebody wrote: a reason, an answer. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
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
            payment_mode: None,
            submitted_by: None,
            submitted_by_email: None,
            lines: Vec::new(),
            allocations: Vec::new(),
            tags: Vec::new(),
            about: None,
            actor: None,
            note: None,
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

/// A customer or supplier. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The vendor's id of the contact.
    pub id: Arc<str>,
    /// Its name, as the vendor writes it. Untrusted text.
    pub name: String,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A document as somebody saw it: which, and after which of its changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DocumentRef {
    /// Whose document.
    pub connection: ConnectionId,
    /// Which document.
    pub entity: EntityRef,
    /// The number of the change that was told: [`Event::n`](super::Event::n).
    pub n: u64,
}

/// A person who did something. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The connection that knows the person.
    pub connection: ConnectionId,
    /// The person's id there.
    pub id: Arc<str>,
    /// The person's full name. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Other names the person goes by there: other systems may know them by one of these. Untrusted text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The person's address, where it may be read and is vouched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where it was done, in that connection's own form: the message, so that an answer can be shown beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Arc<str>>,
}

impl Actor {
    /// A person known by id.
    pub fn new(connection: impl Into<ConnectionId>, id: impl Into<Arc<str>>) -> Self {
        let (connection, id) = (connection.into(), id.into());
        Self { connection, id, name: None, aliases: Vec::new(), email: None, place: None }
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, id, .. } = self;
        f.debug_struct("Actor").field("connection", connection).field("id", id).finish_non_exhaustive()
    }
}

/// A line of a document. `Debug` shows the id only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The vendor's id of the line, where it has one.
    pub id: Arc<str>,
    /// What the line says. Untrusted text.
    pub description: String,
    /// How many, where the vendor says so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "decimal_text")]
    pub quantity: Option<super::Decimal>,
    /// The line's amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The account it is booked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The cost centre or reporting tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The part of a payment that settles one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// The document.
    pub document: EntityRef,
    /// The number people use for it.
    pub number: String,
    /// How much of the payment goes to it.
    pub amount: Money,
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

mod decimal_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::model::Decimal;

    #[allow(clippy::ref_option)] // the signature serde asks for
    pub(super) fn serialize<S: Serializer>(value: &Option<Decimal>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(decimal) => to.collect_str(decimal),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
        let text = Option::<std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.map(|text| Decimal::from_str_exact(&text).map_err(de::Error::custom)).transpose()
    }
}
