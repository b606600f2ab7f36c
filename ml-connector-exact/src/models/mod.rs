//! Exact Online's resources, and what they are in the SDK's vocabulary. Names and amounts are the customer's business, so
//! nothing here shows them.

/// The members of lines that are asked for where they are listed apart: those of all, and further ones.
macro_rules! members_of_lines {
    ($($own:literal)*) => {
        concat!(
            "ID,LineNumber,Description,Quantity,AmountFC,AmountDC,VATCode,CostCenter,CostCenterDescription,CostUnit,",
            "CostUnitDescription,Project,ProjectDescription",
            $(",", $own,)* ",Division"
        )
    };
}

mod booked;
mod columns;
mod cost;
mod division;
pub(crate) mod feed;
mod ledger;
mod line;
mod purchase;
mod reference;
mod sales;
mod site;
mod status;
mod term;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub(crate) use booked::{PURCHASE_ENTRIES, SALES_ENTRIES};
pub(crate) use columns::columns;
pub(crate) use cost::COST_TRANSACTIONS;
pub use division::{Caution, Division};
pub(crate) use ledger::{BANK_ENTRIES, CASH_ENTRIES, JOURNAL_ENTRIES};
use ml_connector_core::{
    Error, ErrorKind, Result,
    decode::Object,
    model::{CodeName, Currency, Party, Record, Revision},
    snapshot::revision_of,
};
pub(crate) use purchase::PURCHASE_ORDERS;
pub(crate) use reference::{ACCOUNTS, COST_CENTERS, COST_UNITS, GL_ACCOUNTS};
pub(crate) use sales::SALES_INVOICES;
use serde_json::value::RawValue;
pub(crate) use site::{Site, division_in};
pub(crate) use status::NAMED as STATUSES;
pub(crate) use term::{PAYMENTS, RECEIVABLES, Settlement, TERM_FEED, entry_of, part_of, settlement, side};
pub(crate) use value::{as_read, at_the_latest, instant, integer, is_guid};

/// A kind of record that the API offers, by the vendor's names.
pub(crate) struct Resource {
    /// The kind in the SDK's vocabulary.
    pub(crate) kind: &'static str,
    /// The name of the list, for feeds and sweeps.
    pub(crate) feed: &'static str,
    /// The path below the company.
    pub(crate) path: &'static str,
    /// The member that holds the id.
    pub(crate) key: &'static str,
    /// The operation that reads one.
    pub(crate) get: &'static str,
    /// The operation that lists them.
    pub(crate) list: &'static str,
    /// What the app has to be allowed to read, in the words of the App Center.
    pub(crate) scope: &'static str,
    /// What webhooks call it, where there are some.
    pub(crate) topic: Option<&'static str>,
    /// What is asked for: always by name, because some endpoints refuse to answer otherwise.
    pub(crate) select: &'static [&'static str],
    /// Its lines, where it has some.
    pub(crate) lines: Option<Lines>,
    /// The members that mean something to people or money. Nothing else makes a revision.
    pub(crate) meaningful: &'static [&'static str],
    /// The filter for documents that are not done with, which a baseline reads.
    pub(crate) open: Option<&'static str>,
    /// The record in the SDK's vocabulary. What cannot be read is left out.
    pub(crate) read: fn(&Object<'_>, &Site) -> Result<Record>,
}

/// The lines of a kind of document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// The member of the document that holds them when it is expanded.
    pub(crate) navigation: &'static str,
    /// The path below the company.
    pub(crate) path: &'static str,
    /// The member of a line that names its document.
    pub(crate) parent: &'static str,
    /// The operation that lists them.
    pub(crate) list: &'static str,
    /// What is asked for where they are listed apart: an expanded document shows all of them.
    pub(crate) select: &'static str,
}

impl Lines {
    /// The members that mean something to people or money.
    const MEANINGFUL: [&'static str; 19] = [
        "ID",
        "Description",
        "Item",
        "Quantity",
        "NetPrice",
        "UnitPrice",
        "AmountFC",
        "AmountDC",
        "VATAmountFC",
        "AmountVATFC",
        "VATAmount",
        "VATCode",
        "GLAccount",
        "CostCenter",
        "CostUnit",
        "Project",
        "Account",
        "OurRef",
        "Date",
    ];
}

