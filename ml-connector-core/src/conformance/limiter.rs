//! Behaviors of a [`RateLimiter`].

use std::{sync::Arc, time::Duration};

use super::{Behavior, behaviors};
use crate::{
    ErrorKind, RateLimiter, Timestamp,
    rate::{Admission, Cost, Feedback, Permit, Quota, QuotaKey},
};

/// What every limiter has to do.
pub const BEHAVIORS: &[Behavior<dyn RateLimiter>] = behaviors![dyn RateLimiter:
    admit::no_rolling_window_holds_more_than_its_limit,
    admit::aligned_windows_begin_at_multiples_of_their_period,
    admit::costs_are_taken_together_or_not_at_all,
    admit::keys_are_counted_apart,
    admit::a_cost_that_never_fits_is_an_error,
    admit::units_are_left_free_for_others,
    admit::concurrent_work_makes_room_when_it_is_finished,
    admit::failures_use_up_an_error_quota_and_work_does_not,
    admit::a_pause_is_kept_and_never_shortened,
    admit::what_the_other_side_counts_is_believed,
    admit::time_that_goes_back_opens_no_window,
    admit::usage_says_what_is_spent_and_why_nothing_is_admitted,
];

/// What every limiter has to do whose work goes on at another host. One that counts for all hosts in one place tells no
/// [`counts`](RateLimiter::counts); then both instances count the same.
pub const HAND_OVER_BEHAVIORS: &[Behavior<Hosts>] = behaviors![Hosts:
    hand_over::what_was_counted_goes_on_at_the_next_host,
    hand_over::whoever_was_lost_counts_as_having_spent_all,
    hand_over::counts_that_cannot_be_read_are_refused,
];

/// The limiters of two hosts, one of which goes on with the work of the other.
#[derive(Debug)]
pub struct Hosts {
    /// Who did the work.
    pub first: Arc<dyn RateLimiter>,
    /// Who goes on with it.
    pub next: Arc<dyn RateLimiter>,
}

/// Checks [`BEHAVIORS`] and [`HAND_OVER_BEHAVIORS`], each on instances of its own.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn RateLimiter>) {
    for (_, check) in BEHAVIORS {
        check(&*fresh().await).await;
    }
    for (_, check) in HAND_OVER_BEHAVIORS {
        check(&Hosts { first: fresh().await, next: fresh().await }).await;
    }
}

/// A multiple of every period in these tests.
const NOON: i64 = 1_790_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOON + millis)
}

fn rolling(limit: u32, millis: u64) -> Quota {
    Quota::Rolling { limit, window: Duration::from_millis(millis) }
}

fn aligned(limit: u32, millis: u64) -> Quota {
    Quota::Aligned { limit, period: Duration::from_millis(millis) }
}

fn cost(key: &str, quotas: &[Quota]) -> Cost {
    Cost::one(QuotaKey::from(key), quotas.into())
}

/// The permit, or how many milliseconds after noon to ask again.
async fn ask(limiter: &dyn RateLimiter, costs: &[Cost], now: i64) -> Result<Permit, i64> {
    match limiter.admit(costs, at(now)).await.expect("the costs are possible") {
        Admission::Admitted(permit) => Ok(permit),
        Admission::NotBefore(then) => {
            assert!(then > at(now), "{then} is later than now, {}", at(now));
            Err(then.as_millis() - NOON)
        }
    }
}

async fn take(limiter: &dyn RateLimiter, costs: &[Cost], now: i64) -> Permit {
    let answer = ask(limiter, costs, now).await;
    answer.unwrap_or_else(|then| panic!("expected room at {now} ms, but it is not before {then} ms"))
}

async fn refuse(limiter: &dyn RateLimiter, costs: &[Cost], now: i64) -> i64 {
    ask(limiter, costs, now).await.err().unwrap_or_else(|| panic!("expected no room at {now} ms"))
}

async fn tell(limiter: &dyn RateLimiter, key: &str, feedback: Feedback, now: i64) {
    limiter.report(&QuotaKey::from(key), feedback, at(now)).await.expect("the report is taken");
}

/// One function per behavior.
pub mod admit {
    use std::time::Duration;

    use super::{
        Cost, ErrorKind, Feedback, RateLimiter, aligned, ask, at, cost, refuse, rolling, take, tell,
    };
    use crate::rate::Quota;

