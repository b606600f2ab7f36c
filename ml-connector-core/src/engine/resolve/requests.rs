//! What a host asks to be read: one record.

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Parent, Transaction},
    engine::{entries, writes::append},
    model::{ConnectionId, EntityRef, Origin, Seq, Signal},
};

impl Connector {
    /// Reads one record now, as if a webhook had come: what has changed since it was read last is told. Returns the
    /// entry that shows how it went.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such source; [`ErrorKind::Unavailable`] when the log cannot store the
    /// request. Whether there is such a record, the entry says.
    pub async fn read_again(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Seq> {
        self.ask_for(connection, entity, Origin::Live).await
    }

    /// Reads one record now and tells of it even if nothing has changed, for somebody who corrects what was told: as an
    /// event of [`Origin::Backfill`], which a route takes only if it says so. What did change is told as
    /// [`read_again`](Self::read_again) does. Returns the entry that shows how it went.
    ///
    /// # Errors
    /// As [`read_again`](Self::read_again).
    pub async fn tell_again(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Seq> {
        self.ask_for(connection, entity, Origin::Backfill).await
    }

    async fn ask_for(&self, connection: &ConnectionId, entity: &EntityRef, origin: Origin) -> Result<Seq> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such source").with_context("connection", connection)
        })?;
        let signal = Signal::entity(entity.clone());
        let entry = entries::signal_of(origin, slot, &signal, Parent::None, self.shared.clock.now())?;
        let transaction = Transaction { append: vec![entry], ..Transaction::default() };
        let appended = append(&self.shared, transaction).await?;
        self.shared.mailbox.wake(&[slot.partition]);
        let first = appended.first().map(|appended| appended.seq());
        first.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}
