//! A connector that runs in virtual time, a console on it, and people who ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use ml_connector_console::{Access, Authorizer, Console, ConsoleService, Grant, Visible};
use ml_connector_core::{
    AuditLog, Clock, Connector, Error, ErrorKind, HttpTransport, Result, Timestamp, TokioClock,
    audit::{
        Backlog, Committed, DocKey, Document, Entry, EntryKind, EntryState, Lease, LeaseRequest, Pending,
        PendingRequest, Query, Transaction,
    },
    http::{Limits, TransportError},
    model::{ConnectionId, Destination, EntityRef, Partition, Seq},
    route::Route,
};
use tokio::{sync::oneshot, task::JoinHandle};
use tower_service::Service;

use crate::{
    logs::Stored,
    vendor::{Board, Corners, HOSTILE, Ledger},
};

/// Where everything begins.
pub(crate) const START: &str = "2026-03-12T06:00:00Z";
/// The channel of the books.
pub(crate) const CHANNEL: &str = "channel:accounting";
/// How long anything may take, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    pub(crate) connector: Connector,
    pub(crate) console: ConsoleService,
    pub(crate) log: Arc<Counted>,
    pub(crate) corners: Arc<Corners>,
    pub(crate) wall: Wall,
    _stop: oneshot::Sender<()>,
    _worker: JoinHandle<()>,
}

impl World {
    /// Two companies, each with its books and its board.
    pub(crate) async fn new() -> Self {
        Self::at("/console").await
    }

