//! What may happen to a chain of tokens: a pure function, so that every interleaving of hosts can be tried.

use std::time::Duration;

use uuid::Uuid;

use super::blob::{Blob, Cause, Failure, Kept, Phase, Received};
use crate::{Secret, Timestamp, auth::Rotation};

/// The first pause after a failure; it doubles.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The longest pause while the token endpoint is down.
const COOL_DOWN_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest pause while the app's id or secret is wrong. It is tried again at all because the cure may lie on
/// the vendor's side.
const MISCONFIGURED_MAX: Duration = Duration::from_secs(60 * 60);
/// Requests are counted over this long (Zoho: access tokens per refresh token in ten minutes).
const BUDGET_WINDOW: Duration = Duration::from_secs(600);
/// A token has to live until the vendor has finished with the request that carries it.
const MARGIN: Duration = Duration::from_secs(10);
/// How far the clocks of two hosts may be apart.
const SKEW: Duration = Duration::from_secs(5);

/// The code of a failure that is a lost answer.
const NO_ANSWER: &str = "no_answer";

/// How one vendor's chain behaves.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) rotation: Rotation,
    pub(crate) refresh_after: Option<Duration>,
    pub(crate) lead: Duration,
    pub(crate) not_before: Duration,
    /// Requests in ten minutes.
    pub(crate) budget: u32,
    /// How long a throttle answer without a date lasts.
    pub(crate) throttle_pause: Duration,
    /// How long one request may take.
    pub(crate) deadline: Duration,
    /// Whether there is anything to ask with but a refresh token.
    pub(crate) needs_refresh_token: bool,
    /// The configured first refresh token.
    pub(crate) initial: Option<Secret>,
    /// The digest of the configuration.
    pub(crate) config: String,
}

/// What is wished, or has happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A newer token is wanted.
    Want { owner: Uuid },
    /// The holder of the claim is about to send.
    Send { owner: Uuid },
    /// It has not sent after all.
    Unsent { owner: Uuid, generation: u64, cause: Option<&'static str> },
    /// It has sent, and will never know the answer.
    Lost { owner: Uuid },
    /// An answer arrived, in time or not.
    Answered(Received),
    /// An answer that was received means this.
    Judged(Received, Verdict),
    /// A token of this generation was refused by the API.
    Rejected { generation: u64 },
    /// Somebody has connected.
    Connect(Granted),
}

/// What an answer means.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Granted(Granted),
    /// No token, for this cause. A few vendors send a refresh token along.
    Failed {
        cause: Cause,
        code: String,
        until: Option<Timestamp>,
        refresh: Option<Secret>,
    },
    /// A success that cannot be read: the refresh token may be spent.
    Unreadable,
}

/// New tokens.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) access: Option<Secret>,
    /// `None`: the vendor names no end.
    pub(crate) expires_in: Option<Duration>,
    /// `None`: the old one stays.
    pub(crate) refresh: Option<Secret>,
}

/// What to do once the new state is stored.
#[derive(Debug, Clone)]
pub(crate) enum Action {
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
    Judge(Received),
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
    Failed(Failure),
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
}

