//! How SQLite finds what is asked for: never by reading every entry.

use ml_connector_core::{
    Timestamp,
    audit::{EntryKind, EntryState},
    model::{Currency, EntityRef},
};
use rust_decimal::Decimal;

use super::*;
use crate::{SqliteOptions, sqlite::schema};

/// The steps of a plan for a log with two connections.
fn plan(query: &Query, is_count: bool) -> Vec<String> {
    let directory = tempfile::TempDir::new().unwrap();
    let connection = schema::open(&directory.path().join("log.db"), &SqliteOptions::default()).unwrap();
    let entries = "INSERT INTO entry (seq, part, kind, connection, at) VALUES (1, 0, 1, 'books', 5), (2, 0, 3, 'chat', 5)";
    connection.execute_batch(entries).unwrap();
    connection.execute_batch("INSERT INTO settled VALUES (4, 2, 'chat', 3, 0)").unwrap();
    let (sql, values) = match is_count {
        true => search::matching(&connection, query, 1000).unwrap(),
        false => select(&connection, query).unwrap(),
    };
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let plan = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    plan.map(Result::unwrap).collect()
}

/// What can be long, and what it is called in the statements.
const TABLES: &[&str] = &["e", "s", "p", "entry", "work", "settled", "outcome", "signal_entity"];

/// Both directions, as a page, as the next page and as a count.
fn check(query: &Query, expected: &str) {
    for newest_first in [false, true] {
        for after in [None, Some(Seq(9))] {
            let mut query = query.clone();
            (query.newest_first, query.after) = (newest_first, after.or(query.after));
            for is_count in [false, true] {
                let plan = plan(&query, is_count);
                assert!(
                    plan.iter().any(|step| step.contains(expected)),
                    "{query:?}: {plan:#?} uses {expected}"
                );
                // All that are parked are in one small index.
                let reads_all = |step: &&String| {
                    let mut words = step.split(' ');
                    let table = words.next().filter(|word| *word == "SCAN").and_then(|_| words.next());
                    table.is_some_and(|table| TABLES.contains(&table)) && !step.contains("work_parked")
                };
                let scans: Vec<_> = plan.iter().filter(reads_all).collect();
                assert!(scans.is_empty(), "{query:?}: {plan:#?} reads everything");
            }
        }
    }
}

fn of(kind: EntryKind) -> Query {
    Query::of_kind(kind)
}

fn all() -> Query {
    Query::default()
}

#[test]
fn what_few_entries_have_is_found_by_its_index() {
    let entity = EntityRef::new("invoice", "1");
    check(&all().with_entity(entity.clone()), "SEARCH e USING INTEGER PRIMARY KEY");
    check(
        &all().with_entity(entity.clone()).with_connection("books".into()),
        "SEARCH e USING INTEGER PRIMARY KEY",
    );
    check(&of(EntryKind::Signal).with_entity(entity.clone()), "SEARCH e USING INTEGER PRIMARY KEY");
    let events = of(EntryKind::Event).with_entity(entity);
    check(&events, "entry_entity (entity_id=?");
    check(&events.with_connection("books".into()), "entry_entity (entity_id=? AND connection=?");
    check(&all().with_number("INV-1"), "entry_number (number=?");
    check(
        &all().with_number("INV-1").with_connection("books".into()),
        "entry_number (number=? AND connection=?",
    );
    check(&all().with_receipt("message/1"), "outcome_receipt (receipt=?");
    check(&all().with_receipt_prefix("message/"), "outcome_receipt (receipt>? AND receipt<?)");
    check(&Query::family_of(Seq(1)), "entry_parent (parent=?");
    check(&Query::entries(vec![Seq(1)]), "SEARCH e USING INTEGER PRIMARY KEY");
}

#[test]
fn destinations_amounts_and_routes_have_indexes() {
    let to_channel = all().with_destination("channel:a");
    check(&to_channel, "entry_destination (destination=?");
    check(
        &to_channel.with_connection("chat".into()).with_kind(EntryKind::Delivery),
        "entry_destination (destination=?",
    );
    let ten = Decimal::from(10);
    check(&all().with_amount_from(ten), "entry_amount (amount>?)");
    check(&all().with_amount_to(ten), "entry_amount (amount<?)");
    let between =
        all().with_amount_from(ten).with_amount_to(ten).with_currency(Currency::parse("EUR").unwrap());
    check(&between, "entry_amount (amount>? AND amount<?)");
    check(&between.with_connection("books".into()), "entry_amount (amount>? AND amount<?)");
    check(&of(EntryKind::Delivery).with_name("alerts"), "entry_name (name=?");
    check(
        &of(EntryKind::Note).with_name("unrouted").with_connection("books".into()),
        "entry_name (name=? AND connection=?",
    );
}

