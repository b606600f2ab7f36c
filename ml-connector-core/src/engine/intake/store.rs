//! What a verified request says, written in one transaction.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::{
    receive::split_off_endpoint,
    unrouted::{no_connection, received},
};
use crate::{
    Connector, Error, ErrorKind, ReceiveRequest, Result, Timestamp,
    audit::{Appended, Committed, DocumentWrite, NewEntry, Parent, Transaction},
    engine::{
        entries::{self, DROPPED, HANDSHAKE},
        hooks::{Hooks, Whose},
        registry::{Registry, SourceSlot},
        stats::Stat,
        stored::Received,
        writes::{commit, is_settled},
    },
    model::{DedupeKey, EndpointId, Intake, Revision, Signal, Subject},
};

/// How often a request is received again because what it is verified with was replaced meanwhile.
const STALE_TRIES: usize = 5;

/// A request with the source that vouches for it.
struct Taken<'a> {
    registry: &'a Registry,
    endpoint: &'a EndpointId,
    slot: &'a Arc<SourceSlot>,
    now: Timestamp,
}

impl Taken<'_> {
    /// Counts the request for the connections that it is for: whoever verified it may be another one with the same secret.
    fn accepted(&self, hooks: &Hooks, intake: &Intake) {
        let mut last = None;
        for meant in intake.signals.iter().filter_map(|signal| self.meant(signal)) {
            let connection = meant.connection();
            if last.replace(connection) != Some(connection) {
                hooks.accepted(Whose::Connection(connection.clone()), self.now);
            }
        }
        if intake.signals.is_empty() {
            hooks.accepted(Whose::Connection(self.slot.connection().clone()), self.now);
        }
    }

    /// The connection that a signal is for.
    fn meant(&self, signal: &Signal) -> Option<&Arc<SourceSlot>> {
        self.registry.account(self.endpoint, signal.account.as_ref(), self.slot)
    }
}

impl Connector {
    /// What happens rarely is boxed: its state would make every request's larger.
    pub(super) async fn take_in(
        &self,
        registry: &Registry,
        endpoint: &EndpointId,
        request: &mut Request<Bytes>,
        now: Timestamp,
    ) -> Result<Response<Bytes>> {
        split_off_endpoint(request)?;
        let (slot, intake) = self.shared.verify(endpoint, registry.endpoint(endpoint), request, now).await?;
        let mut intake = match intake {
            Ok(intake) => intake,
            Err(error) => {
                self.shared.hooks.accepted(Whose::Connection(slot.connection().clone()), now);
                Box::pin(self.keep_rejected(slot, request, &error, now)).await?;
                return Err(error);
            }
        };
        let taken = Taken { registry, endpoint, slot, now };
        taken.accepted(&self.shared.hooks, &intake);
        if intake.state.is_some() {
            intake = Box::pin(self.store_with_state(&taken, request)).await?;
        } else {
            self.store(&taken, request, &intake, None).await?;
        }
        let Intake { signals, mut reply, prompt, .. } = intake;
        if signals.iter().any(|signal| taken.meant(signal).is_none())
            && let Some(status) = slot.source.info().answers.misaddressed
        {
            *reply.status_mut() = status;
        }
        if let Some(prompt) = prompt {
            // Whoever verified it may be another connection of the same app, with another token.
            let meant = signals.first().and_then(|signal| taken.meant(signal)).unwrap_or(slot);
            let (source, ctx) = (Arc::clone(&meant.source), self.shared.context.clone());
            tokio::spawn(async move {
                if let Err(error) = source.prompt(&ctx, prompt).await {
                    tracing::warn!(%error, "a prompt failed");
                }
            });
        }
        Ok(reply)
    }

    /// Stores a request that changes what its source verifies with, and that change, or neither.
    async fn store_with_state(&self, taken: &Taken<'_>, request: &mut Request<Bytes>) -> Result<Intake> {
        for _ in 0..STALE_TRIES {
            let document = self.shared.load::<Bytes>(taken.slot.upkeep_state_key()).await?;
            let received = ReceiveRequest::new(request, taken.now).state(document.value.as_ref());
            let intake = taken.slot.source.receive(received)?;
            let write = intake.state.as_ref().map(|state| document.replace(state)).transpose()?;
            if self.store(taken, request, &intake, write).await? {
                let state = intake.state.clone().or(document.value);
                taken.slot.upkeep_state.set(state, taken.now);
                return Ok(intake);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "what webhooks are verified with is replaced again and again"))
    }

