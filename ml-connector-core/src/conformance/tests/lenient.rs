//! A limiter with one defect, made of a sound one.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    RateLimiter, Result, Timestamp,
    rate::{Admission, Cost, Feedback, MemoryRateLimiter, Permit, Quota, QuotaKey, TakeOver, Usage},
};

/// A sound limiter behind changes of what goes in and what comes out.
#[derive(Debug)]
pub(super) struct Lenient {
    inner: MemoryRateLimiter,
    cost: fn(&mut Cost),
    quota: fn(Quota) -> Quota,
    now: fn(Timestamp) -> Timestamp,
    answer: fn(Admission, Timestamp) -> Admission,
    hears: fn(&Feedback) -> bool,
    one_by_one: bool,
    usage: fn(&mut Usage),
    tells: bool,
    takes_over: bool,
}

impl Default for Lenient {
    fn default() -> Self {
        Self {
            inner: MemoryRateLimiter::new(),
            cost: |_| {},
            quota: |quota| quota,
            now: |now| now,
            answer: |admission, _| admission,
            hears: |_| true,
            one_by_one: false,
            usage: |_| {},
            tells: true,
            takes_over: true,
        }
    }
}

type Plant = fn(Lenient) -> Lenient;

/// Every defect with its name; the one without a name is none.
pub(super) const DEFECTS: &[(&str, Plant)] = &[
    ("", |l| l),
    ("one more than the limit", |l| Lenient { quota: one_more, ..l }),
    ("windows are aligned", |l| Lenient { quota: align, ..l }),
    ("windows are rolling", |l| Lenient { quota: roll, ..l }),
    ("all keys are one", |l| Lenient { cost: |cost| cost.key = "same".into(), ..l }),
    ("nothing is left free", |l| Lenient { cost: |cost| cost.leave = 0, ..l }),
    ("too large becomes large", |l| Lenient { cost: |cost| cost.units = cost.units.min(1), ..l }),
    ("costs are taken one by one", |l| Lenient { one_by_one: true, ..l }),
    ("waits are too long", |l| Lenient { answer: |a, _| later(a, Duration::from_millis(7)), ..l }),
    ("ask again now", |l| Lenient { answer: ask_again_now, ..l }),
    ("everything is admitted", |l| Lenient { answer: |_, _| Admission::Admitted(Permit { id: 1 }), ..l }),
    ("time that goes back is a day later", |l| Lenient { now: mirror, ..l }),
    ("the end of work is not heard", |l| Lenient { hears: |f| !matches!(f, Feedback::Finished(_)), ..l }),
    ("pauses are not heard", |l| Lenient { hears: |f| !matches!(f, Feedback::PausedUntil(_)), ..l }),
    ("charges are not heard", |l| Lenient { hears: |f| !matches!(f, Feedback::Charge { .. }), ..l }),
    ("failures are not heard", |l| Lenient { hears: |f| !matches!(f, Feedback::Failed(_)), ..l }),
    ("usage shows no spending", |l| Lenient { usage: |usage| usage.windows.clear(), ..l }),
    ("usage shows no pause", |l| Lenient { usage: |usage| usage.paused_until = None, ..l }),
    ("usage shows nobody's word", |l| Lenient { usage: |usage| usage.remaining = None, ..l }),
    ("usage shows no work under way", |l| Lenient { usage: |usage| usage.under_way = 0, ..l }),
    ("counts are told and hold nothing", |l| Lenient { tells: false, ..l }),
    ("counts are not taken over", |l| Lenient { takes_over: false, ..l }),
    ("what is left is not heard", |l| Lenient { hears: |f| !matches!(f, Feedback::Remaining { .. }), ..l }),
];

fn one_more(quota: Quota) -> Quota {
    match quota {
        Quota::Rolling { limit, window } => Quota::Rolling { limit: limit + 1, window },
        Quota::Aligned { limit, period } => Quota::Aligned { limit: limit + 1, period },
        Quota::Concurrent { limit } => Quota::Concurrent { limit: limit + 1 },
        Quota::Errors { limit, window } => Quota::Errors { limit: limit + 1, window },
    }
}

fn align(quota: Quota) -> Quota {
    match quota {
        Quota::Rolling { limit, window } => Quota::Aligned { limit, period: window },
        other => other,
    }
}

fn roll(quota: Quota) -> Quota {
    match quota {
        Quota::Aligned { limit, period } => Quota::Rolling { limit, window: period },
        other => other,
    }
}

fn later(admission: Admission, by: Duration) -> Admission {
    match admission {
        Admission::NotBefore(then) => Admission::NotBefore(then + by),
        admitted @ Admission::Admitted(_) => admitted,
    }
}

fn ask_again_now(admission: Admission, now: Timestamp) -> Admission {
    match admission {
        Admission::NotBefore(_) => Admission::NotBefore(now),
        admitted @ Admission::Admitted(_) => admitted,
    }
}

/// What a limiter sees that measures how far a clock has moved without its sign.
fn mirror(now: Timestamp) -> Timestamp {
    let turn = Timestamp::from_millis(1_790_000_010_000);
    if now < turn { turn + turn.saturating_since(now) } else { now }
}

#[async_trait]
impl RateLimiter for Lenient {
    async fn admit(&self, costs: &[Cost], now: Timestamp) -> Result<Admission> {
        let mut costs = costs.to_vec();
        for cost in &mut costs {
            (self.cost)(cost);
            cost.quotas = cost.quotas.iter().copied().map(self.quota).collect();
        }
        let at = (self.now)(now);
        let mut admission = self.inner.admit(if self.one_by_one { &[] } else { &costs }, at).await?;
        for cost in costs.into_iter().filter(|_| self.one_by_one) {
            if matches!(admission, Admission::Admitted(_)) {
                admission = self.inner.admit(&[cost], at).await?;
            }
        }
        Ok((self.answer)(admission, now))
    }

    async fn report(&self, key: &QuotaKey, feedback: Feedback, now: Timestamp) -> Result<()> {
        if (self.hears)(&feedback) { self.inner.report(key, feedback, now).await } else { Ok(()) }
    }

    async fn counts(&self, at_least: Duration, now: Timestamp) -> Result<Option<Bytes>> {
        let counts = self.inner.counts(at_least, now).await?;
        Ok(if self.tells { counts } else { counts.map(|_| Bytes::from_static(b"[]")) })
    }

    async fn take_over(&self, from: &TakeOver, now: Timestamp) -> Result<()> {
        if self.takes_over { self.inner.take_over(from, now).await } else { Ok(()) }
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<Usage>> {
        let mut usage = self.inner.usage(now).await?;
        usage.iter_mut().for_each(self.usage);
        Ok(usage)
    }
}
