//! Simulators instead of real accounts, and the story that is played on them.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Secret, SystemClock,
    http::ReqwestTransport,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    DataCenter, Entity, EventKind, Fault, NewDocument, Posted, Served, SlackSim, WebhookRule, WebhookTuning,
    ZohoBooksSim, serve,
};

use crate::settings::ZohoBooksToSlack;

/// What the simulated organization signs its webhooks with.
const WEBHOOK_SECRET: &str = "simulatedSecret2026";
/// The channel of the story.
pub const CHANNEL: &str = "C07ACCTNG1";

/// Zoho Books and Slack on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// Zoho Books.
    pub books: ZohoBooksSim,
    /// Slack.
    pub slack: SlackSim,
    /// Where Slack's channels can be looked at.
    pub slack_server: Served,
    books_server: Served,
    transport: ReqwestTransport,
}

impl Simulation {
    /// Starts both.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no free port.
    pub async fn start() -> Result<Self> {
        let books = ZohoBooksSim::new(Arc::new(SystemClock));
        let slack = SlackSim::new(Arc::new(SystemClock));
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let no_port = |source| Error::new(ErrorKind::Unavailable, "no free port").with_source::<std::io::Error>(source);
        let books_server = serve(books.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        books.set_api_domain(DataCenter::Us, &books_server.url());
        Ok(Self { books, slack, slack_server, books_server, transport: ReqwestTransport::new() })
    }

    /// The settings with which the example talks to the simulators.
    #[must_use]
    pub fn settings(&self, database: &Path) -> ZohoBooksToSlack {
        let credentials = self.books.credentials();
        ZohoBooksToSlack {
            organization_id: credentials.organization_id,
            data_center: ml_connector_zoho::DataCenter::Us,
            accounts_url: Some(self.books_server.url()),
            api_url: Some(self.books_server.url()),
            client_id: credentials.client_id,
            client_secret: credentials.client_secret,
            refresh_token: credentials.refresh_token,
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            time_zone: "America/New_York".to_owned(),
            slack_token: self.slack.bot_token(),
            slack_url: Some(self.slack_server.url()),
            slack_channel: "accounting".to_owned(),
            database: database.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            public_url: None,
        }
    }

    /// Makes the organization send its webhooks to `url`, as a person does in Zoho's settings.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when `url` is no URL.
    pub fn send_webhooks_to(&self, url: &str) -> Result<()> {
        let url = url
            .parse::<ml_connector_sim::Url>()
            .map_err(|source| Error::new(ErrorKind::ConfigInvalid, "expected a URL").with_source(source))?;
        let secret = Secret::from(WEBHOOK_SECRET);
        for entity in [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment] {
            for kind in [EventKind::Changed, EventKind::Deleted] {
                self.books.add_webhook(WebhookRule::new(entity, kind, url.clone(), Some(secret.clone())))?;
            }
        }
        Ok(())
    }

    /// Sends the webhooks that wait; returns the statuses they were answered with, 0 for none.
    pub async fn send_webhooks(&self) -> Vec<u16> {
        let attempted = self.books.deliver_webhooks(&self.transport).await;
        attempted.iter().map(|attempted| attempted.status.map_or(0, |status| status.as_u16())).collect()
    }

    /// Plays a day in an office: documents come and go, webhooks are repeated and forged, Slack has its moods.
    ///
    /// # Errors
    /// Those of the simulators, none of which is expected.
    pub async fn play(&self, now: Date) -> Result<()> {
        let tell = |line: &str| println!("  {line}");
        let customer = |name: &str, cents: i64| NewDocument::new(name, Decimal::new(cents, 2));

        tell("invoice for 1,250.50 to Bluebird Logistics, sent 40 days ago, was due 10 days ago");
        let overdue = customer("Bluebird Logistics", 125_050).dated(Date::minus_days(now, 40)).due(Date::minus_days(now, 10));
        let overdue = self.books.create_invoice(overdue)?;
        self.books.mark_sent(&overdue)?;
        tell("Slack will refuse the next message with 429, Retry-After 2 s");
        self.slack.plant(Fault::too_many_requests(2).on("/api/chat.postMessage"));
        self.arrive("two webhooks about it").await;

        tell("invoice for 149.97 to <Osprey> & Sons, sent");
        let paid = self.books.create_invoice(customer("<Osprey> & Sons", 14_997))?;
        self.books.mark_sent(&paid)?;
        tell("every webhook is now sent three times");
        self.tune(|tuning| tuning.duplicates = 2);
        self.arrive("six webhooks about it").await;
        self.tune(|_| {});
        self.quiet().await;

        tell("Osprey pays; Slack will post the next message and then answer 500");
        self.slack.plant(Fault::html(http_status(500)).having_acted().on("/api/chat.postMessage"));
        self.books.pay_invoice(&paid, Decimal::new(14_997, 2))?;
        self.arrive("webhooks about the payment and the invoice").await;
        self.quiet().await;

        tell("a bill for 8,200.00 from Northgate Paper waits for approval; Slack will answer 500 without posting");
        self.slack.plant(Fault::html(http_status(500)).on("/api/chat.postMessage"));
        let bill = self.books.create_bill(customer("Northgate Paper Co", 820_000).numbered("NP-2302"))?;
        self.books.submit_for_approval(Entity::Bill, &bill)?;
        self.arrive("two webhooks about it").await;

        tell("somebody forges a webhook");
        self.tune(|tuning| tuning.wrong_secret = true);
        self.books.set_reference(Entity::Invoice, &overdue, "forged")?;
        self.arrive("a webhook signed with another secret").await;
        self.tune(|_| {});
        Ok(())
    }

    /// The messages of the channel, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Posted> {
        self.slack.posts(CHANNEL)
    }

    /// Waits until nothing waits any more in the connector, for a minute at most; tells whether it was so.
    pub async fn settled(&self, connector: &Connector) -> bool {
        for _ in 0..240 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if matches!(connector.is_idle().await, Ok(true)) {
                return true;
            }
        }
        false
    }

    async fn arrive(&self, what: &str) {
        println!("  → {what}: answered {:?}", self.send_webhooks().await);
    }

    /// Longer than signals of one record are collected: what comes next is another change.
    async fn quiet(&self) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    fn tune(&self, tune: impl FnOnce(&mut WebhookTuning)) {
        let mut tuning = WebhookTuning::default();
        tune(&mut tuning);
        self.books.tune_webhooks(tuning);
    }
}
