//! FreshBooks → Slack: what goes where, what is refused, and how what failed is found and sent again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Timestamp, TokioClock,
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

const ACCOUNTING: &str = "C07ACCTNG1";
const ALERTS: &str = "C07EXECAL1";

struct World {
    sim: FreshBooksSim,
    slack: SlackSim,
    log: Arc<MemoryLog>,
    connector: Connector,
    running: Running,
}

impl World {
    async fn new(routes: Vec<Route>) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-06-29T14:00:00Z").unwrap()));
        let sim = FreshBooksSim::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut slack = SlackConfig::default();
        slack.channels.push(Channel::new(ALERTS, "exec-alerts"));
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, slack);
        let credentials = sim.credentials();
        let books = FreshBooks::builder("books")
            .account_id(credentials.account_id)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(credentials.refresh_token.as_str())
            .time_zone("America/Toronto")
            .endpoint("books-3f2a");
        let log = Arc::new(MemoryLog::new());
        let mut settings = Settings::default();
        settings.lease = secs(3600);
        let connector = Connector::builder()
            .audit_log(Arc::clone(&log))
            .token_store(MemoryTokenStore::new())
            .clock(clock)
            .transport(SimTransport::new().with_freshbooks(&sim).with_slack(&slack))
            .public_url("https://erp.example.com")
            .settings(settings)
            .connect(books.build().unwrap())
            .connect(
                Slack::builder("slack").token(slack.bot_token()).workspace("T07LEDGER1").build().unwrap(),
            );
        let connector = connector.routes(routes).build().unwrap();
        let running = Running::start(&connector);
        let mut world = Self { sim, slack, log, connector, running };
        world.settle().await;
        assert!(world.sim.callbacks().iter().all(|callback| callback.verified));
        world
    }

    /// Delivers what waits, and lets the dust settle.
    async fn settle(&mut self) {
        for _ in 0..6 {
            tokio::time::sleep(secs(20)).await;
            for delivery in self.sim.take_webhooks() {
                assert_eq!(self.receive(delivery.request).await, StatusCode::OK, "{}", delivery.about.name);
            }
        }
    }

    async fn receive(&self, request: Request<Bytes>) -> StatusCode {
        self.connector.receive(request).await.status()
    }

    fn texts(&self, channel: &str) -> Vec<String> {
        self.slack.posts(channel).into_iter().map(|post| post.text).collect()
    }

    fn client(&self) -> u64 {
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

#[tokio::test(start_paused = true)]
async fn bad_requests_are_answered_as_they_deserve_and_good_ones_are_not_lost() {
    let mut world =
        World::new(vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))]).await;
    let uri = "https://erp.example.com/books-3f2a/invoice";
    let key = Secret::from("a forger's key");
    let forged = |uri: &str, fields: &[(&str, &str)]| FreshBooksSim::forge(uri, fields, Some(&key)).unwrap();
    let update = [("name", "invoice.update"), ("object_id", "502317"), ("account_id", "Zq84Xk")];
    let json = Request::post(uri)
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let form = |body: &'static str| {
        let request = Request::post(uri).header("content-type", "application/x-www-form-urlencoded");
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
    };
    let huge = form("").map(|_| Bytes::from(vec![b'a'; 8 << 20]));
    for (request, status) in [
        (forged(uri, &update), StatusCode::UNAUTHORIZED),
        (form("name=invoice.update&object_id=502317&account_id=Zq84Xk"), StatusCode::UNAUTHORIZED),
        (form("a=1&a=2"), StatusCode::UNAUTHORIZED),
        (form(""), StatusCode::UNAUTHORIZED),
        (json, StatusCode::UNAUTHORIZED),
        (huge, StatusCode::PAYLOAD_TOO_LARGE),
        (forged("https://erp.example.com/books-3f2a/timesheet", &update), StatusCode::NOT_FOUND),
        (forged("https://erp.example.com/books/invoice", &update), StatusCode::NOT_FOUND),
    ] {
        let path = request.uri().path().to_owned();
        assert_eq!(world.receive(request).await, status, "{path}");
    }
    // A handshake that nobody waits for is noted, without its verifier.
    let verify = [
        ("name", "callback.verify"),
        ("object_id", "2417"),
        ("account_id", "Zq84Xk"),
        ("verifier", "planted"),
    ];
    assert_eq!(world.receive(forged(uri, &verify)).await, StatusCode::OK);
    let client = world.client();
    world.sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING).len(), 1);
    let mut everything = Query::default().with_limit(usize::MAX);
    everything.bodies = true;
    let entries = world.log.query(&everything).await.unwrap();
    for entry in &entries {
        let body = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
        assert!(!body.contains("planted"), "{entry:?}");
    }
    world.running.stop().await;
}

/// A handshake that never arrives is seen in health with its remedy, and polling carries on.
#[tokio::test(start_paused = true)]
async fn without_a_handshake_health_says_what_to_do_and_polls_go_on() {
    let mut world =
        World::new(vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))]).await;
    let ids: Vec<u64> = world.sim.callbacks().iter().map(|callback| callback.id).collect();
    for id in ids {
        world.sim.unverify_callback(id);
    }
    let client = world.client();
    world.sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    for _ in 0..120 {
        tokio::time::sleep(secs(30)).await;
        drop(world.sim.take_webhooks());
    }
    let health = world.connector.health().await;
    let text = serde_json::to_string(&health.unwrap()).unwrap();
    assert!(text.contains("handshake does not arrive") && text.contains("10 seconds"), "{text}");
    assert_eq!(world.texts(ACCOUNTING).len(), 1, "found by polling");
    world.sim.create(Invoice::new(client, amount(20_000)).sent()).unwrap();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(world.texts(ACCOUNTING).len(), 2);
    world.settle().await;
    world.running.stop().await;
}
