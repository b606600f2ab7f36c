//! When matching events go out: at once, at certain times, or gathered into a digest.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    model::{Date, TimeOfDay, Weekday, Zone},
};

/// When the deliveries of a target go out. Without any setting: at once.
///
/// ```
/// use ml_connector_core::{Timestamp, model::{Weekday, Zone}, route::Schedule};
///
/// let schedule = Schedule::daily(["09:00".parse()?], Zone::named("Europe/Berlin")?).on_days(Weekday::WORKING);
/// let friday_noon = Timestamp::parse("2026-03-27T11:00:00Z")?;
/// // Monday, and clocks have been set forward meanwhile.
/// assert_eq!(schedule.next(friday_noon).to_string(), "2026-03-30T07:00:00Z");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
///
/// A delivery that has a time keeps it when the routes are replaced. Deliveries of one schedule keep their order;
/// those that go out at once do not wait for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// At every multiple of so many minutes since midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<u32>,
    /// At these times of the day in `zone`, once on every day: where clocks are set forward over one, as much later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TimeOfDay>,
    /// Only on these days; none = on every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// Whose clocks `at` and `days` mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Gathers deliveries into one message, instead of one message each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// How deliveries are gathered into one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Digest {
    /// At most so many in one, and with so many it does not wait any longer; none = as many as the sink takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
    /// How long the first one waits for others. Of a schedule without times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

impl Digest {
    /// With at most so many; for schedules with times.
    #[must_use]
    pub fn of(events: u32) -> Self {
        Self { events: Some(events), seconds: None }
    }

    /// With `events` of them, or after `seconds`.
    #[must_use]
    pub fn new(events: u32, seconds: u32) -> Self {
        Self { events: Some(events), seconds: Some(seconds) }
    }
}

impl Schedule {
    /// At every multiple of so many minutes since midnight UTC.
    #[must_use]
    pub fn every_minutes(minutes: u32) -> Self {
        Self { every_minutes: Some(minutes), ..Self::default() }
    }

    /// At these times of every day in a zone.
    #[must_use]
    pub fn daily(at: impl Into<Vec<TimeOfDay>>, zone: Zone) -> Self {
        Self { at: at.into(), zone: Some(zone), ..Self::default() }
    }

    /// Only on these days.
    #[must_use]
    pub fn on_days(mut self, days: impl Into<Vec<Weekday>>) -> Self {
        self.days = days.into();
        self
    }

    /// One message for all that go out together.
    #[must_use]
    pub fn as_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Not to be begun before; a digest without times waits in its lane after that.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        if self.every_minutes.is_none() && self.at.is_empty() { now } else { self.next(now) }
    }

    /// When a delivery that is made now goes out: now, at the next time, or when its digest has waited long enough.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Timestamp {
        if let Some(minutes) = self.every_minutes {
            let step = i64::from(minutes.max(1)) * 60_000;
            let begun = now.as_millis().div_euclid(step) * step;
            return Timestamp::from_millis(if begun == now.as_millis() { begun } else { begun + step });
        }
        if self.at.is_empty() {
            let seconds = self.digest.and_then(|digest| digest.seconds).unwrap_or(0);
            return now + Duration::from_secs(u64::from(seconds));
        }
        let zone = &self.zone.clone().unwrap_or(Zone::UTC);
        // A date before: where clocks are set forward at midnight, its last time may lie in the next.
        let first = now.date_in(zone).minus_days(1);
        let on_day = |date: &Date| self.days.is_empty() || self.days.contains(&date.weekday());
        let dates = (0..=8).map(|days| first.plus_days(days)).filter(on_day);
        let times = dates.flat_map(|date| self.at.iter().map(move |time| time.on(date, zone)));
        times.filter(|at| *at >= now).min().unwrap_or(now)
    }

    /// What is wrong with it: the field, and why.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let has_times = self.every_minutes.is_some() || !self.at.is_empty();
        let waits = self.digest.is_some_and(|digest| digest.seconds.is_some());
        if self.every_minutes == Some(0) {
            return Some(("every_minutes", "expected at least one minute"));
        }
        if self.every_minutes.is_some() && !self.at.is_empty() {
            return Some(("at", "`at` and `every_minutes` exclude each other"));
        }
        if !self.at.is_empty() && self.zone.is_none() {
            return Some(("zone", "times of the day need a zone"));
        }
        if self.at.is_empty() && self.zone.is_some() {
            return Some(("zone", "a zone means nothing without times of the day"));
        }
        if self.at.is_empty() && !self.days.is_empty() {
            return Some(("days", "days mean nothing without times of the day"));
        }
        if self.digest.is_some_and(|digest| digest.events == Some(0)) {
            return Some(("digest.events", "a digest needs room for one event at least"));
        }
        if self.digest.is_some_and(|digest| digest.seconds == Some(0)) {
            return Some(("digest.seconds", "expected at least one second"));
        }
        if has_times && waits {
            return Some(("digest.seconds", "a digest with times goes out at them, not after seconds"));
        }
        if self.digest.is_some() && !has_times && !waits {
            return Some(("digest", "a digest needs times, or `seconds`"));
        }
        if self.digest.is_none() && !has_times {
            return Some(("schedule", "a schedule needs times or a digest"));
        }
        None
    }
}

