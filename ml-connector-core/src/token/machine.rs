//! What may happen to a chain of tokens: a pure function, so that every interleaving of hosts can be tried.

#[cfg(test)]
mod tests;

use std::time::Duration;

use uuid::Uuid;

use super::{
    Rotation,
    blob::{Blob, Cause, Kept, ReceivedAnswer, RefreshPhase, TokenFailure},
    digest,
};
use crate::{Secret, Timestamp};

/// The first pause after a failure; it doubles.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The longest pause while the token endpoint is down.
const COOL_DOWN_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest pause while the app's id or secret is wrong. It is tried again at all because the cure may lie on
/// the vendor's side.
const MISCONFIGURED_MAX: Duration = Duration::from_secs(60 * 60);
/// Requests are counted over this long (Zoho: access tokens per refresh token in ten minutes).
const BUDGET_WINDOW: Duration = Duration::from_secs(600);
/// Some count a day besides (Exact: 200).
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A token has to live until the vendor has finished with the request that carries it.
const MARGIN: Duration = Duration::from_secs(10);
/// How far the clocks of two hosts may be apart.
const SKEW: Duration = Duration::from_secs(5);

/// How many configured refresh tokens are remembered. A rolling update of the hosts knows two.
const SEEDS_MAX: usize = 16;

/// The code of a failure that is a lost answer.
const NO_ANSWER: &str = "no_answer";
/// The code of a failure in which nothing could be sent.
const UNREACHABLE: &str = "unreachable";
/// The code of a failure that is an API's refusal of a token that nothing can renew.
const TOKEN_REFUSED: &str = "token_refused";

/// How one vendor's chain behaves.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) rotation: Rotation,
    pub(crate) refresh_after: Option<Duration>,
    pub(crate) lead: Duration,
    pub(crate) not_before: Duration,
    /// Requests in ten minutes.
    pub(crate) budget: u32,
    /// Requests in a day.
    pub(crate) day_budget: Option<u32>,
    /// How long a throttle answer without a date lasts.
    pub(crate) throttle_pause: Duration,
    /// How long one request may take.
    pub(crate) deadline: Duration,
    /// How long the vendor keeps a refresh token that is not used.
    pub(crate) idle_life: Option<Duration>,
    /// Whether there is nothing to ask with but a refresh token.
    pub(crate) needs_refresh_token: bool,
    /// Whether an access token without an end may come alone.
    pub(crate) unending: bool,
    /// The configured first refresh token.
    pub(crate) initial: Option<Secret>,
    /// Its digest.
    pub(crate) seed: Option<String>,
    /// Who asks, and where.
    pub(crate) config: Configured,
}

/// The configuration that a failure is blamed on: with another one it is tried again at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configured {
    pub(crate) token_url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) key_id: String,
}

impl Configured {
    /// The endpoint without a query, for log lines.
    pub(super) fn shown_url(&self) -> &str {
        self.token_url.split('?').next().unwrap_or_default()
    }

    /// Its digest at present: the secret may be changed.
    fn digest(&self) -> String {
        let Self { token_url, client_id, client_secret, key_id } = self;
        digest(&[token_url, client_id, client_secret.expose(), key_id])
    }
}

/// What is wished, or has happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A newer token is wanted.
    Want { owner: Uuid },
    /// The holder of the claim is about to send.
    Send { owner: Uuid },
    /// It has not sent after all: because nothing could be sent, if it says why.
    Unsent { owner: Uuid, generation: u64, why: Option<String> },
    /// It has sent, and will never know the answer.
    Lost { owner: Uuid },
    /// An answer arrived, in time or not.
    Answered(ReceivedAnswer),
    /// An answer that was received means this.
    Classified(ReceivedAnswer, TokenOutcome),
    /// A token of this generation was refused by the API.
    Rejected { generation: u64 },
    /// Somebody has connected.
    Connect(Granted),
}

