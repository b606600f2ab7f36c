//! Limits by windows of time, and keys that are blocked for too many errors.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use ml_connector_core::{
    Timestamp,
    model::{Date, Zone},
};

/// How calls are grouped.
#[derive(Debug, Clone)]
pub(crate) enum Period {
    /// The calls of the last so long, at any instant.
    Rolling(Duration),
    /// Windows that begin at multiples of so long since 1970: a minute or an hour of the clock, a day in UTC.
    Aligned(Duration),
    /// The calendar's day in a zone.
    Day(Zone),
}

/// So many calls in a period.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    limit: u32,
    period: Period,
    /// Counted calls of a rolling period, oldest first.
    calls: VecDeque<Timestamp>,
    /// Where the aligned period or the day began, and how many calls it has.
    current: Option<(Timestamp, u32)>,
}

impl Window {
    pub(crate) fn new(limit: u32, period: Period) -> Self {
        Self { limit, period, calls: VecDeque::new(), current: None }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Counts a call whether it fits or not, for a vendor that counts what it refuses. Returns whether it fits.
    pub(crate) fn count(&mut self, now: Timestamp) -> bool {
        let fits = self.used(now) < self.limit;
        match self.period {
            Period::Rolling(_) => self.calls.push_back(now),
            Period::Aligned(_) | Period::Day(_) => {
                let (_, used) = self.current.get_or_insert((now, 0));
                *used = used.saturating_add(1);
            }
        }
        fits
    }

    /// Counts a call only if it fits. Returns whether it did.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        self.used(now) < self.limit && self.count(now)
    }

    /// How many calls still fit.
    pub(crate) fn remaining(&mut self, now: Timestamp) -> u32 {
        self.limit.saturating_sub(self.used(now))
    }

    /// When a call fits again that does not fit now; for a period of the calendar always its end.
    pub(crate) fn resets_at(&mut self, now: Timestamp) -> Timestamp {
        self.used(now);
        match &self.period {
            Period::Rolling(length) => {
                let over = self.calls.len().saturating_sub(usize::try_from(self.limit).unwrap_or(usize::MAX));
                self.calls.get(over).map_or(now, |at| *at + *length)
            }
            Period::Aligned(length) => start(*length, now) + *length,
            Period::Day(zone) => now.date_in(zone).plus_days(1).start_in(zone),
        }
    }

    /// How many calls count now.
    fn used(&mut self, now: Timestamp) -> u32 {
        let begin = match &self.period {
            Period::Rolling(length) => {
                while self.calls.front().is_some_and(|at| now.saturating_since(*at) >= *length) {
                    self.calls.pop_front();
                }
                return u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
            }
            Period::Aligned(length) => start(*length, now),
            Period::Day(zone) => day(now.date_in(zone), zone),
        };
        match self.current {
            Some((at, used)) if at == begin => used,
            _ => {
                self.current = Some((begin, 0));
                0
            }
        }
    }

    /// Tells the window in an answer's headers.
    pub(crate) fn describe(&mut self, headers: &WindowHeaders, now: Timestamp, answer: &mut Response<Bytes>) {
        let resets_at = self.resets_at(now);
        let reset = match headers.reset_as {
            Reset::SecondsLeft => resets_at.saturating_since(now).as_secs(),
            Reset::EpochSeconds => u64::try_from(resets_at.as_secs()).unwrap_or_default(),
            Reset::EpochMillis => u64::try_from(resets_at.as_millis()).unwrap_or_default(),
        };
        let remaining = self.remaining(now);
        let told = answer.headers_mut();
        told.insert(HeaderName::from_static(headers.limit), HeaderValue::from(self.limit));
        told.insert(HeaderName::from_static(headers.remaining), HeaderValue::from(remaining));
        told.insert(HeaderName::from_static(headers.reset), HeaderValue::from(reset));
    }
}

/// A vendor's headers for one window, in lower case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowHeaders {
    pub(crate) limit: &'static str,
    pub(crate) remaining: &'static str,
    pub(crate) reset: &'static str,
    pub(crate) reset_as: Reset,
}

/// How the end of a window is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    SecondsLeft,
    EpochSeconds,
    EpochMillis,
}

/// Blocks a key after too many errors: `limit` within `within` pass, the next one blocks it for `block`.
#[derive(Debug)]
pub(crate) struct ErrorVelocity {
    limit: usize,
    within: Duration,
    block: Duration,
    errors: HashMap<String, VecDeque<Timestamp>>,
    blocked: HashMap<String, Timestamp>,
}

impl ErrorVelocity {
    pub(crate) fn new(limit: usize, within: Duration, block: Duration) -> Self {
        Self { limit, within, block, errors: HashMap::new(), blocked: HashMap::new() }
    }

    /// Until when calls of this key are refused, if they are.
    pub(crate) fn blocked_until(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        self.blocked.get(key).copied().filter(|until| *until > now)
    }