#[test]
fn what_one_connection_has_is_read_in_order() {
    let books = all().with_connection("books".into());
    check(&books, "entry_connection (connection=? AND kind=?");
    check(&books.clone().with_kind(EntryKind::Event), "entry_connection (connection=? AND kind=?");
    check(
        &books.with_kind(EntryKind::Event).with_state(EntryState::Done),
        "entry_connection (connection=? AND kind=?",
    );
    check(&all().within(["books".into(), "chat".into()]), "entry_connection (connection=? AND kind=?");
    check(&of(EntryKind::Act), "entry_connection (connection=? AND kind=?");
    check(&of(EntryKind::Event), "entry_connection (connection=? AND kind=?");
}

#[test]
fn states_are_found_without_reading_the_others() {
    let books = || all().with_connection("books".into());
    check(&all().with_state(EntryState::Dead), "SEARCH s USING PRIMARY KEY (state=?");
    check(
        &books().with_state(EntryState::Dead),
        "SEARCH s USING COVERING INDEX settled_dead (connection=? AND kind=?",
    );
    check(
        &books().with_state(EntryState::Dead).with_kind(EntryKind::Delivery),
        "settled_dead (connection=? AND kind=?",
    );
    check(
        &books().with_state(EntryState::Dead).with_acknowledged(false),
        "settled_dead (connection=? AND kind=?",
    );
    check(
        &of(EntryKind::Delivery).with_state(EntryState::Dead).with_destination("channel:a"),
        "settled_dead (connection=? AND kind=?",
    );
    check(&all().with_state(EntryState::Done), "SEARCH s USING PRIMARY KEY (state=?");
    check(
        &all().with_state(EntryState::Cancelled).with_connection("books".into()),
        "SEARCH s USING PRIMARY KEY (state=?",
    );
    check(&all().with_state(EntryState::Parked), "work_parked");
    check(&books().with_state(EntryState::Parked).with_kind(EntryKind::Delivery), "work_parked");
    check(&all().with_acknowledged(false), "work_parked");
    check(&all().with_state(EntryState::Pending), "SEARCH e USING INTEGER PRIMARY KEY");
    check(&books().with_state(EntryState::Pending), "SEARCH e USING INTEGER PRIMARY KEY");
}

#[test]
fn a_time_is_found_by_its_index() {
    let (from, to) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
    check(&all().appended_from(from).appended_before(to), "entry_at (at>? AND at<?)");
    check(&all().appended_from(from), "entry_at (at>? AND at<?)");
    check(&all().appended_before(to).with_state(EntryState::Pending), "entry_at (at>? AND at<?)");
}