/// What an answer means.
#[derive(Debug, Clone)]
pub(crate) enum TokenOutcome {
    Granted(Granted),
    /// No token, for this cause. A few vendors send a refresh token along.
    Failed {
        cause: Cause,
        code: String,
        /// What a person has to know.
        message: Option<String>,
        until: Option<Timestamp>,
        refresh: Option<Secret>,
    },
    /// A success that cannot be read: the refresh token may be spent.
    Unreadable,
}

/// New tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Granted {
    pub(crate) access: Option<Secret>,
    /// `None`: the vendor names no end.
    pub(crate) expires_in: Option<Duration>,
    /// `None`: the old one stays.
    pub(crate) refresh: Option<Secret>,
    /// How long the refresh token lives; `None`: the vendor does not say.
    pub(crate) refresh_expires_in: Option<Duration>,
    /// What was granted; empty: the vendor did not say, and what it said before holds.
    pub(crate) scopes: Vec<String>,
}

/// What to do once the new state is stored.
#[derive(Debug, Clone)]
pub(crate) enum NextAction {
    /// There is nothing to do.
    Done,
    /// Look again.
    Again,
    /// Somebody else is at it, at most until then.
    Wait(Timestamp),
    /// The claim is ours: send.
    Claimed,
    /// Ask the token endpoint now.
    Ask { refresh: Option<Secret>, generation: u64, at: Timestamp },
    /// Find out what this answer means.
    Classify(ReceivedAnswer),
    /// It cannot go on.
    Stop(Blocked),
}

/// Why no token can be asked for.
#[derive(Debug, Clone)]
pub(crate) enum Blocked {
    /// Nobody has connected.
    NoToken,
    /// The vendor, or our own restraint, says later.
    Until(Timestamp),
    Failed(TokenFailure),
}

/// How urgent a newer token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// The token is good, but it is time to renew it.
    Soon,
    Now,
}

impl Rules {
    /// How long a claim, or a request without an answer, keeps others away: the holder sends within one deadline,
    /// or not at all, and has an answer within the next.
    pub(crate) fn claim(&self) -> Duration {
        self.deadline * 2 + SKEW
    }

    /// Whether an instant written by a host that may be gone still keeps others away. One that lies too far ahead
    /// was written by a clock that was wrong.
    fn holds(&self, until: Timestamp, now: Timestamp) -> bool {
        now < until && until <= now + self.claim() * 2
    }

    /// The age at which a chain is renewed though nobody may want it: half of what the vendor allows, so that weeks
    /// of trouble fit into the other half.
    fn keep_alive_after(&self) -> Option<Duration> {
        self.idle_life.map(|life| life / 2)
    }

    /// Whether somebody who has consented is connected with these tokens.
    pub(crate) fn connects_with(&self, granted: &Granted) -> bool {
        let unending = self.unending && granted.access.is_some() && granted.expires_in.is_none();
        granted.refresh.is_some() || unending
    }
}

/// How urgent a newer token is.
pub(crate) fn need(blob: &Blob, now: Timestamp, rules: &Rules) -> Need {
    // The host that received it has died: the account is another one from here on.
    if blob.received.iter().any(|received| received.consent) || blob.is_superseded(rules) {
        return Need::Now;
    }
    let (Some(_), Some(issued)) = (&blob.access, blob.issued_at) else { return Need::Now };
    if blob.is_unending(rules) {
        return Need::Nothing;
    }
    let age = rules.refresh_after.into_iter().chain(rules.keep_alive_after()).min();
    let by_age = age.map(|age| issued + age);
    let due = match blob.expires_at {
        Some(expires) => {
            let life = expires.saturating_since(issued);
            if expires.saturating_since(now) <= MARGIN.min(life / 20) {
                return Need::Now;
            }
            // A lead as long as the life itself would renew without end.
            let by_end = expires - rules.lead.min(life / 2);
            Some(by_age.map_or(by_end, |by_age| by_age.min(by_end)))
        }
        None => by_age,
    };
    match due {
        Some(due) if now >= due.max(issued + rules.not_before) => Need::Soon,
        _ => Need::Nothing,
    }
}

