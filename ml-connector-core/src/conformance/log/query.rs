//! Finding entries.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use super::{
    MINUTE, NOON, append, apply, apply_at, child_of, done, entry, find, find_seqs, named, read, settle,
    signal,
};
use crate::{
    AuditLog, Error, ErrorKind,
    audit::{Entry, EntryKind, EntryState, Index, NewEntry, Outcome, Parent, Query, Transaction},
    model::{ConnectionId, Currency, EntityRef, Money, Partition, Seq},
};

fn amounting(entry: NewEntry, amount: &str, currency: &str) -> NewEntry {
    NewEntry { index: Index { amount: Some(money(amount, currency)), ..entry.index }, ..entry }
}

fn to(entry: NewEntry, destination: &str) -> NewEntry {
    NewEntry { index: Index { destination: Some(destination.into()), ..entry.index }, ..entry }
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a well-formed currency")
}

fn money(amount: &str, currency: &str) -> Money {
    Money::parse(amount, currency).expect("a well-formed amount")
}

fn query() -> Query {
    Query::default()
}

/// Every field, also with text from anywhere and any bytes; the body only when asked for.
pub async fn an_entry_comes_back_as_it_was_appended(log: &dyn AuditLog) {
    let index = Index {
        entity: Some(EntityRef::new("cash/flow", "ä'\"/%")),
        number: Some("№ 7;--".into()),
        name: Some("invoice.paid".into()),
        amount: Some(money("-12345678901234567890.0987", "EUR")),
        destination: Some("channel:ä'%".into()),
    };
    let body = Bytes::from_static(b"\0\xff{}");
    let trace = Bytes::from_static(b"\xff\0");
    let new = NewEntry {
        partition: Partition::new(63),
        connection: ConnectionId::from("zoho-eu_2"),
        index: index.clone(),
        body: Some(body.clone()),
        trace: Some(trace.clone()),
        ..entry(EntryKind::Event)
    };
    let seq = apply(log, append([new.clone()])).await[0];
    let expected = Entry {
        index,
        state: EntryState::Done,
        body: Some(body),
        trace: Some(trace),
        ..Entry::new(seq, new.partition, new.kind, new.connection.clone(), NOON)
    };
    assert_eq!(read(log, seq).await, expected);
    let without = find(log, &query()).await;
    assert_eq!(without, [Entry { body: None, trace: None, ..expected }], "bodies come only when asked for");

    let empty = apply(log, append([NewEntry { body: Some(Bytes::new()), ..signal() }])).await[0];
    assert_eq!(read(log, empty).await.body, Some(Bytes::new()), "an empty body is a body");
    let absent = apply(log, append([signal()])).await[0];
    assert_eq!(read(log, absent).await.body, None);
}

/// A query that names bytes is answered by no more entries than these need, by one at least, and the next query goes on
/// behind the last of them.
pub async fn bodies_are_read_by_their_bytes(log: &dyn AuditLog) {
    let body = |n: usize| Some(Bytes::from(vec![b'x'; n]));
    let entries = [10, 10, 500, 10, 0].map(|n| NewEntry { body: body(n), ..signal() });
    let mut seqs = Vec::new();
    for entry in entries {
        seqs.push(apply(log, append([entry])).await[0]);
    }
    for (max_bytes, first, expected) in [
        (0, 0, 1),
        (1, 0, 1),
        (10, 0, 1),
        (11, 0, 2),
        (21, 0, 3),
        (520, 0, 3),
        (521, 0, 4),
        (531, 0, 5),
        (1, 2, 1),
    ] {
        let query = Query::entries(seqs[first..].to_vec()).with_max_bytes(max_bytes);
        let read: Vec<_> = find(log, &query).await.iter().map(|entry| entry.seq).collect();
        assert_eq!(read, seqs[first..first + expected], "{max_bytes} bytes");
    }
}

