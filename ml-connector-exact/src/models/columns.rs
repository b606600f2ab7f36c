//! What Exact Online's records look like as tables: what is asked for is a column.
//!
//! Names are Exact Online's own, in lower case with underscores. Amounts have four digits behind the point, because Exact
//! Online computes with binary fractions: what comes later is rounded. Dates and times are texts, as Exact Online writes
//! them: `/Date(milliseconds)/` on Dutch clocks.

use std::sync::Arc;

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::Resource;

/// The scale of all numbers.
const SCALE: u8 = 4;
/// What moves on without a change of the record, and when it is read.
const NEXT_CHANGE: &str = "the next change of the record";

/// The tables of these kinds.
pub(crate) fn columns(resources: &[&'static Resource]) -> Vec<Arc<Columns>> {
    resources.iter().map(|resource| Arc::new(of(resource))).collect()
}

fn of(resource: &'static Resource) -> Columns {
    let table = Columns::new(RecordKind::from(resource.kind), resource.feed, title(resource.path));
    let column = |name: &&str| Some(refreshed(resource, member(name)?.column(resource)));
    let table = table.with_all(resource.select.iter().filter_map(column));
    match resource.lines.and_then(|lines| rows(lines.navigation)) {
        Some(rows) => table.whole_with(rows).with(lines(rows)),
        None => table,
    }
}

/// What a kind of record is called.
fn title(path: &str) -> &'static str {
    match path {
        "salesinvoice/SalesInvoices" => "Sales invoices",
        "salesentry/SalesEntries" => "Sales entries",
        "purchaseentry/PurchaseEntries" => "Purchase entries: the invoices of suppliers",
        "purchaseorder/PurchaseOrders" => "Orders to suppliers",
        "generaljournalentry/GeneralJournalEntries" => "General journal entries",
        "financialtransaction/BankEntries" => "Bank entries",
        "financialtransaction/CashEntries" => "Cash entries",
        "cashflow/Payments" => "What was paid to suppliers, by payment terms",
        "cashflow/Receivables" => "What customers paid, by payment terms",
        "project/CostTransactions" => "Cost transactions of projects",
        "crm/Accounts" => "Customers and suppliers",
        "financial/GLAccounts" => "The chart of accounts",
        "hrm/Costcenters" => "Cost centres",
        "hrm/Costunits" => "Cost units",
        _ => "",
    }
}

/// Where the lines are in an expanded document.
fn rows(navigation: &str) -> Option<&'static str> {
    let all = [
        "/SalesInvoiceLines/results",
        "/SalesEntryLines/results",
        "/PurchaseEntryLines/results",
        "/PurchaseOrderLines/results",
        "/GeneralJournalEntryLines/results",
        "/BankEntryLines/results",
        "/CashEntryLines/results",
    ];
    all.into_iter().find(|rows| rows.split('/').nth(1) == Some(navigation))
}

/// A change of what means nothing is no event.
fn refreshed(resource: &Resource, column: Column) -> Column {
    let member = column.pointer.trim_start_matches('/');
    if member == resource.key {
        return column.required();
    }
    if resource.meaningful.contains(&member) { column } else { column.refreshed_by(NEXT_CHANGE) }
}

/// Lines of all documents have the same columns.
fn lines(pointer: &'static str) -> Column {
    let column = |name: &&str| Some(member(name)?.plain());
    Column::list("lines", pointer, LINES.iter().filter_map(column)).in_detail()
}

const LINES: [&str; 25] = [
    "ID",
    "LineNumber",
    "Description",
    "Account",
    "AccountName",
    "Item",
    "ItemCode",
    "ItemDescription",
    "Quantity",
    "UnitCode",
    "NetPrice",
    "UnitPrice",
    "AmountFC",
    "AmountDC",
    "VATAmountFC",
    "VATCode",
    "GLAccount",
    "GLAccountCode",
    "GLAccountDescription",
    "CostCenter",
    "CostCenterDescription",
    "CostUnit",
    "CostUnitDescription",
    "Project",
    "ProjectDescription",
];

/// A member of a record and its column.
struct Member {
    pointer: &'static str,
    column: &'static str,
    form: Form,
}

/// How Exact Online writes a value.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    Integer,
    Boolean,
    Day,
    Instant,
}

impl Member {
    fn column(&self, resource: &Resource) -> Column {
        match self.pointer {
            // Of accounts both are letters.
            "/Status" | "/Type" if resource.path == "crm/Accounts" => {
                Column::string(self.column, self.pointer)
            }
            _ => self.plain(),
        }
    }

    fn plain(&self) -> Column {
        let Self { pointer, column, form } = *self;
        match form {
            Form::Text => Column::string(column, pointer),
            Form::Number => Column::decimal(column, pointer, SCALE).rounded(),
            Form::Integer => Column::big_int(column, pointer),
            Form::Boolean => Column::boolean(column, pointer),
            Form::Day => Column::string(column, pointer).commented("Midnight of the day"),
            Form::Instant => Column::string(column, pointer).commented("Wall time of Amsterdam"),
        }
    }
}

