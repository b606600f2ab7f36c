use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};

use super::*;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const fn rolling(limit: u32, millis: u64) -> Quota {
    Quota::Rolling { limit, window: Duration::from_millis(millis) }
}

const fn aligned(limit: u32, millis: u64) -> Quota {
    Quota::Aligned { limit, period: Duration::from_millis(millis) }
}

fn cost(key: &str, quotas: &[Quota], units: u32) -> Cost {
    Cost { key: key.into(), quotas: quotas.into(), units, leave: 0 }
}

impl MemoryRateLimiter {
    fn ask(&self, costs: &[Cost], now: i64) -> Admission {
        self.admit(costs, at(now)).now_or_never().unwrap().unwrap()
    }

    /// `None` = admitted, otherwise not before when.
    fn wait(&self, costs: &[Cost], now: i64) -> Option<i64> {
        match self.ask(costs, now) {
            Admission::Admitted(_) => None,
            Admission::NotBefore(at) => Some(at.as_millis()),
        }
    }

    fn permit(&self, costs: &[Cost], now: i64) -> Permit {
        match self.ask(costs, now) {
            Admission::Admitted(permit) => permit,
            Admission::NotBefore(at) => panic!("not before {at}"),
        }
    }

    fn tell(&self, key: &str, feedback: Feedback, now: i64) {
        self.report(&key.into(), feedback, at(now)).now_or_never().unwrap().unwrap();
    }

    fn fork(&self) -> Self {
        Self { state: Mutex::new(self.lock().clone()) }
    }
}

#[test]
fn a_rolling_window_frees_each_unit_when_it_is_as_old_as_the_window() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[rolling(2, 1000)], 1)];
    assert_eq!(limiter.wait(&one, 0), None);
    assert_eq!(limiter.wait(&one, 600), None);
    assert_eq!(limiter.wait(&one, 600), Some(1000));
    assert_eq!(limiter.wait(&one, 999), Some(1000));
    assert_eq!(limiter.wait(&one, 1000), None);
    assert_eq!(limiter.wait(&one, 1000), Some(1600));
    let two = [cost("a", &[rolling(2, 1000)], 2)];
    assert_eq!(limiter.wait(&two, 1000), Some(2000));
}

#[test]
fn an_aligned_window_begins_again_at_multiples_of_its_period() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[aligned(1, 1000)], 1)];
    assert_eq!(limiter.wait(&one, 1999), None);
    assert_eq!(limiter.wait(&one, 1999), Some(2000));
    assert_eq!(limiter.wait(&one, 2000), None);
    assert_eq!(limiter.wait(&one, 2001), Some(3000));
    assert_eq!(limiter.wait(&[cost("old", &[aligned(1, 1000)], 1)], -500), None, "before 1970 as well");
}

#[test]
fn of_several_costs_and_quotas_all_are_taken_or_none() {
    let limiter = MemoryRateLimiter::new();
    let app = [rolling(2, 1000), rolling(3, 10_000)];
    let costs = |channel| [cost("app", &app, 1), cost(channel, &[rolling(1, 1000)], 1)];
    assert_eq!(limiter.wait(&costs("c1"), 0), None);
    assert_eq!(limiter.wait(&costs("c1"), 100), Some(1000), "c1 is full");
    assert_eq!(limiter.wait(&costs("c2"), 100), None, "the refusal took nothing from the app");
    assert_eq!(limiter.wait(&costs("c3"), 100), Some(1000), "the app is full");
    assert_eq!(limiter.wait(&costs("c3"), 1100), None);
    assert_eq!(limiter.wait(&costs("c3"), 2200), Some(10_000), "the longer window is full");
}

#[test]
fn a_key_named_twice_in_one_call_is_spent_twice() {
    let limiter = MemoryRateLimiter::new();
    let twice = || cost("a", &[rolling(3, 1000), Quota::Concurrent { limit: 3 }], 1);
    let permit = limiter.permit(&[twice(), twice()], 0);
    assert_eq!(limiter.wait(&[twice(), twice()], 0), Some(1000));
    assert_eq!(limiter.wait(&[twice()], 0), None);
    limiter.tell("a", Feedback::Finished(permit), 0);
    assert_eq!(limiter.wait(&[twice(), twice()], 1000), None);
    let too_many = [twice(), twice(), twice(), twice()];
    assert!(limiter.admit(&too_many, at(5000)).now_or_never().unwrap().is_err());
}

