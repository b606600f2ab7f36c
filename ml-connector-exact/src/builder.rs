//! From settings to a connection.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ml_connector_core::{
    Error, FeedInfo, Remembered, Result, Secret, SourceInfo, SourceMode, WebhookAnswers,
    auth::Authenticator,
    config::{invalid, millis, missing, require, required, secure_url},
    model::{Affinity, ConnectionId, Currency, EndpointId, RecordKind, Zone},
    webhook::HmacSha256,
};
use url::Url;

use crate::{
    Config, ExactOnline, Invoices, Region, SYSTEM, auth,
    client::{ExactClient, Pace},
    models::{RESOURCES, Resource, SALES_ENTRIES, SALES_INVOICES, STATUSES, Site, columns, feed},
    webhook::{Webhook, account_key},
};

/// How often the whole of a list is looked through for what is gone, and how often what documents refer to is read.
const ONCE_A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For so long the company is taken for what it was.
const COMPANY_KEEPS: Duration = Duration::from_secs(3600);
/// How long a missing right is believed, while records wait for it: a company has so many calls a day.
const BELIEVED: Duration = Duration::from_secs(15 * 60);
/// Exact Online allows 60. Some apps may have more.
const MOST_PER_MINUTE: u32 = 1_000;

/// Builds an [`ExactOnline`]. Setters cannot fail; [`build`](Self::build) checks everything together.
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
        region: Region,
        division: u32,
        currency: some into String,
        time_zone: into String,
        server_zone: into String,
        login: some into String,
        redirect_uri: some into String,
        refresh_token: some into Secret,
        base_url: some into String,
        endpoint: some into String,
        invoices: Invoices,
        resources: into Vec<RecordKind>,
        practice: bool,
        attachments: bool,
        mode: some SourceMode,
        poll_minutes: u32,
        contract: some into String,
        calls_per_contract: u32,
    }

    /// See [`Config::formerly`].
    pub fn formerly(mut self, settings: Config) -> Self {
        self.config.formerly = Some(Box::new(settings));
        self
    }

    /// The app's id and secret; see [`Config::client_id`] and [`Config::client_secret`].
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.client_id = id.into();
        self.config.client_secret = secret.into();
        self
    }

    /// Adds a webhook secret; see [`Config::webhook_secrets`].
    pub fn webhook_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.config.webhook_secrets.push(secret.into());
        self
    }

    /// Proves who is calling in another way than by the login's own refresh token, which is then not needed.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// See [`Config::coalesce_ms`].
    pub fn coalesce(mut self, window: Duration) -> Self {
        self.config.coalesce_ms = millis(window);
        self
    }

    /// See [`Config::calls_per_minute`] and [`Config::calls_per_day`].
    pub fn pace(mut self, calls_per_minute: u32, calls_per_day: u32) -> Self {
        (self.config.calls_per_minute, self.config.calls_per_day) = (calls_per_minute, calls_per_day);
        self
    }

    /// The source, if everything fits together.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names the setting that is missing or wrong.
    pub fn build(self) -> Result<ExactOnline> {
        let Self { config, authenticator } = self;
        let base = secure_url("base_url", config.origin())?;
        let resources = resources(&config)?;
        let mut info = info(&config, &base, &resources)?;
        let auth: Arc<dyn Authenticator> = match authenticator {
            Some(authenticator) => authenticator,
            None => {
                let oauth = auth::oauth(&config, &base)?;
                info.tokens = Some(oauth.clone());
                Arc::new(oauth)
            }
        };
        let secrets = &config.webhook_secrets;
        let verifier = (!secrets.is_empty()).then(|| HmacSha256::new(secrets)).transpose()?;
        if verifier.is_none() && info.mode.subscribes() {
            return Err(missing("webhook_secrets"));
        }
        let redirect =
            config.redirect_uri.as_deref().map(|uri| secure_url("redirect_uri", uri)).transpose()?;
        let webhook = Webhook {
            verifier,
            client_id: config.client_id.as_str().into(),
            base: base.clone(),
            division: config.division,
            redirect_host: redirect.and_then(|uri| uri.host_str().map(str::to_owned)),
            topics: resources.iter().filter_map(|resource| resource.topic).collect(),
        };
        Ok(ExactOnline {
            client: client(&config, base, auth)?,
            former: config.formerly.as_deref().map(|former| former_client(former, &config)).transpose()?,
            webhook,
            resources: resources.into(),
            division: Arc::new(Remembered::new(COMPANY_KEEPS, 1)),
            rights: Arc::new(Remembered::new(ONCE_A_DAY, RESOURCES.len() * 2)),
            withheld: Arc::new(Remembered::new(BELIEVED, RESOURCES.len() * 2)),
            refused: Arc::default(),
            narrowed: Arc::default(),
            practice: config.practice,
            is_made_up: Arc::default(),
            attachments: config.attachments,
            source: info,
        })
    }
}