/// The same text for the same schedule: part of the name of its lane.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(minutes) = self.every_minutes {
            write!(f, "every {minutes} min")?;
        }
        for (i, time) in self.at.iter().enumerate() {
            write!(f, "{}{time}", if i == 0 { "at " } else { ", " })?;
        }
        if let Some(zone) = &self.zone {
            write!(f, " {}", zone.name())?;
        }
        for day in &self.days {
            write!(f, " {day:?}")?;
        }
        match self.digest {
            None => Ok(()),
            Some(Digest { events: None, seconds: None }) => f.write_str(" in digests"),
            Some(Digest { events, seconds }) => {
                f.write_str(" in digests of")?;
                events.map_or(Ok(()), |events| write!(f, " {events} events"))?;
                seconds.map_or(Ok(()), |seconds| write!(f, " {seconds} s"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::subsequence};

    use super::*;

    fn next(schedule: &Schedule, now: &str) -> String {
        schedule.next(Timestamp::parse(now).unwrap()).to_string()
    }

    fn new_york(times: &[&str]) -> Schedule {
        let times: Vec<_> = times.iter().map(|time| TimeOfDay::parse(time).unwrap()).collect();
        Schedule::daily(times, Zone::named("America/New_York").unwrap())
    }

    #[test]
    fn the_next_time_is_the_first_that_has_not_passed() {
        let half = Schedule::every_minutes(30);
        assert_eq!(next(&half, "2026-03-01T12:00:00Z"), "2026-03-01T12:00:00Z");
        assert_eq!(next(&half, "2026-03-01T12:00:00.001Z"), "2026-03-01T12:30:00Z");
        let twice = new_york(&["15:00", "09:00"]);
        assert_eq!(next(&twice, "2026-01-05T14:00:00Z"), "2026-01-05T14:00:00Z");
        assert_eq!(next(&twice, "2026-01-05T14:00:01Z"), "2026-01-05T20:00:00Z");
        assert_eq!(next(&twice, "2026-01-05T20:00:01Z"), "2026-01-06T14:00:00Z");
        let working = twice.on_days(Weekday::WORKING);
        assert_eq!(next(&working, "2026-01-09T23:00:00Z"), "2026-01-12T14:00:00Z");
        let weekly = new_york(&["09:00"]).on_days([Weekday::Mon]);
        assert_eq!(next(&weekly, "2026-01-05T14:00:01Z"), "2026-01-12T14:00:00Z");
        let soon = Schedule::default().as_digest(Digest::new(20, 300));
        assert_eq!(next(&soon, "2026-03-01T12:00:00Z"), "2026-03-01T12:05:00Z");
    }

    #[test]
    fn nine_in_the_morning_stays_nine_when_clocks_change() {
        let nine = new_york(&["09:00"]);
        assert_eq!(next(&nine, "2026-03-07T20:00:00Z"), "2026-03-08T13:00:00Z");
        assert_eq!(next(&nine, "2026-10-31T20:00:00Z"), "2026-11-01T14:00:00Z");
        // Half past two never is on this day, and half past one is twice on that: once each.
        let never = new_york(&["02:30"]);
        assert_eq!(next(&never, "2026-03-08T06:00:00Z"), "2026-03-08T07:30:00Z");
        assert_eq!(next(&never, "2026-03-08T07:30:01Z"), "2026-03-09T06:30:00Z");
        let twice = new_york(&["01:30"]);
        assert_eq!(next(&twice, "2026-11-01T05:30:01Z"), "2026-11-02T06:30:00Z");
    }

    #[test]
    fn a_schedule_that_makes_no_sense_says_which_field() {
        let zone = || Some(Zone::UTC);
        let at = || vec![TimeOfDay::parse("09:00").unwrap()];
        let digest = |events, seconds| Some(Digest { events, seconds });
        let none = Schedule::default;
        for (schedule, field) in [
            (none(), "schedule"),
            (Schedule::every_minutes(0), "every_minutes"),
            (Schedule { at: at(), zone: zone(), ..Schedule::every_minutes(5) }, "at"),
            (Schedule { at: at(), ..none() }, "zone"),
            (Schedule { zone: zone(), ..Schedule::every_minutes(5) }, "zone"),
            (Schedule::every_minutes(5).on_days([Weekday::Mon]), "days"),
            (Schedule { digest: digest(None, None), ..none() }, "digest"),
            (Schedule { digest: digest(Some(0), Some(9)), ..none() }, "digest.events"),
            (Schedule { digest: digest(Some(9), Some(0)), ..none() }, "digest.seconds"),
            (Schedule::every_minutes(5).as_digest(Digest::new(9, 9)), "digest.seconds"),
        ] {
            assert_eq!(schedule.problem().map(|(field, _)| field), Some(field), "{schedule:?}");
        }
        for schedule in [
            Schedule::every_minutes(5),
            Schedule::every_minutes(5).as_digest(Digest::default()),
            new_york(&["09:00"]).on_days(Weekday::WORKING).as_digest(Digest::default()),
            none().as_digest(Digest::new(9, 9)),
        ] {
            assert_eq!(schedule.problem(), None, "{schedule}");
        }
    }

    fn any_time() -> impl Strategy<Value = TimeOfDay> {
        (0..24_u32, 0..60_u32).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}").parse().unwrap())
    }

    fn any_zone() -> impl Strategy<Value = Zone> {
        prop::sample::select(vec![
            "UTC",
            "America/New_York",
            "America/Havana",
            "Asia/Beirut",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
        ])
        .prop_map(|name| Zone::named(name).unwrap())
    }

    proptest! {
        #[test]
        fn the_next_time_is_one_of_the_times_on_one_of_the_days_and_none_lies_before_it(
            secs in 1_577_836_800_i64..1_893_456_000,
            at in vec(any_time(), 1..4),
            days in subsequence(Weekday::WORKING.to_vec(), 0..=5),
            zone in any_zone(),
        ) {
            let now = Timestamp::from_secs(secs);
            let schedule = Schedule::daily(at.clone(), zone.clone()).on_days(days.clone());
            let next = schedule.next(now);
            let on = |date: Date| days.is_empty() || days.contains(&date.weekday());
            let first = now.date_in(&zone).minus_days(2);
            let times = (0..12).map(|n| first.plus_days(n)).filter(|date| on(*date));
            let times: Vec<_> = times.flat_map(|date| at.iter().map(|time| time.on(date, &zone)).collect::<Vec<_>>()).collect();
            prop_assert_eq!(times.iter().copied().filter(|at| *at >= now).min(), Some(next));
            prop_assert_eq!(schedule.next(next), next, "what has its time goes at it");
        }

        #[test]
        fn every_so_many_minutes_is_never_later_than_that(millis in 0_i64..4_000_000_000_000, minutes in 1_u32..2000) {
            let now = Timestamp::from_millis(millis);
            let next = Schedule::every_minutes(minutes).next(now);
            let step = i64::from(minutes) * 60_000;
            prop_assert!(next >= now && next.as_millis() - millis < step && next.as_millis() % step == 0);
        }
    }
}
