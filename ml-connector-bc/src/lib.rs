#![doc = include_str!("../docs.md")]

mod auth;
mod builder;
mod client;
mod config;
mod error;
mod models;
mod sink;
mod source;
mod webhook;

use std::{sync::Arc, time::Duration};

use ml_connector_core::{SinkInfo, SourceInfo};

pub use self::{
    builder::Builder,
    config::Config,
    models::{Company, Environment},
    sink::command::post,
};
use self::{
    client::ApiClient,
    models::{Set, Site},
    source::{quiet::Quiet, responsible::Responsible},
    webhook::{Webhook, place::Place},
};

/// The system's name in errors, spans and [`SourceInfo`].
const SYSTEM: &str = "business_central";

/// One company of a Business Central environment.
///
/// ```
/// use ml_connector_bc::BusinessCentral;
/// use ml_connector_core::Source;
///
/// let erp = BusinessCentral::builder("erp")
///     .tenant("7c1f0a52-4d8e-4b6a-9a35-2f6d1e8b0c43")
///     .environment("Production")
///     .company("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", "HARBOR SUPPLY")
///     .client("6e2d9b70-91c8-ef11-8a77-6045bd2f5510", "client secret")
///     .webhook_secret("a secret of the host, never told to anybody")
///     .build()?;
/// assert_eq!(erp.info().feeds[0].name, "purchaseInvoices");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BusinessCentral {
    source: SourceInfo,
    sink: SinkInfo,
    /// Makes all reads.
    client: ApiClient,
    /// Posts, and does nothing else. The same application unless another was given.
    poster: ApiClient,
    has_poster: bool,
    sets: Arc<[Set]>,
    /// `None` when the connection only polls, and has no secret.
    webhook: Option<Webhook>,
    place: Place,
    site: Site,
    /// Whether drafts that wait for an approval inside Business Central are told apart by its approval entries.
    approval_entries: bool,
    /// Whether the files beside a draft are named.
    attachments: bool,
    /// After which time a posting whose answer was lost has ended.
    posting_ends_after: Duration,
    responsible: Arc<Responsible>,
    quiet: Arc<Quiet>,
}

impl BusinessCentral {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<String>) -> Builder {
        Builder::from(Config::new(connection))
    }
}