/// The calls of a connection.
fn client(config: &Config, base: Url, auth: Arc<dyn Authenticator>) -> Result<ExactClient> {
    let currency =
        config.currency.as_deref().map(Currency::parse).transpose().map_err(|_| {
            invalid("expected a currency of three letters").with_context("setting", "currency")
        })?;
    let site = Site {
        base,
        division: config.division,
        currency: Arc::new(currency.map_or_else(OnceLock::new, OnceLock::from)),
        zone: Zone::named(&config.server_zone)?,
    };
    let pace = Pace {
        per_minute: config.calls_per_minute,
        per_day: config.calls_per_day,
        per_contract: config.calls_per_contract,
    };
    ExactClient::new(site, auth, (&config.client_id, &config.contract_name()), pace)
}

/// The calls where the connection was before. Another app's tokens are another chain, which is kept under the app's id.
fn former_client(former: &Config, now: &Config) -> Result<ExactClient> {
    let built = || {
        let base = secure_url("base_url", former.origin())?;
        require(former.division > 0, "division", "the company's number, such as 3141593")?;
        let chain = |config: &Config| (config.client_id.clone(), config.login_name().to_owned());
        let has_own_chain = former.origin() == now.origin() || chain(former) != chain(now);
        require(has_own_chain, "login", "another name than that of the connection's present login")?;
        let auth = Arc::new(auth::oauth(former, &base)?);
        client(former, base, auth)
    };
    built().map_err(|error: Error| error.with_context("within", "formerly"))
}

/// What is read, each kind once.
fn resources(config: &Config) -> Result<Vec<&'static Resource>> {
    let mut all: Vec<&'static Resource> = Vec::new();
    for kind in &config.resources {
        let not_chosen = match config.invoices {
            Invoices::Invoices => SALES_ENTRIES.path,
            Invoices::Entries => SALES_INVOICES.path,
        };
        let is = |resource: &&&Resource| resource.kind == kind.as_str() && resource.path != not_chosen;
        let resource = RESOURCES.iter().find(is).ok_or_else(|| {
            invalid("resources has a kind of record that Exact Online is not read for")
                .with_context("kind", kind.as_str().escape_debug())
        })?;
        if all.iter().any(|known| known.kind == resource.kind) {
            return Err(invalid("resources has a kind of record twice").with_context("kind", kind));
        }
        all.push(resource);
    }
    if all.is_empty() { Err(missing("resources")) } else { Ok(all) }
}

fn info(config: &Config, base: &Url, resources: &[&'static Resource]) -> Result<SourceInfo> {
    let connection = ConnectionId::from(config.connection.as_str());
    connection.validate()?;
    required("client_id", &config.client_id)?;
    let is_id = |id: &str| id.len() <= 48 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    require(
        is_id(&config.client_id),
        "client_id",
        "letters, digits and hyphens, as the App Center shows it",
    )?;
    require(config.division > 0, "division", "the company's number, such as 3141593")?;
    require(config.login.as_deref() != Some(""), "login", "a name")?;
    require(config.contract.as_deref() != Some(""), "contract", "a name")?;
    require((1..=MOST_PER_MINUTE).contains(&config.calls_per_minute), "calls_per_minute", "1 to 1000")?;
    require(config.calls_per_day >= 100, "calls_per_day", "100 or more")?;
    require(config.calls_per_contract >= 100, "calls_per_contract", "100 or more")?;
    require(config.poll_minutes > 0, "poll_minutes", "one or more")?;
    let mut info = SourceInfo::new(connection, SYSTEM);
    info.statuses = STATUSES.to_vec();
    info.mode = config.mode.unwrap_or(SourceMode::Both);
    info.endpoint = match &config.endpoint {
        Some(endpoint) => EndpointId::from(endpoint.as_str()),
        None => EndpointId::from(format!("exact-online-{}", config.client_id.to_ascii_lowercase())),
    };
    info.endpoint.validate()?;
    info.accounts = vec![account_key(base, config.division)];
    // Tokens are shared by everything that calls for the login, webhooks by everything that uses the app, and the calls of a
    // day by everything that reads the contract's companies.
    info.affinity = match &config.contract {
        Some(contract) => Affinity::new(format!("exact_online/contract/{contract}")),
        None => Affinity::new(format!("exact_online/{}/{}", config.client_id, config.login_name())),
    };
    info.coalesce = Duration::from_millis(config.coalesce_ms);
    // What cannot be used would come again ten times, and be as useless.
    info.answers = WebhookAnswers::never_refusing();
    info.zone = Zone::named(&config.time_zone)?;
    let every = Duration::from_secs(u64::from(config.poll_minutes) * 60);
    for sync in feed::FEEDS {
        if sync.resources.iter().any(|own| resources.iter().any(|resource| resource.path == own.path)) {
            info.feeds.push(FeedInfo::new(sync.name, every));
        }
    }
    for resource in resources {
        if is_reference(resource) {
            info.feeds.push(FeedInfo::new(resource.feed, ONCE_A_DAY));
        }
        // What was paid stays paid, and is not listed for ever.
        if !resource.is_term() {
            info.sweeps.push(FeedInfo::new(resource.sweep(), ONCE_A_DAY));
        }
    }
    info.columns = columns(resources);
    Ok(info)
}

/// Whether changes are found by the time of a record's last change.
fn is_reference(resource: &Resource) -> bool {
    matches!(resource.kind, "contact" | "account" | "cost_center" | "cost_unit")
}