    /// For any rhythm of calls; and what is refused is refused for no longer than needed.
    pub async fn no_rolling_window_holds_more_than_its_limit(limiter: &dyn RateLimiter) {
        const WINDOWS: [(u32, i64); 2] = [(3, 100), (10, 1000)];
        let costs = [cost("a", &[rolling(3, 100), rolling(10, 1000)])];
        let mut admitted: Vec<i64> = Vec::new();
        let (mut now, mut random) = (0, 7_i64);
        for _ in 0..500 {
            random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
            now += random / 65_536 % 60;
            // When the oldest unit that stands in the way is as old as its window.
            let room = |(limit, window): (u32, i64)| {
                let nth = admitted.len().checked_sub(limit as usize)?;
                admitted.get(nth).map(|oldest| oldest + window)
            };
            let earliest = WINDOWS.into_iter().filter_map(room).max().unwrap_or(now).max(now);
            match ask(limiter, &costs, now).await {
                Ok(_) => {
                    assert!(earliest <= now, "admitted at {now} ms, where {earliest} ms is the earliest");
                    admitted.push(now);
                }
                Err(then) => assert!(
                    now < earliest && then <= earliest,
                    "at {now} ms told to wait until {then} ms, where {earliest} ms is enough"
                ),
            }
        }
        assert!(admitted.len() > 50, "work goes on");
    }

    /// Since the Unix epoch, whenever the first call came.
    pub async fn aligned_windows_begin_at_multiples_of_their_period(limiter: &dyn RateLimiter) {
        let costs = [cost("a", &[aligned(2, 1000)])];
        take(limiter, &costs, 900).await;
        take(limiter, &costs, 999).await;
        assert_eq!(refuse(limiter, &costs, 999).await, 1000, "the next period begins at its multiple");
        take(limiter, &costs, 1000).await;
        take(limiter, &costs, 1000).await;
        assert_eq!(refuse(limiter, &costs, 1001).await, 2000);
    }

    /// A refusal spends nothing of what had room.
    pub async fn costs_are_taken_together_or_not_at_all(limiter: &dyn RateLimiter) {
        let wide = || cost("wide", &[rolling(2, 1000)]);
        let narrow = || cost("narrow", &[rolling(1, 100)]);
        take(limiter, &[wide(), narrow()], 0).await;
        for now in 1..5 {
            assert_eq!(refuse(limiter, &[wide(), narrow()], now).await, 100);
        }
        take(limiter, &[wide()], 5).await;
        assert_eq!(refuse(limiter, &[wide()], 5).await, 1000, "both units are spent now");
        assert_eq!(refuse(limiter, &[wide(), narrow()], 50).await, 1000, "the later of two instants counts");
        take(limiter, &[], 50).await;
    }

    /// What one key spends is nothing to another.
    pub async fn keys_are_counted_apart(limiter: &dyn RateLimiter) {
        take(limiter, &[cost("a", &[rolling(1, 1000)])], 0).await;
        refuse(limiter, &[cost("a", &[rolling(1, 1000)])], 0).await;
        take(limiter, &[cost("b", &[rolling(1, 1000)])], 0).await;
    }

    /// Waiting would not help.
    pub async fn a_cost_that_never_fits_is_an_error(limiter: &dyn RateLimiter) {
        let small = cost("a", &[rolling(3, 1000)]);
        for impossible in [Cost { units: 4, ..small.clone() }, Cost { units: 2, leave: 2, ..small.clone() }] {
            let refused = limiter.admit(&[cost("b", &[rolling(1, 1000)]), impossible], at(0)).await;
            assert_eq!(refused.expect_err("it can never be admitted").kind(), ErrorKind::InvalidRequest);
        }
        take(limiter, &[cost("b", &[rolling(1, 1000)])], 0).await;
        take(limiter, &[Cost { units: 3, ..small }], 0).await;
    }

    /// Polls leave room for live work.
    pub async fn units_are_left_free_for_others(limiter: &dyn RateLimiter) {
        let live = [cost("a", &[rolling(3, 1000)])];
        let poll = [Cost { leave: 2, ..cost("a", &[rolling(3, 1000)]) }];
        take(limiter, &poll, 0).await;
        assert_eq!(refuse(limiter, &poll, 1).await, 1000);
        take(limiter, &live, 1).await;
        take(limiter, &live, 1).await;
    }

