//! What a connection needs to know.

use ml_connector_core::{Secret, SourceInfo, SourceMode, config::millis, model::RecordKind};
use serde::Deserialize;

/// The settings of one Exact Online company, as a host keeps them. [`Builder::from`](crate::Builder::from) makes a builder
/// of it. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection, such as `books`.
    pub connection: String,
    /// Where the company's Exact Online is. Each region has its own users and apps.
    #[serde(default)]
    pub region: Region,
    /// The company's number, which Exact Online calls a division. [`ExactOnline::divisions`](crate::ExactOnline::divisions)
    /// lists those that the connected person may read.
    #[serde(default)]
    pub division: u32,
    /// What the company keeps its books in (ISO 4217). Unless it is set, it is what Exact Online says; it is compared with that
    /// otherwise.
    #[serde(default)]
    pub currency: Option<String>,
    /// The company's time zone as an IANA name: `Europe/Amsterdam`, unless it is set.
    #[serde(default = "amsterdam")]
    pub time_zone: String,
    /// What the region's server takes for wall time, as an IANA name: `Europe/Amsterdam`, unless it is set. Exact Online
    /// writes and filters times without a zone.
    #[serde(default = "amsterdam")]
    pub server_zone: String,
    /// The host's name for the login of the person who connected. Exact Online keeps one chain of tokens for each app and
    /// user, so connections of one login have the same name here: then they share tokens. The person consents once, in the
    /// name of the login. Unless it is set, it is the connection's own.
    #[serde(default)]
    pub login: Option<String>,
    /// The settings that the connection had in another region, as another user or with another app. Webhooks that are still
    /// subscribed there are ended with them, before any is subscribed here. Leave them until the connection's health names no
    /// such webhooks any more. Another user of the same app has a login of another name. Where only
    /// [`division`](Self::division) has changed they are not needed.
    #[serde(default)]
    pub formerly: Option<Box<Self>>,
    /// The app's id: letters, digits and hyphens, as the App Center shows it.
    #[serde(default)]
    pub client_id: String,
    /// The app's secret.
    #[serde(default)]
    pub client_secret: Secret,
    /// The app's webhook secret, which is another one. While it is changed, the new and the old one. Needed unless the
    /// connection only polls.
    #[serde(default)]
    pub webhook_secrets: Vec<Secret>,
    /// Where Exact Online sends the browser after a consent. Webhooks come to the same host only.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// What the person's consent led to. It works once. `None` when the token store holds a newer one already.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// Instead of the region's origin. https, or http to a loopback address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The first path segment of the webhooks' URL. Connections of one app may share it. Unless it is set, it is made of the
    /// app's id, so that they do.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Which records are invoices: those that Exact Online makes, unless it is set.
    #[serde(default)]
    pub invoices: Invoices,
    /// Which kinds of records are read: any of invoices, bills (purchase entries), purchase orders, journal entries, bank and
    /// cash entries, vendor and customer payments, cost transactions, contacts, accounts (the chart of accounts), cost
    /// centers and cost units. The first eight, unless it is set.
    #[serde(default = "resources")]
    pub resources: Vec<RecordKind>,
    /// Whether a company with made-up books for practice may be connected. Not, unless it is set.
    #[serde(default)]
    pub practice: bool,
    /// Whether the files beside a record are read, for their links. Yes, unless it is set; it costs two calls a record.
    #[serde(default = "yes")]
    pub attachments: bool,
    /// How long signals of one record are collected before it is read once for all of them, in milliseconds.
    #[serde(default = "coalesce_ms")]
    pub coalesce_ms: u64,
    /// How changes are noticed. Unless it is set: by webhooks and by polling.
    #[serde(default)]
    pub mode: Option<SourceMode>,
    /// How often feeds are polled, in minutes: 10, unless it is set. What documents refer to is read once a day.
    #[serde(default = "poll_minutes")]
    pub poll_minutes: u32,
    /// How many calls may be made in a minute: 50, unless it is set. Exact Online allows 60 for an app and a company.
    #[serde(default = "calls_per_minute")]
    pub calls_per_minute: u32,
    /// How many calls may be made in a day: 5,000, unless it is set. What Exact Online answers counts if it is less.
    #[serde(default = "calls_per_day")]
    pub calls_per_day: u32,
    /// The host's name for the customer's contract with Exact. Exact Online counts a contract's calls over all of its
    /// companies, users and apps, so connections of one contract have the same name here. Unless it is set, the contract is
    /// taken to be the login's: two logins of one customer would make twice as many calls.
    #[serde(default)]
    pub contract: Option<String>,
    /// How many calls all connections of the contract may make in a day together: 20,000, unless it is set. It is what a
    /// contract has for fair use; Premium has 30,000. All of them have the same number here.
    #[serde(default = "calls_per_contract")]
    pub calls_per_contract: u32,
}