/// Whether the refresh token has to be used, lest it die of disuse. One that was never used may be of any age.
pub(crate) fn is_idle(blob: &Blob, now: Timestamp, rules: &Rules) -> bool {
    let Some(age) = rules.keep_alive_after() else { return false };
    (blob.refresh.is_some() || blob.is_superseded(rules))
        && blob.issued_at.is_none_or(|issued| now >= issued + age)
}

/// The only way in which a chain changes. `None`: it stays as it is, and nothing is written.
pub(crate) fn step(blob: &Blob, input: &Input, now: Timestamp, rules: &Rules) -> (Option<Blob>, NextAction) {
    match input {
        Input::Want { owner } => want(blob, *owner, now, rules),
        Input::Send { owner } => send(blob, *owner, now, rules),
        Input::Unsent { owner, generation, why } => {
            (unsent(blob, *owner, *generation, why.as_ref(), now, rules), NextAction::Again)
        }
        Input::Lost { owner } => {
            let Some(mut next) = end_request(blob, *owner) else { return (None, NextAction::Again) };
            next.lose(now, rules);
            (Some(next), NextAction::Again)
        }
        Input::Answered(received) => {
            let mut next = end_request(blob, received.by).unwrap_or_else(|| blob.clone());
            if !next.received.iter().any(|known| known.is(received)) {
                next.received.push(received.clone());
            }
            (Some(next), NextAction::Classify(received.clone()))
        }
        Input::Classified(received, verdict) => {
            let Some(place) = blob.received.iter().position(|known| known.is(received)) else {
                return (None, NextAction::Again); // somebody else has classified it
            };
            let mut next = blob.clone();
            next.received.remove(place);
            next.settle(received, verdict, now, rules);
            (Some(next), NextAction::Again)
        }
        Input::Rejected { generation } => {
            if blob.generation != *generation || blob.access.is_none() {
                return (None, NextAction::Done);
            }
            if blob.is_unending(rules) {
                let mut next = blob.clone();
                next.access = None;
                let failure = next.fail(Cause::Refused, TOKEN_REFUSED.into(), None, now, rules).clone();
                return (Some(next), NextAction::Stop(Blocked::Failed(failure)));
            }
            // A refused token that cannot be replaced yet is kept: it may serve other calls.
            if let Some(blocked) = blocked(blob, now, rules) {
                return (None, NextAction::Stop(blocked));
            }
            let mut next = blob.clone();
            (next.access, next.expires_at) = (None, None);
            (Some(next), NextAction::Done)
        }
        Input::Connect(granted) => {
            let mut next = blob.clone();
            next.connect(granted, now, rules);
            (Some(next), NextAction::Done)
        }
    }
}

fn want(blob: &Blob, owner: Uuid, now: Timestamp, rules: &Rules) -> (Option<Blob>, NextAction) {
    if let Some(received) = blob.received.first() {
        return (None, NextAction::Classify(received.clone()));
    }
    if need(blob, now, rules) == Need::Nothing {
        return (None, NextAction::Done);
    }
    let mut next = blob.clone();
    match blob.phase {
        RefreshPhase::Idle => {}
        RefreshPhase::Claimed { owner: holder, until } => {
            if holder != owner && rules.holds(until, now) {
                return (None, NextAction::Wait(until));
            }
        }
        RefreshPhase::Sent { at, .. } => {
            let until = at + rules.claim();
            if rules.holds(until, now) {
                return (None, NextAction::Wait(until));
            }
            next.phase = RefreshPhase::Idle;
            next.lose(now, rules);
        }
    }
    next.begin_anew(rules);
    next.try_changed_config(rules);
    if let Some(blocked) = blocked(&next, now, rules) {
        return ((next != *blob).then_some(next), NextAction::Stop(blocked));
    }
    next.learn_seed(rules);
    next.phase = RefreshPhase::Claimed { owner, until: now + rules.claim() };
    (Some(next), NextAction::Claimed)
}

