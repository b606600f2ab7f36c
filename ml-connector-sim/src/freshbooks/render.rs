//! Records as the API prints them: key sets from recorded answers, values from the books.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use ml_connector_core::{
    Timestamp,
    model::{Date, Decimal},
};
use serde_json::{Value, json};

use super::{
    Kind,
    books::{Books, Record},
    config::Quirks,
    records::{
        AutoBill, Bill, BillPayment, BillVendor, Category, Client, Data, Entry, Expense, ExpenseStatus,
        Invoice, Item, Line, Payment, Stage, Tax,
    },
};
use crate::toolkit::json::Fields;

macro_rules! recorded {
    ($file:literal, $key:literal) => {{
        static TEMPLATE: LazyLock<Fields> = LazyLock::new(|| {
            let file =
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/freshbooks/", $file, ".json"));
            Fields::template(file).within("response").within("result").within($key)
        });
        TEMPLATE.clone()
    }};
}

/// What a record is printed with.
#[derive(Clone, Copy)]
pub(super) struct Printer<'a> {
    pub(super) account: &'a str,
    pub(super) books: &'a Books,
    pub(super) quirks: &'a Quirks,
    /// What `include[]` asks for.
    pub(super) includes: &'a [String],
    /// Whether it is one record by its id, and not a row of a list.
    pub(super) is_detail: bool,
    pub(super) now: Timestamp,
}

