//! How Postgres finds what is asked for: never by reading every entry.
//!
//! The server writes down the plan of every statement. Sequential scans are off, so that one is in a plan only where there is
//! no other way, however small the tables are. An index that is read without a condition is no better.

use std::{fs, path::PathBuf};

use ml_connector_core::{
    AuditLog,
    audit::{
        Appended, Committed, DocKey, DocumentWrite, EntryKind, EntryState, Expected, Index, Lease,
        LeaseRequest, NewEntry, Outcome, Parent, PendingRequest, PendingScope, Query, Settlement,
        Transaction,
    },
    model::{ConnectionId, Currency, Decimal, EntityRef, Money, Partition, Seq},
};
use ml_connector_sql::PostgresLog;

use super::cluster::{Cluster, fresh, skip};
use crate::NOON;

/// What can be long. Of work there is as much as waits, and that may be read as a whole.
const LONG: &[&str] = &["entry", "settled", "outcome", "document", "repeated"];

struct Plans {
    log: PostgresLog,
    server_log: PathBuf,
    /// How much of the server's log was looked at.
    read: usize,
    faults: Vec<String>,
}

impl Plans {
    /// The statements since the last look read no table as a whole.
    fn check(&mut self, what: &str) {
        let text = fs::read_to_string(&self.server_log).unwrap();
        let new = &text[self.read..];
        self.read = text.len();
        assert!(new.contains("plan:"), "{what}: the server writes down plans");
        let lines: Vec<&str> = new.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(table) = LONG.iter().find(|table| is_scan_of(line, table)) else { continue };
            let has_condition = line.contains("Index ")
                && lines[at + 1..]
                    .iter()
                    .take_while(|line| !line.contains("->") && !line.contains("plan:"))
                    .any(|line| line.contains("Index Cond:"));
            // The conditions of a bitmap are with its indexes.
            if line.contains("Bitmap Heap Scan") || has_condition {
                continue;
            }
            self.faults.push(format!("{what}: all of {table}: {}\n{}", line.trim(), plan_around(&lines, at)));
        }
    }

    /// Both directions, as a page, as the next page and as a count.
    async fn check_query(&mut self, query: &Query) {
        for newest_first in [false, true] {
            for after in [None, Some(Seq(9))] {
                let mut query = query.clone();
                (query.newest_first, query.after) = (newest_first, after.or(query.after));
                self.log.query(&query).await.unwrap();
                self.check(&format!("{query:?}"));
                self.log.count(&query, 1000).await.unwrap();
                self.check(&format!("count of {query:?}"));
            }
        }
    }
}

/// Whether a line of a plan is a scan of this table, which is named with its schema or without.
fn is_scan_of(line: &str, table: &str) -> bool {
    let Some((_, scanned)) = line.split_once(" on ").filter(|(scan, _)| scan.contains("Scan")) else {
        return false;
    };
    if line.contains("Bitmap Index Scan") {
        return false;
    }
    let named = scanned.split("  (").next().unwrap_or_default();
    let named = named.rsplit('.').next().unwrap_or_default();
    named.split(' ').next() == Some(table)
}

fn plan_around(lines: &[&str], at: usize) -> String {
    let begin = lines[..at].iter().rposition(|line| line.contains("plan:")).unwrap_or(0);
    let end = lines[at..].iter().position(|line| line.contains("LOG:")).map_or(lines.len(), |end| at + end);
    lines[begin..end].join("\n")
}

fn entry(n: u64, kind: EntryKind) -> NewEntry {
    let connection = ConnectionId::from(if n.is_multiple_of(2) { "books" } else { "chat" });
    let index = Index {
        entity: Some(EntityRef::new("invoice", n.to_string())),
        number: Some(format!("INV-{n}").into()),
        name: Some("alerts".into()),
        amount: Some(Money::parse("10", "EUR").unwrap()),
        destination: Some("channel:a".into()),
    };
    NewEntry {
        lane: (kind != EntryKind::Event).then_some(n),
        index,
        body: Some("{}".into()),
        ..NewEntry::new(Partition::new(0), kind, connection, NOON)
    }
}

