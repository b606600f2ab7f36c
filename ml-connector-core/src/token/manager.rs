//! Drives a chain of tokens: each arrow of the machine is one swap.

use std::{
    borrow::Cow,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::OwnedMutexGuard, task::JoinHandle};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Stored, Swap, TokenKey,
    blob::{Blob, Cause, ReceivedAnswer, TokenFailure},
    machine::{Blocked, Input, Need, NextAction, Rules, TokenOutcome, is_idle, need, step},
};
use crate::{
    Context, Error, ErrorKind, Result, Retry, Scope, Secret, Timestamp,
    clock::sleep_until,
    error::with_causes,
    error_context,
    http::{Answer, Phase, TransportError},
};

/// How often another host's refresh is looked at, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The pauses between attempts to store an answer. A refresh token hangs on it.
const STORE_PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Where tokens come from.
#[async_trait]
pub(crate) trait Endpoint: Debug + Send + Sync + 'static {
    /// Sends one request.
    async fn ask(
        &self,
        ctx: &Context,
        refresh: Option<&Secret>,
    ) -> Result<http::Response<Bytes>, TransportError>;

    /// Says what an answer means.
    fn classify(&self, answer: &Answer) -> TokenOutcome;
}

/// One chain, as one process sees it. The chain itself is in the store.
#[derive(Debug)]
pub(crate) struct Manager<E> {
    key: TokenKey,
    rules: Rules,
    endpoint: E,
    owner: Uuid,
    /// Whoever holds it drives; it goes with the task, so that a caller who gives up stops nothing.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// An answer that could not be stored. It comes before everything else.
    unsaved: Mutex<Option<ReceivedAnswer>>,
}

/// Whether to wait for a host that is already asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Wait,
    GiveWay,
}

impl<E: Endpoint> Manager<E> {
    pub(crate) fn new(key: TokenKey, rules: Rules, endpoint: E) -> Self {
        Self { key, rules, endpoint, owner: Uuid::now_v7(), turn: Arc::default(), unsaved: Mutex::default() }
    }