/// What the pages of the console ask for somebody who sees some connections, each with the way on which nothing is passed
/// over but what does not match a second criterion of the same few entries: a way that ends only at its limit is none.
#[test]
fn the_questions_of_the_console() {
    let seen = || ["books".into(), "chat".into()];
    let mine = || all().within(seen());
    let of = |kind| of(kind).within(seen());
    let in_order = "entry_connection (connection=? AND kind=?";
    // Lists: whatever comes next matches.
    check(&of(EntryKind::Event), in_order);
    check(&mine(), in_order);
    check(&mine().with_connection("books".into()), in_order);
    check(&of(EntryKind::Delivery).with_connection("chat".into()), in_order);
    check(&of(EntryKind::Act), in_order);
    // What waits is on the work list, of which no entry is read that is not returned.
    let work = "SEARCH work USING PRIMARY KEY (part=?";
    for waits in [
        mine().with_state(EntryState::Pending),
        of(EntryKind::Delivery).with_state(EntryState::Pending),
        mine().with_state(EntryState::Pending).with_connection("chat".into()),
    ] {
        check(&waits, "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)");
        assert!(plan(&waits, false).iter().any(|step| step.contains(work)), "{:#?}", plan(&waits, false));
    }
    // Trouble, its groups, and the numbers of the overview.
    let dead = "settled_dead (connection=? AND kind=?";
    let is_dead = |query: Query| query.with_state(EntryState::Dead).with_acknowledged(false);
    check(&is_dead(mine()), dead);
    check(&is_dead(of(EntryKind::Delivery)).with_connection("chat".into()).with_name("alerts"), dead);
    check(&mine().with_state(EntryState::Dead).with_error("channel_not_found"), dead);
    // Of whatever connection: the many of another kind are not gone through.
    check(&is_dead(Query::of_kind(EntryKind::Signal)), dead);
    check(&is_dead(Query::of_kind(EntryKind::Note)).with_name("unrouted"), dead);
    check(&mine().with_state(EntryState::Parked).with_acknowledged(false), "work_parked");
    check(&mine().with_state(EntryState::Parked).with_error("scope"), "work_parked");
    check(&of(EntryKind::Delivery).with_state(EntryState::Parked), "work_parked");
    // The box, by what it may be.
    let record = EntityRef::new("invoice", "1");
    check(&mine().with_number("INV-1"), "entry_number (number=?");
    check(&mine().with_receipt("message/1"), "outcome_receipt (receipt=?");
    check(&mine().with_receipt_prefix("message/"), "outcome_receipt (receipt>? AND receipt<?)");
    let ten = Decimal::from(10);
    check(&mine().with_amount_from(ten).with_amount_to(ten), "entry_amount (amount>? AND amount<?)");
    check(
        &mine().with_amount_to(ten).with_currency(Currency::parse("EUR").unwrap()),
        "entry_amount (amount<?)",
    );
    check(&mine().with_entity(record.clone()), "SEARCH e USING INTEGER PRIMARY KEY");
    check(&of(EntryKind::Event).with_entity(record), "entry_entity (entity_id=?");
    check(&mine().with_destination("channel:a"), "entry_destination (destination=?");
    check(&of(EntryKind::Delivery).with_name("alerts"), "entry_name (name=?");
    // A story, the deliveries behind events, and an act.
    let by_number = "SEARCH e USING INTEGER PRIMARY KEY";
    check(&Query::family_of(Seq(1)), "entry_parent (parent=?");
    let behind = Query::entries(vec![Seq(1), Seq(2)]).with_kind(EntryKind::Delivery);
    check(&behind.within(seen()), by_number);
    check(&Query::entries(vec![Seq(1)]).with_kind(EntryKind::Act), by_number);
}

/// As many as a person may see: a statement holds so many values.
#[test]
fn a_thousand_visible_connections_are_searched() {
    let many = || (0..1000).map(|i| ConnectionId::from(format!("books-{i}")));
    for query in [
        all(),
        of(EntryKind::Event),
        all().with_state(EntryState::Pending),
        all().with_state(EntryState::Dead),
        all().with_state(EntryState::Parked),
    ] {
        for seen in [200, 399, 1000] {
            assert!(!plan(&query.clone().within(many().take(seen)), false).is_empty());
        }
    }
}

/// Entries are read one after the other by statements that are prepared once.
#[test]
fn no_statement_is_prepared_again_for_each_entry() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("log.db");
    let writing = schema::open(&path, &SqliteOptions::default()).unwrap();
    for seq in 1..=9 {
        let sql = format!(
            "INSERT INTO entry (seq, part, kind, connection, at) VALUES ({seq}, 0, 3, 'chat', 5);
             INSERT INTO settled VALUES (4, {seq}, 'chat', 3, 0);
             INSERT INTO outcome (seq, nth, at, what, reason) VALUES ({seq}, 1, 5, 5, 'refused')"
        );
        writing.execute_batch(&sql).unwrap();
    }
    let connection = schema::open_for_reading(&path, &SqliteOptions::default()).unwrap();
    for query in
        [all(), all().with_state(EntryState::Dead), of(EntryKind::Delivery).with_connection("chat".into())]
    {
        assert_eq!(entries(&connection, &query).unwrap().len(), 9);
        assert_eq!(entries(&connection, &query).unwrap().len(), 9);
    }
    for traces in [false, true] {
        let statement = connection.prepare_cached(outcome::sql(traces)).unwrap();
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }
}
