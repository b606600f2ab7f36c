//! The pipeline of one connection: retry → rate limit → auth → trace → transport.

mod admission;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use admission::{AdmittedAttempt, pause_quota};
use bytes::Bytes;
use http::{Request, header};
use tracing::Instrument;
use url::{Origin, Url};

use super::{
    Answer, Authenticator, Authorization, Limits, Phase, TransportError,
    classify::{classify_answer, classify_failure},
    require_secure,
};
use crate::{
    Context, Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp, calls::CallMade, clock::sleep_until,
    error_context, model::Cost,
};

/// How often a read is tried within one call. Longer patience is the engine's: it keeps it in the log.
const READ_TRIES: u32 = 3;
/// The first pause of a read that failed; it doubles.
const READ_PAUSE: Duration = Duration::from_millis(500);
/// No attempt begins later than this after its call.
const PATIENCE: Duration = Duration::from_secs(30);
/// With less than this left no attempt begins: it would only end in doubt.
const LEAST_TIME: Duration = Duration::from_secs(1);
/// How much longer than allowed a transport may take before it is no longer waited for.
const GRACE: Duration = Duration::from_secs(1);
/// What was admitted may be this late: limiters allow for no more than 100 ms.
const AT_ONCE: Duration = Duration::from_millis(50);

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

/// One call: a request, its name, and what each attempt of it spends. `Debug` shows no URL, header or body.
pub struct Call {
    operation: &'static str,
    request: Request<Bytes>,
    costs: Vec<Cost>,
    repeatable: bool,
    renews: bool,
    limit: Duration,
}

impl Call {
    /// A call that changes nothing on the other side: tried up to three times.
    #[must_use]
    pub fn read(operation: &'static str, request: Request<Bytes>) -> Self {
        Self { operation, request, costs: Vec::new(), repeatable: true, renews: true, limit: Limits::TOTAL }
    }

    /// A call that does something: repeated only when it is known not to have happened, because no connection
    /// could be made or the token was refused.
    #[must_use]
    pub fn write(operation: &'static str, request: Request<Bytes>) -> Self {
        Self { operation, request, costs: Vec::new(), repeatable: false, renews: true, limit: Limits::TOTAL }
    }

    /// What each attempt spends. A delivery's own costs are admitted by the engine and not repeated here.
    ///
    /// The first names the key that is paused when the other side says "too often" and `check` does not say of
    /// which key.
    #[must_use]
    pub fn with_costs(mut self, costs: Vec<Cost>) -> Self {
        self.costs = costs;
        self
    }

    /// Sets how long the answer to one attempt may take, for what is known to take its time, such as a large upload or a
    /// posting. Default: [`Limits::TOTAL`]. The context's deadline holds all the same.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How long the call may take with all that belongs to it: what it asks of the other side is sent within that time, or
    /// not at all.
    #[must_use]
    pub fn longest(&self) -> Duration {
        PATIENCE.saturating_add(self.limit)
    }

    /// The token has just been accepted: who refuses it now means this call, and a fresh one would be refused as well.
    /// So none is asked for; some vendors issue only a few.
    #[must_use]
    pub fn with_proven_token(mut self) -> Self {
        self.renews = false;
        self
    }
}

impl Client {
    /// How long a call may take whose limit is the default: see [`Call::longest`].
    pub const LONGEST: Duration = PATIENCE.saturating_add(Limits::TOTAL);

