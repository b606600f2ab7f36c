//! How Postgres finds what is asked for in a long log: never by reading much more than it answers with.
//!
//! The server writes down the plan of every statement with the rows that each of its steps has read.

use std::{fs, path::PathBuf, time::Duration};

use ml_connector_core::{
    AuditLog,
    audit::{DocKey, EntryKind, EntryState, LeaseRequest, PendingRequest, PendingScope, Query, amount_key},
    model::{ConnectionId, Currency, Decimal, EntityRef, Seq},
};
use ml_connector_sql::PostgresLog;
use serde_json::Value;

use super::cluster::{Cluster, fresh, skip};
use crate::NOON;

/// How long the log is.
const ENTRIES: u64 = 200_000;
/// No step of a plan reads more rows than this.
const MOST: f64 = 5_000.0;
/// How many amounts there are.
const AMOUNTS: u32 = 500;
/// How much a page shows.
const PAGE: usize = 100;

struct Plans {
    log: PostgresLog,
    server_log: PathBuf,
    /// How much of the server's log was looked at.
    read: usize,
    plans: usize,
    faults: Vec<String>,
}

impl Plans {
    /// The statements since the last look have read no more than they may.
    fn check(&mut self, what: &str) {
        let text = fs::read_to_string(&self.server_log).unwrap();
        let new = text[self.read..].to_owned();
        self.read = text.len();
        let found = plans(&new);
        assert!(!found.is_empty(), "{what}: the server writes down plans");
        self.plans += found.len();
        for plan in found {
            let mut widest = (0.0, String::new());
            look_at(&plan["Plan"], &mut widest);
            if widest.0 > MOST {
                self.faults
                    .push(format!("{what}: {} rows by {}\n{}", widest.0, widest.1, plan["Query Text"]));
            }
        }
    }

    /// Both directions, as a page, as a page in the middle and as a count.
    async fn check_query(&mut self, query: &Query) {
        for newest_first in [false, true] {
            for after in [None, Some(Seq(ENTRIES / 2))] {
                let mut query = query.clone().with_limit(PAGE);
                (query.newest_first, query.after) = (newest_first, after.or(query.after));
                self.log.query(&query).await.unwrap();
                self.check(&format!("{query:?}"));
                self.log.count(&query, 1000).await.unwrap();
                self.check(&format!("count of {query:?}"));
            }
        }
    }
}

/// The plans in a piece of the server's log: lines that go on begin with a tab.
fn plans(text: &str) -> Vec<Value> {
    let mut lines = text.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        let mut json = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(line);
        }
        found.push(serde_json::from_str(&json).unwrap());
    }
    found
}

/// Looks for the step that has read the most rows: what it returned, and what it passed over.
fn look_at(node: &Value, widest: &mut (f64, String)) {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let each = [
        "Actual Rows",
        "Rows Removed by Filter",
        "Rows Removed by Index Recheck",
        "Rows Removed by Join Filter",
    ];
    let rows = each.map(number).iter().sum::<f64>() * number("Actual Loops");
    if rows > widest.0 {
        let name = |name: &str| node[name].as_str().unwrap_or_default();
        *widest = (rows, format!("{} {} {}", name("Node Type"), name("Relation Name"), name("Index Name")));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        look_at(child, widest);
    }
}

