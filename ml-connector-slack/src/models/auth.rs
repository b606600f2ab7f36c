use ml_connector_core::Timestamp;
use serde::Deserialize;

/// The answer of `auth.test`: who the token is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct AuthTest {
    /// The workspace.
    #[serde(default)]
    pub team_id: Option<String>,
    /// The bot's user.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The bot.
    #[serde(default)]
    pub bot_id: Option<String>,
    /// The app, where Slack tells.
    #[serde(default)]
    pub app_id: Option<String>,
    /// The scopes that the token has, where the answer's header tells.
    #[serde(skip)]
    pub scopes: Option<Vec<String>>,
    /// Slack's clock when it answered.
    #[serde(skip)]
    pub date: Option<Timestamp>,
}
