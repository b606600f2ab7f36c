#![doc = include_str!("../docs.md")]

mod auth;
mod builder;
mod client;
mod config;
mod error;
mod models;
mod source;
mod webhook;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use ml_connector_core::{Remembered, SourceInfo};

pub use self::{
    builder::Builder,
    config::{Config, Invoices, Region},
    models::{Caution, Division},
};
use self::{client::ExactClient, models::Resource, source::Narrowed, webhook::Webhook};

/// The system's name in errors, spans and [`SourceInfo`].
const SYSTEM: &str = "exact_online";

/// One Exact Online company.
///
/// ```
/// use ml_connector_core::Source;
/// use ml_connector_exact::{ExactOnline, Region};
///
/// let books = ExactOnline::builder("books")
///     .region(Region::Nl)
///     .division(3_141_593)
///     .client("5e0c2f7a-91b4-4d3e-8f60-a2c7d1b94e38", "app secret")
///     .webhook_secret("webhook secret")
///     .refresh_token("stampNL001.gAAA")
///     .build()?;
/// assert_eq!(books.info().accounts[0].as_str(), "division:start.exactonline.nl/3141593");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ExactOnline {
    source: SourceInfo,
    client: ExactClient,
    /// The calls where the connection was before, while its webhooks are to be ended there.
    former: Option<ExactClient>,
    webhook: Webhook,
    resources: Arc<[&'static Resource]>,
    /// The company as Exact Online describes it.
    division: Arc<Remembered<Option<Division>>>,
    /// Why a resource is refused, which is asked once a day.
    rights: Arc<Remembered<Option<bool>>>,
    /// Which resources may not be read, as far as records that are not shown are concerned.
    withheld: Arc<Remembered<Option<bool>>>,
    /// Those of which Exact Online said so last.
    refused: Arc<Mutex<BTreeSet<&'static str>>>,
    narrowed: Arc<Narrowed>,
    practice: bool,
    /// Whether the company has made-up books, as Exact Online said last: its records say so.
    is_made_up: Arc<AtomicBool>,
    attachments: bool,
}

impl ExactOnline {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<String>) -> Builder {
        Builder::from(Config::new(connection))
    }
}
