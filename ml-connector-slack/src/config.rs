//! What a host says about its Slack connection.

use std::{fmt, sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, OnUnknown, Result, Secret,
    model::{ConnectionId, EndpointId},
};
use serde::{Deserialize, Deserializer, de};
use url::Url;

use crate::{
    message::{DigestTemplate, Template, Templates},
    pacing,
    sink::Slack,
};

/// The public Web API. GovSlack is `https://slack-gov.com`.
pub const BASE_URL: &str = "https://slack.com";
/// How many pages a look-up reads before it gives up: a thousand messages since the attempt.
const HISTORY_PAGES: u32 = 10;
/// The vendor recommends 100 to 200 per page.
const HISTORY_LIMIT: u32 = 100;
/// Slack promises no read-after-write: a look-up looks twice, this far apart.
const HISTORY_SETTLE: Duration = Duration::from_secs(5);
/// The same where a minute has to pass between two looks: then they cost one call each.
const RESTRICTED_HISTORY_SETTLE: Duration = Duration::from_secs(61);
/// A message's `ts` is Slack's clock, the attempt's start is ours.
const HISTORY_MARGIN: Duration = Duration::from_secs(60);

/// The settings of a Slack connection, also as serde data. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection.
    pub connection: ConnectionId,
    /// The bot token of an app that does not rotate its tokens. Its prefix is not looked at: it depends on the app's
    /// settings.
    #[serde(deserialize_with = "secret")]
    pub token: Secret,
    /// Instead of `token`: the app's client id. The token is then in the connector's token store, where a consent
    /// puts it (see [`Slack::authorizer_config`]), and is renewed if the app rotates its tokens.
    pub client_id: String,
    /// The app's client secret.
    #[serde(deserialize_with = "secret")]
    pub client_secret: Secret,
    /// What a consent led to, if the token store does not hold it already.
    #[serde(deserialize_with = "optional_secret")]
    pub refresh_token: Option<Secret>,
    /// Where the API is: https, or http on a loopback address.
    pub base_url: String,
    /// What quotas are counted by, such as `T07LEDGER1`: give connections to one workspace through one app the same
    /// text. Without it, the connection's own id.
    pub workspace: Option<String>,
    /// The least time between two posts in a channel, in milliseconds.
    pub post_interval_ms: u64,
    /// The most posts a minute in the workspace, spread evenly by the second.
    pub posts_per_minute: u32,
    /// What happens when a look-up cannot tell whether a message was posted: `park` (at most once) or `repeat` (at
    /// least once).
    #[serde(deserialize_with = "on_unknown")]
    pub on_unknown: OnUnknown,
    /// What messages carry to be recognized by.
    pub dedupe: Dedupe,
    /// How look-ups read a channel's history.
    pub history: History,
    /// The channel that [`admin()`](crate::admin) leads to, by id or name.
    pub admin: Option<String>,
    /// What is needed to hear of clicks and reactions.
    pub inbound: Inbound,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection: ConnectionId::from("slack"),
            token: Secret::from(""),
            client_id: String::new(),
            client_secret: Secret::from(""),
            refresh_token: None,
            base_url: BASE_URL.to_owned(),
            workspace: None,
            post_interval_ms: millis(pacing::POST_INTERVAL),
            posts_per_minute: pacing::POSTS_PER_MINUTE,
            on_unknown: OnUnknown::Park,
            dedupe: Dedupe::Both,
            history: History::default(),
            admin: None,
            inbound: Inbound::default(),
        }
    }
}

impl Config {
    pub(crate) fn quota_key(&self) -> &str {
        self.workspace.as_deref().unwrap_or(self.connection.as_str())
    }

    pub(crate) fn post_interval(&self) -> Duration {
        Duration::from_millis(self.post_interval_ms)
    }
}

/// What messages carry so that a repetition can be recognized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// The delivery's id in the message's metadata, for look-ups.
    Metadata,
    /// The delivery's id as `client_msg_id`. Slack does not document this key, and look-ups are not possible.
    ClientMsgId,
    /// Both.
    #[default]
    Both,
    /// Neither: every unknown outcome is decided by [`Config::on_unknown`].
    Off,
}

