//! Simulators instead of real accounts, and the story that is played on them.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    Connector, Error, ErrorKind, HttpTransport, Result, Secret, SystemClock,
    http::{Limits, ReqwestTransport},
    model::{Date, Decimal},
};
use ml_connector_sim::{
    Fault, Served, SlackSim, ZohoBooksSim, serve,
    slack::Posted,
    zoho::{DataCenter, Entity, EventKind, NewDocument, WebhookDelivery, WebhookRule},
};

use crate::settings::ZohoBooksToSlack;

/// What the simulated organization signs its webhooks with.
const WEBHOOK_SECRET: &str = "simulatedSecret2026";
/// The channel of the story.
const CHANNEL: &str = "C07ACCTNG1";
const POST: &str = "/api/chat.postMessage";

/// Zoho Books and Slack on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// Zoho Books.
    pub books: ZohoBooksSim,
    /// Slack.
    pub slack: SlackSim,
    /// Zoho's accounts server and API.
    pub books_server: Served,
    /// Slack's Web API, and a page of its channels.
    pub slack_server: Served,
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
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let books_server = serve(books.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        books.set_api_domain(DataCenter::Us, &books_server.url());
        Ok(Self { books, slack, books_server, slack_server, transport: ReqwestTransport::new() })
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
        let url: url::Url = url
            .parse()
            .map_err(|source| Error::new(ErrorKind::ConfigInvalid, "expected a URL").with_source(source))?;
        let secret = Secret::from(WEBHOOK_SECRET);
        for entity in [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment] {
            for kind in [EventKind::Changed, EventKind::Deleted] {
                self.books.add_webhook(WebhookRule::new(entity, kind, url.clone(), Some(secret.clone())))?;
            }
        }
        Ok(())
    }

    /// Plays a day in an office: documents come and go, webhooks are repeated and forged, Slack has its moods.
    ///
    /// # Errors
    /// Those of the simulators, none of which is expected.
    pub async fn play(&self, today: Date) -> Result<()> {
        println!("\nWhat happens:");
        let document = |name: &str, cents: i64| NewDocument::new(name, Decimal::new(cents, 2));

        self.slack.plant(Fault::too_many_requests(2).on(POST));
        let late =
            document("Bluebird Logistics", 125_050).dated(today.minus_days(40)).due(today.minus_days(10));
        let late = self.books.create_invoice(late)?;
        self.books.mark_sent(&late)?;
        self.arrive("an invoice that is 10 days overdue; Slack refuses the message with a 429 first").await;

        self.quiet().await;
        let paid = self.books.create_invoice(document("<Osprey> & Sons", 14_997))?;
        self.books.mark_sent(&paid)?;
        let repeated = self.books.take_webhooks();
        self.send("an invoice to <Osprey> & Sons", &repeated).await;
        self.quiet().await;
        self.send("the same webhooks once more", &repeated).await;
        self.quiet().await;

        self.slack.plant(Fault::html(StatusCode::INTERNAL_SERVER_ERROR).having_acted().on(POST));
        self.books.pay_invoice(&paid, Decimal::new(14_997, 2))?;
        self.arrive("Osprey pays; Slack posts a message and answers 500 all the same").await;
        self.quiet().await;

        self.slack.plant(Fault::html(StatusCode::INTERNAL_SERVER_ERROR).on(POST));
        let bill = self.books.create_bill(document("Northgate Paper Co", 820_000).numbered("NP-2302"))?;
        self.books.submit_for_approval(Entity::Bill, &bill)?;
        self.arrive("a bill waits for approval; Slack answers 500 without posting").await;

        self.books.tune_webhooks(|tuning| tuning.wrong_secret = true);
        self.books.set_reference(Entity::Invoice, &late, "PO 1")?;
        self.arrive("somebody forges a webhook").await;
        self.books.tune_webhooks(|tuning| tuning.wrong_secret = false);
        Ok(())
    }

    /// Sends the webhooks that wait, for as long as the program runs.
    pub async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            for attempted in self.books.deliver_webhooks(&self.transport).await {
                let answer =
                    attempted.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                println!("webhook {}: {answer}", attempted.delivery.event);
            }
        }
    }

    /// Waits until everything has come to rest, for two minutes at most; tells whether it has.
    pub async fn rest(&self, connector: &Connector) -> bool {
        let mut before = connector.stats();
        let mut calm = 0;
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = connector.stats();
            let kept = now.deliveries == now.delivered + now.dead;
            calm = if now == before && kept { calm + 1 } else { 0 };
            before = now;
            if calm == 5 {
                return true;
            }
        }
        false
    }

    /// The messages of the channel, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Posted> {
        self.slack.posts(CHANNEL)
    }

    async fn arrive(&self, what: &str) {
        self.send(what, &self.books.take_webhooks()).await;
    }

    async fn send(&self, what: &str, webhooks: &[WebhookDelivery]) {
        let mut answers = Vec::new();
        for webhook in webhooks {
            let answer = self.transport.send(webhook.request.clone(), Limits::default()).await;
            answers.push(
                answer.map_or_else(|error| error.to_string(), |answer| answer.status().as_u16().to_string()),
            );
        }
        println!("  {what}: {} webhooks, answered {}", answers.len(), answers.join(" "));
    }

    /// Longer than signals of one record are collected: what comes next is another change.
    async fn quiet(&self) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}
