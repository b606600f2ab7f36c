//! Companies of one login, the connector that watches them, and what goes wrong between them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Source, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog, Query},
    engine::Settings,
    http::{Phase, TransportError},
    model::{Event, RecordKind},
    rate::MemoryRateLimiter,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_exact::{ExactOnline, Invoices};
use ml_connector_sim::{
    DatabricksSim, ExactOnlineSim, Fault, SimTransport,
    exact::{Division, ExactOnlineConfig, Kind, Right, hash_code},
};

use super::act::Company;
use crate::{
    mirror::{self, Host},
    proof::Dice,
    warehouse,
    world::Running,
};

const WHOLESALE: u32 = 3_141_593;
const TRANSPORT: u32 = 3_141_594;
/// Where the connection of the second is pointed to.
const DEPOT: u32 = 3_141_595;
/// A company that nobody watches.
const ELSEWHERE: u32 = 3_141_699;

const KINDS: [RecordKind; 9] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::PurchaseOrder,
    RecordKind::JournalEntry,
    RecordKind::BankEntry,
    RecordKind::CashEntry,
    RecordKind::VendorPayment,
    RecordKind::CustomerPayment,
    RecordKind::CostTransaction,
];

/// The login's companies and the connector that watches them.
pub(super) struct World {
    pub(super) sim: ExactOnlineSim,
    pub(super) post: Post,
    /// The first two are watched.
    pub(super) companies: Vec<Company>,
    /// Where everything is told to, if anywhere.
    pub(super) lake: Option<DatabricksSim>,
    /// What the person's consent has led to.
    refresh_token: String,
    /// How often the chain of tokens has ended, because an answer was lost with the only token that works.
    cut_off: u64,
    /// The documents that were touched since the connector could read last.
    used: [BTreeSet<usize>; 2],
    secrets: Vec<Secret>,
    hidden: Option<(usize, Kind)>,
    /// When a list was hidden, and until when.
    hid: Vec<(Timestamp, Timestamp)>,
    clock: Arc<TokioClock>,
    log: Arc<MemoryLog>,
    tokens: Arc<MemoryTokenStore>,
    limiter: Arc<MemoryRateLimiter>,
    host: Arc<Host>,
    connector: Option<Connector>,
    dice: Dice,
}

