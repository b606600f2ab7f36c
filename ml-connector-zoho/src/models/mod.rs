//! The vendor's records, and what they are in the SDK's vocabulary. They have no `Debug`, because names and amounts
//! are the customer's business.

mod approval;
mod columns;
mod customer_payment;
mod document;
mod expense;
mod extras;
mod line;
mod meaningful;
mod organization;
mod reference;
mod status;
#[cfg(test)]
mod tests;
mod vendor_payment;

pub(crate) use columns::columns;
pub(crate) use customer_payment::CustomerPayment;
pub(crate) use document::{Bill, Invoice, PurchaseOrder};
pub(crate) use expense::Expense;
use ml_connector_core::{
    Error, ErrorKind, Result,
    decode::Object,
    model::{self, Allocation, EntityRef, Record, RecordKind, Revision},
    snapshot::revision_of,
};
pub use organization::{Organization, User};
pub(crate) use reference::{Account, Contact, Currency, Item};
use serde_json::value::RawValue;
use url::Url;
pub(crate) use vendor_payment::VendorPayment;

/// A kind of record that the API offers. Vendor names are kept.
pub(crate) trait Resource: Send {
    /// The kind in the SDK's vocabulary.
    const KIND: RecordKind;
    /// The operation that reads one.
    const GET: &'static str;
    /// The operation that lists them.
    const LIST: &'static str;
    /// The path below `/books/v3`.
    const PATH: &'static str;
    /// The member that holds the record in the answer to a detail call.
    const DETAIL_KEY: &'static str;
    /// The member that holds the rows in the answer to a list call.
    const LIST_KEY: &'static str;
    /// The member that holds the vendor's id.
    const ID: &'static str;
    /// The members that mean something to people or money, by their paths. Nothing else makes a revision.
    const MEANINGFUL: &'static [&'static str];
    /// Whether rows may leave out the currency, and mean the organization's.
    const HOME_CURRENCY: bool = false;
    /// How the list shows what has changed.
    const CHANGES: Changes;
    /// Query parameters without which the list hides records that exist.
    const EVERYTHING: &'static [(&'static str, &'static str)] = &[];
    /// Query parameters for the order in which changes are looked for: new records last where that can be had, so
    /// that pages shift as little as can be; empty where no order is documented.
    const SORT: &'static [(&'static str, &'static str)] = &[];
    /// The size of a page; `None` where the default is larger than what may be asked for.
    const PER_PAGE: Option<&'static str> = Some("200");
    /// Whether the list says how long it is when it is asked to count.
    const COUNTED: bool = false;
    /// The list's filter for the number people use, where it has one.
    const NUMBER_FILTER: Option<&'static str> = None;
    /// The path in the web application, where it is known.
    const WEB_PATH: Option<&'static str> = None;

    /// The record in the SDK's vocabulary, without its link. What cannot be read is left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when it has no id.
    fn read(from: &Object<'_>, home: Option<model::Currency>) -> Result<Record>;

    /// The word for a stage of the organization's own within the status, where it has such.
    fn stage(_: &Object<'_>) -> String {
        String::new()
    }
}

/// How a list shows what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// It has the filter `last_modified_time`.
    Filtered,
    /// It can be sorted by that stamp, the latest first.
    SortedByStamp,
    /// The latest dates come first; changes of what is older have to be looked for. Whether the list has the filter
    /// although nobody documents it, is tried.
    ReadBack,
    /// It is read as a whole.
    Whole,
}

/// Every kind of record that can be read.
pub(crate) const KINDS: [RecordKind; 10] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::CustomerPayment,
    RecordKind::VendorPayment,
    RecordKind::PurchaseOrder,
    RecordKind::Expense,
    RecordKind::Contact,
    RecordKind::Item,
    RecordKind::Account,
    RecordKind::Currency,
];

/// An expression for the type of a kind's records, or another one for kinds that are not read.
macro_rules! by_kind {
    ($kind:expr, $T:ident => $expression:expr, $otherwise:expr) => {
        by_kind!(@ $kind, $T => $expression, $otherwise; Invoice Bill CustomerPayment VendorPayment PurchaseOrder
            Expense Contact Item Account Currency)
    };
    (@ $kind:expr, $T:ident => $expression:expr, $otherwise:expr; $($name:ident)*) => {
        match $kind {
            $(::ml_connector_core::model::RecordKind::$name => {
                type $T = crate::models::$name;
                $expression
            })*
            _ => $otherwise,
        }
    };
}
pub(crate) use by_kind;

/// The name of the feed that lists records of this kind.
pub(crate) fn feed_of(kind: &RecordKind) -> Option<&'static str> {
    by_kind!(kind, T => Some(<T as Resource>::LIST_KEY), None)
}

/// The path below `/books/v3` of documents that can be commented on and approved.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for other kinds of records.
pub(crate) fn path_of(entity: &EntityRef) -> Result<&'static str> {
    match RecordKind::from(&*entity.kind) {
        RecordKind::Invoice => Ok(Invoice::PATH),
        RecordKind::Bill => Ok(Bill::PATH),
        RecordKind::PurchaseOrder => Ok(PurchaseOrder::PATH),
        _ => Err(Error::new(ErrorKind::Unsupported, "records of this kind take no comments and no approval")
            .with_context("kind", entity.kind.escape_debug())),
    }
}

/// Where people open records.
#[derive(Debug, Clone)]
pub(crate) struct Site(String);

impl Site {
    pub(crate) fn new(web: &Url, organization_id: &str) -> Self {
        Self(format!("{}/app/{organization_id}#/", web.as_str().trim_end_matches('/')))
    }

    /// The link to a record. Zoho's own `invoice_url` is not used: who has it, has the customer's view.
    pub(crate) fn link<T: Resource>(&self, id: &str) -> Option<String> {
        T::WEB_PATH.map(|path| format!("{}{path}/{id}", self.0))
    }
}

/// The revision of a record: what means something in its JSON, the status in the SDK's vocabulary (so that `sent`,
/// `viewed` and `overdue` are one), the organization's own stage, and what a payment settles.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the JSON is no object.
pub(crate) fn revision<T: Resource>(raw: &RawValue, record: &Record, stage: &str) -> Result<Revision> {
    let content = listed_revision::<T>(raw)?;
    let whole = (content, &record.status, stage, &record.allocations);
    let bytes = serde_json::to_vec(&whole).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a revision cannot be written").with_source(source)
    })?;
    Ok(Revision::of(&bytes))
}

/// The revision of a row that has no stamp.
///
/// # Errors
/// As [`revision`].
pub(crate) fn listed_revision<T: Resource>(raw: &RawValue) -> Result<Revision> {
    revision_of(raw.get().as_bytes(), T::MEANINGFUL)
}

/// What a payment settles, wholly or in part.
fn allocations(
    payment: &Object<'_>,
    documents: &str,
    kind: &RecordKind,
    currency: Option<model::Currency>,
) -> Vec<Allocation> {
    let id = format!("{}_id", kind.as_str());
    let number = format!("{}_number", kind.as_str());
    let paid = payment.objects(documents);
    let allocations = paid.iter().filter_map(|paid| {
        let document = EntityRef::new(kind.as_str(), paid.text(&id));
        let amount = paid.money("amount_applied", currency)?;
        Some(Allocation { document, number: paid.text(&number), amount })
    });
    allocations.collect()
}