    /// Stores what a request says. Returns whether the state was as it was expected to be; if not, nothing is stored.
    async fn store(
        &self,
        taken: &Taken<'_>,
        request: &mut Request<Bytes>,
        intake: &Intake,
        state: Option<DocumentWrite>,
    ) -> Result<bool> {
        let Taken { slot, now, .. } = *taken;
        let evidence =
            |request: &Request<Bytes>| intake.evidence.clone().unwrap_or_else(|| request.body().clone());
        let (mut append, mut joins) = (Vec::with_capacity(intake.signals.len()), None);
        let (mut received_by, mut unrouted) = (Vec::with_capacity(intake.signals.len()), Vec::new());
        for (i, signal) in intake.signals.iter().enumerate() {
            let Some(meant) = taken.meant(signal) else {
                unrouted.push(signal);
                continue;
            };
            self.shared.watched_since(meant).await?;
            let due = now + meant.source.info().coalesce;
            // The bytes belong to the first signal of a request; the others point to it by their parent.
            let entry = if i == 0 {
                let received = received(request, intake);
                entries::received_signal(meant, signal, received, &evidence(request), due)?
            } else {
                let parent = if append.is_empty() { Parent::None } else { Parent::Nth(0) };
                entries::signal_along(meant, signal, parent, due)?
            };
            // What has a key of its source's own is known by that for good.
            let may_join = intake.signals.len() == 1 && entry.dedupe.is_none();
            joins = may_join.then(|| self.same_as_what_waits(meant, signal, &entry)).flatten();
            let dedupe = entry.dedupe.clone().or_else(|| joins.clone());
            append.push(NewEntry { counts_as_repeat: true, dedupe, ..entry });
            received_by.push(meant.connection());
        }
        let count = append.len();
        if intake.note.is_some() || append.is_empty() && state.is_some() {
            let name = if intake.note.is_some() { DROPPED } else { HANDSHAKE };
            let received =
                Received { rejected: intake.note.as_deref().map(Into::into), ..received(request, intake) };
            let (parent, body) = match count {
                0 => (Parent::None, evidence(request)),
                _ => (Parent::Nth(0), Bytes::new()),
            };
            let note = entries::note(slot, name, None, received, &body, now)?;
            let dedupe = intake.note_key.clone();
            append.push(NewEntry { parent, dedupe, counts_as_repeat: true, ..note });
        }
        if unrouted.is_empty() && state.is_none() {
            // The server reads on into the same memory once nobody holds it.
            *request.body_mut() = Bytes::new();
        }
        if !append.is_empty() || state.is_some() {
            let woken: Vec<_> = append.iter().take(count).map(|entry| entry.partition).collect();
            let documents = state.into_iter().collect();
            // What it joins may have left the work list without a read, such as by an operator's hand.
            let alone =
                joins.and_then(|_| append.first()).map(|entry| NewEntry { dedupe: None, ..entry.clone() });
            let transaction = Transaction { append, documents, ..Transaction::default() };
            match commit(&self.shared, transaction).await? {
                Committed::Applied(appended) => {
                    if let (Some(alone), Some(Appended::Duplicate(seq))) = (alone, appended.first())
                        && is_settled(&self.shared, *seq).await?
                    {
                        let again = Transaction { append: vec![alone], ..Transaction::default() };
                        commit(&self.shared, again).await?;
                    }
                }
                Committed::Stale(_) => return Ok(false),
                Committed::Fenced => {
                    return Err(Error::new(ErrorKind::Unexpected, "the log refused an unfenced write"));
                }
            }
            received_by.iter().for_each(|of| self.shared.count(Stat::Received, 1, of, None));
            self.shared.mailbox.wake(&woken);
        }
        for signal in &unrouted {
            Box::pin(self.keep_unrouted(slot, taken.endpoint, signal, request, intake, now)).await?;
        }
        if let Some(signal) = unrouted.first()
            && slot.source.info().answers.misaddressed.is_some_and(|status| status.is_success())
        {
            // The account may be one of ours under a new name.
            Box::pin(self.read_instead(slot, request, &no_connection(signal), now)).await?;
        }
        Ok(true)
    }

    /// The key under which identical webhooks of a record are one signal until its read begins: whatever somebody sends again
    /// and again costs no more than two rows and one read. The first has no key, because one costs as much as the row itself,
    /// and hardly any webhook comes again. A read that has begun may have missed what a webhook is about, so the next one is a
    /// new signal. `None` also where only another host would know that a read has begun.
    fn same_as_what_waits(&self, meant: &SourceSlot, signal: &Signal, entry: &NewEntry) -> Option<DedupeKey> {
        if meant.source.info().coalesce.is_zero() || !matches!(signal.subject, Subject::Entity(_)) {
            return None;
        }
        let (lane, body) = (entry.lane?, entry.body.as_ref()?);
        // In this order: the lease says who reads, until the number is known.
        let number = meant.reads.number(lane);
        let lease = self.shared.lease.of(meant.partition, self.shared.clock.wall())?;
        if !self.shared.recent.has(&(number, lane, body)) {
            return None;
        }
        let digest = Revision::of(body);
        Some(format!("same/{}/{number}/{lane:016x}/{digest}", lease.fence).into())
    }
}
