//! Instants, dates and time zones, so that no date library is part of our signatures.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Weekday;
use crate::{Error, ErrorKind, Result};

/// An instant in UTC, to the millisecond. Written as RFC 3339 text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Later than everything; never reached.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time from `earlier` to here; zero when it is later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The calendar date at this instant in `zone`.
    #[must_use]
    pub fn date_in(self, zone: &Zone) -> Date {
        Date(self.to_jiff().to_zoned(zone.0.clone()).date())
    }

    /// Reads an instant with an offset: RFC 3339, also with an offset without colon (`+0530`) as Zoho writes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is no instant or has no offset.
    pub fn parse(text: &str) -> Result<Self> {
        text.parse().map(Self::from_jiff).map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, "expected an instant with an offset")
                .with_context("chars", text.len())
        })
    }

    pub(crate) fn from_jiff(instant: jiff::Timestamp) -> Self {
        Self(instant.as_millisecond())
    }

    pub(super) fn to_jiff(self) -> jiff::Timestamp {
        let (min, max) = (jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
        jiff::Timestamp::from_millisecond(self.0.clamp(min, max)).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A calendar date without a time or a zone, such as a due date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is no date.
    pub fn parse(text: &str) -> Result<Self> {
        let date = text.parse().map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, "expected a date as YYYY-MM-DD")
                .with_context("chars", text.len())
        })?;
        Ok(Self(date))
    }

    /// Whole days from `earlier` to here, negative when it is later.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i32 {
        self.0.since(earlier.0).map_or(0, |span| span.get_days())
    }

    /// The date `days` earlier, or the first date there is.
    #[must_use]
    pub fn minus_days(self, days: u32) -> Self {
        Self(self.0.saturating_sub(jiff::Span::new().days(i64::from(days))))
    }

    /// The date `days` later, or the last date there is.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        let span = jiff::Span::new().try_days(i64::from(days));
        Self(span.map_or(jiff::civil::Date::MAX, |span| self.0.saturating_add(span)))
    }

    /// The first instant of this date in `zone`; where midnight is skipped, the first instant after the gap.
    #[must_use]
    pub fn start_in(self, zone: &Zone) -> Timestamp {
        self.0
            .to_zoned(zone.0.clone())
            .map_or(Timestamp::MAX, |start| Timestamp::from_jiff(start.timestamp()))
    }
}