impl Printer<'_> {
    pub(super) fn print(&self, record: &Record) -> Fields {
        let mut printed = match &record.data {
            Data::Invoice(invoice) => self.invoice(record, invoice),
            Data::Payment(payment) => self.payment(record, payment),
            Data::Bill(bill) => self.bill(record, bill),
            Data::BillPayment(payment) => bill_payment(record, payment, self.currency_of(payment.bill)),
            Data::BillVendor(vendor) => self.bill_vendor(record, vendor),
            Data::Expense(expense) => self.expense(record, expense),
            Data::Category(category) => self::category(record, category),
            Data::Client(client) => self.client(record, client),
            Data::Item(item) => self.item(record, item),
            Data::Tax(tax) => self.tax(record, tax),
        };
        for (field, value) in &record.distorted {
            match value {
                Some(value) => printed.set(field, value),
                None => printed.remove(field),
            }
        }
        printed
    }

    fn includes(&self, name: &str) -> bool {
        self.includes.iter().any(|included| included == name)
    }

    fn invoice(&self, record: &Record, invoice: &Invoice) -> Fields {
        let mut shown = recorded!("invoice_get", "invoice");
        let line_shown = shown.first_of("lines");
        let date = invoice.date.unwrap_or_else(|| self.books.today(self.now));
        let money = |amount| money(amount, &invoice.currency);
        self.stamp(&mut shown, record, &["id", "invoiceid"]);
        shown.set("accountid", self.account);
        shown.set("created_at", eastern(record.created));
        shown.set("version", version(record));
        shown.set("uuid", format!("7c1f5e0a-2d44-4a0b-9b57-{:012}", record.id));
        shown.set("invoice_number", &invoice.number);
        shown.set("customerid", invoice.client);
        if let Ok((_, client)) = self.books.get::<Client>(invoice.client) {
            shown.set_all(&["organization", "current_organization"], &client.organization);
            shown.set("fname", &client.fname);
            shown.set("lname", &client.lname);
        }
        shown.set("currency_code", &invoice.currency);
        shown.set("notes", &invoice.notes);
        shown.set("description", invoice.lines.first().map_or("", |line| line.description.as_str()));
        shown.set("create_date", date);
        shown.set("due_offset_days", invoice.due_offset_days);
        shown.set("due_date", date.plus_days(invoice.due_offset_days));
        shown.set("fulfillment_date", Some(date).filter(|_| invoice.stage != Stage::Draft));

        let (amount, paid) = (invoice.amount(), self.books.paid_of(record.id));
        shown.set("amount", money(amount));
        shown.set("paid", money(paid));
        shown.set("net_paid_amount", money(paid));
        shown.set("outstanding", money(amount - paid));
        let percent = invoice.discount_percent.normalize().to_string();
        shown.set("discount_value", &percent);
        shown.set("discount_total", money(-invoice.discount()));
        shown.set(
            "discount",
            json!({ "amount": money(invoice.discount()), "rate": percent, "type": "percent" }),
        );
        shown.set("deposit_amount", invoice.deposit.map(money));

        let state = State::of(
            invoice,
            amount,
            paid,
            self.books.today(self.now) > date.plus_days(invoice.due_offset_days),
        );
        shown.set("status", state.status);
        shown.set("v3_status", invoice.v3_status.as_deref().unwrap_or(state.v3_status));
        shown.set("payment_status", state.payment_status);
        shown.set("display_status", display_status(invoice.stage));
        shown.set("deposit_status", state.deposit_status);
        shown.set("dispute_status", &invoice.dispute);
        shown.set("autobill_status", invoice.auto_bill.map(AutoBill::name));
        shown.set("auto_bill", invoice.auto_bill.is_some());
        let last = self.books.payments_of(record.id).filter_map(|payment| payment.date).max();
        shown.set("date_paid", last.filter(|_| state.is_settled));

        match self.includes("lines") {
            false => shown.remove("lines"),
            true => {
                let lines = invoice.lines.iter().zip(1..);
                let lines: Vec<Fields> = lines
                    .map(|(line, nth)| invoice_line(&line_shown, (line, nth), record, invoice))
                    .collect();
                shown.set("lines", lines);
            }
        }
        if self.includes("owner") {
            let owner = json!({
                "userid": 1,
                "email": "marisol@northwindstudio.example",
                "fname": "Marisol",
                "lname": "Okafor",
                "organization": "Northwind Studio Inc.",
            });
            shown.set("owner", owner);
        }
        shown
    }

    fn payment(&self, record: &Record, payment: &Payment) -> Fields {
        let mut shown = recorded!("payment_get", "payment");
        self.stamp(&mut shown, record, &["id", "logid"]);
        shown.set("amount", money(payment.amount, &payment.currency));
        shown.set("clientid", payment.client);
        shown.set("invoiceid", payment.invoice);
        shown.set("date", payment.date);
        shown.set("type", &payment.method);
        shown.set("note", &payment.note);
        shown.set("gateway", &payment.gateway);
        shown.set("from_credit", payment.from_credit);
        shown.set("creditid", payment.credit);
        shown.set("overpaymentid", payment.overpayment);
        let plain = Printer { includes: &[], ..*self };
        let find = |kind, id| self.books.find(kind, id).map(|found| plain.print(found));
        if self.includes("invoice") {
            shown.set("invoice", payment.invoice.and_then(|invoice| find(Kind::Invoice, invoice)));
        }
        if self.includes("client") {
            shown.set("client", find(Kind::Client, payment.client));
        }
        shown
    }

    fn bill(&self, record: &Record, bill: &Bill) -> Fields {
        let mut shown = recorded!("bill_get", "bill");
        let line_shown = shown.first_of("lines");
        let date = bill.issue_date.unwrap_or_else(|| self.books.today(self.now));
        let due = date.plus_days(bill.due_offset_days);
        let money = |amount| money(amount, &bill.currency);
        let (net, tax, paid) = (bill.net(), bill.tax(), self.books.paid_of_bill(record.id));
        let owed = net + tax - paid;
        shown.set("id", record.id);
        shown.set("vendorid", bill.vendor);
        shown.set("bill_number", &bill.number);
        shown.set("issue_date", date);
        shown.set("due_offset_days", bill.due_offset_days);
        shown.set("due_date", due);
        shown.set("currency_code", &bill.currency);
        shown.set("amount", money(net));
        shown.set("tax_amount", money(tax));
        shown.set("total_amount", money(net + tax));
        shown.set("paid", money(paid));
        shown.set("outstanding", money(owed));
        let status = match (owed <= Decimal::ZERO, paid > Decimal::ZERO) {
            (true, true) => "paid",
            (_, true) => "partial",
            _ if self.books.today(self.now) > due => "overdue",
            _ => "unpaid",
        };
        shown.set("status", status);
        let first = bill.lines.first();
        shown.set("overall_category", first.map_or(String::new(), |line| self.category_name(line)));
        shown.set("overall_description", first.map_or("", |line| line.description.as_str()));
        shown.set("created_at", utc(record.created));
        shown.set("updated_at", utc(record.updated));
        shown.set("vis_state", record.vis_state);
        let whole = self.is_detail && !self.quirks.bare_bills;
        match whole || self.includes("lines") {
            false => shown.remove("lines"),
            true => {
                let lines: Vec<Fields> =
                    bill.lines.iter().zip(1..).map(|line| self.bill_line(&line_shown, line, bill)).collect();
                shown.set("lines", lines);
            }
        }
        match !self.quirks.bare_bills || self.includes("bill_payments") {
            false => shown.remove("bill_payments"),
            true => {
                let payments = self.books.payments_of_bill(record.id);
                let payments: Vec<Fields> =
                    payments.map(|(record, payment)| bill_payment(record, payment, &bill.currency)).collect();
                shown.set("bill_payments", payments);
            }
        }
        if self.includes("vendor")
            && let Ok((record, vendor)) = self.books.get::<BillVendor>(bill.vendor)
        {
            shown.set("vendor", self.bill_vendor(record, vendor));
        }
        shown
    }

    fn bill_line(&self, template: &Fields, (line, nth): (&Line, u32), bill: &Bill) -> Fields {
        let mut shown = template.clone();
        let money = |amount| money(amount, &bill.currency);
        let (net, tax) = (line.net(), line.tax_on(line.net()));
        shown.set("id", nth);
        shown.set("list_index", nth);
        shown.set("description", &line.description);
        shown.set("quantity", line.quantity.normalize().to_string());
        shown.set("unit_cost", money(line.unit_cost));
        shown.set("amount", money(net));
        shown.set("total_amount", money(net + tax));
        shown.set("tax_amount1", line.tax.as_ref().map(|_| money(tax)));
        shown.set("tax_name1", line.tax.as_ref().map(|(name, _)| name));
        shown.set("tax_percent1", line.tax.as_ref().map(|(_, percent)| percent.normalize().to_string()));
        shown.set("categoryid", line.category);
        let category = line.category.and_then(|id| self.books.get::<Category>(id).ok());
        match category {
            Some((_, category)) if self.quirks.bill_categories_as_text => {
                shown.set("category", &category.name);
            }
            Some((record, category)) => {
                let mut object = self::category(record, category);
                object.remove("transaction_posted");
                shown.set("category", object);
            }
            None => shown.set("category", Value::Null),
        }
        shown
    }

    fn bill_vendor(&self, record: &Record, vendor: &BillVendor) -> Fields {
        let mut shown = recorded!("bill_vendor_get", "bill_vendor");
        shown.set("vendorid", record.id);
        shown.set("vendor_name", &vendor.name);
        shown.set("currency_code", &vendor.currency);
        shown.set("note", &vendor.note);
        shown.set("created_at", utc(record.created));
        shown.set("updated_at", utc(record.updated));
        shown.set("vis_state", record.vis_state);
        let today = self.books.today(self.now);
        let owed = |overdue: bool| {
            let bills = self.books.of_kind(Kind::Bill).filter(|bill| bill.vis_state != 1);
            let owed = bills.filter_map(|bill| Some((bill.id, Bill::of(&bill.data)?)));
            let owed = owed.filter(|(_, bill)| bill.vendor == record.id && bill.currency == vendor.currency);
            let owed = owed.filter(|(_, bill)| {
                !overdue || bill.issue_date.is_some_and(|date| today > date.plus_days(bill.due_offset_days))
            });
            let owed: Decimal =
                owed.map(|(id, bill)| bill.net() + bill.tax() - self.books.paid_of_bill(id)).sum();
            match owed.is_zero() {
                true => json!([]),
                false => json!([{ "amount": money(owed, &vendor.currency) }]),
            }
        };
        shown.set("outstanding_balance", owed(false));
        shown.set("overdue_balance", owed(true));
        shown
    }

    fn expense(&self, record: &Record, expense: &Expense) -> Fields {
        let mut shown = recorded!("expense_get", "expense");
        self.stamp(&mut shown, record, &["id", "expenseid"]);
        shown.set("version", version(record));
        shown.set("amount", money(expense.amount, &expense.currency));
        shown.set("billable", expense.status != ExpenseStatus::Internal);
        shown.set("status", expense.status.number());
        shown.set("categoryid", expense.category);
        shown.set("clientid", expense.client.unwrap_or_default());
        shown.set("date", expense.date);
        shown.set("vendor", &expense.vendor);
        shown.set("notes", &expense.notes);
        shown.set("has_receipt", expense.has_receipt);
        shown.set("taxName1", expense.tax.as_ref().map(|(name, _)| name));
        shown.set("taxPercent1", expense.tax.as_ref().map(|(_, percent)| percent.normalize().to_string()));
        shown.set("taxAmount1", expense.tax_amount().map(|tax| money(tax, &expense.currency)));
        if self.includes("category") {
            let category = expense.category.and_then(|id| self.books.get::<Category>(id).ok());
            shown.set("category", category.map(|(record, category)| self::category(record, category)));
        }
        if self.includes("attachment") {
            let attachment = json!({
                "id": record.id,
                "attachmentid": record.id,
                "jwt": "eyJhbGciOiJIUzI1NiJ9.made-up-receipt.not-a-signature",
                "media_type": "image/jpeg",
            });
            shown.set("attachment", Some(attachment).filter(|_| expense.has_receipt));
        }
        shown
    }

    fn client(&self, record: &Record, client: &Client) -> Fields {
        let mut shown = recorded!("client_get", "client");
        self.stamp(&mut shown, record, &["id", "userid"]);
        shown.set("signup_date", utc(record.created));
        shown.set("uuid", format!("b6b7b0c2-7a53-4a3c-8f0c-{:012}", record.id));
        shown.set("organization", &client.organization);
        shown.set("fname", &client.fname);
        shown.set("lname", &client.lname);
        shown.set("username", format!("{}{}", client.fname, client.lname).to_lowercase());
        shown.set("email", &client.email);
        shown.set("currency_code", &client.currency);
        shown.set("note", &client.note);
        if self.quirks.client_tokens {
            shown.set("statement_token", "made-up-statement-token");
            shown.set("direct_link_token", "made-up-direct-link-token");
        }
        if self.includes("outstanding_balance") {
            let invoices = self.books.of_kind(Kind::Invoice).filter(|invoice| invoice.vis_state != 1);
            let owed = invoices.filter_map(|invoice| Some((invoice.id, Invoice::of(&invoice.data)?)));
            let owed = owed.filter(|(_, invoice)| invoice.client == record.id);
            let owed: Decimal = owed.map(|(id, invoice)| invoice.amount() - self.books.paid_of(id)).sum();
            shown.set("outstanding_balance", json!([{ "amount": money(owed, &client.currency) }]));
        }
        shown
    }

    fn item(&self, record: &Record, item: &Item) -> Fields {
        let mut shown = recorded!("item_get", "item");
        self.stamp(&mut shown, record, &["id", "itemid"]);
        shown.set("name", &item.name);
        shown.set("description", &item.description);
        shown.set("unit_cost", money(item.unit_cost, &item.currency));
        shown.set("sku", &item.sku);
        shown.set("tax1", item.tax.unwrap_or_default());
        shown
    }

    fn tax(&self, record: &Record, tax: &Tax) -> Fields {
        let mut shown = recorded!("tax_get", "tax");
        self.stamp(&mut shown, record, &["id", "taxid"]);
        shown.remove("vis_state");
        shown.set("name", &tax.name);
        shown.set("amount", tax.percent.normalize().to_string());
        shown.set("number", &tax.number);
        shown
    }

    /// Ids, account, Eastern `updated` and `vis_state`, which most records have.
    fn stamp(&self, shown: &mut Fields, record: &Record, ids: &[&str]) {
        ids.iter().for_each(|name| shown.set(name, record.id));
        shown.set("accounting_systemid", self.account);
        shown.set("updated", eastern(record.updated));
        shown.set("vis_state", record.vis_state);
    }

    fn category_name(&self, line: &Line) -> String {
        let category = line.category.and_then(|id| self.books.get::<Category>(id).ok());
        category.map(|(_, category)| category.name.clone()).unwrap_or_default()
    }

    fn currency_of(&self, bill: u64) -> &str {
        self.books.get::<Bill>(bill).map_or("USD", |(_, bill)| bill.currency.as_str())
    }
}

