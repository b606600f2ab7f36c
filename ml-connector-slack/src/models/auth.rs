use ml_connector_core::Timestamp;
use serde::Deserialize;

use super::text;

/// The answer of `auth.test`: who the token is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct AuthTest {
    /// The workspace.
    #[serde(default, deserialize_with = "text")]
    pub team_id: Option<String>,
    /// The bot's user.
    #[serde(default, deserialize_with = "text")]
    pub user_id: Option<String>,
    /// The bot.
    #[serde(default, deserialize_with = "text")]
    pub bot_id: Option<String>,
    /// The app, where Slack tells.
    #[serde(default, deserialize_with = "text")]
    pub app_id: Option<String>,
    /// Where people find the workspace.
    #[serde(default, deserialize_with = "text")]
    pub url: Option<String>,
    /// The scopes that the token has, where the answer's header tells.
    #[serde(skip)]
    pub scopes: Option<Vec<String>>,
    /// Slack's clock when it answered.
    #[serde(skip)]
    pub date: Option<Timestamp>,
}