impl Date {
    /// Its day of the week, from Monday.
    #[must_use]
    pub fn weekday(self) -> Weekday {
        match self.0.weekday() {
            jiff::civil::Weekday::Monday => Weekday::Mon,
            jiff::civil::Weekday::Tuesday => Weekday::Tue,
            jiff::civil::Weekday::Wednesday => Weekday::Wed,
            jiff::civil::Weekday::Thursday => Weekday::Thu,
            jiff::civil::Weekday::Friday => Weekday::Fri,
            jiff::civil::Weekday::Saturday => Weekday::Sat,
            jiff::civil::Weekday::Sunday => Weekday::Sun,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time zone with its daylight-saving rules.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(jiff::tz::TimeZone::UTC);

    /// Looks a zone up in the bundled IANA database, such as `America/New_York`.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when there is no such zone.
    pub fn named(name: &str) -> Result<Self> {
        let zone = jiff::tz::TimeZone::get(name).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "no such IANA time zone")
                .with_context("zone", name.escape_debug())
        })?;
        Ok(Self(zone))
    }

    pub(super) fn rules(&self) -> &jiff::tz::TimeZone {
        &self.0
    }

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'_, str>::deserialize(from)?;
        Self::named(&name).map_err(de::Error::custom)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_needs_an_offset_and_keeps_it_out_of_comparisons() {
        let new_york = Timestamp::parse("2026-03-12T10:05:00-0400").unwrap();
        assert_eq!(new_york, Timestamp::parse("2026-03-12T14:05:00Z").unwrap());
        assert_eq!(new_york.to_string(), "2026-03-12T14:05:00Z");
        assert!(Timestamp::parse("2026-03-12T10:05:00").is_err());
        assert!(Timestamp::parse("").is_err());
    }

    #[test]
    fn midnight_follows_daylight_saving() {
        let zone = Zone::named("America/New_York").unwrap();
        let date = Date::parse("2026-03-08").unwrap();
        assert_eq!(date.start_in(&zone).to_string(), "2026-03-08T05:00:00Z");
        assert_eq!(date.plus_days(1).start_in(&zone).to_string(), "2026-03-09T04:00:00Z");
        assert_eq!(date.start_in(&zone).date_in(&zone), date);
    }

    #[test]
    fn days_are_counted_across_months() {
        let due = Date::parse("2026-02-26").unwrap();
        assert_eq!(Date::parse("2026-03-05").unwrap().days_since(due), 7);
        assert_eq!(due.days_since(due.plus_days(400)), -400);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(5).saturating_since(Timestamp::MAX), Duration::ZERO);
        assert!(!Timestamp::MAX.to_string().is_empty());
    }

    #[test]
    fn a_skipped_midnight_starts_the_day_after_the_gap_and_a_repeated_one_at_the_first() {
        let start = |date, zone| Date::parse(date).unwrap().start_in(&Zone::named(zone).unwrap()).to_string();
        assert_eq!(start("2018-11-04", "America/Sao_Paulo"), "2018-11-04T03:00:00Z");
        assert_eq!(start("2024-11-03", "America/Havana"), "2024-11-03T04:00:00Z");
    }

    #[test]
    fn offsets_in_every_notation_are_read_and_anything_else_is_refused() {
        let noon = Timestamp::from_secs(1_773_316_800);
        for text in [
            "2026-03-12T12:00:00Z",
            "2026-03-12T12:00:00.000Z",
            "2026-03-12 12:00:00+00:00",
            "2026-03-12T17:30:00+0530",
            "2026-03-12T17:30:00+05:30",
            "2026-03-12T08:00:00-04",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap(), noon, "{text}");
        }
        for text in ["2026-03-12", "2026-03-12T12:00:00", "2026-13-12T12:00:00Z", "1773316800", "now", "Z"] {
            assert_eq!(Timestamp::parse(text).unwrap_err().kind(), ErrorKind::InvalidRequest, "{text}");
        }
    }

    fn zone() -> impl Strategy<Value = Zone> {
        prop_oneof![
            Just("UTC"),
            Just("America/New_York"),
            Just("Europe/Amsterdam"),
            Just("Asia/Kolkata"),
            Just("America/Sao_Paulo"),
            Just("America/Havana"),
            Just("Australia/Lord_Howe"),
            Just("Asia/Beirut"),
        ]
        .prop_map(|name| Zone::named(name).unwrap())
    }

    proptest! {
        #[test]
        fn an_instant_comes_back_from_its_text(millis in -62_000_000_000_000..253_000_000_000_000_i64) {
            let instant = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&instant.to_string()).unwrap(), instant);
            let json = serde_json::to_string(&instant).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
        }

        #[test]
        fn a_day_starts_at_its_first_instant(days in 0..12_000_u32, zone in zone()) {
            let date = Date::parse("2005-01-01").unwrap().plus_days(days);
            let start = date.start_in(&zone);
            prop_assert_eq!(start.date_in(&zone), date);
            prop_assert!((start - Duration::from_millis(1)).date_in(&zone) < date);
            prop_assert_eq!(Date::parse(&date.to_string()).unwrap(), date);
        }

        #[test]
        fn no_text_and_no_instant_panics(text in "\\PC{0,60}|[-+:.TZ0-9 ]{0,40}", millis in any::<i64>()) {
            let _ = Timestamp::parse(&text);
            let _ = Date::parse(&text);
            let _ = Zone::named(&text);
            let instant = Timestamp::from_millis(millis);
            let zone = Zone::named("America/New_York").unwrap();
            let date = instant.date_in(&zone);
            let _ = (instant.to_string(), date.start_in(&zone), date.plus_days(u32::MAX), date.days_since(date));
            let _ = (instant + Duration::MAX, instant - Duration::MAX);
        }
    }
}
