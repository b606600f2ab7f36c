//! The entity sets that are read.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Record, RecordKind, Status},
};

/// An entity set of a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    PurchaseInvoices,
    SalesInvoices,
    PurchaseOrders,
    SalesOrders,
    Vendors,
    Customers,
    Employees,
    Accounts,
    Items,
    Dimensions,
    Currencies,
}

/// One operation name for each set.
macro_rules! operations {
    ($name:ident, $prefix:literal) => {
        pub(crate) fn $name(self) -> &'static str {
            match self {
                Self::PurchaseInvoices => concat!("business_central.", $prefix, "_purchase_invoices"),
                Self::SalesInvoices => concat!("business_central.", $prefix, "_sales_invoices"),
                Self::PurchaseOrders => concat!("business_central.", $prefix, "_purchase_orders"),
                Self::SalesOrders => concat!("business_central.", $prefix, "_sales_orders"),
                Self::Vendors => concat!("business_central.", $prefix, "_vendors"),
                Self::Customers => concat!("business_central.", $prefix, "_customers"),
                Self::Employees => concat!("business_central.", $prefix, "_employees"),
                Self::Accounts => concat!("business_central.", $prefix, "_accounts"),
                Self::Items => concat!("business_central.", $prefix, "_items"),
                Self::Dimensions => concat!("business_central.", $prefix, "_dimensions"),
                Self::Currencies => concat!("business_central.", $prefix, "_currencies"),
            }
        }
    };
}

/// The kinds of records beyond the SDK's own.
pub(crate) const OWN_KINDS: [&str; 4] = ["vendor", "customer", "employee", "dimension"];
/// The words for states beyond the SDK's own: of corrections, and of orders that became an invoice.
pub(crate) const OWN_STATUSES: [&str; 2] = ["corrective", "invoiced"];

impl Set {
    pub(crate) const ALL: [Self; 11] = [
        Self::PurchaseInvoices,
        Self::SalesInvoices,
        Self::PurchaseOrders,
        Self::SalesOrders,
        Self::Vendors,
        Self::Customers,
        Self::Employees,
        Self::Accounts,
        Self::Items,
        Self::Dimensions,
        Self::Currencies,
    ];

    /// The set of approval entries, which are no records but tell about documents.
    pub(crate) const APPROVAL_ENTRIES: &'static str = "approvalEntries";

    operations!(get, "get");
    operations!(list, "list");

    /// The name in paths, and of the feed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PurchaseInvoices => "purchaseInvoices",
            Self::SalesInvoices => "salesInvoices",
            Self::PurchaseOrders => "purchaseOrders",
            Self::SalesOrders => "salesOrders",
            Self::Vendors => "vendors",
            Self::Customers => "customers",
            Self::Employees => "employees",
            Self::Accounts => "accounts",
            Self::Items => "items",
            Self::Dimensions => "dimensions",
            Self::Currencies => "currencies",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The kind in the SDK's vocabulary. Vendors, customers and employees are told apart, because an id says nothing about
    /// the set that it is in.
    pub(crate) fn kind(self) -> RecordKind {
        match self {
            Self::PurchaseInvoices => RecordKind::Bill,
            Self::SalesInvoices => RecordKind::Invoice,
            Self::PurchaseOrders => RecordKind::PurchaseOrder,
            Self::SalesOrders => RecordKind::SalesOrder,
            Self::Vendors => RecordKind::from("vendor"),
            Self::Customers => RecordKind::from("customer"),
            Self::Employees => RecordKind::from("employee"),
            Self::Accounts => RecordKind::Account,
            Self::Items => RecordKind::Item,
            Self::Dimensions => RecordKind::from("dimension"),
            Self::Currencies => RecordKind::Currency,
        }
    }

    pub(crate) fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.kind().as_str() == kind)
    }

    /// The navigation that holds a document's lines.
    pub(crate) fn lines(self) -> Option<&'static str> {
        match self {
            Self::PurchaseInvoices => Some("purchaseInvoiceLines"),
            Self::SalesInvoices => Some("salesInvoiceLines"),
            Self::PurchaseOrders => Some("purchaseOrderLines"),
            Self::SalesOrders => Some("salesOrderLines"),
            _ => None,
        }
    }

    /// What is asked for where the rest is nobody's business.
    pub(crate) fn select(self) -> Option<&'static str> {
        match self {
            Self::Employees => Some("id,number,displayName,email,status,lastModifiedDateTime"),
            _ => None,
        }
    }

    /// The set of posted documents in the route of Power Automate.
    pub(crate) fn posted(self) -> &'static str {
        if self == Self::SalesInvoices { "postedSalesInvoices" } else { "postedPurchaseInvoices" }
    }

    pub(crate) fn is_purchase(self) -> bool {
        matches!(self, Self::PurchaseInvoices | Self::PurchaseOrders)
    }

    pub(crate) fn is_order(self) -> bool {
        matches!(self, Self::PurchaseOrders | Self::SalesOrders)
    }

    pub(crate) fn is_invoice(self) -> bool {
        matches!(self, Self::PurchaseInvoices | Self::SalesInvoices)
    }

    /// The invoices that an order becomes.
    pub(crate) fn invoices(self) -> Self {
        if self == Self::PurchaseOrders { Self::PurchaseInvoices } else { Self::SalesInvoices }
    }

    /// A row of which only id and stamp were asked for.
    pub(crate) fn bare(self, from: &Object<'_>) -> Result<Record> {
        let mut record = Record::new(self.kind(), from.id("id")?, Status::Other("unread".into()));
        record.modified_at = super::stamp(from);
        Ok(record)
    }
}
