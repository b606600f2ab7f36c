//! What a connection needs to know.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, FeedInfo, Result, Secret, SinkInfo, SourceInfo, SourceMode,
    auth::Authenticator,
    http::require_secure,
    model::{AccountKey, Affinity, ConnectionId, EndpointId, RecordKind, Zone},
};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::{
    DataCenter, SYSTEM, ZohoBooks, auth,
    client::BooksClient,
    models::{Site, feed_of},
    source::Parts,
    subscriptions::Subscriptions,
    webhook::Webhook,
};

/// How often the whole of a list is looked through for what is gone: there is no other way to see it.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of one Zoho Books organization, as a host keeps them. [`Builder::from`] makes a builder of it.
///
/// `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
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
    #[serde(default = "no_secret", deserialize_with = "secret")]
    pub client_secret: Secret,
    /// What the person's consent led to. `None` when the token store holds it already.
    #[serde(default, deserialize_with = "optional_secret")]
    pub refresh_token: Option<Secret>,
    /// The webhooks' secret tokens, 12–50 letters and digits each: several while one is being replaced.
    #[serde(default, deserialize_with = "secrets")]
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
    /// The organization's time zone as an IANA name: *Settings → Organization Profile*. Due dates begin in it.
    #[serde(default)]
    pub time_zone: String,
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

/// Builds a [`ZohoBooks`]. Setters cannot fail; [`build`](Self::build) checks everything together.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    config: Config,
    authenticator: Option<Arc<dyn Authenticator>>,
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self { config, authenticator: None }
    }
}

impl Builder {
    pub(crate) fn new(connection: impl Into<String>) -> Self {
        Self::from(Config {
            connection: connection.into(),
            organization_id: String::new(),
            data_center: None,
            accounts_url: None,
            api_url: None,
            web_url: None,
            client_id: String::new(),
            client_secret: no_secret(),
            refresh_token: None,
            webhook_secrets: Vec::new(),
            manage_webhooks: false,
            webhook_parameters: WebhookParameters::default(),
            endpoint: None,
            time_zone: String::new(),
            overdue_after: overdue_after(),
            coalesce_ms: coalesce_ms(),
            plan: Plan::default(),
            resources: resources(),
            mode: None,
            poll_minutes: None,
        })
    }

    /// See [`Config::organization_id`].
    pub fn organization_id(mut self, id: impl Into<String>) -> Self {
        self.config.organization_id = id.into();
        self
    }

    /// See [`Config::data_center`].
    pub fn data_center(mut self, data_center: DataCenter) -> Self {
        self.config.data_center = Some(data_center);
        self
    }

    /// See [`Config::accounts_url`].
    pub fn accounts_url(mut self, url: impl Into<String>) -> Self {
        self.config.accounts_url = Some(url.into());
        self
    }

    /// See [`Config::api_url`].
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.config.api_url = Some(url.into());
        self
    }

    /// See [`Config::web_url`].
    pub fn web_url(mut self, url: impl Into<String>) -> Self {
        self.config.web_url = Some(url.into());
        self
    }

    /// The app's id and secret; see [`Config::client_id`] and [`Config::client_secret`].
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.client_id = id.into();
        self.config.client_secret = secret.into();
        self
    }

    /// See [`Config::refresh_token`].
    pub fn refresh_token(mut self, token: impl Into<Secret>) -> Self {
        self.config.refresh_token = Some(token.into());
        self
    }

    /// Proves who is calling in another way than by the connection's own refresh token; client and refresh token
    /// are then not needed.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// Adds one to [`Config::webhook_secrets`].
    pub fn webhook_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.config.webhook_secrets.push(secret.into());
        self
    }

    /// See [`Config::manage_webhooks`].
    pub fn manage_webhooks(mut self, manage: bool) -> Self {
        self.config.manage_webhooks = manage;
        self
    }

    /// See [`Config::webhook_parameters`].
    pub fn webhook_parameters(mut self, parameters: WebhookParameters) -> Self {
        self.config.webhook_parameters = parameters;
        self
    }

    /// See [`Config::endpoint`].
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.config.endpoint = Some(endpoint.into());
        self
    }

    /// See [`Config::time_zone`].
    pub fn time_zone(mut self, iana_name: impl Into<String>) -> Self {
        self.config.time_zone = iana_name.into();
        self
    }

    /// See [`Config::overdue_after`].
    pub fn overdue_after(mut self, days: impl Into<Vec<u32>>) -> Self {
        self.config.overdue_after = days.into();
        self
    }

    /// See [`Config::coalesce_ms`].
    pub fn coalesce(mut self, window: Duration) -> Self {
        self.config.coalesce_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// See [`Config::plan`].
    pub fn plan(mut self, plan: Plan) -> Self {
        self.config.plan = plan;
        self
    }

    /// See [`Config::resources`].
    pub fn resources(mut self, kinds: impl Into<Vec<RecordKind>>) -> Self {
        self.config.resources = kinds.into();
        self
    }

    /// See [`Config::mode`].
    pub fn mode(mut self, mode: SourceMode) -> Self {
        self.config.mode = Some(mode);
        self
    }

    /// See [`Config::poll_minutes`].
    pub fn poll_minutes(mut self, minutes: u32) -> Self {
        self.config.poll_minutes = Some(minutes);
        self
    }

    /// The source, if everything fits together.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the setting that is missing or wrong.
    pub fn build(self) -> Result<ZohoBooks> {
        let Self { config, authenticator } = self;
        let info = info(&config)?;
        let host = |setting, own: &Option<String>, of: fn(DataCenter) -> &'static str| {
            let url = own.as_deref().or(config.data_center.map(of));
            secure_url(setting, url.ok_or_else(|| missing("data_center"))?)
        };
        let api = host("api_url", &config.api_url, DataCenter::api_url)?;
        let web = host("web_url", &config.web_url, DataCenter::web_url)?;
        let home = DataCenter::of_api_domain(api.as_str()).ok();
        let issuer = config.accounts_url.as_deref().and_then(|url| DataCenter::of_accounts_server(url).ok());
        let issuer = issuer.or(config.data_center);
        if let Some((home, issuer)) = home.zip(issuer).filter(|(home, issuer)| home != issuer) {
            return Err(invalid(
                "the API host is of another data center than the one that issues the tokens",
            )
            .with_context("api", home.location())
            .with_context("tokens", issuer.location()));
        }
        let auth = match authenticator {
            Some(authenticator) => authenticator,
            None => {
                let accounts = host("accounts_url", &config.accounts_url, DataCenter::accounts_url)?;
                Arc::new(auth::oauth(&info.connection, &config, &accounts)?)
            }
        };
        let mut sink = SinkInfo::new(info.connection.clone(), SYSTEM);
        sink.affinity = info.affinity.clone();
        Ok(ZohoBooks::new(Parts {
            sink,
            client: BooksClient::new(&api, auth, &config.organization_id, config.plan)?,
            webhook: match (&*config.webhook_secrets, info.mode.subscribes()) {
                ([], false) => None,
                (secrets, _) => Some(Webhook::new(secrets, config.webhook_parameters)?),
            },
            subscriptions: subscriptions(&config, info.mode)?,
            site: Site::new(&web, &config.organization_id),
            stretches: config.poll_minutes.is_none(),
            verified: Arc::default(),
            info,
        }))
    }
}

