//! The built-in cards, compared with stored ones, and against arbitrary records.

use std::collections::BTreeSet;

use ml_connector_core::model::{
    Actor, Allocation, Change, Date, Decimal, DocumentRef, EntityRef, Event, Line, Money, Party, Record,
    RecordKind, Status,
};
use ml_connector_slack::message::{Brief, Cards, DigestTemplate, Message, Table, Template};
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use crate::support::{NOW, event, invoice};

/// Set to any value to write the stored cards anew; look at the difference before committing.
const REWRITE: &str = "MLC_REWRITE_SNAPSHOTS";

fn render(message: &Message) -> Value {
    assert_eq!(message.blocks().validate(), Ok(()));
    json!({"text": message.text(), "blocks": message.blocks()})
}

fn check(name: &str, event: &Event) {
    stored(name, &Cards.render(event));
}

/// Compares a message with the stored one of this name.
pub(crate) fn stored(name: &str, message: &Message) {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.json"));
    let rendered = serde_json::to_string_pretty(&render(message)).unwrap() + "\n";
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(rendered, stored, "{name}: run with {REWRITE}=1 and look at what changed");
}

fn usd(amount: &str) -> Option<Money> {
    Some(Money::parse(amount, "USD").unwrap())
}

pub(crate) fn line(description: &str, quantity: &str, amount: &str) -> Line {
    Line {
        description: description.into(),
        quantity: Some(Decimal::from_str_exact(quantity).unwrap()),
        amount: usd(amount),
        ..Line::default()
    }
}

pub(crate) fn bill() -> Record {
    let mut record = Record::new(RecordKind::Bill, "481500000000105001", Status::PendingApproval);
    record.number = Some("B-77".into());
    record.reference = Some("PO-9".into());
    record.counterparty = Some(Party { id: "1".into(), name: "Paper & Co".into() });
    record.total = usd("980");
    record.balance = usd("980");
    record.date = Some(Date::parse("2026-01-01").unwrap());
    record.due_date = Some(Date::parse("2026-01-31").unwrap());
    record.submitted_by = Some("Anna".into());
    record.url = Some("https://books.example/app#/bills/481500000000105001".into());
    record
}

fn payment(kind: RecordKind) -> Record {
    let mut record = Record::new(kind, "481500000000107001", Status::Paid);
    record.number = Some("15".into());
    record.counterparty = Some(Party { id: "1".into(), name: "Acme".into() });
    record.total = usd("1500");
    record.balance = usd("249.50");
    record.date = Some(Date::parse("2026-01-01").unwrap());
    record.payment_mode = Some("banktransfer".into());
    record.allocations = vec![Allocation {
        document: EntityRef::new("invoice", "481500000000103001"),
        number: "INV-000101".into(),
        amount: usd("1250.50").unwrap(),
    }];
    record
}

