//! Simulators instead of a real company and workspace.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Connector, Error, ErrorKind, Money, Result, SystemClock, http::ReqwestTransport, model::Decimal,
};
use ml_connector_sim::{
    BusinessCentralSim, Conditions, Served, SlackSim,
    bc::{NewDocument, Set},
    serve,
    slack::{Posted, SlackConfig, User},
};

use crate::{
    settings::{BusinessCentralToSlack, Company, SlackApp},
    wait,
};

/// The connection of the company.
pub const COMPANY: &str = "erp";
/// Where everything is told.
pub const ACCOUNTING: &str = "C07ACCTNG1";
/// Where invoices are shown that need somebody's sign-off.
pub const APPROVALS: &str = "C07APPROV1";
/// Both may approve.
pub(super) const ANNA: &str = "U07APPROV1";
pub(super) const CARA: &str = "U07CARA001";
/// May not.
pub(super) const TOM: &str = "U07CLERK01";

const WEBHOOK_SECRET: &str = "simulated webhook secret 2026";
/// From here on somebody has to sign off.
const SIGN_OFF_FROM: (&str, &str) = ("1000", "USD");
/// A story has no half minutes to wait.
const SOON: Duration = Duration::from_millis(500);

/// One company in Business Central, and Slack, on loopback ports.
#[allow(missing_debug_implementations)] // the simulators hold tokens
pub struct Simulation {
    /// The company.
    pub erp: BusinessCentralSim,
    /// The workspace.
    pub slack: SlackSim,
    /// Entra and the API.
    pub erp_server: Served,
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
        let mut workspace = SlackConfig::default();
        workspace.users.push(User::new(CARA, "Cara Lind", "cara.lind@ledgerworks.example"));
        let erp = BusinessCentralSim::new(Arc::new(SystemClock));
        let slack = SlackSim::with_config(Arc::new(SystemClock), workspace);
        erp.set_conditions(Conditions::kind());
        slack.set_conditions(Conditions::kind());
        erp.tune(|tuning| tuning.notice_after = SOON);
        let transport = Arc::new(ReqwestTransport::new());
        erp.set_hooks(Arc::clone(&transport) as _);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let erp_server = serve(erp.router(), free).await.map_err(no_port)?;
        let slack_server = serve(slack.router(), free).await.map_err(no_port)?;
        erp.set_origin(&erp_server.url());
        slack.set_hooks_origin(&slack_server.url());
        Ok(Self { erp, slack, erp_server, slack_server, transport })
    }

    /// The settings with which the example talks to the simulators.
    ///
    /// # Errors
    /// None that is expected.
    pub fn settings(&self, database: &Path) -> Result<BusinessCentralToSlack> {
        let known = self.erp.credentials();
        Ok(BusinessCentralToSlack {
            company: Company {
                tenant: known.tenant,
                environment: known.environment,
                id: known.company_id,
                name: "HARBOR SUPPLY".to_owned(),
                reader: (known.client_id, known.client_secret),
                poster: Some((known.poster_id, known.poster_secret)),
                webhook_secret: Some(WEBHOOK_SECRET.to_owned()),
                time_zone: "America/New_York".to_owned(),
                coalesce: SOON,
                login_url: Some(self.erp_server.url()),
                api_url: Some(self.erp_server.url()),
            },
            slack_token: self.slack.bot_token(),
            slack_url: Some(self.slack_server.url()),
            slack_channel: ACCOUNTING.to_owned(),
            slack_app: SlackApp {
                signing_secret: self.slack.signing_secret().expose().to_owned(),
                team: "T07LEDGER1".to_owned(),
                approvals_channel: APPROVALS.to_owned(),
                approvers: vec!["anna.verhoeven@ledgerworks.example".to_owned(), CARA.to_owned()],
            },
            sign_off_from: Money::parse(SIGN_OFF_FROM.0, SIGN_OFF_FROM.1)?,
            quiet: SOON,
            database: database.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            public_url: None,
        })
    }

    /// Makes Slack send clicks to this host, and waits until Business Central sends notices there and the company has been
    /// read once: what is there then is no news.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::NotFound`] when that takes longer than a minute.
    pub async fn ready(&self, connector: &Connector) -> Result<()> {
        let no_url = || Error::new(ErrorKind::Unexpected, "the connector knows no public URL");
        let slack = connector.webhook_url(&"slack".into()).ok_or_else(no_url)?;
        self.slack.connect_app(slack, &*self.transport).await?;
        let own = connector.webhook_url(&COMPANY.into()).ok_or_else(no_url)?;
        wait::until("Business Central has no subscriptions for this host", || {
            let all = self.erp.subscriptions();
            let here = |url: &str| url.starts_with(own.as_str());
            (all.len() == 3 && all.iter().all(|one| here(&one.notification_url))).then_some(())
        })
        .await?;
        for _ in 0..300 {
            let feeds = connector.progress(&COMPANY.into()).await?;
            if !feeds.is_empty() && feeds.iter().all(|feed| feed.baseline.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the first read of the company took more than a minute"))
    }

    /// Sends what Business Central and Slack have to tell, for as long as the program runs.
    pub async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.erp.deliver_notices(&*self.transport).await;
            if self.slack.next_delivery().is_some_and(|due| due <= SystemClock.now()) {
                self.slack.deliver(&*self.transport).await;
            }
        }
    }

    /// Says what is posted, for as long as the program runs.
    pub async fn tell_postings(&self) {
        let mut told = self.erp.postings().len();
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            for posting in self.erp.postings().iter().skip(told) {
                println!("posted in Business Central: {} over {}", posting.number, posting.total);
                told += 1;
            }
        }
    }

    /// A purchase invoice comes in: its id and its number.
    pub fn invoice(&self, vendor: &str, cents: i64, reference: &str) -> (String, String) {
        let new = NewDocument::new(vendor, Decimal::new(cents, 2)).vendor_invoice_number(reference);
        let id = self.erp.create(Set::PurchaseInvoices, &new);
        let number = self.erp.field(Set::PurchaseInvoices, &id, "number").unwrap_or_default();
        (id, number)
    }

    /// Waits for the card about an invoice that has this button, and clicks it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not come within a minute.
    pub(super) async fn click(&self, number: &str, button: &str, people: &[&str]) -> Result<()> {
        let card = wait::until("a card did not come within a minute", || {
            let mut cards = self.cards(number).into_iter();
            cards.find(|card| card.blocks.to_string().contains(button))
        })
        .await?;
        for person in people {
            self.slack.click(APPROVALS, &card.ts, button, person)?;
        }
        Ok(())
    }

    /// Waits until a card about an invoice shows a text.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not within a minute.
    pub(super) async fn shows(&self, number: &str, text: &str) -> Result<()> {
        wait::until("a card did not change within a minute", || {
            self.cards(number).iter().any(|card| card.blocks.to_string().contains(text)).then_some(())
        })
        .await
        .map_err(|error| error.with_context("card", number.to_owned()).with_context("text", text.to_owned()))
    }

    /// The cards about an invoice, by the number that it had as a draft.
    pub(super) fn cards(&self, number: &str) -> Vec<Posted> {
        let about = |card: &Posted| card.text.contains(number);
        self.slack.posts(APPROVALS).into_iter().filter(about).collect()
    }
}