impl Resource {
    /// Whether its records are payment terms, which are read in their feed.
    pub(crate) fn is_term(&self) -> bool {
        matches!(self.kind, "vendor_payment" | "customer_payment")
    }

    /// Whether a record without its lines says what it amounts to. Entries of journals have amounts in their lines only.
    pub(crate) fn has_amounts(&self) -> bool {
        self.select.contains(&"AmountFC")
    }

    /// The name of the daily look through the whole list. Where a feed of that name begins with what is open, the look has
    /// another: it would take the rest for records that nobody has told of.
    pub(crate) fn sweep(&self) -> &'static str {
        match self.feed {
            "sales_invoices" => "all_sales_invoices",
            "purchase_orders" => "all_purchase_orders",
            "cost_transactions" => "all_cost_transactions",
            feed => feed,
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Every kind of record that can be read. Of the first two a connection reads one.
pub(crate) static RESOURCES: [&Resource; 14] = [
    &SALES_INVOICES,
    &SALES_ENTRIES,
    &PURCHASE_ENTRIES,
    &PURCHASE_ORDERS,
    &JOURNAL_ENTRIES,
    &BANK_ENTRIES,
    &CASH_ENTRIES,
    &PAYMENTS,
    &RECEIVABLES,
    &COST_TRANSACTIONS,
    &ACCOUNTS,
    &GL_ACCOUNTS,
    &COST_CENTERS,
    &COST_UNITS,
];

/// The revision of a record: what means something in its JSON.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the JSON is no object.
pub(crate) fn revision(resource: &Resource, raw: &RawValue, record: &Record) -> Result<Revision> {
    let mut allowed: Vec<String> = resource.meaningful.iter().map(|name| (*name).to_owned()).collect();
    if let Some(lines) = &resource.lines {
        allowed.extend(Lines::MEANINGFUL.map(|name| format!("{}.results.{name}", lines.navigation)));
    }
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let content = revision_of(raw.get().as_bytes(), &allowed)?;
    // Of terms the status is ours.
    let status = resource.topic.is_none().then_some(&record.status);
    let files: Vec<&str> = record.attachments.iter().filter_map(|file| file.id.as_deref()).collect();
    let bytes = serde_json::to_vec(&(content, status, files)).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a revision cannot be written").with_source(source)
    })?;
    Ok(Revision::of(&bytes))
}

/// Reads what all documents have in common, and returns the document's currency.
fn amounts(record: &mut Record, from: &Object<'_>, site: &Site) -> Option<Currency> {
    let currency = from.currency("Currency").or(site.currency());
    record.total = value::money(from, "AmountFC", currency);
    let base = value::money(from, "AmountDC", site.currency());
    record.base_total = base.filter(|_| currency != site.currency());
    record.total = record.total.or(base.filter(|_| currency == site.currency()));
    record.tax = value::money(from, "VATAmountFC", currency);
    record.exchange_rate = ["Rate", "ExchangeRate"]
        .into_iter()
        .find_map(|name| from.decimal(name))
        .filter(|_| currency != site.currency());
    record.subject = value::text(from, "Description");
    record.reference = value::text(from, "YourRef");
    record.journal =
        CodeName::known(None, value::text(from, "Journal"), value::text(from, "JournalDescription"));
    record.created_at = value::instant(from, "Created", &site.zone);
    record.modified_at = value::instant(from, "Modified", &site.zone);
    currency
}

fn party(from: &Object<'_>, id: &str, name: &str) -> Option<Party> {
    let (id, name) = (value::guid(from, id).map(Into::into), value::text(from, name).unwrap_or_default());
    (id.is_some() || !name.is_empty()).then_some(Party { id, name })
}

/// The document that is attached to a record.
pub(crate) fn document_of(from: &Object<'_>) -> Option<String> {
    value::guid(from, "Document")
}