/// A log of 40,000 stories: a signal, its event and three deliveries each. Of 20 connections' books and one chat.
async fn fill(cluster: &Cluster) {
    let amounts: Vec<String> = (0..AMOUNTS)
        .map(|n| {
            let key = amount_key(Decimal::from(n));
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("('\\x{hex}'::bytea)")
        })
        .collect();
    let (signal, event, delivery) =
        (EntryKind::Signal as u8, EntryKind::Event as u8, EntryKind::Delivery as u8);
    let (note, act) = (EntryKind::Note as u8, EntryKind::Act as u8);
    let (dead, dropped) = (EntryState::Dead as u8, EntryState::Dropped as u8);
    let noon = NOON.as_millis();
    let parked = i64::MAX;
    cluster
        .execute(&format!(
            "CREATE TEMP TABLE amounts (nth serial, key bytea);
             INSERT INTO amounts (key) VALUES {};
             INSERT INTO plans.entry (seq, root, part, kind, connection, parent, at, entity_kind, entity_id, number, name,
                                      amount, currency, destination, dedupe, body)
             SELECT n, CASE WHEN kind IN ({note}, {act}) THEN n ELSE n - n % 5 END, story % 64, kind,
                    CASE WHEN kind = {delivery} THEN 'chat' ELSE 'books-' || story % 20 END,
                    CASE WHEN kind IN ({event}, {delivery}) THEN n - n % 5 END, {noon} + n,
                    'invoice', (story / 4)::text, CASE WHEN kind = {event} THEN 'INV-' || story END,
                    CASE kind WHEN {delivery} THEN 'route-' || n % 50 WHEN {event} THEN 'invoice.sent' WHEN {note} THEN 'unrouted'
                              WHEN {act} THEN 'replay' END,
                    CASE WHEN kind = {event} THEN (SELECT key FROM amounts WHERE nth = 1 + story % {AMOUNTS}) END,
                    CASE WHEN kind = {event} THEN 'EUR' END,
                    CASE WHEN kind = {delivery} THEN 'channel:' || n % 200 END,
                    CASE WHEN kind = {signal} THEN 'once-' || n END, '{{}}'
             FROM (SELECT n, n / 5 AS story,
                          CASE WHEN n % 1000 = 4 THEN {note} WHEN n % 1000 = 9 THEN {act} WHEN n % 5 = 0 THEN {signal}
                               WHEN n % 5 = 1 THEN {event} ELSE {delivery} END AS kind
                   FROM generate_series(5, {ENTRIES} + 4) AS n) AS numbered;
             INSERT INTO plans.settled (seq, state, acknowledged)
             SELECT seq, CASE WHEN kind = {signal} THEN {dropped} ELSE {dead} END, seq % 7 = 0 FROM plans.entry
             WHERE kind = {signal} AND seq % 50 = 0 OR kind = {delivery} AND seq % 500 = 2 OR kind = {note};
             INSERT INTO plans.work (part, seq, kind, connection, lane, due, attempt, uncertain, acknowledged)
             SELECT part, seq, kind, connection, seq, CASE WHEN seq % 500 = 3 THEN {parked} ELSE {noon} END, 0, false, false
             FROM plans.entry
             WHERE kind = {delivery} AND (seq % 500 = 3 AND seq % 2000 < 500 OR seq > {ENTRIES} - 1500 AND seq % 5 = 4);
             INSERT INTO plans.outcome (seq, at, what, reason, receipt)
             SELECT e.seq, {noon} + e.seq, CASE WHEN s.seq IS NULL THEN 4 ELSE 5 END,
                    CASE WHEN s.seq IS NOT NULL THEN 'not_found: channel_not_found' END,
                    CASE WHEN s.seq IS NULL THEN 'message/' || e.seq END
             FROM plans.entry e LEFT JOIN plans.settled s USING (seq)
             WHERE e.kind = {delivery} AND NOT EXISTS (SELECT 1 FROM plans.work w WHERE w.seq = e.seq);
             INSERT INTO plans.document (key, version, bytes)
             SELECT 'snapshot/books-' || n % 20 || '/invoice/' || n, 1, '{{}}' FROM generate_series(1, 20000) AS n;
             INSERT INTO plans.backlog (connection, kind, slot, count)
             SELECT connection, kind, 0, count(*) FROM plans.work GROUP BY connection, kind;
             SELECT setval('plans.entry_seq', {ENTRIES} + 5);
             ANALYZE;",
            amounts.join(", ")
        ))
        .await;
}