fn send(blob: &Blob, owner: Uuid, now: Timestamp, rules: &Rules) -> (Option<Blob>, NextAction) {
    let ours = matches!(blob.phase, RefreshPhase::Claimed { owner: holder, until } if holder == owner && now < until);
    if !ours || !blob.received.is_empty() {
        return (None, NextAction::Again);
    }
    if let Some(blocked) = blocked(blob, now, rules) {
        return (None, NextAction::Stop(blocked));
    }
    let mut next = blob.clone();
    next.phase = RefreshPhase::Sent { owner, at: now };
    let kept = if rules.day_budget.is_some() { DAY } else { BUDGET_WINDOW };
    next.asked.retain(|at| is_recent(*at, now, kept));
    next.asked.push(now);
    let refresh = blob.refresh.as_ref().map(|kept| kept.0.clone());
    (Some(next), NextAction::Ask { refresh, generation: blob.generation, at: now })
}

fn unsent(
    blob: &Blob,
    owner: Uuid,
    generation: u64,
    why: Option<&String>,
    now: Timestamp,
    rules: &Rules,
) -> Option<Blob> {
    if let Some(mut next) = end_request(blob, owner) {
        next.asked.pop();
        if let Some(why) = why {
            next.fail(Cause::Unavailable, UNREACHABLE.into(), None, now, rules).message = Some(why.clone());
        }
        return Some(next);
    }
    // Somebody has taken over and counted the answer as lost. There was none to lose.
    if blob.generation != generation || blob.lost == 0 {
        return None;
    }
    let mut next = blob.clone();
    next.lost -= 1;
    next.failure.take_if(|failure| failure.code == NO_ANSWER);
    Some(next)
}

/// The state without this owner's request, if it is the one under way.
fn end_request(blob: &Blob, owner: Uuid) -> Option<Blob> {
    if !matches!(blob.phase, RefreshPhase::Sent { owner: sender, .. } if sender == owner) {
        return None;
    }
    let mut next = blob.clone();
    next.phase = RefreshPhase::Idle;
    Some(next)
}

/// Whether something may have happened then. What lies ahead was written by a clock that was wrong: nobody waits until
/// the right time has come as far.
fn is_credible(at: Timestamp, now: Timestamp) -> bool {
    at <= now + SKEW
}

/// Whether a request counts that was sent then.
fn is_recent(at: Timestamp, now: Timestamp, window: Duration) -> bool {
    is_credible(at, now) && now.saturating_since(at) < window
}

/// Why the token endpoint may not be asked now.
fn blocked(blob: &Blob, now: Timestamp, rules: &Rules) -> Option<Blocked> {
    if let Some(failure) = &blob.failure
        && failure.config == rules.config.digest()
        && failure.until.is_none_or(|until| now < until)
        && failure.at.is_none_or(|at| is_credible(at, now))
    {
        return Some(Blocked::Failed(failure.clone()));
    }
    if rules.needs_refresh_token && blob.refresh.is_none() {
        return Some(Blocked::NoToken);
    }
    if let Some(issued) = blob.issued_at.filter(|issued| is_credible(*issued, now))
        && !rules.not_before.is_zero()
        && now < issued + rules.not_before
    {
        return Some(Blocked::Until(issued + rules.not_before));
    }
    let full_until = |budget: u32, window: Duration| {
        let recent: Vec<_> = blob.asked.iter().filter(|at| is_recent(**at, now, window)).collect();
        let excess = recent.len().checked_sub(usize::try_from(budget).unwrap_or(usize::MAX))?;
        recent.get(excess).map(|oldest| **oldest + window)
    };
    let day = rules.day_budget.and_then(|budget| full_until(budget, DAY));
    full_until(rules.budget, BUDGET_WINDOW).max(day).map(Blocked::Until)
}

