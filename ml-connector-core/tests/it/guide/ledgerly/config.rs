//! What a host says about its Ledgerly account.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Error, ErrorKind, FeedInfo, Result, Secret, SinkInfo, SourceInfo,
    auth::{Grant, OAuth2, OAuth2Config},
    model::{AccountKey, ConnectionId},
    token::TokenKey,
};
use url::Url;

use super::{Ledgerly, SYSTEM, client::Client, webhook::Webhook};

/// The settings of one account. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's name for the connection, such as `books`.
    pub connection: ConnectionId,
    /// The account's name in Ledgerly.
    pub account: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
    /// What Ledgerly signs webhooks with: several while one is being replaced.
    pub webhook_secrets: Vec<Secret>,
    /// Where the API is: https, or http on a loopback address.
    pub base_url: String,
}

/// Builds a [`Ledgerly`]. Setters cannot fail; [`build`](Self::build) checks everything together.
#[derive(Debug, Clone)]
pub struct Builder(Config);

impl Ledgerly {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<ConnectionId>, account: impl Into<String>) -> Builder {
        Builder(Config {
            connection: connection.into(),
            account: account.into(),
            client_id: String::new(),
            client_secret: Secret::from(""),
            webhook_secrets: Vec::new(),
            base_url: "https://api.ledgerly.example".to_owned(),
        })
    }
}

impl Builder {
    /// The app's id and secret.
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        (self.0.client_id, self.0.client_secret) = (id.into(), secret.into());
        self
    }

    /// What Ledgerly signs webhooks with. Call it twice while the secret is being replaced.
    pub fn webhook_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.0.webhook_secrets.push(secret.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names what is missing or malformed.
    pub fn build(self) -> Result<Ledgerly> {
        let Config { connection, account, client_id, client_secret, webhook_secrets, base_url } = self.0;
        if account.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the account is required"));
        }
        let base = Url::parse(&base_url).map_err(|source| {
            Error::new(ErrorKind::ConfigInvalid, "the base URL is no URL").with_source(source)
        })?;
        let mut token_url = base.clone();
        token_url.set_path("/oauth/token");
        let grant = Grant::ClientCredentials { scopes: vec!["invoices".to_owned()] };
        let auth = OAuth2Config::new(SYSTEM, token_url, client_id, client_secret, grant);
        let auth = OAuth2::new(TokenKey::new(&connection), auth)?;

        let mut source = SourceInfo::new(connection.clone(), SYSTEM);
        source.endpoint = SYSTEM.into(); // one webhook URL for all accounts of an app
        source.accounts = vec![AccountKey::new(format!("account:{account}"))];
        source.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(3600))];
        Ok(Ledgerly {
            source,
            sink: SinkInfo::new(connection, SYSTEM),
            client: Client::new(base, Arc::new(auth), &account)?,
            webhook: Webhook::new(&webhook_secrets)?,
        })
    }
}