impl Dedupe {
    pub(crate) fn metadata(self) -> bool {
        matches!(self, Self::Metadata | Self::Both)
    }

    pub(crate) fn client_msg_id(self) -> bool {
        matches!(self, Self::ClientMsgId | Self::Both)
    }
}

/// What is needed to hear of clicks and reactions: for [`Slack::source`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Inbound {
    /// The app's signing secret; while it is replaced, the old and the new one.
    #[serde(deserialize_with = "secrets")]
    pub signing_secrets: Vec<Secret>,
    /// The workspace's id (`T07LEDGER1`), or the organization's (`E…`) that has the app as a whole.
    pub team: Option<String>,
    /// The app's id (`A07MLCONN1`): requests for another one are refused.
    pub app: Option<String>,
    /// The first path segment of the request URL, where several workspaces share an app: one endpoint serves all.
    /// Default: the connection's id.
    pub endpoint: Option<EndpointId>,
}

/// How look-ups read a channel's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct History {
    /// Messages per page.
    pub limit: u32,
    /// Calls per minute.
    pub per_minute: u32,
    /// How many pages are read before the answer is "cannot tell".
    pub max_pages: u32,
    /// How far apart the two looks are that have to find nothing, in milliseconds.
    pub settle_ms: u64,
    /// How far before the first attempt the look begins, in milliseconds.
    pub margin_ms: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            limit: HISTORY_LIMIT,
            per_minute: pacing::TIER_3_PER_MINUTE,
            max_pages: HISTORY_PAGES,
            settle_ms: millis(HISTORY_SETTLE),
            margin_ms: millis(HISTORY_MARGIN),
        }
    }
}

impl History {
    /// For apps that are sold but not listed in Slack's marketplace: one call a minute, 15 messages each. One page
    /// only, because a second would wait longer than a call may take; and more than a minute between two looks.
    #[must_use]
    pub fn restricted() -> Self {
        Self {
            limit: pacing::RESTRICTED_HISTORY_LIMIT,
            per_minute: pacing::RESTRICTED_HISTORY_PER_MINUTE,
            max_pages: 1,
            settle_ms: millis(RESTRICTED_HISTORY_SETTLE),
            ..Self::default()
        }
    }

    pub(crate) fn settle(self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    pub(crate) fn margin(self) -> Duration {
        Duration::from_millis(self.margin_ms)
    }
}

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

    /// Where the API is, if not at [`BASE_URL`].
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.config.base_url = url.into();
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
    ///     let number = event.record.as_ref().and_then(|record| record.number.as_deref());
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

    /// The app's id, to be checked; see [`Inbound::app`].
    #[must_use]
    pub fn app(mut self, id: impl Into<String>) -> Self {
        self.config.inbound.app = Some(id.into());
        self
    }

    /// The endpoint that the app's workspaces share; see [`Inbound::endpoint`].
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<EndpointId>) -> Self {
        self.config.inbound.endpoint = Some(endpoint.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names what is missing or out of range.
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
        Slack::new(&self.config, self.templates)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).field("templates", &self.templates).finish()
    }
}

/// Where a Slack is.
pub(crate) fn base_url(text: &str) -> Result<Url> {
    let base = Url::parse(text).map_err(|source| {
        Error::new(ErrorKind::ConfigInvalid, "the base URL is no URL").with_source(source)
    })?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "the base URL holds credentials: remove them"));
    }
    Ok(base)
}

fn require(holds: bool, setting: &'static str, expected: &'static str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ConfigInvalid, format!("expected {expected}")).with_context("setting", setting))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::from)
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into_iter().map(Secret::from).collect())
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::from))
}

fn on_unknown<'de, D: Deserializer<'de>>(from: D) -> Result<OnUnknown, D::Error> {
    match &*String::deserialize(from)? {
        "park" => Ok(OnUnknown::Park),
        "repeat" => Ok(OnUnknown::Repeat),
        other => Err(de::Error::unknown_variant(other, &["park", "repeat"])),
    }
}
