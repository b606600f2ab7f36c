//! Exact Online → Slack: what a company sees of what happens in its books, and of what goes wrong.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Clock, Connector, Timestamp, TokioClock,
    audit::{EntryKind, MemoryLog, Query},
    engine::{ConnectionHealth, Settings},
    model::Decimal,
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_exact::ExactOnline;
use ml_connector_sim::{
    ExactOnlineSim, SimTransport, SlackSim,
    exact::{ExactOnlineConfig, Kind, NewDocument, NewLine, Right},
    slack::SlackConfig,
};
use ml_connector_slack::{Slack, channel};

use crate::{
    mirror::Host,
    world::{ACCOUNTING, Running, amount, secs},
};

const SUPPLIER: &str = "Molen De Hoop B.V.";

struct Story {
    sim: ExactOnlineSim,
    slack: SlackSim,
    log: Arc<MemoryLog>,
    connector: Connector,
    running: Running,
}

impl Story {
    async fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-12T08:00:00Z").unwrap()));
        let sim =
            ExactOnlineSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, ExactOnlineConfig::default());
        sim.set_redirect_uri("https://erp.example.com/connected");
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, SlackConfig::default());
        let host = Arc::<Host>::default();
        sim.set_hooks(Arc::clone(&host) as _);
        let credentials = sim.credentials();
        let books = ExactOnline::builder("books")
            .division(credentials.division)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .webhook_secret(credentials.webhook_secret)
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(credentials.refresh_token.as_str());
        let log = Arc::new(MemoryLog::new());
        let mut settings = Settings::default();
        settings.lease = secs(3600);
        let connector = Connector::builder()
            .audit_log(Arc::clone(&log))
            .token_store(MemoryTokenStore::new())
            .clock(clock)
            .transport(SimTransport::new().with_exact_online(&sim).with_slack(&slack))
            .public_url("https://erp.example.com")
            .settings(settings)
            .connect(books.build().unwrap())
            .connect(
                Slack::builder("slack").token(slack.bot_token()).workspace("T07LEDGER1").build().unwrap(),
            )
            .route(Route::new("all").to("slack", channel(ACCOUNTING)))
            .route(Route::new("admin").on("webhook.*").to("slack", channel(ACCOUNTING)))
            .build()
            .unwrap();
        host.is_served_by(&connector);
        let running = Running::start(&connector);
        let story = Self { sim, slack, log, connector, running };
        story.later(secs(600)).await;
        assert_eq!(story.sim.subscriptions().len(), 6);
        story
    }

    /// Delivers what waits, and lets time pass.
    async fn later(&self, time: Duration) {
        for delivery in self.sim.take_webhooks() {
            assert_eq!(self.connector.receive(delivery.request).await.status(), StatusCode::OK);
        }
        tokio::time::sleep(time).await;
    }

    /// Lets time pass, in which no webhook arrives.
    async fn silence(&self, time: Duration) {
        drop(self.sim.take_webhooks());
        tokio::time::sleep(time).await;
    }

    /// How many messages say this.
    fn says(&self, text: &str) -> usize {
        let posts = self.slack.posts(ACCOUNTING);
        posts.iter().filter(|post| post.text.contains(text) || post.blocks.to_string().contains(text)).count()
    }

    fn bill(&self, cents: i64) -> String {
        self.sim.create(Kind::PurchaseEntries, &NewDocument::new(SUPPLIER, amount(cents)))
    }

    async fn health(&self) -> ConnectionHealth {
        self.connector.health().await.unwrap().connections.remove(&"books".into()).unwrap()
    }

    async fn ends_well(self) {
        self.running.stop().await;
        let tallies = self.sim.tallies();
        assert_eq!((tallies.limit_violations, tallies.blocked_calls, tallies.refused_tokens), (0, 0, 0));
        assert_eq!(self.slack.duplicates(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_purchase_invoice_shows_its_allocation_and_its_files() {
    let story = Story::new().await;
    let line = |text: &str, cents, code: &str, name: &str| {
        NewLine::new(text, amount(cents)).for_cost_center(code, name)
    };
    let new = NewDocument::empty(SUPPLIER)
        .line(line("Goods", 520_000, "DC1", "Nijmegen"))
        .line(line("Transport", 81_250, "DC2", "Venlo"))
        .with_your_ref("F-2026-0311")
        .with_document();
    let id = story.sim.create(Kind::PurchaseEntries, &new);
    let document = story.sim.field(Kind::PurchaseEntries, &id, "Document").unwrap();
    story.later(secs(60)).await;
    let posts = story.slack.posts(ACCOUNTING);
    let text = posts.iter().map(|post| post.blocks.to_string()).find(|text| text.contains(SUPPLIER)).unwrap();
    for shown in ["DC1", "Nijmegen", "DC2", "Venlo", "F-2026-0311", "5,200.00", "812.50"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let view = format!("https://start.exactonline.nl/docs/DocViewContent.aspx?ID={document}");
    assert!(text.contains(&view), "the document: {text}");
    assert!(text.contains("https://start.exactonline.nl/docs/SysAttachment.aspx?ID="), "its file: {text}");
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_known_record_that_the_list_of_deletions_names_is_told_as_deleted() {
    let story = Story::new().await;
    let invoice = story.sim.create(Kind::SalesInvoices, &NewDocument::new(SUPPLIER, amount(12_345)));
    story.later(secs(60)).await;
    assert_eq!(story.says("123.45"), 1);
    story.sim.delete(Kind::SalesInvoices, &invoice).unwrap();
    story.silence(secs(1_300)).await;
    assert_eq!((story.says("deleted"), story.says("123.45")), (1, 2), "{:#?}", story.slack.posts(ACCOUNTING));
    // The webhook comes at last.
    story.sim.announce(Kind::SalesInvoices, "Delete", &invoice);
    story.later(secs(1_300)).await;
    assert_eq!(story.says("deleted"), 1);
    // Of what nobody has told nothing is told.
    story.sim.announce(Kind::SalesInvoices, "Delete", "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10");
    story.later(secs(120)).await;
    assert_eq!(story.says("deleted"), 1);
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_signed_webhook_of_a_company_without_connection_is_kept_and_told() {
    let story = Story::new().await;
    let credentials = story.sim.credentials();
    let content = format!(
        r#"{{"Topic":"PurchaseEntries","ClientId":"{}","Division":3141699,"Action":"Update","Key":"6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"}}"#,
        credentials.client_id
    );
    let url = story.sim.subscriptions().remove(0).callback_url;
    let request = ExactOnlineSim::forge(&url, &content, Some(&credentials.webhook_secret)).unwrap();
    assert_eq!(story.connector.receive(request).await.status(), StatusCode::OK);
    story.later(secs(60)).await;
    assert_eq!(story.health().await.unrouted, 1);
    let notes = story.log.query(&Query::of_kind(EntryKind::Note)).await.unwrap();
    assert!(format!("{notes:?}").contains("unrouted"), "{notes:?}");
    assert_eq!(story.says("unrouted"), 1, "{:#?}", story.slack.posts(ACCOUNTING));
    story.ends_well().await;
}

/// Case g1: the list is empty because the user has lost the right.
#[tokio::test(start_paused = true)]
async fn a_lost_right_is_told_with_its_remedy_and_no_record_is_taken_for_deleted() {
    let story = Story::new().await;
    let bill = story.bill(655_362);
    story.later(secs(60)).await;
    story.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    story.sim.set_total(Kind::PurchaseEntries, &bill, amount(700_000)).unwrap();
    story.later(secs(60)).await;
    // A day with a sweep.
    story.later(secs(86_400)).await;
    assert_eq!((story.says("deleted"), story.says("7,000.00")), (0, 0));
    // Other kinds go on.
    let _ = story.sim.create(Kind::SalesInvoices, &NewDocument::new(SUPPLIER, amount(4_242)));
    story.later(secs(120)).await;
    assert_eq!(story.says("42.42"), 1);
    story.sim.refuse(Kind::PurchaseEntries, None);
    story.later(secs(7_200)).await;
    assert_eq!((story.says("deleted"), story.says("7,000.00")), (0, 1), "read again when the right is back");
    story.ends_well().await;
}

/// Case g4: one resource is refused without a reason, and the others are not.
#[tokio::test(start_paused = true)]
async fn a_refused_list_is_that_list_s_state_and_asked_for_rarely() {
    let story = Story::new().await;
    story.sim.refuse_path("sync/Cashflow/PaymentTerms", Some(Right::ForbiddenByModule));
    let calls = |path: &str| story.sim.received().iter().filter(|call| call.path.ends_with(path)).count();
    let before = calls("sync/Cashflow/PaymentTerms");
    story.later(secs(86_000)).await;
    let health = story.health().await;
    assert!(health.parked.is_none(), "{health:?}");
    let feed = &health.unavailable_feeds[0];
    assert!(feed.feed == "payment_terms" && feed.reason.contains("module"), "{feed:?}");
    assert!(calls("sync/Cashflow/PaymentTerms") - before <= 6);
    assert_eq!(calls("users/UserHasRights"), 1, "one question a day");
    let _ = story.bill(4_242);
    story.later(secs(60)).await;
    assert_eq!(story.says("42.42"), 1);
    story.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn changes_within_seconds_are_one_message_and_lines_are_told_by_their_document() {
    let story = Story::new().await;
    story.sim.tune(|quirks| quirks.tells_lines = true);
    let bill = story.bill(10_000);
    story.sim.set_total(Kind::PurchaseEntries, &bill, Decimal::from(333)).unwrap();
    story.later(secs(60)).await;
    assert_eq!((story.says(SUPPLIER), story.says("333.00")), (1, 1));
    story.ends_well().await;
}