/// What has to be set up, if anything.
fn subscriptions(config: &Config, mode: SourceMode) -> Result<Option<Subscriptions>> {
    let Some(secret) = config.webhook_secrets.first().filter(|_| config.manage_webhooks && mode.subscribes())
    else {
        return Ok(None);
    };
    if config.webhook_parameters != WebhookParameters::EventAndOrganization {
        return Err(invalid("manage_webhooks makes webhooks with event and organization as parameters only"));
    }
    Ok(Some(Subscriptions::new(&config.resources, &config.organization_id, secret.clone())))
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
    u64::try_from(SourceInfo::COALESCE.as_millis()).unwrap_or(u64::MAX)
}

fn info(config: &Config) -> Result<SourceInfo> {
    let connection = ConnectionId::from(config.connection.as_str());
    connection.validate()?;
    let organization = config.organization_id.as_str();
    if organization.is_empty() {
        return Err(missing("organization_id"));
    }
    if organization.len() > 20 || !organization.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("organization_id must be digits"));
    }
    if config.time_zone.is_empty() {
        return Err(missing("time_zone"));
    }
    let mut info = SourceInfo::new(connection, SYSTEM);
    if let Some(endpoint) = &config.endpoint {
        info.endpoint = EndpointId::from(endpoint.as_str());
        info.endpoint.validate()?;
    }
    info.accounts = vec![AccountKey::new(format!("org:{organization}"))];
    // The organization's quotas are shared by everything that calls for it.
    info.affinity = Affinity::new(format!("zoho/{organization}"));
    info.coalesce = Duration::from_millis(config.coalesce_ms);
    info.zone = Zone::named(&config.time_zone)?;
    info.overdue_after.clone_from(&config.overdue_after);
    info.mode =
        config.mode.unwrap_or(if config.plan.has_webhooks() { SourceMode::Both } else { SourceMode::Poll });
    if info.mode.subscribes() && !config.plan.has_webhooks() {
        return Err(invalid("the plan has no webhooks: the mode has to be poll"));
    }
    let every = match config.poll_minutes {
        Some(0) => return Err(invalid("poll_minutes must be one or more")),
        Some(minutes) => Duration::from_secs(u64::from(minutes) * 60),
        None => poll_interval(config.plan.calls_per_day()),
    };
    for kind in &config.resources {
        let Some(name) = feed_of(kind) else {
            return Err(invalid("resources has a kind of record that Zoho Books is not read for")
                .with_context("kind", kind.as_str().escape_debug()));
        };
        if info.feeds.iter().any(|feed| feed.name == name) {
            return Err(invalid("resources has a kind of record twice").with_context("kind", kind));
        }
        info.feeds.push(FeedInfo::new(name, every));
        info.sweeps.push(FeedInfo::new(name, SWEEP_EVERY));
    }
    if info.feeds.is_empty() {
        return Err(missing("resources"));
    }
    Ok(info)
}

/// How often feeds are read: 672 calls a day for seven feeds every quarter of an hour would leave too little of 1,000
/// or 2,000.
pub(crate) fn poll_interval(calls_per_day: u32) -> Duration {
    Duration::from_secs(if calls_per_day <= 2_000 { 3600 } else { 900 })
}

/// Tokens and links travel over https only; http is for simulators on this machine.
fn secure_url(setting: &'static str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|_| invalid("expected a URL").with_context("setting", setting))?;
    require_secure(&url).map(|()| url).map_err(|error| error.with_context("setting", setting))
}

/// A URL below another one, which may have a path of its own behind a gateway or a simulator.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

pub(crate) fn missing(setting: &'static str) -> Error {
    invalid("a setting is missing").with_context("setting", setting)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

fn no_secret() -> Secret {
    Secret::from("")
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::from)
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::from))
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into_iter().map(Secret::from).collect())
}
