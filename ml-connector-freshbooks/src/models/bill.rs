//! Bills and what was paid of them: `GET bills/bills`, `GET bill_payments/bill_payments`. Both need the feature Accounts
//! Payable. Bills that were entered under Bill Pay are kept elsewhere, and no API shows them.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Allocation, CodeName, Currency, EntityRef, Line, Party, Record, RecordKind, Status},
};

use super::{Changes, Resource, Shape, Site, meaningful, status, value};

/// A bill of a vendor.
pub(crate) struct Bill;

impl Resource for Bill {
    const KIND: &'static str = "bill";
    const GET: &'static str = "freshbooks.get_bill";
    const LIST: &'static str = "freshbooks.list_bills";
    const PATH: &'static str = "bills/bills";
    const DETAIL_KEY: &'static str = "bill";
    const LIST_KEY: &'static str = "bills";
    const SCOPE: &'static str = "user:bills:read";
    const NOUN: Option<&'static str> = Some("bill");
    const INCLUDES: &'static [&'static str] = &["lines", "bill_payments", "vendor"];
    const CHANGES: Changes = Changes::Whole;
    const ID_FILTER: Option<&'static str> = Some("search[ids][]");
    const MEANINGFUL: &'static [&'static str] = meaningful::BILL;

    fn read(bill: &Object<'_>, site: &Site) -> Result<Record> {
        let id = bill.id("id")?;
        let currency = bill.currency("currency_code");
        let total = value::money(bill, "total_amount", currency);
        let balance = value::money(bill, "outstanding", currency);
        let word = bill.text("status");
        let mut record = Record::new(RecordKind::Bill, id, status::of_bill(&word, total, balance));
        record.vendor_status = word;
        record.number = bill.some_text("bill_number");
        record.subject = bill.some_text("overall_description").or_else(|| bill.some_text("overall_category"));
        record.counterparty = vendor(bill);
        record.date = bill.date("issue_date");
        record.due_date = bill.date("due_date");
        (record.total, record.balance) = (total, balance);
        record.sub_total = value::money(bill, "amount", currency);
        record.tax = value::money(bill, "tax_amount", currency);
        record.lines = bill.objects("lines").iter().map(|line| read_line(line, currency)).collect();
        record.created_at = value::utc_time(bill, "created_at");
        record.modified_at = value::utc_time(bill, "updated_at");
        record.url = site.bill(&record.id);
        Ok(record)
    }

    fn shape(bill: &Object<'_>) -> Shape {
        match (bill.has("lines"), vendor(bill).is_some_and(|vendor| !vendor.name.is_empty())) {
            (true, true) => Shape::Whole,
            (true, false) => Shape::Nameless,
            (false, _) => Shape::Partial,
        }
    }
}

fn vendor(bill: &Object<'_>) -> Option<Party> {
    let id = value::reference(bill, "vendorid").map(Into::into);
    let name = bill.object("vendor").map(|vendor| vendor.text("vendor_name")).unwrap_or_default();
    (id.is_some() || !name.is_empty()).then_some(Party { id, name })
}

/// The category is an object or its name, depending on the version.
fn read_line(line: &Object<'_>, currency: Option<Currency>) -> Line {
    let is_object = line.raw("category").is_some_and(|category| category.get().starts_with('{'));
    let category = if is_object {
        line.object("category").and_then(|category| category.some_text("category"))
    } else {
        line.some_text("category")
    };
    let taxes = ["tax_amount1", "tax_amount2"].map(|name| value::money(line, name, currency));
    Line {
        id: line.text("id").into(),
        description: line.text("description"),
        quantity: line.decimal("quantity"),
        rate: value::amount(line, "unit_cost", currency),
        tax: value::sum(taxes),
        amount: value::money(line, "amount", currency),
        account: CodeName::known(value::reference(line, "categoryid").map(Into::into), None, category),
        ..Line::default()
    }
}

/// What was paid of a bill, at once or in part. It has no times; lists of bills show it, too.
pub(crate) struct BillPayment;

impl Resource for BillPayment {
    const KIND: &'static str = "bill_payment";
    const GET: &'static str = "freshbooks.get_bill_payment";
    const LIST: &'static str = "freshbooks.list_bill_payments";
    const PATH: &'static str = "bill_payments/bill_payments";
    const DETAIL_KEY: &'static str = "bill_payment";
    const LIST_KEY: &'static str = "bill_payments";
    const SCOPE: &'static str = "user:bill_payments:read";
    const NOUN: Option<&'static str> = None;
    const CHANGES: Changes = Changes::Whole;
    const MEANINGFUL: &'static [&'static str] = meaningful::BILL_PAYMENT;

    fn read(payment: &Object<'_>, site: &Site) -> Result<Record> {
        let mut record = Record::new(RecordKind::BillPayment, payment.id("id")?, Status::Paid);
        record.subject = payment.some_text("note");
        record.date = payment.date("paid_date");
        record.total = value::money(payment, "amount", None);
        record.payment_mode = payment.some_text("payment_type");
        if let Some(bill) = value::reference(payment, "billid") {
            record.url = site.bill(&bill);
            let document = EntityRef::new(RecordKind::Bill.as_str(), bill.as_str());
            let amount = record.total.into_iter();
            record.allocations = amount
                .map(|amount| Allocation { document: document.clone(), number: String::new(), amount })
                .collect();
        }
        Ok(record)
    }

    /// It does not say whom it was paid to.
    fn shape(_: &Object<'_>) -> Shape {
        Shape::Nameless
    }
}

/// What the payment of a bill takes over from the bill: whom it was paid to, and the number people use.
pub(crate) fn name_payment(payment: &mut Record, bill: &Record) {
    payment.counterparty.clone_from(&bill.counterparty);
    for settled in payment.allocations.iter_mut().filter(|settled| settled.document == bill.entity()) {
        settled.number = bill.number.clone().unwrap_or_default();
    }
}
