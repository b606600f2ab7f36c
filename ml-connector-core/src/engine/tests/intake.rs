//! Webhooks that change what they are verified with, that cannot be used, or that come when nothing can be stored.

use std::{
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use tower_service::Service;

use super::{super::Connector, *};
use crate::{
    AuditLog, Clock, Context, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Source, SourceInfo,
    SourceMode, UpkeepRequest, WebhookAnswers,
    audit::{
        Backlog, Committed, DocKey, Document, DocumentWrite, EntryState, Expected, Lease, LeaseRequest,
        Pending, PendingRequest, Transaction,
    },
    model::{
        ConnectionId, EntityRef, Intake, Page, Partition, PollMode, Prompt, Resolution, Seq, Signal, Status,
        Subject, Upkeep,
    },
    snapshot::Snapshot,
};

const KEY: &str = "planted-verifier";
const QUARTER: Duration = Duration::from_secs(900);

/// A ledger with webhooks as FreshBooks and Business Central have them: `verify KEY` hands over the key of all others,
/// `KEY id` tells of a record, `KEY purge` that some were deleted, `KEY elsewhere` of another account's, and without a key
/// `open id id` of records and of what cannot be used. Whatever else comes on the path that it has given away is answered with 200.
#[derive(Debug)]
struct Callbacks {
    ledger: LedgerSource,
    info: SourceInfo,
    received: AtomicUsize,
}

impl Callbacks {
    fn new(world: &World) -> Self {
        let ledger = LedgerSource::new("books", &world.ledger).polled(SourceMode::Both);
        let mut info = ledger.info().clone();
        info.answers = WebhookAnswers::never_refusing();
        Self { ledger, info, received: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Source for Callbacks {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let ReceiveRequest { request, state, .. } = request;
        let state = state.filter(|state| !state.is_empty());
        if request.uri().path() != "/issued" {
            return Err(Error::new(ErrorKind::NotFound, "no such path was issued"));
        }
        let dropped = |why: &str| Ok(Intake::accepted(Vec::new()).note(why).evidence(Bytes::new()));
        let text = std::str::from_utf8(request.body()).unwrap_or_default();
        let Some((first, second)) = text.split_once(' ') else {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected two words"));
        };
        match (first, state) {
            ("verify", None) => {
                let look = Signal::of(Subject::Subscription("callback".into()));
                let evidence = Bytes::from_static(b"a verifier for callback 1");
                Ok(Intake::accepted(vec![look]).state(second.to_owned().into()).evidence(evidence))
            }
            ("verify", Some(_)) => dropped("no verifier is waited for"),
            (key, Some(state)) if key.as_bytes() == &state[..] => {
                let signal = match second {
                    "purge" => Signal::sweep("invoices"),
                    "elsewhere" => {
                        let signal = Signal::entity(EntityRef::new("invoice", "9"));
                        Signal { account: Some("account:elsewhere".into()), ..signal }
                    }
                    id => Signal::entity(EntityRef::new("invoice", id)),
                };
                Ok(Intake::accepted(vec![signal]).evidence(Bytes::from_static(b"a change")))
            }
            ("open", None) => {
                let signals = second.split(' ').map(|id| Signal::entity(EntityRef::new("invoice", id)));
                let intake = Intake::accepted(signals.collect()).evidence(Bytes::from_static(b"a change"));
                Ok(intake.note_once("entries are dropped: they are nobody's", "books/nobody's".into()))
            }
            _ => dropped("the key is another one"),
        }
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        self.ledger.resolve(ctx, signals, last).await
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        self.ledger.poll(ctx, request).await
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        let state = request.state.cloned().unwrap_or_default();
        Ok(Upkeep::new(ctx.now() + secs(3600)).state(state))
    }
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(path).body(body.into()).unwrap()
}

async fn send(connector: &Connector, path: &str, body: &str) -> StatusCode {
    connector.receive(post(path, body.to_owned())).await.status()
}

impl World {
    fn callbacks(&self) -> Connector {
        let connector = self.connector();
        connector.remove(&"books".into());
        connector.add_source(Callbacks::new(self)).unwrap();
        connector
    }

    async fn notes(&self, name: &str) -> Vec<Seq> {
        let notes = self.entries(EntryKind::Note).await;
        notes.iter().filter(|note| note.index.name.as_deref() == Some(name)).map(|note| note.seq).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_stored_with_its_signal_and_its_key_is_in_no_entry() {
    let world = World::new();
    let connector = world.callbacks();
    assert_eq!(send(&connector, "/ledger/issued", &format!("verify {KEY}")).await, StatusCode::OK);
    let document = world.log.documents(&[DocKey::new("upkeep", &"books".into(), "state")]).await.unwrap();
    assert_eq!(&document[0].as_ref().unwrap().bytes[..], KEY.as_bytes());

    // Another host verifies with it at once; the same handshake again changes nothing and is noted.
    let other = world.callbacks();
    world.ledger.put_at("1", Status::Open, world.clock.now(), world.clock.now());
    assert_eq!(send(&other, "/ledger/issued", &format!("{KEY} 1")).await, StatusCode::OK);
    assert_eq!(send(&other, "/ledger/issued", "verify forged-key").await, StatusCode::OK);
    let note = world.notes("dropped").await[0];
    let story = other.explain(note).await.unwrap().to_string();
    assert!(story.contains("no verifier is waited for") && !story.contains("issued"), "{story}");
    world.run(&other, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    for kind in [EntryKind::Signal, EntryKind::Note] {
        for entry in world.entries(kind).await {
            let body = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
            assert!(
                !body.contains(KEY) && !body.contains("forged-key") && !body.contains("/issued"),
                "{body}"
            );
        }
    }
}

/// What was told beside it goes on, and a person can read what did not.
#[tokio::test(start_paused = true)]
async fn what_leads_to_less_than_it_says_is_noted_beside_its_signals_and_however_often_once() {
    let world = World::new();
    let connector = world.callbacks();
    for id in ["1", "2"] {
        world.ledger.put_at(id, Status::Open, world.clock.now(), world.clock.now());
    }
    for body in ["open 1 2", "open 1", "open 2"] {
        assert_eq!(send(&connector, "/ledger/issued", body).await, StatusCode::OK);
    }
    world.run(&connector, secs(60)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 2"], "its signals are read");
    let [note] = world.notes("dropped").await[..] else { panic!("the note is kept once") };
    let notes = world.entries(EntryKind::Note).await;
    let kept = notes.iter().find(|kept| kept.seq == note).unwrap();
    assert_eq!(kept.repeats.as_ref().map(|repeats| repeats.count), Some(2), "and counted");
    let signal = kept.parent.expect("it is kept beside what its request told");
    for seq in [note, signal] {
        let story = connector.explain(seq).await.unwrap().to_string();
        assert!(story.contains("entries are dropped: they are nobody's"), "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_meets_a_newer_state_is_received_again_with_that() {
    let world = World::new();
    let connector = world.callbacks();
    // This host has read that there is none; then another writes one.
    assert_eq!(send(&connector, "/ledger/issued", "x y").await, StatusCode::OK);
    world.log.commit(vec![newer_state()], world.clock.now()).await.unwrap();
    assert_eq!(send(&connector, "/ledger/issued", &format!("verify {KEY}")).await, StatusCode::OK);
    let document = world.log.documents(&[DocKey::new("upkeep", &"books".into(), "state")]).await.unwrap();
    assert_eq!(&document[0].as_ref().unwrap().bytes[..], b"newer", "it was not overwritten");
    assert_eq!(world.entries(EntryKind::Signal).await.len(), 0, "and its signal was not stored");
    assert_eq!(world.notes("dropped").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_whose_state_was_replaced_while_it_was_stored_is_received_again() {
    let world = World::new();
    let log = Arc::new(Locked { open: true.into(), first: Some(newer_state()).into(), ..Locked::default() });
    let connector = Connector::builder()
        .audit_log(Arc::clone(&log))
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .source(Callbacks::new(&world))
        .build()
        .unwrap();
    assert_eq!(send(&connector, "/ledger/issued", &format!("verify {KEY}")).await, StatusCode::OK);
    assert!(log.first.lock().unwrap().is_none(), "somebody else was first");
    let document = log.documents(&[DocKey::new("upkeep", &"books".into(), "state")]).await.unwrap();
    assert_eq!(&document[0].as_ref().unwrap().bytes[..], b"newer", "it was not overwritten");
    assert_eq!(log.query(&Query::of_kind(EntryKind::Signal)).await.unwrap().len(), 0);
    let notes = log.query(&Query::of_kind(EntryKind::Note)).await.unwrap();
    assert_eq!(notes.iter().map(|note| note.index.name.as_deref()).collect::<Vec<_>>(), [Some("dropped")]);
}

/// Another host's handshake.
fn newer_state() -> Transaction {
    let write = DocumentWrite {
        key: DocKey::new("upkeep", &"books".into(), "state"),
        expected: Expected::Absent,
        value: Some(Bytes::from_static(b"newer")),
    };
    Transaction { documents: vec![write], ..Transaction::default() }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_refused_is_noted_and_the_feeds_are_read_four_times_an_hour_at_most() {
    let world = World::new();
    let connector = world.callbacks();
    world.run(&connector, secs(60)).await;
    let reads = || world.ledger.pages(PollMode::Live);
    let sweeps = || world.ledger.pages(PollMode::Sweep);
    let (reads_before, sweeps_before) = (reads(), sweeps());
    for (path, body, status) in [
        ("/ledger/issued", "x".repeat((2 << 20) + 1), 200),
        ("/ledger/issued", "unreadable".to_owned(), 200),
        ("/ledger/never-issued", "x".repeat((2 << 20) + 1), 404),
        ("/ledger/never-issued", "a b".to_owned(), 404),
        ("/nobody/issued", "a b".to_owned(), 404),
    ] {
        assert_eq!(send(&connector, path, &body).await, StatusCode::from_u16(status).unwrap(), "{path}");
    }
    // A read at the instant of a webhook may have begun before it: the second is followed by one of its own.
    assert_eq!(world.notes("unusable").await.len(), 2, "one note for each time that feeds are read");
    world.run(&connector, secs(30)).await;
    assert_eq!((reads() - reads_before, sweeps() - sweeps_before), (1, 1));

    // An hour of them: each is followed by a read, and those are a quarter of an hour apart, from the one above on.
    let began = world.clock.now();
    while world.clock.now() < began + QUARTER * 4 {
        assert_eq!(send(&connector, "/ledger/issued", "unreadable").await, StatusCode::OK);
        world.run(&connector, secs(60)).await;
    }
    world.run(&connector, QUARTER).await;
    assert_eq!(sweeps() - sweeps_before, 5);
    assert_eq!(world.notes("unusable").await.len(), sweeps() - sweeps_before);
}

/// A vendor that signs nothing proves itself by its path, and by a text in the body.
#[tokio::test(start_paused = true)]
async fn of_what_is_not_understood_no_body_and_no_path_is_kept_where_they_may_prove_the_sender() {
    let world = World::new();
    let connector = world.callbacks();
    assert_eq!(send(&connector, "/ledger/issued", "unreadable-planted").await, StatusCode::OK);
    let notes = world.entries(EntryKind::Note).await;
    assert!(notes.iter().any(|note| note.index.name.as_deref() == Some("rejected")), "{notes:?}");
    for note in &notes {
        let body = String::from_utf8_lossy(note.body.as_deref().unwrap_or_default()).into_owned();
        assert!(!body.contains("planted") && !body.contains("issued"), "{body}");
        let story = connector.explain(note.seq).await.unwrap().to_string();
        assert!(!story.contains("planted") && !story.contains("issued"), "{story}");
    }
    // Where every byte is signed, the body says what was not understood.
    let world = World::new();
    let connector = world.connector();
    let reply = connector.receive(vendor::webhook("", "good")).await;
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    let notes = world.entries(EntryKind::Note).await;
    let body = String::from_utf8_lossy(notes[0].body.as_deref().unwrap()).into_owned();
    assert!(body.contains("/hook?x=1"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_another_account_is_kept_and_the_feeds_are_read_in_case_it_is_ours_under_a_new_name() {
    let world = World::new();
    let connector = world.callbacks();
    world.run(&connector, secs(60)).await;
    assert_eq!(send(&connector, "/ledger/issued", &format!("verify {KEY}")).await, StatusCode::OK);
    let sweeps = world.ledger.pages(PollMode::Sweep);
    for _ in 0..3 {
        assert_eq!(send(&connector, "/ledger/issued", &format!("{KEY} elsewhere")).await, StatusCode::OK);
        world.run(&connector, secs(60)).await;
    }
    assert_eq!(world.notes("unrouted").await.len(), 3);
    assert_eq!(world.ledger.pages(PollMode::Sweep), sweeps + 1, "the others wait a quarter of an hour");
}

/// Anybody calls any path: that says nothing about a secret, good or bad.
#[tokio::test(start_paused = true)]
async fn a_path_that_nobody_has_issued_changes_no_health() {
    let world = World::new();
    let connector = world.callbacks();
    world.run(&connector, secs(60)).await;
    for _ in 0..5 {
        assert_eq!(send(&connector, "/ledger/elsewhere", "x").await, StatusCode::NOT_FOUND);
    }
    let health = connector.health().await.unwrap();
    let hooks = &health.connections[&"books".into()].hooks;
    assert_eq!((hooks.refused, hooks.accepted_at, hooks.remedy), (0, None, None));
}

#[tokio::test(start_paused = true)]
async fn other_vendors_are_refused_and_nothing_is_read_instead() {
    let world = World::new();
    let connector = world.connector();
    assert_eq!(
        send(&connector, "/ledger/hook", &"x".repeat((2 << 20) + 1)).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(world.entries(EntryKind::Note).await.len(), 0);
    let mut source = Callbacks::new(&world);
    source.info.connection = "more".into();
    source.info.accounts = vec!["account:more".into()];
    source.info.answers.unavailable = StatusCode::OK;
    let refused = connector.add_source(source).unwrap_err();
    let named = (refused.kind(), refused.context("status"));
    assert_eq!(named, (ErrorKind::ConfigInvalid, Some("200")), "what was not stored would be lost");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_asks_for_a_sweep_and_what_it_misses_is_told_as_deleted() {
    let world = World::new();
    let connector = world.callbacks();
    for id in ["1", "2", "3"] {
        world.ledger.put_at(id, Status::Open, world.clock.now(), world.clock.now());
    }
    world.run(&connector, secs(60)).await;
    send(&connector, "/ledger/issued", &format!("verify {KEY}")).await;
    world.ledger.remove("2");
    let before = world.ledger.pages(PollMode::Sweep);
    assert_eq!(send(&connector, "/ledger/issued", &format!("{KEY} purge")).await, StatusCode::OK);
    world.run(&connector, secs(60)).await;
    assert_eq!(world.ledger.pages(PollMode::Sweep), before + 1);
    let told = world.board.corner("a");
    assert!(told.contains(&"invoice.deleted 2".to_owned()), "{told:?}");
    let waiting = world.entries(EntryKind::Signal).await;
    let sweep = waiting.iter().find(|entry| entry.state != EntryState::Pending && entry.parent.is_none());
    assert!(sweep.is_some(), "it is settled");
}

#[tokio::test(start_paused = true)]
async fn while_connections_are_loaded_nobody_is_told_that_they_are_unknown() {
    let world = World::new();
    let connector = Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .loads_connections()
        .build()
        .unwrap();
    let forged = || vendor::webhook("account:books 1", "bad");
    let unknown = || vendor::webhook("account:later 1", "good");
    assert_eq!(connector.receive(forged()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    // A refusal could cost the vendor's subscription: nobody is told that a body is too large, or too slow, either.
    let large = || forged().map(|_| Bytes::from(vec![b' '; connector.max_webhook_bytes() + 1]));
    assert_eq!(connector.receive(large()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (slow, _) = forged().into_parts();
    let slow = Request::from_parts(slow, ());
    assert_eq!(connector.answer_slow(&slow).status(), StatusCode::SERVICE_UNAVAILABLE);
    connector.add_source(LedgerSource::new("books", &world.ledger)).unwrap();
    assert_eq!(connector.receive(forged()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(connector.receive(unknown()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(connector.receive(vendor::webhook("account:books 1", "good")).await.status(), StatusCode::OK);
    assert_eq!(world.notes("unrouted").await.len(), 0);
    connector.loaded();
    assert_eq!(connector.receive(large()).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(connector.answer_slow(&slow).status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(connector.receive(forged()).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(connector.receive(unknown()).await.status(), StatusCode::OK);
    assert_eq!(send(&connector, "/nobody", "").await, StatusCode::NOT_FOUND);
    assert_eq!(world.notes("unrouted").await.len(), 1);
}

/// A log whose file somebody has locked, or into which somebody else writes right before a document is written.
#[derive(Debug, Default)]
struct Locked {
    log: MemoryLog,
    open: AtomicBool,
    first: Mutex<Option<Transaction>>,
}

#[async_trait]
impl AuditLog for Locked {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        if !self.open.load(Ordering::Relaxed) {
            tokio::time::sleep(secs(5)).await;
            return Err(Error::new(ErrorKind::Unavailable, "the database is locked"));
        }
        if transactions.iter().any(|transaction| !transaction.documents.is_empty()) {
            let first = self.first.lock().unwrap().take();
            self.log.commit(first.into_iter().collect(), now).await?;
        }
        self.log.commit(transactions, now).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.log.lease(request).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.log.pending(wanted, limit).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.log.documents(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.log.query(query).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.log.count(query, cap).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.log.backlog(now).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.log.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.log.prune(before, limit).await
    }

    async fn remove_documents(&self, of: &str, connection: &ConnectionId, limit: usize) -> Result<usize> {
        self.log.remove_documents(of, connection, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_locked_log_is_answered_with_503_before_the_vendor_gives_up() {
    let world = World::new();
    let log = Arc::new(Locked::default());
    let source = LedgerSource::new("books", &world.ledger);
    let connector = Connector::builder()
        .audit_log(Arc::clone(&log))
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .source(source)
        .build()
        .unwrap();
    let began = world.clock.now();
    let reply = connector.receive(vendor::webhook("account:books 1", "good")).await;
    let took = world.clock.now().saturating_since(began);
    assert_eq!((reply.status(), took), (StatusCode::SERVICE_UNAVAILABLE, secs(2)));
    assert!(reply.headers().contains_key("retry-after"));
    assert_eq!(connector.stats().refused, 1);
    log.open.store(true, Ordering::Relaxed);
    assert_eq!(connector.receive(vendor::webhook("account:books 1", "good")).await.status(), StatusCode::OK);
}

/// A body whose end never comes.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<std::result::Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_to_its_end_is_given_up() {
    let world = World::new();
    for (connector, status) in [(world.connector(), 408), (world.callbacks(), 503)] {
        let began = world.clock.now();
        let request = Request::post("/ledger/issued").body(Endless).unwrap();
        let reply = connector.service().call(request).await.unwrap();
        let took = world.clock.now().saturating_since(began);
        assert_eq!((reply.status().as_u16(), took), (status, secs(10)));
    }
}

/// In a burst as many wait for the disk as the host lets in.
#[test]
fn a_webhook_under_way_takes_up_little_memory() {
    let world = World::new();
    let connector = world.connector();
    let bytes = size_of_val(&connector.receive(Request::new(Bytes::new())));
    assert!(bytes <= 3 * 1024, "{bytes} bytes");
}