/// A region of Exact Online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Region {
    /// The Netherlands.
    #[default]
    Nl,
    /// Belgium.
    Be,
    /// Germany.
    De,
    /// The United Kingdom.
    Uk,
    /// France.
    Fr,
    /// Spain.
    Es,
    /// The United States.
    Us,
}

impl Region {
    /// Its origin, for people, tokens and data alike.
    #[must_use]
    pub fn origin(self) -> &'static str {
        match self {
            Self::Nl => "https://start.exactonline.nl",
            Self::Be => "https://start.exactonline.be",
            Self::De => "https://start.exactonline.de",
            Self::Uk => "https://start.exactonline.co.uk",
            Self::Fr => "https://start.exactonline.fr",
            Self::Es => "https://start.exactonline.es",
            Self::Us => "https://start.exactonline.com",
        }
    }
}

/// Which of Exact Online's two records of a sale is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invoices {
    /// Sales invoices: they are made in Exact Online.
    #[default]
    Invoices,
    /// Sales entries: invoices are made elsewhere, and only booked.
    Entries,
}

impl Config {
    /// Settings of which nothing but the host's name for the connection is set.
    #[must_use]
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            region: Region::default(),
            division: 0,
            currency: None,
            time_zone: amsterdam(),
            server_zone: amsterdam(),
            login: None,
            formerly: None,
            client_id: String::new(),
            client_secret: Secret::default(),
            webhook_secrets: Vec::new(),
            redirect_uri: None,
            refresh_token: None,
            base_url: None,
            endpoint: None,
            invoices: Invoices::default(),
            resources: resources(),
            practice: false,
            attachments: true,
            coalesce_ms: coalesce_ms(),
            mode: None,
            poll_minutes: poll_minutes(),
            calls_per_minute: calls_per_minute(),
            calls_per_day: calls_per_day(),
            contract: None,
            calls_per_contract: calls_per_contract(),
        }
    }

    /// The name of the login.
    pub(crate) fn login_name(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.connection)
    }

    /// What calls of a day are counted for together. A name that a host has given begins in another way than any that is
    /// made here.
    pub(crate) fn contract_name(&self) -> String {
        match &self.contract {
            Some(contract) => format!("contract/{contract}"),
            None => format!("{}/contract/{}", self.client_id, self.login_name()),
        }
    }

    pub(crate) fn origin(&self) -> &str {
        self.base_url.as_deref().unwrap_or(self.region.origin())
    }
}

fn amsterdam() -> String {
    "Europe/Amsterdam".to_owned()
}

fn yes() -> bool {
    true
}

fn resources() -> Vec<RecordKind> {
    vec![
        RecordKind::Invoice,
        RecordKind::Bill,
        RecordKind::PurchaseOrder,
        RecordKind::JournalEntry,
        RecordKind::BankEntry,
        RecordKind::CashEntry,
        RecordKind::VendorPayment,
        RecordKind::CustomerPayment,
    ]
}

fn coalesce_ms() -> u64 {
    millis(SourceInfo::COALESCE)
}

/// Six feeds every ten minutes are 864 calls a day.
fn poll_minutes() -> u32 {
    10
}

/// Others may use the app for the same company.
fn calls_per_minute() -> u32 {
    50
}

fn calls_per_day() -> u32 {
    5_000
}

fn calls_per_contract() -> u32 {
    20_000
}