#[test]
fn what_can_never_be_admitted_is_an_error_and_takes_nothing() {
    let limiter = MemoryRateLimiter::new();
    for quota in [rolling(2, 1000), aligned(2, 1000), Quota::Concurrent { limit: 2 }] {
        let greedy = Cost { leave: 1, ..cost("a", &[quota], 2) };
        let error = limiter.admit(&[greedy], at(0)).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(limiter.wait(&[cost("a", &[quota], 2)], 0), None);
    }
}

#[test]
fn units_left_free_are_there_for_live_work() {
    let limiter = MemoryRateLimiter::new();
    let live = [cost("a", &[rolling(10, 1000)], 1)];
    let poll = [Cost { leave: 4, ..live[0].clone() }];
    (0..6).for_each(|i| assert_eq!(limiter.wait(&poll, i), None));
    assert_eq!(limiter.wait(&poll, 6), Some(1000));
    (0..4).for_each(|i| assert_eq!(limiter.wait(&live, 6 + i), None));
    assert_eq!(limiter.wait(&live, 10), Some(1000));
    assert_eq!(limiter.wait(&poll, 10), Some(1004), "four have to be free besides its own");
}

#[test]
fn concurrent_work_ends_by_report_or_is_forgotten() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[Quota::Concurrent { limit: 2 }], 1)];
    let first = limiter.permit(&one, 0);
    let second = limiter.permit(&one, 1000);
    assert_eq!(limiter.wait(&one, 1000), Some(1020));
    limiter.tell("a", Feedback::Finished(second), 1001);
    limiter.tell("b", Feedback::Finished(first), 1001);
    limiter.tell("a", Feedback::Finished(Permit { id: 99 }), 1001);
    assert_eq!(limiter.wait(&one, 1001), None);
    assert_eq!(limiter.wait(&one, 1001), Some(1021));
    assert!(limiter.wait(&one, 599_999).is_some());
    assert_eq!(limiter.wait(&one, 600_000), None, "the first permit was never reported");
    limiter.tell("a", Feedback::Finished(first), 600_001);
    assert!(limiter.wait(&one, 600_001).is_some(), "a late report ends nobody else's work");
}

#[test]
fn a_pause_affects_its_key_only_and_is_never_shortened() {
    let limiter = MemoryRateLimiter::new();
    let one = |key| [cost(key, &[rolling(9, 1000)], 1)];
    limiter.tell("a", Feedback::PausedUntil(at(5000)), 0);
    limiter.tell("a", Feedback::PausedUntil(at(2000)), 0);
    assert_eq!(limiter.wait(&one("a"), 100), Some(5000));
    assert_eq!(limiter.wait(&one("b"), 100), None);
    assert_eq!(limiter.wait(&[one("a"), one("b")].concat(), 100), Some(5000));
    assert_eq!(limiter.wait(&one("a"), 5000), None);
}

#[test]
fn what_the_other_side_says_is_left_holds_until_its_reset() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[rolling(100, 1000)], 1)];
    limiter.tell("a", Feedback::Remaining { units: 1, reset: at(9000) }, 0);
    limiter.tell("a", Feedback::Remaining { units: 5, reset: at(9000) }, 0);
    assert_eq!(limiter.wait(&one, 0), None);
    assert_eq!(limiter.wait(&one, 0), Some(9000), "an answer that was overtaken gives nothing back");
    limiter.tell("a", Feedback::Remaining { units: 2, reset: at(9500) }, 0);
    assert_eq!(limiter.wait(&one, 0), None, "the latest word holds");
    limiter.tell("a", Feedback::Charge { units: 1 }, 0);
    assert_eq!(limiter.wait(&one, 0), Some(9500));
    assert_eq!(limiter.wait(&one, 9500), None);
    limiter.tell("a", Feedback::Remaining { units: 0, reset: at(9500) }, 9500);
    assert_eq!(limiter.wait(&one, 9500), None, "a count that began again says nothing");
}

