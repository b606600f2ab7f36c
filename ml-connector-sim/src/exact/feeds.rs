//! Flat rows: the sync feeds and the ledger's lines.

use std::collections::BTreeMap;

use ml_connector_core::Timestamp;

use super::{
    booking::LAST_PAYMENT,
    books::{Books, Record, Row, State},
    config::Quirks,
    kind::Kind,
    schema,
};
use crate::toolkit::{conditions::Conditions, json::Fields};

/// A feed of rows with row versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    SalesInvoices,
    PurchaseOrders,
    PurchaseEntries,
    SalesEntries,
    TransactionLines,
    PaymentTerms,
    TimeCostTransactions,
    Deleted,
}

/// A line of the ledger, or a header in it.
pub(super) struct Flat<'a> {
    pub(super) id: &'a str,
    pub(super) version: i64,
    pub(super) kind: Kind,
    header: &'a Fields,
    line: Option<&'a Fields>,
    number: usize,
}

impl Feed {
    pub(super) const ALL: [Self; 8] = [
        Self::SalesInvoices,
        Self::PurchaseOrders,
        Self::PurchaseEntries,
        Self::SalesEntries,
        Self::TransactionLines,
        Self::PaymentTerms,
        Self::TimeCostTransactions,
        Self::Deleted,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::SalesInvoices => "sync/SalesInvoice/SalesInvoices",
            Self::PurchaseOrders => "sync/PurchaseOrder/PurchaseOrders",
            Self::PurchaseEntries => "sync/Financial/PurchaseEntries",
            Self::SalesEntries => "sync/Financial/SalesEntries",
            Self::TransactionLines => "sync/Financial/TransactionLines",
            Self::PaymentTerms => "sync/Cashflow/PaymentTerms",
            Self::TimeCostTransactions => "sync/Project/TimeCostTransactions",
            Self::Deleted => "sync/Deleted",
        }
    }

    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::SalesInvoices => "Sync.SalesInvoice",
            Self::PurchaseOrders => "Sync.PurchaseOrder",
            Self::PurchaseEntries => "Sync.PurchaseEntry",
            Self::SalesEntries => "Sync.SalesEntry",
            Self::TransactionLines => "Sync.TransactionLine",
            Self::PaymentTerms => "Sync.PaymentTerm",
            Self::TimeCostTransactions => "Sync.TimeCostTransaction",
            Self::Deleted => "Sync.Deleted",
        }
    }

    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::SalesInvoices => "sales.invoices",
            Self::PurchaseOrders => "purchase.orders",
            Self::PurchaseEntries | Self::SalesEntries | Self::TransactionLines => "financial.accounting",
            Self::PaymentTerms => "financial.cashflow",
            Self::TimeCostTransactions => "projects.billing",
            Self::Deleted => "organization.administration",
        }
    }

    /// Whether it exists.
    pub(super) fn exists(self, quirks: &Quirks) -> bool {
        match self {
            Self::PurchaseOrders => quirks.purchase_order_feed,
            Self::PurchaseEntries | Self::SalesEntries => quirks.entry_feeds,
            _ => true,
        }
    }

    /// The feed that `SyncTimestamp` knows by this name.
    pub(super) fn dated(name: &str) -> Option<Self> {
        let known =
            [Self::SalesInvoices, Self::PurchaseOrders, Self::TransactionLines, Self::TimeCostTransactions];
        known.into_iter().find(|feed| feed.path().rsplit('/').next() == Some(name))
    }

    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::SalesInvoices => &[Kind::SalesInvoices],
            Self::PurchaseOrders => &[Kind::PurchaseOrders],
            Self::PurchaseEntries => &[Kind::PurchaseEntries],
            Self::SalesEntries => &[Kind::SalesEntries],
            Self::TransactionLines => &ENTRIES,
            Self::PaymentTerms => &[Kind::Payments, Kind::Receivables],
            Self::TimeCostTransactions => &[Kind::CostTransactions],
            Self::Deleted => &[],
        }
    }

    /// Its rows from a version on, in the order of their versions.
    pub(super) fn rows<'a>(
        self,
        books: &'a Books,
        from: i64,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Vec<Flat<'a>> {
        let records = self.kinds().iter().flat_map(|kind| books.of(*kind));
        let mut rows: Vec<Flat<'a>> = records
            .filter_map(|record| Some((record, record.listed(conditions, now)?)))
            .flat_map(|(record, state)| flat(record, state, self == Self::TransactionLines))
            .filter(|row| row.version >= from)
            .collect();
        rows.sort_by_key(|row| row.version);
        rows
    }

    /// A row with the wanted properties.
    pub(super) fn render(self, row: &Flat<'_>, wants: impl Fn(&str) -> bool) -> Fields {
        let mut out = Fields::default();
        for (name, _) in schema::properties(self.path()).unwrap_or_default() {
            if !wants(name) {
                continue;
            }
            match (self, *name) {
                (_, "Timestamp") => out.set(name, row.version.to_string()),
                (Self::PaymentTerms, "LineType") => {
                    out.set(name, if row.kind == Kind::Payments { 22 } else { 20 });
                }
                (Self::PaymentTerms, "LastPaymentDate") => {
                    out.set(name, row.header.get(LAST_PAYMENT).or_else(|| row.header.get(name)));
                }
                (Self::PaymentTerms, "IsFullyPaid") => {
                    let paid = row.header.text_or_number("Status") != "20";
                    out.set(name, row.header.get(name).is_some_and(|raw| raw.get() == "true") || paid);
                }
                (Self::PaymentTerms, "ApprovalStatus") => out.set(name, ()),
                // A GUID here; its code has a name of its own.
                (Self::PurchaseOrders, "CostCenter" | "CostUnit") => out.set(name, ()),
                (Self::PurchaseOrders, "CostCenterCode") => out.set(name, row.own("CostCenter")),
                (Self::PurchaseOrders, "CostUnitCode") => out.set(name, row.own("CostUnit")),
                _ => row.put(&mut out, name),
            }
        }
        out
    }
}