/// Some of everything, and what commits read.
async fn fill(plans: &mut Plans) -> (Vec<Seq>, Lease) {
    let hold = LeaseRequest::Hold {
        owner: "one".into(),
        want: 64,
        until: NOON + std::time::Duration::from_secs(60),
        now: NOON,
    };
    let lease = plans.log.lease(hold).await.unwrap()[0];
    let kinds = [EntryKind::Signal, EntryKind::Event, EntryKind::Delivery, EntryKind::Note, EntryKind::Act];
    let append = (0..50).map(|n| entry(n, kinds[usize::try_from(n).unwrap() % kinds.len()])).collect();
    let key = DocKey::new("snapshot", &"books".into(), "1");
    let documents = vec![DocumentWrite { key, expected: Expected::Absent, value: Some("{}".into()) }];
    let transaction = Transaction { append, documents, ..Transaction::default() };
    let committed = plans.log.commit(vec![transaction], NOON).await.unwrap();
    let Committed::Applied(appended) = &committed[0] else { panic!("{committed:?}") };
    plans.check("commit of new entries");
    let seqs: Vec<Seq> = appended.iter().copied().map(Appended::seq).collect();
    let outcomes = [
        Outcome::Done { receipt: Some("message/1".into()) },
        Outcome::Dead { error: "refused".into() },
        Outcome::Parked { error: "no right".into() },
        Outcome::Retry { attempt: 1, due: NOON, error: "later".into(), uncertain: false, note: None },
    ];
    let of_deliveries = seqs.iter().skip(2).step_by(kinds.len());
    let settle = of_deliveries.zip(outcomes).map(|(seq, outcome)| Settlement::new(*seq, outcome)).collect();
    let child = NewEntry {
        parent: Parent::Entry(seqs[0]),
        dedupe: Some("once".into()),
        ..entry(51, EntryKind::Signal)
    };
    let append = vec![child.clone()];
    let transaction = Transaction { append, settle, ..Transaction::default() };
    plans.log.commit(vec![transaction], NOON).await.unwrap();
    plans.check("commit of outcomes");
    let again =
        Transaction { append: vec![NewEntry { counts_as_repeat: true, ..child }], ..Transaction::default() };
    plans.log.commit(vec![again], NOON).await.unwrap();
    plans.check("commit of a repeat");
    (seqs, lease)
}

#[tokio::test]
async fn nothing_is_found_by_reading_all_entries() {
    let settings = [
        "shared_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "enable_seqscan = off",
        // Of tables as small as these all rows are merged; of large ones they are looked up.
        "enable_mergejoin = off",
        "enable_hashjoin = off",
    ];
    if !has_auto_explain() {
        return skip("no auto_explain: the server's contributed modules are not installed");
    }
    let Some(cluster) = Cluster::start(&settings) else { return };
    let log = cluster.open(&fresh()).await;
    let server_log = cluster.socket().join("server.log");
    let read = fs::read_to_string(&server_log).unwrap().len();
    let mut plans = Plans { log, server_log, read, faults: Vec::new() };
    let (seqs, lease) = fill(&mut plans).await;
    cluster.execute("ANALYZE").await;
    plans.read = fs::read_to_string(&plans.server_log).unwrap().len();

    let (all, of) = (Query::default, Query::of_kind);
    let entity = || EntityRef::new("invoice", "1");
    let books = || all().with_connection("books".into());
    let ten = Decimal::from(10);
    for query in [
        all().with_entity(entity()),
        all().with_entity(entity()).with_connection("books".into()),
        of(EntryKind::Signal).with_entity(entity()),
        of(EntryKind::Event).with_entity(entity()).with_connection("books".into()),
        all().with_number("INV-1"),
        all().with_receipt("message/1"),
        all().with_receipt_prefix("message/"),
        Query::family_of(seqs[0]),
        Query::entries(vec![seqs[0], seqs[3]]),
        all().with_destination("channel:a"),
        all().with_amount_from(ten),
        all().with_amount_from(ten).with_amount_to(ten).with_currency(Currency::parse("EUR").unwrap()),
        of(EntryKind::Delivery).with_name("alerts"),
        books(),
        books().with_kind(EntryKind::Event),
        books().with_kind(EntryKind::Event).with_state(EntryState::Done),
        all().within(["books".into(), "chat".into()]),
        all().with_state(EntryState::Dead),
        books().with_state(EntryState::Dead).with_kind(EntryKind::Delivery).with_acknowledged(false),
        all().with_state(EntryState::Done),
        all().with_state(EntryState::Parked),
        books().with_state(EntryState::Parked).with_kind(EntryKind::Delivery),
        all().with_acknowledged(false),
        all().with_state(EntryState::Pending),
        books().with_state(EntryState::Pending),
        all().appended_from(NOON).appended_before(NOON + std::time::Duration::from_secs(1)),
        all().appended_from(NOON),
    ] {
        plans.check_query(&query).await;
    }

    let wanted = [
        PendingScope::Partition,
        PendingScope::Lane(EntryKind::Delivery, 2),
        PendingScope::Lane(EntryKind::Signal, 5),
    ];
    let wanted = wanted.map(|scope| PendingRequest { lease, scope, after: Seq(0) });
    plans.log.pending(&wanted, 100).await.unwrap();
    plans.check("the work list");
    plans.log.backlog(NOON).await.unwrap();
    plans.check("the backlog");
    plans.log.documents(&[DocKey::new("snapshot", &"books".into(), "1")]).await.unwrap();
    plans.check("documents");
    plans.log.prune(NOON, 10).await.unwrap();
    plans.check("prune");
    plans.log.remove_documents("snapshot", &"books".into(), 10).await.unwrap();
    plans.check("documents of a connection");
    assert!(plans.faults.is_empty(), "{}", plans.faults.join("\n\n"));
}

/// Whether the server's contributed modules are there.
fn has_auto_explain() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("lib/auto_explain.so"));
    let elsewhere =
        ["/usr/lib64/pgsql/auto_explain.so", "/usr/lib/postgresql/auto_explain.so"].map(PathBuf::from);
    debian.chain(elsewhere).any(|module| module.is_file())
}
