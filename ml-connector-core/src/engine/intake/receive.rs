//! From a request to an answer, whatever happens in between.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use tracing::Instrument;

use crate::{
    Connector, Error, ErrorKind, Result, SourceInfo, WebhookAnswers,
    engine::{
        registry::{Registry, SourceSlot},
        stats::Stat,
    },
    model::EndpointId,
};

impl Connector {
    /// Takes a webhook: verifies it, stores what it says, answers. Never waits for a vendor, and for the log no longer than
    /// [`SourceInfo::answer_within`].
    ///
    /// The path is `/{endpoint}/…`, without the prefix under which the host mounts it. Answers, where the source has no
    /// [others](SourceInfo::answers):
    ///
    /// | status | when | stored |
    /// |---|---|---|
    /// | the source's own, 2xx | verified, and durable | signals, notes |
    /// | 400 | verified, but not understood | one note, for `explain` |
    /// | 401 | not proven to come from the vendor | nothing |
    /// | 404 | no such endpoint, or no such path below it | nothing |
    /// | 413 | larger than [`Settings::max_webhook_bytes`](crate::engine::Settings::max_webhook_bytes) | nothing |
    /// | 503 | the log cannot store it in time: the vendor should try again | nothing |
    ///
    /// Until [`loaded`](Self::loaded) is called on a connector that
    /// [loads connections](crate::engine::ConnectorBuilder::loads_connections), 503 takes the place of 401 and 404.
    ///
    /// The answer never says why; the log does.
    pub async fn receive(&self, mut request: Request<Bytes>) -> Response<Bytes> {
        self.answer(&mut request).await
    }

    /// Answers a request, and leaves it without its body.
    pub(crate) async fn answer(&self, request: &mut Request<Bytes>) -> Response<Bytes> {
        let (bytes, max) = (request.body().len(), self.max_webhook_bytes());
        if bytes > max {
            *request.body_mut() = Bytes::new();
            return self.answer_oversize(request).await;
        }
        let registry = self.shared.registry();
        let endpoint = endpoint_of(request.uri());
        let span = tracing::debug_span!(
            "receive",
            endpoint = endpoint.as_str().get(..64).unwrap_or(endpoint.as_str())
        );
        let now = self.shared.clock.now();
        let taken = async {
            if self.is_time_for_forgotten(now)
                && let Err(error) = Box::pin(self.detach_forgotten()).await
            {
                tracing::debug!(%error, "the log cannot say what other hosts have forgotten");
            }
            let registry = self.shared.registry();
            self.take_in(&registry, &endpoint, request, now).await
        };
        // Not by `in_time`: a future that goes through a function is in its caller's twice.
        let within = answer_within(&registry, &endpoint);
        let taken = tokio::time::timeout(within, taken).instrument(span).await;
        let taken = taken.unwrap_or_else(|_| Err(too_late(within)));
        self.write_history_of_intake(now);
        self.write_hooks_of_intake(now);
        taken.unwrap_or_else(|error| self.refuse(&registry, &endpoint, &error))
    }

    /// Answers a request whose body is larger than allowed and was not read. Nothing vouches for it: the source is only
    /// asked whether the path is its own.
    pub(crate) async fn answer_oversize(&self, request: &mut Request<Bytes>) -> Response<Bytes> {
        let registry = self.shared.registry();
        let endpoint = endpoint_of(request.uri());
        let error = Error::new(ErrorKind::InvalidRequest, "the webhook is larger than allowed")
            .with_context("max", self.max_webhook_bytes());
        let answers = answers(&registry, &endpoint);
        let status =
            if is_unknown_yet(&registry, &endpoint) { answers.unavailable } else { answers.oversize };
        if !status.is_success() || split_off_endpoint(request).is_err() {
            return self.reply_with(status, &error);
        }
        let read_instead = self.read_instead_of_oversize(&registry, &endpoint, request, &error);
        match in_time(answer_within(&registry, &endpoint), read_instead).await {
            Ok(()) => self.reply_with(status, &error),
            Err(error) => self.refuse(&registry, &endpoint, &error),
        }
    }

