//! The pipeline of one connection: retry → rate limit → auth → trace → transport.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use tracing::Instrument;
use url::{Origin, Url};

use super::{Answer, Limits, Phase, TransportError};
use crate::{
    Context, Effect, Error, ErrorKind, Result, Retry, Scope,
    auth::Authenticator,
    clock::sleep_until,
    rate::{Admission, Cost, Feedback},
};

/// How often a read is tried within one call. Longer patience is the engine's: it keeps it in the log.
const READ_TRIES: u32 = 3;
/// The first pause of a read that failed; it doubles.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// The calls of one connection.
///
/// A `Client` sends credentials to one origin only, admits every attempt, and hands every answer to the vendor's
/// `check` before anybody decodes it. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    system: &'static str,
    base: Url,
    auth: Arc<dyn Authenticator>,
    check: fn(&Answer) -> Result<()>,
}

/// One call: a request, its name, and what each attempt of it spends.
#[derive(Debug)]
pub struct Call {
    operation: &'static str,
    request: Request<Bytes>,
    costs: Vec<Cost>,
    repeatable: bool,
}

impl Call {
    /// A call that changes nothing on the other side: tried up to three times.
    #[must_use]
    pub fn read(operation: &'static str, request: Request<Bytes>) -> Self {
        Self { operation, request, costs: Vec::new(), repeatable: true }
    }

    /// A call that does something: repeated only when it is known not to have happened, because no connection
    /// could be made or the token was refused.
    #[must_use]
    pub fn write(operation: &'static str, request: Request<Bytes>) -> Self {
        Self { operation, request, costs: Vec::new(), repeatable: false }
    }

    /// What each attempt spends. A delivery's own costs are admitted by the engine and not repeated here.
    #[must_use]
    pub fn with_costs(mut self, costs: Vec<Cost>) -> Self {
        self.costs = costs;
        self
    }
}

impl Client {
    /// A client for the API below `base`. `check` is the vendor's judgement of an answer: it returns an error for
    /// everything that is no success, also behind a 200.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] unless `base` is https, or http to a loopback address.
    pub fn new(
        system: &'static str,
        base: Url,
        auth: Arc<dyn Authenticator>,
        check: fn(&Answer) -> Result<()>,
    ) -> Result<Self> {
        require_secure(&base)?;
        Ok(Self { system, base, auth, check })
    }

    /// The URL below which all calls go.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// A URL below the base: path segments are encoded, so that no id can leave its place.
    #[must_use]
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Makes a call.
    ///
    /// # Errors
    /// What `check` says of the answer, or what the transport met, with the effect judged for a write: known not
    /// to have happened, or unknown. [`ErrorKind::RateLimited`] with [`Retry::At`] when the limiter says later than
    /// the context's deadline.
    pub async fn send(&self, ctx: &Context, call: Call) -> Result<Answer> {
        let Call { operation, request, costs, repeatable } = call;
        self.require_own_origin(&request).map_err(|error| error.with_operation(operation))?;
        let span = tracing::debug_span!("http_call", system = self.system, operation);
        self.send_admitted(ctx, request, &costs, repeatable)
            .instrument(span)
            .await
            .map_err(|error| error.with_operation(operation))
    }

    async fn send_admitted(
        &self,
        ctx: &Context,
        request: Request<Bytes>,
        costs: &[Cost],
        repeatable: bool,
    ) -> Result<Answer> {
        let mut pause = READ_PAUSE;
        let mut renewed = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let authorization = self.auth.authorize(ctx).await?;
            let permit = admit(ctx, costs).await?;
            let mut attempted = request.clone();
            attempted.headers_mut().insert(header::AUTHORIZATION, authorization.header().clone());
            let answer = self.attempt(ctx, attempted, repeatable).await;
            permit.finish(ctx).await;
            let error = match answer {
                Ok(answer) => match (self.check)(&answer) {
                    Ok(()) => return Ok(answer),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            report_pause(ctx, costs, &error).await;
            tracing::debug!(attempt, kind = %error.kind(), effect = ?error.effect(), "attempt failed");

            if error.kind() == ErrorKind::Unauthenticated && error.effect() == Effect::None && !renewed {
                renewed = true;
                match self.auth.rejected(ctx, &authorization).await {
                    Ok(()) => continue,
                    // Nothing can be renewed: what the API said, with its code, tells more than that.
                    Err(dead) if dead.kind() == ErrorKind::Unauthenticated => {
                        return Err(error.with_scope(dead.scope().clone()).with_source(dead));
                    }
                    Err(later) => return Err(later),
                }
            }
            let stale_connection = error.effect() == Effect::None && error.context(NEVER_SENT).is_some();
            let may_repeat = if repeatable {
                error.retry() != Retry::Never && attempt < READ_TRIES
            } else {
                stale_connection && attempt == 1
            };
            let next = match error.retry() {
                Retry::At(at) => at.max(ctx.now()),
                _ => ctx.now() + pause,
            };
            if !may_repeat || next >= ctx.deadline() || next > ctx.now() + Limits::TOTAL {
                return Err(error);
            }
            pause = pause.saturating_mul(2);
            sleep_until(ctx.clock(), next).await;
        }
    }

    async fn attempt(&self, ctx: &Context, request: Request<Bytes>, read: bool) -> Result<Answer> {
        let limits = Limits::within(Limits::TOTAL.min(ctx.time_left()));
        match ctx.transport().send(request, limits).await {
            Ok(response) => Ok(Answer::new(response, ctx.now())),
            Err(error) => Err(unanswered(error, read)),
        }
    }

    fn require_own_origin(&self, request: &Request<Bytes>) -> Result<()> {
        let target = Url::parse(&request.uri().to_string()).map(|url| url.origin());
        if target == Ok(self.base.origin()) && matches!(self.base.origin(), Origin::Tuple(..)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            "refused to send credentials to a host that is not the connection's own",
        ))
    }
}

