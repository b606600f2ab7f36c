#![doc = include_str!("../docs.md")]

mod auth;
mod builder;
mod client;
mod config;
mod error;
mod models;
mod source;
mod webhook;

use std::sync::Arc;

use ml_connector_core::{Remembered, ZonedInfo};
use tokio::sync::OnceCell;

pub use self::{
    builder::Builder,
    config::Config,
    models::{Business, Identity},
};
use self::{client::FreshBooksClient, webhook::Webhook};

/// The system's name in errors, spans and [`ZonedInfo`].
const SYSTEM: &str = "freshbooks";

/// One FreshBooks business.
///
/// ```
/// use ml_connector_core::Source;
/// use ml_connector_freshbooks::FreshBooks;
///
/// let books = FreshBooks::builder("books")
///     .account_id("Zq84Xk")
///     .client("app id", "app secret")
///     .redirect_uri("https://erp.example.com/connected")
///     .refresh_token("9f2c41d07be86a35")
///     .time_zone("America/Toronto")
///     .build()?;
/// assert_eq!(books.info().accounts[0].as_str(), "account:Zq84Xk");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FreshBooks {
    source: ZonedInfo,
    client: FreshBooksClient,
    webhook: Webhook,
    /// The names of bill vendors.
    vendors: Arc<Remembered<Option<String>>>,
    /// Whether what was paid of bills is told.
    tells_bill_payments: bool,
    business_id: Option<String>,
    business_uuid: Option<String>,
    /// How far lists were read for records that are not found.
    searches: Arc<source::absent::Searches>,
    /// Set once the account is known to be one of the connected person's.
    verified: Arc<OnceCell<()>>,
}

impl FreshBooks {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<String>) -> Builder {
        Builder::from(Config::new(connection))
    }
}
