//! A company in Exact Online, a channel in Slack, and the connector between them.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    Clock, Connector, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog},
    engine::{ConnectionHealth, Settings},
    model::Event,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_exact::{Builder, ExactOnline};
use ml_connector_sim::{
    ExactOnlineSim, SimTransport, SlackSim,
    exact::{ExactOnlineConfig, Kind, NewDocument},
    slack::SlackConfig,
};
use ml_connector_slack::{Slack, channel};

use crate::{
    mirror::Host,
    world::{ACCOUNTING, Running, amount, entries, secs},
};

pub(super) const SUPPLIER: &str = "Molen De Hoop B.V.";
/// The simulated company's name.
pub(super) const COMPANY: &str = "Waalkade Groothandel B.V.";
const PUBLIC_URL: &str = "https://erp.example.com";

pub(super) struct Story {
    pub(super) sim: ExactOnlineSim,
    pub(super) slack: SlackSim,
    pub(super) log: Arc<MemoryLog>,
    clock: Arc<TokioClock>,
    tokens: Arc<MemoryTokenStore>,
    host: Arc<Host>,
    connected: Option<(Connector, Running)>,
}

impl Story {
    /// A connected company.
    pub(super) async fn new() -> Self {
        let mut story = Self::before();
        story.connect(Self::books(&story.sim)).await;
        assert_eq!(story.sim.subscriptions().len(), 6);
        story
    }

    /// Before anything is connected.
    pub(super) fn before() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-12T08:00:00Z").unwrap()));
        let host = Arc::<Host>::default();
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, SlackConfig::default());
        let sim = region(&clock, &host, ExactOnlineConfig::default());
        Self { sim, slack, log: Arc::default(), clock, tokens: Arc::default(), host, connected: None }
    }

    /// Another region of Exact Online, with an app and companies of its own.
    pub(super) fn another_region(&self) -> ExactOnlineSim {
        let mut config = ExactOnlineConfig::default();
        "start.exactonline.be".clone_into(&mut config.host);
        config.seed = 7;
        region(&self.clock, &self.host, config)
    }

    /// The settings of a connection to a company.
    pub(super) fn books(sim: &ExactOnlineSim) -> Builder {
        let credentials = sim.credentials();
        ExactOnline::builder("books")
            .division(credentials.division)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .webhook_secret(credentials.webhook_secret)
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(credentials.refresh_token.as_str())
    }

    /// Connects with these settings, instead of those before.
    pub(super) async fn connect(&mut self, books: Builder) {
        self.connect_to(&[], books).await;
    }

    /// As [`connect`](Self::connect), where other regions can be reached as well.
    pub(super) async fn connect_to(&mut self, others: &[&ExactOnlineSim], books: Builder) {
        if let Some((_, running)) = self.connected.take() {
            running.stop().await;
        }
        let transport = SimTransport::new().with_exact_online(&self.sim).with_slack(&self.slack);
        let transport = others.iter().fold(transport, |all, region| all.with_exact_online(region));
        let mut settings = Settings::default();
        settings.lease = secs(3600);
        let slack = Slack::builder("slack").token(self.slack.bot_token()).workspace("T07LEDGER1");
        let connector = Connector::builder()
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .clock(Arc::clone(&self.clock))
            .transport(transport)
            .public_url(PUBLIC_URL)
            .settings(settings)
            .connect(books.build().unwrap())
            .connect(slack.build().unwrap())
            .route(Route::new("all").to("slack", channel(ACCOUNTING)))
            .route(
                Route::new("admin")
                    .on("webhook.*")
                    .on("feed.*")
                    .on("signal.*")
                    .to("slack", channel(ACCOUNTING)),
            )
            .build()
            .unwrap();
        self.host.is_served_by(&connector);
        let running = Running::start(&connector);
        self.connected = Some((connector, running));
        self.later(secs(600)).await;
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connected.as_ref().unwrap().0
    }

    /// Where Exact Online looks whether webhooks can arrive.
    pub(super) fn served(&self) -> Arc<Host> {
        Arc::clone(&self.host)
    }

    /// Delivers what waits, and lets time pass.
    pub(super) async fn later(&self, time: Duration) {
        for delivery in self.sim.take_webhooks() {
            assert_eq!(self.connector().receive(delivery.request).await.status(), StatusCode::OK);
        }
        tokio::time::sleep(time).await;
    }

    /// Lets time pass, in which no webhook arrives.
    pub(super) async fn silence(&self, time: Duration) {
        drop(self.sim.take_webhooks());
        tokio::time::sleep(time).await;
    }

    /// How many messages say this.
    pub(super) fn says(&self, text: &str) -> usize {
        let posts = self.slack.posts(ACCOUNTING);
        posts.iter().filter(|post| post.text.contains(text) || post.blocks.to_string().contains(text)).count()
    }

    /// A purchase invoice.
    pub(super) fn bill(&self, cents: i64) -> String {
        self.sim.create(Kind::PurchaseEntries, &NewDocument::new(SUPPLIER, amount(cents)))
    }

    pub(super) async fn health(&self) -> ConnectionHealth {
        self.connector().health().await.unwrap().connections.remove(&"books".into()).unwrap()
    }

    pub(super) async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        entries(&*self.log, kind).await
    }

    /// What was told, as `bill.created 6f1f…`.
    pub(super) async fn told(&self) -> Vec<String> {
        let events = self.entries(EntryKind::Event).await.into_iter();
        let events = events.map(|entry| Event::from_cloudevent(&entry.body.unwrap()).unwrap());
        events.map(|event| format!("{} {}", event.event_type(), event.entity.id)).collect()
    }

    pub(super) async fn ends_well(mut self) {
        let (_, running) = self.connected.take().unwrap();
        running.stop().await;
        let tallies = self.sim.tallies();
        assert_eq!((tallies.limit_violations, tallies.blocked_calls, tallies.refused_tokens), (0, 0, 0));
        assert_eq!(self.slack.duplicates(), [""; 0]);
    }
}

/// A region of Exact Online.
fn region(clock: &Arc<TokioClock>, host: &Arc<Host>, config: ExactOnlineConfig) -> ExactOnlineSim {
    let sim = ExactOnlineSim::with_config(Arc::clone(clock) as Arc<dyn Clock>, config);
    sim.set_redirect_uri(&format!("{PUBLIC_URL}/connected"));
    sim.set_hooks(Arc::clone(host) as _);
    sim
}
