#![doc = include_str!("../docs.md")]

mod auth;
mod builder;
mod client;
mod config;
mod data_center;
mod error;
mod models;
mod sink;
mod source;
mod webhook;

use std::sync::{Arc, atomic::AtomicBool};

use ml_connector_core::{SinkInfo, ZonedInfo};

pub use self::{
    builder::Builder,
    config::{Config, Plan, WebhookParameters},
    data_center::DataCenter,
    models::{Organization, User},
    sink::command::{acknowledge, acknowledge_in, approve, submit, withdraw, withdraw_from},
};
use self::{
    client::BooksClient,
    models::Site,
    webhook::{Webhook, subscriptions::ManagedWebhooks},
};

/// The system's name in errors, spans and [`SourceInfo`].
const SYSTEM: &str = "zoho_books";

/// One Zoho Books organization.
///
/// ```
/// use ml_connector_core::Source;
/// use ml_connector_zoho::{DataCenter, ZohoBooks};
///
/// let books = ZohoBooks::builder("books")
///     .organization_id("778812345")
///     .data_center(DataCenter::Us)
///     .client("1000.ABC", "client secret")
///     .refresh_token("1000.refresh.token")
///     .webhook_secret("mlcZohoSecret2026")
///     .time_zone("America/New_York")
///     .build()?;
/// assert_eq!(books.info().accounts[0].as_str(), "org:778812345");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ZohoBooks {
    source: ZonedInfo,
    sink: SinkInfo,
    client: BooksClient,
    /// `None` when the connection only polls, and has no secret.
    webhook: Option<Webhook>,
    /// `None` when webhooks are set up by hand.
    managed: Option<ManagedWebhooks>,
    site: Site,
    /// Whether feeds are read less often where a day has few calls.
    stretches: bool,
    /// Whether the organization is known to be one of the connected person's, or just looked for.
    verified: Arc<AtomicBool>,
}

impl ZohoBooks {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<String>) -> Builder {
        Builder::from(Config::new(connection))
    }
}
