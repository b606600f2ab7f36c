//! Zoho Books and Slack in this process, and a connector between them.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, ConnectorBuilder, Error, ErrorKind, Result, Secret, Timestamp, TokioClock,
    audit::MemoryLog, model::Decimal, token::MemoryTokenStore,
};
use ml_connector_sim::{
    SimTransport, SlackSim, ZohoBooksSim,
    slack::SlackConfig,
    zoho::{Entity, EventKind, NewDocument, WebhookRule},
};
use ml_connector_slack::Slack;
use ml_connector_zoho::{DataCenter, ZohoBooks};
use tokio::{sync::oneshot, task::JoinHandle};
use url::Url;

/// The channel `accounting`.
pub const ACCOUNTING: &str = "C07ACCTNG1";
/// The channel `approvals`.
pub const APPROVALS: &str = "C07APPROV1";
const SECRET: &str = "simulatedSecret2026";

/// The two systems, and everything of a host that outlives a process.
#[derive(Debug)]
pub struct Lab {
    /// An organization.
    pub books: ZohoBooksSim,
    /// A workspace.
    pub slack: SlackSim,
    /// The way to both.
    pub network: SimTransport,
    /// Virtual time, where tokio's is paused.
    pub clock: Arc<TokioClock>,
    /// The log.
    pub log: Arc<MemoryLog>,
    /// The tokens.
    pub tokens: Arc<MemoryTokenStore>,
}

impl Lab {
    /// A Monday morning in New York.
    ///
    /// # Errors
    /// Never: the addresses are constants.
    pub fn new() -> Result<Self> {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T14:00:00Z")?));
        let books = ZohoBooksSim::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut workspace = SlackConfig::default();
        workspace.request_url = Some(parsed("https://erp.example.com/slack")?);
        let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, workspace);
        for entity in [Entity::Invoice, Entity::Bill] {
            let url = parsed("https://erp.example.com/books")?;
            books.add_webhook(WebhookRule::new(
                entity,
                EventKind::Changed,
                url,
                Some(Secret::from(SECRET)),
            ))?;
        }
        let network = SimTransport::new().with_zoho_books(&books).with_slack(&slack);
        Ok(Self { books, slack, network, clock, log: Arc::default(), tokens: Arc::default() })
    }

    /// A connector without connections.
    pub fn host(&self) -> ConnectorBuilder {
        Connector::builder()
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .clock(Arc::clone(&self.clock))
            .transport(self.network.clone())
            .public_url("https://erp.example.com")
    }

    /// The books.
    pub fn books(&self) -> ml_connector_zoho::Builder {
        let credentials = self.books.credentials();
        ZohoBooks::builder("books")
            .organization_id(credentials.organization_id)
            .data_center(DataCenter::Us)
            .client(credentials.client_id, credentials.client_secret)
            .refresh_token(credentials.refresh_token)
            .webhook_secret(SECRET)
            .time_zone("America/New_York")
    }

    /// The workspace.
    pub fn slack(&self) -> ml_connector_slack::Builder {
        Slack::builder("slack").token(self.slack.bot_token())
    }

    /// Somebody writes an invoice.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the books do not take it.
    pub fn invoice(&self, customer: &str, cents: i64) -> Result<String> {
        self.books.create_invoice(NewDocument::new(customer, Decimal::new(cents, 2)))
    }

    /// The books send what they have to send, and a minute passes.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when a webhook is refused.
    pub async fn a_minute(&self, connector: &Connector) -> Result<()> {
        for webhook in self.books.take_webhooks() {
            let answer = connector.receive(webhook.request).await;
            if !answer.status().is_success() {
                return Err(Error::new(ErrorKind::Unexpected, "a webhook was refused")
                    .with_context("status", answer.status().as_u16()));
            }
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }

    /// Slack sends what people did, and a minute passes.
    pub async fn clicks(&self, connector: &Connector) {
        for delivery in self.slack.take_deliveries() {
            let answer = connector.receive(delivery.request.clone()).await;
            self.slack.settle(delivery, Ok(answer));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    /// What a channel shows.
    pub fn shown(&self, channel: &str) -> Vec<String> {
        self.slack.posts(channel).into_iter().map(|message| message.text).collect()
    }
}

fn parsed(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|source| Error::new(ErrorKind::ConfigInvalid, "no URL").with_source(source))
}

/// A connector that works in a task, as in a host.
#[derive(Debug)]
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts the connector.
    pub fn start(connector: &Connector) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let connector = connector.clone();
        Self { stop, task: tokio::spawn(async move { connector.run(async { drop(stopped.await) }).await }) }
    }

    /// Lets it end what is under way.
    pub async fn stop(self) {
        drop(self.stop);
        drop(self.task.await);
    }
}

/// Says what is there, or that it is not.
///
/// # Errors
/// [`ErrorKind::Unexpected`] when it is not there.
pub fn expect(what: &'static str, holds: bool) -> Result<()> {
    if !holds {
        return Err(Error::new(ErrorKind::Unexpected, what));
    }
    println!("  {what}");
    Ok(())
}