    pub(crate) async fn at(path: &str) -> Self {
        let log = Arc::new(Counted::new().await);
        let corners = Arc::new(Corners::default());
        let wall = Wall::new();
        let connector = connector(&log, &corners, wall.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = connector.clone();
        let worker = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
        let console = Console::new(connector.clone(), People).at(path).unwrap();
        Self { connector, console, log, corners, wall, _stop: stop, _worker: worker }
    }

    /// Another host on the same log, which does not run.
    pub(crate) fn other_host(&self) -> ConsoleService {
        Console::new(connector(&self.log, &self.corners, self.wall.clone()), People).at("/console").unwrap()
    }

    /// A webhook of a change in a company's books.
    pub(crate) async fn tell(&self, books: &str, id: &str, total: &str) {
        let hook = hook(books, &format!("account:{books} {id} {total}"));
        assert_eq!(self.connector.service().call(hook).await.unwrap().status(), StatusCode::OK);
    }

    /// A change in a company's books, until its message was sent or given up. Returns the delivery.
    pub(crate) async fn change(&self, books: &str, id: &str, total: &str) -> Entry {
        self.tell(books, id, total).await;
        let record = EntityRef::new("invoice", format!("{id} {total}"));
        let query = Query::of_kind(EntryKind::Delivery).with_entity(record).newest_first();
        self.until(&query, |entry| !matches!(entry.state, EntryState::Pending)).await
    }

    /// The first entry of a query, once it stands as it should.
    pub(crate) async fn until(&self, query: &Query, is_so: impl Fn(&Entry) -> bool) -> Entry {
        let found = async {
            loop {
                if let Some(entry) = self.connector.search(query).await.unwrap().into_iter().find(&is_so) {
                    return entry;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it comes")
    }

    pub(crate) async fn get(&self, actor: &str, path: &str) -> Answer {
        get(&self.console, actor, path).await
    }

    /// A form of a page of the console.
    pub(crate) async fn post(&self, actor: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        post(&self.console, actor, path, form).await
    }

    /// Changes and gives up: so many deliveries of the books that are dead.
    pub(crate) async fn dead(&self, books: &str, count: usize) -> Vec<Seq> {
        let corner = corner_of(books);
        self.corners.broken.lock().unwrap().insert(corner.clone());
        let mut dead = Vec::new();
        for i in 0..count {
            let entry = self.change(books, &format!("{books}-{i}"), "10.00").await;
            assert_eq!(entry.state, EntryState::Dead, "{entry:?}");
            dead.push(entry.seq);
        }
        self.corners.broken.lock().unwrap().remove(&corner);
        dead
    }
}

/// A webhook with its proof.
pub(crate) fn hook(endpoint: &str, body: &str) -> Request<Full<Bytes>> {
    let hook = Request::post(format!("/{endpoint}")).header("proof", "1");
    hook.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

fn corner_of(books: &str) -> String {
    if books == "books" { CHANNEL.to_owned() } else { format!("channel:{books}") }
}

fn connector(log: &Arc<Counted>, corners: &Arc<Corners>, wall: Wall) -> Connector {
    let route = |name: &str, books: &str, sink: &str| {
        let to = Destination::from(corner_of(books).as_str());
        Route::new(name).from(books).on("invoice.*").to(sink, to)
    };
    Connector::builder()
        .audit_log(Arc::clone(log))
        .clock(wall)
        .transport(NoNetwork)
        .source(Ledger::new("books", "Europe/Amsterdam", corners))
        .source(Ledger::new("rival", "America/New_York", corners))
        .sink(Board::new("slack", corners))
        .sink(Board::new("rivalslack", corners))
        .route(route("invoices", "books", "slack"))
        .route(route("rival invoices", "rival", "rivalslack"))
        .route(
            Route::new("large")
                .from("books")
                .on("invoice.*")
                .at_least(ml_connector_core::Money::parse("10000", "EUR").unwrap())
                .to("slack", Destination::from("channel:cfo")),
        )
        .build()
        .unwrap()
}

/// A console on so many companies, none of which runs here, and their log.
pub(crate) async fn crowd(count: usize) -> (ConsoleService, Connector, Arc<Counted>) {
    let (log, corners) = (Arc::new(Counted::new().await), Arc::new(Corners::default()));
    let mut builder =
        Connector::builder().audit_log(Arc::clone(&log)).clock(Wall::new()).transport(NoNetwork);
    for i in 0..count {
        builder = builder
            .source(Ledger::new(&format!("books-{i}"), "Europe/Amsterdam", &corners))
            .sink(Board::new(&format!("board-{i}"), &corners));
    }
    let connector = builder.build().unwrap();
    (Console::new(connector.clone(), People).at("/console").unwrap(), connector, log)
}

/// What somebody was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, rest) =
            self.text.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is there");
        rest.split_once('"')
            .unwrap()
            .0
            .replace("&amp;", "&")
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
    }

    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "{text:?} is not on the page:\n{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn hides(&self, text: &str) -> &Self {
        assert!(!self.text.contains(text), "{text:?} is on the page:\n{}", self.text);
        self
    }
}

pub(crate) async fn get(console: &ConsoleService, actor: &str, path: &str) -> Answer {
    send(console, Request::get(path).header("actor", actor).body(Full::default()).unwrap()).await
}

pub(crate) async fn post(console: &ConsoleService, actor: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = Request::post(path).header("actor", actor).header("sec-fetch-site", "same-origin");
    send(console, request.header("content-type", FORM).body(Full::new(encoded(form))).unwrap()).await
}

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn encoded(form: &[(&str, &str)]) -> Bytes {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    form.iter().for_each(|(name, value)| _ = text.append_pair(name, value));
    text.finish().into()
}

pub(crate) async fn send(console: &ConsoleService, request: Request<Full<Bytes>>) -> Answer {
    let (parts, body) = console.clone().call(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// `ada` may do everything; `carl` works for the books, `bob` looks at them, `rita` works for the rival. Nobody else may anything.
#[derive(Debug)]
pub(crate) struct People;

#[async_trait]
impl Authorizer for People {
    async fn authorize(&self, request: &Parts) -> Access {
        access(request.headers.get("actor").and_then(|actor| actor.to_str().ok()))
    }
}

/// What somebody of this name may.
pub(crate) fn access(actor: Option<&str>) -> Access {
    let books = || Visible::only(["books", "slack"]);
    match actor {
        Some("ada") => Grant::act("ada", Visible::All).with_payloads().with_routes().into(),
        Some("carl") => Grant::act("carl", books()).with_routes().into(),
        Some("bob") => Grant::view("bob", books()).into(),
        Some("rita") => Grant::act("rita", Visible::only(["rival", "rivalslack"])).with_payloads().into(),
        Some("hostile") => Grant::act(HOSTILE, Visible::All).with_payloads().into(),
        Some("nameless") => Grant::act(" ", Visible::All).into(),
        _ => Access::Deny,
    }
}

#[derive(Debug)]
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(
        &self,
        _: Request<Bytes>,
        _: Limits,
    ) -> std::result::Result<http::Response<Bytes>, TransportError> {
        unreachable!("nothing here makes calls")
    }
}

/// The host's clock, in virtual time, which can be set wrong.
#[derive(Debug, Clone)]
pub(crate) struct Wall {
    right: Arc<TokioClock>,
    ahead_s: Arc<AtomicU64>,
}

impl Wall {
    fn new() -> Self {
        let right = TokioClock::starting_at(Timestamp::parse(START).unwrap());
        Self { right: Arc::new(right), ahead_s: Arc::default() }
    }

    pub(crate) fn jumps_ahead(&self, by: Duration) {
        self.ahead_s.store(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        self.right.now() + Duration::from_secs(self.ahead_s.load(Ordering::SeqCst))
    }
}

/// A log that counts what is read from it, and can be down.
#[derive(Debug)]
pub(crate) struct Counted {
    log: Stored,
    reads: AtomicUsize,
    is_down: AtomicBool,
    takes_no_writes: AtomicBool,
}

impl Counted {
    async fn new() -> Self {
        let (is_down, takes_no_writes) = (AtomicBool::default(), AtomicBool::default());
        Self { log: Stored::fresh().await, reads: AtomicUsize::default(), is_down, takes_no_writes }
    }

    /// How often the log was read meanwhile. Only while nothing else is at work.
    pub(crate) fn take(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn goes_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Reads are answered, and nothing is written.
    pub(crate) fn takes_no_writes(&self) {
        self.takes_no_writes.store(true, Ordering::SeqCst);
    }

    fn read(&self) -> Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the disk is gone")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl AuditLog for Counted {
    async fn commit(&self, transactions: Vec<Transaction>, now: Timestamp) -> Result<Vec<Committed>> {
        match self.takes_no_writes.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the disk is full")),
            false => self.log.at_work(self.log.log.commit(transactions, now)).await,
        }
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.log.at_work(self.log.log.lease(request)).await
    }

    async fn pending(&self, wanted: &[PendingRequest], limit: usize) -> Result<Vec<Option<Vec<Pending>>>> {
        self.log.at_work(self.log.log.pending(wanted, limit)).await
    }

    async fn documents(&self, keys: &[DocKey]) -> Result<Vec<Option<Document>>> {
        self.read()?;
        self.log.at_work(self.log.log.documents(keys)).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Entry>> {
        self.read()?;
        self.log.at_work(self.log.log.query(query)).await
    }

    async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.read()?;
        self.log.at_work(self.log.log.count(query, cap)).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>> {
        self.read()?;
        self.log.at_work(self.log.log.backlog(now)).await
    }

    async fn wait(&self, partitions: &[Partition], at_most: Duration) -> Result<Vec<Partition>> {
        self.log.log.wait(partitions, at_most).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.log.at_work(self.log.log.prune(before, limit)).await
    }

    async fn remove_documents(
        &self,
        collection: &str,
        connection: &ConnectionId,
        limit: usize,
    ) -> Result<usize> {
        self.log.at_work(self.log.log.remove_documents(collection, connection, limit)).await
    }
}
