//! Records as people enter them.

use ml_connector_core::model::{Date, Decimal};

use super::Kind;

/// A line of an invoice or a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// What an invoice calls it.
    pub name: String,
    /// More words; on a bill the only ones.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// What one costs, without tax.
    pub unit_cost: Decimal,
    /// The name of a tax and its percentage.
    pub tax: Option<(String, Decimal)>,
    /// The category, on a bill.
    pub category: Option<u64>,
}

impl Line {
    /// So many at so much each, without tax.
    #[must_use]
    pub fn new(name: &str, quantity: impl Into<Decimal>, unit_cost: Decimal) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            quantity: quantity.into(),
            unit_cost,
            tax: None,
            category: None,
        }
    }

    /// With a tax of so many percent.
    #[must_use]
    pub fn taxed(mut self, name: &str, percent: impl Into<Decimal>) -> Self {
        self.tax = Some((name.to_owned(), percent.into()));
        self
    }

    /// Without tax.
    pub(super) fn net(&self) -> Decimal {
        cents(self.quantity * self.unit_cost)
    }

    pub(super) fn tax_on(&self, net: Decimal) -> Decimal {
        self.tax.as_ref().map_or(Decimal::ZERO, |(_, percent)| cents(net * percent / Decimal::ONE_HUNDRED))
    }
}

/// How far an invoice has come by what people did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not sent.
    Draft,
    /// Sent or marked as sent.
    Sent,
    /// Opened by the client.
    Viewed,
}

/// What became of charging a card by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoBill {
    /// Failed once; tried again a day later.
    Retry,
    /// Failed for good.
    Failed,
    /// The card was charged.
    Success,
}

impl AutoBill {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Success => "success",
        }
    }
}

/// A sales invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invoice {
    /// The client's id.
    pub client: u64,
    /// Its number; one is drawn if it is empty.
    pub number: String,
    /// The invoice's date; today if it is left out.
    pub date: Option<Date>,
    /// How many days after its date it is due.
    pub due_offset_days: u32,
    /// ISO 4217.
    pub currency: String,
    /// Words for the client.
    pub notes: String,
    /// What it is for.
    pub lines: Vec<Line>,
    /// A discount in percent on all lines.
    pub discount_percent: Decimal,
    /// How far it has come.
    pub stage: Stage,
    /// `disputed` or `resolved`.
    pub dispute: Option<String>,
    /// What became of charging a card.
    pub auto_bill: Option<AutoBill>,
    /// What is to be paid first.
    pub deposit: Option<Decimal>,
    /// A word that is shown as `v3_status` whatever the invoice's state is.
    pub v3_status: Option<String>,
}

impl Invoice {
    /// A draft with one line, due in 30 days, in US dollars.
    #[must_use]
    pub fn new(client: u64, amount: Decimal) -> Self {
        Self {
            client,
            number: String::new(),
            date: None,
            due_offset_days: 30,
            currency: "USD".to_owned(),
            notes: String::new(),
            lines: vec![Line::new("Services", 1, amount)],
            discount_percent: Decimal::ZERO,
            stage: Stage::Draft,
            dispute: None,
            auto_bill: None,
            deposit: None,
            v3_status: None,
        }
    }

    /// Sent at once.
    #[must_use]
    pub fn sent(mut self) -> Self {
        self.stage = Stage::Sent;
        self
    }

    /// In another currency.
    #[must_use]
    pub fn in_currency(mut self, currency: &str) -> Self {
        currency.clone_into(&mut self.currency);
        self
    }

    /// With a date, and due so many days after it.
    #[must_use]
    pub fn dated(mut self, date: Date, due_offset_days: u32) -> Self {
        self.date = Some(date);
        self.due_offset_days = due_offset_days;
        self
    }

    fn discount_of(&self, net: Decimal) -> Decimal {
        cents(net * self.discount_percent / Decimal::ONE_HUNDRED)
    }

    /// The discount on all lines, as a positive amount.
    pub(super) fn discount(&self) -> Decimal {
        self.lines.iter().map(|line| self.discount_of(line.net())).sum()
    }

