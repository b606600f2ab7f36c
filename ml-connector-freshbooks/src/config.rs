//! What a connection needs to know.

use ml_connector_core::{Secret, SourceInfo, SourceMode, config::millis, model::RecordKind};
use serde::Deserialize;

/// The settings of one FreshBooks business, as a host keeps them. [`Builder::from`](crate::Builder::from) makes a builder
/// of it.
///
/// FreshBooks has three ids for one business, and takes none for another: they are told apart here, and
/// [`FreshBooks::identity`](crate::FreshBooks::identity) shows all three. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection, such as `books`.
    pub connection: String,
    /// The accounting account, such as `Zq84Xk`: what invoices, payments, bills and expenses belong to.
    #[serde(default)]
    pub account_id: String,
    /// The business as a number. Where it is set, it is compared with what FreshBooks says of the account.
    #[serde(default)]
    pub business_id: Option<String>,
    /// The business as a UUID: what the chart of accounts belongs to. Needed only to read it.
    #[serde(default)]
    pub business_uuid: Option<String>,
    /// The business's time zone as an IANA name. Due dates begin in it. Unless it is set, it is taken from the business;
    /// where it is set and the business has another, the log says so at start.
    #[serde(default)]
    pub time_zone: String,
    /// The host's name for the login of the person who connected. FreshBooks keeps one chain of tokens for each app and
    /// login, so connections of one login have the same name here: then they share tokens and limits. The person consents
    /// once, in the name of the login: it takes the place of the connection's at the
    /// [`Authorizer`](ml_connector_core::auth::Authorizer). Unless it is set, it is the connection's own.
    #[serde(default)]
    pub login: Option<String>,
    /// The app's id.
    #[serde(default)]
    pub client_id: String,
    /// The app's secret.
    #[serde(default)]
    pub client_secret: Secret,
    /// Where FreshBooks sends the browser after a consent, as the app is registered with it: FreshBooks wants it with every
    /// renewal of a token, too.
    #[serde(default)]
    pub redirect_uri: String,
    /// What the person's consent led to. It works once. `None` when the token store holds a newer one already.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// Instead of `https://api.freshbooks.com`. https, or http to a loopback address.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Instead of `https://my.freshbooks.com`, for the links of records.
    #[serde(default)]
    pub web_url: Option<String>,
    /// Whether bills have links to the web application, too. Nobody documents them; off unless it is set.
    #[serde(default)]
    pub bill_links: bool,
    /// The first path segment of the callbacks' URLs. Unless it is set, it is made of the connection's name and the app's
    /// secret, so that nobody can guess it.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// After how many days past the due date an unpaid invoice or bill is announced as overdue. One, unless it is set.
    #[serde(default = "overdue_after")]
    pub overdue_after: Vec<u32>,
    /// How long signals of one record are collected before it is read once for all of them, in milliseconds. One click in
    /// FreshBooks can lead to several.
    #[serde(default = "coalesce_ms")]
    pub coalesce_ms: u64,
    /// Which kinds of records are read: any of invoices, payments received, bills, bill payments, expenses, contacts (the
    /// clients), `bill_vendor`, items, `category` and accounts (the chart of accounts). The first five, unless it is set.
    #[serde(default = "resources")]
    pub resources: Vec<RecordKind>,
    /// How changes are noticed. Unless it is set: by webhooks and by polling.
    #[serde(default)]
    pub mode: Option<SourceMode>,
    /// How often feeds are polled, in minutes: 15, unless it is set. Lists that have to be read as a whole are read every
    /// hour at most, and what documents refer to once a day.
    #[serde(default)]
    pub poll_minutes: Option<u32>,
    /// How many calls may be made in a second, for all connections of the login together. FreshBooks publishes no number;
    /// five, unless it is set.
    #[serde(default = "calls_per_second")]
    pub calls_per_second: u32,
    /// How many calls may be under way, for all connections of the login together. Four, unless it is set.
    #[serde(default = "concurrent_calls")]
    pub concurrent_calls: u32,
}

impl Config {
    /// Settings of which nothing but the host's name for the connection is set.
    #[must_use]
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            account_id: String::new(),
            business_id: None,
            business_uuid: None,
            time_zone: String::new(),
            login: None,
            client_id: String::new(),
            client_secret: Secret::default(),
            redirect_uri: String::new(),
            refresh_token: None,
            api_url: None,
            web_url: None,
            bill_links: false,
            endpoint: None,
            overdue_after: overdue_after(),
            coalesce_ms: coalesce_ms(),
            resources: resources(),
            mode: None,
            poll_minutes: None,
            calls_per_second: calls_per_second(),
            concurrent_calls: concurrent_calls(),
        }
    }

    /// The name of the login.
    pub(crate) fn login_name(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.connection)
    }

    /// What limits are counted by: the app and the login.
    pub(crate) fn quota(&self) -> String {
        format!("freshbooks/{}/{}", self.client_id, self.login_name())
    }
}

fn overdue_after() -> Vec<u32> {
    vec![1]
}

fn resources() -> Vec<RecordKind> {
    vec![
        RecordKind::Invoice,
        RecordKind::CustomerPayment,
        RecordKind::Bill,
        RecordKind::BillPayment,
        RecordKind::Expense,
    ]
}

fn coalesce_ms() -> u64 {
    millis(SourceInfo::COALESCE)
}

/// No number is published. One aggregator plans with five; this leaves others of the login unharmed.
fn calls_per_second() -> u32 {
    5
}

fn concurrent_calls() -> u32 {
    4
}
