//! How a person connects Exact Online through the browser.

use ml_connector_core::{
    Result, Secret,
    auth::{AuthorizerConfig, Grant},
    config::{below, required, secure_url},
};
use url::Url;

use crate::{ExactOnline, Region, auth};

impl ExactOnline {
    /// How an [`Authorizer`](ml_connector_core::auth::Authorizer) connects people to an app of this region's App Center.
    /// `redirect_uri` is https, and as the app is registered with it. What the app may read is ticked in the App Center, not
    /// asked for.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the app's id or secret is missing.
    pub fn authorizer_config(
        region: Region,
        client_id: &str,
        client_secret: Secret,
        redirect_uri: Url,
    ) -> Result<AuthorizerConfig> {
        required("client_id", client_id)?;
        required("client_secret", client_secret.expose())?;
        let base = secure_url("region", region.origin())?;
        let oauth =
            auth::oauth_config(&base, client_id, client_secret, Grant::RefreshToken { initial: None });
        let mut config = AuthorizerConfig::new(oauth, below(&base, &["api", "oauth2", "auth"]), redirect_uri);
        config.token_key = auth::token_key;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_own_pages_and_no_secret_is_shown() {
        let back: Url = "https://erp.example.com/connected".parse().unwrap();
        for (region, host) in [
            (Region::Nl, "start.exactonline.nl"),
            (Region::Be, "start.exactonline.be"),
            (Region::De, "start.exactonline.de"),
            (Region::Uk, "start.exactonline.co.uk"),
            (Region::Fr, "start.exactonline.fr"),
            (Region::Es, "start.exactonline.es"),
            (Region::Us, "start.exactonline.com"),
        ] {
            let config =
                ExactOnline::authorizer_config(region, "app", Secret::from("planted"), back.clone()).unwrap();
            assert_eq!(config.authorize_url.as_str(), format!("https://{host}/api/oauth2/auth"));
            assert_eq!(config.oauth.token_url.host_str(), Some(host));
            assert!(!format!("{config:?}").contains("planted"));
        }
        assert!(ExactOnline::authorizer_config(Region::Nl, "", Secret::from("s"), back).is_err());
    }
}