    /// The total with tax.
    pub(super) fn amount(&self) -> Decimal {
        let taxed = |line: &Line| {
            let net = line.net() - self.discount_of(line.net());
            net + line.tax_on(net)
        };
        self.lines.iter().map(taxed).sum()
    }
}

/// A payment of an invoice, or the credit that an overpayment leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payment {
    /// The invoice; `None` for a credit.
    pub invoice: Option<u64>,
    /// The client's id.
    pub client: u64,
    /// How much, in the invoice's currency.
    pub amount: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// When it was made; today if it is left out.
    pub date: Option<Date>,
    /// `Check`, `Bank Transfer`, `VISA` and so on.
    pub method: String,
    /// A note.
    pub note: String,
    /// Who charged the card.
    pub gateway: Option<String>,
    /// Whether a credit pays, and no new money.
    pub from_credit: bool,
    /// The credit's id.
    pub credit: Option<u64>,
    /// Where the rest of an overpayment went.
    pub overpayment: Option<u64>,
}

/// A bill of a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bill {
    /// The vendor's id.
    pub vendor: u64,
    /// The vendor's number.
    pub number: Option<String>,
    /// The bill's date; today if it is left out.
    pub issue_date: Option<Date>,
    /// How many days after its date it is due.
    pub due_offset_days: u32,
    /// ISO 4217.
    pub currency: String,
    /// What it is for.
    pub lines: Vec<Line>,
}

impl Bill {
    /// A bill with one line, due in 30 days, in US dollars.
    #[must_use]
    pub fn new(vendor: u64, amount: Decimal) -> Self {
        let mut line = Line::new("", 1, amount);
        "Supplies".clone_into(&mut line.description);
        Self {
            vendor,
            number: None,
            issue_date: None,
            due_offset_days: 30,
            currency: "USD".to_owned(),
            lines: vec![line],
        }
    }

    /// With the vendor's number.
    #[must_use]
    pub fn numbered(mut self, number: &str) -> Self {
        self.number = Some(number.to_owned());
        self
    }

    /// In another currency.
    #[must_use]
    pub fn in_currency(mut self, currency: &str) -> Self {
        currency.clone_into(&mut self.currency);
        self
    }

    /// Without tax.
    pub(super) fn net(&self) -> Decimal {
        self.lines.iter().map(Line::net).sum()
    }

    pub(super) fn tax(&self) -> Decimal {
        self.lines.iter().map(|line| line.tax_on(line.net())).sum()
    }
}

/// A payment of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BillPayment {
    /// The bill.
    pub bill: u64,
    /// How much, in the bill's currency.
    pub amount: Decimal,
    /// When it was made; today if it is left out.
    pub paid_date: Option<Date>,
    /// `Check`, `Bank Transfer` and so on.
    pub method: String,
    /// A note.
    pub note: Option<String>,
}

/// Who sends bills.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BillVendor {
    /// Its name.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// A note.
    pub note: Option<String>,
}

impl BillVendor {
    /// A vendor that is paid in US dollars.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), currency: "USD".to_owned(), note: None }
    }
}

/// What an expense is to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpenseStatus {
    /// Not billable.
    Internal,
    /// Billable and on no invoice.
    Outstanding,
    /// On an invoice.
    Invoiced,
    /// Paid back.
    Recouped,
}

impl ExpenseStatus {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Internal => 0,
            Self::Outstanding => 1,
            Self::Invoiced => 2,
            Self::Recouped => 4,
        }
    }
}

/// An expense.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expense {
    /// Where it was spent: free text.
    pub vendor: String,
    /// How much, with tax. It may have more decimals than the currency.
    pub amount: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// When; today if it is left out.
    pub date: Option<Date>,
    /// The category's id; the first one if it is left out.
    pub category: Option<u64>,
    /// The client it is for.
    pub client: Option<u64>,
    /// Words about it.
    pub notes: String,
    /// What it is to the client.
    pub status: ExpenseStatus,
    /// The name of the tax in it and its percentage.
    pub tax: Option<(String, Decimal)>,
    /// Whether it has a receipt; shown with a token that opens it.
    pub has_receipt: bool,
}

