//! What a program changes and asks for without saying for whom: done as [`act`](Connector::act) does it, in the name of `host`.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{
    act::{Act, Acted, HOST, StoredAct},
    acts::named,
};
use crate::{
    Connection, Connector, Error, ErrorKind, IntoConnection, Result, Sink, Source, Timestamp,
    audit::{Outcome, Settlement, Transaction},
    engine::{notices, writes},
    model::{ConnectionId, EntityRef, Seq},
    route::RouteSet,
};

/// Connections and routes.
impl Connector {
    /// Attaches a connection while the connector runs: all of it or nothing. What waited for it goes on.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when the id is taken or malformed, when an account of
    /// the source's endpoint is taken, when another connection uses its [tokens](crate::SourceInfo::tokens) with another affinity,
    /// or when a route that it brings names a connection that is not there.
    pub fn connect(&self, connection: impl IntoConnection) -> Result<()> {
        self.connect_all([connection.into_connection()?])
    }

    /// Attaches several connections, with the routes that they bring, while the connector runs: all of it or nothing. For a
    /// tenant: its books, its approvals, and the routes between them.
    ///
    /// ```
    /// use ml_connector_core::{Connection, Connector, IntoConnection, Source, approval::Approvals, route::Route};
    ///
    /// fn add_tenant(
    ///     connector: &Connector,
    ///     books: impl Source,
    ///     approvals: Approvals,
    ///     routes: Vec<Route>,
    /// ) -> ml_connector_core::Result<()> {
    ///     let books = Connection::new().source(books).routes(routes);
    ///     connector.connect_all([books, approvals.into_connection()?])
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_all(&self, connections: impl IntoIterator<Item = Connection>) -> Result<()> {
        let connections = connections.into_iter().collect();
        let ids = self.attach_now(connections)?;
        self.note_act(Act::Connect { connections: ids });
        Ok(())
    }

    /// Attaches connections in somebody's name, as [`connect_all`](Self::connect_all) does: an [`Act::Connect`] in the log says
    /// who did it.
    ///
    /// # Errors
    /// As [`connect_all`](Self::connect_all) and [`act`](Self::act). When the log cannot say so afterwards, they are attached
    /// all the same.
    pub async fn connect_as(
        &self,
        actor: impl Into<Arc<str>>,
        connections: impl IntoIterator<Item = Connection>,
    ) -> Result<Acted> {
        let actor = named(actor)?;
        let ids = self.attach_now(connections.into_iter().collect())?;
        self.act(actor, Act::Connect { connections: ids }).await
    }

    /// Attaches a source without a sink. See [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn add_source(&self, source: impl Source) -> Result<()> {
        self.connect(Connection::new().source(source))
    }

    /// Attaches a sink without a source. See [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn add_sink(&self, sink: impl Sink) -> Result<()> {
        self.connect(Connection::new().sink(sink))
    }

    /// Detaches a connection: its source and its sink. What waits for it stays in the log and goes on when it is attached
    /// again. Routes still write deliveries for it, until they are replaced with [`set_routes`](Self::set_routes): that
    /// takes out the routes that it brought. Returns whether there was one.
    pub fn remove(&self, connection: &ConnectionId) -> bool {
        let was_there = self.remove_now(connection);
        if was_there {
            self.note_act(Act::Remove { connection: connection.clone() });
        }
        was_there
    }

    /// Replaces the routes of the host at once. Routes that attached connections bring stay. Deliveries that exist keep their destinations and times.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`](crate::ErrorKind::ConfigInvalid) names the route, the field and what is wrong with it; then the old routes stay.
    pub fn set_routes(&self, routes: impl Into<RouteSet>) -> Result<()> {
        let routes = routes.into();
        self.set_routes_now(routes.clone())?;
        self.note_act(Act::SetRoutes { routes });
        Ok(())
    }

    /// Tries a connection again at once, and the lanes that were parked behind it. Call it when credentials were
    /// renewed or a channel was repaired; without the call the engine tries by itself from time to time.
    ///
    /// It is written down before this returns: whichever host works for the connection hears of it within 30 seconds, and
    /// one that starts or takes over tries everything in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the log does not work. This process tries the connection all the same.
    pub async fn resume(&self, connection: &ConnectionId) -> Result<()> {
        self.resume_now(connection).await?;
        self.note_act(Act::Resume { connection: connection.clone() });
        Ok(())
    }
}

