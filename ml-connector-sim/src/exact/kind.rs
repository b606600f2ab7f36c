//! The resources and what belongs to each: path, key, lines, topic, scope.

/// A resource that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the vendor's own names
pub enum Kind {
    SalesInvoices,
    SalesEntries,
    PurchaseEntries,
    PurchaseOrders,
    GeneralJournalEntries,
    BankEntries,
    CashEntries,
    /// Terms to be paid.
    Payments,
    /// Terms to be received.
    Receivables,
    CostTransactions,
    Accounts,
    GLAccounts,
    Costcenters,
    Costunits,
    Documents,
    DocumentAttachments,
    Journals,
}

/// What belongs to a kind.
pub(super) struct Shape {
    /// `service/Resource`.
    pub(super) path: &'static str,
    pub(super) key: &'static str,
    /// The navigation property of the lines, and the path of their resource.
    pub(super) lines: Option<(&'static str, &'static str)>,
    pub(super) topic: Option<&'static str>,
    /// `EntityType` in `sync/Deleted`.
    pub(super) entity: Option<u32>,
    /// The area that the app needs, as the refusal names it.
    pub(super) scope: &'static str,
    pub(super) type_name: &'static str,
    pub(super) line_type: &'static str,
}

const fn shape(path: &'static str, key: &'static str, scope: &'static str, type_name: &'static str) -> Shape {
    Shape { path, key, lines: None, topic: None, entity: None, scope, type_name, line_type: "" }
}

impl Shape {
    const fn lines(mut self, nav: &'static str, path: &'static str, line_type: &'static str) -> Self {
        self.lines = Some((nav, path));
        self.line_type = line_type;
        self
    }

    const fn topic(mut self, topic: &'static str) -> Self {
        self.topic = Some(topic);
        self
    }

    const fn entity(mut self, entity: u32) -> Self {
        self.entity = Some(entity);
        self
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::SalesInvoices,
        Self::SalesEntries,
        Self::PurchaseEntries,
        Self::PurchaseOrders,
        Self::GeneralJournalEntries,
        Self::BankEntries,
        Self::CashEntries,
        Self::Payments,
        Self::Receivables,
        Self::CostTransactions,
        Self::Accounts,
        Self::GLAccounts,
        Self::Costcenters,
        Self::Costunits,
        Self::Documents,
        Self::DocumentAttachments,
        Self::Journals,
    ];

    /// `service/Resource`, as in paths and in `UserHasRights`.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.shape().path
    }

    /// The resource's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// The kind with this resource's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Whether its records are journal entries, whose lines are ledger lines too.
    pub(super) fn is_entry(self) -> bool {
        matches!(
            self,
            Self::SalesEntries
                | Self::PurchaseEntries
                | Self::GeneralJournalEntries
                | Self::BankEntries
                | Self::CashEntries
        )
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Self::SalesInvoices => {
                shape("salesinvoice/SalesInvoices", "InvoiceID", "sales.invoices", "SalesInvoice")
                    .lines("SalesInvoiceLines", "salesinvoice/SalesInvoiceLines", "SalesInvoiceLine")
                    .topic("SalesInvoices")
                    .entity(13)
            }
            Self::SalesEntries => {
                shape("salesentry/SalesEntries", "EntryID", "financial.accounting", "SalesEntry")
                    .lines("SalesEntryLines", "salesentry/SalesEntryLines", "SalesEntryLine")
                    .topic("SalesEntries")
            }
            Self::PurchaseEntries => {
                shape("purchaseentry/PurchaseEntries", "EntryID", "financial.accounting", "PurchaseEntry")
                    .lines("PurchaseEntryLines", "purchaseentry/PurchaseEntryLines", "PurchaseEntryLine")
                    .topic("PurchaseEntries")
            }
            Self::PurchaseOrders => {
                shape("purchaseorder/PurchaseOrders", "PurchaseOrderID", "purchase.orders", "PurchaseOrder")
                    .lines("PurchaseOrderLines", "purchaseorder/PurchaseOrderLines", "PurchaseOrderLine")
                    .topic("PurchaseOrders")
                    .entity(22)
            }
            Self::GeneralJournalEntries => shape(
                "generaljournalentry/GeneralJournalEntries",
                "EntryID",
                "financial.accounting",
                "GeneralJournalEntry",
            )
            .lines(
                "GeneralJournalEntryLines",
                "generaljournalentry/GeneralJournalEntryLines",
                "GeneralJournalEntryLine",
            )
            .topic("GeneralJournalEntries"),
            Self::BankEntries => shape(
                "financialtransaction/BankEntries",
                "EntryID",
                "financial.accounting",
                "Financial.BankEntry",
            )
            .lines("BankEntryLines", "financialtransaction/BankEntryLines", "BankEntryLine")
            .topic("BankEntries"),
            Self::CashEntries => shape(
                "financialtransaction/CashEntries",
                "EntryID",
                "financial.accounting",
                "Financial.CashEntry",
            )
            .lines("CashEntryLines", "financialtransaction/CashEntryLines", "CashEntryLine")
            .topic("CashEntries"),
            Self::Payments => {
                shape("cashflow/Payments", "ID", "financial.cashflow", "Cashflow.Payment").entity(10)
            }
            Self::Receivables => {
                shape("cashflow/Receivables", "ID", "financial.receivables", "Cashflow.Receivable").entity(10)
            }
            Self::CostTransactions => {
                shape("project/CostTransactions", "ID", "projects.projects", "CostTransaction")
                    .topic("CostTransactions")
                    .entity(14)
            }
            Self::Accounts => {
                shape("crm/Accounts", "ID", "crm.accounts", "CRM.Account").topic("Accounts").entity(2)
            }
            Self::GLAccounts => {
                shape("financial/GLAccounts", "ID", "financial.generalledgers", "Financial.GLAccount")
                    .topic("GLAccounts")
                    .entity(7)
            }
            Self::Costcenters => shape("hrm/Costcenters", "ID", "financial.costcenters", "HRM.Costcenter"),
            Self::Costunits => shape("hrm/Costunits", "ID", "financial.costcenters", "HRM.Costunit"),
            Self::Documents => shape("documents/Documents", "ID", "organization.documents", "Document")
                .topic("Documents")
                .entity(6),
            Self::DocumentAttachments => {
                shape("documents/DocumentAttachments", "ID", "organization.documents", "DocumentAttachment")
                    .topic("DocumentAttachments")
                    .entity(4)
            }
            Self::Journals => {
                shape("financial/Journals", "ID", "financial.generalledgers", "Financial.Journal")
            }
        }
    }
}

/// Whether one may subscribe to it; the umbrella topic is older and may be gone.
pub(super) fn is_topic(topic: &str, umbrella: bool) -> bool {
    const OTHERS: [&str; 11] = [
        "TimeTransactions",
        "Contacts",
        "BankAccounts",
        "Opportunities",
        "Quotations",
        "Items",
        "StockPositions",
        "GoodsDeliveries",
        "SalesOrders",
        "Subscriptions",
        "ProjectPlanning",
    ];
    Kind::ALL.iter().any(|kind| kind.shape().topic == Some(topic))
        || OTHERS.contains(&topic)
        || umbrella && topic == "FinancialTransactions"
}
