//! The vendor's records, and what they are in the SDK's vocabulary. They have no `Debug`, because names and amounts
//! are the customer's business.

mod approval;
mod bill;
mod customer_payment;
mod de;
mod invoice;
mod line;
mod revision;
mod status;
#[cfg(test)]
mod tests;
mod vendor_payment;

pub(crate) use bill::Bill;
pub(crate) use customer_payment::CustomerPayment;
pub(crate) use de::{flag, text};
pub(crate) use invoice::Invoice;
use ml_connector_core::{
    Error, ErrorKind, Money, Result,
    model::{Currency, Decimal, EntityRef, Party, Record, RecordKind},
};
pub(crate) use revision::revision;
use serde::de::DeserializeOwned;
use url::Url;
pub(crate) use vendor_payment::VendorPayment;

/// A kind of record that the API offers. Vendor names are kept.
pub(crate) trait Resource: DeserializeOwned + Send {
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
    /// Whether the list has the filter `last_modified_time`. Where it has not, Zoho ignores it.
    const LISTS_MODIFIED: bool;
    /// Query parameters for an order in which new records come last, so that pages shift as little as can be; empty
    /// where no order is documented.
    const SORT: &'static [(&'static str, &'static str)];
    /// The list's filter for the number people use.
    const NUMBER_FILTER: &'static str;
    /// The path in the web application.
    const WEB_PATH: &'static str;

    /// The vendor's id.
    fn id(&self) -> &str;

    /// The word for a custom stage within the status, where the organization has such.
    fn sub_status(&self) -> &str {
        ""
    }

    /// The record in the SDK's vocabulary, without its link.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when an amount's currency is none.
    fn into_record(self) -> Result<Record>;
}

/// The path below `/books/v3` of documents that can be commented on and approved.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for other kinds of records.
pub(crate) fn path_of(entity: &EntityRef) -> Result<&'static str> {
    match RecordKind::from(&*entity.kind) {
        RecordKind::Invoice => Ok(Invoice::PATH),
        RecordKind::Bill => Ok(Bill::PATH),
        RecordKind::PurchaseOrder => Ok("purchaseorders"),
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
    pub(crate) fn link<T: Resource>(&self, id: &str) -> String {
        format!("{}{}/{id}", self.0, T::WEB_PATH)
    }
}

/// Zoho writes "" for "nothing".
fn some(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

fn party(id: String, name: String) -> Option<Party> {
    some(id).map(|id| Party { id: id.into(), name })
}

/// The currency of a record's amounts; `None` when it names none, and then it has no amounts either.
fn currency(code: &str) -> Result<Option<Currency>> {
    if code.is_empty() {
        return Ok(None);
    }
    Currency::parse(code).map(Some).map_err(|_| {
        Error::new(ErrorKind::InvalidResponse, "expected a currency code").with_context("chars", code.len())
    })
}

fn money(amount: Option<Decimal>, currency: Option<Currency>) -> Option<Money> {
    Some(Money::new(amount?, currency?))
}