impl Blob {
    /// Whether somebody has to connect anew.
    pub(crate) fn is_parked(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.until.is_none())
    }

    /// Whether its token has no end and nothing can renew it.
    pub(crate) fn is_unending(&self, rules: &Rules) -> bool {
        rules.needs_refresh_token && self.refresh.is_none() && self.access.is_some()
    }

    /// Whether a refresh token is configured that began no chain here yet: the customer has consented anew. Of a
    /// chain that works it has to be certain that it is another one.
    fn is_superseded(&self, rules: &Rules) -> bool {
        let Some(seed) = &rules.seed else { return false };
        match &self.seeds {
            Some(known) => !known.contains(seed),
            None => self.is_parked() || (self.refresh.is_none() && self.access.is_none()),
        }
    }

    /// Begins another chain with the configured refresh token, if that one is new here. Should it be refused, the
    /// chain that is there goes on, unless its token may be spent.
    fn begin_anew(&mut self, rules: &Rules) {
        if !self.is_superseded(rules) {
            return;
        }
        self.learn_seed(rules);
        let initial = rules.initial.clone().map(Kept);
        if self.refresh == initial {
            return;
        }
        let in_doubt = self.lost > 0 && rules.rotation != Rotation::None;
        let former = std::mem::replace(&mut self.refresh, initial);
        (self.access, self.issued_at, self.expires_at) = (None, None, None);
        self.refresh_expires_at = None;
        (self.spare, self.former) = (None, former.filter(|_| !in_doubt));
        self.begin_generation();
        self.since = self.generation;
    }

    fn learn_seed(&mut self, rules: &Rules) {
        let known = self.seeds.get_or_insert_default();
        if let Some(seed) = rules.seed.as_ref().filter(|seed| !known.contains(seed)) {
            known.push(seed.clone());
            known.drain(..known.len().saturating_sub(SEEDS_MAX));
        }
    }

    /// Begins another chain in place of this one. Whatever is configured is older.
    fn connect(&mut self, granted: &Granted, at: Timestamp, rules: &Rules) {
        let (generation, seeds) = (self.generation, self.seeds.take());
        *self = Self::new(None);
        (self.generation, self.seeds) = (generation, seeds);
        if rules.seed.is_some() {
            self.learn_seed(rules);
        }
        self.renew(granted, at);
        self.since = self.generation;
    }

    fn settle(&mut self, received: &ReceivedAnswer, verdict: &TokenOutcome, now: Timestamp, rules: &Rules) {
        if received.consent {
            // Anything less says nothing about the chain that is there.
            if let TokenOutcome::Granted(granted) = verdict
                && rules.connects_with(granted)
            {
                self.connect(granted, received.at, rules);
            }
            return;
        }
        if received.generation < self.since {
            return;
        }
        let current = received.generation == self.generation;
        match verdict {
            TokenOutcome::Granted(granted) if current => self.renew(granted, received.at),
            TokenOutcome::Granted(granted) => self.keep_spare(granted.refresh.as_ref()),
            TokenOutcome::Unreadable if current => self.lose(now, rules),
            TokenOutcome::Unreadable => {}
            TokenOutcome::Failed { cause, code, message, until, refresh } => {
                self.keep_spare(refresh.as_ref());
                if !current {
                    return;
                }
                if *cause == Cause::Refused
                    && let other @ Some(_) = self.other_refresh_token()
                {
                    (self.refresh, self.refresh_expires_at) = (other, None);
                    self.begin_generation();
                } else {
                    let lost = self.maybe_lost(*cause, rules);
                    let message = message.as_ref().map(|message| format!("{message}{lost}"));
                    self.fail(*cause, code.clone(), *until, now, rules).message = message;
                }
            }
        }
    }

    fn renew(&mut self, granted: &Granted, at: Timestamp) {
        self.issued_at = granted.access.as_ref().map(|_| at);
        self.access = granted.access.clone().map(Kept);
        self.expires_at = granted.expires_in.map(|life| at + life);
        if let Some(refresh) = &granted.refresh {
            (self.refresh, self.refresh_expires_at) = (Some(Kept(refresh.clone())), None);
        }
        let refresh_ends = granted.refresh_expires_in.map(|life| at + life);
        self.refresh_expires_at = refresh_ends.or(self.refresh_expires_at);
        if !granted.scopes.is_empty() {
            self.scopes.clone_from(&granted.scopes);
        }
        (self.spare, self.former) = (None, None);
        self.begin_generation();
    }

    /// What is left to try when the refresh token is refused. The chain before a configured token only if no answer
    /// was lost since: that one may have been good, and its own answer may still come.
    fn other_refresh_token(&mut self) -> Option<Kept> {
        let lost = self.lost > 0;
        self.spare.take().or_else(|| self.former.take_if(|_| !lost))
    }

    /// Claims and requests belong to one generation.
    fn begin_generation(&mut self) {
        self.generation += 1;
        self.phase = RefreshPhase::Idle;
        self.lost = 0;
        self.failure = None;
    }

    /// For somebody who has to connect anew: a server that failed just before may have used up the refresh token.
    fn maybe_lost(&self, cause: Cause, rules: &Rules) -> String {
        let before = self.failure.as_ref().filter(|before| before.cause == Cause::Unavailable);
        match before.and_then(|before| before.at.zip(Some(&before.code))) {
            Some((at, code)) if cause == Cause::Refused && rules.rotation != Rotation::None => format!(
                " (the request before, at {at}, ended with {code}: it has probably led to a token that never arrived)"
            ),
            _ => String::new(),
        }
    }

    fn keep_spare(&mut self, refresh: Option<&Secret>) {
        let spare = refresh.cloned().map(Kept);
        if spare.is_some() && spare != self.refresh {
            self.spare = spare;
        }
    }

    /// What a lost answer means depends on what the vendor does to a refresh token.
    fn lose(&mut self, now: Timestamp, rules: &Rules) {
        self.lost = self.lost.saturating_add(1);
        match (rules.rotation, self.lost) {
            (Rotation::None | Rotation::RetryOnce, 1) => {} // once more at once
            (Rotation::None, _) | (Rotation::SingleUse, 1) => {
                self.fail(Cause::Unavailable, NO_ANSWER.into(), None, now, rules);
            }
            (Rotation::RetryOnce | Rotation::SingleUse, _) => {
                self.fail(Cause::AnswerLost, NO_ANSWER.into(), None, now, rules);
            }
        }
    }

    fn fail(
        &mut self,
        cause: Cause,
        code: String,
        until: Option<Timestamp>,
        now: Timestamp,
        rules: &Rules,
    ) -> &mut TokenFailure {
        let count = self.failure.as_ref().map_or(1, |failure| failure.count.saturating_add(1));
        let growing = |max: Duration| now + COOL_DOWN.saturating_mul(1 << (count - 1).min(16)).min(max);
        let until = match cause {
            Cause::Refused | Cause::AnswerLost => None,
            Cause::Misconfigured => Some(growing(MISCONFIGURED_MAX)),
            Cause::Unavailable => Some(growing(COOL_DOWN_MAX).max(until.unwrap_or(now))),
            Cause::Throttled => Some(until.unwrap_or(now + rules.throttle_pause).max(growing(COOL_DOWN))),
        };
        let at = until.map(|_| now);
        let failure =
            TokenFailure { cause, code, message: None, at, until, count, config: rules.config.digest() };
        self.failure.insert(failure)
    }

    /// A changed app, secret or endpoint ends a failure.
    fn try_changed_config(&mut self, rules: &Rules) {
        if self.failure.take_if(|failure| failure.config != rules.config.digest()).is_some() {
            self.lost = 0;
        }
    }
}
