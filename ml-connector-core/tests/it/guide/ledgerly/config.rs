//! What a host says about its Ledgerly account.

use ml_connector_core::{Secret, model::ConnectionId};
use serde::Deserialize;

/// The settings of one account. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host's name for the connection, such as `books`.
    pub connection: ConnectionId,
    /// The account's name in Ledgerly.
    pub account: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    #[serde(default)]
    pub client_secret: Secret,
    /// Where the API is: https, or http on a loopback address.
    #[serde(default = "base_url")]
    pub base_url: String,
}

impl Config {
    /// Settings of which nothing but these two is set.
    pub fn new(connection: impl Into<ConnectionId>, account: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            account: account.into(),
            client_id: String::new(),
            client_secret: Secret::default(),
            base_url: base_url(),
        }
    }
}

fn base_url() -> String {
    "https://api.ledgerly.example".to_owned()
}