fn member(name: &str) -> Option<&'static Member> {
    MEMBERS.iter().find(|member| member.pointer.strip_prefix('/') == Some(name))
}

macro_rules! members {
    ($($form:ident $name:literal $column:literal,)*) => {
        [$(Member { pointer: concat!("/", $name), column: $column, form: Form::$form },)*]
    };
}

static MEMBERS: [Member; 109] = members![
    Text "InvoiceID" "invoice_id",
    Text "InvoiceNumber" "invoice_number",
    Text "OrderNumber" "order_number",
    Text "Description" "description",
    Text "YourRef" "your_ref",
    Text "PaymentReference" "payment_reference",
    Text "Remarks" "remarks",
    Text "OrderedBy" "ordered_by",
    Text "OrderedByName" "ordered_by_name",
    Text "InvoiceTo" "invoice_to",
    Text "InvoiceToName" "invoice_to_name",
    Text "Currency" "currency",
    Text "PaymentCondition" "payment_condition",
    Text "Journal" "journal",
    Text "JournalDescription" "journal_description",
    Text "Document" "document",
    Text "EntryID" "entry_id",
    Text "EntryNumber" "entry_number",
    Text "Customer" "customer",
    Text "CustomerName" "customer_name",
    Text "Supplier" "supplier",
    Text "SupplierName" "supplier_name",
    Text "PurchaseOrderID" "purchase_order_id",
    Text "Approver" "approver",
    Text "ApproverFullName" "approver_full_name",
    Text "PurchaseAgent" "purchase_agent",
    Text "PurchaseAgentFullName" "purchase_agent_full_name",
    Text "JournalCode" "journal_code",
    Text "ID" "id",
    Text "Account" "account",
    Text "AccountName" "account_name",
    Text "PaymentMethod" "payment_method",
    Text "TransactionEntryID" "transaction_entry_id",
    Text "Notes" "notes",
    Text "Item" "item",
    Text "ItemDescription" "item_description",
    Text "Project" "project",
    Text "ProjectDescription" "project_description",
    Text "Employee" "employee",
    Text "Expense" "expense",
    Text "ExpenseDescription" "expense_description",
    Text "Code" "code",
    Text "Name" "name",
    Text "AddressLine1" "address_line1",
    Text "AddressLine2" "address_line2",
    Text "Postcode" "postcode",
    Text "City" "city",
    Text "State" "state",
    Text "Country" "country",
    Text "Email" "email",
    Text "Phone" "phone",
    Text "VATNumber" "vat_number",
    Text "ChamberOfCommerce" "chamber_of_commerce",
    Text "TypeDescription" "type_description",
    Text "BalanceSide" "balance_side",
    Text "BalanceType" "balance_type",
    Text "ItemCode" "item_code",
    Text "UnitCode" "unit_code",
    Text "VATCode" "vat_code",
    Text "GLAccount" "gl_account",
    Text "GLAccountCode" "gl_account_code",
    Text "GLAccountDescription" "gl_account_description",
    Text "CostCenter" "cost_center",
    Text "CostCenterDescription" "cost_center_description",
    Text "CostUnit" "cost_unit",
    Text "CostUnitDescription" "cost_unit_description",
    Number "AmountFC" "amount_fc",
    Number "AmountDC" "amount_dc",
    Number "AmountFCExclVat" "amount_fc_excl_vat",
    Number "VATAmountFC" "vat_amount_fc",
    Number "AmountDiscount" "amount_discount",
    Number "Rate" "rate",
    Number "ExchangeRate" "exchange_rate",
    Number "VATAmount" "vat_amount",
    Number "OpeningBalanceFC" "opening_balance_fc",
    Number "ClosingBalanceFC" "closing_balance_fc",
    Number "Quantity" "quantity",
    Number "PriceFC" "price_fc",
    Number "NetPrice" "net_price",
    Number "UnitPrice" "unit_price",
    Integer "Type" "type",
    Integer "Status" "status",
    Integer "Division" "division",
    Integer "OrderStatus" "order_status",
    Integer "ReceiptStatus" "receipt_status",
    Integer "InvoiceStatus" "invoice_status",
    Integer "ApprovalStatus" "approval_status",
    Integer "FinancialYear" "financial_year",
    Integer "FinancialPeriod" "financial_period",
    Integer "TransactionType" "transaction_type",
    Integer "HourStatus" "hour_status",
    Integer "UseCostcenter" "use_costcenter",
    Integer "UseCostunit" "use_costunit",
    Integer "LineNumber" "line_number",
    Boolean "Reversal" "reversal",
    Boolean "Blocked" "blocked",
    Boolean "IsSupplier" "is_supplier",
    Boolean "IsSales" "is_sales",
    Boolean "IsBlocked" "is_blocked",
    Boolean "Active" "active",
    Day "InvoiceDate" "invoice_date",
    Day "DueDate" "due_date",
    Day "OrderDate" "order_date",
    Day "EntryDate" "entry_date",
    Day "ReceiptDate" "receipt_date",
    Day "EndDate" "end_date",
    Day "Date" "date",
    Instant "Created" "created",
    Instant "Modified" "modified",
];
