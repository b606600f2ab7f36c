//! A simulated vendor, the people who work with it, and the connector that watches it.

use std::{fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Clock, Connector, Source, SourceInfo, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog},
    engine::Settings,
    model::{Event, Origin},
    rate::MemoryRateLimiter,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_sim::{DatabricksSim, SimTransport};

use super::{Host, Post, lake, same_story};
use crate::{
    proof::Dice,
    world::{Running, entries},
};

/// What is the vendor's own: how it is connected, what people do in it, and how it tells of that.
pub(crate) trait Vendor {
    /// What differs from one start of the connector to the next, such as how often it polls.
    type Mode: Copy;
    type Source: Source;

    /// How old the first records are when somebody connects.
    const AGE: Duration;
    /// How often webhooks leave while nobody works.
    const STEP: Duration;

    /// The connections' sources.
    fn sources(&self, mode: Self::Mode) -> Vec<Self::Source>;

    /// Makes the vendor ready for them, where they cannot do so themselves.
    fn prepare(&mut self, _mode: Self::Mode) {}

    /// Lets the connector reach the vendor.
    fn within_reach(&self, transport: SimTransport) -> SimTransport;

    /// Enters what is there before anybody is connected.
    fn furnish(&mut self, documents: usize, dice: &mut Dice);

    /// A round of work begins. What was touched in the one before may be touched again.
    fn begin_round(&mut self, dice: &mut Dice, now: Timestamp);

    /// Does something to a record that nobody has touched in this round. What happens to a record between two looks at it is
    /// one event, so people leave it alone for as long.
    fn act(&mut self, dice: &mut Dice, now: Timestamp);

    /// Takes the webhooks that are due. The vendor learns that they have arrived, whether they do or not.
    fn take_webhooks(&mut self) -> Vec<Request<Bytes>>;

    /// Sends something that is not the vendor's, sometimes.
    async fn forge(&mut self, _connector: &Connector, _dice: &mut Dice) {}

    /// Deletes a few documents while nobody is connected.
    fn delete_some(&mut self);

    fn diaries(&self) -> Vec<&Diary>;

    /// Every record that there ever was and that a table has to show or to mark as deleted.
    fn records(&self) -> Vec<Kept>;
}

/// A record of the vendor's.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) connection: &'static str,
    /// What we call its kind.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// Whether it is there, or was deleted.
    pub(crate) exists: bool,
}

/// What happened in the books of a connection, in order.
#[derive(Debug)]
pub(crate) struct Diary {
    pub(crate) connection: &'static str,
    /// `books invoice.paid 4815…`
    happened: Vec<String>,
}

impl Diary {
    pub(crate) fn new(connection: &'static str) -> Self {
        Self { connection, happened: Vec::new() }
    }

    pub(crate) fn note(&mut self, kind: &str, change: &str, id: impl Display) {
        self.happened.push(format!("{} {kind}.{change} {id}", self.connection));
    }

    /// From now on what happens is told.
    pub(crate) fn begin(&mut self) {
        self.happened.clear();
    }

    pub(crate) fn has(&self, change: &str, id: &str) -> bool {
        let end = format!(".{change} {id}");
        self.happened.iter().any(|what| what.ends_with(&end))
    }
}

/// A vendor, what outlives connectors, and what goes wrong between them.
pub(crate) struct World<V> {
    pub(crate) vendor: V,
    /// Where everything is told to, if anywhere.
    pub(crate) lake: Option<DatabricksSim>,
    pub(crate) post: Post,
    pub(crate) host: Arc<Host>,
    pub(crate) log: Arc<MemoryLog>,
    clock: Arc<TokioClock>,
    pub(crate) dice: Dice,
    tokens: Arc<MemoryTokenStore>,
    limiter: Arc<MemoryRateLimiter>,
    connector: Option<Connector>,
}

