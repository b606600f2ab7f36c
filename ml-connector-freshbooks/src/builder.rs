//! From settings to a connection.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    FeedInfo, Remembered, Result, Secret, SourceInfo, SourceMode, ZonedInfo,
    auth::Authenticator,
    config::{invalid, millis, missing, require, required, secure_url},
    model::{Affinity, ConnectionId, EndpointId, RecordKind, Zone},
    webhook::{Encoding, HmacSha256},
};

use crate::{
    Config, FreshBooks, SYSTEM, auth,
    client::{FreshBooksClient, Pace},
    models::{
        BILL_VENDOR, BillPayment, CATEGORY, OWN_KINDS, Resource, STATUSES, Site, columns, eastern, feed_of,
        noun_of,
    },
    webhook::{Webhook, account_key},
};

/// How often the whole of a list is looked through for what is gone: what was purged is told nowhere.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often lists with a filter for changes are read, and those that have to be read as a whole.
const POLL_MINUTES: u32 = 15;
const WHOLE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often what documents refer to is read.
const REFERENCE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// FreshBooks waits 10 seconds for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For so long the name of a bill's vendor is believed, and for so many vendors.
const NAMES_KEEP: Duration = Duration::from_secs(3600);
const MAX_NAMES: usize = 10_000;
/// The longest account id that was seen has six letters and digits.
const MAX_ACCOUNT_ID: usize = 32;

/// Builds a [`FreshBooks`]. Setters cannot fail; [`build`](Self::build) checks everything together.
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
        account_id: into String,
        business_id: some into String,
        business_uuid: some into String,
        time_zone: into String,
        login: some into String,
        redirect_uri: into String,
        refresh_token: some into Secret,
        api_url: some into String,
        web_url: some into String,
        bill_links: bool,
        endpoint: some into String,
        overdue_after: into Vec<u32>,
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

    /// Proves who is calling in another way than by the login's own refresh token; the redirect URI and the refresh token
    /// are then not needed.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// See [`Config::coalesce_ms`].
    pub fn coalesce(mut self, window: Duration) -> Self {
        self.config.coalesce_ms = millis(window);
        self
    }

    /// See [`Config::calls_per_second`] and [`Config::concurrent_calls`].
    pub fn pace(mut self, calls_per_second: u32, concurrent_calls: u32) -> Self {
        (self.config.calls_per_second, self.config.concurrent_calls) = (calls_per_second, concurrent_calls);
        self
    }

    /// The source, if everything fits together.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names the setting that is missing or wrong.
    pub fn build(self) -> Result<FreshBooks> {
        let Self { config, authenticator } = self;
        let mut info = info(&config)?;
        eastern()?;
        let api = secure_url("api_url", config.api_url.as_deref().unwrap_or(auth::API_URL))?;
        let web = secure_url("web_url", config.web_url.as_deref().unwrap_or("https://my.freshbooks.com"))?;
        let auth: Arc<dyn Authenticator> = match authenticator {
            Some(authenticator) => authenticator,
            None => {
                let oauth = auth::oauth(&config, &api)?;
                info.tokens = Some(oauth.clone());
                Arc::new(oauth)
            }
        };
        let site = Site::new(&web, &config.account_id, config.bill_links);
        let ids = (&*config.account_id, config.business_uuid.as_deref());
        let pace =
            Pace { calls_per_second: config.calls_per_second, concurrent_calls: config.concurrent_calls };
        let nouns = config.resources.iter().filter_map(|kind| noun_of(kind.as_str()));
        Ok(FreshBooks {
            client: FreshBooksClient::new(api, auth, ids, site, (config.quota(), pace))?,
            webhook: Webhook::new(&config.account_id, nouns.collect()),
            vendors: Arc::new(Remembered::new(NAMES_KEEP, MAX_NAMES)),
            tells_bill_payments: config.resources.iter().any(|kind| kind.as_str() == BillPayment::KIND),
            business_id: config.business_id,
            business_uuid: config.business_uuid,
            searches: Arc::default(),
            verified: Arc::default(),
            source: ZonedInfo::new(info, !config.time_zone.is_empty()),
        })
    }
}

