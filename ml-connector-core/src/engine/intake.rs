//! From a request to a durable signal to an answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use tracing::Instrument;

use super::{
    Connector, Stat,
    lanes::LaneId,
    outcome::{self, Told},
    registry::SourceSlot,
    stored::{Received, StoredSignal},
};
use crate::{
    Error, ErrorKind, ReceiveRequest, Result, Timestamp,
    audit::{Committed, EntryKind, Index, NewEntry, Parent, Transaction},
    model::{Change, EndpointId, Intake, LaneKey, Seq, Signal, Subject},
};

/// What notes of webhooks are called that are for an account that no connection has.
pub(super) const UNROUTED: &str = "unrouted";

impl Connector {
    /// Takes a webhook: verifies it, stores what it says, answers. Never waits for a vendor.
    ///
    /// The path is `/{endpoint}/…`, without the prefix under which the host mounts it. Answers:
    ///
    /// | status | when | stored |
    /// |---|---|---|
    /// | the source's own, 2xx | verified, and durable | signals |
    /// | 400 | verified, but not understood | one note, for `explain` |
    /// | 401 | not proven to come from the vendor | nothing |
    /// | 404 | no such endpoint | nothing |
    /// | 413 | larger than [`Settings::max_webhook_bytes`](super::Settings::max_webhook_bytes) | nothing |
    /// | 503 | the log cannot store it: the vendor should try again | nothing |
    ///
    /// The answer never says why; the log does.
    pub async fn receive(&self, mut request: Request<Bytes>) -> Response<Bytes> {
        self.answer(&mut request).await
    }

