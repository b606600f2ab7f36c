use std::collections::BTreeSet;

use ml_connector_core::{
    ErrorKind, Money, Timestamp, decode,
    model::{CodeName, Date, Observation, Observed, RecordKind, Revision, Status},
    snapshot::{ChangeRules, Snapshot, SnapshotStep, step},
};
use serde_json::value::RawValue;

use super::*;

const INVOICE: &str = include_str!("../../tests/fixtures/invoice-detail.json");
const BILL: &str = include_str!("../../tests/fixtures/bill-detail.json");
const BILL_PENDING: &str = include_str!("../../tests/fixtures/bill-detail-pending-approval.json");
const CUSTOMER_PAYMENT: &str = include_str!("../../tests/fixtures/customer-payment-detail.json");
const PURCHASE_ORDER: &str = include_str!("../../tests/fixtures/purchase-order-detail.json");
const EXPENSE: &str = include_str!("../../tests/fixtures/expense-detail.json");
const CONTACT: &str = include_str!("../../tests/fixtures/contact-detail.json");
const VENDOR_PAYMENT: &str = include_str!("../../tests/fixtures/vendor-payment-detail.json");

/// The record of a fixture, with texts replaced in it. Each has to be there.
fn raw<T: Resource>(fixture: &str, edits: &[(&str, &str)]) -> Box<RawValue> {
    let mut text = fixture.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from} is not in the fixture");
        text = text.replace(from, to);
    }
    let mut members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap();
    members.remove(T::DETAIL_KEY).unwrap()
}

fn read<T: Resource>(fixture: &str, edits: &[(&str, &str)]) -> (Record, Revision) {
    let raw = raw::<T>(fixture, edits);
    let (record, stage, left_out) = decoded::<T>(&raw);
    assert!(left_out.is_empty(), "{left_out:?}");
    let revision = revision::<T>(&raw, &record, &stage).unwrap();
    (record, revision)
}

/// A record, its stage, and the paths of what could not be read.
fn decoded<T: Resource>(raw: &RawValue) -> (Record, String, Vec<String>) {
    let read = decode::object(raw, |object| Ok((T::read(object, None)?, T::stage(object)))).unwrap();
    let (record, stage) = read.value;
    (record, stage, read.left_out.into_iter().map(|note| note.path).collect())
}

fn usd(amount: &str) -> Option<Money> {
    Some(Money::parse(amount, "USD").unwrap())
}

#[test]
fn an_invoice_keeps_the_vendor_s_digits_words_and_lines() {
    let (invoice, _) = read::<Invoice>(INVOICE, &[]);
    assert_eq!(invoice.kind, RecordKind::Invoice);
    assert_eq!(&*invoice.id, "481500000000103001");
    assert_eq!(invoice.number.as_deref(), Some("INV-000101"));
    assert_eq!(invoice.reference.as_deref(), Some("PO-7731"));
    assert_eq!((invoice.status, &*invoice.vendor_status), (Status::Open, "overdue"));
    assert_eq!(invoice.counterparty.unwrap().name, "Bluebird Logistics");
    assert_eq!(invoice.due_date, Some(Date::parse("2026-03-04").unwrap()));
    assert_eq!(invoice.total.unwrap().amount.to_string(), "1250.5");
    assert_eq!(invoice.created_at, Some(Timestamp::parse("2026-02-02T15:14:08Z").unwrap()));
    assert_eq!(invoice.modified_at, Some(Timestamp::parse("2026-02-02T15:15:31Z").unwrap()));
    let [plan, courier] = invoice.lines.as_slice() else { panic!("two lines") };
    assert_eq!(plan.description, "Dock Scheduling Plan: Yearly plan, two docks");
    assert_eq!(
        (plan.amount, plan.account.as_ref().and_then(|account| account.name.as_deref())),
        (usd("1196"), Some("Sales"))
    );
    assert_eq!(plan.cost_center, Some(CodeName::named("Northeast")));
    assert_eq!((&*courier.description, &courier.cost_center), ("Courier fee", &None));
}

