//! What a host asks to be read: one record.

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Parent, Transaction},
    engine::{entries, writes::append},
    model::{ConnectionId, EntityRef, Origin, Partition, Seq, Signal},
};

impl Connector {
    /// Reads one record now: see [`Connector::read_again`] and [`Connector::tell_again`].
    pub(crate) async fn ask_for(
        &self,
        connection: &ConnectionId,
        entity: &EntityRef,
        origin: Origin,
    ) -> Result<Seq> {
        let (transaction, partition) = self.question(connection, entity, origin)?;
        let appended = append(&self.shared, transaction).await?;
        self.shared.mailbox.wake(&[partition]);
        let first = appended.first().map(|appended| appended.seq());
        first.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }

    /// What [`read_again`](Self::read_again) writes, for a host that appends it in a database transaction of its own:
    /// `PostgresLog::append_in`. So a row of the host's and the reading of the record to which it belongs cannot differ. No
    /// act is kept of it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such source.
    pub fn read_request(&self, connection: &ConnectionId, entity: &EntityRef) -> Result<Transaction> {
        Ok(self.question(connection, entity, Origin::Live)?.0)
    }

    fn question(
        &self,
        connection: &ConnectionId,
        entity: &EntityRef,
        origin: Origin,
    ) -> Result<(Transaction, Partition)> {
        let registry = self.shared.registry();
        let slot = registry.source(connection).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such source").with_context("connection", connection)
        })?;
        let signal = Signal::entity(entity.clone());
        let entry = entries::signal_of(origin, slot, &signal, Parent::None, self.shared.clock.now())?;
        Ok((Transaction { append: vec![entry], ..Transaction::default() }, slot.partition))
    }
}