#[test]
fn what_others_spent_counts_also_before_the_first_question() {
    let limiter = MemoryRateLimiter::new();
    let quotas = [rolling(10, 1000), aligned(100, 10_000)];
    limiter.tell("a", Feedback::Charge { units: 6 }, 0);
    limiter.tell("a", Feedback::Charge { units: 3 }, 500);
    assert_eq!(limiter.wait(&[cost("a", &quotas, 2)], 600), Some(1500));
    assert_eq!(limiter.wait(&[cost("a", &quotas, 1)], 600), None);
    limiter.tell("a", Feedback::Charge { units: 1000 }, 700);
    assert_eq!(limiter.wait(&[cost("a", &quotas, 1)], 800), Some(10_000));
}

#[test]
fn charges_beyond_the_limit_neither_grow_the_log_nor_lengthen_the_wait() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[rolling(10, 100_000)], 1)];
    assert_eq!(limiter.wait(&one, 0), None);
    (1..5000).for_each(|i| limiter.tell("a", Feedback::Charge { units: 1 }, i));
    assert_eq!(limiter.wait(&one, 5000), Some(104_990), "the tenth last unit has to run out");
    let text = format!("{:?}", limiter.lock().accounts);
    assert!(text.matches("after_ms").count() <= 10, "{text}");
}

#[test]
fn a_clock_set_back_opens_no_window_and_ends_no_pause() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[rolling(1, 1000)], 1)];
    assert_eq!(limiter.wait(&one, 10_000), None);
    assert_eq!(limiter.wait(&one, 2_000), Some(11_000));
    limiter.tell("b", Feedback::PausedUntil(at(4000)), 2_000);
    assert_eq!(limiter.wait(&[cost("b", &[], 1)], 3_000), Some(4000));
    assert_eq!(limiter.wait(&[cost("c", &[rolling(1, 1000)], 1)], 3_000), None);
    assert_eq!(limiter.wait(&[cost("c", &[rolling(1, 1000)], 1)], 5_000), Some(11_000));
}

#[test]
fn a_changed_limit_finds_the_same_history() {
    let limiter = MemoryRateLimiter::new();
    (0..5).for_each(|_| assert_eq!(limiter.wait(&[cost("a", &[rolling(5, 1000)], 1)], 0), None));
    assert_eq!(limiter.wait(&[cost("a", &[rolling(6, 1000)], 1)], 1), None);
    assert_eq!(limiter.wait(&[cost("a", &[rolling(2, 1000)], 1)], 2), Some(1000));
}

#[test]
fn gaps_of_months_and_the_ends_of_time_are_counted() {
    let limiter = MemoryRateLimiter::new();
    let day = 86_400_000;
    let one = [cost("a", &[Quota::Rolling { limit: 2, window: Duration::from_secs(365 * 86_400) }], 1)];
    assert_eq!(limiter.wait(&one, 0), None);
    assert_eq!(limiter.wait(&one, 200 * day), None);
    assert_eq!(limiter.wait(&one, 201 * day), Some(365 * day));
    assert_eq!(limiter.wait(&one, 365 * day), None);
    assert_eq!(limiter.wait(&one, 365 * day), Some(565 * day));

    let ends = MemoryRateLimiter::new();
    for quota in [rolling(1, 1000), aligned(1, 1000), Quota::Rolling { limit: 1, window: Duration::MAX }] {
        for now in [i64::MIN, 0, i64::MAX] {
            let _ = ends.ask(&[cost("a", &[quota], 1)], now);
        }
    }
    let tiny = [cost("b", &[Quota::Rolling { limit: 1, window: Duration::from_nanos(1) }], 1)];
    let limiter = MemoryRateLimiter::new();
    assert_eq!(limiter.wait(&tiny, 0), None);
    assert_eq!(limiter.wait(&tiny, 0), Some(1));
}

#[test]
fn idle_keys_are_dropped_and_busy_ones_are_not() {
    let limiter = MemoryRateLimiter::new();
    assert_eq!(limiter.wait(&[cost("busy", &[rolling(1, 1_000_000)], 1)], 0), None);
    limiter.tell("paused", Feedback::PausedUntil(at(1_000_000)), 0);
    for i in 0..50_000 {
        assert_eq!(limiter.wait(&[cost(&format!("c{i}"), &[rolling(1, 100)], 1)], i), None);
        assert!(limiter.lock().accounts.len() <= SWEEP_AT_LEAST);
    }
    assert_eq!(limiter.wait(&[cost("busy", &[rolling(1, 1_000_000)], 1)], 60_000), Some(1_000_000));
    assert_eq!(limiter.wait(&[cost("paused", &[], 1)], 60_000), Some(1_000_000));
}

