//! How a person connects an organization through the browser.

use ml_connector_core::{
    Error, ErrorKind, Result, Secret,
    auth::{AuthorizerConfig, Callback, Connected, Grant},
};
use url::Url;

use crate::{
    DataCenter, ZohoBooks, auth,
    config::{below, missing},
};

/// What the source reads with, the least that it needs.
const SCOPES: [&str; 5] = [
    "ZohoBooks.invoices.READ",
    "ZohoBooks.bills.READ",
    "ZohoBooks.customerpayments.READ",
    "ZohoBooks.vendorpayments.READ",
    "ZohoBooks.settings.READ",
];

impl ZohoBooks {
    /// How an [`Authorizer`](ml_connector_core::auth::Authorizer) connects organizations with a *server-based
    /// application* of Zoho's API console. `begins_at` is the data center of the console; from there Zoho leads every
    /// person to their own, and [`DataCenter::of_connected`] tells which that was.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the client's id or secret is missing.
    pub fn authorizer_config(
        client_id: &str,
        client_secret: Secret,
        redirect_uri: Url,
        begins_at: DataCenter,
    ) -> Result<AuthorizerConfig> {
        if client_id.is_empty() {
            return Err(missing("client_id"));
        }
        if client_secret.is_empty() {
            return Err(missing("client_secret"));
        }
        let accounts = accounts_url(begins_at)?;
        let oauth =
            auth::oauth_config(&accounts, client_id, client_secret, Grant::RefreshToken { initial: None });
        let page = below(&accounts, &["oauth", "v2", "auth"]);
        let mut config = AuthorizerConfig::new(oauth, page, redirect_uri);
        config.scopes = SCOPES.map(String::from).into();
        config.scope_separator = ",";
        // Without the first there is no refresh token at all, without the second only at the first consent.
        config.parameters = vec![("access_type", "offline".into()), ("prompt", "consent".into())];
        config.pkce = false; // Zoho documents none
        config.token_url = token_url;
        config.fields = &["api_domain", "scope"];
        Ok(config)
    }
}

impl DataCenter {
    /// Where an organization lives that was connected with [`ZohoBooks::authorizer_config`].
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the tokens came from none of Zoho's servers, or `api_domain` names another
    /// data center than the one they came from.
    pub fn of_connected(connected: &Connected) -> Result<Self> {
        let home = Self::of_accounts_server(&connected.token_url.origin().ascii_serialization())?;
        match connected.field("api_domain").and_then(|domain| domain.as_str()) {
            Some(domain) if Self::of_api_domain(domain)? != home => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the API domain is of another data center than the accounts server",
            )
            .with_context("location", home.location())),
            _ => Ok(home),
        }
    }
}

/// Codes are exchanged where the person lives: `accounts-server`, or `location` where that is missing.
fn token_url(callback: &Callback) -> Result<Option<Url>> {
    let home = match (callback.parameter("accounts-server"), callback.parameter("location")) {
        (Some(server), _) => DataCenter::of_accounts_server(server)?,
        (None, Some(location)) => DataCenter::of_location(location).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the location is none of Zoho's data centers")
        })?,
        (None, None) => return Ok(None),
    };
    accounts_url(home).map(|accounts| Some(auth::token_url(&accounts)))
}

fn accounts_url(center: DataCenter) -> Result<Url> {
    Url::parse(center.accounts_url()).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the data center's accounts host is no URL").with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AuthorizerConfig {
        let back = "https://erp.example.com/connected".parse().unwrap();
        ZohoBooks::authorizer_config("1000.APP", Secret::from("planted"), back, DataCenter::In).unwrap()
    }

    #[test]
    fn the_page_and_the_tokens_are_of_the_data_center_of_the_console() {
        let config = config();
        assert_eq!(config.authorize_url.as_str(), "https://accounts.zoho.in/oauth/v2/auth");
        assert_eq!(config.oauth.token_url.as_str(), "https://accounts.zoho.in/oauth/v2/token");
        assert!(!format!("{config:?}").contains("planted"));
    }

    #[test]
    fn an_app_without_an_id_or_a_secret_is_refused() {
        let back: Url = "https://erp.example.com/connected".parse().unwrap();
        for (id, secret) in [("", "s"), ("1000.APP", "")] {
            let config = ZohoBooks::authorizer_config(id, Secret::from(secret), back.clone(), DataCenter::Us);
            assert_eq!(config.unwrap_err().kind(), ErrorKind::ConfigInvalid);
        }
    }
}