    /// Not before, however long it takes, and once only.
    pub async fn concurrent_work_makes_room_when_it_is_finished(limiter: &dyn RateLimiter) {
        let costs = [cost("a", &[Quota::Concurrent { limit: 2 }])];
        let first = take(limiter, &costs, 0).await;
        let second = take(limiter, &costs, 0).await;
        assert_ne!(first, second, "a permit names one admission");
        refuse(limiter, &costs, 30_000).await;
        tell(limiter, "a", Feedback::Finished(first), 30_000).await;
        tell(limiter, "a", Feedback::Finished(first), 30_000).await;
        take(limiter, &costs, 30_000).await;
        refuse(limiter, &costs, 30_000).await;
    }

    /// What is under way may fail, and counts until it is known.
    pub async fn failures_use_up_an_error_quota_and_work_does_not(limiter: &dyn RateLimiter) {
        let costs = [cost("a", &[Quota::Errors { limit: 2, window: Duration::from_secs(60) }])];
        for now in 0..10 {
            let permit = take(limiter, &costs, now).await;
            tell(limiter, "a", Feedback::Finished(permit), now).await;
        }
        let (first, second) = (take(limiter, &costs, 100).await, take(limiter, &costs, 100).await);
        refuse(limiter, &costs, 100).await;
        tell(limiter, "a", Feedback::Failed(first), 200).await;
        refuse(limiter, &costs, 200).await;
        tell(limiter, "a", Feedback::Finished(second), 300).await;
        let last = take(limiter, &costs, 300).await;
        tell(limiter, "a", Feedback::Failed(last), 400).await;
        assert_eq!(
            refuse(limiter, &costs, 500).await,
            60_200,
            "until the first failure is as old as the window"
        );
        take(limiter, &costs, 60_200).await;
    }

    /// For its key only.
    pub async fn a_pause_is_kept_and_never_shortened(limiter: &dyn RateLimiter) {
        let costs = [cost("a", &[rolling(100, 1000)])];
        tell(limiter, "a", Feedback::PausedUntil(at(5000)), 0).await;
        tell(limiter, "a", Feedback::PausedUntil(at(2000)), 0).await;
        assert_eq!(refuse(limiter, &costs, 0).await, 5000);
        assert_eq!(refuse(limiter, &costs, 4999).await, 5000);
        take(limiter, &[cost("b", &[rolling(100, 1000)])], 0).await;
        take(limiter, &costs, 5000).await;
    }

    /// What others spent, and what is left.
    pub async fn what_the_other_side_counts_is_believed(limiter: &dyn RateLimiter) {
        let charged = [cost("charged", &[rolling(3, 1000)])];
        take(limiter, &charged, 0).await;
        tell(limiter, "charged", Feedback::Charge { units: 2 }, 10).await;
        assert_eq!(refuse(limiter, &charged, 10).await, 1000, "what others spent counts");

        let left = [cost("left", &[rolling(100, 1000)])];
        tell(limiter, "left", Feedback::Remaining { units: 1, reset: at(3000) }, 0).await;
        take(limiter, &left, 0).await;
        assert_eq!(refuse(limiter, &left, 1).await, 3000, "no more than what is left until the reset");
        take(limiter, &left, 3000).await;
    }

    /// Neither a rolling window nor an aligned one.
    pub async fn time_that_goes_back_opens_no_window(limiter: &dyn RateLimiter) {
        let windows = [cost("rolling", &[rolling(1, 1000)]), cost("aligned", &[aligned(1, 1000)])];
        take(limiter, &windows, 10_000).await;
        for back in [9999, 9000, 5000, 0] {
            for window in &windows {
                refuse(limiter, std::slice::from_ref(window), back).await;
            }
        }
        take(limiter, &windows, 11_000).await;
    }

