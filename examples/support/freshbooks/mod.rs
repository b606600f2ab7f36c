//! FreshBooks and Slack as simulators instead of real accounts.

pub mod settings;
pub mod story;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use self::settings::FreshBooksToSlack;
use http::Request;
use ml_connector_core::{
    Connector, Error, ErrorKind, HttpTransport, Result, SystemClock,
    audit::{EntryKind, EntryState, Query},
    http::{Limits, ReqwestTransport},
};
use ml_connector_sim::{
    Conditions, FreshBooksSim, Served, SlackSim,
    freshbooks::WebhookDelivery,
    serve,
    slack::{Channel, SlackConfig},
};

/// The connection's name.
pub const BOOKS: &str = "books";
/// The channels of the story.
pub const ACCOUNTING: &str = "C07ACCTNG1";
/// Where large invoices go besides.
pub const EXEC_ALERTS: &str = "C07EXECAL1";
/// How long anything may take.
const PATIENCE: u32 = 300;
const STEP: Duration = Duration::from_millis(200);

/// FreshBooks and Slack on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// The books.
    pub books: FreshBooksSim,
    /// Slack.
    pub slack: SlackSim,
    /// FreshBooks' API.
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
        let books = FreshBooksSim::new(Arc::new(SystemClock));
        books.set_conditions(Conditions::kind());
        let mut slack = SlackConfig::default();
        slack.conditions = Conditions::kind();
        slack.channels.push(Channel::new(EXEC_ALERTS, "exec-alerts"));
        let slack = SlackSim::with_config(Arc::new(SystemClock), slack);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let books_server = serve(books.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        slack.set_hooks_origin(&slack_server.url());
        Ok(Self { books, slack, books_server, slack_server, transport: ReqwestTransport::new() })
    }

    /// The settings with which the example talks to the simulators.
    #[must_use]
    pub fn settings(&self, database: &Path) -> FreshBooksToSlack {
        let credentials = self.books.credentials();
        FreshBooksToSlack {
            account_id: credentials.account_id,
            time_zone: "America/Toronto".to_owned(),
            client_id: credentials.client_id,
            client_secret: credentials.client_secret,
            redirect_uri: credentials.redirect_uri,
            refresh_token: credentials.refresh_token,
            api_url: Some(self.books_server.url()),
            slack_token: self.slack.bot_token(),
            slack_url: Some(self.slack_server.url()),
            routes: FreshBooksToSlack::default_routes(),
            database: database.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            public_url: None,
        }
    }

    /// Waits until the books have been read for the first time and every callback is proven.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when that takes longer than a minute.
    pub async fn connected(&self, connector: &Connector) -> Result<()> {
        for _ in 0..PATIENCE {
            self.books.deliver(&self.transport).await;
            let callbacks = self.books.callbacks();
            let proven = !callbacks.is_empty() && callbacks.iter().all(|callback| callback.verified);
            let feeds = connector.progress(&BOOKS.into()).await?;
            let read = !feeds.is_empty() && feeds.iter().all(|feed| feed.baseline.is_some());
            if proven && read {
                return Ok(());
            }
            tokio::time::sleep(STEP).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the books were not connected within a minute"))
    }

    /// Sends the deliveries that wait, and says how they were answered.
    pub async fn arrive(&self, what: &str) {
        self.send(what, &self.books.take_webhooks()).await;
    }

    /// Sends deliveries, and says how they were answered. Where a callback has been proven a moment ago, the connector may
    /// ask for a repetition: it still writes that down.
    pub async fn send(&self, what: &str, deliveries: &[WebhookDelivery]) {
        let mut answers = Vec::new();
        for delivery in deliveries {
            let mut answer = self.post(delivery.request.clone()).await;
            for _ in 0..PATIENCE {
                if answer != "503" {
                    break;
                }
                tokio::time::sleep(STEP).await;
                answer = self.post(delivery.request.clone()).await;
            }
            answers.push(answer);
        }
        println!("  {what}: {} deliveries, answered {}", answers.len(), answers.join(" "));
    }

    /// Sends a request, and returns the status of the answer.
    pub async fn post(&self, request: Request<bytes::Bytes>) -> String {
        let answer = self.transport.send(request, Limits::default()).await;
        answer.map_or_else(|error| error.to_string(), |answer| answer.status().as_u16().to_string())
    }

    /// Sends the deliveries that wait, for as long as the program runs.
    pub async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(STEP).await;
            for attempt in self.books.deliver(&self.transport).await {
                let answer =
                    attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                println!("delivery {}: {answer}", attempt.about.name);
            }
        }
    }

    /// Waits until everything has come to rest, for two minutes at most; tells whether it has.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn rest(&self, connector: &Connector) -> Result<bool> {
        let waiting = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Pending).with_limit(1);
        let mut before = connector.stats();
        let mut calm = 0;
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = connector.stats();
            let kept = connector.search(&waiting).await?.is_empty();
            calm = if now == before && kept { calm + 1 } else { 0 };
            before = now;
            if calm == 5 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