impl<V: Vendor> World<V> {
    /// A vendor that sends its webhooks to the host by the post, at `start`.
    pub(crate) fn new(
        seed: u64,
        start: &str,
        post: Post,
        vendor: impl FnOnce(&Arc<TokioClock>, &Arc<Host>) -> V,
    ) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse(start).unwrap()));
        let host = Arc::<Host>::default();
        Self {
            vendor: vendor(&clock, &host),
            lake: None,
            post,
            host,
            log: Arc::default(),
            clock,
            dice: Dice::new(seed),
            tokens: Arc::default(),
            limiter: Arc::default(),
            connector: None,
        }
    }

    /// Lets time pass after documents were entered. Nobody is told of them.
    pub(crate) async fn furnish(&mut self, documents: usize) {
        self.vendor.furnish(documents, &mut self.dice);
        drop(self.vendor.take_webhooks());
        tokio::time::sleep(V::AGE).await;
    }

    pub(crate) fn connect(&mut self, mode: V::Mode) -> Running {
        self.vendor.prepare(mode);
        let sources = self.vendor.sources(mode);
        let mut transport = self.vendor.within_reach(SimTransport::new());
        let mut builder = Connector::builder();
        if let Some(lake) = &self.lake {
            transport = transport.with_router(lake.host(), lake.router());
            let route = Route::new("warehouse").with_pages().with_all_origins();
            builder = builder
                .connect(lake::sink(lake, sources.iter().map(|source| source as &dyn Source)))
                .route(route.to("lake", ml_connector_databricks::tables()));
        }
        let mut settings = Settings::default();
        settings.lease = Duration::from_secs(600);
        // What was told on the first day is compared at the end.
        settings.retention = None;
        let builder = builder
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .rate_limiter(Arc::clone(&self.limiter))
            .clock(Arc::clone(&self.clock))
            .transport(transport)
            .public_url("https://erp.example.com")
            .settings(settings);
        let connector = sources.into_iter().fold(builder, |builder, source| builder.source(source));
        let connector = connector.build().unwrap();
        self.host.is_served_by(&connector);
        self.connector = Some(connector.clone());
        Running::start(&connector)
    }

    pub(crate) fn connector(&self) -> &Connector {
        self.connector.as_ref().unwrap()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The log is gone, and another one begins. Meanwhile documents are deleted, and nobody hears of it.
    pub(crate) fn lose_log(&mut self) {
        self.log = Arc::default();
        self.vendor.delete_some();
        drop(self.vendor.take_webhooks());
    }

    /// Does `acts` things to as many different records in `time`.
    pub(crate) async fn work(&mut self, acts: u32, time: Duration) {
        let now = self.now();
        self.vendor.begin_round(&mut self.dice, now);
        for _ in 0..acts {
            tokio::time::sleep(time / acts).await;
            let now = self.now();
            self.vendor.act(&mut self.dice, now);
            self.deliver().await;
        }
    }

    /// Lets time pass in which nobody works, and the post goes on. What is late arrives in the middle of it.
    pub(crate) async fn settle(&mut self, time: Duration) {
        let end = self.now() + time;
        let steps = time.as_millis().div_ceil(V::STEP.as_millis());
        for n in 0..steps {
            tokio::time::sleep(V::STEP.min(end.saturating_since(self.now()))).await;
            self.deliver().await;
            if n == steps / 2 {
                let connector = self.connector().clone();
                self.post.flush(&connector).await;
            }
        }
    }

    /// Works for a third of the time, and lets the rest pass.
    pub(crate) async fn work_and_settle(&mut self, acts: u32, time: Duration) {
        self.work(acts, time / 3).await;
        self.settle(time - time / 3).await;
    }

    /// Delivers what is due.
    pub(crate) async fn deliver(&mut self) {
        let connector = self.connector().clone();
        for request in self.vendor.take_webhooks() {
            self.post.hand_over(&connector, &mut self.dice, request).await;
        }
        self.post.hand_over_late(&connector, &mut self.dice).await;
        self.vendor.forge(&connector, &mut self.dice).await;
    }

    pub(crate) fn happened(&self) -> impl Iterator<Item = String> {
        self.vendor.diaries().into_iter().flat_map(|diary| diary.happened.iter().cloned())
    }

    /// Whether the events are what happened, once each. Returns them.
    pub(crate) async fn same_story(&self) -> Vec<Event> {
        let events = self.events().await;
        assert!(events.iter().all(|event| event.origin == Origin::Live));
        let told = |event: &Event| format!("{} {} {}", event.connection, event.event_type(), event.entity.id);
        same_story(self.happened(), events.iter().map(told));
        events
    }

    /// What was told of records, also of those of a page.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let records = |event: Event| if event.is_page() { event.page } else { vec![event] };
        let events = self.told().await.into_iter().filter(|event| !event.is_outcome());
        events.flat_map(records).collect()
    }

    /// What was told of the connector's own work.
    pub(crate) async fn notices(&self) -> Vec<Event> {
        self.told().await.into_iter().filter(Event::is_outcome).collect()
    }

    async fn told(&self) -> Vec<Event> {
        let entries = self.entries(EntryKind::Event).await;
        entries.iter().map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap()).collect()
    }

    pub(crate) async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        entries(&*self.log, kind).await
    }

    /// What the connections publish of themselves.
    pub(crate) fn infos(&self, mode: V::Mode) -> Vec<SourceInfo> {
        self.vendor.sources(mode).iter().map(|source| source.info().clone()).collect()
    }

    /// Asks for the past of a list.
    pub(crate) async fn backfill(&self, connection: &str, feed: &str) {
        self.connector().backfill(&connection.into(), feed, None).await.unwrap();
    }
}