/// How urgent a newer token is.
pub(crate) fn need(blob: &Blob, now: Timestamp, rules: &Rules) -> Need {
    // The host that received it has died: the account is another one from here on.
    if blob.received.iter().any(|received| received.consent) {
        return Need::Now;
    }
    let (Some(_), Some(issued)) = (&blob.access, blob.issued_at) else { return Need::Now };
    let by_age = rules.refresh_after.map(|age| issued + age);
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

/// The only way in which a chain changes. `None`: it stays as it is, and nothing is written.
pub(crate) fn step(blob: &Blob, input: &Input, now: Timestamp, rules: &Rules) -> (Option<Blob>, Action) {
    match input {
        Input::Want { owner } => want(blob, *owner, now, rules),
        Input::Send { owner } => send(blob, *owner, now, rules),
        Input::Unsent { owner, generation, cause } => {
            (unsent(blob, *owner, *generation, *cause, now, rules), Action::Again)
        }
        Input::Lost { owner } => {
            let Some(mut next) = end_request(blob, *owner) else { return (None, Action::Again) };
            next.lose(now, rules);
            (Some(next), Action::Again)
        }
        Input::Answered(received) => {
            let mut next = end_request(blob, received.by).unwrap_or_else(|| blob.clone());
            if !next.received.iter().any(|known| known.is(received)) {
                next.received.push(received.clone());
            }
            (Some(next), Action::Judge(received.clone()))
        }
        Input::Judged(received, verdict) => {
            let Some(place) = blob.received.iter().position(|known| known.is(received)) else {
                return (None, Action::Again); // somebody else has judged it
            };
            let mut next = blob.clone();
            next.received.remove(place);
            next.settle(received, verdict, now, rules);
            (Some(next), Action::Again)
        }
        Input::Rejected { generation } => {
            if blob.generation != *generation || blob.access.is_none() {
                return (None, Action::Done);
            }
            // A refused token that cannot be replaced yet is kept: it may serve other calls.
            if let Some(blocked) = blocked(blob, now, rules) {
                return (None, Action::Stop(blocked));
            }
            let mut next = blob.clone();
            (next.access, next.expires_at) = (None, None);
            (Some(next), Action::Done)
        }
        Input::Connect(granted) => {
            let mut next = blob.clone();
            next.connect(granted, now);
            (Some(next), Action::Done)
        }
    }
}

fn want(blob: &Blob, owner: Uuid, now: Timestamp, rules: &Rules) -> (Option<Blob>, Action) {
    if let Some(received) = blob.received.first() {
        return (None, Action::Judge(received.clone()));
    }
    if need(blob, now, rules) == Need::Nothing {
        return (None, Action::Done);
    }
    let mut next = blob.clone();
    match blob.phase {
        Phase::Idle => {}
        Phase::Claimed { owner: holder, until } => {
            if holder != owner && rules.holds(until, now) {
                return (None, Action::Wait(until));
            }
        }
        Phase::Sent { at, .. } => {
            let until = at + rules.claim();
            if rules.holds(until, now) {
                return (None, Action::Wait(until));
            }
            next.phase = Phase::Idle;
            next.lose(now, rules);
        }
    }
    next.try_changed_config(rules);
    if next.refresh.is_none() {
        next.refresh = rules.initial.clone().map(Kept); // a consent that failed came first
    }
    if let Some(blocked) = blocked(&next, now, rules) {
        let learned = next.phase != blob.phase;
        return (learned.then_some(next), Action::Stop(blocked));
    }
    next.phase = Phase::Claimed { owner, until: now + rules.claim() };
    (Some(next), Action::Claimed)
}

fn send(blob: &Blob, owner: Uuid, now: Timestamp, rules: &Rules) -> (Option<Blob>, Action) {
    let ours =
        matches!(blob.phase, Phase::Claimed { owner: holder, until } if holder == owner && now < until);
    if !ours || !blob.received.is_empty() {
        return (None, Action::Again);
    }
    if let Some(blocked) = blocked(blob, now, rules) {
        return (None, Action::Stop(blocked));
    }
    let mut next = blob.clone();
    next.phase = Phase::Sent { owner, at: now };
    next.asked.retain(|at| now.saturating_since(*at) < BUDGET_WINDOW);
    next.asked.push(now);
    let refresh = blob.refresh.as_ref().map(|kept| kept.0.clone());
    (Some(next), Action::Ask { refresh, generation: blob.generation, at: now })
}

fn unsent(
    blob: &Blob,
    owner: Uuid,
    generation: u64,
    cause: Option<&'static str>,
    now: Timestamp,
    rules: &Rules,
) -> Option<Blob> {
    if let Some(mut next) = end_request(blob, owner) {
        next.asked.pop();
        if let Some(code) = cause {
            next.fail(Cause::Unavailable, code.into(), None, now, rules);
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
    if !matches!(blob.phase, Phase::Sent { owner: sender, .. } if sender == owner) {
        return None;
    }
    let mut next = blob.clone();
    next.phase = Phase::Idle;
    Some(next)
}

/// Why the token endpoint may not be asked now.
fn blocked(blob: &Blob, now: Timestamp, rules: &Rules) -> Option<Blocked> {
    if rules.needs_refresh_token && blob.refresh.is_none() {
        return Some(Blocked::NoToken);
    }
    if let Some(failure) = &blob.failure
        && failure.config == rules.config
        && failure.until.is_none_or(|until| now < until)
    {
        return Some(Blocked::Failed(failure.clone()));
    }
    if let Some(floor) = blob.issued_at.map(|issued| issued + rules.not_before)
        && now < floor
    {
        return Some(Blocked::Until(floor));
    }
    let recent: Vec<_> =
        blob.asked.iter().filter(|at| now.saturating_since(**at) < BUDGET_WINDOW).copied().collect();
    let excess = recent.len().checked_sub(usize::try_from(rules.budget).unwrap_or(usize::MAX))?;
    recent.get(excess).map(|oldest| Blocked::Until(*oldest + BUDGET_WINDOW))
}

impl Blob {
    /// Whether somebody has to connect anew.
    pub(crate) fn is_parked(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.until.is_none())
    }

    /// Begins another chain in place of this one.
    fn connect(&mut self, granted: &Granted, at: Timestamp) {
        let generation = self.generation;
        *self = Self::new(None);
        self.generation = generation;
        self.renew(granted, at);
        self.since = self.generation;
    }

    fn settle(&mut self, received: &Received, verdict: &Verdict, now: Timestamp, rules: &Rules) {
        if received.consent {
            // Anything less says nothing about the chain that is there.
            if let Verdict::Granted(granted @ Granted { refresh: Some(_), .. }) = verdict {
                self.connect(granted, received.at);
            }
            return;
        }
        if received.generation < self.since {
            return;
        }
        let current = received.generation == self.generation;
        match verdict {
            Verdict::Granted(granted) if current => self.renew(granted, received.at),
            Verdict::Granted(granted) => self.keep_spare(granted.refresh.as_ref()),
            Verdict::Unreadable if current => self.lose(now, rules),
            Verdict::Unreadable => {}
            Verdict::Failed { cause, code, until, refresh } => {
                self.keep_spare(refresh.as_ref());
                if !current {
                    return;
                }
                if *cause == Cause::Refused
                    && let Some(spare) = self.spare.take()
                {
                    self.refresh = Some(spare);
                    self.begin_generation();
                } else {
                    self.fail(*cause, code.clone(), *until, now, rules);
                }
            }
        }
    }

    fn renew(&mut self, granted: &Granted, at: Timestamp) {
        self.issued_at = granted.access.as_ref().map(|_| at);
        self.access = granted.access.clone().map(Kept);
        self.expires_at = granted.expires_in.map(|life| at + life);
        if let Some(refresh) = &granted.refresh {
            self.refresh = Some(Kept(refresh.clone()));
        }
        self.spare = None;
        self.begin_generation();
    }

    /// Claims and requests belong to one generation.
    fn begin_generation(&mut self) {
        self.generation += 1;
        self.phase = Phase::Idle;
        self.lost = 0;
        self.failure = None;
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

    fn fail(&mut self, cause: Cause, code: String, until: Option<Timestamp>, now: Timestamp, rules: &Rules) {
        let count = self.failure.as_ref().map_or(1, |failure| failure.count.saturating_add(1));
        let growing = |max: Duration| now + COOL_DOWN.saturating_mul(1 << (count - 1).min(16)).min(max);
        let until = match cause {
            Cause::Refused | Cause::AnswerLost => None,
            Cause::Misconfigured => Some(growing(MISCONFIGURED_MAX)),
            Cause::Unavailable => Some(growing(COOL_DOWN_MAX).max(until.unwrap_or(now))),
            Cause::Throttled => Some(until.unwrap_or(now + rules.throttle_pause).max(growing(COOL_DOWN))),
        };
        self.failure = Some(Failure { cause, code, until, count, config: rules.config.clone() });
    }

    /// A changed configuration ends a failure, and its first refresh token is tried before the one that is parked.
    fn try_changed_config(&mut self, rules: &Rules) {
        let Some(failure) = self.failure.take_if(|failure| failure.config != rules.config) else { return };
        self.lost = 0;
        if failure.until.is_none()
            && let Some(initial) = rules.initial.clone().map(Kept)
            && self.refresh.as_ref() != Some(&initial)
        {
            let parked = self.refresh.replace(initial);
            self.begin_generation();
            self.spare = parked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            rotation: Rotation::RetryOnce,
            refresh_after: None,
            lead: Duration::ZERO,
            not_before: Duration::ZERO,
            budget: 5,
            throttle_pause: Duration::ZERO,
            deadline: Duration::from_secs(30),
            needs_refresh_token: true,
            initial: None,
            config: String::new(),
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_792_000_000 + secs)
    }

    /// The chain after this host has claimed it and is about to ask.
    fn sent(blob: &Blob, owner: Uuid, now: Timestamp) -> Blob {
        let (claimed, action) = step(blob, &Input::Want { owner }, now, &rules());
        assert!(matches!(action, Action::Claimed), "{action:?}");
        let (sent, action) = step(&claimed.unwrap(), &Input::Send { owner }, now, &rules());
        assert!(matches!(action, Action::Ask { .. }), "{action:?}");
        sent.unwrap()
    }

    #[test]
    fn a_claim_and_a_request_keep_others_away_for_65_seconds() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let blob = Blob::new(Some(Secret::from("r0")));
        let (claimed, _) = step(&blob, &Input::Want { owner: one }, at(0), &rules());
        for blob in [claimed.unwrap(), sent(&blob, one, at(0))] {
            let want = |secs| step(&blob, &Input::Want { owner: other }, at(secs), &rules()).1;
            assert!(matches!(want(64), Action::Wait(until) if until == at(65)));
            assert!(matches!(want(65), Action::Claimed));
            // Written by a clock that was an hour ahead: it does not stick.
            assert!(matches!(want(-3600), Action::Claimed));
        }
    }

    #[test]
    fn a_request_that_was_never_sent_is_taken_back_from_the_lost_ones() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
        let taken_over = sent(&first, other, at(65));
        assert_eq!(taken_over.lost, 1);
        let (parked, action) = step(&taken_over, &Input::Want { owner: one }, at(130), &rules());
        let parked = parked.unwrap();
        assert!(matches!(action, Action::Stop(_)) && parked.is_parked());

        let unsent = Input::Unsent { owner: other, generation: 0, cause: None };
        let (resumed, _) = step(&parked, &unsent, at(131), &rules());
        let resumed = resumed.unwrap();
        assert!(!resumed.is_parked() && resumed.lost == 1);
        let another_chain = Input::Unsent { owner: other, generation: 7, cause: None };
        assert!(step(&parked, &another_chain, at(131), &rules()).0.is_none());
    }

    /// The chain after the answer to a consent was stored and judged.
    fn consented(blob: &Blob, verdict: Verdict) -> Blob {
        let answer = crate::http::Answer::new(http::Response::new("".into()), at(9));
        let received = Received::of_consent(Uuid::from_u128(9), &answer);
        let (kept, action) = step(blob, &Input::Answered(received.clone()), at(9), &rules());
        let kept = kept.unwrap();
        assert!(matches!(action, Action::Judge(_)) && need(&kept, at(9), &rules()) == Need::Now);
        step(&kept, &Input::Judged(received, verdict), at(9), &rules()).0.unwrap()
    }

    #[test]
    fn a_consent_begins_another_chain_and_a_failed_one_changes_nothing() {
        let one = Uuid::from_u128(1);
        let before = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
        let token = |text: &str| Some(Secret::from(text));
        let granted = Granted { access: token("a"), expires_in: None, refresh: token("another-account") };
        let after = consented(&before, Verdict::Granted(granted.clone()));
        assert_eq!((after.generation, after.since, after.phase), (1, 1, Phase::Idle));
        assert_eq!(after.refresh, granted.refresh.clone().map(Kept));
        for verdict in [
            Verdict::Granted(Granted { refresh: None, ..granted }),
            Verdict::Unreadable,
            Verdict::Failed { cause: Cause::Refused, code: String::new(), until: None, refresh: None },
        ] {
            assert_eq!(consented(&before, verdict), before);
        }
    }

    #[test]
    fn a_configured_refresh_token_is_tried_after_a_consent_that_failed() {
        let empty = Blob::new(None);
        let rules = Rules { initial: Some(Secret::from("r0")), ..rules() };
        let (claimed, _) = step(&empty, &Input::Want { owner: Uuid::from_u128(1) }, at(0), &rules);
        assert_eq!(claimed.unwrap().refresh, rules.initial.map(Kept));
    }

    #[test]
    fn answers_of_an_earlier_consent_are_not_mixed_in() {
        let one = Uuid::from_u128(1);
        let first = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
        let consent =
            Granted { access: None, expires_in: None, refresh: Some(Secret::from("other-account")) };
        let (connected, _) = step(&first, &Input::Connect(consent), at(1), &rules());
        let answer = crate::http::Answer::new(http::Response::new("".into()), at(2));
        let received = Received::new(0, one, &answer);
        let (kept, _) = step(&connected.unwrap(), &Input::Answered(received.clone()), at(2), &rules());
        let late = Granted { access: None, expires_in: None, refresh: Some(Secret::from("r1")) };
        let judged = Input::Judged(received, Verdict::Granted(late));
        let settled = step(&kept.unwrap(), &judged, at(2), &rules()).0.unwrap();
        assert_eq!(settled.refresh.map(|kept| kept.0.expose().to_owned()).as_deref(), Some("other-account"));
        assert!(settled.spare.is_none() && settled.received.is_empty());
    }
}
