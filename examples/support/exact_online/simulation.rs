//! Simulators instead of a real company and workspace.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, Error, ErrorKind, Money, Result, SystemClock, http::ReqwestTransport, model::Decimal,
};
use ml_connector_sim::{
    Conditions, ExactOnlineSim, Served, SlackSim,
    exact::{CallbackHost, Kind, NewDocument, NewLine},
    serve,
    slack::SlackConfig,
};

use crate::{
    settings::{ExactCompany, ExactOnlineToSlack},
    wait,
};

/// The connection of the company.
pub const WHOLESALER: &str = "books";
/// Where everything is told.
pub const FINANCE: &str = "C07ACCTNG1";
/// Where large purchase invoices and what was paid are told.
pub const PURCHASES: &str = "C07APPROV1";
/// The same channel: payments confirm purchases.
pub const CASH_FLOW: &str = PURCHASES;
/// From this amount on a purchase invoice is large.
const LARGE: (&str, &str) = ("5000", "EUR");
/// What notifications are subscribed for.
pub(super) const TOPICS: usize = 7;
/// A story has no half minutes to wait.
const SOON: Duration = Duration::from_millis(300);

/// One company in Exact Online with three distribution centres, and Slack, on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// The company.
    pub books: ExactOnlineSim,
    /// The workspace.
    pub slack: SlackSim,
    /// Tokens and data.
    pub books_server: Served,
    /// The Web API, and a page of the channels.
    pub slack_server: Served,
    transport: Arc<ReqwestTransport>,
}

impl Simulation {
    /// Starts both.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no free port.
    pub async fn start() -> Result<Self> {
        let books = ExactOnlineSim::new(Arc::new(SystemClock));
        let slack = SlackSim::with_config(Arc::new(SystemClock), SlackConfig::default());
        books.set_conditions(Conditions::kind());
        slack.set_conditions(Conditions::kind());
        // A day's calls happen within half a minute here.
        books.set_limits(3_000, 50_000);
        books.tune(|quirks| quirks.callback_host = CallbackHost::Any);
        let transport = Arc::new(ReqwestTransport::new());
        books.set_hooks(Arc::clone(&transport) as _);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let books_server = serve(books.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        books.set_origin(&books_server.url());
        Ok(Self { books, slack, books_server, slack_server, transport })
    }

    /// The settings with which the example talks to the simulators.
    ///
    /// # Errors
    /// None that is expected.
    pub fn settings(&self, database: &Path) -> Result<ExactOnlineToSlack> {
        let known = self.books.credentials();
        Ok(ExactOnlineToSlack {
            company: ExactCompany {
                region: None,
                division: known.division,
                client_id: known.client_id,
                client_secret: known.client_secret,
                webhook_secret: Some(known.webhook_secret.expose().to_owned()),
                redirect_uri: None,
                refresh_token: known.refresh_token,
                base_url: Some(self.books_server.url()),
                calls_per_minute: 1_000,
                coalesce: SOON,
            },
            slack_token: self.slack.bot_token(),
            slack_url: Some(self.slack_server.url()),
            slack_channel: FINANCE.to_owned(),
            purchases_channel: PURCHASES.to_owned(),
            large: Money::parse(LARGE.0, LARGE.1)?,
            database: database.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            public_url: None,
        })
    }

    /// Waits until Exact Online sends notifications to this host and the company has been read once: what is there then is
    /// no news.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::NotFound`] when that takes longer than a minute.
    pub async fn ready(&self, connector: &Connector) -> Result<()> {
        let no_url = || Error::new(ErrorKind::Unexpected, "the connector knows no public URL");
        let own = connector.webhook_url(&WHOLESALER.into()).ok_or_else(no_url)?;
        wait::until("Exact Online has no subscriptions for this host", || {
            let all = self.books.subscriptions();
            (all.len() == TOPICS && all.iter().all(|one| own.as_str().starts_with(&one.callback_url)))
                .then_some(())
        })
        .await?;
        for _ in 0..300 {
            let feeds = connector.progress(&WHOLESALER.into()).await?;
            if !feeds.is_empty() && feeds.iter().all(|feed| feed.baseline.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the first read of the company took more than a minute"))
    }

    /// Sends what Exact Online has to tell, for as long as the program runs.
    pub async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.books.next_webhook().is_some_and(|due| due <= SystemClock.now()) {
                self.books.deliver(&*self.transport).await;
            }
        }
    }

    /// A purchase invoice over goods for the three distribution centres: its id.
    pub fn purchase(&self, supplier: &str, amounts: [i64; 3], reference: &str) -> String {
        let centers = [("DC1", "Nijmegen"), ("DC2", "Venlo"), ("DC3", "Tilburg")];
        let lines = centers.into_iter().zip(amounts).filter(|(_, cents)| *cents > 0);
        let new = lines.fold(NewDocument::empty(supplier), |new, ((code, name), cents)| {
            let line = NewLine::new(&format!("Goods for {name}"), Decimal::new(cents, 2));
            new.line(line.for_cost_center(code, name).on_account("7000", "Cost of goods"))
        });
        self.books.create(Kind::PurchaseEntries, &new.with_your_ref(reference).with_document())
    }

    /// Waits until a large purchase invoice of this supplier is told.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not within a minute.
    pub async fn hears_of(&self, supplier: &str) -> Result<()> {
        self.says(PURCHASES, supplier).await?;
        println!("  the host is back: the subscriptions are made again, and the invoice is told");
        Ok(())
    }

    /// Waits until so many messages with this text are in a channel.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when they do not come within a minute.
    pub(super) async fn says_often(&self, channel: &str, text: &str, times: usize) -> Result<()> {
        wait::until("a message did not come within a minute", || {
            let posts = self.slack.posts(channel);
            (posts.iter().filter(|post| post.text.contains(text)).count() >= times).then_some(())
        })
        .await
        .map_err(|error| error.with_context("text", text.to_owned()))
    }

    /// Waits until a message with this text is in a channel.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not come within a minute.
    pub(super) async fn says(&self, channel: &str, text: &str) -> Result<()> {
        wait::until("a message did not come within a minute", || {
            let posts = self.slack.posts(channel);
            posts
                .iter()
                .any(|post| post.text.contains(text) || post.blocks.to_string().contains(text))
                .then_some(())
        })
        .await
        .map_err(|error| error.with_context("text", text.to_owned()))
    }
}
