//! Requests that lead to no signal of a connection: kept as notes.

use bytes::Bytes;
use http::{Request, header};

use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{EntryKind, Transaction},
    engine::{
        entries::{self, REJECTED, UNROUTED},
        lanes::LaneId,
        notices::{self, Notice},
        registry::SourceSlot,
        stats::Stat,
        stored::Received,
        writes,
    },
    model::{Change, EndpointId, Intake, LaneKey, Seq, Signal},
};

impl Connector {
    /// Stores and tells that a webhook is for an account which no connection has.
    pub(super) async fn keep_unrouted(
        &self,
        slot: &SourceSlot,
        endpoint: &EndpointId,
        signal: &Signal,
        request: &Request<Bytes>,
        intake: &Intake,
        now: Timestamp,
    ) -> Result<()> {
        let error = no_connection(signal);
        tracing::error!(%error, %endpoint, "a webhook has no connection: it is kept as unrouted");
        self.shared.stats.count(Stat::Unrouted);
        if self.shared.registry().is_loading() {
            // Its connection may be the next to come: the vendor is asked to try again.
            return Err(Error::new(ErrorKind::Unavailable, "connections are still being loaded"));
        }
        let note = self.note(slot, UNROUTED, Some(signal), request, intake, &error, now).await?;
        self.tell_unrouted(slot, note, &error).await;
        Ok(())
    }

    /// Stores a request that is proven, but not understood. Where its vendor must not know, feeds are read in its place. Such a
    /// vendor may sign nothing, and one that agrees on something first sends that in its requests: of theirs no body and no
    /// path is kept.
    pub(super) async fn keep_rejected(
        &self,
        slot: &SourceSlot,
        request: &Request<Bytes>,
        error: &Error,
        now: Timestamp,
    ) -> Result<()> {
        let is_told_nothing = slot.source.info().answers.unreadable.is_success();
        let has_agreed = self.shared.upkeep_state(slot).await?.is_some_and(|state| !state.is_empty());
        let mut kept = Intake::accepted(Vec::new());
        if is_told_nothing || has_agreed {
            kept = kept.evidence(Bytes::from(format!("{} bytes that are not kept", request.body().len())));
        }
        self.note(slot, REJECTED, None, request, &kept, error, now).await?;
        if is_told_nothing {
            self.read_instead(slot, request, error, now).await?;
        }
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
    #[allow(clippy::too_many_arguments)] // one note has as many parts
    async fn note(
        &self,
        slot: &SourceSlot,
        name: &'static str,
        signal: Option<&Signal>,
        request: &Request<Bytes>,
        intake: &Intake,
        error: &Error,
        now: Timestamp,
    ) -> Result<Seq> {
        let received = Received { rejected: Some(error.to_string().into()), ..received(request, intake) };
        let body = intake.evidence.as_ref().unwrap_or(request.body());
        let entry = entries::note(slot, name, signal, received, body, now)?;
        let transaction = Transaction { append: vec![entry], ..Transaction::default() };
        let appended = writes::append(&self.shared, transaction).await?;
        let note = appended.first().map(|appended| appended.seq());
        note.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

pub(super) fn no_connection(signal: &Signal) -> Error {
    let account = signal.account.as_ref().map_or("", |account| account.as_str()).escape_debug();
    Error::new(ErrorKind::ConfigInvalid, "no connection of this endpoint has this account")
        .with_context("account", account)
}

/// What is kept of a request besides its body. Where the source gives evidence, a part of the path may prove the sender.
pub(super) fn received<'a>(request: &'a Request<Bytes>, intake: &Intake) -> Received<'a> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Received {
        method: request.method().as_str().into(),
        target: match request.uri().path_and_query() {
            Some(target) if intake.evidence.is_none() => target.as_str().into(),
            Some(_) => "(path not kept)".into(),
            None => "/".into(),
        },
        content_type: content_type.map(Into::into),
        rejected: None,
    }
}
