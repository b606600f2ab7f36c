//! Lists of what has changed, by row versions: `sync/…`.

use super::{
    ACCOUNTS, BANK_ENTRIES, CASH_ENTRIES, COST_TRANSACTIONS, GL_ACCOUNTS, JOURNAL_ENTRIES, PAYMENTS,
    PURCHASE_ENTRIES, PURCHASE_ORDERS, RECEIVABLES, Resource, SALES_ENTRIES, SALES_INVOICES,
};

/// A list of what has changed. Only `Timestamp` may be filtered in it, which is a row version: a checkpoint, and no order.
#[derive(Debug)]
pub(crate) struct Sync {
    /// The name of the feed.
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) operation: &'static str,
    /// What `SyncTimestamp` calls it, where that knows it.
    pub(crate) endpoint: Option<&'static str>,
    /// What is asked for besides what a row needs to be told of.
    pub(crate) select: &'static str,
    /// The member that names the document.
    pub(crate) document: &'static str,
    /// What its rows belong to.
    pub(crate) resources: &'static [&'static Resource],
    /// What its rows mean.
    pub(crate) rows: FeedRows,
}

/// What the rows of a list mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeedRows {
    /// Headers and lines of documents of one kind.
    Documents,
    /// Lines of all journals.
    Ledger,
    /// Payment terms, with all that is to be known of them.
    Terms,
    /// Rows that were deleted.
    Deleted,
}

pub(crate) static FEEDS: [&Sync; 6] = [
    &Sync {
        name: "sales_invoices",
        path: "sync/SalesInvoice/SalesInvoices",
        operation: "exact_online.sync_sales_invoices",
        endpoint: Some("SalesInvoices"),
        select: "ID,InvoiceID,LineNumber,Status,Modified,Division",
        document: "InvoiceID",
        resources: &[&SALES_INVOICES],
        rows: FeedRows::Documents,
    },
    &Sync {
        name: "purchase_orders",
        path: "sync/PurchaseOrder/PurchaseOrders",
        operation: "exact_online.sync_purchase_orders",
        endpoint: Some("PurchaseOrders"),
        select: "ID,PurchaseOrderID,LineNumber,OrderStatus,Modified,Division",
        document: "PurchaseOrderID",
        resources: &[&PURCHASE_ORDERS],
        rows: FeedRows::Documents,
    },
    &Sync {
        name: "transaction_lines",
        path: "sync/Financial/TransactionLines",
        operation: "exact_online.sync_transaction_lines",
        endpoint: Some("TransactionLines"),
        select: "ID,EntryID,LineNumber,Type,JournalCode,Modified,Division",
        document: "EntryID",
        resources: &[&SALES_ENTRIES, &PURCHASE_ENTRIES, &JOURNAL_ENTRIES, &BANK_ENTRIES, &CASH_ENTRIES],
        rows: FeedRows::Ledger,
    },
    &Sync {
        name: "payment_terms",
        path: "sync/Cashflow/PaymentTerms",
        operation: "exact_online.sync_payment_terms",
        endpoint: None,
        select: super::TERM_FEED,
        document: "ID",
        resources: &[&PAYMENTS, &RECEIVABLES],
        rows: FeedRows::Terms,
    },
    &Sync {
        name: "cost_transactions",
        path: "sync/Project/TimeCostTransactions",
        operation: "exact_online.sync_cost_transactions",
        endpoint: Some("TimeCostTransactions"),
        select: "ID,Type,HourStatus,Modified,Division",
        document: "ID",
        resources: &[&COST_TRANSACTIONS],
        rows: FeedRows::Documents,
    },
    &Sync {
        name: "deleted",
        path: "sync/Deleted",
        operation: "exact_online.sync_deleted",
        endpoint: None,
        select: "ID,EntityKey,EntityType,DeletedDate,Division",
        document: "EntityKey",
        resources: &[&SALES_INVOICES, &PURCHASE_ORDERS, &COST_TRANSACTIONS, &ACCOUNTS, &GL_ACCOUNTS],
        rows: FeedRows::Deleted,
    },
];

/// The kind of entry that a line of the ledger belongs to, by its type of transaction. Of 40 nobody can tell whether the
/// journal is a bank's or a cash box's: the bank's is looked at first.
pub(crate) fn of_ledger(kind: i64) -> Option<&'static Resource> {
    match kind {
        20 | 21 => Some(&SALES_ENTRIES),
        30 | 31 => Some(&PURCHASE_ENTRIES),
        40 => Some(&BANK_ENTRIES),
        10 | 90 => Some(&JOURNAL_ENTRIES),
        _ => None,
    }
}

/// What was deleted, by its type of entity. Of lines nobody can tell whose they were.
pub(crate) fn of_deleted(kind: i64) -> Option<&'static Resource> {
    match kind {
        2 => Some(&ACCOUNTS),
        7 => Some(&GL_ACCOUNTS),
        13 => Some(&SALES_INVOICES),
        14 => Some(&COST_TRANSACTIONS),
        22 => Some(&PURCHASE_ORDERS),
        _ => None,
    }
}