    /// Answers a request whose body did not come to its end in time.
    pub(crate) fn answer_slow(&self, request: &Request<()>) -> Response<Bytes> {
        let registry = self.shared.registry();
        let endpoint = endpoint_of(request.uri());
        let error = Error::new(ErrorKind::InvalidRequest, "the webhook's body did not come in time");
        // Who must never see a refusal is asked to send it again.
        let status = match answers(&registry, &endpoint) {
            answers if answers.unreadable.is_success() || is_unknown_yet(&registry, &endpoint) => {
                answers.unavailable
            }
            _ => StatusCode::REQUEST_TIMEOUT,
        };
        self.reply_with(status, &error)
    }

    /// Answers a request that led to an error.
    pub(crate) fn refuse(
        &self,
        registry: &Registry,
        endpoint: &EndpointId,
        error: &Error,
    ) -> Response<Bytes> {
        let answers = answers(registry, endpoint);
        let status = match error.kind() {
            // Whoever would know it may not be connected yet.
            ErrorKind::SignatureInvalid | ErrorKind::NotFound if registry.is_loading() => answers.unavailable,
            ErrorKind::SignatureInvalid => StatusCode::UNAUTHORIZED,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::InvalidRequest => answers.unreadable,
            _ => answers.unavailable,
        };
        self.reply_with(status, error)
    }

    /// Counts and logs a refusal, and tells the sender nothing but the status.
    fn reply_with(&self, status: StatusCode, error: &Error) -> Response<Bytes> {
        tracing::warn!(%error, status = status.as_u16(), "webhook refused");
        let mut reply = Response::new(Bytes::new());
        *reply.status_mut() = status;
        let repeated = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        self.shared.stats.count(match status {
            StatusCode::UNAUTHORIZED => Stat::Forged,
            _ if repeated => Stat::Refused,
            _ => Stat::Rejected,
        });
        if repeated {
            reply.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        reply
    }
}

/// What the sources of an endpoint answer. They are of one vendor.
fn answers(registry: &Registry, endpoint: &EndpointId) -> WebhookAnswers {
    registry
        .endpoint(endpoint)
        .first()
        .map_or_else(WebhookAnswers::default, |slot| slot.source.info().answers)
}

/// Whether whoever would know how to answer may not be connected yet.
fn is_unknown_yet(registry: &Registry, endpoint: &EndpointId) -> bool {
    registry.is_loading() && registry.endpoint(endpoint).is_empty()
}

fn answer_within(registry: &Registry, endpoint: &EndpointId) -> Duration {
    let within = |slot: &Arc<SourceSlot>| slot.source.info().answer_within;
    registry.endpoint(endpoint).iter().map(within).min().unwrap_or(SourceInfo::ANSWER_WITHIN)
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(too_late(limit)))
}

fn too_late(limit: Duration) -> Error {
    let message = "the log did not store the webhook in time";
    Error::new(ErrorKind::Unavailable, message).with_context("seconds", limit.as_secs_f32())
}

fn endpoint_of(uri: &Uri) -> EndpointId {
    EndpointId::from(uri.path().trim_start_matches('/').split('/').next().unwrap_or_default())
}

/// Takes the endpoint off the path.
pub(super) fn split_off_endpoint(request: &mut Request<Bytes>) -> Result<()> {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).trim_start_matches('/');
    let below = &target[target.find(['/', '?']).unwrap_or(target.len())..];
    let below = if below.starts_with('/') { below.parse() } else { ["/", below].concat().try_into() };
    let below: PathAndQuery =
        below.map_err(|_| Error::new(ErrorKind::NotFound, "the request's path is not valid"))?;
    *request.uri_mut() = Uri::from(below);
    Ok(())
}
