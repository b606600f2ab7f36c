//! Connections: what is attached to a connector in one piece.

use std::sync::Arc;

use crate::{Error, ErrorKind, Result, Sink, Source, model::ConnectionId, route::Route};

/// A source, a sink or both, under one [`ConnectionId`], attached and removed together.
///
/// System crates and [`Approvals`](crate::approval::Approvals) become one through [`IntoConnection`]. A host with a
/// source or a sink of its own puts one together:
///
/// ```
/// use ml_connector_core::{Connection, Connector, Sink, Source};
///
/// fn attach(connector: &Connector, books: impl Source, board: impl Sink) -> Result<(), ml_connector_core::Error> {
///     connector.connect(Connection::new().source(books))?;
///     connector.connect(Connection::new().sink(board))
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a connection does nothing until it is connected"]
pub struct Connection {
    pub(crate) source: Option<Arc<dyn Source>>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
    pub(crate) routes: Vec<Route>,
}

impl Connection {
    /// A connection without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where its changes come from.
    pub fn source(self, source: impl Source) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// What deliveries go to.
    pub fn sink(self, sink: impl Sink) -> Self {
        Self { sink: Some(Arc::new(sink)), ..self }
    }

    /// Routes that the connection needs. They are added to the routes of the host and stay when the host replaces its
    /// own.
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// The id of its halves.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when there is no half, or when the halves have different ids.
    pub(crate) fn id(&self) -> Result<ConnectionId> {
        let invalid = |message| Error::new(ErrorKind::ConfigInvalid, message);
        let source = self.source.as_ref().map(|source| source.info().connection.clone());
        let sink = self.sink.as_ref().map(|sink| sink.info().connection.clone());
        match (source, sink) {
            (Some(source), Some(sink)) if source != sink => {
                Err(invalid("the source and the sink of a connection have different ids")
                    .with_context("source", source)
                    .with_context("sink", sink))
            }
            (Some(id), _) | (_, Some(id)) => Ok(id),
            (None, None) => Err(invalid("a connection needs a source or a sink")),
        }
    }
}

/// What can be attached to a connector with `connect`.
pub trait IntoConnection {
    /// The connection that is attached.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the setting that is missing or wrong.
    fn into_connection(self) -> Result<Connection>;
}

impl IntoConnection for Connection {
    fn into_connection(self) -> Result<Connection> {
        Ok(self)
    }
}
