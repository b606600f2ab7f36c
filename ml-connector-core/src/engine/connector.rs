//! The connector as hosts hold it.

use std::{fmt, sync::Arc};

use futures_util::stream::BoxStream;
use url::Url;

use super::{shared::Shared, stats::Stats, trouble::Trouble};
use crate::{
    Context, Result,
    audit::{Backlog, Entry, Query},
    model::ConnectionId,
};

/// The connector: connections, routes and a log, embedded in a host. Cheap to clone; all clones are one connector.
///
/// Any number of hosts may share one log. Every host takes webhooks; [`run`](Self::run) does the work of the
/// partitions that the host holds.
#[derive(Clone)]
pub struct Connector {
    pub(crate) shared: Arc<Shared>,
}

impl Connector {
    /// Says that all connections of the host are attached. From now on a webhook that no connection knows is refused.
    /// See [`ConnectorBuilder::loads_connections`](super::ConnectorBuilder::loads_connections).
    pub fn loaded(&self) {
        _ = self.shared.change(|registry| {
            registry.set_loading(false);
            Ok(())
        });
    }

    /// The context that sources and sinks are called with, for work that the host does for them, such as an
    /// [`Authorizer`](crate::auth::Authorizer).
    #[must_use]
    pub fn context(&self) -> Context {
        self.shared.context.clone()
    }

    /// Where the vendor has to send a connection's webhooks; `None` without a public URL or such a source.
    #[must_use]
    pub fn webhook_url(&self, connection: &ConnectionId) -> Option<Url> {
        let registry = self.shared.registry();
        self.shared.url_of(&registry.source(connection)?.source.info().endpoint)
    }

    /// What was counted since this connector was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats.read()
    }

    /// Troubles that a person has to know about, from now on. The stream needs no sink and no log, because these may
    /// be what is broken. It does not end while the connector lives. A listener that is 256 troubles behind misses the
    /// oldest. Each is also logged as a `tracing` error.
    ///
    /// ```no_run
    /// # async fn page_somebody(_: ml_connector_core::engine::Trouble) {}
    /// # async fn listen(connector: ml_connector_core::Connector) {
    /// use futures_util::StreamExt;
    ///
    /// let mut troubles = connector.troubles();
    /// while let Some(trouble) = troubles.next().await {
    ///     page_somebody(trouble).await;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn troubles(&self) -> BoxStream<'static, Trouble> {
        self.shared.troubles.listen()
    }

    /// Searches the log.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read.
    pub async fn search(&self, query: &Query) -> Result<Vec<Entry>> {
        self.shared.log.query(query).await
    }

    /// How many entries of the log match, `cap` at most.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub async fn count(&self, query: &Query, cap: usize) -> Result<usize> {
        self.shared.log.count(query, cap).await
    }

    /// What is on the work list of all hosts, by connection and kind: how much, since when, and what is parked.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub async fn backlog(&self) -> Result<Vec<Backlog>> {
        self.shared.log.backlog(self.shared.clock.now()).await
    }

    /// The largest webhook that is taken, in bytes.
    #[must_use]
    pub fn max_webhook_bytes(&self) -> usize {
        self.shared.settings.max_webhook_bytes
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("registry", &self.shared.registry()).finish_non_exhaustive()
    }
}