/// The words for an invoice's state.
struct State {
    status: u8,
    v3_status: &'static str,
    payment_status: &'static str,
    deposit_status: &'static str,
    is_settled: bool,
}

impl State {
    fn of(invoice: &Invoice, amount: Decimal, paid: Decimal, is_past_due: bool) -> Self {
        let some_paid = paid > Decimal::ZERO;
        let is_settled = some_paid && paid >= amount;
        let by_card = invoice.auto_bill == Some(AutoBill::Success);
        let deposit_status = match invoice.deposit {
            None => "none",
            Some(deposit) if paid >= deposit => "paid",
            Some(_) if some_paid => "partial",
            Some(_) => "unpaid",
        };
        let staged = match invoice.stage {
            Stage::Draft => 1,
            Stage::Sent => 2,
            Stage::Viewed => 3,
        };
        let (status, v3_status) = match (invoice.stage, invoice.dispute.as_deref(), invoice.auto_bill) {
            _ if is_settled && by_card => (5, "autopaid"),
            _ if is_settled => (4, "paid"),
            (Stage::Draft, ..) => (1, "draft"),
            (_, Some("disputed"), _) => (0, "disputed"),
            (_, Some(_), _) => (staged, "resolved"),
            _ if some_paid && deposit_status == "paid" => (staged, "deposit-paid"),
            _ if some_paid && deposit_status == "partial" => (staged, "deposit-partial"),
            // A partly paid invoice keeps its number.
            _ if some_paid => (staged, "partial"),
            (_, _, Some(AutoBill::Retry)) => (6, "retry"),
            (_, _, Some(AutoBill::Failed)) => (7, "failed"),
            _ if is_past_due && amount > paid => (staged, "overdue"),
            (Stage::Viewed, ..) => (3, "viewed"),
            (Stage::Sent, ..) => (2, "sent"),
        };
        let payment_status = match (is_settled, some_paid) {
            (true, _) if by_card => "auto-paid",
            (true, _) => "paid",
            (_, true) => "partial",
            _ => "unpaid",
        };
        Self { status, v3_status, payment_status, deposit_status, is_settled }
    }
}

