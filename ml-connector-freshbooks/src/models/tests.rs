use std::collections::BTreeMap;

use ml_connector_core::{
    decode::{self, Decoded},
    model::{LeftOutReason, RecordKind, Status},
};
use serde_json::value::RawValue;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/", $name, ".json"))
    };
}

fn members(json: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(json).unwrap()
}

/// A member of what is within `response.result`, or of the body itself.
pub(super) fn member(fixture: &str, key: &str) -> Box<RawValue> {
    let mut body = members(fixture);
    if let Some(data) = body.remove(key) {
        return data;
    }
    let mut response = members(body["response"].get());
    members(response.remove("result").unwrap().get()).remove(key).unwrap()
}

fn site() -> Site {
    Site::new(&"https://my.freshbooks.com".parse().unwrap(), "Zq84Xk", false)
}

fn read_raw<T: Resource>(raw: &RawValue) -> Decoded<(Record, Shape)> {
    decode::object(raw, |object| Ok((T::read(object, &site())?, T::shape(object)))).unwrap()
}

fn read<T: Resource>(fixture: &str) -> Record {
    read_raw::<T>(&member(fixture, T::DETAIL_KEY)).value.0
}

fn revision_in<T: Resource>(raw: &RawValue) -> Revision {
    revision::<T>(raw, &read_raw::<T>(raw).value.0).unwrap()
}

fn rows(fixture: &str, key: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(member(fixture, key).get()).unwrap()
}

fn case(json: &str, pointer: &str) -> Box<RawValue> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    RawValue::from_string(value.pointer(pointer).unwrap().to_string()).unwrap()
}

#[test]
fn an_invoice_is_read_with_its_lines_and_new_york_s_times() {
    let invoice = read::<Invoice>(fixture!("invoice_get"));
    assert_eq!((&*invoice.id, invoice.number.as_deref()), ("502317", Some("INV-0042")));
    assert_eq!((&invoice.status, &*invoice.vendor_status), (&Status::Open, "sent"));
    assert_eq!(invoice.total.unwrap().to_string(), "6328.00 CAD");
    assert_eq!(invoice.balance.unwrap().to_string(), "6328.00 CAD");
    assert_eq!(invoice.due_date.unwrap().to_string(), "2026-07-29");
    assert_eq!(invoice.created_at.unwrap().to_string(), "2026-06-29T16:40:55Z");
    assert_eq!(invoice.modified_at.unwrap().to_string(), "2026-06-29T16:41:18.48Z");
    let party = invoice.counterparty.unwrap();
    assert_eq!((party.id.as_deref(), &*party.name), (Some("618204"), "Larkspur Dental Group"));
    assert_eq!(invoice.url.as_deref(), Some("https://my.freshbooks.com/#/invoice/Zq84Xk-502317"));
    assert_eq!(invoice.lines.len(), 2);
    assert_eq!(invoice.lines[0].description, "Brand design: Design retainer, June");
    assert_eq!(invoice.lines[0].amount.unwrap().to_string(), "5000.00 CAD");
    let partly = read::<Invoice>(fixture!("invoice_get_partial"));
    assert_eq!(
        (partly.status, partly.balance.unwrap().to_string()),
        (Status::PartiallyPaid, "3828.00 CAD".into())
    );
}

#[test]
fn a_row_with_lines_has_the_revision_of_the_detail_and_one_without_is_not_whole() {
    let [whole, without] = [fixture!("invoice_get"), fixture!("invoice_get_without_include")]
        .map(|fixture| member(fixture, "invoice"));
    assert_eq!(read_raw::<Invoice>(&whole).value.1, Shape::Whole);
    assert_eq!(read_raw::<Invoice>(&without).value.1, Shape::Partial);
    let bill = |fixture| read_raw::<Bill>(&member(fixture, "bill")).value.1;
    assert_eq!(bill(fixture!("bill_get")), Shape::Nameless);
    assert_eq!(read_raw::<Bill>(&rows(fixture!("bills_list"), "bills")[0]).value.1, Shape::Partial);
}

