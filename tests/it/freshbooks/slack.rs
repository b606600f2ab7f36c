//! FreshBooks → Slack: what goes where, what is refused, and how what failed is found and sent again.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    Clock, Connector, Secret, Timestamp, TokioClock,
    audit::{EntryKind, EntryState, MemoryLog, Query},
    engine::{Replay, Settings},
    model::{Decimal, Origin, Status},
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    FreshBooksSim, SimTransport, SlackSim,
    freshbooks::{Bill, BillVendor, Client, Expense, ExpenseStatus, Invoice},
    slack::{Channel, SlackConfig},
};
use ml_connector_slack::{Slack, channel};

use crate::world::{Running, amount, secs};

pub(super) const ACCOUNTING: &str = "C07ACCTNG1";
pub(super) const ALERTS: &str = "C07EXECAL1";

pub(super) struct World {
    pub(super) sim: FreshBooksSim,
    pub(super) slack: SlackSim,
    pub(super) log: Arc<MemoryLog>,
    tokens: Arc<MemoryTokenStore>,
    pub(super) connector: Connector,
    pub(super) running: Running,
    clock: Arc<TokioClock>,
    /// What the callbacks' deliveries are signed with, by noun.
    pub(super) verifiers: BTreeMap<String, Secret>,
}

impl World {
    pub(super) async fn new(routes: Vec<Route>) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-06-29T14:00:00Z").unwrap()));
        let sim = FreshBooksSim::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut slack = SlackConfig::default();
        slack.channels.push(Channel::new(ALERTS, "exec-alerts"));
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, slack);
        let token = slack.bot_token();
        let (log, tokens) = (Arc::new(MemoryLog::new()), Arc::new(MemoryTokenStore::new()));
        let connector = Self::build(&clock, (&sim, &slack), (&log, &tokens), routes, &token);
        let running = Running::start(&connector);
        let verifiers = BTreeMap::new();
        let mut world = Self { sim, slack, log, tokens, connector, running, clock, verifiers };
        world.settle().await;
        assert!(world.sim.callbacks().iter().all(|callback| callback.verified));
        world
    }

    /// The same with another token of Slack's, after the process has begun anew.
    async fn begin_anew(self, routes: Vec<Route>, token: &str) -> Self {
        self.running.stop().await;
        let connector =
            Self::build(&self.clock, (&self.sim, &self.slack), (&self.log, &self.tokens), routes, token);
        let running = Running::start(&connector);
        Self { connector, running, ..self }
    }

    fn build(
        clock: &Arc<TokioClock>,
        (sim, slack): (&FreshBooksSim, &SlackSim),
        (log, tokens): (&Arc<MemoryLog>, &Arc<MemoryTokenStore>),
        routes: Vec<Route>,
        token: &str,
    ) -> Connector {
        let credentials = sim.credentials();
        let books = FreshBooks::builder("books")
            .account_id(credentials.account_id)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(credentials.refresh_token.as_str())
            .time_zone("America/Toronto")
            .endpoint("books-3f2a");
        let mut settings = Settings::default();
        settings.lease = secs(3600);
        let connector = Connector::builder()
            .audit_log(Arc::clone(log))
            .token_store(Arc::clone(tokens))
            .clock(Arc::clone(clock))
            .transport(SimTransport::new().with_freshbooks(sim).with_slack(slack))
            .public_url("https://erp.example.com")
            .settings(settings)
            .connect(books.build().unwrap())
            .connect(Slack::builder("slack").token(token).workspace("T07LEDGER1").build().unwrap());
        connector.routes(routes).build().unwrap()
    }

    /// Delivers what waits, and lets the dust settle.
    pub(super) async fn settle(&mut self) {
        for _ in 0..6 {
            tokio::time::sleep(secs(20)).await;
            for delivery in self.sim.take_webhooks() {
                self.learn(&delivery.request);
                assert_eq!(self.receive(delivery.request).await, StatusCode::OK, "{}", delivery.about.name);
            }
        }
    }

    /// Remembers the verifier that a handshake hands over.
    fn learn(&mut self, request: &Request<Bytes>) {
        let noun = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let fields = url::form_urlencoded::parse(request.body());
        if let Some((_, verifier)) = fields.into_owned().find(|(name, _)| name == "verifier") {
            self.verifiers.insert(noun, Secret::from(verifier));
        }
    }

    pub(super) async fn receive(&self, request: Request<Bytes>) -> StatusCode {
        self.connector.receive(request).await.status()
    }

    pub(super) fn texts(&self, channel: &str) -> Vec<String> {
        self.slack.posts(channel).into_iter().map(|post| post.text).collect()
    }

    pub(super) fn client(&self) -> u64 {
        self.sim.create(Client::new("Larkspur Dental Group")).unwrap()
    }
}

fn money(cents: i64, currency: &str) -> ml_connector_core::Money {
    ml_connector_core::Money::parse(&Decimal::new(cents, 2).to_string(), currency).unwrap()
}