#[test]
fn no_costs_are_always_admitted() {
    assert_eq!(MemoryRateLimiter::new().wait(&[], 0), None);
}

#[test]
fn work_counts_from_its_answer_on() {
    let limiter = MemoryRateLimiter::new();
    let costs = [cost("k", &[rolling(2, 1000)], 1)];
    let first = limiter.permit(&costs, 0);
    let second = limiter.permit(&costs, 100);
    limiter.tell("k", Feedback::Finished(first), 400);
    assert_eq!(limiter.wait(&costs, 500), Some(1100), "the second may have arrived when it was sent");
    limiter.tell("k", Feedback::Finished(second), 900);
    assert_eq!(limiter.wait(&costs, 950), Some(1400));
    let third = limiter.permit(&costs, 1400);
    assert_eq!(limiter.wait(&costs, 1400), Some(1900));
    // An answer that is later than the window counts anew.
    limiter.permit(&costs, 1900);
    limiter.tell("k", Feedback::Failed(third), 5000);
    limiter.permit(&costs, 5000);
    assert_eq!(limiter.wait(&costs, 5001), Some(6000));
}

#[test]
fn a_long_pause_is_believed_for_an_hour_and_for_a_day_when_it_is_said_again() {
    const HOUR: i64 = 3_600_000;
    let limiter = MemoryRateLimiter::new();
    let costs = [cost("k", &[rolling(9, 10)], 1)];
    let never = || Feedback::PausedUntil(at(1_792_000_000_000));
    limiter.tell("k", never(), 0);
    limiter.tell("k", never(), 1_000);
    assert_eq!(limiter.wait(&costs, 2_000), Some(HOUR), "the same word twice is one");
    limiter.permit(&costs, HOUR);
    limiter.tell("k", never(), HOUR + 5);
    assert_eq!(limiter.wait(&costs, HOUR + 10), Some(25 * HOUR + 5));
    limiter.permit(&costs, 25 * HOUR + 5);
    let none = Feedback::Remaining { units: 0, reset: at(1_792_000_000_000) };
    limiter.tell("k", none.clone(), 26 * HOUR);
    limiter.tell("k", none.clone(), 26 * HOUR + 5);
    assert_eq!(limiter.wait(&costs, 26 * HOUR + 5), Some(27 * HOUR), "nor is a count, and twice is once");
    limiter.permit(&costs, 27 * HOUR);
    limiter.tell("k", none, 27 * HOUR + 5);
    assert_eq!(limiter.wait(&costs, 27 * HOUR + 5), Some(51 * HOUR + 5));
}

/// It comes with every answer, in seconds from now.
#[test]
fn the_count_of_a_day_is_believed_to_its_end() {
    const HOUR: i64 = 3_600_000;
    let limiter = MemoryRateLimiter::new();
    let costs = [cost("k", &[], 1)];
    for (now, units) in [(0, 2), (500, 1), (900, 0)] {
        limiter.permit(&costs, now);
        limiter.tell("k", Feedback::Remaining { units, reset: at(20 * HOUR + now % 1000) }, now);
    }
    assert_eq!(limiter.wait(&costs, 1000), Some(20 * HOUR + 900));
}

#[test]
fn a_clock_that_was_a_day_ahead_stops_nothing_once_it_is_set_right() {
    const DAY: i64 = 86_400_000;
    let limiter = MemoryRateLimiter::new();
    let rolling = [cost("a", &[rolling(2, 60_000)], 1)];
    let aligned = [cost("b", &[aligned(1, 3_600_000)], 1)];
    limiter.permit(&rolling, DAY);
    limiter.permit(&rolling, DAY + 30_000);
    limiter.permit(&aligned, DAY + 30_000);
    limiter.tell("c", Feedback::PausedUntil(at(DAY + 90_000)), DAY + 30_000);
    limiter.tell("d", Feedback::Remaining { units: 0, reset: at(DAY + 90_000) }, DAY + 30_000);
    // 30 s have passed, and the clock is right.
    let now = 7_000_000;
    assert_eq!(limiter.wait(&rolling, now), Some(now + 30_000), "what was spent is not forgotten");
    assert_eq!(limiter.wait(&aligned, now), Some(7_200_000));
    assert_eq!(limiter.wait(&[cost("c", &[], 1)], now), Some(now + 60_000));
    assert_eq!(limiter.wait(&[cost("d", &[], 1)], now), Some(now + 60_000));
    assert_eq!(limiter.wait(&rolling, now + 30_000), None);
}

