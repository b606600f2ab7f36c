//! How a person connects an organization through the browser.

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, Secret,
    auth::{AuthorizerConfig, Callback, Connected, Grant},
    config::{below, required},
    model::ConnectionId,
    token::{Swap, TokenKey},
};
use url::Url;

use crate::{DataCenter, ZohoBooks, auth};

/// "OAuth" of Zoho's API introduction: refresh tokens of one person and app; one more silently ends the oldest.
const REFRESH_TOKENS: u32 = 20;
/// How often the count is written again because another process wrote it meanwhile.
const COUNT_TRIES: u32 = 5;

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
        required("client_id", client_id)?;
        required("client_secret", client_secret.expose())?;
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

    /// Counts a consent that is finished, and warns in the log when the next one makes the 20th refresh token: Zoho
    /// keeps 20 per person and app, and one more silently ends the oldest connection. Whose consent it was is not
    /// known, so all of an app and data center are counted: no person has more than that. Returns the count.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the token store cannot be read or written.
    pub async fn count_consent(ctx: &Context, client_id: &str, connected: &Connected) -> Result<u32> {
        let host = connected.token_url.host_str().unwrap_or_default();
        // No connection can be named so.
        let key = TokenKey::new(&ConnectionId::from(format!("zoho_books#consents/{host}/{client_id}")));
        let mut stored = ctx.tokens().load(&key).await?;
        for _ in 0..COUNT_TRIES {
            let text = stored.as_ref().map(|stored| String::from_utf8_lossy(&stored.bytes).into_owned());
            let count = text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).saturating_add(1);
            let version = stored.as_ref().map(|stored| stored.version);
            match ctx.tokens().swap(&key, version, Some(Bytes::from(count.to_string()))).await? {
                Swap::Stored { .. } => {
                    if count + 1 >= REFRESH_TOKENS {
                        tracing::warn!(
                            count,
                            "Zoho keeps 20 refresh tokens per person and app: the next consents of one person end \
                             the first connections; use one connection's token for all of their organizations"
                        );
                    }
                    return Ok(count);
                }
                Swap::Conflict(other) => stored = other,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the count of consents kept changing")
            .with_retry(Retry::Backoff))
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