/// What is booked.
pub(super) const ENTRIES: [Kind; 5] = [
    Kind::SalesEntries,
    Kind::PurchaseEntries,
    Kind::GeneralJournalEntries,
    Kind::BankEntries,
    Kind::CashEntries,
];

/// Header and lines of a record as flat rows.
fn flat<'a>(record: &'a Record, state: &'a State, in_ledger: bool) -> Vec<Flat<'a>> {
    let version = |row: &Row| if in_ledger { row.ledger } else { row.version };
    let header = &state.header;
    let id = if in_ledger { &record.ledger_id } else { &header.id };
    let of = |id: &'a str, row: &'a Row, line, number| Flat {
        id,
        version: version(row),
        kind: record.kind,
        header: &header.fields,
        line,
        number,
    };
    let mut rows = vec![of(id, header, None, 0)];
    for (nth, line) in state.lines.iter().enumerate() {
        rows.push(of(&line.id, line, Some(&line.fields), nth + 1));
    }
    rows
}

impl Flat<'_> {
    /// Whether it is a term of an invoice to a customer, and not of a receipt.
    pub(super) fn is_receivable_of_invoice(&self) -> bool {
        self.kind == Kind::Receivables && self.header.text_or_number("TransactionType") != "40"
    }

    fn own(&self, name: &str) -> Option<&serde_json::value::RawValue> {
        self.line.and_then(|line| line.get(name))
    }

    /// Writes a property: the line's before the header's, under the name that the ledger has for it.
    pub(super) fn put(&self, out: &mut Fields, name: &str) {
        let others: &[&str] = match name {
            "ID" => return out.set(name, self.id),
            "LineNumber" => return out.set(name, self.number),
            "Type" if self.kind.is_entry() && self.header.get("Type").is_none() => return out.set(name, 40),
            "JournalCode" => &["Journal"],
            "FinancialYear" => &["ReportingYear"],
            "FinancialPeriod" => &["ReportingPeriod"],
            "Account" => &["Supplier", "Customer"],
            "AccountName" => &["SupplierName", "CustomerName"],
            "Date" => &["EntryDate"],
            "ExchangeRate" => &["Rate"],
            _ => &[],
        };
        let is_header_only = self.line.is_some()
            && matches!(name, "VATAmountDC" | "VATAmountFC" | "Type" | "Modified" | "Status" | "Currency");
        let of = |name: &str| {
            let line = self.line.and_then(|line| line.get(name)).filter(|raw| raw.get() != "null");
            let header = self.header.get(name);
            match is_header_only && !name.starts_with("VAT") {
                true => header.or(line),
                false if self.line.is_some() && LINE_ONLY.contains(&name) => self.own(name),
                false => line.or(header),
            }
        };
        let found = of(name).filter(|raw| raw.get() != "null");
        out.set(name, found.or_else(|| others.iter().find_map(|other| of(other))));
    }
}

/// What a line has or has not; the header's says nothing about it.
const LINE_ONLY: [&str; 6] =
    ["CostCenter", "CostCenterDescription", "CostUnit", "CostUnitDescription", "Description", "Quantity"];

/// The ledger's lines as a resource.
pub(super) fn ledger<'a>(books: &'a Books, conditions: &Conditions, now: Timestamp) -> Vec<Flat<'a>> {
    let rows = Feed::TransactionLines.rows(books, 0, conditions, now);
    let by_id: BTreeMap<&str, Flat<'a>> = rows.into_iter().map(|row| (row.id, row)).collect();
    by_id.into_values().collect()
}
