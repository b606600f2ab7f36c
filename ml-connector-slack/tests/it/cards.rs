//! The built-in cards, compared with stored ones, and against arbitrary records.

use std::collections::BTreeSet;

use ml_connector_core::model::{
    Action, Actor, Allocation, Approval, ApprovalStatus, Attachment, Before, Change, CodeName, Content, Date,
    Decimal, Decision, DocumentRef, EntityRef, Event, Interaction, LiesIn, Line, Money, Party, Person,
    PostedDocument, PrivateAnswer, Reaction, Record, RecordKind, Refusal, Reply, Side, Status,
};
use ml_connector_slack::message::{Brief, Cards, DigestTemplate, Message, Table, Template};
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use crate::support::{NOW, event, invoice};

/// Set to any value to write the stored cards anew; look at the difference before committing.
const REWRITE: &str = "MLC_REWRITE_SNAPSHOTS";

fn render(message: &Message) -> Value {
    assert_eq!(message.blocks().validate(), Ok(()));
    let bytes = serde_json::to_vec(message.blocks()).unwrap().len();
    assert!(bytes <= 13_000, "{bytes}");
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
    record.counterparty = Some(Party { id: Some("1".into()), name: "Paper & Co".into() });
    record.total = usd("980");
    record.balance = usd("980");
    record.date = Some(Date::parse("2026-01-01").unwrap());
    record.due_date = Some(Date::parse("2026-01-31").unwrap());
    record.submitted_by = Some(Person::named("Anna"));
    record.url = Some("https://books.example/app#/bills/481500000000105001".into());
    record
}

fn payment(kind: RecordKind) -> Record {
    let mut record = Record::new(kind, "481500000000107001", Status::Paid);
    record.number = Some("15".into());
    record.counterparty = Some(Party { id: Some("1".into()), name: "Acme".into() });
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
    unknown.content = None;
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
    order.counterparty = Some(Party { id: Some("1".into()), name: "Paper & Co".into() });
    order.total = usd("480");
    order.date = Some(Date::parse("2026-01-01").unwrap());
    order.lines = vec![line("Paper, A4", "40", "480")];
    check("purchase_order.sent", &event(order, &[Change::Sent]));

    let mut expense = Record::new(RecordKind::Expense, "481500000000111001", Status::Open);
    expense.counterparty = Some(Party { id: Some("1".into()), name: "Rail".into() });
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
        account: Some(CodeName::named(account)),
        cost_center: Some(CodeName::named(center)).filter(|_| !center.is_empty()),
        ..line(description, "1", amount)
    })
    .to_vec();
    check("journal_entry.created", &event(journal.clone(), &[Change::Created]));
    // Entries of two sides; many lines over cost centers are summed.
    for (line, side) in journal.lines.iter_mut().zip([Side::Debit, Side::Debit, Side::Credit]) {
        line.side = Some(side);
        line.amount = line.amount.map(|money| Money::new(money.amount.abs(), money.currency));
    }
    check("journal_entry.sides", &event(journal, &[Change::Created]));
    let mut spread = bill();
    spread.lines = (0..12)
        .map(|n| Line {
            cost_center: (n % 3 > 0).then(|| CodeName::named(format!("Center {}", n % 3))),
            ..line("Part", "1", "10.50")
        })
        .collect();
    spread.base_total = Some(Money::parse("901.6", "EUR").unwrap());
    spread.exchange_rate = Some(Decimal::from_str_exact("0.92").unwrap());
    spread.assignee = Some(Person::named("Cora"));
    spread.attachments = vec![
        Attachment { id: None, name: "scan.pdf".into(), url: Some("https://books.example/f/1".into()) },
        Attachment { id: None, name: "note.txt".into(), url: None },
    ];
    check("bill.spread", &event(spread, &[Change::Created]));

    check("customer_payment.created", &event(payment(RecordKind::CustomerPayment), &[Change::Created]));
    let mut refunded = event(payment(RecordKind::CustomerPayment), &[Change::Updated]);
    let mut before = Before::default();
    (before.total, before.due_date) = (usd("500"), Some(Date::parse("2026-01-15").unwrap()));
    refunded.before = Some(before);
    check("customer_payment.refunded", &refunded);
    check("vendor_payment.created", &event(payment(RecordKind::VendorPayment), &[Change::Created]));
    let mut other = Record::new(RecordKind::CreditNote, "9", Status::Other("in_review".into()));
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
    record.counterparty = Some(Party { id: Some("1".into()), name: evil.into() });
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

