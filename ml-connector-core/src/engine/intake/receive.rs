//! From a request to a durable signal to an answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use tracing::Instrument;

use super::unrouted::received;
use crate::{
    Connector, Error, ErrorKind, Result, Timestamp,
    audit::{NewEntry, Parent, Transaction},
    engine::{entries, stats::Stat, writes},
    model::{EndpointId, Intake, Signal},
};

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
    /// | 413 | larger than [`Settings::max_webhook_bytes`](crate::engine::Settings::max_webhook_bytes) | nothing |
    /// | 503 | the log cannot store it: the vendor should try again | nothing |
    ///
    /// The answer never says why; the log does.
    pub async fn receive(&self, mut request: Request<Bytes>) -> Response<Bytes> {
        self.answer(&mut request).await
    }

    /// Answers a request, and leaves it without its body.
    pub(crate) async fn answer(&self, request: &mut Request<Bytes>) -> Response<Bytes> {
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
    pub(crate) fn refuse(&self, status: StatusCode, error: &Error) -> Response<Bytes> {
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
                Box::pin(self.note(slot, "rejected", None, request, &error, now)).await?;
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
            let due = now + meant.source.info().coalesce;
            // The bytes belong to the first signal of a request; the others point to it by their parent.
            let entry = if i == 0 {
                entries::received_signal(meant, signal, received(request), request.body(), due)?
            } else {
                let parent = if append.is_empty() { Parent::None } else { Parent::Nth(0) };
                entries::signal(meant, signal, parent, due)?
            };
            append.push(NewEntry { counts_as_repeat: true, ..entry });
        }
        // The server reads on into the same memory once nobody holds it.
        *request.body_mut() = Bytes::new();
        if !append.is_empty() {
            let count = append.len();
            let woken: Vec<_> = append.iter().map(|entry| entry.partition).collect();
            writes::append(&self.shared, Transaction { append, ..Transaction::default() }).await?;
            self.shared.stats.add(Stat::Received, count);
            self.shared.mailbox.wake(&woken);
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