/// The way from Exact Online to the host, with forgers beside it.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) way: mirror::Post,
    pub(super) forged: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-10-18T05:00:00Z").unwrap()));
        let mut config = ExactOnlineConfig::default();
        config.divisions.push(Division::new(DEPOT, "Waalkade Opslag B.V."));
        config.seed = seed;
        // Sources disagree. Where a refresh token works once only, a lost answer ends the chain, and somebody has to consent anew.
        config.lasting_refresh_tokens = seed.is_multiple_of(2);
        config.conditions.latency = Duration::from_millis(300);
        config.conditions.jitter = Duration::from_millis(200);
        config.conditions.short_pages = seed.is_multiple_of(2);
        let sim = ExactOnlineSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config);
        sim.set_redirect_uri("https://erp.example.com/connected");
        let host = Arc::<Host>::default();
        sim.set_hooks(Arc::clone(&host) as _);
        sim.tune(|quirks| {
            quirks.tells_lines = true;
            quirks.unordered_feeds = true;
            quirks.int64_as_numbers = seed.is_multiple_of(2);
            quirks.creates_are_updates = seed.is_multiple_of(2);
            quirks.ledger_rows_change_together = seed.is_multiple_of(3);
            // Without it orders are found by the times of the server's clocks.
            quirks.purchase_order_feed = seed.is_multiple_of(2);
            quirks.negative_receivables = !seed.is_multiple_of(3);
        });
        let company =
            |connection, division, invoices| Company::new(connection, sim.within(division), invoices);
        let companies = vec![
            company("wholesale", WHOLESALE, Invoices::Invoices),
            company("transport", TRANSPORT, Invoices::Entries),
            company("transport", DEPOT, Invoices::Entries),
        ];
        Self {
            refresh_token: sim.credentials().refresh_token,
            cut_off: 0,
            used: Default::default(),
            secrets: vec![sim.credentials().webhook_secret, NEW_SECRET.into()],
            sim,
            post: Post::default(),
            companies,
            lake: None,
            hidden: None,
            hid: Vec::new(),
            clock,
            log: Arc::default(),
            tokens: Arc::default(),
            limiter: Arc::default(),
            host,
            connector: None,
            dice: Dice::new(seed),
        }
    }

    /// What the books hold before anybody is connected.
    pub(super) async fn furnish(&mut self, documents: usize) {
        for company in &mut self.companies {
            company.furnish(documents, &mut self.dice);
        }
        drop(self.sim.take_webhooks());
        tokio::time::sleep(Duration::from_secs(86_400)).await;
    }

    /// The connection of a company.
    pub(super) fn source(&self, company: usize, poll_minutes: u32) -> ExactOnline {
        let company = &self.companies[company];
        let credentials = company.sim.credentials();
        let mut builder = ExactOnline::builder(company.connection)
            .division(credentials.division)
            .login("sanne")
            .client(credentials.client_id, credentials.client_secret.as_str())
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(self.refresh_token.as_str())
            .invoices(company.invoices)
            .resources(KINDS)
            .poll_minutes(poll_minutes);
        for secret in &self.secrets {
            builder = builder.webhook_secret(secret.clone());
        }
        builder.build().unwrap()
    }

    /// Connects the first two companies.
    pub(super) fn connect(&mut self, poll_minutes: u32) -> Running {
        let sources = [0, 1].map(|company| self.source(company, poll_minutes));
        let mut transport = SimTransport::new().with_exact_online(&self.sim);
        let mut builder = Connector::builder();
        if let Some(lake) = &self.lake {
            transport = transport.with_router(lake.host(), lake.router());
            let route = Route::new("warehouse").with_pages().with_all_origins();
            builder = builder
                .connect(warehouse::sink(lake, sources.iter().map(|source| source as &dyn Source)))
                .route(route.to("lake", ml_connector_databricks::tables()));
        }
        let [one, other] = sources;
        let mut settings = Settings::default();
        settings.lease = Duration::from_secs(600);
        // What was told on the first day is compared at the end.
        settings.retention = None;
        let connector = builder
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .rate_limiter(Arc::clone(&self.limiter))
            .clock(Arc::clone(&self.clock))
            .transport(transport)
            .public_url("https://erp.example.com")
            .settings(settings)
            .source(one)
            .source(other)
            .build()
            .unwrap();
        self.host.is_served_by(&connector);
        self.connector = Some(connector.clone());
        Running::start(&connector)
    }

    pub(super) fn connector(&self) -> &Connector {
        self.connector.as_ref().unwrap()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// The log is gone, and another one begins. Meanwhile documents are deleted, and nobody hears of it.
    pub(super) fn lose_log(&mut self) {
        self.log = Arc::default();
        self.companies[..2].iter_mut().for_each(Company::delete_some);
        drop(self.sim.take_webhooks());
    }

    /// Does `acts` things to as many different records in `time`.
    pub(super) async fn work(&mut self, acts: u32, time: Duration) {
        if !self.is_cut_off() {
            self.used = Default::default();
        }
        let now = self.now();
        self.companies[..2].iter_mut().for_each(|company| company.split(&mut self.dice, now));
        for _ in 0..acts {
            tokio::time::sleep(time / acts).await;
            let which = usize::try_from(self.dice.below(2)).unwrap();
            let hidden = self.hidden.filter(|(at, _)| *at == which).map(|(_, kind)| kind);
            let now = self.now();
            self.companies[which].act(&mut self.dice, &mut self.used[which], hidden, now);
            self.deliver().await;
        }
    }

    /// Whether nothing can be read until somebody consents anew. What happens to a record twice meanwhile could not be told
    /// twice.
    fn is_cut_off(&self) -> bool {
        self.sim.tallies().refused_tokens > self.cut_off
    }

    /// The person who connected consents anew, if that is needed. Returns whether it was.
    pub(super) fn consent_anew(&mut self) -> bool {
        let is_needed = self.is_cut_off();
        if is_needed {
            self.cut_off += 1;
            self.refresh_token = self.sim.grant();
        }
        is_needed
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Enters a document in a company, and returns its place.
    pub(super) fn enter(&mut self, company: usize, kind: Kind) -> usize {
        self.companies[company].enter(kind, &mut self.dice)
    }

    /// What Exact Online has to tell never arrives.
    pub(super) fn lose_the_post(&mut self) {
        self.post.way.lost += self.sim.take_webhooks().len();
    }

    /// Lets time pass in which nobody works, and the post goes on.
    pub(super) async fn settle(&mut self, time: Duration) {
        let (step, end) = (Duration::from_secs(600), self.now() + time);
        for n in 0..time.as_secs().div_ceil(step.as_secs()) {
            tokio::time::sleep(step.min(end.saturating_since(self.now()))).await;
            self.deliver().await;
            if n == 3 {
                let connector = self.connector().clone();
                self.post.way.flush(&connector).await;
            }
        }
    }

    /// The host is away. Exact Online tries again later what it has to tell, and gives up some of it.
    pub(super) async fn nobody_listens(&mut self, time: Duration) {
        for delivery in self.sim.take_webhooks() {
            let away = TransportError::new(Phase::NotWritten, "nobody listens");
            self.sim.settle_webhook(delivery, Err(away));
        }
        tokio::time::sleep(time).await;
    }

    async fn deliver(&mut self) {
        let connector = self.connector().clone();
        for delivery in self.sim.take_webhooks() {
            self.post.way.hand_over(&connector, &mut self.dice, delivery.request).await;
        }
        self.post.way.hand_over_late(&connector, &mut self.dice).await;
        if self.dice.below(24) == 0 {
            self.forge(&connector).await;
        }
    }

    /// A notification that Exact Online did not send, and one about a company that nobody watches.
    async fn forge(&mut self, connector: &Connector) {
        self.post.forged += 1;
        let content = |division: u32| {
            let client = self.sim.credentials().client_id;
            format!(
                r#"{{"Topic":"PurchaseEntries","ClientId":"{client}","Division":{division},"Action":"Delete","Key":"{}","ExactOnlineEndpoint":"https://start.exactonline.nl/api/v1/{division}/purchaseentry/PurchaseEntries(guid'6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10')","EventCreatedOn":"2026-10-01T10:00:00"}}"#,
                "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"
            )
        };
        let Some(subscription) = self.sim.subscriptions().into_iter().next() else { return };
        let url = subscription.callback_url;
        let forger = Secret::from("a forger's secret");
        let forged = ExactOnlineSim::forge(&url, &content(WHOLESALE), Some(&forger)).unwrap();
        assert_eq!(connector.receive(forged).await.status(), StatusCode::UNAUTHORIZED);
        let secret = self.secrets.last().unwrap();
        let signed = ExactOnlineSim::forge(&url, &content(ELSEWHERE), Some(secret)).unwrap();
        assert_eq!(connector.receive(signed.clone()).await.status(), StatusCode::OK);
        // The signature of one content does not prove another.
        let hash = hash_code(secret, content(ELSEWHERE).as_bytes());
        let swapped = format!(r#"{{"Content":{},"HashCode":"{hash}"}}"#, content(WHOLESALE));
        let swapped = signed.map(|_| swapped.into());
        assert_eq!(connector.receive(swapped).await.status(), StatusCode::UNAUTHORIZED);
    }

    /// Something that goes wrong on a day.
    pub(super) fn trouble(&mut self, day: u32) {
        if let Some((at, kind)) = self.hidden.take() {
            self.companies[at].sim.refuse(kind, None);
            self.hid.iter_mut().last().into_iter().for_each(|(_, until)| *until = self.clock.now());
        }
        match day % 10 {
            // The gateway fails after the token was rotated, or the request was lost on its way.
            0 => self.sim.plant(ExactOnlineSim::gateway_fault(true).times(1)),
            1 => self.sim.plant(Fault::reset().on("oauth2/token").times(1)),
            // At night answers come late.
            2 => self.sim.plant(Fault::delay(Duration::from_secs(35)).on("oauth2/token").times(2)),
            3 => {
                self.sim.plant(ExactOnlineSim::timed_out("PaymentTerms").times(2));
                self.sim.plant(ExactOnlineSim::network_timed_out("TransactionLines").times(4));
            }
            4 => self.sim.plant(Fault::html(StatusCode::SERVICE_UNAVAILABLE).on("/api/v1/").times(8)),
            5 => {
                for lost in self.sim.subscriptions().iter().take(3) {
                    self.sim.drop_subscription(&lost.id);
                }
            }
            6 => {
                self.sim.plant(Fault::truncated().on("/api/v1/").times(1));
                self.sim.plant(Fault::reset().having_acted().on("WebhookSubscriptions").times(2));
            }
            7 => {
                // For a day the user has no right to these lists, which are then empty.
                let kind = [Kind::PurchaseEntries, Kind::BankEntries, Kind::PurchaseOrders]
                    [usize::try_from(day / 10).unwrap() % 3];
                self.companies[0].sim.refuse(kind, Some(Right::MissingInRole));
                self.hidden = Some((0, kind));
                self.hid.push((self.clock.now(), Timestamp::MAX));
            }
            8 => self.sim.plant(Fault::timeout().on("/api/v1/").times(2)),
            _ => self.sim.plant(Fault::garbage().on("/api/v1/").times(2)),
        }
    }

    /// Exact Online moves the first company to another database: its row versions begin anew.
    pub(super) fn move_database(&self) {
        self.companies[0].sim.move_division();
    }

    /// The connection of the second company is pointed to the third. Webhooks of the old one are still under way.
    pub(super) fn point_elsewhere(&mut self) {
        self.companies.swap(1, 2);
        self.companies[1].is_watched();
    }

    /// Nothing is subscribed where the connection was.
    pub(super) fn left_the_old_company(&self) {
        let subscriptions = self.sim.subscriptions();
        let divisions: BTreeSet<u32> = subscriptions.iter().map(|one| one.division).collect();
        assert_eq!(divisions, BTreeSet::from([WHOLESALE, DEPOT]), "{subscriptions:#?}");
    }

    /// The app gets another webhook secret. The host knows it before.
    pub(super) fn replace_secret(&mut self) {
        self.sim.rotate_webhook_secret(NEW_SECRET);
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.trouble(4);
        self.post.way.is_reliable = true;
    }

    pub(super) fn happened(&self) -> impl Iterator<Item = String> + '_ {
        let told = |company: &'_ Company| -> Vec<String> {
            company.happened.iter().map(|what| format!("{} {what}", company.connection)).collect()
        };
        self.companies.iter().flat_map(told)
    }

    /// What Exact Online counts: calls, calls at once, errors, and refused tokens. Where a token works once only, one is refused
    /// for each answer that was lost with its successor: nobody can know that it is not there.
    pub(super) fn kept_every_limit(&self) {
        let tallies = self.sim.tallies();
        assert_eq!(
            (tallies.limit_violations, tallies.blocked_calls, tallies.parallel_calls, tallies.refused_tokens),
            (0, 0, 0, self.cut_off),
            "{tallies:?}"
        );
        println!("{tallies:?}, {} calls, {} tokens", self.sim.received().len(), self.sim.tokens_issued());
    }

    /// Whether a list was hidden then, or until a moment before.
    pub(super) fn lacked_a_right(&self, at: Timestamp) -> bool {
        let look = Duration::from_secs(3600);
        self.hid.iter().any(|(since, until)| *since <= at && at.saturating_since(*until) <= look)
    }

    /// The lists of which a look was not believed, and none since.
    pub(super) async fn stopped_sweeps(&self) -> Vec<String> {
        let health = self.connector().health().await.unwrap();
        let stopped = health.connections.into_values().flat_map(|connection| connection.stopped_sweeps);
        stopped.map(|stopped| stopped.feed).collect()
    }

    pub(super) async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        let mut query = Query::of_kind(kind).with_limit(usize::MAX);
        query.bodies = true;
        self.log.query(&query).await.unwrap()
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        let entries = self.entries(EntryKind::Event).await;
        let events = entries.into_iter().map(|entry| Event::from_cloudevent(&entry.body.unwrap()).unwrap());
        events.filter(|event| !event.is_outcome()).collect()
    }
}

/// What replaces the app's first webhook secret.
const NEW_SECRET: &str = "mlc-exact-webhook-secret-2027";
