//! A log that another process has open: this test binary, started again. A call is a line to it, and its answer a line back.
//!
//! It takes what the behaviors of two handles need, and stops at anything else.

use std::{fmt, path::Path, process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use ml_connector_core::{
    AuditLog, Error, ErrorKind, Result, Timestamp,
    audit::{
        Appended, Backlog, Committed, DocKey, Document, DocumentWrite, Entry, EntryKind, Expected, Index,
        Lease, LeaseRequest, NewEntry, Outcome, Parent, Pending, PendingRequest, PendingScope, Query,
        Recorded, Settlement, Transaction,
    },
    model::{ConnectionId, DedupeKey, Partition, Seq},
};
use ml_connector_sql::SqliteLog;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

const FILE: &str = "REMOTE_LOG";
const ANSWER: &str = "answer ";

type Held = (Partition, u64);
type Waiting = (Seq, EntryKind, ConnectionId, u64, Timestamp, u32, bool);
type Found = (Seq, Partition, EntryKind, ConnectionId, Timestamp, Option<Seq>, usize);

#[derive(Serialize, Deserialize)]
enum Call {
    Commit(Write, Timestamp),
    Hold(String, usize, Timestamp, Timestamp),
    Release(String),
    Pending(Vec<(Held, Seq)>, usize),
    Documents(Vec<String>),
    Query(Box<Query>),
    CountBacklog(Timestamp),
    Prune(Timestamp, usize),
}

#[derive(Serialize, Deserialize)]
struct Write {
    fence: Option<Held>,
    documents: Vec<(String, When, Option<Vec<u8>>)>,
    append: Vec<New>,
    /// Done, or tried again at a time.
    settle: Vec<(Seq, Option<Timestamp>)>,
}

#[derive(Serialize, Deserialize)]
enum When {
    Absent,
    Version(u64),
    Any,
}

#[derive(Serialize, Deserialize)]
enum Follows {
    Nothing,
    Entry(Seq),
    Nth(usize),
}

#[derive(Serialize, Deserialize)]
struct New {
    partition: Partition,
    kind: EntryKind,
    connection: ConnectionId,
    lane: Option<u64>,
    due: Timestamp,
    dedupe: Option<DedupeKey>,
    parent: Follows,
}

#[derive(Serialize, Deserialize)]
enum Came {
    /// Whether each is new, and where it is.
    Applied(Vec<(bool, Seq)>),
    Fenced,
    Stale(String),
}

/// A log in a process of its own, which ends with this.
pub(super) struct Remote {
    process: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Remote {
    pub(super) fn open(file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["sqlite::remote::another_process", "--exact", "--nocapture"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { process: Mutex::new((child.stdin.take().unwrap(), lines)), _child: child }
    }

    /// One call at a time: what happens at the same time is in the two processes.
    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (input, lines) = &mut *self.process.lock().await;
        input.write_all(format!("{}\n", serde_json::to_string(&call).unwrap()).as_bytes()).await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(answer) = line.strip_prefix(ANSWER) {
                return serde_json::from_str::<std::result::Result<T, String>>(answer)
                    .unwrap()
                    .map_err(|error| Error::new(ErrorKind::Unavailable, error));
            }
        }
        panic!("the other process has ended");
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

fn held(lease: Lease) -> Held {
    (lease.partition, lease.fence)
}

fn lease((partition, fence): Held) -> Lease {
    Lease { partition, fence }
}

fn written(Transaction { fence, documents, append, settle }: Transaction) -> Write {
    let documents = documents.into_iter().map(|DocumentWrite { key, expected, value }| {
        let when = match expected {
            Expected::Absent => When::Absent,
            Expected::Version(version) => When::Version(version),
            Expected::Any => When::Any,
        };
        (key.as_str().to_owned(), when, value.map(|bytes| bytes.to_vec()))
    });
    let append = append.into_iter().map(|entry| {
        let NewEntry { partition, kind, connection, lane, due, dedupe, parent, index, body, trace, .. } =
            entry;
        assert!((index, body, trace) == (Index::default(), None, None), "not sent to the other process");
        let parent = match parent {
            Parent::None => Follows::Nothing,
            Parent::Entry(seq) => Follows::Entry(seq),
            Parent::Nth(nth) => Follows::Nth(nth),
        };
        New { partition, kind, connection, lane, due, dedupe, parent }
    });
    let settle = settle.into_iter().map(|Settlement { seq, outcome, .. }| match outcome {
        Outcome::Done { receipt: None } => (seq, None),
        Outcome::Retry { due, .. } => (seq, Some(due)),
        other => panic!("not sent to the other process: {other:?}"),
    });
    let (documents, append, settle) = (documents.collect(), append.collect(), settle.collect());
    Write { fence: fence.map(held), documents, append, settle }
}

fn read(Write { fence, documents, append, settle }: Write) -> Transaction {
    let documents = documents.into_iter().map(|(key, when, value)| {
        let expected = match when {
            When::Absent => Expected::Absent,
            When::Version(version) => Expected::Version(version),
            When::Any => Expected::Any,
        };
        DocumentWrite { key: DocKey::from_stored(&key), expected, value: value.map(Into::into) }
    });
    let append = append.into_iter().map(|New { partition, kind, connection, lane, due, dedupe, parent }| {
        let parent = match parent {
            Follows::Nothing => Parent::None,
            Follows::Entry(seq) => Parent::Entry(seq),
            Follows::Nth(nth) => Parent::Nth(nth),
        };
        NewEntry { lane, dedupe, parent, ..NewEntry::new(partition, kind, connection, due) }
    });
    let settle = settle.into_iter().map(|(seq, due)| {
        let outcome = match due {
            None => Outcome::Done { receipt: None },
            Some(due) => {
                Outcome::Retry { attempt: 1, due, error: "unavailable".into(), uncertain: false, note: None }
            }
        };
        Settlement::new(seq, outcome)
    });
    let (documents, append, settle) = (documents.collect(), append.collect(), settle.collect());
    Transaction { fence: fence.map(lease), documents, append, settle }
}

#[async_trait]
impl AuditLog for Remote {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        let mut committed = Vec::new();
        for transaction in transactions {
            committed.push(match self.call(Call::Commit(written(transaction), now)).await? {
                Came::Applied(appended) => {
                    let appended = appended.into_iter().map(|(is_new, seq)| match is_new {
                        true => Appended::New(seq),
                        false => Appended::Duplicate(seq),
                    });
                    Committed::Applied(appended.collect())
                }
                Came::Fenced => Committed::Fenced,
                Came::Stale(key) => Committed::Stale(DocKey::from_stored(&key)),
            });
        }
        Ok(committed)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        let call = match request {
            LeaseRequest::Hold { owner, want, until, now } => Call::Hold(owner.to_string(), want, until, now),
            LeaseRequest::Release { owner } => Call::Release(owner.to_string()),
            other => panic!("not sent to the other process: {other:?}"),
        };
        Ok(self.call::<Vec<Held>>(call).await?.into_iter().map(lease).collect())
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        let wanted = wanted.iter().map(|PendingRequest { lease, scope, after }| {
            assert_eq!(*scope, PendingScope::Partition, "not sent to the other process");
            (held(*lease), *after)
        });
        let pages: Vec<Option<Vec<Waiting>>> = self.call(Call::Pending(wanted.collect(), limit)).await?;
        let pending = |(seq, kind, connection, lane, due, attempt, uncertain)| Pending {
            seq,
            kind,
            connection,
            lane,
            due,
            attempt,
            uncertain,
        };
        Ok(pages.into_iter().map(|page| page.map(|page| page.into_iter().map(pending).collect())).collect())
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let found: Vec<Option<(u64, Vec<u8>)>> = self.call(Call::Documents(keys)).await?;
        let document = |(version, bytes): (u64, Vec<u8>)| Document { version, bytes: bytes.into() };
        Ok(found.into_iter().map(|found| found.map(document)).collect())
    }

    /// Of outcomes, as many as there are.
    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        let found: Vec<Found> = self.call(Call::Query(Box::new(query.clone()))).await?;
        let entry = |(seq, partition, kind, connection, at, parent, outcomes)| {
            let mut entry = Entry::new(seq, partition, kind, connection, at);
            let done = Recorded { at, outcome: Outcome::Done { receipt: None }, trace: None };
            (entry.parent, entry.outcomes) = (parent, vec![done; outcomes]);
            entry
        };
        Ok(found.into_iter().map(entry).collect())
    }

    async fn count(&self, _: &Query, _: usize) -> Result<usize> {
        panic!("not sent to the other process")
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        let rows: usize = self.call(Call::CountBacklog(now)).await?;
        assert_eq!(rows, 0, "what is in it is not sent by the other process");
        Ok(Vec::new())
    }

    async fn wait(&self, _: &[Partition], _: Duration) -> Result<Vec<Partition>> {
        panic!("not sent to the other process")
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.call(Call::Prune(before, limit)).await
    }

    async fn remove_documents(&self, _: &str, _: &ConnectionId, _: usize) -> Result<usize> {
        panic!("not sent to the other process")
    }
}

/// The other process: answers until its input ends.
#[tokio::test]
async fn another_process() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let log = Arc::new(SqliteLog::open(file).unwrap());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = answer(&log, serde_json::from_str(&line).unwrap()).await;
        let answer = answer.map_err(|error| error.to_string());
        println!("\n{ANSWER}{}", serde_json::to_string(&answer).unwrap());
    }
}