    /// The chain with a token that can be used now. It waits for a refresh only when there is none.
    pub(crate) async fn usable(self: &Arc<Self>, ctx: &Context) -> Result<Blob> {
        let (_, blob) = self.load(ctx).await?;
        if let Some(blob) = blob {
            match need(&blob, ctx.now(), &self.rules) {
                Need::Nothing => return Ok(blob),
                Need::Soon => {
                    self.renew_in_background(ctx, &blob);
                    return Ok(blob);
                }
                Need::Now => {}
            }
        }
        let renewed = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            driven(self.spawn(ctx, turn, Patience::Wait)).await
        };
        tokio::select! {
            biased;
            renewed = renewed => renewed,
            () = sleep_until(ctx.clock(), ctx.deadline()) => {
                Err(Error::new(ErrorKind::Unavailable, "the token was not refreshed before the call's deadline"))
            }
        }
    }

    /// Uses the refresh token before it dies of disuse, unless somebody is at it.
    pub(crate) async fn keep_alive(self: &Arc<Self>, ctx: &Context) -> Result<()> {
        let blob = self.peek(ctx).await?.unwrap_or_else(|| Blob::new(None));
        if !is_idle(&blob, ctx.now(), &self.rules) {
            return Ok(());
        }
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return Ok(()) };
        driven(self.spawn(ctx, turn, Patience::GiveWay)).await.map(drop)
    }

    /// Applies an input that needs no request.
    pub(crate) async fn tell(&self, ctx: &Context, input: &Input) -> Result<()> {
        match self.apply(ctx, input).await? {
            (NextAction::Stop(blocked), _) => Err(blocked_error(&blocked)),
            _ => Ok(()),
        }
    }

    /// Stores the answer to the exchange of a consent's code, and then connects with it. Says what it meant.
    pub(crate) async fn consented(&self, ctx: &Context, answer: &Answer) -> Result<TokenOutcome> {
        let received = ReceivedAnswer::of_consent(Uuid::new_v4(), answer);
        self.store(ctx, &received).await.map_err(|error| error.with_context("token_answer", "lost"))?;
        let verdict = self.endpoint.classify(&received.answer());
        self.log(&received, &verdict);
        if let Err(error) = self.apply(ctx, &Input::Classified(received, verdict.clone())).await {
            tracing::warn!(%error, key = self.key.as_str(), "whoever wants the token next connects with the answer");
        }
        Ok(verdict)
    }

    /// The chain as it is, if there is one.
    pub(crate) async fn peek(&self, ctx: &Context) -> Result<Option<Blob>> {
        self.load(ctx).await.map(|(_, blob)| blob)
    }

    /// Where the chain is kept.
    pub(crate) fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Where its tokens come from.
    pub(crate) fn endpoint(&self) -> &E {
        &self.endpoint
    }

    /// When the endpoint may be asked for a chain that failed.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    fn renew_in_background(self: &Arc<Self>, ctx: &Context, blob: &Blob) {
        let (_, action) = step(blob, &Input::Want { owner: self.owner }, ctx.now(), &self.rules);
        if matches!(action, NextAction::Wait(_) | NextAction::Stop(_)) {
            return;
        }
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            drop(self.spawn(ctx, turn, Patience::GiveWay));
        }
    }

    fn spawn(
        self: &Arc<Self>,
        ctx: &Context,
        turn: OwnedMutexGuard<()>,
        patience: Patience,
    ) -> JoinHandle<Result<Blob>> {
        let (manager, ctx) = (Arc::clone(self), ctx.clone());
        let work = async move {
            let _turn = turn;
            let renewed = manager.drive(&ctx, patience).await;
            if let (Err(error), Patience::GiveWay) = (&renewed, patience) {
                tracing::debug!(%error, key = manager.key.as_str(), "token not renewed ahead of time");
            }
            renewed
        };
        tokio::spawn(work.in_current_span())
    }

    async fn drive(&self, ctx: &Context, patience: Patience) -> Result<Blob> {
        let want = Input::Want { owner: self.owner };
        let mut input = self.take_unsaved().map_or_else(|| want.clone(), Input::Answered);
        let mut poll = POLL.0;
        loop {
            let (action, blob) = match &input {
                Input::Answered(received) => self.keep(ctx, received).await?,
                input => self.apply(ctx, input).await?,
            };
            input = match action {
                NextAction::Done => return Ok(blob),
                // Whoever waits for a token has one; a lost answer with the old one still good is followed up.
                NextAction::Again
                    if patience == Patience::Wait && need(&blob, ctx.now(), &self.rules) != Need::Now =>
                {
                    return Ok(blob);
                }
                NextAction::Again => want.clone(),
                NextAction::Claimed => Input::Send { owner: self.owner },
                NextAction::Ask { refresh, generation, at } => {
                    self.ask(ctx, refresh.as_ref(), generation, at).await
                }
                NextAction::Classify(received) => {
                    let verdict = self.endpoint.classify(&received.answer());
                    self.log(&received, &verdict);
                    Input::Classified(received, verdict)
                }
                NextAction::Stop(blocked) => return Err(blocked_error(&blocked)),
                NextAction::Wait(_) if patience == Patience::GiveWay => return Ok(blob),
                NextAction::Wait(until) => {
                    sleep_until(ctx.clock(), until.min(ctx.now() + poll)).await;
                    poll = (poll * 2).min(POLL.1);
                    want.clone()
                }
            };
        }
    }

    /// Sends, unless the store was so slow that the answer might come after the claim.
    async fn ask(&self, ctx: &Context, refresh: Option<&Secret>, generation: u64, at: Timestamp) -> Input {
        let owner = self.owner;
        let now = ctx.now();
        if now < at || now.saturating_since(at) > self.rules.deadline {
            return Input::Unsent { owner, generation, why: None };
        }
        let answer = tokio::select! {
            biased;
            answer = self.endpoint.ask(ctx, refresh) => answer,
            () = sleep_until(ctx.clock(), now + self.rules.deadline) => {
                Err(TransportError::new(Phase::Written, "the transport did not keep its time limit"))
            }
        };
        let error = match answer {
            Ok(response) => {
                let answer = Answer::new(response, ctx.now());
                return Input::Answered(ReceivedAnswer::new(generation, owner, &answer));
            }
            Err(error) => error,
        };
        let why = with_causes(&error);
        let url = self.rules.config.shown_url();
        tracing::warn!(key = self.key.as_str(), generation, url, error = why, "no answer to a token request");
        match error.phase() {
            Phase::NotWritten => Input::Unsent { owner, generation, why: Some(why) },
            Phase::StatusRead(status) if !status.is_success() => {
                // The body does not matter: nothing was granted.
                let answer = Answer {
                    status,
                    headers: http::HeaderMap::new(),
                    body: Bytes::new(),
                    received_at: ctx.now(),
                };
                Input::Answered(ReceivedAnswer::new(generation, owner, &answer))
            }
            Phase::Written | Phase::StatusRead(_) => Input::Lost { owner },
        }
    }

    /// Stores an answer, or keeps it in memory and says so.
    async fn keep(&self, ctx: &Context, received: &ReceivedAnswer) -> Result<(NextAction, Blob)> {
        // In memory first: the runtime may stop between two attempts.
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = Some(received.clone());
        match self.store(ctx, received).await {
            Ok(kept) => {
                self.take_unsaved();
                Ok(kept)
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    key = self.key.as_str(),
                    generation = received.generation,
                    "a token answer could not be stored: it is kept in memory and lost if this process ends"
                );
                Err(error.with_context("token_answer", "kept in memory"))
            }
        }
    }

    /// Stores an answer, in several attempts.
    async fn store(&self, ctx: &Context, received: &ReceivedAnswer) -> Result<(NextAction, Blob)> {
        let input = Input::Answered(received.clone());
        for pause in STORE_PAUSES {
            match self.apply(ctx, &input).await {
                Ok(kept) => return Ok(kept),
                Err(error) => {
                    tracing::warn!(%error, key = self.key.as_str(), "a token answer is not stored yet");
                }
            }
            sleep_until(ctx.clock(), ctx.now() + pause).await;
        }
        self.apply(ctx, &input).await
    }

    fn take_unsaved(&self) -> Option<ReceivedAnswer> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn apply(&self, ctx: &Context, input: &Input) -> Result<(NextAction, Blob)> {
        let (mut version, mut current) = self.load(ctx).await?;
        loop {
            let blob = match (current, input) {
                (Some(blob), _) => blob,
                (None, Input::Want { .. } | Input::Connect(_)) => Blob::new(self.rules.initial.clone()),
                (None, Input::Answered(received)) if received.consent => Blob::new(None),
                // Deleted meanwhile: an answer does not bring it back.
                (None, _) => return Ok((NextAction::Stop(Blocked::NoToken), Blob::new(None))),
            };
            let (next, action) = step(&blob, input, ctx.now(), &self.rules);
            let Some(next) = next else { return Ok((action, blob)) };
            match ctx.tokens().swap(&self.key, version, Some(next.encode()?)).await? {
                Swap::Stored { .. } => return Ok((action, next)),
                Swap::Conflict(stored) => (version, current) = decode(stored)?,
            }
        }
    }

    async fn load(&self, ctx: &Context) -> Result<(Option<u64>, Option<Blob>)> {
        decode(ctx.tokens().load(&self.key).await?)
    }

    fn log(&self, received: &ReceivedAnswer, verdict: &TokenOutcome) {
        let (key, generation) = (self.key.as_str(), received.generation);
        match verdict {
            TokenOutcome::Granted(_) => tracing::debug!(key, generation, "token granted"),
            TokenOutcome::Failed { cause, code, .. } => {
                tracing::warn!(key, generation, ?cause, code, "token refused");
            }
            TokenOutcome::Unreadable => tracing::warn!(key, generation, "token answer not understood"),
        }
    }
}

