//! Limits of an organization: per minute, per day, in flight.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use ml_connector_core::{
    Timestamp,
    model::{Date, Zone},
};
use serde_json::json;

use super::Plan;
use crate::toolkit::exchange::json;

/// Zoho Books API v3, "API call limit": requests per minute and organization, on every plan.
const PER_MINUTE: usize = 100;
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
    pub(super) in_flight: u32,
    daily: u32,
    at_once: u32,
    zone: Zone,
    minute: VecDeque<Timestamp>,
    day: Option<Date>,
    today: u32,
    blocked_until: Timestamp,
    violations: u64,
}

impl Counters {
    pub(super) fn new(plan: Plan, zone: Zone) -> Self {
        Self {
            minute_limit: MinuteLimit::default(),
            in_flight: 0,
            daily: plan.requests_per_day(),
            at_once: plan.requests_at_once(),
            zone,
            minute: VecDeque::new(),
            day: None,
            today: 0,
            blocked_until: Timestamp::default(),
            violations: 0,
        }
    }

    /// Replaces the plan's daily quota.
    pub(super) fn set_daily(&mut self, requests: u32) {
        self.daily = requests;
    }

    /// How many calls were refused by a limit: a client that keeps the limits has none.
    pub(super) fn violations(&self) -> u64 {
        self.violations
    }

    /// Counts a call and refuses it when it is over a limit. Refused calls count too: Zoho does not say, and this
    /// is the stricter reading.
    pub(super) fn admit(&mut self, now: Timestamp) -> Option<Response<Bytes>> {
        let today = now.date_in(&self.zone);
        if self.day != Some(today) {
            (self.day, self.today) = (Some(today), 0);
        }
        while self.minute.front().is_some_and(|at| now.saturating_since(*at) >= MINUTE) {
            self.minute.pop_front();
        }
        self.today = self.today.saturating_add(1);
        self.minute.push_back(now);
        let refused = if now < self.blocked_until {
            let left = self.blocked_until.saturating_since(now).as_millis().div_ceil(1000);
            blocked(u64::try_from(left).unwrap_or(BLOCK.as_secs()))
        } else if self.today > self.daily {
            let limit = self.daily;
            refused(
                45,
                &format!(
                    "The API call for this organization has exceeded the maximum call rate limit of {limit}."
                ),
            )
        } else if self.minute.len() > PER_MINUTE {
            match self.minute_limit {
                MinuteLimit::Code44 => refused(
                    44,
                    "For security reasons your organization has been blocked as it have exceeded the maximum number of requests per minute that can originate from an organization.",
                ),
                MinuteLimit::Code43 => {
                    self.blocked_until = now + BLOCK;
                    blocked(BLOCK.as_secs())
                }
            }
        } else if self.in_flight > self.at_once {
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
    pub(super) fn describe(&self, answer: &mut Response<Bytes>, now: Timestamp) {
        let midnight = now.date_in(&self.zone).plus_days(1).start_in(&self.zone);
        let reset = midnight.saturating_since(now).as_secs();
        let headers = answer.headers_mut();
        headers.insert("x-rate-limit-limit", HeaderValue::from(self.daily));
        headers.insert("x-rate-limit-remaining", HeaderValue::from(self.daily.saturating_sub(self.today)));
        headers.insert("x-rate-limit-reset", HeaderValue::from(reset));
    }
}

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
