//! What Exact Online's records look like as tables.
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
    resources.iter().filter_map(|resource| of(resource)).map(Arc::new).collect()
}

fn of(resource: &'static Resource) -> Option<Columns> {
    let text = |name, pointer| refreshed(resource, Column::string(name, pointer));
    let number = |name, pointer| refreshed(resource, Column::decimal(name, pointer, SCALE).rounded());
    let integer = |name, pointer| refreshed(resource, Column::big_int(name, pointer));
    let boolean = |name, pointer| refreshed(resource, Column::boolean(name, pointer));
    let day = |name, pointer| text(name, pointer).commented("Midnight of the day");
    let instant = |name, pointer| text(name, pointer).commented("Wall time of Amsterdam");
    let named = |comment| Columns::new(RecordKind::from(resource.kind), resource.feed, comment);
    Some(match resource.path {
        "salesinvoice/SalesInvoices" => named("Sales invoices")
            .with_all([
                text("invoice_id", "/InvoiceID"),
                text("invoice_number", "/InvoiceNumber"),
                text("order_number", "/OrderNumber"),
                integer("type", "/Type"),
                integer("status", "/Status"),
                text("description", "/Description"),
                text("your_ref", "/YourRef"),
                text("payment_reference", "/PaymentReference"),
                text("remarks", "/Remarks"),
                text("ordered_by", "/OrderedBy"),
                text("ordered_by_name", "/OrderedByName"),
                text("invoice_to", "/InvoiceTo"),
                text("invoice_to_name", "/InvoiceToName"),
                day("invoice_date", "/InvoiceDate"),
                day("due_date", "/DueDate"),
                day("order_date", "/OrderDate"),
                text("currency", "/Currency"),
                number("amount_fc", "/AmountFC"),
                number("amount_dc", "/AmountDC"),
                number("amount_fc_excl_vat", "/AmountFCExclVat"),
                number("vat_amount_fc", "/VATAmountFC"),
                number("amount_discount", "/AmountDiscount"),
                text("payment_condition", "/PaymentCondition"),
                text("journal", "/Journal"),
                text("journal_description", "/JournalDescription"),
                text("document", "/Document"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/SalesInvoiceLines/results")
            .with(lines("/SalesInvoiceLines/results")),
        "salesentry/SalesEntries" => named("Sales entries")
            .with_all([
                text("entry_id", "/EntryID"),
                text("entry_number", "/EntryNumber"),
                text("invoice_number", "/InvoiceNumber"),
                integer("type", "/Type"),
                integer("status", "/Status"),
                text("description", "/Description"),
                text("your_ref", "/YourRef"),
                text("payment_reference", "/PaymentReference"),
                text("customer", "/Customer"),
                text("customer_name", "/CustomerName"),
                day("entry_date", "/EntryDate"),
                day("due_date", "/DueDate"),
                text("currency", "/Currency"),
                number("rate", "/Rate"),
                number("amount_fc", "/AmountFC"),
                number("amount_dc", "/AmountDC"),
                number("vat_amount_fc", "/VATAmountFC"),
                text("payment_condition", "/PaymentCondition"),
                text("journal", "/Journal"),
                text("journal_description", "/JournalDescription"),
                boolean("reversal", "/Reversal"),
                text("document", "/Document"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/SalesEntryLines/results")
            .with(lines("/SalesEntryLines/results")),
        "purchaseentry/PurchaseEntries" => named("Purchase entries: the invoices of suppliers")
            .with_all([
                text("entry_id", "/EntryID"),
                text("entry_number", "/EntryNumber"),
                integer("type", "/Type"),
                integer("status", "/Status"),
                text("description", "/Description"),
                text("your_ref", "/YourRef"),
                text("payment_reference", "/PaymentReference"),
                text("supplier", "/Supplier"),
                text("supplier_name", "/SupplierName"),
                day("entry_date", "/EntryDate"),
                day("due_date", "/DueDate"),
                text("currency", "/Currency"),
                number("rate", "/Rate"),
                number("amount_fc", "/AmountFC"),
                number("amount_dc", "/AmountDC"),
                number("vat_amount_fc", "/VATAmountFC"),
                text("payment_condition", "/PaymentCondition"),
                text("journal", "/Journal"),
                text("journal_description", "/JournalDescription"),
                boolean("reversal", "/Reversal"),
                text("document", "/Document"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/PurchaseEntryLines/results")
            .with(lines("/PurchaseEntryLines/results")),
        "purchaseorder/PurchaseOrders" => named("Orders to suppliers")
            .with_all([
                text("purchase_order_id", "/PurchaseOrderID"),
                text("order_number", "/OrderNumber"),
                integer("order_status", "/OrderStatus"),
                integer("receipt_status", "/ReceiptStatus"),
                integer("invoice_status", "/InvoiceStatus"),
                integer("approval_status", "/ApprovalStatus"),
                text("approver", "/Approver"),
                text("approver_full_name", "/ApproverFullName"),
                text("description", "/Description"),
                text("your_ref", "/YourRef"),
                text("remarks", "/Remarks"),
                text("supplier", "/Supplier"),
                text("supplier_name", "/SupplierName"),
                day("order_date", "/OrderDate"),
                day("receipt_date", "/ReceiptDate"),
                text("currency", "/Currency"),
                number("exchange_rate", "/ExchangeRate"),
                number("amount_fc", "/AmountFC"),
                number("amount_dc", "/AmountDC"),
                number("vat_amount", "/VATAmount"),
                text("payment_condition", "/PaymentCondition"),
                text("document", "/Document"),
                text("purchase_agent", "/PurchaseAgent"),
                text("purchase_agent_full_name", "/PurchaseAgentFullName"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/PurchaseOrderLines/results")
            .with(lines("/PurchaseOrderLines/results")),
        "generaljournalentry/GeneralJournalEntries" => named("General journal entries")
            .with_all([
                text("entry_id", "/EntryID"),
                text("entry_number", "/EntryNumber"),
                integer("type", "/Type"),
                integer("status", "/Status"),
                text("currency", "/Currency"),
                number("exchange_rate", "/ExchangeRate"),
                integer("financial_year", "/FinancialYear"),
                integer("financial_period", "/FinancialPeriod"),
                text("journal_code", "/JournalCode"),
                text("journal_description", "/JournalDescription"),
                boolean("reversal", "/Reversal"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/GeneralJournalEntryLines/results")
            .with(lines("/GeneralJournalEntryLines/results")),
        "financialtransaction/BankEntries" => named("Bank entries")
            .with_all([
                text("entry_id", "/EntryID"),
                text("entry_number", "/EntryNumber"),
                integer("status", "/Status"),
                text("currency", "/Currency"),
                number("opening_balance_fc", "/OpeningBalanceFC"),
                number("closing_balance_fc", "/ClosingBalanceFC"),
                integer("financial_year", "/FinancialYear"),
                integer("financial_period", "/FinancialPeriod"),
                text("journal_code", "/JournalCode"),
                text("journal_description", "/JournalDescription"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/BankEntryLines/results")
            .with(lines("/BankEntryLines/results")),
        "financialtransaction/CashEntries" => named("Cash entries")
            .with_all([
                text("entry_id", "/EntryID"),
                text("entry_number", "/EntryNumber"),
                integer("status", "/Status"),
                text("currency", "/Currency"),
                number("opening_balance_fc", "/OpeningBalanceFC"),
                number("closing_balance_fc", "/ClosingBalanceFC"),
                integer("financial_year", "/FinancialYear"),
                integer("financial_period", "/FinancialPeriod"),
                text("journal_code", "/JournalCode"),
                text("journal_description", "/JournalDescription"),
                instant("created", "/Created"),
                instant("modified", "/Modified"),
                integer("division", "/Division"),
            ])
            .whole_with("/CashEntryLines/results")
            .with(lines("/CashEntryLines/results")),
        "cashflow/Payments" => named("What was paid to suppliers, by payment terms").with_all([
            text("id", "/ID"),
            integer("status", "/Status"),
            integer("transaction_type", "/TransactionType"),
            text("journal", "/Journal"),
            text("invoice_number", "/InvoiceNumber"),
            text("description", "/Description"),
            text("your_ref", "/YourRef"),
            text("account", "/Account"),
            text("account_name", "/AccountName"),
            number("amount_fc", "/AmountFC"),
            number("amount_dc", "/AmountDC"),
            text("currency", "/Currency"),
            day("due_date", "/DueDate"),
            day("end_date", "/EndDate"),
            text("payment_method", "/PaymentMethod"),
            text("transaction_entry_id", "/TransactionEntryID"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "cashflow/Receivables" => named("What customers paid, by payment terms").with_all([
            text("id", "/ID"),
            integer("status", "/Status"),
            integer("transaction_type", "/TransactionType"),
            text("journal", "/Journal"),
            text("invoice_number", "/InvoiceNumber"),
            text("description", "/Description"),
            text("your_ref", "/YourRef"),
            text("account", "/Account"),
            text("account_name", "/AccountName"),
            number("amount_fc", "/AmountFC"),
            number("amount_dc", "/AmountDC"),
            text("currency", "/Currency"),
            day("due_date", "/DueDate"),
            day("end_date", "/EndDate"),
            text("payment_method", "/PaymentMethod"),
            text("transaction_entry_id", "/TransactionEntryID"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "project/CostTransactions" => named("Cost transactions of projects").with_all([
            text("id", "/ID"),
            text("entry_number", "/EntryNumber"),
            integer("type", "/Type"),
            integer("hour_status", "/HourStatus"),
            text("notes", "/Notes"),
            text("account", "/Account"),
            text("account_name", "/AccountName"),
            day("date", "/Date"),
            text("currency", "/Currency"),
            number("amount_fc", "/AmountFC"),
            number("quantity", "/Quantity"),
            number("price_fc", "/PriceFC"),
            text("item", "/Item"),
            text("item_description", "/ItemDescription"),
            text("project", "/Project"),
            text("project_description", "/ProjectDescription"),
            text("employee", "/Employee"),
            text("expense", "/Expense"),
            text("expense_description", "/ExpenseDescription"),
            instant("created", "/Created"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "crm/Accounts" => named("Customers and suppliers").with_all([
            text("id", "/ID"),
            text("code", "/Code"),
            text("name", "/Name"),
            text("status", "/Status"),
            text("type", "/Type"),
            boolean("blocked", "/Blocked"),
            boolean("is_supplier", "/IsSupplier"),
            boolean("is_sales", "/IsSales"),
            text("address_line1", "/AddressLine1"),
            text("address_line2", "/AddressLine2"),
            text("postcode", "/Postcode"),
            text("city", "/City"),
            text("state", "/State"),
            text("country", "/Country"),
            text("email", "/Email"),
            text("phone", "/Phone"),
            text("vat_number", "/VATNumber"),
            text("chamber_of_commerce", "/ChamberOfCommerce"),
            instant("created", "/Created"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "financial/GLAccounts" => named("The chart of accounts").with_all([
            text("id", "/ID"),
            text("code", "/Code"),
            text("description", "/Description"),
            integer("type", "/Type"),
            text("type_description", "/TypeDescription"),
            text("balance_side", "/BalanceSide"),
            text("balance_type", "/BalanceType"),
            integer("use_costcenter", "/UseCostcenter"),
            integer("use_costunit", "/UseCostunit"),
            boolean("is_blocked", "/IsBlocked"),
            instant("created", "/Created"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "hrm/Costcenters" => named("Cost centres").with_all([
            text("id", "/ID"),
            text("code", "/Code"),
            text("description", "/Description"),
            boolean("active", "/Active"),
            day("end_date", "/EndDate"),
            instant("created", "/Created"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        "hrm/Costunits" => named("Cost units").with_all([
            text("id", "/ID"),
            text("code", "/Code"),
            text("description", "/Description"),
            boolean("active", "/Active"),
            day("end_date", "/EndDate"),
            instant("created", "/Created"),
            instant("modified", "/Modified"),
            integer("division", "/Division"),
        ]),
        _ => return None,
    })
}

/// A change of what means nothing is no event.
fn refreshed(resource: &Resource, column: Column) -> Column {
    let member = column.pointer.trim_start_matches('/');
    if member == resource.key {
        return column.required();
    }
    if resource.meaningful.contains(&member) { column } else { column.refreshed_by(NEXT_CHANGE) }
}

fn lines(pointer: &'static str) -> Column {
    let text = Column::string;
    let number = |name, pointer| Column::decimal(name, pointer, SCALE).rounded();
    let integer = Column::big_int;
    let columns = [
        text("id", "/ID"),
        integer("line_number", "/LineNumber"),
        text("description", "/Description"),
        text("account", "/Account"),
        text("account_name", "/AccountName"),
        text("item", "/Item"),
        text("item_code", "/ItemCode"),
        text("item_description", "/ItemDescription"),
        number("quantity", "/Quantity"),
        text("unit_code", "/UnitCode"),
        number("net_price", "/NetPrice"),
        number("unit_price", "/UnitPrice"),
        number("amount_fc", "/AmountFC"),
        number("amount_dc", "/AmountDC"),
        number("vat_amount_fc", "/VATAmountFC"),
        text("vat_code", "/VATCode"),
        text("gl_account", "/GLAccount"),
        text("gl_account_code", "/GLAccountCode"),
        text("gl_account_description", "/GLAccountDescription"),
        text("cost_center", "/CostCenter"),
        text("cost_center_description", "/CostCenterDescription"),
        text("cost_unit", "/CostUnit"),
        text("cost_unit_description", "/CostUnitDescription"),
        text("project", "/Project"),
        text("project_description", "/ProjectDescription"),
    ];
    Column::list("lines", pointer, columns).in_detail()
}