#[test]
fn cards_look_as_stored() {
    let with = |status: Status, balance: &str| {
        let mut record = invoice();
        record.status = status;
        record.balance = usd(balance);
        record
    };
    let mut created = with(Status::Draft, "1250.50");
    created.lines = (1..=13).map(|i| line(&format!("Consulting, part {i}"), "1.50", "96.19")).collect();
    check("invoice.created", &event(created, &[Change::Created]));
    check("invoice.updated", &event(with(Status::Open, "1250.50"), &[Change::Updated]));
    check("invoice.sent", &event(with(Status::Open, "1250.50"), &[Change::Sent, Change::Created]));
    check("invoice.partially_paid", &event(with(Status::PartiallyPaid, "250.50"), &[Change::PartiallyPaid]));
    check("invoice.paid", &event(with(Status::Paid, "0"), &[Change::Paid]));
    check(
        "invoice.overdue",
        &event(with(Status::Open, "1250.50"), &[Change::Overdue(1), Change::Overdue(7), Change::Updated]),
    );
    check("invoice.voided", &event(with(Status::Void, "1250.50"), &[Change::Voided]));
    check("invoice.deleted", &event(invoice(), &[Change::Deleted]));
    let mut unknown = event(invoice(), &[Change::Deleted]);
    unknown.record = None;
    check("invoice.deleted.unknown", &unknown);

    check("bill.submitted", &event(bill(), &[Change::Submitted]));
    let mut approved = bill();
    approved.status = Status::Open;
    check("bill.approved", &event(approved, &[Change::Approved]));
    let mut paid = bill();
    paid.status = Status::Paid;
    paid.balance = usd("0");
    check("bill.paid", &event(paid, &[Change::Paid]));

    let mut order = Record::new(RecordKind::PurchaseOrder, "481500000000109001", Status::Open);
    order.number = Some("PO-9".into());
    order.counterparty = Some(Party { id: "1".into(), name: "Paper & Co".into() });
    order.total = usd("480");
    order.date = Some(Date::parse("2026-01-01").unwrap());
    order.lines = vec![line("Paper, A4", "40", "480")];
    check("purchase_order.sent", &event(order, &[Change::Sent]));

    let mut expense = Record::new(RecordKind::Expense, "481500000000111001", Status::Open);
    expense.counterparty = Some(Party { id: "1".into(), name: "Rail".into() });
    expense.total = usd("84.20");
    expense.date = Some(Date::parse("2026-01-01").unwrap());
    expense.payment_mode = Some("Company card".into());
    expense.reference = Some("Trip to Utrecht".into());
    check("expense.created", &event(expense, &[Change::Created]));

    let mut journal = Record::new(RecordKind::JournalEntry, "481500000000113001", Status::Open);
    journal.number = Some("JE-12".into());
    journal.date = Some(Date::parse("2026-01-31").unwrap());
    journal.total = usd("1200");
    journal.url = Some("https://books.example/app#/journals/481500000000113001".into());
    journal.lines = [
        ("Rent, January", "4100 Rent", "HQ", "800"),
        ("", "4100 Rent", "Lab", "400"),
        ("Accrued", "1800 Accruals", "", "-1200"),
    ]
    .map(|(description, account, center, amount)| Line {
        quantity: None,
        account: Some(account.into()),
        cost_center: Some(center.into()).filter(|center: &String| !center.is_empty()),
        ..line(description, "1", amount)
    })
    .to_vec();
    check("journal_entry.created", &event(journal, &[Change::Created]));

    check("customer_payment.created", &event(payment(RecordKind::CustomerPayment), &[Change::Created]));
    check("vendor_payment.created", &event(payment(RecordKind::VendorPayment), &[Change::Created]));
    let mut other = Record::new(RecordKind::from("credit_note"), "9", Status::Other("in_review".into()));
    other.total = Some(Money::parse("1234567", "JPY").unwrap());
    check("credit_note.created", &event(other, &[Change::Created]));
}

#[test]
fn what_became_of_the_connector_s_own_work_looks_as_stored() {
    let outcome = |kind: &str, id: &str, change, reason: &str| {
        let entity = EntityRef::new(kind, id);
        let mut event = Event::new("slack".into(), entity, 1, BTreeSet::from([change]), NOW, None);
        event.reason = Some(reason.into()).filter(|_| !reason.is_empty());
        event
    };
    let why = "slack.chat_post_message: not_found: the channel does not exist (code=channel_not_found)";
    let mut dead = outcome("delivery", "17", Change::Dead, why);
    dead.about = Some(EntityRef::new("invoice", "481500000000103001"));
    check("delivery.dead", &dead);
    check(
        "connection.parked",
        &outcome("connection", "books", Change::Parked, "unauthenticated: connect it again"),
    );
    check("connection.resumed", &outcome("connection", "books", Change::Resumed, ""));
}

#[test]
fn a_hostile_record_pings_and_styles_nobody() {
    let evil = "<!channel> *x* <https://evil.example|Approve> &amp; :skull:\u{202e}";
    let mut record = bill();
    record.counterparty = Some(Party { id: "1".into(), name: evil.into() });
    record.number = Some(evil.into());
    record.reference = Some(evil.into());
    record.url = Some("javascript:alert(1)".into());
    record.lines = vec![line(evil, "1", "1")];
    let event = event(record, &[Change::Submitted]);
    check("bill.hostile", &event);
    each_object(&render(&Cards.render(&event))["blocks"], &mut |object| {
        let text = object["text"].as_str().unwrap_or_default();
        match object["type"].as_str() {
            Some("mrkdwn") => {
                assert_eq!(object["verbatim"], true);
                assert!(!text.contains("evil"), "untrusted text is never markup: {text}");
            }
            Some("plain_text") => {
                assert_eq!(object["emoji"], false);
                assert!(!text.contains(['<', '>']), "{text}");
            }
            _ => {}
        }
    });
}

