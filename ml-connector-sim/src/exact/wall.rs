//! The server's clock: wall time of a zone, written as if it were UTC.

use jiff::{civil::DateTime, tz::TimeZone};
use ml_connector_core::{Timestamp, model::Date};

/// Milliseconds since 1970 on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Naive(pub(super) i64);

/// The wall clock of a zone.
#[derive(Debug, Clone)]
pub(super) struct Wall(TimeZone);

impl Wall {
    /// The database is part of the program; a zone it does not know is the Netherlands'.
    pub(super) fn of(zone: &str) -> Self {
        Self(TimeZone::get(zone).or_else(|_| TimeZone::get("Europe/Amsterdam")).unwrap_or(TimeZone::UTC))
    }

    pub(super) fn at(&self, instant: Timestamp) -> Naive {
        let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).unwrap_or_default();
        Naive::of(instant.to_zoned(self.0.clone()).datetime())
    }

    /// Seconds that the wall is ahead of UTC.
    pub(super) fn offset_secs(&self, instant: Timestamp) -> i64 {
        (self.at(instant).0 - instant.as_millis()).div_euclid(1000)
    }
}

impl Naive {
    fn of(local: DateTime) -> Self {
        Self(
            local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond()).unwrap_or_default(),
        )
    }

    /// Midnight of a day.
    pub(super) fn midnight(date: Date) -> Self {
        Self::read(&format!("{date}T00:00:00")).unwrap_or(Self(0))
    }

    /// Midnight of its day.
    pub(super) fn day(self) -> Self {
        Self(self.0.div_euclid(86_400_000) * 86_400_000)
    }

    pub(super) fn plus_days(self, days: i64) -> Self {
        Self(self.0 + days * 86_400_000)
    }

    fn local(self) -> DateTime {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        instant.to_zoned(TimeZone::UTC).datetime()
    }

    pub(super) fn year(self) -> i16 {
        self.local().year()
    }

    pub(super) fn month(self) -> i8 {
        self.local().month()
    }

    /// As JSON has it: `/Date(1773310442447)/`.
    pub(super) fn json(self) -> String {
        format!("/Date({})/", self.0)
    }

    /// As ISO without a zone, with up to three decimals and no idle zero: `2026-03-12T11:02:17.48`.
    pub(super) fn iso(self) -> String {
        let whole = self.local().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        match self.0.rem_euclid(1000) {
            0 => whole,
            millis => format!("{whole}.{millis:03}").trim_end_matches('0').to_owned(),
        }
    }

    /// Reads `/Date(1773310442447)/`.
    pub(super) fn of_json(text: &str) -> Option<Self> {
        text.strip_prefix("/Date(")?.strip_suffix(")/")?.parse().ok().map(Self)
    }

    /// Reads a filter's literal: a date, with or without a time, without a zone.
    pub(super) fn read(text: &str) -> Option<Self> {
        let local: DateTime = match text.len() {
            10 => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
            _ if text.ends_with(['Z', 'z']) => return None,
            _ => text.parse().ok()?,
        };
        Some(Self::of(local))
    }
}