/// A text in which nothing is to be seen is not the same as none.
#[test]
fn a_text_of_invisible_characters_only_is_shown_as_such() {
    let invisible =
        ["\u{200b}\u{2060}", "\u{feff}", "\u{3164}", "\u{2800} \u{ad}", "\u{0}\u{7}", "\u{200d}\u{fe0f}"];
    for text in invisible {
        let mut record = bill();
        record.number = Some(text.into());
        record.counterparty = Some(Party { id: None, name: text.into() });
        record.subject = Some(text.into());
        record.lines = vec![line(text, "1", "1")];
        let message = Cards.render(&event(record.clone(), &[Change::Created]));
        assert_eq!(message.text(), "Bill (invisible text) created: (invisible text), 980.00 USD", "{text:?}");
        let card = serde_json::to_string(message.blocks()).unwrap();
        assert_eq!(card.matches("(invisible text)").count(), 5, "{card}");
        let mut approval = approval(record);
        let mut decision = Decision::new(Actor::new("slack", "U07APPROV1"), NOW);
        decision.reason = Some(text.into());
        (approval.status, approval.decision) = (ApprovalStatus::Rejected, Some(decision));
        let card = serde_json::to_string(Cards.render(&about(approval)).blocks()).unwrap();
        assert!(card.contains("Reason") && card.contains("(invisible text)"), "{card}");
    }
    // What is seen stays as it is, with what belongs to it.
    for (text, seen) in [("👩\u{200d}💻", "👩\u{200d}💻"), ("A\u{200b}B", "AB"), ("\u{fe0f}x", "\u{fe0f}x")]
    {
        let mut record = bill();
        record.number = Some(text.into());
        let message = Cards.render(&event(record, &[Change::Created]));
        assert!(message.text().starts_with(&format!("Bill {seen} created")), "{}", message.text());
    }
    // A blank is no text.
    let mut record = bill();
    (record.number, record.subject) = (Some(" ".into()), Some(String::new()));
    let message = Cards.render(&event(record, &[Change::Created]));
    assert!(message.text().starts_with("Bill created"), "{}", message.text());
}

fn approval(record: Record) -> Approval {
    let document = DocumentRef { connection: "books-eu".into(), entity: record.entity(), n: 1 };
    Approval::new("1-x".into(), document, Box::new(record), NOW)
}

fn about(approval: Approval) -> Event {
    let (entity, content) = told(Interaction::Approval(approval));
    Event::new("approvals".into(), entity, 1, [Change::Requested].into(), NOW, Some(content))
}

/// What has no number, or one beside its name, is told with its name.
#[test]
fn items_and_accounts_are_told_with_their_names() {
    for (kind, number, name, told) in [
        (RecordKind::Item, None, "Paper, A4", "Item Paper, A4 updated"),
        (RecordKind::Account, Some("4100"), "Rent", "Account 4100 Rent updated"),
        (RecordKind::Contact, None, "Paper & Co", "Contact Paper &amp; Co updated"),
    ] {
        let mut record = Record::new(kind, "481500000000115001", Status::Open);
        (record.number, record.name) = (number.map(str::to_owned), Some(name.to_owned()));
        let message = Cards.render(&event(record, &[Change::Updated]));
        assert_eq!(message.text(), told);
        let card = serde_json::to_string(message.blocks()).unwrap();
        assert!(!card.contains("481500000000115001"), "no id of the vendor's: {card}");
    }
}