async fn answer(log: &SqliteLog, call: Call) -> Result<serde_json::Value> {
    let answer = match call {
        Call::Commit(write, now) => {
            let came = match log.commit(vec![read(write)], now).await?.remove(0) {
                Committed::Applied(appended) => {
                    let is_new = |appended: Appended| matches!(appended, Appended::New(_));
                    Came::Applied(appended.into_iter().map(|it| (is_new(it), it.seq())).collect())
                }
                Committed::Fenced => Came::Fenced,
                Committed::Stale(key) => Came::Stale(key.as_str().to_owned()),
                other => panic!("not sent by this process: {other:?}"),
            };
            serde_json::to_value(came)
        }
        Call::Hold(owner, want, until, now) => {
            let request = LeaseRequest::Hold { owner: owner.into(), want, until, now };
            serde_json::to_value(log.lease(request).await?.into_iter().map(held).collect::<Vec<_>>())
        }
        Call::Release(owner) => {
            let left = log.lease(LeaseRequest::Release { owner: owner.into() }).await?;
            serde_json::to_value(left.into_iter().map(held).collect::<Vec<_>>())
        }
        Call::Pending(wanted, limit) => {
            let scope = PendingScope::Partition;
            let request = |(held, after)| PendingRequest { lease: lease(held), scope, after };
            let wanted: Vec<_> = wanted.into_iter().map(request).collect();
            let waiting = |it: Pending| -> Waiting {
                (it.seq, it.kind, it.connection, it.lane, it.due, it.attempt, it.uncertain)
            };
            let pages = log.pending(&wanted, limit).await?.into_iter();
            let pages = pages.map(|page| page.map(|page| page.into_iter().map(waiting).collect::<Vec<_>>()));
            serde_json::to_value(pages.collect::<Vec<_>>())
        }
        Call::Documents(keys) => {
            let keys: Vec<DocKey> = keys.iter().map(|key| DocKey::from_stored(key)).collect();
            let found = log.documents(&keys).await?.into_iter();
            let found = found.map(|found| found.map(|it| (it.version, it.bytes.to_vec())));
            serde_json::to_value(found.collect::<Vec<_>>())
        }
        Call::Query(query) => {
            let found = |it: Entry| -> Found {
                (it.seq, it.partition, it.kind, it.connection, it.at, it.parent, it.outcomes.len())
            };
            serde_json::to_value(log.query(&query).await?.into_iter().map(found).collect::<Vec<_>>())
        }
        Call::CountBacklog(now) => serde_json::to_value(log.backlog(now).await?.len()),
        Call::Prune(before, limit) => serde_json::to_value(log.prune(before, limit).await?),
    };
    Ok(answer.unwrap())
}
