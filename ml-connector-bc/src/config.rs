//! What a connection needs to know.

use std::collections::BTreeMap;

use ml_connector_core::{Secret, SourceInfo, SourceMode, config::millis};
use serde::Deserialize;

/// The worldwide cloud. Microsoft documents no API host outside it.
pub(crate) const API: &str = "https://api.businesscentral.dynamics.com";
/// Entra's login host of the worldwide cloud.
pub(crate) const LOGIN: &str = "https://login.microsoftonline.com";
/// The web client.
pub(crate) const WEB: &str = "https://businesscentral.dynamics.com";
/// What tokens are asked for.
pub(crate) const SCOPE: &str = "https://api.businesscentral.dynamics.com/.default";

/// The settings of one company, as a host keeps them. [`Builder::from`](crate::Builder::from) makes a builder of it.
///
/// `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection, such as `erp`.
    pub connection: String,
    /// The Entra directory: its GUID, or a verified domain. `common` does not work for unattended access.
    #[serde(default)]
    pub tenant: String,
    /// The environment's name exactly as listed, such as `Production`.
    #[serde(default = "environment")]
    pub environment: String,
    /// The company's id: see [`BusinessCentral::companies`](crate::BusinessCentral::companies).
    #[serde(default)]
    pub company_id: String,
    /// The company's name (not its display name), for links into the web client. Without it records have no link.
    #[serde(default)]
    pub company_name: String,
    /// The application that reads.
    #[serde(default)]
    pub client_id: String,
    /// Its secret: the *Value*, not the *Secret ID*. Empty where a certificate signs.
    #[serde(default)]
    pub client_secret: Secret,
    /// Another application that posts. Unless it is set, the reading one does.
    #[serde(default)]
    pub poster_id: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub poster_secret: Secret,
    /// Instead of the worldwide cloud's login host. https, or http to a loopback address.
    #[serde(default)]
    pub login_url: Option<String>,
    /// Instead of the worldwide cloud's API host, without a path. https, or http to a loopback address.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Instead of the worldwide cloud's web client, for the links of records.
    #[serde(default)]
    pub web_url: Option<String>,
    /// What tokens are asked for; it ends in `/.default`.
    #[serde(default = "scope")]
    pub scope: String,
    /// A secret of the host's own, 16 characters or more. Paths, ids and `clientState` of the subscriptions are made of it;
    /// nobody is told.
    #[serde(default)]
    pub webhook_secret: Secret,
    /// The first path segment of the notifications' URL; the connection's name unless it is set.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The entity sets that are read, by the vendor's names: any of `purchaseInvoices`, `salesInvoices`, `purchaseOrders`,
    /// `salesOrders`, `vendors`, `customers`, `employees`, `accounts`, `items`, `dimensions`, `currencies`. The first three
    /// unless it is set.
    #[serde(default = "sets")]
    pub sets: Vec<String>,
    /// Whether drafts that wait for an approval inside Business Central are told apart, by `approvalEntries`: from version 29
    /// on. Without it an unposted purchase invoice reads Draft whatever it waits for.
    #[serde(default)]
    pub approval_entries: bool,
    /// Who is responsible for whose documents: from the code of a purchaser or salesperson to the number of an employee. The
    /// employee's company e-mail is the document's [`assignee`](ml_connector_core::model::Record::assignee).
    #[serde(default)]
    pub purchasers: BTreeMap<String, String>,
    /// Whether who is not named by [`purchasers`](Self::purchasers) is found by `approvalUserSetups`, from version 29 on: the
    /// first in the chain of approvers of the purchaser whose limit covers the document.
    #[serde(default)]
    pub approval_user_setups: bool,
    /// Whether the files beside a draft invoice are named. It costs a call for each read of one.
    #[serde(default)]
    pub attachments: bool,
    /// After how many seconds a posting whose answer was lost has ended, counted from when it began: an invoice that is still
    /// a draft then was not posted. Business Central goes on for eight minutes at most, after it has waited. 660 unless it is
    /// set; shorter only where nothing takes so long.
    #[serde(default = "posting_ends_after_secs")]
    pub posting_ends_after_secs: u64,
    /// The company's time zone as an IANA name. Due dates begin in it.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// After how many days past the due date an unpaid document is announced as overdue.
    #[serde(default)]
    pub overdue_after: Vec<u32>,
    /// How long signals of one record are collected before it is read once for all of them, in milliseconds.
    #[serde(default = "coalesce_ms")]
    pub coalesce_ms: u64,
    /// How changes are noticed.
    #[serde(default)]
    pub mode: SourceMode,
    /// How often sets with webhooks are polled all the same, in minutes: notices can be withheld without limit.
    #[serde(default = "poll_minutes")]
    pub poll_minutes: u32,
}

impl Config {
    /// Settings of which nothing but the host's name for the connection is set.
    #[must_use]
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            tenant: String::new(),
            environment: environment(),
            company_id: String::new(),
            company_name: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            poster_id: None,
            poster_secret: Secret::default(),
            login_url: None,
            api_url: None,
            web_url: None,
            scope: scope(),
            webhook_secret: Secret::default(),
            endpoint: None,
            sets: sets(),
            approval_entries: false,
            purchasers: BTreeMap::new(),
            approval_user_setups: false,
            attachments: false,
            posting_ends_after_secs: posting_ends_after_secs(),
            time_zone: utc(),
            overdue_after: Vec::new(),
            coalesce_ms: coalesce_ms(),
            mode: SourceMode::default(),
            poll_minutes: poll_minutes(),
        }
    }
}

fn environment() -> String {
    "Production".to_owned()
}

fn scope() -> String {
    SCOPE.to_owned()
}

fn sets() -> Vec<String> {
    ["purchaseInvoices", "salesInvoices", "purchaseOrders"].map(str::to_owned).into()
}

/// Ten minutes for Business Central, and one for what waits on our side.
fn posting_ends_after_secs() -> u64 {
    660
}

fn utc() -> String {
    "UTC".to_owned()
}

fn coalesce_ms() -> u64 {
    millis(SourceInfo::COALESCE)
}

/// The vendor sheet's pace for what webhooks cover.
fn poll_minutes() -> u32 {
    15
}
