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
    /// An order to a vendor.
    PurchaseOrder,
    /// An expense.
    Expense,
    /// A customer or a vendor.
    Contact,
    /// Something that is bought or sold.
    Item,
    /// An account of the chart of accounts.
    Account,
    /// A currency.
    Currency,
}

impl Entity {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Invoice,
        Self::Bill,
        Self::CustomerPayment,
        Self::VendorPayment,
        Self::PurchaseOrder,
        Self::Expense,
        Self::Contact,
        Self::Item,
        Self::Account,
        Self::Currency,
    ];

    /// The word in `mlc_event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The path and the key of a list.
    pub(super) fn plural(self) -> &'static str {
        self.words().1
    }

    /// The key of a detail.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::CustomerPayment => "payment",
            Self::Account => "chart_of_account",
            other => other.name(),
        }
    }

    pub(super) fn id_key(self) -> &'static str {
        self.words().2
    }

    /// What the answer to an unknown id says.
    pub(super) fn missing(self) -> &'static str {
        self.words().3
    }

    /// The module of the scopes that open it.
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Item | Self::Currency => "settings",
            Self::Account => "accountants",
            other => other.plural(),
        }
    }

    /// What workflow rules call it.
    pub(super) fn in_workflows(self) -> &'static str {
        match self {
            Self::CustomerPayment => "customer_payment",
            Self::VendorPayment => "vendor_payment",
            Self::Contact => "customer",
            other => other.name(),
        }
    }

    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Invoice => ("invoice", "invoices", "invoice_id", "Invoice does not exist."),
            Self::Bill => ("bill", "bills", "bill_id", "Bill does not exist."),
            Self::CustomerPayment => {
                ("customerpayment", "customerpayments", "payment_id", "Payment does not exist.")
            }
            Self::VendorPayment => {
                ("vendorpayment", "vendorpayments", "payment_id", "Payment does not exist.")
            }
            Self::PurchaseOrder => {
                ("purchaseorder", "purchaseorders", "purchaseorder_id", "Purchase Order does not exist.")
            }
            Self::Expense => ("expense", "expenses", "expense_id", "Expense does not exist."),
            Self::Contact => ("contact", "contacts", "contact_id", "The Customer is not accessible."),
            Self::Item => ("item", "items", "item_id", "Item does not exist."),
            Self::Account => ("account", "chartofaccounts", "account_id", "Account does not exist."),
            Self::Currency => ("currency", "currencies", "currency_id", "Currency does not exist."),
        }
    }

    pub(super) fn parse(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.plural() == plural)
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

/// Somebody's word on a document, for which one approver after another is asked.
#[derive(Debug, Clone)]
pub(super) struct Approval {
    pub(super) submitted: Date,
    /// How many are asked.
    pub(super) approvers: usize,
    /// When each of those who have approved did.
    pub(super) approved: Vec<Date>,
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

/// A purchase order, an expense, a contact, an item, an account or a currency to create.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewRecord {
    /// Its name; of an order or an expense, the vendor's; of a currency, its code.
    pub name: String,
    /// The total, the rate of an item, or the exchange rate.
    pub amount: Decimal,
    /// The date of an order or an expense; today unless set.
    pub date: Option<Date>,
}

impl NewRecord {
    /// A record of today.
    #[must_use]
    pub fn new(name: &str, amount: Decimal) -> Self {
        Self { name: name.to_owned(), amount, date: None }
    }

    /// With another date.
    #[must_use]
    pub fn dated(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }
}

#[derive(Debug, Clone)]
pub(super) struct Plain {
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) party: Party,
    pub(super) amount: Decimal,
    pub(super) status: String,
    pub(super) date: Date,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}