/// Each criterion leaves out what does not match it; several leave out what misses one of them.
pub async fn every_criterion_narrows(log: &dyn AuditLog) {
    let other = NewEntry {
        connection: ConnectionId::from("other"),
        ..named(EntryKind::Event, "1", "INV-1", "invoice.paid")
    };
    let entries = [
        NewEntry { lane: Some(1), ..named(EntryKind::Signal, "1", "INV-1", "hint") },
        amounting(named(EntryKind::Event, "1", "INV-1", "invoice.paid"), "-2.50", "EUR"),
        amounting(other, "9", "EUR"),
        amounting(named(EntryKind::Event, "2", "INV-2", "invoice.sent"), "100.00", "USD"),
        to(NewEntry { lane: Some(2), ..named(EntryKind::Delivery, "2", "INV-2", "overdue") }, "channel:a"),
        to(NewEntry { lane: Some(2), ..named(EntryKind::Delivery, "1", "INV-1", "overdue") }, "channel:b"),
        amounting(entry(EntryKind::Note), "0", "EUR"),
    ];
    let mut seqs = Vec::new();
    for (entry, minutes) in entries.into_iter().zip(0..) {
        seqs.push(apply_at(log, append([entry]), NOON + MINUTE * minutes).await[0].seq());
    }
    let receipt = |receipt: &str| Outcome::Done { receipt: Some(receipt.into()) };
    let again = Outcome::Retry {
        attempt: 1,
        due: NOON,
        error: "unavailable: 100 % of it (code=no_%_sign)".into(),
        uncertain: false,
        note: None,
    };
    let outcomes = [(seqs[4], again), (seqs[4], receipt("message/1")), (seqs[5], receipt("message/2"))];
    apply(log, settle(outcomes)).await;

    let books = ConnectionId::from("books");
    let first = || EntityRef::new("invoice", "1");
    let bill = EntityRef::new("bill", "1");
    let cases: &[(&str, Query, &[usize])] = &[
        ("nothing", query(), &[0, 1, 2, 3, 4, 5, 6]),
        ("connection", query().with_connection(books.clone()), &[0, 1, 3, 4, 5, 6]),
        ("unknown connection", query().with_connection("none".into()), &[]),
        ("signals", Query::of_kind(EntryKind::Signal), &[0]),
        ("events", Query::of_kind(EntryKind::Event), &[1, 2, 3]),
        ("deliveries", Query::of_kind(EntryKind::Delivery), &[4, 5]),
        ("notes", Query::of_kind(EntryKind::Note), &[6]),
        ("entity", query().with_entity(first()), &[0, 1, 2, 5]),
        ("entity of another kind", query().with_entity(bill), &[]),
        ("number", Query { number: Some("INV-2".into()), ..query() }, &[3, 4]),
        ("name", Query { name: Some("overdue".into()), ..query() }, &[4, 5]),
        ("receipt", query().with_receipt("message/2"), &[5]),
        ("unknown receipt", query().with_receipt("message/3"), &[]),
        ("receipt prefix", query().with_receipt_prefix("message/"), &[4, 5]),
        ("longer receipt prefix", query().with_receipt_prefix("message/2"), &[5]),
        ("unknown receipt prefix", query().with_receipt_prefix("essage"), &[]),
        ("every receipt", query().with_receipt_prefix(""), &[4, 5]),
        ("destination", query().with_destination("channel:b"), &[5]),
        ("unknown destination", query().with_destination("channel:"), &[]),
        ("amount from", query().with_amount_from(9.into()), &[2, 3]),
        ("amount to", query().with_amount_to(9.into()), &[1, 2, 6]),
        ("amount from and to", query().with_amount_from((-3).into()).with_amount_to(8.into()), &[1, 6]),
        ("exact amount", query().with_amount_from(100.into()).with_amount_to(100.into()), &[3]),
        ("currency", query().with_currency(currency("EUR")), &[1, 2, 6]),
        ("amount and currency", query().with_amount_from(9.into()).with_currency(currency("EUR")), &[2]),
        ("visible connections", query().within([books.clone(), "none".into()]), &[0, 1, 3, 4, 5, 6]),
        ("a connection named twice", query().within([books.clone(), books.clone()]), &[0, 1, 3, 4, 5, 6]),
        ("no visible connection", query().within([]), &[]),
        ("an invisible connection", query().with_connection("other".into()).within([books.clone()]), &[]),
        ("visible deliveries", Query::of_kind(EntryKind::Delivery).within([books.clone()]), &[4, 5]),
        (
            "visible work",
            query().with_state(EntryState::Pending).within([books.clone(), "other".into()]),
            &[0],
        ),
        ("no visible work", query().with_state(EntryState::Pending).within(["other".into()]), &[]),
        (
            "visible work of a connection",
            query().with_state(EntryState::Pending).with_connection(books.clone()).within([books.clone()]),
            &[0],
        ),
        ("work that is not visible", query().with_state(EntryState::Pending).within([]), &[]),
        ("connection and kind", Query::of_kind(EntryKind::Event).with_connection(books.clone()), &[1, 3]),
        ("error", query().with_error("no_%_sign"), &[4]),
        ("unknown error", query().with_error("no_x_sign"), &[]),
        ("from", Query { from: Some(NOON + MINUTE * 5), ..query() }, &[5, 6]),
        ("to", Query { to: Some(NOON + MINUTE), ..query() }, &[0]),
        ("from and to", Query { from: Some(NOON + MINUTE), to: Some(NOON + MINUTE * 3), ..query() }, &[1, 2]),
        ("entity and connection", query().with_entity(first()).with_connection(books), &[0, 1, 5]),
        ("entity and kind", Query::of_kind(EntryKind::Event).with_entity(first()), &[1, 2]),
        ("signals of an entity", Query::of_kind(EntryKind::Signal).with_entity(first()), &[0]),
        (
            "number and state",
            Query { number: Some("INV-1".into()), ..query() }.with_state(EntryState::Pending),
            &[0],
        ),
        ("receipt and entity", query().with_receipt("message/1").with_entity(first()), &[]),
        ("receipt and state", query().with_receipt("message/1").with_state(EntryState::Done), &[4]),
    ];
    for (what, query, expected) in cases {
        if is_refused(log, query).await {
            continue;
        }
        let mut expected: Vec<Seq> = expected.iter().map(|position| seqs[*position]).collect();
        assert_eq!(find_seqs(log, query).await, expected, "by {what}");
        expected.reverse();
        let newest_first = Query { newest_first: true, ..query.clone() };
        assert_eq!(find_seqs(log, &newest_first).await, expected, "by {what}, newest first");
        let count = log.count(&newest_first.with_limit(1), 100).await.expect("the query is counted");
        assert_eq!(count, expected.len(), "counted by {what}, without a limit");
    }
}