#[tokio::test]
async fn what_is_asked_of_a_long_log_is_found_without_reading_it() {
    let settings = [
        "shared_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_format = 'json'",
    ];
    if !has_auto_explain() {
        return skip("no auto_explain: the server's contributed modules are not installed");
    }
    let Some(cluster) = Cluster::start(&settings) else { return };
    let log = cluster.open(&fresh().with_schema("plans")).await;
    fill(&cluster).await;
    let server_log = cluster.socket().join("server.log");
    let read = fs::read_to_string(&server_log).unwrap().len();
    let mut plans = Plans { log, server_log, read, plans: 0, faults: Vec::new() };

    let (all, of) = (Query::default, Query::of_kind);
    let entity = || EntityRef::new("invoice", "4711");
    let books = || all().with_connection("books-7".into());
    let seen = || ["books-7".into(), "books-8".into(), "chat".into()];
    let mine = || all().within(seen());
    let dead = |query: Query| query.with_state(EntryState::Dead).with_acknowledged(false);
    let amount = Decimal::from(77);
    let soon = NOON + Duration::from_secs(2);
    for query in [
        // The log, one connection's, and somebody's who sees some.
        all(),
        of(EntryKind::Event),
        of(EntryKind::Act),
        books(),
        books().with_kind(EntryKind::Event),
        books().with_kind(EntryKind::Event).with_state(EntryState::Done),
        mine(),
        mine().with_kind(EntryKind::Event),
        all().with_connection("chat".into()).with_kind(EntryKind::Delivery),
        // What few entries have.
        all().with_entity(entity()),
        books().with_entity(entity()),
        of(EntryKind::Signal).with_entity(entity()),
        of(EntryKind::Event).with_entity(entity()).with_connection("books-7".into()),
        all().with_number("INV-4711"),
        mine().with_number("INV-4711"),
        all().with_receipt("message/4712"),
        mine().with_receipt_prefix("message/4712"),
        Query::family_of(Seq(4_710)),
        Query::entries(vec![Seq(4_710), Seq(4_711)]),
        Query::entries(vec![Seq(4_710)]).with_kind(EntryKind::Act),
        all().with_destination("channel:7"),
        mine().with_destination("channel:7").with_kind(EntryKind::Delivery),
        of(EntryKind::Delivery).with_name("route-7"),
        all().with_amount_from(amount).with_amount_to(amount),
        mine().with_amount_from(amount).with_amount_to(amount).with_currency(Currency::parse("EUR").unwrap()),
        // Trouble and work.
        all().with_state(EntryState::Dead),
        dead(all()),
        dead(mine()),
        dead(of(EntryKind::Delivery)).with_connection("chat".into()).with_name("route-2"),
        dead(of(EntryKind::Note)).with_name("unrouted"),
        mine().with_state(EntryState::Dead).with_error("channel_not_found"),
        all().with_state(EntryState::Parked),
        mine().with_state(EntryState::Parked).with_acknowledged(false),
        of(EntryKind::Delivery).with_state(EntryState::Parked),
        all().with_state(EntryState::Pending),
        mine().with_state(EntryState::Pending),
        books().with_state(EntryState::Pending),
        all().with_state(EntryState::Done),
        // A time.
        all().appended_from(NOON).appended_before(soon),
        books().appended_from(NOON).appended_before(soon),
    ] {
        plans.check_query(&query).await;
    }

    let hold = LeaseRequest::Hold { owner: "one".into(), want: 64, until: soon, now: NOON };
    let lease = plans.log.lease(hold).await.unwrap()[0];
    plans.check("a lease");
    let wanted = [PendingScope::Partition, PendingScope::Lane(EntryKind::Delivery, ENTRIES - 1)];
    let wanted = wanted.map(|scope| PendingRequest { lease, scope, after: Seq(0) });
    plans.log.pending(&wanted, 100).await.unwrap();
    plans.check("the work list");
    plans.log.backlog(NOON).await.unwrap();
    plans.check("the backlog");
    let snapshot = DocKey::new("snapshot", &ConnectionId::from("books-7"), "invoice/7");
    plans.log.documents(&[snapshot]).await.unwrap();
    plans.check("documents");
    plans.log.prune(soon, 100).await.unwrap();
    plans.check("prune");
    plans.log.remove_documents("snapshot", &"books-7".into(), 100).await.unwrap();
    plans.check("documents of a connection");
    assert!(
        plans.faults.is_empty(),
        "{} of {}:\n{}",
        plans.faults.len(),
        plans.plans,
        plans.faults.join("\n\n")
    );
}

/// Whether the server's contributed modules are there.
fn has_auto_explain() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("lib/auto_explain.so"));
    let elsewhere =
        ["/usr/lib64/pgsql/auto_explain.so", "/usr/lib/postgresql/auto_explain.so"].map(PathBuf::from);
    debian.chain(elsewhere).any(|module| module.is_file())
}
