//! What a connection needs to know.

use std::time::Duration;

use ml_connector_core::{Secret, SourceInfo, SourceMode, config::millis, model::RecordKind};
use serde::Deserialize;

use crate::DataCenter;

/// The settings of one Zoho Books organization, as a host keeps them. [`Builder::from`](crate::Builder::from) makes a
/// builder of it.
///
/// `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection, such as `books`.
    pub connection: String,
    /// The organization, 8–11 digits: *Settings → Organization Profile*, or `GET /organizations`.
    #[serde(default)]
    pub organization_id: String,
    /// Where the organization lives. A Self Client's grant does not say, so it has to be configured.
    #[serde(default)]
    pub data_center: Option<DataCenter>,
    /// Instead of the data center's accounts host. https, or http to a loopback address.
    #[serde(default)]
    pub accounts_url: Option<String>,
    /// Instead of the data center's API host, without `/books/v3`. https, or http to a loopback address.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Instead of the data center's web application, for the links of records.
    #[serde(default)]
    pub web_url: Option<String>,
    /// The app's id in Zoho's API console.
    #[serde(default)]
    pub client_id: String,
    /// The app's secret in this data center.
    #[serde(default)]
    pub client_secret: Secret,
    /// What the person's consent led to. `None` when the token store holds it already.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// The webhooks' secret tokens, 12–50 letters and digits each: several while one is being replaced.
    #[serde(default)]
    pub webhook_secrets: Vec<Secret>,
    /// Whether the webhooks are set up through Zoho's settings API and kept in repair, for the
    /// [`resources`](Self::resources) that have webhooks. Zoho is told the first of the secrets. Off unless it is set:
    /// parts of that API are not documented. Needs the scopes `ZohoBooks.settings.CREATE`, `UPDATE` and `DELETE`.
    #[serde(default)]
    pub manage_webhooks: bool,
    /// What the webhooks' URLs carry.
    #[serde(default)]
    pub webhook_parameters: WebhookParameters,
    /// The first path segment of the webhooks' URL; the connection's name unless it is set.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The organization's time zone as an IANA name: *Settings → Organization Profile*. Due dates begin in it. Unless it is
    /// set, it is taken from the organization, which needs the scope `ZohoBooks.settings.READ`; where it is set and the
    /// organization has another, the log says so at start.
    #[serde(default)]
    pub time_zone: String,
    /// The organization's base currency, an ISO 4217 code such as `USD`: what amounts are in that name no currency. Unless it
    /// is set, it is taken from the organization, which needs the scope `ZohoBooks.settings.READ`; where it is set and the
    /// organization has another, the log says so at start, and the organization's counts.
    #[serde(default)]
    pub base_currency: String,
    /// After how many days past the due date an unpaid invoice or bill is announced as overdue. Seven, unless it is
    /// set. Another number holds within a day for documents that are known already.
    #[serde(default = "overdue_after")]
    pub overdue_after: Vec<u32>,
    /// How long signals of one record are collected before it is read once for all of them, in milliseconds.
    #[serde(default = "coalesce_ms")]
    pub coalesce_ms: u64,
    /// The organization's plan, which decides about limits.
    #[serde(default)]
    pub plan: Plan,
    /// Which kinds of records are polled: any of invoices, bills, payments received and made, purchase orders,
    /// expenses, contacts, items, accounts and currencies. Invoices, bills and payments, unless it is set.
    #[serde(default = "resources")]
    pub resources: Vec<RecordKind>,
    /// How changes are noticed. Unless it is set: by polling on plans without webhooks, and by both on the others.
    #[serde(default)]
    pub mode: Option<SourceMode>,
    /// How often each feed is polled, in minutes. Unless it is set: every 15 minutes, and every hour on plans with
    /// 2,000 calls a day or less, and in organizations whose answers say so.
    #[serde(default)]
    pub poll_minutes: Option<u32>,
}

impl Config {
    /// Settings of which nothing but the host's name for the connection is set.
    #[must_use]
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            organization_id: String::new(),
            data_center: None,
            accounts_url: None,
            api_url: None,
            web_url: None,
            client_id: String::new(),
            client_secret: Secret::default(),
            refresh_token: None,
            webhook_secrets: Vec::new(),
            manage_webhooks: false,
            webhook_parameters: WebhookParameters::default(),
            endpoint: None,
            time_zone: String::new(),
            base_currency: String::new(),
            overdue_after: overdue_after(),
            coalesce_ms: coalesce_ms(),
            plan: Plan::default(),
            resources: resources(),
            mode: None,
            poll_minutes: None,
        }
    }
}

/// The organization's plan. Limits from "API call limits" and "Concurrent rate limiter" of Zoho's API introduction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Plan {
    /// 1,000 calls a day, five at a time. No webhooks.
    Free,
    /// 2,000 calls a day. No webhooks.
    Standard,
    /// 5,000 calls a day.
    #[default]
    Professional,
    /// 10,000 calls a day.
    Premium,
    /// 10,000 calls a day.
    Elite,
    /// 10,000 calls a day.
    Ultimate,
}

impl Plan {
    /// How many calls an organization has in a day, shared by everything that calls for it.
    #[must_use]
    pub fn calls_per_day(self) -> u32 {
        match self {
            Self::Free => 1_000,
            Self::Standard => 2_000,
            Self::Professional => 5_000,
            Self::Premium | Self::Elite | Self::Ultimate => 10_000,
        }
    }

    /// Whether there are workflow rules, and with them webhooks.
    #[must_use]
    pub fn has_webhooks(self) -> bool {
        !matches!(self, Self::Free | Self::Standard)
    }

    /// How many calls may be under way. Paid plans have a soft limit of ten; two are left to others.
    #[must_use]
    pub fn concurrent_calls(self) -> u32 {
        if self == Self::Free { 5 } else { 8 }
    }
}

/// Which query parameters a webhook's URL carries. Zoho signs the query, but writes names and values without
/// separators; so exactly the parameters of the chosen set-up are accepted, each once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookParameters {
    /// `?mlc_event=invoice.changed&mlc_org=778812345`.
    #[default]
    EventAndOrganization,
    /// `?mlc_org=778812345`; the event is the member or form field `event` of a body written by hand.
    Organization,
    /// No query at all; the event is the path below the endpoint, such as `…/invoice.changed`. Zoho does not sign
    /// the path: give the connection an [`endpoint`](Config::endpoint) that cannot be guessed.
    None,
}

/// Unpaid for a week: the figure of the product description.
fn overdue_after() -> Vec<u32> {
    vec![7]
}

/// The four that the Slack flow is about.
fn resources() -> Vec<RecordKind> {
    vec![RecordKind::Invoice, RecordKind::Bill, RecordKind::CustomerPayment, RecordKind::VendorPayment]
}

fn coalesce_ms() -> u64 {
    millis(SourceInfo::COALESCE)
}

/// How often feeds are read: 672 calls a day for seven feeds every quarter of an hour would leave too little of 1,000
/// or 2,000.
pub(crate) fn poll_interval(calls_per_day: u32) -> Duration {
    Duration::from_secs(if calls_per_day <= 2_000 { 3600 } else { 900 })
}