fn errors(limit: u32, millis: u64) -> Quota {
    Quota::Errors { limit, window: Duration::from_millis(millis) }
}

#[test]
fn an_error_budget_is_spent_by_failures_and_not_by_work() {
    let limiter = MemoryRateLimiter::new();
    let one = [cost("a", &[errors(2, 1000)], 1)];
    for now in 0..50 {
        let permit = limiter.permit(&one, now);
        limiter.tell("a", Feedback::Finished(permit), now);
    }
    let permits = [limiter.permit(&one, 100), limiter.permit(&one, 100)];
    assert_eq!(limiter.wait(&one, 100), Some(120), "both that are under way may fail");
    limiter.tell("a", Feedback::Failed(permits[0]), 200);
    limiter.tell("a", Feedback::Finished(permits[1]), 210);
    let last = limiter.permit(&one, 300);
    limiter.tell("a", Feedback::Failed(last), 400);
    assert_eq!(limiter.wait(&one, 500), Some(1200), "the first failure has to be as old as the window");
    limiter.tell("a", Feedback::Charge { units: 9 }, 600);
    assert_eq!(limiter.wait(&one, 1200), None, "what others spend is no failure");
    assert_eq!(limiter.wait(&[cost("b", &[errors(2, 1000)], 1)], 500), None);
}

#[test]
fn what_the_vendor_counts_as_a_failure_is_what_it_found_wrong() {
    let permit = Permit { id: 7 };
    for (kind, failed) in [
        (ErrorKind::InvalidRequest, true),
        (ErrorKind::Unauthenticated, true),
        (ErrorKind::PermissionDenied, true),
        (ErrorKind::NotFound, true),
        (ErrorKind::Conflict, true),
        (ErrorKind::ConfigInvalid, true),
        (ErrorKind::Unsupported, true),
        (ErrorKind::RateLimited, false),
        (ErrorKind::Unavailable, false),
    ] {
        let expected = if failed { Feedback::Failed(permit) } else { Feedback::Finished(permit) };
        assert_eq!(Feedback::after(permit, Some(&Error::new(kind, "no"))), expected, "{kind}");
    }
    assert_eq!(Feedback::after(permit, None), Feedback::Finished(permit));
}

impl MemoryRateLimiter {
    fn give(&self, at_least: u64, now: i64) -> Option<Bytes> {
        self.counts(Duration::from_millis(at_least), at(now)).now_or_never().unwrap().unwrap()
    }

    fn get(&self, counts: Option<Bytes>, lost: Option<i64>, now: i64) {
        let from = TakeOver { counts, lost: lost.map(at) };
        self.take_over(&from, at(now)).now_or_never().unwrap().unwrap();
    }
}

#[test]
fn who_takes_over_from_a_host_that_was_lost_finds_short_windows_spent() {
    let hour = 3_600_000;
    let limiter = MemoryRateLimiter::new();
    let known = [cost("known", &[rolling(2, 1000)], 1)];
    assert_eq!(limiter.wait(&known, 0), None);
    limiter.get(None, Some(500), 500);
    assert_eq!(limiter.wait(&known, 500), None, "its own counts are its own");
    let wait = |quota| limiter.fork().wait(&[cost("new", &[quota], 1)], 600);
    assert_eq!(wait(rolling(5, 1000)), Some(1500));
    assert_eq!(wait(aligned(5, 300)), None, "the period has ended");
    assert_eq!(wait(aligned(5, 1000)), Some(1000));
    assert_eq!(wait(rolling(5, hour)), Some(500 + i64::try_from(hour).unwrap()));
    assert_eq!(wait(rolling(5, hour + 1)), None, "longer windows are known, or the vendor says");
    let failing = [cost("new", &[errors(6, hour)], 3)];
    assert_eq!(limiter.fork().wait(&failing, 600), None, "of an error budget half is left");
    assert!(limiter.fork().wait(&[cost("new", &[errors(6, hour)], 4)], 600).is_some());
}

