//! Limits of an organization: per minute, per day, in flight.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use ml_connector_core::{Timestamp, model::Zone};
use serde_json::json;

use super::Plan;
use crate::toolkit::{
    exchange::json,
    windows::{Period, Reset, Window, WindowHeaders},
};

/// Zoho Books API v3, "API call limit": requests per minute and organization, on every plan.
const PER_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// How long code 43 blocks, as seen once in the field.
const BLOCK: Duration = Duration::from_secs(3600);

/// How an organization that exceeds its minute is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinuteLimit {
    /// Code 44 without a `Retry-After`, as documented.
    #[default]
    Code44,
    /// Code 43 with `Retry-After: 3600`, as seen in the field: everything is refused for an hour.
    Code43,
}

/// The counters of one organization.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) minute_limit: MinuteLimit,
    at_once: u32,
    minute: Window,
    day: Window,
    blocked_until: Timestamp,
    violations: u64,
}

const DAY: WindowHeaders = WindowHeaders {
    limit: "x-rate-limit-limit",
    remaining: "x-rate-limit-remaining",
    reset: "x-rate-limit-reset",
    reset_as: Reset::SecondsLeft,
};

impl Counters {
    pub(super) fn new(plan: Plan, zone: Zone) -> Self {
        Self {
            minute_limit: MinuteLimit::default(),
            at_once: plan.requests_at_once(),
            minute: Window::new(PER_MINUTE, Period::Rolling(MINUTE)),
            day: Window::new(plan.requests_per_day(), Period::Day(zone)),
            blocked_until: Timestamp::default(),
            violations: 0,
        }
    }

    /// Replaces the plan's daily quota.
    pub(super) fn set_daily(&mut self, requests: u32) {
        self.day.set_limit(requests);
    }

    /// How many calls were refused by a limit: a client that keeps the limits has none.
    pub(super) fn violations(&self) -> u64 {
        self.violations
    }

    /// Counts a call and refuses it when it is over a limit. Refused calls count too: Zoho does not say, and this
    /// is the stricter reading.
    pub(super) fn admit(&mut self, now: Timestamp, at_once: u32) -> Option<Response<Bytes>> {
        let (in_day, in_minute) = (self.day.count(now), self.minute.count(now));
        let refused = if now < self.blocked_until {
            let left = self.blocked_until.saturating_since(now).as_millis().div_ceil(1000);
            blocked(u64::try_from(left).unwrap_or(BLOCK.as_secs()))
        } else if !in_day {
            let limit = self.day.limit();
            refused(
                45,
                &format!(
                    "The API call for this organization has exceeded the maximum call rate limit of {limit}."
                ),
            )
        } else if !in_minute {
            match self.minute_limit {
                MinuteLimit::Code44 => refused(44, EXCEEDED),
                MinuteLimit::Code43 => {
                    self.blocked_until = now + BLOCK;
                    blocked(BLOCK.as_secs())
                }
            }
        } else if at_once > self.at_once {
            refused(
                1070,
                "You have reached the maximum number of in process requests allowed. Kindly try again after some time.",
            )
        } else {
            return None;
        };
        self.violations += 1;
        Some(refused)
    }

    /// Adds what Zoho tells about the day on every answer: quota, rest, and seconds until local midnight.
    pub(super) fn describe(&mut self, answer: &mut Response<Bytes>, now: Timestamp) {
        self.day.describe(&DAY, now, answer);
    }
}

/// The answer to a planted 429.
pub(super) fn throttled(retry_after_secs: Option<u32>) -> Response<Bytes> {
    retry_after_secs.map_or_else(|| refused(44, EXCEEDED), |secs| blocked(secs.into()))
}

const EXCEEDED: &str = "For security reasons your organization has been blocked as it have exceeded the maximum number of requests per minute that can originate from an organization.";

fn blocked(secs: u64) -> Response<Bytes> {
    let mut answer = refused(
        43,
        "For security reasons you have been blocked for some time as you have exceeded the maximum number of requests per minute.",
    );
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    answer
}

fn refused(code: u32, message: &str) -> Response<Bytes> {
    let body = json!({ "code": code, "message": message });
    json(StatusCode::TOO_MANY_REQUESTS, "application/json;charset=UTF-8", body)
}
