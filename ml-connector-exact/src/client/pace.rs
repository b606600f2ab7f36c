//! What calls cost: a minute, a day, one at a time, and errors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ml_connector_core::{
    Context, Error, ErrorKind, Scope,
    http::Answer,
    model::{Cost, Quota, QuotaKey},
    rate::{Budget, Feedback},
    sleep_until,
};

use crate::error;

/// What work in the background leaves of each minute.
const LEAVE_OF_MINUTE: u32 = 10;
/// Of each day: one call in so many, which are 1,000 of 5,000. Polls leave the rest of them, but for these.
const LEAVE_ONE_IN: u32 = 5;
const LEAVE_URGENT: u32 = 200;
/// More than ten errors in an hour block an app at an endpoint. Of those below six, one is left for people. They are counted
/// for each endpoint of a company alone: [`Budget::errors`] also sums up the account's, which would stop the others.
const MOST_ERRORS: u32 = 5;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long other calls let those go first that cannot wait, and how often they look.
const GIVE_WAY: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a call is for: the less it can wait, the more of the limits it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody has just changed the record.
    Urgent,
    /// An ordinary poll.
    Live,
    /// The past, and looks for what is gone.
    Background,
}

/// How many calls there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) per_minute: u32,
    pub(crate) per_day: u32,
    pub(crate) per_contract: u32,
}

/// What calls to one company cost. The vendor counts by app and company; a contract counts the calls to all companies.
#[derive(Debug, Clone)]
pub(super) struct Costs {
    app: Arc<str>,
    pace: Pace,
    budget: Budget,
    contract: QuotaKey,
    class: Class,
    /// How many calls that cannot wait the connection makes now, or is about to make.
    urgent: Arc<AtomicUsize>,
}

/// A call that others let go first, for as long as this lives.
pub(super) struct Urgent(Arc<AtomicUsize>);

impl Drop for Urgent {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Costs {
    pub(super) fn new(app: &str, contract: &str, division: u32, pace: Pace) -> Self {
        Self {
            budget: budget(app, division, pace),
            contract: QuotaKey::new(format!("exact_online/{contract}")),
            app: app.into(),
            pace,
            class: Class::Live,
            urgent: Arc::default(),
        }
    }

    /// Waits until it is this call's turn: only one is made at a time, and the next page of a list can wait for a record that
    /// somebody has just changed.
    pub(super) async fn turn(&self, ctx: &Context) -> Option<Urgent> {
        if self.class == Class::Urgent {
            self.urgent.fetch_add(1, Ordering::Relaxed);
            return Some(Urgent(Arc::clone(&self.urgent)));
        }
        let latest = ctx.now() + GIVE_WAY;
        while self.urgent.load(Ordering::Relaxed) > 0 && ctx.now() < latest {
            sleep_until(ctx.clock(), ctx.now() + LOOK_AGAIN).await;
        }
        None
    }

    /// The costs of other work.
    pub(super) fn for_class(&self, class: Class) -> Self {
        let is_background = class == Class::Background;
        let budget = if is_background { self.budget.in_background() } else { self.budget.clone() };
        Self { class, budget, ..self.clone() }
    }

    /// The costs of calls to another company.
    pub(super) fn at_division(&self, division: u32) -> Self {
        let budget = budget(&self.app, division, self.pace);
        let there = Self { budget, urgent: Arc::default(), ..self.clone() };
        there.for_class(self.class)
    }

    /// What a call to an endpoint costs.
    pub(super) fn of(&self, path: &str) -> Vec<Cost> {
        let mut costs = self.budget.costs();
        if self.class == Class::Live
            && let Some(day) = costs.iter_mut().find(|cost| Some(&cost.key) == self.budget.day_key())
        {
            day.leave = self.left_to_urgent(self.budget.calls_per_day().unwrap_or(self.pace.per_day));
        }
        let contract = Quota::Rolling { limit: self.pace.per_contract, window: DAY };
        let leave = match self.class {
            Class::Urgent => 0,
            Class::Live => self.left_to_urgent(self.pace.per_contract),
            Class::Background => self.pace.per_contract / LEAVE_ONE_IN,
        };
        costs.push(Cost { leave, ..Cost::one(self.contract.clone(), Arc::new([contract])) });
        let errors = Quota::Errors { limit: MOST_ERRORS, window: HOUR };
        let key = QuotaKey::new(format!("{}/errors/{path}", self.budget.key()));
        costs.push(Cost::one(key, Arc::new([errors])));
        costs
    }

    /// What polls leave of a day of so many calls.
    fn left_to_urgent(&self, calls: u32) -> u32 {
        LEAVE_URGENT.min(calls / 10)
    }

    /// Passes on what an answer says of the limits.
    pub(super) async fn learn(&self, ctx: &Context, answer: &Answer) {
        let left =
            |window: Option<error::Window>| window.and_then(|window| window.remaining.zip(window.reset));
        let day = error::window(answer, "");
        let limit = day.and_then(|day| day.limit);
        self.budget.report_day(ctx.limiter(), limit, left(day), ctx.now()).await;
        if let Some((units, reset)) = left(error::window(answer, "Minutely-")) {
            let feedback = Feedback::Remaining { units, reset };
            if let Err(error) = ctx.limiter().report(self.budget.key(), feedback, ctx.now()).await {
                tracing::warn!(%error, "the limiter could not be told what is left of the minute");
            }
        }
    }

    /// What a limit of Exact Online concerns. What polls leave to others must not keep those waiting.
    pub(super) fn in_scope(&self, error: Error) -> Error {
        match (error.kind(), error.context(error::WINDOW), self.budget.day_key()) {
            (ErrorKind::RateLimited, Some(error::DAY), Some(day)) => {
                error.with_scope(Scope::Quota(day.clone()))
            }
            (ErrorKind::RateLimited, Some(_), _) => error.with_scope(Scope::Quota(self.budget.key().clone())),
            (ErrorKind::RateLimited, None, _) if self.class != Class::Urgent => {
                error.with_scope(Scope::Entry)
            }
            _ => error,
        }
    }
}

fn budget(app: &str, division: u32, pace: Pace) -> Budget {
    let key = format!("exact_online/{app}/{division}");
    let minute = Quota::Rolling { limit: pace.per_minute, window: Duration::from_secs(60) };
    // Parallel requests are answered in no order, and with rows twice or not at all.
    let one = Quota::Concurrent { limit: 1 };
    Budget::new(QuotaKey::new(key.clone()))
        .limit(minute, LEAVE_OF_MINUTE.min(pace.per_minute / 2))
        .limit(one, 0)
        .day(QuotaKey::new(format!("{key}/day")), pace.per_day, LEAVE_ONE_IN, pace.per_day)
}