fn info(config: &Config) -> Result<SourceInfo> {
    let connection = ConnectionId::from(config.connection.as_str());
    connection.validate()?;
    let account = config.account_id.as_str();
    required("account_id", account)?;
    let is_account = account.len() <= MAX_ACCOUNT_ID && account.bytes().all(|b| b.is_ascii_alphanumeric());
    require(is_account, "account_id", "letters and digits, such as Zq84Xk")?;
    let is_number = |id: &String| (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    require(config.business_id.as_ref().is_none_or(is_number), "business_id", "digits")?;
    require(config.login.as_deref() != Some(""), "login", "a name")?;
    require((1..=1000).contains(&config.calls_per_second), "calls_per_second", "1 to 1000")?;
    require((1..=1000).contains(&config.concurrent_calls), "concurrent_calls", "1 to 1000")?;
    let mut info = SourceInfo::new(connection, SYSTEM);
    info.kinds = OWN_KINDS.to_vec();
    info.statuses = STATUSES.to_vec();
    info.mode = config.mode.unwrap_or(SourceMode::Both);
    info.endpoint = endpoint(config, info.mode)?;
    info.endpoint.validate()?;
    info.accounts = vec![account_key(account)];
    // Limits and tokens are shared by everything that calls for the login.
    info.affinity = Affinity::new(config.quota());
    info.coalesce = Duration::from_millis(config.coalesce_ms);
    info.answer_within = ANSWER_WITHIN;
    if !config.time_zone.is_empty() {
        info.zone = Zone::named(&config.time_zone)?;
    }
    info.overdue_after.clone_from(&config.overdue_after);
    let every = match config.poll_minutes {
        Some(0) => return Err(invalid("poll_minutes must be one or more")),
        minutes => Duration::from_secs(u64::from(minutes.unwrap_or(POLL_MINUTES)) * 60),
    };
    for kind in &config.resources {
        let Some(name) = feed_of(kind.as_str()) else {
            return Err(invalid("resources has a kind of record that FreshBooks is not read for")
                .with_context("kind", kind.as_str().escape_debug()));
        };
        if info.feeds.iter().any(|feed| feed.name == name) {
            return Err(invalid("resources has a kind of record twice").with_context("kind", kind));
        }
        if *kind == RecordKind::Account && config.business_uuid.as_deref().unwrap_or_default().is_empty() {
            return Err(missing("business_uuid"));
        }
        info.feeds.push(FeedInfo::new(name, every.max(least_pause(kind))));
        info.sweeps.push(FeedInfo::new(name, SWEEP_EVERY));
    }
    if info.feeds.is_empty() {
        return Err(missing("resources"));
    }
    info.columns = columns();
    Ok(info)
}

/// How long to wait at least between two reads of a list.
fn least_pause(kind: &RecordKind) -> Duration {
    match kind {
        RecordKind::Bill | RecordKind::BillPayment => WHOLE_EVERY,
        RecordKind::Item | RecordKind::Account => REFERENCE_EVERY,
        RecordKind::Other(kind) if matches!(&**kind, BILL_VENDOR | CATEGORY) => REFERENCE_EVERY,
        _ => Duration::ZERO,
    }
}

/// The first segment of the callbacks' paths. Who does not know it cannot even begin a handshake.
fn endpoint(config: &Config, mode: SourceMode) -> Result<EndpointId> {
    if let Some(endpoint) = &config.endpoint {
        return Ok(EndpointId::from(endpoint.as_str()));
    }
    if config.client_secret.is_empty() {
        return if mode.subscribes() {
            Err(missing("endpoint"))
        } else {
            Ok(EndpointId::from(&*config.connection))
        };
    }
    let named = ["freshbooks endpoint", &config.client_id, &config.connection].join("\n");
    let digest = HmacSha256::new([&config.client_secret])?.sign(&[named.as_bytes()], Encoding::Hex);
    Ok(EndpointId::from(format!("{}-{}", config.connection, digest.get(..32).unwrap_or(&digest))))
}