/// Whether the log refuses a criterion that a log may refuse because it is encrypted; it says so whatever is asked.
async fn is_refused(log: &dyn AuditLog, query: &Query) -> bool {
    let by_amount = query.amount_from.is_some() || query.amount_to.is_some() || query.currency.is_some();
    let is_unsupported = |error: Error| error.kind() == ErrorKind::Unsupported;
    let refused = log.query(query).await.is_err_and(is_unsupported);
    assert!(!refused || by_amount || query.receipt_prefix.is_some(), "{query:?} is searched by in every log");
    assert_eq!(
        log.count(query, 9).await.is_err_and(is_unsupported),
        refused,
        "{query:?} is counted by if searched"
    );
    refused
}

/// What is beyond the cap is not counted, and not looked at.
pub async fn counting_ends_at_its_cap(log: &dyn AuditLog) {
    let seqs = apply(log, append((0..7).map(|_| signal()))).await;
    let dead = |seq: &Seq| (*seq, Outcome::Dead { error: "gone".into() });
    apply(log, settle(seqs[..5].iter().map(dead))).await;
    let all = query();
    let dead = query().with_state(EntryState::Dead).with_connection(ConnectionId::from("books"));
    for (query, cap, expected) in [(&all, 3, 3), (&all, 100, 7), (&all, 0, 0), (&dead, 4, 4), (&dead, 9, 5)] {
        assert_eq!(log.count(query, cap).await.expect("it is counted"), expected, "{query:?} up to {cap}");
    }
    let rest = Query { after: Some(seqs[4]), ..query() };
    assert_eq!(log.count(&rest, 100).await.expect("it is counted"), 2, "what is left after a page");
}

