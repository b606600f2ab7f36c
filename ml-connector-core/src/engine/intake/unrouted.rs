//! Requests that lead to no signal of a connection: kept as notes.

use bytes::Bytes;
use http::{Request, header, uri::PathAndQuery};

use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{EntryKind, Transaction},
    engine::{
        entries::{self, UNROUTED},
        lanes::LaneId,
        notices::{self, Notice},
        registry::SourceSlot,
        stats::Stat,
        stored::Received,
        writes,
    },
    model::{Change, EndpointId, LaneKey, Seq, Signal},
};

impl Connector {
    /// Stores and tells that a webhook is for an account which no connection has.
    pub(super) async fn keep_unrouted(
        &self,
        slot: &SourceSlot,
        endpoint: &EndpointId,
        signal: &Signal,
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Result<()> {
        let account = signal.account.as_ref().map_or("", |account| account.as_str()).escape_debug();
        let error = Error::new(ErrorKind::ConfigInvalid, "no connection of this endpoint has this account")
            .with_context("account", account);
        tracing::error!(%error, %endpoint, "a webhook has no connection: it is kept as unrouted");
        self.shared.stats.count(Stat::Unrouted);
        let note = self.note(slot, UNROUTED, Some(signal), request, &error, now).await?;
        self.tell_unrouted(slot, note, &error).await;
        Ok(())
    }

    /// Tells that a webhook has no connection, unless that was told a short while ago.
    async fn tell_unrouted(&self, slot: &SourceSlot, note: Seq, error: &Error) {
        let lane = LaneKey::from(UNROUTED).number(slot.connection());
        let notice = Notice {
            kind: "webhook",
            seq: note,
            change: Change::Unrouted,
            connection: slot.connection().clone(),
            lane: LaneId { kind: EntryKind::Signal, partition: slot.partition, lane },
            about: None,
            reason: error.to_string().into(),
        };
        let mut transaction = Transaction::default();
        let appended = match notices::append(&self.shared, notice, &mut transaction).await {
            Ok(wake) => {
                writes::append(&self.shared, transaction).await.map(|_| self.shared.mailbox.wake(&wake))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = appended {
            // It is stored and counted all the same.
            tracing::error!(%error, "an unrouted webhook could not be told");
        }
    }

    /// Stores a request that led to no signal of a connection.
    pub(super) async fn note(
        &self,
        slot: &SourceSlot,
        name: &'static str,
        signal: Option<&Signal>,
        request: &Request<Bytes>,
        error: &Error,
        now: Timestamp,
    ) -> Result<Seq> {
        let received = Received { rejected: Some(error.to_string().into()), ..received(request) };
        let entry = entries::note(slot, name, signal, received, request.body(), now)?;
        let transaction = Transaction { append: vec![entry], ..Transaction::default() };
        let appended = writes::append(&self.shared, transaction).await?;
        let note = appended.first().map(|appended| appended.seq());
        note.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

/// What is kept of a request besides its body.
pub(super) fn received(request: &Request<Bytes>) -> Received<'_> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Received {
        method: request.method().as_str().into(),
        target: request.uri().path_and_query().map_or("/", PathAndQuery::as_str).into(),
        content_type: content_type.map(Into::into),
        rejected: None,
    }
}