    /// Notes an error that was answered. Returns whether the key is blocked from now on.
    pub(crate) fn note(&mut self, key: &str, now: Timestamp) -> bool {
        let errors = self.errors.entry(key.to_owned()).or_default();
        while errors.front().is_some_and(|at| now.saturating_since(*at) >= self.within) {
            errors.pop_front();
        }
        errors.push_back(now);
        let blocks = errors.len() > self.limit;
        if blocks {
            self.blocked.insert(key.to_owned(), now + self.block);
        }
        blocks
    }
}

fn start(length: Duration, now: Timestamp) -> Timestamp {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_millis(now.as_millis().div_euclid(millis) * millis)
}

fn day(date: Date, zone: &Zone) -> Timestamp {
    date.start_in(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15T08:00:00Z.
    const START: i64 = 1_800_000_000;
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(START * 1000 + millis)
    }

    #[test]
    fn a_rolling_window_forgets_call_by_call() {
        let mut window = Window::new(2, Period::Rolling(MINUTE));
        assert!(window.take(at(0)) && window.take(at(30_000)));
        assert!(!window.take(at(59_999)));
        assert_eq!(window.resets_at(at(59_999)), at(60_000));
        assert!(window.take(at(60_000)), "the first call is a minute ago");
        assert!(!window.take(at(60_001)), "the second is not");
    }

    #[test]
    fn a_vendor_that_counts_what_it_refuses_stays_shut_for_a_client_that_keeps_calling() {
        let mut window = Window::new(2, Period::Rolling(MINUTE));
        let passed: Vec<bool> = (0..8).map(|call| window.count(at(call * 20_000))).collect();
        assert_eq!(passed, [true, true, false, false, false, false, false, false]);
        assert!(window.count(at(7 * 20_000 + 60_000)));
    }

    #[test]
    fn an_aligned_window_begins_with_the_clock_s_minute() {
        let mut window = Window::new(2, Period::Aligned(MINUTE));
        assert!(window.take(at(59_000)) && window.take(at(59_500)));
        assert!(!window.take(at(59_999)));
        assert_eq!(window.resets_at(at(59_999)), at(60_000));
        assert_eq!(window.remaining(at(60_000)), 2);
        assert!(window.take(at(60_000)));
    }

    #[test]
    fn a_day_ends_at_midnight_of_its_zone() {
        let zone = Zone::named("America/New_York").unwrap();
        let mut window = Window::new(1, Period::Day(zone));
        // 03:00 in New York.
        let midnight = at(21 * 3_600_000);
        assert!(window.take(at(0)) && !window.take(at(1)));
        assert_eq!(window.resets_at(at(1)), midnight);
        assert!(!window.take(midnight + Duration::ZERO) || window.remaining(midnight) == 0);
        assert!(window.take(midnight + Duration::from_secs(86_400)));
    }

    #[test]
    fn headers_tell_limit_rest_and_reset_in_the_vendor_s_unit() {
        let mut window = Window::new(60, Period::Aligned(MINUTE));
        for reset_as in [Reset::SecondsLeft, Reset::EpochSeconds, Reset::EpochMillis] {
            window.take(at(10_000));
            let headers = WindowHeaders { limit: "x-limit", remaining: "x-left", reset: "x-reset", reset_as };
            let mut answer = Response::new(Bytes::new());
            window.describe(&headers, at(10_000), &mut answer);
            let expected = match reset_as {
                Reset::SecondsLeft => 50,
                Reset::EpochSeconds => START + 60,
                Reset::EpochMillis => (START + 60) * 1000,
            };
            assert_eq!(answer.headers()["x-limit"], "60");
            assert_eq!(answer.headers()["x-reset"], expected.to_string().as_str());
        }
        assert_eq!(window.remaining(at(10_000)), 57);
    }

    #[test]
    fn one_error_too_many_blocks_its_key_alone() {
        let hour = Duration::from_secs(3600);
        let mut velocity = ErrorVelocity::new(10, hour, hour);
        for second in 0..10 {
            assert!(!velocity.note("invoices", at(second * 1000)));
        }
        assert_eq!(velocity.blocked_until("invoices", at(10_000)), None);
        assert!(velocity.note("invoices", at(10_000)));
        assert_eq!(velocity.blocked_until("invoices", at(10_000)), Some(at(3_610_000)));
        assert_eq!(velocity.blocked_until("bills", at(10_000)), None);
        assert_eq!(velocity.blocked_until("invoices", at(3_610_000)), None);
    }

    #[test]
    fn errors_that_are_spread_out_block_nothing() {
        let hour = Duration::from_secs(3600);
        let mut velocity = ErrorVelocity::new(1, hour, hour);
        assert!((0..20).all(|n| !velocity.note("invoices", at(n * 3_600_000))));
    }
}
