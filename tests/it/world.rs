//! Simulators, a log and a clock that outlive the connectors between them, in virtual time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog, Query},
    engine::{ConnectorBuilder, Settings},
    model::{Decimal, Zone},
    rate::MemoryRateLimiter,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    Conditions, SimTransport, SlackSim, ZohoBooksSim,
    slack::SlackConfig,
    zoho::{Credentials, Entity, EventKind, NewDocument, Organization, Plan, WebhookRule, ZohoBooksConfig},
};
use ml_connector_slack::Slack;
use ml_connector_zoho::ZohoBooks;
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const WEBHOOK_SECRET: &str = "harborLaneSecret2026";
/// The first organization and the channel for its messages.
pub(crate) const HARBOR: &str = "778812345";
pub(crate) const ACCOUNTING: &str = "C07ACCTNG1";
pub(crate) const ENTITIES: [Entity; 4] =
    [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment];

/// Zoho Books and Slack, and everything that survives a restart.
pub(crate) struct World {
    pub(crate) books: ZohoBooksSim,
    pub(crate) slack: SlackSim,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) tokens: Arc<MemoryTokenStore>,
    pub(crate) limiter: Arc<MemoryRateLimiter>,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) transport: SimTransport,
}

impl World {
    /// A Monday morning in New York, one organization, one workspace.
    pub(crate) fn new() -> Self {
        let mut books = ZohoBooksConfig::default();
        // What happens to two records at once is told in one order.
        books.conditions = Conditions::kind();
        Self::with("2026-03-02T14:00:00Z", books, SlackConfig::default())
    }

    pub(crate) fn with(start: &str, books: ZohoBooksConfig, slack: SlackConfig) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse(start).unwrap()));
        let organizations: Vec<String> = books.organizations.iter().map(|org| org.id.clone()).collect();
        let books = ZohoBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, books);
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, slack);
        for organization in &organizations {
            send_webhooks(&books.within(organization), "https://erp.example.com/books");
        }
        Self {
            transport: SimTransport::new().with_zoho_books(&books).with_slack(&slack),
            books,
            slack,
            log: Arc::default(),
            tokens: Arc::default(),
            limiter: Arc::default(),
            clock,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A connector without connections.
    pub(crate) fn builder(&self) -> ConnectorBuilder {
        // Weeks pass in these tests; nobody else wants the partitions.
        let mut settings = Settings::default();
        settings.lease = secs(3600);
        Connector::builder()
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .rate_limiter(Arc::clone(&self.limiter))
            .clock(Arc::clone(&self.clock))
            .transport(self.transport.clone())
            .public_url("https://erp.example.com")
            .settings(settings)
    }

    /// The organization's source, ready to be changed.
    pub(crate) fn source(&self) -> ml_connector_zoho::Builder {
        source("books", &self.books.credentials())
    }

    pub(crate) fn sink(&self) -> ml_connector_slack::Builder {
        Slack::builder("slack").token(self.slack.bot_token()).workspace("T07LEDGER1")
    }

    /// Everything into the accounting channel.
    pub(crate) fn connector(&self) -> Connector {
        self.builder()
            .source(self.source().build().unwrap())
            .sink(self.sink().build().unwrap())
            .route(everything(ACCOUNTING))
            .build()
            .unwrap()
    }

    /// The headlines in a channel, oldest first.
    pub(crate) fn headlines(&self, channel: &str) -> Vec<String> {
        let headline = |blocks: &serde_json::Value| blocks[0]["text"]["text"].as_str().map(str::to_owned);
        self.slack.posts(channel).iter().map(|post| headline(&post.blocks).unwrap_or_default()).collect()
    }

    pub(crate) async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        entries(&*self.log, kind).await
    }

    /// What the simulators saw of limits that were not kept.
    pub(crate) fn limits_broken(&self) -> u64 {
        self.books.limit_violations() + self.slack.limit_violations() + self.slack.ignored_retry_afters()
    }
}

/// A connector that runs, and what was told since somebody last looked.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) connector: Connector,
    running: Running,
    seen: usize,
}

impl Story {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let connector = world.connector();
        Self::of(world, connector)
    }

    pub(crate) fn of(world: World, connector: Connector) -> Self {
        Self { running: Running::start(&connector), world, connector, seen: 0 }
    }

    /// Sends the webhooks that wait, lets the dust settle, and returns the new headlines of the accounting channel.
    pub(crate) async fn told(&mut self) -> Vec<String> {
        for webhook in self.world.books.take_webhooks() {
            assert_eq!(self.send(webhook.request).await, StatusCode::OK, "{}", webhook.about.event);
        }
        self.later(secs(30)).await
    }

    /// Waits, and returns the new headlines.
    pub(crate) async fn later(&mut self, time: Duration) -> Vec<String> {
        tokio::time::sleep(time).await;
        let all = self.world.headlines(ACCOUNTING);
        let new = all[self.seen..].to_vec();
        self.seen = all.len();
        new
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> StatusCode {
        self.connector.receive(request).await.status()
    }

    /// Stops, and checks what holds for every story: nothing twice, no limit broken, nothing lost on the way.
    pub(crate) async fn end(self) -> World {
        self.running.stop().await;
        let stats = self.connector.stats();
        assert_eq!(stats.delivered + stats.dead, stats.deliveries, "{stats:?}");
        assert_eq!(self.world.slack.duplicates(), [""; 0]);
        assert_eq!(self.world.limits_broken(), 0);
        self.world
    }
}

/// A connector's `run`, in a task.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(connector: &Connector) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let connector = connector.clone();
        let task = tokio::spawn(async move {
            connector.run(async { drop(stopped.await) }).await;
        });
        Self { stop, task }
    }

    /// Shuts down in peace.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    /// Ends as a process does that is killed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Everything of a kind that a log holds, with bodies.
pub(crate) async fn entries(log: &dyn AuditLog, kind: EntryKind) -> Vec<Entry> {
    let mut query = Query::of_kind(kind).with_limit(usize::MAX);
    query.bodies = true;
    log.query(&query).await.unwrap()
}

/// A source for an organization in the US data center and in New York.
pub(crate) fn source(connection: &str, credentials: &Credentials) -> ml_connector_zoho::Builder {
    ZohoBooks::builder(connection)
        .organization_id(&credentials.organization_id)
        .data_center(ml_connector_zoho::DataCenter::Us)
        .client(credentials.client_id.as_str(), credentials.client_secret.as_str())
        .refresh_token(credentials.refresh_token.as_str())
        .webhook_secret(WEBHOOK_SECRET)
        .time_zone("America/New_York")
        .endpoint("books")
        .overdue_after([7])
}

/// Makes an organization send a webhook for every change.
pub(crate) fn send_webhooks(books: &ZohoBooksSim, url: &str) {
    for entity in ENTITIES {
        for kind in [EventKind::Changed, EventKind::Deleted] {
            let secret = Some(Secret::from(WEBHOOK_SECRET));
            books.add_webhook(WebhookRule::new(entity, kind, url.parse().unwrap(), secret)).unwrap();
        }
    }
}

pub(crate) fn everything(channel: &str) -> Route {
    Route::new("everything").to("slack", ml_connector_slack::channel(channel))
}

pub(crate) fn organization(id: &str, name: &str, zone: &str) -> Organization {
    Organization {
        id: id.to_owned(),
        name: name.to_owned(),
        time_zone: Zone::named(zone).unwrap(),
        plan: Plan::Elite,
    }
}

pub(crate) fn document(counterparty: &str, cents: i64) -> NewDocument {
    NewDocument::new(counterparty, amount(cents))
}

pub(crate) fn amount(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