/// Feeds and records.
impl Connector {
    /// Reads a feed now, beside its schedule: what it has not told yet. Returns the entry that shows how it went.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the connection has no such feed; [`ErrorKind::Unavailable`] when the log cannot
    /// store the request.
    pub async fn poll_now(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        let (connection, feed) = (connection.clone(), feed.to_owned());
        self.ask_as_host(Act::Poll { connection, feed }).await
    }

    /// Tells of every record of a feed that was created or changed at `since` or later, whether or not it was told
    /// before, as events of [`Origin::Backfill`](crate::model::Origin::Backfill): a route takes them only if it says so,
    /// one per record, or one per page of the feed ([`Route::pages`](crate::route::Route::pages)). Goes on after a restart; live reads go first. [`progress`](Self::progress) tells how far
    /// it is. Returns its entry.
    ///
    /// # Errors
    /// As [`poll_now`](Self::poll_now).
    pub async fn backfill(
        &self,
        connection: &ConnectionId,
        feed: &str,
        since: Option<Timestamp>,
    ) -> Result<Seq> {
        let (connection, feed) = (connection.clone(), feed.to_owned());
        self.ask_as_host(Act::Backfill { connection, feed, since }).await
    }

    /// Confirms that the records which a stopped sweep missed have disappeared. The feed is swept once more, now, and
    /// believed unless it misses many more records than it did then. Each missing record is told as deleted after the
    /// source has confirmed it. [`health`](Self::health) shows what stopped. Returns the sweep's entry.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the connection has no such feed; [`ErrorKind::Conflict`] when no sweep of it was
    /// stopped; [`ErrorKind::Unavailable`] when the log does not work.
    pub async fn confirm_sweep(&self, connection: &ConnectionId, feed: &str) -> Result<Seq> {
        let (connection, feed) = (connection.clone(), feed.to_owned());
        self.ask_as_host(Act::ConfirmSweep { connection, feed }).await
    }

    /// Reads one record now, as if a webhook had come: what has changed since it was read last is told. Returns the
    /// entry that shows how it went.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such source; [`ErrorKind::Unavailable`] when the log cannot store the
    /// request. Whether there is such a record, the entry says.
    pub async fn read_again(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Seq> {
        let (connection, entity) = (connection.clone(), entity.clone());
        self.ask_as_host(Act::Read { connection, entity, tell: false }).await
    }

    /// Reads one record now and tells of it even if nothing has changed, for somebody who corrects what was told: as an
    /// event of [`Origin::Backfill`](crate::model::Origin::Backfill), which a route takes only if it says so. What did change is told as
    /// [`read_again`](Self::read_again) does. Returns the entry that shows how it went.
    ///
    /// # Errors
    /// As [`read_again`](Self::read_again).
    pub async fn tell_again(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Seq> {
        let (connection, entity) = (connection.clone(), entity.clone());
        self.ask_as_host(Act::Read { connection, entity, tell: true }).await
    }

    async fn ask_as_host(&self, act: Act) -> Result<Seq> {
        let acted = self.act(HOST, act).await?;
        acted.entry.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the act has led to no entry"))
    }
}

/// What is done at once, and written down by whoever asks for it.
impl Connector {
    fn attach_now(&self, connections: Vec<Connection>) -> Result<Vec<ConnectionId>> {
        let ids = self.shared.change(|registry| registry.connect(connections))?;
        ids.iter().for_each(|id| self.shared.mailbox.resume(id.clone()));
        Ok(ids)
    }

    pub(super) fn remove_now(&self, connection: &ConnectionId) -> bool {
        self.shared.change(|registry| Ok(registry.remove(connection))).unwrap_or_default()
    }

    pub(super) fn set_routes_now(&self, routes: RouteSet) -> Result<()> {
        self.shared.change(|registry| registry.set_routes(routes))
    }

    pub(super) async fn resume_now(&self, connection: &ConnectionId) -> Result<()> {
        notices::resume(&self.shared, connection).await
    }

    /// Writes down what the host has done to a connector that runs. While a host sets itself up there is nothing to tell.
    fn note_act(&self, act: Act) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.shared.mailbox.is_running() {
            return;
        }
        let (connector, stored) = (self.clone(), StoredAct::new(HOST, act));
        runtime.spawn(async move {
            let noted = async {
                let seq = stored.append(&connector, None).await?;
                let settle = vec![Settlement::new(seq, Outcome::Done { receipt: None })];
                let done = Transaction { settle, ..Transaction::default() };
                writes::append(&connector.shared, done).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, "what the host has done is not in the log");
            }
        });
    }
}
