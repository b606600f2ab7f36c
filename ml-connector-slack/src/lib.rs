#![doc = include_str!("../docs.md")]

mod auth;
pub mod blocks;
mod builder;
mod client;
mod config;
mod destination;
mod error;
pub mod message;
pub mod models;
pub mod pacing;
mod sink;
mod source;
mod webhook;

use std::{fmt, sync::Mutex};

use ml_connector_core::{SinkInfo, Timestamp, model::ConnectionId, rate::QuotaKey};
use tokio::sync::OnceCell;

pub use self::{
    builder::Builder,
    client::Client,
    config::{BASE_URL, Config, Dedupe, History, Inbound},
    destination::{admin, assignee, channel, clicker, email, message, thread, user},
    models::MessageRef,
    source::{SlackSource, directory::Directory},
};
use self::{
    destination::Target,
    message::Templates,
    models::AuthTest,
    pacing::Pacing,
    sink::{channels::Channels, lookup::Looks, people::People},
};

/// The system's name in errors, spans and [`SinkInfo`].
const SYSTEM: &str = "slack";

/// A Slack workspace as a place to send events to. See the [crate's documentation](crate).
pub struct Slack {
    info: SinkInfo,
    client: Client,
    pacing: Pacing,
    dedupe: Dedupe,
    history: History,
    templates: Templates,
    admin: Option<Target>,
    inbound: Inbound,
    channels: Channels,
    people: People,
    identity: OnceCell<AuthTest>,
    looks: Looks,
    last_429: Mutex<Option<(QuotaKey, Timestamp)>>,
}

impl Slack {
    /// Begins a connection under the host's name for it.
    #[must_use]
    pub fn builder(connection: impl Into<ConnectionId>) -> Builder {
        Builder::from_config(Config { connection: connection.into(), ..Config::default() })
    }

    /// The Web API with this connection's token.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack")
            .field("info", &self.info)
            .field("client", &self.client)
            .field("dedupe", &self.dedupe)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}