const NEVER_SENT: &str = "never_sent";

/// What a call that got no whole answer means. Reads have no effect, whatever happened.
fn unanswered(error: TransportError, read: bool) -> Error {
    let phase = error.phase();
    let (effect, message) = match phase {
        Phase::NotWritten => (Effect::None, "the request could not be sent"),
        Phase::Written => (Effect::Unknown, "the request was sent, but not answered"),
        Phase::StatusRead(_) => (Effect::Unknown, "the answer broke off"),
    };
    let mut judged = Error::new(ErrorKind::Unavailable, message)
        .with_effect(if read { Effect::None } else { effect })
        .with_source(error);
    match phase {
        Phase::NotWritten => judged = judged.with_context(NEVER_SENT, true),
        Phase::Written => {}
        Phase::StatusRead(status) => judged = judged.with_context("status", status.as_u16()),
    }
    judged
}

struct Admitted<'a> {
    costs: &'a [Cost],
    permit: Option<crate::rate::Permit>,
}

impl Admitted<'_> {
    /// Ends what was counted as under way. A limiter that cannot be told forgets by itself.
    async fn finish(self, ctx: &Context) {
        let Some(permit) = self.permit else { return };
        for cost in self.costs.iter().filter(|cost| cost.counts_concurrency()) {
            if let Err(error) = ctx.limiter().report(&cost.key, Feedback::Finished(permit), ctx.now()).await {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that a call is over");
            }
        }
    }
}

/// Waits for room, but not beyond the deadline: then the caller gives its place back and comes again.
async fn admit<'a>(ctx: &Context, costs: &'a [Cost]) -> Result<Admitted<'a>> {
    if costs.is_empty() {
        return Ok(Admitted { costs, permit: None });
    }
    loop {
        match ctx.limiter().admit(costs, ctx.now()).await? {
            Admission::Admitted(permit) => return Ok(Admitted { costs, permit: Some(permit) }),
            Admission::NotBefore(at) if at >= ctx.deadline() => {
                return Err(Error::new(ErrorKind::RateLimited, "no room before the call's deadline")
                    .with_retry(Retry::At(at))
                    .with_scope(Scope::Quota(costs[0].key.clone())));
            }
            Admission::NotBefore(at) => sleep_until(ctx.clock(), at).await,
        }
    }
}

/// Passes a vendor's "not before" on to the limiter, so that everybody who spends from the key waits.
async fn report_pause(ctx: &Context, costs: &[Cost], error: &Error) {
    let (ErrorKind::RateLimited, Retry::At(until)) = (error.kind(), error.retry()) else { return };
    let keys: Vec<_> = match error.scope() {
        Scope::Quota(key) => vec![key],
        _ => costs.iter().map(|cost| &cost.key).collect(),
    };
    for key in keys {
        if let Err(error) = ctx.limiter().report(key, Feedback::PausedUntil(until), ctx.now()).await {
            tracing::warn!(%error, %key, "the limiter could not be told to pause");
        }
    }
}

/// Refuses URLs over which a token would travel in clear.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] unless the URL is https, or http to a loopback address.
pub(crate) fn require_secure(url: &Url) -> Result<()> {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && loopback) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ConfigInvalid, "expected an https URL, or http to a loopback address")
        .with_context("scheme", url.scheme())
        .with_context("host", url.host_str().unwrap_or("")))
}

/// The kind of error an HTTP status stands for, when the vendor's code says nothing better, with the effect of a
/// write: a 4xx was refused, anything else may have happened.
#[must_use]
pub fn error_for_status(status: StatusCode) -> Error {
    let kind = match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        408 | 500..=599 => ErrorKind::Unavailable,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        300..=399 => ErrorKind::ConfigInvalid,
        _ => ErrorKind::InvalidResponse,
    };
    let refused =
        status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT || status.is_redirection();
    Error::new(kind, "the API answered with an error status")
        .with_effect(if refused { Effect::None } else { Effect::Unknown })
        .with_context("status", status.as_u16())
}
