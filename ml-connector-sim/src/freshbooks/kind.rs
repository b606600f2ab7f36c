//! Kinds of records: what FreshBooks calls each of them, and where.

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A sales invoice.
    Invoice,
    /// A payment of an invoice, or a credit.
    Payment,
    /// A bill of a vendor.
    Bill,
    /// A payment of a bill.
    BillPayment,
    /// Who sends bills.
    BillVendor,
    /// An expense.
    Expense,
    /// A category of expenses.
    Category,
    /// A client.
    Client,
    /// Something that is sold.
    Item,
    /// A tax.
    Tax,
}

/// What FreshBooks calls a kind.
struct Words {
    /// The key of one record, and the noun of its events.
    single: &'static str,
    /// The key of a list.
    plural: &'static str,
    /// The path below the account.
    path: (&'static str, &'static str),
    /// The object of the scope.
    scope: &'static str,
    /// The field that names the record in an error.
    id_field: &'static str,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Invoice,
        Self::Payment,
        Self::Bill,
        Self::BillPayment,
        Self::BillVendor,
        Self::Expense,
        Self::Category,
        Self::Client,
        Self::Item,
        Self::Tax,
    ];

    /// The key of one record, which is the noun of its events: `invoice`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().single
    }

    pub(super) fn plural(self) -> &'static str {
        self.words().plural
    }

    pub(super) fn scope(self) -> &'static str {
        self.words().scope
    }

    pub(super) fn id_field(self) -> &'static str {
        self.words().id_field
    }

    pub(super) fn of_path(first: &str, second: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.words().path == (first, second))
    }

    pub(super) fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }

    /// Whether callbacks tell of it. Payments of bills have no events.
    pub(super) fn has_events(self) -> bool {
        self != Self::BillPayment
    }

    /// The errno of an answer that refuses a feature, and the words for what is refused.
    pub(super) fn feature(self) -> Option<(u32, &'static str)> {
        match self {
            Self::Item => Some((12_001, "items")),
            Self::BillVendor => Some((31_001, "bill vendors")),
            Self::Bill => Some((41_001, "bills")),
            Self::BillPayment => Some((41_101, "bill payments")),
            _ => None,
        }
    }

    fn words(self) -> Words {
        let words = |single, plural, path, scope, id_field| Words { single, plural, path, scope, id_field };
        match self {
            Self::Invoice => words("invoice", "invoices", ("invoices", "invoices"), "invoices", "invoiceid"),
            Self::Payment => words("payment", "payments", ("payments", "payments"), "payments", "paymentid"),
            Self::Bill => words("bill", "bills", ("bills", "bills"), "bills", "billid"),
            Self::BillPayment => words(
                "bill_payment",
                "bill_payments",
                ("bill_payments", "bill_payments"),
                "bill_payments",
                "bill_paymentid",
            ),
            Self::BillVendor => words(
                "bill_vendor",
                "bill_vendors",
                ("bill_vendors", "bill_vendors"),
                "bill_vendors",
                "vendorid",
            ),
            Self::Expense => words("expense", "expenses", ("expenses", "expenses"), "expenses", "expenseid"),
            Self::Category => {
                words("category", "categories", ("expenses", "categories"), "expenses", "categoryid")
            }
            Self::Client => words("client", "clients", ("users", "clients"), "clients", "userid"),
            Self::Item => words("item", "items", ("items", "items"), "billable_items", "itemid"),
            Self::Tax => words("tax", "taxes", ("taxes", "taxes"), "taxes", "taxid"),
        }
    }
}
