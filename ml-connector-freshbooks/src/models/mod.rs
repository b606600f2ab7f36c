//! The vendor's records, and what they are in the SDK's vocabulary. They have no `Debug`, because names and amounts
//! are the customer's business.

mod bill;
mod columns;
mod expense;
mod identity;
mod invoice;
mod meaningful;
mod payment;
mod reference;
mod status;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use bill::{Bill, BillPayment, name_payment};
pub(crate) use columns::columns;
pub(crate) use expense::Expense;
pub use identity::{Business, Identity};
pub(crate) use invoice::Invoice;
use ml_connector_core::{
    Error, ErrorKind, Result,
    decode::Object,
    model::{Record, Revision},
    snapshot::revision_of,
};
pub(crate) use payment::Payment;
pub(crate) use reference::{BillVendor, Category, Client, Item, LedgerAccount};
use serde_json::value::RawValue;
pub(crate) use status::NAMED as STATUSES;
use url::Url;
pub(crate) use value::eastern;

/// Credits that FreshBooks lists among the payments.
pub(crate) const CREDIT: &str = "credit";
/// Whose bills are entered.
pub(crate) const BILL_VENDOR: &str = "bill_vendor";
/// What expenses are booked on.
pub(crate) const CATEGORY: &str = "category";
/// The kinds of records that have no word in the SDK's vocabulary.
pub(crate) const OWN_KINDS: [&str; 3] = [CREDIT, BILL_VENDOR, CATEGORY];

/// A kind of record that the API offers. Vendor names are kept.
pub(crate) trait Resource: Send {
    /// The kind in the SDK's vocabulary.
    const KIND: &'static str;
    /// The operation that reads one.
    const GET: &'static str;
    /// The operation that lists them.
    const LIST: &'static str;
    /// Whose path it is below.
    const FAMILY: Family = Family::Accounting;
    /// The path below the account or the business.
    const PATH: &'static str;
    /// The member that holds the record in the answer to a detail call.
    const DETAIL_KEY: &'static str;
    /// The member that holds the rows in the answer to a list call: the name of the feed.
    const LIST_KEY: &'static str;
    /// The member that holds the vendor's id.
    const ID: &'static str = "id";
    /// What a token needs to read it.
    const SCOPE: &'static str;
    /// What callbacks call it, where there are some.
    const NOUN: Option<&'static str>;
    /// What has to be asked for besides.
    const INCLUDES: &'static [&'static str] = &[];
    /// How the list shows what has changed.
    const CHANGES: Changes;
    /// The list's filter for the id, where it has one. One that FreshBooks does not know is ignored, and all is listed.
    const ID_FILTER: Option<&'static str> = None;
    /// The members that mean something to people or money, by their paths. Nothing else makes a revision.
    const MEANINGFUL: &'static [&'static str];

    /// The record in the SDK's vocabulary. What cannot be read is left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when it has no id.
    fn read(from: &Object<'_>, site: &Site) -> Result<Record>;

    /// How much of the record is there.
    fn shape(from: &Object<'_>) -> Shape;
}

/// Whose ids paths begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Those of accounting accounts. Lists have pages.
    Accounting,
    /// Those of businesses. Lists have none.
    Ledger,
}

/// How a list shows what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// It has a filter for the day of the last change.
    Window,
    /// It is read as a whole.
    Whole,
}

/// How much of a record is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// All that makes its revision, but no names of what it refers to.
    Nameless,
    /// Not even all that makes its revision, such as lines.
    Partial,
}

/// Every kind of record that can be read.
pub(crate) const KINDS: [&str; 10] = [
    Invoice::KIND,
    Payment::KIND,
    Bill::KIND,
    BillPayment::KIND,
    Expense::KIND,
    Client::KIND,
    BillVendor::KIND,
    Item::KIND,
    Category::KIND,
    LedgerAccount::KIND,
];

/// An expression for the type of a kind's records, or another one for kinds that are not read.
macro_rules! by_kind {
    ($kind:expr, $T:ident => $expression:expr, $otherwise:expr) => {
        by_kind!(@ $kind, $T => $expression, $otherwise; Invoice Payment Bill BillPayment Expense Client BillVendor
            Item Category LedgerAccount)
    };
    (@ $kind:expr, $T:ident => $expression:expr, $otherwise:expr; $($name:ident)*) => {{
        use $crate::models::Resource as _;
        match $kind {
            $(kind if kind == $crate::models::$name::KIND => {
                type $T = $crate::models::$name;
                $expression
            })*
            // Credits are listed among the payments.
            $crate::models::CREDIT => {
                type $T = $crate::models::Payment;
                $expression
            }
            _ => $otherwise,
        }
    }};
}
pub(crate) use by_kind;

/// The name of the feed that lists records of this kind.
pub(crate) fn feed_of(kind: &str) -> Option<&'static str> {
    if kind == CREDIT {
        return None;
    }
    by_kind!(kind, T => Some(T::LIST_KEY), None)
}

/// The kind of records that callbacks call so.
pub(crate) fn kind_of_noun(noun: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| noun_of(kind) == Some(noun))
}

/// What callbacks call records of this kind.
pub(crate) fn noun_of(kind: &str) -> Option<&'static str> {
    by_kind!(kind, T => T::NOUN, None)
}

/// Where people open records.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    web: String,
    account_id: String,
    bills: bool,
}

impl Site {
    /// `bills`: whether bills have links, too. Nobody documents them.
    pub(crate) fn new(web: &Url, account_id: &str, bills: bool) -> Self {
        Self { web: web.as_str().trim_end_matches('/').to_owned(), account_id: account_id.to_owned(), bills }
    }

    /// The page of an invoice for those who keep the books. FreshBooks' share link is not used: who has it, has the
    /// client's view.
    pub(crate) fn invoice(&self, id: &str) -> String {
        format!("{}/#/invoice/{}-{id}", self.web, self.account_id)
    }

    pub(crate) fn expense(&self, id: &str) -> String {
        format!("{}/#/expense/{id}", self.web)
    }

    pub(crate) fn bill(&self, id: &str) -> Option<String> {
        self.bills.then(|| format!("{}/#/bill/{id}", self.web))
    }
}

/// The revision of a record: what means something in its JSON, and the status in the SDK's vocabulary.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the JSON is no object.
pub(crate) fn revision<T: Resource>(raw: &RawValue, record: &Record) -> Result<Revision> {
    let content = revision_of(raw.get().as_bytes(), T::MEANINGFUL)?;
    let bytes = serde_json::to_vec(&(content, &record.status)).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a revision cannot be written").with_source(source)
    })?;
    Ok(Revision::of(&bytes))
}
