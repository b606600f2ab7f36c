//! From settings to a connection.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    FeedInfo, Result, Secret, SinkInfo, SourceInfo, SourceMode, WebhookAnswers,
    auth::{Authenticator, ClientAssertion},
    config::{below, invalid, millis, require, required, secure_url},
    model::{Affinity, ConnectionId, EndpointId, Status, Zone},
    token::TokenKey,
};

use crate::{
    BusinessCentral, Config, SYSTEM, auth,
    client::ApiClient,
    config::{API, LOGIN, WEB},
    models::{INVOICED, OWN_KINDS, OWN_STATUSES, Set, Site, columns, is_guid},
    source::responsible::Responsible,
    webhook::{Webhook, place::Place},
};

/// Deletions show only where a record is missing from its list.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Purchase orders have no webhook in the documented list, so they are polled more often.
const ORDERS_EVERY: Duration = Duration::from_secs(120);

/// Builds a [`BusinessCentral`]. Setters cannot fail; [`build`](Self::build) checks everything together.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    config: Config,
    authenticator: Option<Arc<dyn Authenticator>>,
    assertion: Option<Arc<dyn ClientAssertion>>,
    poster_assertion: Option<Arc<dyn ClientAssertion>>,
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self { config, authenticator: None, assertion: None, poster_assertion: None }
    }
}

impl Builder {
    ml_connector_core::setters! {
        tenant: into String,
        environment: into String,
        login_url: some into String,
        api_url: some into String,
        web_url: some into String,
        webhook_secret: into Secret,
        endpoint: some into String,
        approval_entries: bool,
        approval_user_setups: bool,
        attachments: bool,
        time_zone: into String,
        overdue_after: into Vec<u32>,
        mode: SourceMode,
        poll_minutes: u32,
    }

    /// The company's id and name; see [`Config::company_id`] and [`Config::company_name`].
    pub fn company(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.config.company_id = id.into();
        self.config.company_name = name.into();
        self
    }

    /// The application's id and secret; see [`Config::client_id`] and [`Config::client_secret`].
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.client_id = id.into();
        self.config.client_secret = secret.into();
        self
    }

    /// Signs for the application in place of its secret, such as
    /// [`CertificateAssertion`](ml_connector_core::auth::OAuth2Config) of core.
    pub fn assertion(mut self, client_id: impl Into<String>, assertion: Arc<dyn ClientAssertion>) -> Self {
        self.config.client_id = client_id.into();
        self.assertion = Some(assertion);
        self
    }

    /// Another application that posts; see [`Config::poster_id`].
    pub fn poster(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.poster_id = Some(id.into());
        self.config.poster_secret = secret.into();
        self
    }

    /// The same, where a certificate signs for the application that posts in place of its secret.
    pub fn poster_assertion(mut self, id: impl Into<String>, assertion: Arc<dyn ClientAssertion>) -> Self {
        self.config.poster_id = Some(id.into());
        self.poster_assertion = Some(assertion);
        self
    }

    /// Proves who is calling in another way than by the connection's own token; client and tenant are then not needed.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// See [`Config::sets`].
    pub fn sets<S: Into<String>>(mut self, sets: impl IntoIterator<Item = S>) -> Self {
        self.config.sets = sets.into_iter().map(Into::into).collect();
        self
    }

    /// The documents of a purchaser or salesperson are an employee's: code and number. See [`Config::purchasers`].
    pub fn purchaser(mut self, code: impl Into<String>, employee: impl Into<String>) -> Self {
        self.config.purchasers.insert(code.into(), employee.into());
        self
    }

    /// See [`Config::posting_ends_after_secs`].
    pub fn posting_ends_after(mut self, time: Duration) -> Self {
        self.config.posting_ends_after_secs = time.as_secs();
        self
    }

    /// See [`Config::coalesce_ms`].
    pub fn coalesce(mut self, window: Duration) -> Self {
        self.config.coalesce_ms = millis(window);
        self
    }

    /// The connection, if everything fits together.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names the setting that is missing or wrong.
    pub fn build(self) -> Result<BusinessCentral> {
        let Self { config, authenticator, assertion, poster_assertion } = self;
        let sets = sets(&config)?;
        let mut info = info(&config, &sets)?;
        let api = secure_url("api_url", config.api_url.as_deref().unwrap_or(API))?;
        let place = Place {
            api: api.to_string(),
            tenant: config.tenant.clone(),
            environment: config.environment.clone(),
            company: config.company_id.clone(),
            ..Place::default()
        };
        info.accounts = vec![place.account()];
        let web = secure_url("web_url", config.web_url.as_deref().unwrap_or(WEB))?;
        let login = secure_url("login_url", config.login_url.as_deref().unwrap_or(LOGIN))?;
        let base = below(&api, &["v2.0", &config.tenant, &config.environment, "api"]);
        let client = |id: &str, auth| ApiClient::new(base.clone(), &api, auth, id, &config.company_id);
        let auth: Arc<dyn Authenticator> = match authenticator {
            Some(authenticator) => authenticator,
            None => Arc::new(auth::oauth(
                TokenKey::new(&info.connection),
                &config,
                (&config.client_id, &config.client_secret),
                assertion,
                &login,
            )?),
        };
        let reader = client(&config.client_id, auth)?;
        let poster = match &config.poster_id {
            None => reader.clone(),
            Some(id) => {
                // No connection's own token is called so.
                let key = TokenKey::shared(&format!("{SYSTEM}/{}/poster", info.connection));
                let auth = auth::oauth(key, &config, (id, &config.poster_secret), poster_assertion, &login)?;
                client(id, Arc::new(auth))?
            }
        };
        let webhook = match info.mode {
            SourceMode::Poll => None,
            _ => {
                Some(Webhook::new(&info.connection, &config.webhook_secret, &config.company_id, &sets, &api)?)
            }
        };
        let mut sink = SinkInfo::new(info.connection.clone(), SYSTEM);
        sink.affinity = info.affinity.clone();
        let site = Site::new(&web, &config.tenant, &config.environment, &config.company_name);
        Ok(BusinessCentral {
            sink,
            client: reader,
            poster,
            has_poster: config.poster_id.is_some(),
            place,
            webhook,
            site,
            approval_entries: config.approval_entries,
            attachments: config.attachments,
            posting_ends_after: Duration::from_secs(config.posting_ends_after_secs),
            responsible: Arc::new(Responsible::new(&config)),
            quiet: Arc::default(),
            sets: sets.into(),
            source: info,
        })
    }
}

