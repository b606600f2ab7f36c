//! How a person installs the app through the browser.

use ml_connector_core::{
    Result, Secret,
    auth::{AuthorizerConfig, Grant},
    config::below,
};
use url::Url;

use super::oauth_config;
use crate::{Slack, config::base_url};

/// What the sink needs, with look-ups and direct messages, and the source to say who somebody is.
const SCOPES: [&str; 9] = [
    "chat:write",
    "channels:read",
    "groups:read",
    "channels:history",
    "groups:history",
    "im:history",
    "im:write",
    "users:read",
    "users:read.email",
];

impl Slack {
    /// How an [`Authorizer`](ml_connector_core::auth::Authorizer) connects workspaces that install the app. Add what
    /// the host's own use needs to `scopes`; people may decline what the app declares optional, and
    /// [`Connected::missing_scopes`](ml_connector_core::auth::Connected::missing_scopes) says what they did.
    ///
    /// [`Connected::field`](ml_connector_core::auth::Connected::field) tells `team.id` (null for a whole
    /// organization), `enterprise.id`, `is_enterprise_install`, `app_id`, `bot_user_id` and `authed_user.id`, who
    /// installed it. The person's own token is not kept.
    ///
    /// `base` is [`BASE_URL`](crate::BASE_URL), unless the workspace is another Slack's.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the client's id or secret is
    /// missing, or `base` is no URL.
    pub fn authorizer_config(
        client_id: &str,
        client_secret: Secret,
        redirect_uri: Url,
        base: &str,
    ) -> Result<AuthorizerConfig> {
        let base = base_url(base)?;
        let oauth = oauth_config(&base, client_id, client_secret, Grant::RefreshToken { initial: None })?;
        let page = below(&base, &["oauth", "v2", "authorize"]);
        let mut config = AuthorizerConfig::new(oauth, page, redirect_uri);
        config.scopes = SCOPES.map(String::from).into();
        config.scope_separator = ",";
        config.pkce = false; // `pkce_not_allowed`, unless the app has opted in
        config.fields =
            &["team.id", "enterprise.id", "is_enterprise_install", "app_id", "bot_user_id", "authed_user.id"];
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_in_the_documentation_has_what_a_consent_asks_for() {
        let (_, scopes) = include_str!("../../docs.md").split_once("bot: [").unwrap();
        let (scopes, _) = scopes.split_once(']').unwrap();
        assert_eq!(scopes.split(',').map(str::trim).collect::<Vec<_>>(), SCOPES);
    }
}