impl Expense {
    /// An internal expense of today in US dollars.
    #[must_use]
    pub fn new(vendor: &str, amount: Decimal) -> Self {
        Self {
            vendor: vendor.to_owned(),
            amount,
            currency: "USD".to_owned(),
            date: None,
            category: None,
            client: None,
            notes: String::new(),
            status: ExpenseStatus::Internal,
            tax: None,
            has_receipt: false,
        }
    }

    /// The tax in it.
    pub(super) fn tax_amount(&self) -> Option<Decimal> {
        let (_, percent) = self.tax.as_ref()?;
        Some(self.amount - cents(self.amount * Decimal::ONE_HUNDRED / (Decimal::ONE_HUNDRED + percent)))
    }
}

/// A category of expenses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Category {
    /// Its name.
    pub name: String,
    /// The category above it.
    pub parent: Option<u64>,
}

impl Category {
    /// A category that has none above it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), parent: None }
    }
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The company's name; may be empty.
    pub organization: String,
    /// The first name; may be empty.
    pub fname: String,
    /// The last name; may be empty.
    pub lname: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// ISO 4217.
    pub currency: String,
    /// A note.
    pub note: Option<String>,
}

impl Client {
    /// A company without a person.
    #[must_use]
    pub fn new(organization: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            fname: String::new(),
            lname: String::new(),
            email: String::new(),
            currency: "USD".to_owned(),
            note: None,
        }
    }
}

/// Something that is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Words about it.
    pub description: Option<String>,
    /// What one costs.
    pub unit_cost: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// The stock number.
    pub sku: Option<String>,
    /// The tax's id.
    pub tax: Option<u64>,
}

impl Item {
    /// An item in US dollars.
    #[must_use]
    pub fn new(name: &str, unit_cost: Decimal) -> Self {
        Self {
            name: name.to_owned(),
            description: None,
            unit_cost,
            currency: "USD".to_owned(),
            sku: None,
            tax: None,
        }
    }
}

/// A tax.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tax {
    /// Its name.
    pub name: String,
    /// Its percentage.
    pub percent: Decimal,
    /// The number it is registered under.
    pub number: Option<String>,
}

impl Tax {
    /// A tax without a number.
    #[must_use]
    pub fn new(name: &str, percent: impl Into<Decimal>) -> Self {
        Self { name: name.to_owned(), percent: percent.into(), number: None }
    }
}

/// A record of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An invoice.
    Invoice(Invoice),
    /// A payment.
    Payment(Payment),
    /// A bill.
    Bill(Bill),
    /// A payment of a bill.
    BillPayment(BillPayment),
    /// A vendor.
    BillVendor(BillVendor),
    /// An expense.
    Expense(Expense),
    /// A category.
    Category(Category),
    /// A client.
    Client(Client),
    /// An item.
    Item(Item),
    /// A tax.
    Tax(Tax),
}

/// A record that can be created and edited: one of the structs of this module.
pub trait Entry: Into<Data> {
    /// Its kind.
    const KIND: Kind;

    /// Of any record, if it is of this kind.
    fn of(data: &Data) -> Option<&Self>;

    /// As [`of`](Self::of), to change it.
    fn of_mut(data: &mut Data) -> Option<&mut Self>;
}

macro_rules! entries {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Data {
            fn from(entry: $kind) -> Self {
                Self::$kind(entry)
            }
        }

        impl Entry for $kind {
            const KIND: Kind = Kind::$kind;

            fn of(data: &Data) -> Option<&Self> {
                if let Data::$kind(entry) = data { Some(entry) } else { None }
            }

            fn of_mut(data: &mut Data) -> Option<&mut Self> {
                if let Data::$kind(entry) = data { Some(entry) } else { None }
            }
        }
    )*};
}

entries!(Invoice, Payment, Bill, BillPayment, BillVendor, Expense, Category, Client, Item, Tax);

/// Rounds to two places, halves away from zero.
pub(super) fn cents(amount: Decimal) -> Decimal {
    let half = if amount.is_sign_negative() { Decimal::new(-5, 1) } else { Decimal::new(5, 1) };
    (amount * Decimal::ONE_HUNDRED + half).trunc() / Decimal::ONE_HUNDRED
}