fn display_status(stage: Stage) -> &'static str {
    match stage {
        Stage::Draft => "draft",
        Stage::Sent => "sent",
        Stage::Viewed => "viewed",
    }
}

fn invoice_line(template: &Fields, (line, nth): (&Line, u32), record: &Record, invoice: &Invoice) -> Fields {
    let mut shown = template.clone();
    shown.set("lineid", nth);
    shown.set("taskno", nth);
    shown.set("invoiceid", record.id);
    shown.set("name", &line.name);
    shown.set("description", &line.description);
    shown.set("qty", line.quantity.normalize().to_string());
    shown.set("unit_cost", money(line.unit_cost, &invoice.currency));
    shown.set("amount", money(line.net(), &invoice.currency));
    // A percentage, whatever its name says.
    let percent = line.tax.as_ref().map_or("0".to_owned(), |(_, percent)| percent.normalize().to_string());
    shown.set("taxAmount1", percent);
    shown.set("taxName1", line.tax.as_ref().map(|(name, _)| name));
    shown.set("taxNumber1", line.tax.as_ref().map(|_| "RT 0001"));
    shown.set("updated", eastern(record.edited));
    shown
}

fn bill_payment(record: &Record, payment: &BillPayment, currency: &str) -> Fields {
    let mut shown = recorded!("bill_payment_get", "bill_payment");
    shown.set("id", record.id);
    shown.set("billid", payment.bill);
    shown.set("amount", money(payment.amount, currency));
    shown.set("paid_date", payment.paid_date);
    shown.set("payment_type", &payment.method);
    shown.set("note", &payment.note);
    shown.set("vis_state", record.vis_state);
    shown
}