async fn driven(task: JoinHandle<Result<Blob>>) -> Result<Blob> {
    task.await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the token refresh ended without a result").with_source(source)
    })?
}

fn decode(stored: Option<Stored>) -> Result<(Option<u64>, Option<Blob>)> {
    let Some(Stored { version, bytes }) = stored else { return Ok((None, None)) };
    Ok((Some(version), Some(Blob::decode(&bytes)?)))
}

/// What the caller of an API learns when there is no token to be had.
pub(crate) fn blocked_error(blocked: &Blocked) -> Error {
    let failure = match blocked {
        Blocked::NoToken => {
            return Error::new(ErrorKind::Unauthenticated, "nobody has connected this account yet")
                .with_scope(Scope::Connection);
        }
        Blocked::Until(until) => {
            return Error::new(ErrorKind::Unavailable, "the token cannot be renewed yet")
                .with_scope(Scope::Connection)
                .with_retry(Retry::At(*until))
                .with_context(error_context::TOO_YOUNG, true);
        }
        Blocked::Failed(failure) => failure,
    };
    let TokenFailure { cause, code, message, until, .. } = failure;
    let (kind, what) = cause.told();
    let retry = match (cause, until) {
        (Cause::Throttled | Cause::Unavailable, Some(until)) => Retry::At(*until),
        _ => Retry::Never,
    };
    Error::new(kind, told(what, message.as_deref()))
        .with_scope(Scope::Connection)
        .with_retry(retry)
        .with_context(error_context::CODE, code)
}

/// What happened, and what a person has to know about it.
pub(crate) fn told(what: &'static str, message: Option<&str>) -> Cow<'static, str> {
    message.map_or(Cow::Borrowed(what), |message| Cow::Owned(format!("{what}: {message}")))
}

impl Cause {
    /// What the caller of an API learns.
    fn told(self) -> (ErrorKind, &'static str) {
        match self {
            Self::Refused => (
                ErrorKind::Unauthenticated,
                "the token was refused, and the account has to be connected anew",
            ),
            Self::AnswerLost => (
                ErrorKind::Unauthenticated,
                "the answers to two token requests were lost: the account has to be connected anew",
            ),
            Self::Misconfigured => {
                (ErrorKind::ConfigInvalid, "the token endpoint refused the app's id, secret or request")
            }
            Self::Throttled => (ErrorKind::RateLimited, "the token endpoint wants to be left alone"),
            Self::Unavailable => (ErrorKind::Unavailable, "the token endpoint gave no usable answer"),
        }
    }
}