/// Where a channel is told of several organizations, a headline says of which one it is. Elsewhere it does not.
#[test]
fn headlines_of_two_organizations_in_one_channel_differ() {
    let of = |connection: &str, of_several: bool| {
        let mut event = event(bill(), &[Change::Created]);
        (event.connection, event.of_several) = (connection.into(), of_several);
        event
    };
    let headline = |message: &Message| render(message)["blocks"][0]["text"]["text"].clone();
    for template in [&Cards as &dyn Template, &Brief] {
        assert_eq!(
            template.render(&of("books", true)).text(),
            "Bill B-77 created (books): Paper &amp; Co, 980.00 USD"
        );
        assert_eq!(
            template.render(&of("books-eu", false)).text(),
            "Bill B-77 created: Paper &amp; Co, 980.00 USD"
        );
    }
    assert_eq!(headline(&Cards.render(&of("books-eu", true))), "Bill B-77 created (books-eu)");
    let mut asked = about(approval(bill()));
    asked.of_several = true;
    let card = Cards.render(&asked);
    assert_eq!(headline(&card), "Bill B-77 needs approval (books-eu)", "the document's, not the approvals'");
    assert!(!serde_json::to_string(card.blocks()).unwrap().contains("approvals ·"), "nor in small type");

    let (us, eu) = (of("books", true), of("books-eu", true));
    let same = Table.render(&[&us, &us]);
    assert_eq!(headline(&same), "Bill created: 2 (books)");
    let both = serde_json::to_string(Table.render(&[&us, &eu]).blocks()).unwrap();
    assert!(both.contains("\"Books\"") && both.contains("books-eu"), "{both}");
    let one = serde_json::to_string(Table.render(&[&of("books", false); 2]).blocks()).unwrap();
    assert!(!one.contains("\"Books\"") && !one.contains("(books)"), "{one}");
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
            Just("account"), Just("x_y"), Just("")
        ],
        id in text(),
        texts in collection::vec(option::of(text()), 13),
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
        record.submitted_by = next().map(Person::named);
        record.assignee = next().map(Person::named);
        record.name = next();
        record.subject = next();
        record.journal = next().map(CodeName::named);
        record.base_total = balance;
        record.attachments = next()
            .into_iter()
            .map(|name| Attachment { id: None, name, url: url.clone() })
            .collect();
        record.counterparty = next().map(|name| Party { id: Some("1".into()), name });
        record.tags = next().into_iter().collect();
        record.total = total;
        record.balance = balance;
        record.due_date = Some(Date::parse("2026-03-04").unwrap());
        record.lines = lines
            .into_iter()
            .enumerate()
            .map(|(i, (description, amount))| Line {
                account: Some(CodeName::named(&*description)),
                cost_center: Some(CodeName::named(&*description)),
                side: [None, Some(Side::Debit), Some(Side::Credit)][i % 3],
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

prop_compose! {
    /// The same as people meet it: a document, a request, an answer, a click, an emoji.
    fn content()(
        record in record(),
        form in 0_usize..6,
        texts in collection::vec(text(), 5),
        status in proptest::sample::select(vec![
            ApprovalStatus::Requested, ApprovalStatus::Posted, ApprovalStatus::Refused, ApprovalStatus::Rejected,
            ApprovalStatus::PartiallyApproved, ApprovalStatus::DoneElsewhere,
        ]),
    ) -> (EntityRef, Content) {
        let [id, name, reason, code, number] = <[String; 5]>::try_from(texts).unwrap();
        let document = DocumentRef { connection: "books".into(), entity: EntityRef::new("bill", &*id), n: 1 };
        let mut actor = Actor::new("slack", &*id);
        actor.name = Some(name);
        match form {
            0 => {
                let mut approval = Approval::new("1-x".into(), document, Box::new(record), NOW);
                approval.status = status;
                let mut decision = Decision::new(actor, NOW);
                decision.reason = Some(reason);
                approval.decision = Some(decision);
                let mut refusal = Refusal::new(code);
                refusal.lies_in = LiesIn::Elsewhere;
                approval.refusal = Some(refusal);
                let mut result = PostedDocument::of(&approval.shown);
                result.number = Some(number);
                approval.result = Some(result);
                told(Interaction::Approval(approval))
            }
            1 => told(Interaction::Answer(PrivateAnswer::new(actor, Reply::Unknown, reason))),
            2 => {
                let mut action = Action::new(code, actor, NOW);
                (action.text, action.about) = (Some(reason), Some(document));
                told(Interaction::Action(action))
            }
            3 => told(Interaction::Reaction(Reaction::new(&code, actor, document, NOW))),
            _ => (record.entity(), record.into()),
        }
    }
}

fn told(done: Interaction) -> (EntityRef, Content) {
    (EntityRef::new(done.kind(), "5d1c0f7e3a604c1e9a532f6f0f3f7a10"), done.into())
}

const CHANGES: [Change; 19] = [
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
    Change::PartiallyApproved,
    Change::DoneElsewhere,
];

/// Emoji take four bytes each, quotes two, and an ampersand five.
#[test]
fn a_card_of_the_longest_texts_stays_below_the_bytes_that_slack_takes_and_shows_what_it_can() {
    for filler in ["🧾", "\"", "&", "é", "x"] {
        let long = filler.repeat(3000);
        let mut record = bill();
        record.number = Some(long.clone());
        record.reference = Some(long.clone());
        record.subject = Some(long.clone());
        record.payment_mode = Some(long.clone());
        record.tags = vec![long.clone(); 3];
        record.counterparty = Some(Party { id: Some("1".into()), name: long.clone() });
        record.url = Some(format!("https://books.example/{}", "a".repeat(900)));
        record.lines = (0..40).map(|n| line(&format!("{n}{long}"), "1", "10")).collect();
        record.attachments =
            (0..9).map(|_| Attachment { id: None, name: long.clone(), url: record.url.clone() }).collect();
        let rendered = Cards.render(&event(record.clone(), &[Change::Submitted]));
        let json = serde_json::to_string(rendered.blocks()).unwrap();
        assert!(json.len() <= 13_000 && rendered.text().len() <= 4000, "{filler}: {}", json.len());
        assert!(
            json.contains("\"table\"") && json.contains(" more in "),
            "{filler}: lines are shown, and how many are not"
        );

        let document = DocumentRef { connection: "books".into(), entity: record.entity(), n: 1 };
        let mut approval = Approval::new("1-x".into(), document, Box::new(record), NOW);
        for status in [ApprovalStatus::Requested, ApprovalStatus::Refused, ApprovalStatus::Rejected] {
            approval.status = status;
            let mut actor = Actor::new("slack", "U07APPROV1");
            actor.name = Some(long.clone());
            let mut decision = Decision::new(actor, NOW);
            decision.reason = Some(long.clone());
            approval.decision = Some(decision);
            let mut refusal = Refusal::new(long.clone());
            (refusal.sentence, refusal.lies_in) = (Some(long.clone()), LiesIn::Elsewhere);
            approval.refusal = Some(refusal);
            let (entity, content) = told(Interaction::Approval(approval.clone()));
            let event = Event::new("books".into(), entity, 1, [Change::Requested].into(), NOW, Some(content));
            let blocks = Cards.render(&event).blocks().clone();
            assert_eq!(blocks.validate(), Ok(()));
            let bytes = serde_json::to_vec(&blocks).unwrap().len();
            assert!(bytes <= 13_000, "{filler} {status:?}: {bytes}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_record_becomes_a_message_that_slack_takes_and_that_pings_nobody(
        (entity, content) in content(),
        changes in proptest::sample::subsequence(CHANGES.to_vec(), 1..=CHANGES.len()),
    ) {
        let changes = changes.into_iter().collect();
        let event = Event::new("books".into(), entity, 1, changes, NOW, Some(content));
        let digest = [&event; 50];
        prop_assert!(serde_json::to_vec(Cards.render(&event).blocks()).unwrap().len() <= 13_000);
        for message in [Cards.render(&event), Brief.render(&event), Table.render(&digest)] {
            prop_assert_eq!(message.blocks().validate(), Ok(()));
            prop_assert!(!message.text().contains(['<', '>']));
            prop_assert!(!message.text().trim().is_empty());
            prop_assert!(message.text().len() <= 4000);
            let json = serde_json::to_string(message.blocks()).unwrap();
            prop_assert!(!["<!channel", "<!here", "<!everyone", "<!subteam"].iter().any(|ping| json.contains(ping)));
        }
    }
}