#[test]
fn counts_that_are_handed_over_go_on_where_they_were() {
    let quotas = [rolling(3, 1000), aligned(10, 100_000), errors(2, 5_000)];
    let one = [cost("a", &quotas, 1)];
    let first = MemoryRateLimiter::new();
    for now in [0, 300] {
        let permit = first.permit(&one, now);
        first.tell("a", Feedback::Failed(permit), now);
    }
    first.tell("b", Feedback::PausedUntil(at(9000)), 300);
    first.tell("c", Feedback::Remaining { units: 1, reset: at(8000) }, 300);
    let second = MemoryRateLimiter::new();
    second.get(first.give(0, 400), None, 400);
    for key in ["a", "b", "c", "new"] {
        let asked = [cost(key, &quotas, 1)];
        for now in [400, 1000, 5_000, 9_000] {
            assert_eq!(second.fork().wait(&asked, now), first.fork().wait(&asked, now), "{key} {now}");
        }
    }
    assert_eq!(first.give(200_000, 400).map(|counts| counts.len() < 300), Some(true), "only what was said");
    assert_eq!(first.give(200_000, 10_000), None);
    let broken = TakeOver { counts: Some(Bytes::from_static(b"x")), lost: None };
    assert!(second.take_over(&broken, at(500)).now_or_never().unwrap().is_err());
}

#[test]
fn a_long_window_is_handed_over_in_a_few_steps_and_never_too_early() {
    let day = 86_400_000;
    let one = [cost("a", &[rolling(5_000, day)], 1)];
    let first = MemoryRateLimiter::new();
    (0..5_000).for_each(|i| assert_eq!(first.wait(&one, i * 10_000), None));
    let now = 50_000_000;
    let counts = first.give(day, now).unwrap();
    assert!(counts.len() < 10_000, "{}", counts.len());
    let second = MemoryRateLimiter::new();
    second.get(Some(counts), Some(now), now);
    let (exact, taken) = (first.wait(&one, now).unwrap(), second.wait(&one, now).unwrap());
    assert!(taken >= exact && taken - exact <= i64::try_from(day).unwrap() / 240, "{exact} {taken}");
}