/// An entry is found under the state it is in, and under no other.
pub async fn states_are_told_apart(log: &dyn AuditLog) {
    let error: Arc<str> = "unavailable".into();
    let mut entries = vec![signal(); 7];
    entries.push(entry(EntryKind::Event));
    let seqs = apply(log, append(entries)).await;
    let retry = |due| Outcome::Retry { attempt: 1, due, error: error.clone(), uncertain: false, note: None };
    let outcomes = [
        (1, Outcome::Begun { attempt: 1, note: None }),
        (2, retry(NOON)),
        (3, Outcome::Parked { error: error.clone() }),
        (4, done()),
        (5, retry(NOON)),
        (5, Outcome::Dead { error: error.clone() }),
        (6, Outcome::Dropped { reason: error.clone() }),
    ];
    apply(log, settle(outcomes.map(|(position, outcome)| (seqs[position], outcome)))).await;
    let cases: [(EntryState, &[usize]); 5] = [
        (EntryState::Pending, &[0, 1, 2]),
        (EntryState::Parked, &[3]),
        (EntryState::Done, &[4, 7]),
        (EntryState::Dead, &[5]),
        (EntryState::Dropped, &[6]),
    ];
    for (state, expected) in cases {
        let found = find(log, &query().with_state(state)).await;
        assert!(found.iter().all(|entry| entry.state == state), "{state:?} is what the entries say too");
        let found: Vec<Seq> = found.iter().map(|entry| entry.seq).collect();
        let expected: Vec<Seq> = expected.iter().map(|position| seqs[*position]).collect();
        assert_eq!(found, expected, "in state {state:?}");
    }
}

/// `after` continues where a page ended; without a limit a page has its default length.
pub async fn pages_follow_each_other_in_both_directions(log: &dyn AuditLog) {
    let seqs = apply(log, append((0..Query::DEFAULT_LIMIT + 5).map(|_| entry(EntryKind::Note)))).await;
    for newest_first in [false, true] {
        let mut expected = seqs.clone();
        if newest_first {
            expected.reverse();
        }
        let page = Query { newest_first, ..query() };
        let first = find_seqs(log, &page).await;
        assert_eq!(first, expected[..Query::DEFAULT_LIMIT], "the first page is full");
        let second = find_seqs(log, &Query { after: first.last().copied(), ..page.clone() }).await;
        assert_eq!(second, expected[Query::DEFAULT_LIMIT..], "the second page is the rest");
        let two = find_seqs(log, &Query { after: Some(expected[6]), ..page }.with_limit(2)).await;
        assert_eq!(two, expected[7..9]);
    }
}

/// The story of a record is the same whoever of it is asked for.
pub async fn a_family_is_found_from_any_member(log: &dyn AuditLog) {
    let story = Transaction {
        append: vec![
            signal(),
            child_of(Parent::Nth(0), entry(EntryKind::Event)),
            child_of(Parent::Nth(1), entry(EntryKind::Delivery)),
            child_of(Parent::Nth(1), entry(EntryKind::Delivery)),
            entry(EntryKind::Note),
        ],
        ..Transaction::default()
    };
    let seqs = apply(log, story).await;
    let replay = child_of(Parent::Entry(seqs[2]), entry(EntryKind::Delivery));
    let replay = apply(log, append([replay])).await[0];
    let family = [seqs[0], seqs[1], seqs[2], seqs[3], replay];
    for member in family {
        assert_eq!(find_seqs(log, &Query::family_of(member)).await, family, "the family of {member}");
    }
    assert_eq!(find_seqs(log, &Query::family_of(seqs[4])).await, [seqs[4]], "an entry may be alone");
    assert_eq!(find_seqs(log, &Query::family_of(Seq(4711))).await, [], "nobody has no family");
    let deliveries = Query { kind: Some(EntryKind::Delivery), ..Query::family_of(seqs[0]) };
    assert_eq!(find_seqs(log, &deliveries).await, [seqs[2], seqs[3], replay], "criteria narrow a family too");
}

/// In their own order, without what is not there.
pub async fn entries_are_found_by_number(log: &dyn AuditLog) {
    let seqs = apply(log, append([signal(), signal(), signal()])).await;
    let wanted = vec![seqs[2], Seq(4711), seqs[0], seqs[2]];
    assert_eq!(find_seqs(log, &Query::entries(wanted)).await, [seqs[0], seqs[2]]);
    assert_eq!(find_seqs(log, &Query::entries(vec![])).await, [], "no numbers find no entries");
    let unique: BTreeSet<Seq> = find_seqs(log, &query()).await.into_iter().collect();
    assert_eq!(unique.len(), 3, "an entry is returned once");
}
