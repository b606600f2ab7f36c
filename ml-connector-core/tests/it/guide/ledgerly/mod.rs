//! Ledgerly for ml-connector: invoices out of it, notes into it.

mod auth;
mod builder;
mod client;
mod config;
mod error;
mod models;
mod sink;
mod source;
mod webhook;

use ml_connector_core::{SinkInfo, SourceInfo, model::ConnectionId};

pub use self::sink::notes;
#[allow(unused_imports)] // hosts name them, the tests do not
pub use self::{builder::Builder, config::Config};
use self::{client::Client, webhook::Webhook};

/// The system's name in errors, spans and quota keys.
const SYSTEM: &str = "ledgerly";

/// One Ledgerly account: a source of invoices, and a sink for notes at them.
#[derive(Debug, Clone)]
pub struct Ledgerly {
    source: SourceInfo,
    sink: SinkInfo,
    client: Client,
    webhook: Webhook,
    account: String,
}

impl Ledgerly {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<ConnectionId>, account: impl Into<String>) -> Builder {
        Builder::from(Config::new(connection, account))
    }
}
