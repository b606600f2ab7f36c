//! From settings to a connection.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use ml_connector_core::{
    Error, OnUnknown, Result, Secret, SinkInfo,
    config::{invalid, millis, require},
    http::require_secure,
    model::{Affinity, EndpointId},
};
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    Client, Config, Dedupe, History, SYSTEM, Slack, auth,
    config::base_url,
    destination::{self, Goal, Target},
    message::{DIGEST_MAX, DigestTemplate, Template, Templates},
    pacing::Pacing,
    sink::{channels::Channels, lookup::Looks, people::People},
};

/// Builds a [`Slack`]. Setters cannot fail; [`build`](Self::build) checks everything.
pub struct Builder {
    config: Config,
    templates: Templates,
}

impl Builder {
    /// Begins with settings that came as data.
    #[must_use]
    pub fn from_config(config: Config) -> Self {
        Self { config, templates: Templates::default() }
    }

    /// The bot token of an app that does not rotate its tokens.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.config.token = token.into();
        self
    }

    /// Instead of a token: the app whose token is in the token store; see [`Config::client_id`].
    #[must_use]
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.config.client_id = id.into();
        self.config.client_secret = secret.into();
        self
    }

    /// What a consent led to, if the token store does not hold it already.
    #[must_use]
    pub fn refresh_token(mut self, token: impl Into<Secret>) -> Self {
        self.config.refresh_token = Some(token.into());
        self
    }

    /// Where the API is, if not at [`BASE_URL`](crate::BASE_URL).
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.config.base_url = url.into();
        self
    }

    /// The workspace's own address, for links to messages; see [`Config::workspace_url`].
    #[must_use]
    pub fn workspace_url(mut self, url: impl Into<String>) -> Self {
        self.config.workspace_url = Some(url.into());
        self
    }

    /// What quotas are counted by; see [`Config::workspace`].
    #[must_use]
    pub fn workspace(mut self, key: impl Into<String>) -> Self {
        self.config.workspace = Some(key.into());
        self
    }

    /// The least time between two posts in a channel.
    #[must_use]
    pub fn post_interval(mut self, interval: Duration) -> Self {
        self.config.post_interval_ms = millis(interval);
        self
    }

    /// The most posts a minute in the workspace.
    #[must_use]
    pub fn posts_per_minute(mut self, posts: u32) -> Self {
        self.config.posts_per_minute = posts;
        self
    }

    /// What happens when a look-up cannot tell.
    #[must_use]
    pub fn on_unknown(mut self, policy: OnUnknown) -> Self {
        self.config.on_unknown = policy;
        self
    }

    /// What messages carry to be recognized by.
    #[must_use]
    pub fn dedupe(mut self, dedupe: Dedupe) -> Self {
        self.config.dedupe = dedupe;
        self
    }

    /// How look-ups read a channel's history.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.config.history = history;
        self
    }

    /// The channel that [`admin()`](crate::admin) leads to, by id or name.
    #[must_use]
    pub fn admin(mut self, channel: impl Into<String>) -> Self {
        self.config.admin = Some(channel.into());
        self
    }

    /// Makes messages under a name: `invoice.paid` is used for these events, `invoice` for all others about invoices,
    /// `card` for everything else, and any name for routes that ask for it.
    ///
    /// ```
    /// use ml_connector_core::model::Event;
    /// use ml_connector_slack::{Slack, blocks::Blocks, message::Message};
    ///
    /// let slack = Slack::builder("slack").token("xoxb-1").template("invoice.paid", |event: &Event| {
    ///     let number = event.document().and_then(|document| document.number.as_deref());
    ///     Message::new(&format!("Paid: {}", number.unwrap_or("an invoice")), Blocks::new())
    /// });
    /// # slack.build().unwrap();
    /// ```
    #[must_use]
    pub fn template(mut self, name: &str, template: impl Template) -> Self {
        self.templates.add(name, Arc::new(template));
        self
    }

    /// Makes the messages of digests under a name: `table` is used where routes name none.
    #[must_use]
    pub fn digest_template(mut self, name: &str, template: impl DigestTemplate) -> Self {
        self.templates.add_digest(name, Arc::new(template));
        self
    }

    /// Also takes requests with this signing secret: for [`Slack::source`].
    #[must_use]
    pub fn signing_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.config.inbound.signing_secrets.push(secret.into());
        self
    }

    /// The workspace's id: for [`Slack::source`].
    #[must_use]
    pub fn team(mut self, id: impl Into<String>) -> Self {
        self.config.inbound.team = Some(id.into());
        self
    }

    /// The app's id, to be checked; see [`Inbound::app`](crate::Inbound::app).
    #[must_use]
    pub fn app(mut self, id: impl Into<String>) -> Self {
        self.config.inbound.app = Some(id.into());
        self
    }

    /// The endpoint that the app's workspaces share; see [`Inbound::endpoint`](crate::Inbound::endpoint).
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<EndpointId>) -> Self {
        self.config.inbound.endpoint = Some(endpoint.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names what is missing or out of range.
    pub fn build(self) -> Result<Slack> {
        let Config { post_interval_ms, posts_per_minute, history, .. } = &self.config;
        self.config.connection.validate()?;
        let workspace = self.config.quota_key();
        let fits = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        require(!workspace.is_empty() && fits(workspace), "workspace", "letters, digits, - and _")?;
        require((1..=3_600_000).contains(post_interval_ms), "post_interval_ms", "1 ms to an hour")?;
        require((1..=6000).contains(posts_per_minute), "posts_per_minute", "1 to 6000")?;
        require((1..=999).contains(&history.limit), "history.limit", "1 to 999")?;
        require(history.per_minute >= 1, "history.per_minute", "at least 1")?;
        require(history.max_pages >= 1, "history.max_pages", "at least 1")?;
        let base = base_url(&self.config.base_url)?;
        let workspace_url = self.config.workspace_url.as_deref().map(address).transpose()?;
        let auth = auth::authenticator(&self.config, &base)?;
        let pacing = Pacing::new(
            workspace,
            self.config.post_interval(),
            self.config.posts_per_minute,
            self.config.history.per_minute,
        );
        let mut info = SinkInfo::new(self.config.connection.clone(), SYSTEM);
        info.affinity = Affinity::from(format!("slack/{workspace}"));
        info.on_unknown = self.config.on_unknown;
        info.max_digest = DIGEST_MAX;
        Ok(Slack {
            client: Client::new(base, auth, pacing.clone(), workspace_url)?,
            info,
            pacing,
            dedupe: self.config.dedupe,
            history: self.config.history,
            templates: self.templates,
            admin: self.config.admin.as_deref().map(admin).transpose()?,
            inbound: self.config.inbound,
            channels: Channels::default(),
            people: People::default(),
            identity: OnceCell::new(),
            looks: Looks::default(),
            last_429: Mutex::new(None),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).field("templates", &self.templates).finish()
    }
}

/// Where people find the workspace.
fn address(text: &str) -> Result<Url> {
    let named = |error: Error| error.with_context("setting", "workspace_url");
    let url = Url::parse(text).map_err(|source| named(invalid("expected a URL").with_source(source)))?;
    require_secure(&url).map_err(named)?;
    Ok(url)
}

/// The channel for admins: whatever a channel destination may name.
fn admin(channel: &str) -> Result<Target> {
    match Goal::parse(&destination::channel(channel)) {
        Ok(Goal::Post(target)) => Ok(target),
        _ => Err(invalid("expected a channel's id or name").with_context("setting", "admin")),
    }
}