/// What lists and details have in common, for every kind that is compared by its rows.
#[test]
fn list_and_detail_have_one_revision() {
    let listed = rows(fixture!("payments_list"), "payments");
    assert_eq!(
        revision_in::<Payment>(&listed[0]),
        revision_in::<Payment>(&member(fixture!("payment_get"), "payment"))
    );
    let expenses = rows(fixture!("expenses_list"), "expenses");
    let expense = member(fixture!("expense_get"), "expense");
    let same = expenses
        .iter()
        .find(|row| read_raw::<Expense>(row).value.0.id == read_raw::<Expense>(&expense).value.0.id);
    assert_eq!(revision_in::<Expense>(same.unwrap()), revision_in::<Expense>(&expense));
    // Embedded in its bill, and alone.
    let bill = member(fixture!("bill_get_partial"), "bill");
    let embedded: Vec<Box<RawValue>> =
        serde_json::from_str(members(bill.get())["bill_payments"].get()).unwrap();
    assert_eq!(
        revision_in::<BillPayment>(&embedded[0]),
        revision_in::<BillPayment>(&member(fixture!("bill_payment_get"), "bill_payment"))
    );
}

#[test]
fn payments_bills_and_expenses_are_read() {
    let payment = read::<Payment>(fixture!("payment_get"));
    assert_eq!((payment.kind, payment.status), (RecordKind::CustomerPayment, Status::Paid));
    assert_eq!(payment.total.unwrap().to_string(), "2500.00 CAD");
    assert_eq!(&*payment.allocations[0].document.id, "502317");
    assert_eq!(payment.url.as_deref(), Some("https://my.freshbooks.com/#/invoice/Zq84Xk-502317"));

    let bill = read::<Bill>(fixture!("bill_get_partial"));
    assert_eq!(
        (bill.status.clone(), bill.total.unwrap().to_string()),
        (Status::PartiallyPaid, "1496.20 CAD".into())
    );
    assert_eq!(bill.created_at.unwrap().to_string(), "2026-06-29T16:44:12Z");
    assert_eq!(bill.lines[0].account.as_ref().unwrap().name.as_deref(), Some("Furniture"));
    assert_eq!(bill.lines[0].tax.unwrap().to_string(), "161.20 CAD");
    assert_eq!(bill.url, None);
    let mut paid = read::<BillPayment>(fixture!("bill_payment_get"));
    name_payment(&mut paid, &bill);
    assert_eq!((&*paid.allocations[0].number, paid.counterparty), ("HV-20931", bill.counterparty));

    let internal = read::<Expense>(fixture!("expense_get"));
    assert_eq!(internal.status, Status::from("internal"));
    let billable = read::<Expense>(fixture!("expense_get_billable"));
    assert_eq!(
        (billable.status, billable.counterparty.unwrap().name),
        (Status::from("outstanding"), "Rail Canada".into())
    );
    assert_eq!(billable.tax.unwrap().to_string(), "27.61 CAD");
}

#[test]
fn what_documents_refer_to_is_read() {
    let client = read::<Client>(fixture!("client_get"));
    assert_eq!(client.name.as_deref(), Some("Larkspur Dental Group"));
    assert_eq!(client.created_at.unwrap().to_string(), "2026-06-16T16:15:20Z");
    assert_eq!(client.modified_at.unwrap().to_string(), "2026-06-29T16:52:44Z");
    let vendor = read::<BillVendor>(fixture!("bill_vendor_get"));
    assert_eq!((&*vendor.id, vendor.kind.as_str()), ("8831", "bill_vendor"));
    assert_eq!(read::<Item>(fixture!("item_get")).total.unwrap().to_string(), "125.00 CAD");
    assert_eq!(
        read::<Category>(fixture!("expense_category_get")).name.as_deref(),
        Some("Meals & Entertainment")
    );
    let accounts: Vec<Box<RawValue>> =
        serde_json::from_str(member(fixture!("ledger_accounts_list"), "data").get()).unwrap();
    let cash = read_raw::<LedgerAccount>(&accounts[0]).value.0;
    assert_eq!((cash.number.as_deref(), cash.name.as_deref()), (Some("1000"), Some("Cash")));
}