    /// And asking changes nothing.
    pub async fn usage_says_what_is_spent_and_why_nothing_is_admitted(limiter: &dyn RateLimiter) {
        let costs = [cost("a", &[rolling(2, 1000), Quota::Concurrent { limit: 5 }])];
        let of = async |key: &str, now: i64| {
            let usage = limiter.usage(at(now)).await.expect("the limiter says what is used");
            assert!(usage.is_sorted_by_key(|usage| usage.key.clone()), "{usage:?}");
            usage.into_iter().find(|usage| usage.key.as_str() == key)
        };
        take(limiter, &costs, 0).await;
        let one = of("a", 0).await.expect("what was spent is known");
        assert_eq!((one.windows[0].used, one.windows[0].left(), one.full_until()), (1, 1, None), "{one:?}");
        assert_eq!(one.under_way, 1, "{one:?}");
        take(limiter, &costs, 10).await;
        let full = of("a", 10).await.expect("what was spent is known");
        assert_eq!((full.windows[0].left(), full.full_until()), (0, Some(at(1000))), "{full:?}");
        assert_eq!(refuse(limiter, &costs, 10).await, 1000);
        tell(limiter, "paused", Feedback::PausedUntil(at(5000)), 10).await;
        tell(limiter, "left", Feedback::Remaining { units: 0, reset: at(7000) }, 10).await;
        let until = async |key| of(key, 20).await.and_then(|usage| usage.full_until());
        assert_eq!((until("paused").await, until("left").await), (Some(at(5000)), Some(at(7000))));
        take(limiter, &costs, 1000).await;
    }
}

/// One function per behavior.
pub mod hand_over {
    use std::time::Duration;

    use super::{ErrorKind, Feedback, Hosts, at, cost, refuse, rolling, take, tell};
    use crate::rate::TakeOver;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What was spent when, and what the other side said. Short windows are past by then, and need not be told.
    pub async fn what_was_counted_goes_on_at_the_next_host(Hosts { first, next }: &Hosts) {
        let costs = [cost("a", &[rolling(2, 60_000)])];
        take(&**first, &costs, 0).await;
        take(&**first, &costs, 20_000).await;
        tell(&**first, "paused", Feedback::PausedUntil(at(90_000)), 20_000).await;
        let counts = first.counts(MINUTE, at(20_010)).await.expect("counts are told");
        next.take_over(&TakeOver { counts, lost: None }, at(20_020)).await.expect("counts are taken over");
        assert_eq!(refuse(&**next, &costs, 20_030).await, 60_000, "what the first host spent counts");
        assert_eq!(refuse(&**next, &[cost("paused", &[rolling(9, 1000)])], 20_030).await, 90_000);
        take(&**next, &[cost("b", &[rolling(1, 60_000)])], 20_030).await;
        take(&**next, &costs, 60_000).await;
        // What is told twice counts once.
        let counts = first.counts(MINUTE, at(20_040)).await.expect("counts are told");
        next.take_over(&TakeOver { counts, lost: None }, at(60_000)).await.expect("counts are taken over");
        assert_eq!(refuse(&**next, &costs, 60_000).await, 80_000, "each instant of the first host's counts");
        take(&**next, &costs, 80_000).await;
    }

    /// In every window of an hour or less, for keys that were not known before.
    pub async fn whoever_was_lost_counts_as_having_spent_all(Hosts { first, next }: &Hosts) {
        let known = [cost("known", &[rolling(2, 60_000)])];
        take(&**next, &known, 0).await;
        take(&**first, &[cost("other", &[rolling(2, 60_000)])], 0).await;
        if first.counts(MINUTE, at(1)).await.expect("counts are told").is_none() {
            return;
        }
        let lost = TakeOver { counts: None, lost: Some(at(1000)) };
        next.take_over(&lost, at(1000)).await.expect("a host that was lost is taken over");
        take(&**next, &known, 1001).await;
        let unknown = [cost("unknown", &[rolling(2, 60_000)])];
        assert_eq!(refuse(&**next, &unknown, 1001).await, 61_000, "all of it may be spent");
        take(&**next, &unknown, 61_000).await;
    }

    /// And nothing of them is taken over.
    pub async fn counts_that_cannot_be_read_are_refused(Hosts { first, next }: &Hosts) {
        take(&**first, &[cost("a", &[rolling(1, 60_000)])], 0).await;
        if first.counts(MINUTE, at(1)).await.expect("counts are told").is_none() {
            return;
        }
        let garbage = TakeOver { counts: Some("no counts".into()), lost: None };
        let refused = next.take_over(&garbage, at(2)).await.expect_err("what cannot be read is refused");
        assert_eq!(refused.kind(), ErrorKind::InvalidResponse);
    }
}