    /// A client for the API below `base`. `check` is the vendor's classification of an answer: it returns an error for
    /// everything that is no success, also behind a 200. It need not look at `Retry-After`: the pipeline does.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] unless `base` is https, or http to a loopback address, and nothing but an
    /// origin and a path.
    pub fn new(
        system: &'static str,
        base: Url,
        auth: Arc<dyn Authenticator>,
        check: fn(&Answer) -> Result<()>,
    ) -> Result<Self> {
        require_secure(&base)?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a base URL has neither a query nor a fragment",
            ));
        }
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

    /// Makes a call, and is done within [`longest`](Call::longest) or the context's deadline, whichever comes first: waiting for the
    /// limiter, for a token and between tries is part of it. Dropping the future ends the call; what it was
    /// admitted as under way is given back.
    ///
    /// # Errors
    /// What `check` says of the answer, or what the transport met. A read has no effect; the effect of a write is
    /// known not to have happened, or unknown. [`ErrorKind::RateLimited`] with [`Retry::At`] when the limiter or
    /// the other side says later than this call can wait. [`ErrorKind::Unauthenticated`] in the scope of the
    /// connection when a fresh token is refused as well, or none may be asked for. [`ErrorKind::InvalidRequest`] when the request goes to
    /// another origin.
    pub async fn send(&self, ctx: &Context, call: Call) -> Result<Answer> {
        let operation = call.operation;
        let span = tracing::debug_span!("http_call", system = self.system, operation);
        self.send_in_time(&ctx.within(call.longest()), &call)
            .instrument(span)
            .await
            .map_err(|error| error.with_operation(operation))
    }

    async fn send_in_time(&self, ctx: &Context, call: &Call) -> Result<Answer> {
        let Call { request, costs, repeatable: read, renews, .. } = call;
        self.require_own_origin(request)?;
        let begin_by = (ctx.deadline() - LEAST_TIME).min(ctx.now() + PATIENCE);
        let (mut renewed, mut resent) = (!renews, false);
        let (mut tries, mut pause) = (0, READ_PAUSE);
        loop {
            let (authorization, outcome) = self.attempt(ctx, call, begin_by).await?;
            let Failed { error, unsent } = match outcome {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let error = if *read { error.with_effect(Effect::None) } else { error };
            tracing::debug!(kind = %error.kind(), effect = ?error.effect(), "attempt failed");

            if error.kind() == ErrorKind::Unauthenticated && error.effect() == Effect::None {
                if renewed {
                    return Err(error.with_scope(Scope::Connection));
                }
                renewed = true;
                match self.auth.rejected(ctx, &authorization).await {
                    Ok(()) => continue,
                    // Nothing can be renewed: what the API said, with its code, tells more than that.
                    Err(dead) if dead.kind() == ErrorKind::Unauthenticated => {
                        return Err(error.with_scope(dead.scope().clone()).with_source(dead));
                    }
                    // Nor can it yet: so does it tell more, and when it can is known.
                    Err(young) if young.context(error_context::TOO_YOUNG).is_some() => {
                        let error = error.with_scope(young.scope().clone()).with_retry(young.retry());
                        return Err(error.with_source(young));
                    }
                    Err(later) => return Err(later),
                }
            }
            // A kept connection that turns out to be closed says nothing about the other side.
            if unsent && !resent && error.retry() != Retry::Never {
                resent = true;
                continue;
            }
            tries += 1;
            let next = match error.retry() {
                Retry::At(at) => at.max(ctx.now() + pause),
                _ => ctx.now() + pause,
            };
            let error = pause_quota(ctx, costs, error, next).await;
            if !*read || error.retry() == Retry::Never || tries == READ_TRIES || next > begin_by {
                return Err(error);
            }
            pause = pause.saturating_mul(2);
            sleep_until(ctx.clock(), next).await;
        }
    }

    /// One attempt, once there is room for it. The outer error says that it never began.
    async fn attempt(
        &self,
        ctx: &Context,
        Call { operation, request, costs, limit, .. }: &Call,
        begin_by: Timestamp,
    ) -> Result<(Authorization, Result<Answer, Failed>)> {
        require_time(ctx)?;
        let began = ctx.now();
        // A token may take a while; what was admitted goes out at once.
        let mut authorization = self.auth.authorize(ctx).await?;
        let (mut under_way, waits) = AdmittedAttempt::when_admitted(ctx, costs, begin_by).await?;
        if !waits.is_empty() {
            // Meanwhile its token may have come to its end. One that has to be renewed first is not waited for: the room would
            // be gone. The old one is tried, and renewed when it is refused.
            if let Ok(fresh) = tokio::time::timeout(AT_ONCE, self.auth.authorize(ctx)).await {
                authorization = fresh?;
            }
        }
        require_time(ctx)?;
        // The last wait is over: from here on it goes out.
        ctx.require_lease()?;
        let mut request = request.clone();
        request.headers_mut().insert(header::AUTHORIZATION, authorization.header().clone());
        let limits = Limits::within((*limit).min(ctx.time_left()));
        let sent_at = ctx.now();
        let response = tokio::time::timeout(limits.total + GRACE, ctx.transport().send(request, limits));
        let outcome = match response.await {
            Ok(Ok(response)) => {
                let answer = Answer::new(response, ctx.now());
                if let Some(date) = answer.date() {
                    ctx.learn_clock(date, sent_at, answer.received_at);
                }
                classify_answer(answer, self.check).map_err(|error| Failed { error, unsent: false })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(TransportError::new(Phase::Written, "the transport did not keep its time").into()),
        };
        if let (Some(under_way), Err(failed)) = (&mut under_way, &outcome) {
            under_way.failed(&failed.error);
        }
        ctx.called(|| CallMade {
            operation: (*operation).to_owned(),
            began,
            ended: ctx.now(),
            waits,
            error: outcome.as_ref().err().map(|failed| failed.error.kind().to_string()),
        });
        Ok((authorization, outcome))
    }

    fn require_own_origin(&self, request: &Request<Bytes>) -> Result<()> {
        let own = Url::parse(&request.uri().to_string()).is_ok_and(|target| {
            target.origin() == self.base.origin()
                && matches!(target.origin(), Origin::Tuple(..))
                && target.username().is_empty()
                && target.password().is_none()
        });
        if own {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            "refused to send credentials to an origin that is not the connection's own",
        ))
    }
}

/// An attempt that began and did not succeed.
struct Failed {
    error: Error,
    /// The other side has seen nothing of it.
    unsent: bool,
}

impl From<TransportError> for Failed {
    fn from(error: TransportError) -> Self {
        Self { unsent: error.phase() == Phase::NotWritten, error: classify_failure(error) }
    }
}

fn require_time(ctx: &Context) -> Result<()> {
    if ctx.time_left() >= LEAST_TIME {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unavailable, "too little of the call's time is left to begin an attempt"))
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("method", self.request.method())
            .field("body_bytes", &self.request.body().len())
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}