#[test]
fn payments_name_what_they_settle_and_how() {
    let (received, _) = read::<CustomerPayment>(CUSTOMER_PAYMENT, &[]);
    assert_eq!((received.status, received.total, received.balance), (Status::Paid, usd("298"), usd("0")));
    assert_eq!(received.payment_mode.as_deref(), Some("banktransfer"));
    assert_eq!(received.allocations[0].document.to_string(), "invoice/481500000000103002");
    assert_eq!(received.allocations[0].amount, usd("298").unwrap());
    assert_eq!(received.modified_at, received.created_at, "updated_time stands in");

    let (made, _) = read::<VendorPayment>(VENDOR_PAYMENT, &[]);
    assert_eq!((made.number.as_deref(), made.total), (Some("17"), usd("250")));
    assert_eq!(made.allocations[0].document.to_string(), "bill/481500000000108003");
}

#[test]
fn every_status_word_has_its_meaning() {
    for (word, balance, expected) in [
        ("draft", "1250.5", Status::Draft),
        ("sent", "1250.5", Status::Open),
        ("viewed", "1250.5", Status::Open),
        ("unpaid", "1250.5", Status::Open),
        ("overdue", "1250.5", Status::Open),
        ("overdue", "1250.50", Status::Open),
        ("overdue", "50", Status::PartiallyPaid),
        ("partially_paid", "50", Status::PartiallyPaid),
        ("paid", "0", Status::Paid),
        ("void", "1250.5", Status::Void),
        ("pending_approval", "1250.5", Status::PendingApproval),
        ("approved", "1250.5", Status::Approved),
        ("rejected", "1250.5", Status::Rejected),
        ("on_hold", "1250.5", Status::Other("on_hold".into())),
    ] {
        let edits = [
            (r#""status": "overdue""#, &*format!(r#""status": "{word}""#)),
            (r#""balance": 1250.5"#, &*format!(r#""balance": {balance}"#)),
        ];
        let (record, _) = read::<Invoice>(INVOICE, &edits);
        assert_eq!((record.status, &*record.vendor_status), (expected, word));
        assert_eq!(record.balance, usd(balance), "{word}");
    }
}

#[test]
fn a_bill_waits_for_approval_whatever_the_word_unless_it_says_what_happened() {
    for (word, expected) in [
        ("pending_approval", Status::PendingApproval),
        ("draft", Status::PendingApproval),
        ("submitted", Status::PendingApproval),
        ("approved", Status::Approved),
        ("rejected", Status::Rejected),
        ("open", Status::Open),
        ("overdue", Status::Open),
        ("paid", Status::Paid),
        ("void", Status::Void),
    ] {
        let status = format!(r#""status": "{word}""#);
        let (bill, _) = read::<Bill>(BILL_PENDING, &[(r#""status": "pending_approval""#, &status)]);
        assert_eq!(bill.status, expected, "{word}");
        assert_eq!(bill.submitted_by.and_then(|by| by.name).as_deref(), Some("Dana Whitlow"));
    }
    // An approver who is asked is enough; nobody asked and nothing submitted is a draft.
    let draft = (r#""status": "pending_approval""#, r#""status": "draft""#);
    let not_required = (r#""is_approval_required": true"#, r#""is_approval_required": """#);
    let (asked, _) = read::<Bill>(BILL_PENDING, &[draft, not_required]);
    assert_eq!(asked.status, Status::PendingApproval);
    let nobody = [
        (r#""yet_to_approve""#, r#""approved""#),
        (r#""is_next_approver": true"#, r#""is_next_approver": false"#),
    ];
    let (decided, _) = read::<Bill>(BILL_PENDING, &[&[draft, not_required], &nobody[..]].concat());
    assert_eq!(decided.status, Status::Draft);
}

#[test]
fn empty_texts_stand_for_nothing_and_numbers_for_texts() {
    let json = r#"{"invoice_id":481500000000103001,"invoice_number":"","customer_id":"","status":"draft","date":"",
        "due_date":null,"total":"10.00","balance":"","currency_code":"USD","line_items":"","created_time":"",
        "approvers_list":{},"is_approval_required":"","submitted_by_name":null}"#;
    let (record, _, left_out) = decoded::<Invoice>(&RawValue::from_string(json.to_owned()).unwrap());
    assert!(left_out.is_empty());
    assert_eq!(&*record.id, "481500000000103001");
    assert_eq!((record.number, record.date, record.due_date, record.balance), (None, None, None, None));
    assert_eq!(record.total.unwrap().amount.to_string(), "10.00");
    assert!(record.counterparty.is_none() && record.lines.is_empty() && record.created_at.is_none());
}

#[test]
fn a_value_of_another_shape_is_left_out_and_the_note_quotes_nothing() {
    for (json, path) in [
        (r#"{"invoice_id":"1","total":"planted"}"#, "total"),
        (r#"{"invoice_id":"1","due_date":"planted"}"#, "due_date"),
        (r#"{"invoice_id":"1","created_time":"planted"}"#, "created_time"),
        (r#"{"invoice_id":"1","line_items":[{"item_total":"planted"}]}"#, "line_items[0].item_total"),
        (r#"{"invoice_id":"1","total":1,"currency_code":"planted"}"#, "currency_code"),
    ] {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        let read = decode::object(&raw, |object| Invoice::read(object, None)).unwrap();
        assert_eq!((&*read.value.id, &*read.left_out[0].path), ("1", path));
        assert!(!format!("{:?}", read.left_out).contains("planted"), "{path}");
    }
    let nameless = RawValue::from_string(r#"{"invoice_number":"INV-1"}"#.into()).unwrap();
    let error = decode::object(&nameless, |object| Invoice::read(object, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

/// A case that failed, and its members.
fn case(text: &str) -> std::collections::BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_new_empty_member_is_no_change() {
    let bill = case(include_str!("../../tests/fixtures/case-new-empty-member.json"));
    let revision = |name: &str| {
        let (record, stage, _) = decoded::<Bill>(&bill[name]);
        revision::<Bill>(&bill[name], &record, &stage).unwrap()
    };
    assert_eq!(revision("before"), revision("after"));
}

#[test]
fn binary_residue_is_no_debt_and_no_payment() {
    let rows: Vec<Box<RawValue>> =
        serde_json::from_str(include_str!("../../tests/fixtures/case-dust.json")).unwrap();
    let read = |n: usize| {
        let with_id = rows[n].get().replacen('{', r#"{"invoice_id":"1","currency_code":"USD","#, 1);
        decoded::<Invoice>(&RawValue::from_string(with_id).unwrap()).0
    };
    let settled = read(0);
    assert_eq!((settled.status, settled.balance), (Status::Open, usd("0")));
    let due = read(1);
    assert_eq!((due.status, due.balance, due.total), (Status::Open, usd("249.98"), usd("249.98")));
    assert_eq!(due.balance.unwrap().to_string(), "249.98 USD", "never 27 digits");
}

#[test]
fn a_year_of_five_digits_is_left_out_and_the_rest_is_told() {
    let mut answer = case(include_str!("../../tests/fixtures/case-year-of-five-digits.detail.json"));
    let (invoice, _, left_out) = decoded::<Invoice>(&answer.remove("invoice").unwrap());
    assert_eq!(left_out, ["due_date"]);
    assert_eq!((invoice.due_date, invoice.total), (None, usd("1250.5")));
    assert_eq!(invoice.date, Some(Date::parse("2026-02-02").unwrap()));
}

#[test]
fn a_payment_without_a_currency_is_in_the_organization_s() {
    let home = ml_connector_core::model::Currency::parse("USD").ok();
    let mut answer = case(include_str!("../../tests/fixtures/case-customer-payments-row.json"));
    let list = answer.remove("customerpayments").unwrap();
    let read = |list: &RawValue| {
        let rows = decode::rows(list, CustomerPayment::ID, |row| CustomerPayment::read(row, home)).unwrap();
        let Some(decode::Row::Read { decoded, .. }) = rows.into_iter().next() else { panic!("it is read") };
        decoded.value
    };
    let payment = read(&list);
    assert_eq!((payment.total, payment.balance), (usd("750"), usd("0")));
    // Where both amounts differ, the one of the organization's currency is said, and nothing of the other.
    let foreign = list.get().replace(r#""amount":750"#, r#""amount":690"#);
    let payment = read(&RawValue::from_string(foreign).unwrap());
    assert_eq!((payment.total, payment.balance), (usd("750"), None));
}

#[test]
fn what_changes_by_itself_is_no_other_revision() {
    let (_, before) = read::<Invoice>(INVOICE, &[]);
    for edit in [
        (
            r#""last_modified_time": "2026-02-02T10:15:31-0500""#,
            r#""last_modified_time": "2026-03-12T10:15:31-0400""#,
        ),
        (r#""status": "overdue""#, r#""status": "viewed""#),
        (r#""current_sub_status": "overdue""#, r#""current_sub_status": "sent""#),
        (r#""is_viewed_by_client": false"#, r#""is_viewed_by_client": true"#),
        (r#""reminders_sent": 1"#, r#""reminders_sent": 2"#),
        (r#""customer_balance": 1550.5"#, r#""customer_balance": 0"#),
        (r#""stock_on_hand": """#, r#""stock_on_hand": 7"#),
        ("secure?CInvoiceID=2-ce", "secure?CInvoiceID=2-00"),
        (r#""can_lock": true"#, r#""can_lock": false"#),
    ] {
        assert_eq!(read::<Invoice>(INVOICE, &[edit]).1, before, "{edit:?}");
    }
    let (_, before) = read::<CustomerPayment>(CUSTOMER_PAYMENT, &[]);
    let other_payment = (r#""balance": 300"#, r#""balance": 0"#);
    assert_eq!(read::<CustomerPayment>(CUSTOMER_PAYMENT, &[other_payment]).1, before);
    let (_, before) = read::<Bill>(BILL, &[]);
    let tomorrow = [
        (r#""due_in_days": 28"#, r#""due_in_days": 27"#),
        (r#""unused_credits_payable_amount": 500"#, r#""unused_credits_payable_amount": 0"#),
    ];
    assert_eq!(read::<Bill>(BILL, &tomorrow).1, before);
    // Two words for one state, each repeated as the stage.
    let (_, before) = read::<Bill>(BILL_PENDING, &[]);
    let draft = [
        (r#""status": "pending_approval""#, r#""status": "draft""#),
        (r#""current_sub_status": "pending_approval""#, r#""current_sub_status": "draft""#),
    ];
    assert_eq!(read::<Bill>(BILL_PENDING, &draft).1, before);
}

#[test]
fn what_somebody_changes_is_another_revision() {
    let (_, before) = read::<Invoice>(INVOICE, &[]);
    for edit in [
        (r#""status": "overdue""#, r#""status": "void""#),
        (r#""status": "overdue""#, r#""status": "draft""#),
        (r#""current_sub_status": "overdue""#, r#""current_sub_status": "in_dispute""#),
        (r#""balance": 1250.5"#, r#""balance": 1000"#),
        (r#""due_date": "2026-03-04""#, r#""due_date": "2026-03-05""#),
        (r#""notes": "We"#, r#""notes": "You"#),
        (r#""tag_option_name": "Northeast""#, r#""tag_option_name": "West""#),
        (r#""cf_slack_acknowledgement": """#, r#""cf_slack_acknowledgement": "Ines""#),
    ] {
        assert_ne!(read::<Invoice>(INVOICE, &[edit]).1, before, "{edit:?}");
    }
    let (_, before) = read::<CustomerPayment>(CUSTOMER_PAYMENT, &[]);
    let edit = (r#""amount_applied": 298"#, r#""amount_applied": 200"#);
    assert_ne!(read::<CustomerPayment>(CUSTOMER_PAYMENT, &[edit]).1, before);
    let (_, before) = read::<Bill>(BILL_PENDING, &[]);
    assert_ne!(read::<Bill>(BILL_PENDING, &[(r#""yet_to_approve""#, r#""approved""#)]).1, before);
}

/// Plays versions of a record through the snapshot step and writes down what each led to.
fn play<T: Resource>(fixture: &str, versions: &[(&str, &[(&str, &str)])]) -> Vec<String> {
    let mut last: Option<Snapshot> = None;
    let mut told = Vec::new();
    for (n, (today, edits)) in (1..).zip(versions) {
        let (record, revision) = read::<T>(fixture, edits);
        let policy = ChangeRules {
            today: Date::parse(today).unwrap(),
            overdue_after: &[7],
            watched_since: Timestamp::parse("2026-02-01T00:00:00Z").unwrap(),
        };
        let seen = Observation {
            entity: record.entity(),
            read_at: Timestamp::from_secs(1_792_000_000 + n),
            state: Observed::present(revision, record),
        };
        told.push(match step(last.as_ref(), &seen, &policy) {
            SnapshotStep::Changed { snapshot, changes } => {
                last = Some(*snapshot);
                changes
                    .iter()
                    .map(ToString::to_string)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            other => format!("{other:?}").to_lowercase(),
        });
    }
    told
}

#[test]
fn an_invoice_s_life_is_told_in_words() {
    let status = |word: &'static str| (r#""status": "overdue""#, word);
    let paid = (r#""balance": 1250.5"#, r#""balance": 0"#);
    let part = (r#""balance": 1250.5"#, r#""balance": 1000"#);
    let (draft, sent, viewed) =
        (status(r#""status": "draft""#), status(r#""status": "sent""#), status(r#""status": "viewed""#));
    let told = play::<Invoice>(
        INVOICE,
        &[
            ("2026-02-02", &[draft]),
            ("2026-02-02", &[sent]),
            ("2026-02-03", &[viewed]),
            ("2026-03-05", &[]),
            ("2026-03-10", &[]),
            ("2026-03-11", &[]),
            ("2026-03-12", &[]),
            ("2026-03-12", &[part]),
            ("2026-03-13", &[status(r#""status": "partially_paid""#), part]),
            ("2026-03-13", &[status(r#""status": "paid""#), paid]),
            ("2026-04-30", &[status(r#""status": "paid""#), paid]),
            ("2026-04-30", &[status(r#""status": "void""#)]),
        ],
    );
    assert_eq!(
        told,
        [
            "created",
            "sent",
            "unchanged", // viewed
            "unchanged", // the word turned overdue
            "unchanged", // six days late
            "overdue:7",
            "unchanged",
            "partially_paid",
            "unchanged", // the word catches up
            "paid",
            "unchanged",
            "voided",
        ]
    );
}

#[test]
fn a_bill_s_way_through_approval_is_told_in_words() {
    let status = |word: &'static str| (r#""status": "pending_approval""#, word);
    let told = play::<Bill>(
        BILL_PENDING,
        &[
            ("2026-03-12", &[]),
            ("2026-03-12", &[status(r#""status": "approved""#)]),
            ("2026-03-13", &[status(r#""status": "open""#)]),
            ("2026-03-14", &[status(r#""status": "paid""#), (r#""balance": 8200"#, r#""balance": 0"#)]),
        ],
    );
    assert_eq!(told, ["created submitted", "approved", "posted", "paid"]);
    let told = play::<CustomerPayment>(CUSTOMER_PAYMENT, &[("2026-03-12", &[]), ("2026-03-12", &[])]);
    assert_eq!(told, ["created", "unchanged"]);
}

/// The rows of a list's fixture.
fn listed<T: Resource>(fixture: &str) -> Vec<Record> {
    let mut members: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(fixture).unwrap();
    let rows = decode::rows(&members.remove(T::LIST_KEY).unwrap(), T::ID, |row| T::read(row, None)).unwrap();
    rows.into_iter()
        .map(|row| match row {
            decode::Row::Read { decoded, .. } => decoded.value,
            decode::Row::Unreadable { error, .. } => panic!("{error}"),
        })
        .collect()
}

#[test]
fn orders_and_expenses_have_amounts_lines_and_their_own_words() {
    let (order, before) = read::<PurchaseOrder>(PURCHASE_ORDER, &[]);
    assert_eq!(
        (order.kind, order.status, order.total),
        (RecordKind::PurchaseOrder, Status::Open, usd("840"))
    );
    assert_eq!((order.number.as_deref(), order.lines.len()), (Some("PO-00061"), 1));
    assert_eq!(order.counterparty.unwrap().name, "Northgate Paper Co");
    for (word, expected) in [
        ("draft", Status::Draft),
        ("cancelled", Status::Void),
        ("billed", Status::Other("billed".into())),
        ("pending_approval", Status::PendingApproval),
    ] {
        let edit = (r#""status": "open""#, &*format!(r#""status": "{word}""#));
        let (order, revision) = read::<PurchaseOrder>(PURCHASE_ORDER, &[edit]);
        assert_eq!((order.status, revision != before), (expected, true), "{word}");
    }
    let (expense, _) = read::<Expense>(EXPENSE, &[]);
    assert_eq!((expense.total, expense.lines[0].amount), (usd("84.2"), usd("84.2")));
    assert_eq!(expense.status, Status::Other("nonbillable".into()));
    let rows = listed::<Expense>(include_str!("../../tests/fixtures/expenses-list.json"));
    let parties: Vec<_> = rows.into_iter().map(|row| row.counterparty.unwrap().name).collect();
    assert_eq!(
        parties,
        ["Bluebird Logistics", "Northgate Paper Co"],
        "the customer where no vendor is named"
    );
}

#[test]
fn what_a_contact_owes_and_an_account_holds_is_no_other_revision() {
    let (contact, before) = read::<Contact>(CONTACT, &[]);
    assert_eq!(contact.name.as_deref(), Some("Bluebird Logistics"));
    let owes = (r#""outstanding_receivable_amount": 1550.5"#, r#""outstanding_receivable_amount": 0"#);
    assert_eq!(read::<Contact>(CONTACT, &[owes]).1, before);
    let moved = (r#""website": """#, r#""website": "bluebird.example""#);
    assert_ne!(read::<Contact>(CONTACT, &[moved]).1, before);
    let account = |extra: &str| {
        let json = format!(
            r#"{{"chart_of_account":{{"account_id":"1","is_active":true,{extra}"account_code":"4000"}}}}"#
        );
        read::<Account>(&json, &[])
    };
    let (record, before) = account("");
    assert_eq!((&*record.vendor_status, record.number.as_deref()), ("active", Some("4000")));
    assert_eq!(account(r#""closing_balance":12.5,"transactions":[{"id":1}],"#).1, before);
}

#[test]
fn reference_rows_have_names_and_numbers() {
    let accounts = listed::<Account>(include_str!("../../tests/fixtures/chart-of-accounts-list.json"));
    assert_eq!(accounts[0].name.as_deref(), Some("Advance Tax"));
    let items = listed::<Item>(include_str!("../../tests/fixtures/items-list.json"));
    assert_eq!(
        (items[0].name.as_deref(), &*items[0].vendor_status),
        (Some("Dock Scheduling Plan"), "active")
    );
    let currencies = listed::<Currency>(include_str!("../../tests/fixtures/currencies-list.json"));
    assert_eq!((currencies[2].number.as_deref(), currencies[2].name.as_deref()), (Some("EUR"), Some("Euro")));
    let contacts = listed::<Contact>(include_str!("../../tests/fixtures/contacts-list.json"));
    assert_eq!(contacts[0].counterparty.as_ref().unwrap().id, Some(contacts[0].id.clone()));
}

#[test]
fn what_makes_a_change_is_written_down() {
    let documentation = include_str!("../../docs.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for kind in KINDS {
        let names: &[&str] = by_kind!(kind, T => T::MEANINGFUL, panic!("every kind is read"));
        let written = names
            .iter()
            .map(|name| format!("`{}`", name.trim_end_matches('#')))
            .collect::<Vec<_>>()
            .join(", ");
        assert!(documentation.contains(&format!(": {written}.")), "{}", kind.as_str());
    }
}

#[test]
fn an_amount_that_is_written_as_text_is_no_change() {
    let (_, before) = read::<Invoice>(INVOICE, &[]);
    let balance = |text: &str| read::<Invoice>(INVOICE, &[(r#""balance": 1250.5"#, text)]).1;
    assert_eq!(balance(r#""balance": "1250.50""#), before);
    assert_eq!(balance(r#""balance": "1250.5000""#), before);
    assert_ne!(balance(r#""balance": "1250.51""#), before);
}