    /// Answers a request, and leaves it without its body.
    pub(super) async fn answer(&self, request: &mut Request<Bytes>) -> Response<Bytes> {
        let (bytes, max) = (request.body().len(), self.max_webhook_bytes());
        if bytes > max {
            let error = Error::new(ErrorKind::InvalidRequest, "the webhook is larger than allowed")
                .with_context("bytes", bytes)
                .with_context("max", max);
            return self.refuse(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        let endpoint = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
        let span = tracing::debug_span!("receive", endpoint = endpoint.get(..64).unwrap_or(endpoint));
        match self.take_in(request, self.shared.clock.now()).instrument(span).await {
            Ok(reply) => reply,
            Err(error) => {
                let status = match error.kind() {
                    ErrorKind::SignatureInvalid => StatusCode::UNAUTHORIZED,
                    ErrorKind::NotFound => StatusCode::NOT_FOUND,
                    ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                self.refuse(status, &error)
            }
        }
    }

    /// Counts and logs a refusal, and tells the sender nothing but the status.
    pub(super) fn refuse(&self, status: StatusCode, error: &Error) -> Response<Bytes> {
        tracing::warn!(%error, status = status.as_u16(), "webhook refused");
        let mut reply = Response::new(Bytes::new());
        *reply.status_mut() = status;
        self.shared.stats.count(match status {
            StatusCode::UNAUTHORIZED => Stat::Forged,
            StatusCode::SERVICE_UNAVAILABLE => Stat::Refused,
            _ => Stat::Rejected,
        });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            reply.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        reply
    }

    /// What happens rarely is boxed: its state would make every request's larger.
    async fn take_in(&self, request: &mut Request<Bytes>, now: Timestamp) -> Result<Response<Bytes>> {
        let endpoint = split_off_endpoint(request)?;
        let registry = self.shared.registry();
        let (slot, intake) = self.shared.verify(registry.endpoint(&endpoint), request, now).await?;
        let Intake { signals, reply, prompt } = match intake {
            Ok(intake) => intake,
            Err(error) => {
                Box::pin(self.remember(slot, "rejected", None, request, &error, now)).await?;
                return Err(error);
            }
        };
        let meant = |signal: &Signal| registry.account(&endpoint, signal.account.as_ref(), slot);
        let mut append = Vec::with_capacity(signals.len());
        for (i, signal) in signals.iter().enumerate() {
            let Some(meant) = meant(signal) else {
                Box::pin(self.keep_unrouted(slot, &endpoint, signal, request, now)).await?;
                continue;
            };
            self.shared.watched_since(meant).await?;
            // The bytes belong to the first signal of a request; the others point to it by their parent.
            let body = match i {
                0 => StoredSignal::encode(Some(signal), Some(received(request)), request.body())?,
                _ => StoredSignal::encode(Some(signal), None, b"")?,
            };
            let parent = if append.is_empty() { Parent::None } else { Parent::Nth(0) };
            let due = now + meant.source.info().coalesce;
            let entry = signal_entry(meant, signal, parent, body, due);
            append.push(NewEntry { counts_as_repeat: true, ..entry });
        }
        // The server reads on into the same memory once nobody holds it.
        *request.body_mut() = Bytes::new();
        if !append.is_empty() {
            let count = append.len();
            let woken: Vec<_> = append.iter().map(|entry| entry.partition).collect();
            self.shared.commit(Transaction { append, ..Transaction::default() }).await?;
            self.shared.stats.add(Stat::Received, count);
            self.shared.wake.partitions(&woken);
        }
        if let Some(prompt) = prompt {
            // Whoever verified it may be another connection of the same app, with another token.
            let meant = signals.first().and_then(meant).unwrap_or(slot);
            let (source, ctx) = (Arc::clone(&meant.source), self.shared.context.clone());
            tokio::spawn(async move {
                if let Err(error) = source.prompt(&ctx, prompt).await {
                    tracing::warn!(%error, "a prompt failed");
                }
            });
        }
        Ok(reply)
    }

    /// Stores and tells that a webhook is for an account which no connection has.
    async fn keep_unrouted(
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
        let note = self.remember(slot, UNROUTED, Some(signal), request, &error, now).await?;
        self.tell_unrouted(slot, note, &error).await;
        Ok(())
    }

    /// Tells that a webhook has no connection, unless that was told a short while ago.
    async fn tell_unrouted(&self, slot: &SourceSlot, note: Seq, error: &Error) {
        let lane = LaneKey::from(UNROUTED).number(slot.connection());
        let told = Told {
            kind: "webhook",
            seq: note,
            change: Change::Unrouted,
            connection: slot.connection().clone(),
            lane: LaneId { kind: EntryKind::Signal, partition: slot.partition, lane },
            about: None,
            reason: error.to_string().into(),
        };
        let mut transaction = Transaction::default();
        let appended = match outcome::append(&self.shared, told, &mut transaction).await {
            Ok(wake) => self.shared.commit(transaction).await.map(|_| self.shared.wake.partitions(&wake)),
            Err(error) => Err(error),
        };
        if let Err(error) = appended {
            // It is stored and counted all the same.
            tracing::error!(%error, "an unrouted webhook could not be told");
        }
    }

    /// Stores a request that led to no signal of a connection.
    async fn remember(
        &self,
        slot: &SourceSlot,
        name: &'static str,
        signal: Option<&Signal>,
        request: &Request<Bytes>,
        error: &Error,
        now: Timestamp,
    ) -> Result<Seq> {
        let received = Received { rejected: Some(error.to_string().into()), ..received(request) };
        let entry = NewEntry {
            index: Index { name: Some(name.into()), ..Index::default() },
            body: Some(StoredSignal::encode(signal, Some(received), request.body())?),
            ..NewEntry::new(slot.partition, EntryKind::Note, slot.connection().clone(), now)
        };
        let appended =
            self.shared.commit(Transaction { append: vec![entry], ..Transaction::default() }).await?;
        let note = appended.first().map(|appended| appended.seq());
        note.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the log did not say where an entry is"))
    }
}

/// The entry of a signal.
pub(super) fn signal_entry(
    slot: &SourceSlot,
    signal: &Signal,
    parent: Parent,
    body: Bytes,
    due: Timestamp,
) -> NewEntry {
    let lane = match &signal.subject {
        Subject::Entity(entity) => entity.lane(),
        Subject::Feed { name, .. } => format!("feed/{name}").into(),
        // All subscriptions of a connection are looked after together.
        Subject::Subscription(_) => "subscription".into(),
    };
    let entity = match &signal.subject {
        Subject::Entity(entity) => Some(entity.clone()),
        _ => None,
    };
    NewEntry {
        lane: Some(lane.number(slot.connection())),
        dedupe: signal.dedupe.clone(),
        parent,
        index: Index { entity, name: signal.hint.clone(), ..Index::default() },
        body: Some(body),
        ..NewEntry::new(slot.partition, EntryKind::Signal, slot.connection().clone(), due)
    }
}

/// Takes the endpoint off the path.
fn split_off_endpoint(request: &mut Request<Bytes>) -> Result<EndpointId> {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).trim_start_matches('/');
    let (endpoint, below) = target.split_at(target.find(['/', '?']).unwrap_or(target.len()));
    let endpoint = EndpointId::from(endpoint);
    let below = if below.starts_with('/') { below.parse() } else { ["/", below].concat().try_into() };
    let below: PathAndQuery =
        below.map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request's path is not valid"))?;
    *request.uri_mut() = Uri::from(below);
    Ok(endpoint)
}

fn is_forged(intake: &Result<Intake>) -> bool {
    intake.as_ref().is_err_and(|error| error.kind() == ErrorKind::SignatureInvalid)
}

fn received(request: &Request<Bytes>) -> Received<'_> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Received {
        method: request.method().as_str().into(),
        target: request.uri().path_and_query().map_or("/", PathAndQuery::as_str).into(),
        content_type: content_type.map(Into::into),
        rejected: None,
    }
}

impl super::Shared {
    /// Finds the first source that can vouch for the request. The inner error is of a request that is proven, but not
    /// understood.
    async fn verify<'a>(
        &self,
        slots: &'a [Arc<SourceSlot>],
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Result<(&'a Arc<SourceSlot>, Result<Intake>)> {
        let mut refused = None;
        for slot in slots {
            let state = self.upkeep_state(slot).await?;
            let mut intake = slot.source.receive(ReceiveRequest::new(request, now).state(state.as_ref()));
            if is_forged(&intake)
                && let Some(newer) = Box::pin(self.newer_upkeep_state(slot)).await?
            {
                intake = slot.source.receive(ReceiveRequest::new(request, now).state(Some(&newer)));
            }
            match intake {
                Err(error) if error.kind() == ErrorKind::SignatureInvalid => {
                    refused = Some(error.with_context("connection", slot.connection()));
                }
                intake => return Ok((slot, intake)),
            }
        }
        let nobody = || Error::new(ErrorKind::NotFound, "no source is connected at this endpoint");
        Err(refused.unwrap_or_else(nobody))
    }

    /// Commits one transaction without a fence and without documents under a condition.
    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Vec<crate::audit::Appended>> {
        match self.log.commit(vec![transaction], self.clock.now()).await?.pop() {
            Some(Committed::Applied(appended)) => Ok(appended),
            other => Err(Error::new(ErrorKind::Unexpected, "the log refused an unconditional write")
                .with_context("answer", format!("{other:?}"))),
        }
    }
}