fn sets(config: &Config) -> Result<Vec<Set>> {
    let mut sets = Vec::new();
    for name in &config.sets {
        let Some(set) = Set::named(name) else {
            return Err(
                invalid("sets has an entity set that is not read").with_context("set", name.escape_debug())
            );
        };
        if sets.contains(&set) {
            return Err(invalid("sets has an entity set twice").with_context("set", set.name()));
        }
        sets.push(set);
    }
    require(!sets.is_empty(), "sets", "one entity set or more")?;
    Ok(sets)
}

fn info(config: &Config, sets: &[Set]) -> Result<SourceInfo> {
    let connection = ConnectionId::from(config.connection.as_str());
    connection.validate()?;
    required("tenant", &config.tenant)?;
    let plain = config.tenant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let shared = matches!(config.tenant.as_str(), "common" | "organizations" | "consumers");
    require(plain && !shared, "tenant", "the directory's id or a verified domain")?;
    required("environment", &config.environment)?;
    required("company_id", &config.company_id)?;
    require(is_guid(&config.company_id), "company_id", "a GUID in lower case without braces")?;
    require(config.poll_minutes > 0, "poll_minutes", "1 or more")?;
    require(config.posting_ends_after_secs > 0, "posting_ends_after_secs", "1 or more")?;
    let is_named = |(code, number): (&String, &String)| !code.trim().is_empty() && !number.trim().is_empty();
    require(config.purchasers.iter().all(is_named), "purchasers", "codes, each with an employee's number")?;
    require(config.scope.ends_with("/.default"), "scope", "a scope that ends in /.default")?;
    let mut info = SourceInfo::new(connection, SYSTEM);
    if let Some(endpoint) = &config.endpoint {
        info.endpoint = EndpointId::from(endpoint.as_str());
        info.endpoint.validate()?;
    }
    // Limits are counted per application, across all companies and environments.
    info.affinity = Affinity::new(format!("business_central/{}", config.client_id));
    info.coalesce = Duration::from_millis(config.coalesce_ms);
    info.zone = Zone::named(&config.time_zone)?;
    info.overdue_after.clone_from(&config.overdue_after);
    info.mode = config.mode;
    info.answers = WebhookAnswers::never_refusing();
    info.kinds = OWN_KINDS.to_vec();
    info.statuses = OWN_STATUSES.to_vec();
    info.columns = columns(sets);
    info.unlisted = vec![Status::Other(INVOICED.into())];
    let every = Duration::from_secs(u64::from(config.poll_minutes) * 60);
    for set in sets {
        let every = if *set == Set::PurchaseOrders { every.min(ORDERS_EVERY) } else { every };
        info.feeds.push(FeedInfo::new(set.name(), every));
        info.sweeps.push(FeedInfo::new(set.name(), SWEEP_EVERY));
    }
    if config.approval_entries {
        info.feeds.push(FeedInfo::new(Set::APPROVAL_ENTRIES, ORDERS_EVERY));
    }
    Ok(info)
}
