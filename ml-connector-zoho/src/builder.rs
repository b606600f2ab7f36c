//! From settings to a connection.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    FeedInfo, Result, Secret, SinkInfo, SourceInfo, SourceMode, ZonedInfo,
    auth::Authenticator,
    config::{invalid, millis, missing, required, secure_url},
    model::{AccountKey, Affinity, ConnectionId, Currency, EndpointId, RecordKind, Zone},
};

use crate::{
    Config, DataCenter, Plan, SYSTEM, WebhookParameters, ZohoBooks, auth,
    client::BooksClient,
    config::poll_interval,
    models::{Site, columns, feed_of},
    webhook::{Webhook, subscriptions::ManagedWebhooks},
};

/// How often the whole of a list is looked through for what is gone: there is no other way to see it.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

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
    ml_connector_core::setters! {
        organization_id: into String,
        data_center: some DataCenter,
        accounts_url: some into String,
        api_url: some into String,
        web_url: some into String,
        refresh_token: some into Secret,
        manage_webhooks: bool,
        webhook_parameters: WebhookParameters,
        endpoint: some into String,
        time_zone: into String,
        base_currency: into String,
        overdue_after: into Vec<u32>,
        plan: Plan,
        resources: into Vec<RecordKind>,
        mode: some SourceMode,
        poll_minutes: some u32,
    }

    /// The app's id and secret; see [`Config::client_id`] and [`Config::client_secret`].
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.client_id = id.into();
        self.config.client_secret = secret.into();
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

    /// See [`Config::coalesce_ms`].
    pub fn coalesce(mut self, window: Duration) -> Self {
        self.config.coalesce_ms = millis(window);
        self
    }

    /// The source, if everything fits together.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names the setting that is missing or wrong.
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
        let set = |code: &str| (!code.is_empty()).then(|| Currency::parse(code)).transpose();
        let currency = set(&config.base_currency).map_err(|_| {
            invalid("base_currency must be a currency's ISO 4217 code")
                .with_context("base_currency", config.base_currency.escape_debug())
        })?;
        let mut sink = SinkInfo::new(info.connection.clone(), SYSTEM);
        sink.affinity = info.affinity.clone();
        Ok(ZohoBooks {
            sink,
            client: BooksClient::new(&api, auth, &config.organization_id, config.plan)?.with_home(currency),
            webhook: match (&*config.webhook_secrets, info.mode.subscribes()) {
                ([], false) => None,
                (secrets, _) => Some(Webhook::new(secrets, config.webhook_parameters)?),
            },
            managed: managed(&config, info.mode)?,
            site: Site::new(&web, &config.organization_id),
            stretches: config.poll_minutes.is_none(),
            verified: Arc::default(),
            source: ZonedInfo::new(info, !config.time_zone.is_empty()),
        })
    }
}

/// The webhooks that are set up through the API, if any.
fn managed(config: &Config, mode: SourceMode) -> Result<Option<ManagedWebhooks>> {
    let Some(secret) = config.webhook_secrets.first().filter(|_| config.manage_webhooks && mode.subscribes())
    else {
        return Ok(None);
    };
    if config.webhook_parameters != WebhookParameters::EventAndOrganization {
        return Err(invalid("manage_webhooks makes webhooks with event and organization as parameters only"));
    }
    Ok(Some(ManagedWebhooks::new(&config.resources, &config.organization_id, secret.clone())))
}

/// Zoho's words for states that have none in the SDK's vocabulary: routes may ask for them.
const STATUSES: [&str; 15] = [
    "accepted",
    "active",
    "billable",
    "billed",
    "closed",
    "confirmed",
    "declined",
    "inactive",
    "invoiced",
    "nonbillable",
    "on_hold",
    "partially_billed",
    "published",
    "reimbursed",
    "unbilled",
];

fn info(config: &Config) -> Result<SourceInfo> {
    let connection = ConnectionId::from(config.connection.as_str());
    connection.validate()?;
    let organization = config.organization_id.as_str();
    required("organization_id", organization)?;
    if organization.len() > 20 || !organization.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("organization_id must be digits"));
    }
    let mut info = SourceInfo::new(connection, SYSTEM);
    info.statuses = STATUSES.to_vec();
    if let Some(endpoint) = &config.endpoint {
        info.endpoint = EndpointId::from(endpoint.as_str());
        info.endpoint.validate()?;
    }
    info.accounts = vec![AccountKey::new(format!("org:{organization}"))];
    // The organization's quotas are shared by everything that calls for it.
    info.affinity = Affinity::new(format!("zoho/{organization}"));
    info.coalesce = Duration::from_millis(config.coalesce_ms);
    if !config.time_zone.is_empty() {
        info.zone = Zone::named(&config.time_zone)?;
    }
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
    info.columns = columns();
    Ok(info)
}