/// 11: a draft past its date; failed and retried; a part that is paid; unknown words; nothing to pay.
#[test]
fn what_is_paid_is_told_by_known_words_only() {
    const CASE: &str = include_str!("../../tests/cases/11-status-words.rows.json");
    for (row, status, word) in [
        (0, Status::Draft, "draft"),
        (1, Status::Open, "failed"),
        (2, Status::Open, "retry"),
        (3, Status::PartiallyPaid, "partial"),
        (4, Status::Paid, "autopaid"),
        (5, Status::Open, "some-new-word"),
        (6, Status::Open, "sent"),
    ] {
        let invoice = read_raw::<Invoice>(&case(CASE, &format!("/invoices/{row}"))).value.0;
        assert_eq!((&invoice.status, &*invoice.vendor_status), (&status, word), "row {row}");
    }
    let bills = [0, 1].map(|row| read_raw::<Bill>(&case(CASE, &format!("/bills/{row}"))).value.0);
    assert_eq!((&bills[0].status, bills[0].balance), (&Status::Open, None), "absent is not zero");
    assert_eq!((&bills[1].status, bills[1].balance), (&Status::PartiallyPaid, None));
    for (word, status) in [
        (r#""v3_status":"created""#, Status::Draft),
        (r#""v3_status":"success""#, Status::Paid),
        (r#""v3_status":"unpaid""#, Status::Open),
        (r#""v3_status":"overdue","outstanding":{"amount":"4","code":"USD"}"#, Status::PartiallyPaid),
        (r#""v3_status":"disputed""#, Status::from("disputed")),
        (r#""v3_status":"declined""#, Status::from("declined")),
        (r#""v3_status":"deposit-paid""#, Status::Open),
        (r#""payment_status":"auto-paid""#, Status::Paid),
        (r#""payment_status":"paid","outstanding":{"amount":"10","code":"USD"}"#, Status::Open),
        (r#""status":1"#, Status::Draft),
        (r#""status":8"#, Status::PartiallyPaid),
        (r#""outstanding":{"amount":"0.00","code":"USD"}"#, Status::Open),
        (r#""x":1"#, Status::Open),
    ] {
        let json = format!(r#"{{"id":1,"amount":{{"amount":"10","code":"USD"}},{word}}}"#);
        let raw = RawValue::from_string(json).unwrap();
        assert_eq!(read_raw::<Invoice>(&raw).value.0.status, status, "{word}");
    }
    let deposit = r#"{"id":1,"amount":{"amount":"10","code":"USD"},"outstanding":{"amount":"6","code":"USD"},"v3_status":"deposit-paid"}"#;
    let deposit = read_raw::<Invoice>(&RawValue::from_string(deposit.to_owned()).unwrap()).value.0;
    assert_eq!((deposit.status, &*deposit.vendor_status), (Status::PartiallyPaid, "deposit-paid"));
}

/// 9: opened by the client.
#[test]
fn a_visit_is_no_change() {
    const CASE: &str = include_str!("../../tests/cases/09-invoice-viewed.pair.json");
    assert_eq!(revision_in::<Invoice>(&case(CASE, "/before")), revision_in::<Invoice>(&case(CASE, "/after")));
}

/// 1: what was paid too much is a credit, and a credit that is used is no new money.
#[test]
fn credits_are_no_payments() {
    const CASE: &str = include_str!("../../tests/cases/01-payment-overpaid.list.json");
    let list = rows(CASE, "payments");
    let read: Vec<Record> = list.iter().map(|row| read_raw::<Payment>(row).value.0).collect();
    assert_eq!(
        read.iter().map(|record| record.kind.as_str()).collect::<Vec<_>>(),
        ["customer_payment", "credit", "credit"]
    );
    assert_eq!((&read[1].status, read[1].allocations.len()), (&Status::from("overpayment"), 0));
    assert_eq!((&read[2].status, &*read[2].allocations[0].document.id), (&Status::from("applied"), "40655"));
    assert_eq!(read_raw::<Payment>(&list[1]).value.1, Shape::Whole, "there is no invoice to look for");
}

/// 12: a refund changes the payment, and the invoice's balance.
#[test]
fn a_refund_is_a_change_of_the_payment() {
    const CASE: &str = include_str!("../../tests/cases/12-refund.sequence.json");
    let before = case(CASE, "/0/known/payment");
    let after = case(CASE, "/1/fetched/payment");
    assert_ne!(revision_in::<Payment>(&before), revision_in::<Payment>(&after));
    let statuses = ["/0/known/invoice", "/1/fetched/invoice", "/2/fetched/invoice"]
        .map(|at| read_raw::<Invoice>(&case(CASE, at)).value.0.status);
    assert_eq!(statuses, [Status::Paid, Status::PartiallyPaid, Status::Open]);
}

#[test]
fn odd_values_cost_themselves_only() {
    let raw = RawValue::from_string(
        r#"{"id":"9","currency_code":"CAD","amount":10.5,"outstanding":{"amount":"12345678901234567890123456789012345678901"},
            "due_date":"2026-13-45","updated":"2026-06-29 08:16:74","version":null,"lines":[{"amount":null},7]}"#
            .to_owned(),
    )
    .unwrap();
    let Decoded { value: (invoice, _), left_out } = read_raw::<Invoice>(&raw);
    assert_eq!((&*invoice.id, invoice.total.unwrap().to_string()), ("9", "10.50 CAD".into()));
    assert_eq!((invoice.balance, invoice.due_date, invoice.modified_at), (None, None, None));
    let mut paths: Vec<&str> = left_out.iter().map(|left_out| left_out.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["due_date", "lines[1]", "outstanding.amount", "updated"]);
    assert!(
        left_out
            .iter()
            .any(|left_out| left_out.reason == LeftOutReason::TooManyDigits && left_out.text.is_some())
    );
    assert!(
        decode::object(&RawValue::from_string("{}".into()).unwrap(), |o| Invoice::read(o, &site())).is_err()
    );
}

#[test]
fn an_identity_has_every_business_and_no_token() {
    let body = fixture!("users_me");
    let read = decode::body(body.as_bytes(), |body| Identity::read(&body.object("response").unwrap()));
    let identity = read.unwrap().value;
    assert_eq!((&*identity.identity_id, identity.businesses.len()), ("4820017", 2));
    let [first, second] = &*identity.businesses else { panic!() };
    assert_eq!((first.account_id.as_deref(), &*first.business_id), (Some("Zq84Xk"), "7310042"));
    assert_eq!(
        (first.status.as_deref(), first.time_zone.as_deref()),
        (Some("active"), Some("America/Toronto"))
    );
    // The account of the other role is one where the person is a client.
    assert_eq!((second.account_id.as_deref(), &*second.role), (None, "owner"));
    assert!(!format!("{identity:?}").contains("Northwind"));
}

#[test]
fn an_account_that_only_a_role_names_belongs_to_the_one_business_without() {
    let body = r#"{"identity_id":1,"business_memberships":[{"role":"owner","business":{"id":5,"account_id":null}}],
        "roles":[{"role":"client","accountid":"other"},{"role":"admin","accountid":"Ab12"}]}"#;
    let identity = decode::body(body.as_bytes(), Identity::read).unwrap().value;
    assert_eq!(identity.businesses[0].account_id.as_deref(), Some("Ab12"));
}

#[test]
fn what_makes_a_change_is_written_down() {
    let documentation = include_str!("../../docs.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let lists = KINDS.into_iter().map(|kind| {
        let names: &[&str] = by_kind!(kind, T => T::MEANINGFUL, unreachable!());
        let written: Vec<_> = names.iter().map(|name| format!("`{}`", name.trim_end_matches('#'))).collect();
        (kind, format!(": {}.", written.join(", ")))
    });
    let missing: Vec<_> = lists.filter(|(_, written)| !documentation.contains(written)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn an_amount_that_is_written_with_other_zeros_is_no_change() {
    let raw = member(fixture!("invoice_get"), Invoice::DETAIL_KEY);
    let edited = |from: &str, to: &str| {
        assert!(raw.get().contains(from), "{from}");
        revision_in::<Invoice>(&RawValue::from_string(raw.get().replace(from, to)).unwrap())
    };
    let before = revision_in::<Invoice>(&raw);
    assert_eq!(edited(r#""6328.00""#, r#""6328.0""#), before);
    assert_eq!(edited(r#""5000.00""#, r#""5000""#), before);
    assert_ne!(edited(r#""6328.00""#, r#""6328.01""#), before);
}