fn each_object(value: &Value, visit: &mut impl FnMut(&Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_object(item, visit)),
        Value::Object(fields) => {
            visit(value);
            fields.values().for_each(|field| each_object(field, visit));
        }
        _ => {}
    }
}

/// Short, long, odd and control characters, and everything that means something to Slack.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[&<>|*_~`:@# \n\u{0}\u{202e}\u{200b}a]{0,200}",
        (1_usize..6000, "[&<é😀 x]").prop_map(|(times, text)| text.repeat(times)),
    ]
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop_oneof![Just("USD"), Just("JPY"), Just("KWD")];
    (any::<i64>(), 0_u32..8, currency).prop_map(|(digits, scale, currency)| {
        let amount = Decimal::new(digits, scale).to_string();
        Money::parse(&amount, currency).unwrap()
    })
}

prop_compose! {
    fn record()(
        kind in prop_oneof![
            Just("invoice"), Just("bill"), Just("customer_payment"), Just("vendor_payment"), Just("journal_entry"),
            Just("approval"), Just("answer"), Just("action"), Just("reaction"), Just("x_y"), Just("")
        ],
        id in text(),
        texts in collection::vec(option::of(text()), 12),
        status in text(),
        total in option::of(money()),
        balance in option::of(money()),
        lines in collection::vec((text(), option::of(money())), 0..40),
        allocations in collection::vec((text(), money()), 0..40),
        url in option::of(prop_oneof![
            text(),
            text().prop_map(|path| format!("https://x.example/{path}")),
            // At the edge of what a link, and the text around it, may be long.
            (2940_usize..3010).prop_map(|units| format!("https://x.example/{}", "a".repeat(units - 18))),
        ]),
    ) -> Record {
        let mut record = Record::new(RecordKind::from(kind), id, Status::from(&*status));
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        record.number = next();
        record.reference = next();
        record.payment_mode = next();
        record.submitted_by = next();
        record.counterparty = next().map(|name| Party { id: "1".into(), name });
        record.note = next();
        record.tags = next().into_iter().collect();
        record.actor = next().map(|id| {
            let mut actor = Actor::new("slack", id);
            actor.name = next();
            actor
        });
        record.about = next().map(|id| DocumentRef {
            connection: "books".into(),
            entity: EntityRef::new("bill", id),
            n: 1,
        });
        record.total = total;
        record.balance = balance;
        record.due_date = Some(Date::parse("2026-03-04").unwrap());
        record.lines = lines
            .into_iter()
            .map(|(description, amount)| Line {
                account: Some(description.clone()),
                cost_center: Some(description.clone()),
                description,
                amount,
                quantity: amount.map(|money| money.amount),
                ..Line::default()
            })
            .collect();
        record.allocations = allocations
            .into_iter()
            .map(|(number, amount)| Allocation { document: EntityRef::new("invoice", "1"), number, amount })
            .collect();
        record.url = url;
        record
    }
}

const CHANGES: [Change; 17] = [
    Change::Deleted,
    Change::Voided,
    Change::Paid,
    Change::Overdue(30),
    Change::Approved,
    Change::Rejected,
    Change::Submitted,
    Change::Sent,
    Change::PartiallyPaid,
    Change::Created,
    Change::Updated,
    Change::Posted,
    Change::Refused,
    Change::Expired,
    Change::Superseded,
    Change::Requested,
    Change::Reminded,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_record_becomes_a_message_that_slack_takes_and_that_pings_nobody(
        record in record(),
        changes in proptest::sample::subsequence(CHANGES.to_vec(), 1..=CHANGES.len()),
    ) {
        let changes = changes.into_iter().collect();
        let event = Event::new("books".into(), record.entity(), 1, changes, NOW, Some(Box::new(record)));
        let digest = [&event; 50];
        for message in [Cards.render(&event), Brief.render(&event), Table.render(&digest)] {
            prop_assert_eq!(message.blocks().validate(), Ok(()));
            prop_assert!(!message.text().contains(['<', '>']));
            prop_assert!(!message.text().trim().is_empty());
            prop_assert!(message.text().encode_utf16().count() <= 4000);
            let json = serde_json::to_string(message.blocks()).unwrap();
            prop_assert!(!["<!channel", "<!here", "<!everyone", "<!subteam"].iter().any(|ping| json.contains(ping)));
        }
    }
}
