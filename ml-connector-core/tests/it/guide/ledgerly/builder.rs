//! From settings to a connection.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    FeedInfo, Result, Secret, SinkInfo, SourceInfo,
    config::{required, secure_url},
};

use super::{
    Ledgerly, SYSTEM, auth,
    client::Client,
    config::Config,
    models,
    webhook::{Webhook, account_key},
};

/// Builds a [`Ledgerly`]. Setters cannot fail; [`build`](Self::build) checks everything together.
#[derive(Debug, Clone)]
pub struct Builder(Config);

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self(config)
    }
}

impl Builder {
    /// The app's id and secret.
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        (self.0.client_id, self.0.client_secret) = (id.into(), secret.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names what is missing or malformed.
    pub fn build(self) -> Result<Ledgerly> {
        let Config { connection, account, client_id, client_secret, base_url } = self.0;
        required("account", &account)?;
        let base = secure_url("base_url", &base_url)?;
        let auth = auth::oauth(&connection, &base, client_id, client_secret)?;

        let mut source = SourceInfo::new(connection.clone(), SYSTEM);
        source.endpoint = SYSTEM.into(); // one webhook URL for all accounts of an app
        source.accounts = vec![account_key(&account)];
        source.feeds = vec![FeedInfo::new("invoices", Duration::from_secs(3600))];
        source.columns = vec![Arc::new(models::columns())];
        Ok(Ledgerly {
            source,
            sink: SinkInfo::new(connection, SYSTEM),
            client: Client::new(base, Arc::new(auth), &account)?,
            webhook: Webhook::new(account_key(&account)),
            account,
        })
    }
}
