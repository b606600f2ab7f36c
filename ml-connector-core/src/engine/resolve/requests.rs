//! What a host asks to be read: one record.

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Parent, Transaction},
    engine::{entries, writes::append},
    model::{ConnectionId, EntityRef, Origin, Seq, Signal},
};

impl Connector {
    /// Reads one record now: see [`Connector::read_again`] and [`Connector::tell_again`].
    pub(crate) async fn ask_for(
        &self,
        connection: &ConnectionId,
        entity: &EntityRef,
        origin: Origin,
    ) -> Result<Seq> {
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
