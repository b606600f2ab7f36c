//! Which members mean something to people or money, for each kind of record. Nothing else makes a revision. Names of
//! amounts and of other numbers end in `#`: FreshBooks writes them as texts.
//!
//! Not in these lists, on purpose:
//! - status words: the revision has the status in the SDK's vocabulary, so that `sent`, `viewed` and `overdue` are one;
//! - stamps and versions, visits, mails, marks of other programs;
//! - what other records move: balances of clients and vendors, the invoice of a payment, the names in it;
//! - templates, texts made of other members, links.

/// Invoices.
pub(super) const INVOICE: &[&str] = &[
    "invoice_number",
    "po_number",
    "description",
    "notes",
    "terms",
    "create_date",
    "due_date",
    "date_paid",
    "fulfillment_date",
    "customerid",
    "organization",
    "fname",
    "lname",
    "vat_number",
    "street",
    "street2",
    "city",
    "province",
    "code",
    "country",
    "currency_code",
    "amount.amount#",
    "amount.code",
    "outstanding.amount#",
    "paid.amount#",
    "discount_total.amount#",
    "discount_value#",
    "discount_description",
    "deposit_amount.amount#",
    "deposit_percentage#",
    "deposit_status",
    "dispute_status",
    "autobill_status",
    "auto_bill",
    "lines.lineid",
    "lines.type",
    "lines.name",
    "lines.description",
    "lines.qty#",
    "lines.unit_cost.amount#",
    "lines.amount.amount#",
    "lines.taxName1",
    "lines.taxName2",
    "lines.taxAmount1#",
    "lines.taxAmount2#",
    "lines.expenseid",
    "lines.date",
    "lines.modern_project_id",
];

/// Payments received: of the payment alone.
pub(super) const PAYMENT: &[&str] = &[
    "invoiceid",
    "clientid",
    "amount.amount#",
    "amount.code",
    "date",
    "type",
    "note",
    "gateway",
    "transactionid",
    "creditid",
    "overpaymentid",
    "from_credit",
];

/// Bills. What was paid of them are records of their own; here it is the balance.
pub(super) const BILL: &[&str] = &[
    "vendorid",
    "bill_number",
    "issue_date",
    "due_date",
    "currency_code",
    "amount.amount#",
    "tax_amount.amount#",
    "total_amount.amount#",
    "total_amount.code",
    "paid.amount#",
    "outstanding.amount#",
    "overall_category",
    "overall_description",
    "attachment.id",
    "lines.id",
    "lines.description",
    "lines.quantity#",
    "lines.unit_cost.amount#",
    "lines.amount.amount#",
    "lines.total_amount.amount#",
    "lines.categoryid",
    "lines.tax_name1",
    "lines.tax_name2",
    "lines.tax_percent1#",
    "lines.tax_percent2#",
    "lines.tax_amount1.amount#",
    "lines.tax_amount2.amount#",
];

/// What was paid of a bill.
pub(super) const BILL_PAYMENT: &[&str] =
    &["billid", "amount.amount#", "amount.code", "paid_date", "payment_type", "note"];

/// Expenses.
pub(super) const EXPENSE: &[&str] = &[
    "categoryid",
    "staffid",
    "clientid",
    "projectid",
    "modern_projectid",
    "amount.amount#",
    "amount.code",
    "taxName1",
    "taxName2",
    "taxPercent1#",
    "taxPercent2#",
    "taxAmount1.amount#",
    "taxAmount2.amount#",
    "date",
    "vendor",
    "notes",
    "billable",
    "invoiceid",
    "markup_percent#",
    "account_name",
    "bank_name",
    "has_receipt",
    "isduplicate",
    "is_cogs",
];

/// Clients.
pub(super) const CLIENT: &[&str] = &[
    "organization",
    "fname",
    "lname",
    "email",
    "bus_phone",
    "mob_phone",
    "home_phone",
    "fax",
    "p_street",
    "p_street2",
    "p_city",
    "p_province",
    "p_code",
    "p_country",
    "s_street",
    "s_street2",
    "s_city",
    "s_province",
    "s_code",
    "s_country",
    "currency_code",
    "language",
    "note",
    "vat_name",
    "vat_number",
];

/// Bill vendors.
pub(super) const BILL_VENDOR: &[&str] = &[
    "vendor_name",
    "account_number",
    "primary_contact_first_name",
    "primary_contact_last_name",
    "primary_contact_email",
    "phone",
    "website",
    "street",
    "street2",
    "city",
    "province",
    "postal_code",
    "country",
    "currency_code",
    "language",
    "is_1099",
    "note",
    "tax_defaults.tax_id",
    "tax_defaults.enabled",
];

/// Items.
pub(super) const ITEM: &[&str] =
    &["name", "description", "qty#", "unit_cost.amount#", "unit_cost.code", "sku", "tax1", "tax2"];

/// Categories.
pub(super) const CATEGORY: &[&str] = &["category", "parentid", "is_cogs"];

/// Ledger accounts.
pub(super) const LEDGER_ACCOUNT: &[&str] =
    &["name", "number", "description", "type", "sub_type", "system_account_name", "parent_account", "state"];
