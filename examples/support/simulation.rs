//! Simulators instead of real accounts.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, Error, ErrorKind, HttpTransport, Result, Secret, SystemClock,
    http::{Limits, ReqwestTransport},
    model::Zone,
};
use ml_connector_sim::{
    Conditions, Served, SlackSim, ZohoBooksSim, serve,
    zoho::{self, DataCenter, Entity, EventKind, WebhookDelivery, WebhookRule, ZohoBooksConfig},
};

use crate::settings::{Organization, SlackApp, ZohoBooksToSlack};

/// What the simulated organization signs its webhooks with.
const WEBHOOK_SECRET: &str = "simulatedSecret2026";
/// The channels of the story.
pub const ACCOUNTING: &str = "C07ACCTNG1";
/// Where bills are shown that wait for approval.
pub const APPROVALS: &str = "C07APPROV1";
/// The connection of the organization in the United States, which sends webhooks.
pub const US: &str = "books";
/// The connection of the organization in Europe, which is polled.
pub const EU: &str = "books-eu";

/// Zoho Books, in two regions, and Slack on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// Zoho Books in the United States.
    pub books: ZohoBooksSim,
    /// Zoho Books in Europe.
    pub books_eu: ZohoBooksSim,
    /// Slack.
    pub slack: SlackSim,
    /// Zoho's accounts server and API.
    pub books_server: Served,
    books_eu_server: Served,
    /// Slack's Web API, and a page of its channels.
    pub slack_server: Served,
    transport: ReqwestTransport,
}

impl Simulation {
    /// Starts all three.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no free port.
    pub async fn start() -> Result<Self> {
        let books = ZohoBooksSim::new(Arc::new(SystemClock));
        let books_eu = ZohoBooksSim::with_config(Arc::new(SystemClock), european()?);
        let slack = SlackSim::new(Arc::new(SystemClock));
        books.set_conditions(Conditions::kind());
        books_eu.set_conditions(Conditions::kind());
        slack.set_conditions(Conditions::kind());
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let books_server = serve(books.router(), free).await.map_err(no_port)?;
        let books_eu_server = serve(books_eu.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        books.set_api_domain(DataCenter::Us, &books_server.url());
        books_eu.set_api_domain(DataCenter::Eu, &books_eu_server.url());
        slack.set_hooks_origin(&slack_server.url());
        let transport = ReqwestTransport::new();
        Ok(Self { books, books_eu, slack, books_server, books_eu_server, slack_server, transport })
    }

    /// The settings with which the example talks to the simulators.
    #[must_use]
    pub fn settings(&self, database: &Path) -> ZohoBooksToSlack {
        let us = organization(US, &self.books, &self.books_server);
        let eu = organization(EU, &self.books_eu, &self.books_eu_server);
        ZohoBooksToSlack {
            books: vec![
                Organization { webhook_secret: Some(WEBHOOK_SECRET.to_owned()), ..us },
                Organization {
                    data_center: ml_connector_zoho::DataCenter::Eu,
                    plan: ml_connector_zoho::Plan::Free,
                    time_zone: "Europe/Amsterdam".to_owned(),
                    ..eu
                },
            ],
            slack_token: self.slack.bot_token(),
            slack_url: Some(self.slack_server.url()),
            slack_channel: ACCOUNTING.to_owned(),
            slack_app: Some(SlackApp {
                signing_secret: self.slack.signing_secret().expose().to_owned(),
                team: "T07LEDGER1".to_owned(),
                approvals_channel: APPROVALS.to_owned(),
                approvers: vec!["anna.verhoeven@ledgerworks.example".to_owned()],
            }),
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
        let url = parsed(url)?;
        let secret = Secret::from(WEBHOOK_SECRET);
        for entity in [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment] {
            for kind in [EventKind::Changed, EventKind::Deleted] {
                self.books.add_webhook(WebhookRule::new(entity, kind, url.clone(), Some(secret.clone())))?;
            }
        }
        Ok(())
    }

    /// Makes Slack send clicks and reactions to `url`, as a person does in the app's settings. Slack asks the app first
    /// whether it is there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when `url` is no URL, or nobody answers as Slack expects.
    pub async fn send_clicks_to(&self, url: &str) -> Result<()> {
        self.slack.connect_app(parsed(url)?, &self.transport).await
    }

    /// Sends what people did in Slack.
    pub async fn clicks(&self, what: &str) {
        let attempts = self.slack.deliver(&self.transport).await;
        let answers: Vec<_> = attempts
            .iter()
            .map(|attempt| attempt.status.map_or_else(|| "nobody".to_owned(), |status| status.to_string()))
            .collect();
        println!("  {what}: answered {}", answers.join(" "));
    }

    /// Waits until the organization in Europe has been read for the first time: what is there then is no news.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when that takes longer than a minute.
    pub async fn baseline(&self, connector: &Connector) -> Result<()> {
        for _ in 0..300 {
            let feeds = connector.progress(&EU.into()).await?;
            if !feeds.is_empty() && feeds.iter().all(|feed| feed.baseline.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the first read of the organization took more than a minute"))
    }

    /// Sends the webhooks that wait, for as long as the program runs.
    pub async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            for attempted in self.books.deliver_webhooks(&self.transport).await {
                let answer =
                    attempted.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                println!("webhook {}: {answer}", attempted.about.event);
            }
            if self.slack.next_delivery().is_some_and(|due| due <= SystemClock.now()) {
                self.clicks("somebody did something in Slack").await;
            }
        }
    }

    /// Sends the webhooks of what happened.
    pub async fn arrive(&self, what: &str) {
        self.send(what, &self.books.take_webhooks()).await;
    }

    /// Sends webhooks, and says how they were answered.
    pub async fn send(&self, what: &str, webhooks: &[WebhookDelivery]) {
        let mut answers = Vec::new();
        for webhook in webhooks {
            let answer = self.transport.send(webhook.request.clone(), Limits::default()).await;
            answers.push(
                answer.map_or_else(|error| error.to_string(), |answer| answer.status().as_u16().to_string()),
            );
        }
        println!("  {what}: {} webhooks, answered {}", answers.len(), answers.join(" "));
    }
}

fn european() -> Result<ZohoBooksConfig> {
    let mut config = ZohoBooksConfig::default();
    (config.seed, config.center) = (2, DataCenter::Eu);
    config.organizations = vec![zoho::Organization {
        id: "20098765432".to_owned(),
        name: "Harbor Lane Europe".to_owned(),
        time_zone: Zone::named("Europe/Amsterdam")?,
        plan: zoho::Plan::Free,
    }];
    Ok(config)
}

fn organization(connection: &str, books: &ZohoBooksSim, server: &Served) -> Organization {
    let credentials = books.credentials();
    Organization {
        connection: connection.to_owned(),
        organization_id: credentials.organization_id,
        data_center: ml_connector_zoho::DataCenter::Us,
        accounts_url: Some(server.url()),
        api_url: Some(server.url()),
        client_id: credentials.client_id,
        client_secret: credentials.client_secret,
        refresh_token: credentials.refresh_token,
        webhook_secret: None,
        plan: ml_connector_zoho::Plan::Professional,
        time_zone: "America/New_York".to_owned(),
    }
}

fn parsed(url: &str) -> Result<url::Url> {
    url.parse().map_err(|source| Error::new(ErrorKind::ConfigInvalid, "expected a URL").with_source(source))
}
