//! What a host says about its Slack connection.

use std::time::Duration;

use ml_connector_core::{
    Error, ErrorKind, OnUnknown, Result, Secret,
    config::millis,
    model::{ConnectionId, EndpointId},
};
use serde::{Deserialize, Deserializer, de};
use url::Url;

use crate::pacing;

/// The public Web API. GovSlack is `https://slack-gov.com`.
pub const BASE_URL: &str = "https://slack.com";
/// How many pages a look-up reads before it gives up: a thousand messages since the attempt.
const HISTORY_PAGES: u32 = 10;
/// The vendor recommends 100 to 200 per page.
const HISTORY_LIMIT: u32 = 100;
/// Slack promises no read-after-write: a look-up looks until so long after the first look.
const HISTORY_SETTLE: Duration = Duration::from_secs(30);
/// The same where a minute has to pass between two looks: then they cost one call each.
const RESTRICTED_HISTORY_SETTLE: Duration = Duration::from_secs(61);
/// A message's `ts` is Slack's clock, the attempt's start is ours: a clock may be wrong by five minutes.
const HISTORY_MARGIN: Duration = Duration::from_secs(6 * 60);

/// The settings of a Slack connection, also as serde data. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection.
    pub connection: ConnectionId,
    /// The bot token of an app that does not rotate its tokens. Its prefix is not looked at: it depends on the app's
    /// settings.
    pub token: Secret,
    /// Instead of `token`: the app's client id. The token is then in the connector's token store, where a consent
    /// puts it (see [`Slack::authorizer_config`](crate::Slack::authorizer_config)), and is renewed if the app rotates its tokens.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: Secret,
    /// What a consent led to, if the token store does not hold it already.
    pub refresh_token: Option<Secret>,
    /// Where the API is: https, or http on a loopback address.
    pub base_url: String,
    /// The workspace's own address, such as `https://ledgerworks.slack.com`, for links to messages. Without it there are links
    /// as soon as Slack has been asked who the token is, as [`Connector::check`](ml_connector_core::Connector::check) does.
    pub workspace_url: Option<String>,
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
            token: Secret::default(),
            client_id: String::new(),
            client_secret: Secret::default(),
            refresh_token: None,
            base_url: BASE_URL.to_owned(),
            workspace_url: None,
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

/// What is needed to hear of clicks and reactions: for [`Slack::source`](crate::Slack::source).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Inbound {
    /// The app's signing secret; while it is replaced, the old and the new one.
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
    /// How far apart the first and the last of the looks are that have to find nothing, in milliseconds.
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

fn on_unknown<'de, D: Deserializer<'de>>(from: D) -> Result<OnUnknown, D::Error> {
    match &*String::deserialize(from)? {
        "park" => Ok(OnUnknown::Park),
        "repeat" => Ok(OnUnknown::Repeat),
        other => Err(de::Error::unknown_variant(other, &["park", "repeat"])),
    }
}