/// The mapping of the product: all of it to one channel, large invoices to another as well, no internal expenses.
#[tokio::test(start_paused = true)]
async fn events_go_where_the_mapping_says() {
    let mut world = World::new(vec![
        Route::new("daily")
            .on("invoice.*")
            .on("customer_payment.*")
            .on("bill.*")
            .on("bill_payment.*")
            .to("slack", channel(ACCOUNTING)),
        Route::new("expenses")
            .on("expense.*")
            .not_status(Status::from("internal"))
            .to("slack", channel(ACCOUNTING)),
        Route::new("large").on("invoice.sent").at_least(money(500_001, "USD")).to("slack", channel(ALERTS)),
    ])
    .await;
    let client = world.client();
    let vendor = world.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    world.sim.create(Invoice::new(client, amount(500_000)).sent()).unwrap();
    let large = world.sim.create(Invoice::new(client, amount(500_001)).sent()).unwrap();
    world.sim.create(Bill::new(vendor, amount(149_620)).numbered("HV-20931")).unwrap();
    world.sim.create(Expense::new("Office Depot", amount(12_995))).unwrap();
    let mut billable = Expense::new("Rail Canada", amount(24_000));
    billable.status = ExpenseStatus::Outstanding;
    world.sim.create(billable).unwrap();
    world.settle().await;
    world.sim.pay_invoice(large, amount(500_001)).unwrap();
    world.settle().await;
    let told = world.texts(ACCOUNTING);
    let has = |what: &str| told.iter().filter(|text| text.contains(what)).count();
    assert_eq!((told.len(), has("Office Depot"), has("Rail Canada")), (6, 0, 1), "{told:#?}");
    assert_eq!(
        (has("sent"), has("Payment received"), has("paid: "), has("HV-20931")),
        (2, 1, 1, 1),
        "{told:#?}"
    );
    assert_eq!(world.texts(ALERTS).len(), 1, "5,000.00 is not over 5,000");
    let links: Vec<_> = world.slack.posts(ALERTS).into_iter().map(|post| post.blocks.to_string()).collect();
    assert!(links[0].contains("https://my.freshbooks.com/#/invoice/Zq84Xk-"), "{links:?}");
    world.running.stop().await;
    assert_eq!((world.slack.duplicates().len(), world.sim.limit_violations()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_failed_because_a_channel_was_replaced_is_found_and_sent_again_once() {
    let mut world = World::new(vec![Route::new("daily").on("invoice.*").to("slack", channel(ALERTS))]).await;
    world.slack.archive_channel(ALERTS, "U07APPROV1");
    let client = world.client();
    for n in 0..3 {
        world.sim.create(Invoice::new(client, amount(10_000 + n)).sent()).unwrap();
    }
    world.settle().await;
    // The first one waits for a repair, those behind it for the first.
    let failed = |state| Query::of_kind(EntryKind::Delivery).with_state(state);
    let states = [EntryState::Parked, EntryState::Pending];
    let mut waiting = Vec::new();
    for state in states {
        waiting.extend(world.connector.search(&failed(state)).await.unwrap());
    }
    assert_eq!(waiting.len(), 3, "nothing is lost: {waiting:#?}");

    // Somebody points the route to another channel, and sends again what failed.
    let route = Route::new("daily").on("invoice.*").with_origin(Origin::Live).with_origin(Origin::Replay);
    world.connector.set_routes(vec![route.to("slack", channel(ACCOUNTING))]).unwrap();
    let events = waiting.iter().filter_map(|delivery| delivery.parent).collect();
    let replay = Replay::new("exec-alerts was archived", Query::entries(events)).reroute();
    assert_eq!(world.connector.replay(&replay).await.unwrap().appended, 3);
    assert_eq!(world.connector.replay(&replay).await.unwrap().repeated, 3, "the same request");
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING).len(), 3, "{:#?}", world.texts(ACCOUNTING));
    world.running.stop().await;
}

/// The token was replaced: what could not be posted is found, and goes out once with the new one, by itself.
#[tokio::test(start_paused = true)]
async fn what_failed_because_a_token_was_replaced_is_found_and_goes_out_once_with_the_new_one() {
    let routes = || vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))];
    let world = World::new(routes()).await;
    let good = world.slack.bot_token();
    let mut world = world.begin_anew(routes(), "xoxb-replaced").await;
    let client = world.client();
    for n in 0..3 {
        world.sim.create(Invoice::new(client, amount(10_000 + n)).sent()).unwrap();
    }
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING), [""; 0]);
    let mut waiting = 0;
    for state in [EntryState::Parked, EntryState::Pending, EntryState::Dead] {
        let failed = Query::of_kind(EntryKind::Delivery).with_state(state);
        waiting += world.connector.search(&failed).await.unwrap().len();
    }
    assert_eq!(waiting, 3, "nothing is lost");
    let health = world.connector.health().await.unwrap();
    let parked = health.connections[&"slack".into()].parked.as_ref().unwrap();
    assert!(parked.reason.contains("invalid_auth"), "{parked:?}");

    let mut world = world.begin_anew(routes(), &good).await;
    tokio::time::sleep(secs(3600)).await;
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING).len(), 3, "{:#?}", world.texts(ACCOUNTING));
    assert!(world.connector.health().await.unwrap().connections[&"slack".into()].parked.is_none());
    world.running.stop().await;
    assert_eq!(world.slack.duplicates().len(), 0);
}