/// The quotas of three keys; the same key always names the same.
fn quotas(key: usize) -> Arc<[Quota]> {
    match key {
        0 => [rolling(5, 100)].into(),
        1 => [rolling(3, 40), rolling(7, 250)].into(),
        _ => [aligned(6, 100), rolling(4, 60)].into(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(Vec<Cost>),
    Pause(usize, i64),
    Left(usize, u32, i64),
    Charge(usize, u32),
}

fn key() -> impl Strategy<Value = usize> {
    0..3_usize
}

fn name(key: usize) -> QuotaKey {
    QuotaKey::new(key.to_string())
}

fn a_cost() -> impl Strategy<Value = Cost> {
    (key(), 0..3_u32, 0..2_u32).prop_map(|(key, units, leave)| Cost {
        key: name(key),
        quotas: quotas(key),
        units,
        leave,
    })
}

fn a_step() -> impl Strategy<Value = (i64, Step)> {
    let step = prop_oneof![
        12 => vec(a_cost(), 1..4).prop_map(Step::Ask),
        1 => (key(), 0..200_i64).prop_map(|(key, for_ms)| Step::Pause(key, for_ms)),
        1 => (key(), 0..9_u32, -10..200_i64).prop_map(|(key, units, in_ms)| Step::Left(key, units, in_ms)),
        1 => (key(), 0..9_u32).prop_map(|(key, units)| Step::Charge(key, units)),
    ];
    (prop_oneof![10 => 0..30_i64, 1 => -150..0_i64, 1 => 100..600_i64], step)
}

/// What was spent of one key: when by the latest time seen, and how much.
type Ledger = Vec<(i64, u32)>;

/// What was just admitted fits into every window that ends with it, together with all that was spent before.
fn assert_limits(ledger: &Ledger, key: usize, latest: i64) {
    for quota in &*quotas(key) {
        let (limit, start) = match *quota {
            Quota::Rolling { limit, window } => {
                (limit, latest - i64::try_from(window.as_millis()).unwrap() + 1)
            }
            Quota::Aligned { limit, period } => {
                (limit, latest - latest.rem_euclid(i64::try_from(period.as_millis()).unwrap()))
            }
            Quota::Concurrent { .. } | Quota::Errors { .. } => continue,
        };
        let sum: u32 = ledger.iter().filter(|(at, _)| *at >= start).map(|(_, units)| units).sum();
        assert!(sum <= limit, "{sum} of {quota:?} at {latest}: {ledger:?}");
    }
}

proptest! {
    #[test]
    fn no_window_holds_more_than_its_limit_and_no_wait_is_longer_than_needed(
        steps in vec(a_step(), 1..120),
    ) {
        let limiter = MemoryRateLimiter::new();
        let (mut now, mut latest) = (1_000_000_i64, i64::MIN);
        let mut ledgers: [Ledger; 3] = Default::default();
        for (by, step) in steps {
            now += by;
            let seen_before = latest;
            latest = latest.max(now);
            match step {
                Step::Pause(key, ms) => limiter.tell(name(key).as_str(), Feedback::PausedUntil(at(now + ms)), now),
                Step::Left(key, units, ms) => {
                    limiter.tell(name(key).as_str(), Feedback::Remaining { units, reset: at(now + ms) }, now);
                }
                Step::Charge(key, units) => {
                    limiter.tell(name(key).as_str(), Feedback::Charge { units }, now);
                    ledgers[key].push((latest, units));
                }
                Step::Ask(costs) => {
                    let Ok(admission) = limiter.admit(&costs, at(now)).now_or_never().unwrap() else {
                        latest = seen_before;
                        continue;
                    };
                    match admission {
                        Admission::Admitted(_) => for cost in &costs {
                            let key: usize = cost.key.as_str().parse().unwrap();
                            ledgers[key].push((latest, cost.units));
                            if cost.units > 0 {
                                assert_limits(&ledgers[key], key, latest);
                            }
                        },
                        Admission::NotBefore(then) => {
                            let then = then.as_millis();
                            prop_assert!(then > now);
                            prop_assert_eq!(limiter.fork().wait(&costs, then), None);
                            if then - 1 > now {
                                prop_assert_eq!(limiter.fork().wait(&costs, then - 1), Some(then));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_window_holds_more_failures_than_its_limit_whatever_fails(
        steps in vec((0..40_i64, 0..4_u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let limiter = MemoryRateLimiter::new();
        let quota = errors(4, 300);
        let costs = [cost("a", &[quota, rolling(9, 100)], 1), cost("b", &[Quota::Concurrent { limit: 6 }], 1)];
        let (mut now, mut under_way, mut failures) = (0, Vec::<Permit>::new(), Vec::<i64>::new());
        for (by, end, which) in steps {
            now += by;
            if end < 3 && !under_way.is_empty() {
                let permit = under_way.swap_remove(which.index(under_way.len()));
                let failed = end == 0;
                for key in ["a", "b"] {
                    let end = if failed { Feedback::Failed(permit) } else { Feedback::Finished(permit) };
                    limiter.tell(key, end, now);
                }
                failures.extend(failed.then_some(now));
            }
            let recent = failures.iter().filter(|at| **at > now - 300).count();
            prop_assert!(recent <= 4, "{failures:?} at {now}");
            match limiter.ask(&costs, now) {
                Admission::Admitted(permit) => under_way.push(permit),
                Admission::NotBefore(then) => {
                    prop_assert!(then.as_millis() > now);
                    // A refusal that only failures explain lasts as long as they count.
                    if recent == 4 && under_way.is_empty() {
                        let at = then.as_millis();
                        prop_assert_eq!(limiter.fork().wait(&costs, at), None);
                        prop_assert!(limiter.fork().wait(&costs, at - 1).is_some());
                    }
                }
            }
            prop_assert!(recent + under_way.len() <= 4);
        }
    }

    #[test]
    fn never_more_work_is_under_way_than_its_limit(steps in vec((0..50_i64, any::<bool>()), 1..200)) {
        let limiter = MemoryRateLimiter::new();
        let one = [cost("a", &[Quota::Concurrent { limit: 3 }], 1)];
        let mut now = 0;
        let mut under_way = std::collections::VecDeque::new();
        for (by, finish) in steps {
            now += by;
            if finish && let Some(permit) = under_way.pop_front() {
                limiter.tell("a", Feedback::Finished(permit), now);
            }
            match limiter.ask(&one, now) {
                Admission::Admitted(permit) => under_way.push_back(permit),
                Admission::NotBefore(_) => prop_assert_eq!(under_way.len(), 3),
            }
            prop_assert!(under_way.len() <= 3);
        }
    }
}