fn category(record: &Record, category: &Category) -> Fields {
    let mut shown = recorded!("expense_category_get", "category");
    shown.set("id", record.id);
    shown.set("categoryid", record.id);
    shown.set("category", &category.name);
    shown.set("parentid", category.parent);
    shown.set("created_at", eastern(record.created));
    shown.set("updated_at", eastern(record.updated));
    shown.set("vis_state", record.vis_state);
    shown
}

/// Money as FreshBooks prints it: at least two decimals, more if there are more.
pub(super) fn money(amount: Decimal, currency: &str) -> Value {
    let amount = amount.normalize();
    let text = if amount.scale() < 2 { format!("{amount:.2}") } else { amount.to_string() };
    json!({ "amount": text, "code": currency })
}

/// An instant as most records show it: the time of New York, without saying so.
pub(super) fn eastern(at: Timestamp) -> String {
    local(at, &EASTERN, "%Y-%m-%d %H:%M:%S")
}

/// An instant as bills show it: the same form, but UTC.
pub(super) fn utc(at: Timestamp) -> String {
    local(at, &TimeZone::UTC, "%Y-%m-%d %H:%M:%S")
}

/// The calendar date of New York.
pub(super) fn eastern_date(at: Timestamp) -> Option<Date> {
    Date::parse(&local(at, &EASTERN, "%Y-%m-%d")).ok()
}

/// With a part of a second that is another one after every change.
fn version(record: &Record) -> String {
    let millis = record.updated.as_millis().rem_euclid(1000);
    format!("{}.{millis:03}{:03}", eastern(record.updated), record.revision % 1000)
}

// The database is part of the program; it knows New York.
static EASTERN: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::get("America/New_York").unwrap_or(TimeZone::UTC));

fn local(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    instant.to_zoned(zone.clone()).strftime(format).to_string()
}
