//! Wall-clock times that a vendor wrote without an offset.

use jiff::{civil::DateTime, tz::AmbiguousOffset};

use super::{Timestamp, Zone};
use crate::{Error, ErrorKind, Result};

/// What a wall-clock time means in a zone. Twice a year some mean two instants, or none: the caller chooses, and says
/// why. For the lower bound of a search that is [`earliest`](Self::earliest), for a deadline [`latest`](Self::latest).
///
/// ```
/// use ml_connector_core::model::{LocalTime, Zone};
///
/// let amsterdam = Zone::named("Europe/Amsterdam")?;
/// let summer = amsterdam.local("2026-07-01 12:00:00")?;
/// assert_eq!(summer.earliest().to_string(), "2026-07-01T10:00:00Z");
/// let twice = amsterdam.local("2026-10-25 02:30:00")?;
/// assert!(matches!(twice, LocalTime::Fold { .. }));
/// assert_eq!(twice.earliest().to_string(), "2026-10-25T00:30:00Z");
/// assert_eq!(twice.latest().to_string(), "2026-10-25T01:30:00Z");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalTime {
    /// One instant.
    Once(Timestamp),
    /// Clocks were set back: it was that late twice.
    Fold {
        /// The first time.
        earlier: Timestamp,
        /// The second time.
        later: Timestamp,
    },
    /// Clocks were set forward: it was never that late. A program that writes such a time uses the wrong offset.
    Gap {
        /// Under the offset after the change.
        earlier: Timestamp,
        /// Under the offset before the change.
        later: Timestamp,
    },
}

impl LocalTime {
    /// The earliest instant it can mean.
    #[must_use]
    pub fn earliest(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Fold { earlier: at, .. } | Self::Gap { earlier: at, .. } => at,
        }
    }

    /// The latest instant it can mean.
    #[must_use]
    pub fn latest(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Fold { later: at, .. } | Self::Gap { later: at, .. } => at,
        }
    }
}

/// What this zone's clocks show at an instant, for vendors whose filters take times without an offset. `Display` writes
/// it: `2026-03-12T10:05:00`, with milliseconds where there are any.
///
/// In the hour that clocks show twice, the text means two instants, and the vendor may take the other one.
/// [`readings`](Self::readings) gives both. A search for what was changed since then begins at the earlier one.
///
/// ```
/// use ml_connector_core::{Timestamp, model::Zone};
///
/// let amsterdam = Zone::named("Europe/Amsterdam")?;
/// let second = amsterdam.wall_clock(Timestamp::parse("2026-10-25T01:30:00Z")?);
/// assert_eq!(second.to_string(), "2026-10-25T02:30:00");
/// assert_eq!(second.readings().earliest().to_string(), "2026-10-25T00:30:00Z");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    clock: DateTime,
    readings: LocalTime,
}

impl WallClock {
    /// The instants that the text can mean in its zone.
    #[must_use]
    pub fn readings(self) -> LocalTime {
        self.readings
    }
}

impl std::fmt::Display for WallClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.clock, f)
    }
}

impl Zone {
    /// What the clocks of this zone show at an instant: the inverse of [`local`](Self::local).
    #[must_use]
    pub fn wall_clock(&self, at: Timestamp) -> WallClock {
        let clock = at.to_jiff().to_zoned(self.rules().clone()).datetime();
        WallClock { clock, readings: self.at(clock).unwrap_or(LocalTime::Once(at)) }
    }

    /// Reads a wall-clock time of this zone: `2026-03-12 10:05:00`, with a blank or a `T`, fractions or none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is no date and time, or has an offset: then it is an instant, and
    /// [`Timestamp::parse`] reads it.
    pub fn local(&self, text: &str) -> Result<LocalTime> {
        let malformed = || {
            Error::new(ErrorKind::InvalidRequest, "expected a date and time without an offset")
                .with_context("chars", text.len())
        };
        let has_offset =
            text.ends_with(['Z', 'z', ']']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
        if has_offset || text.len() < "2026-03-12 10:05".len() {
            return Err(malformed());
        }
        let clock: DateTime = text.parse().map_err(|_| malformed())?;
        self.at(clock).ok_or_else(malformed)
    }

    /// What milliseconds since 1970-01-01 00:00:00 *on this zone's clocks* mean, as some vendors count.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when they are beyond the years that a date can have.
    pub fn local_millis(&self, millis: i64) -> Result<LocalTime> {
        let clock = jiff::Timestamp::from_millisecond(millis)
            .ok()
            .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).datetime());
        clock.and_then(|clock| self.at(clock)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "expected milliseconds of a date before the year 9999")
        })
    }

    fn at(&self, clock: DateTime) -> Option<LocalTime> {
        let under = |offset: jiff::tz::Offset| offset.to_timestamp(clock).ok().map(Timestamp::from_jiff);
        Some(match self.rules().to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => LocalTime::Once(under(offset)?),
            AmbiguousOffset::Fold { before, after } => {
                LocalTime::Fold { earlier: under(before)?, later: under(after)? }
            }
            AmbiguousOffset::Gap { before, after } => {
                LocalTime::Gap { earlier: under(after)?, later: under(before)? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amsterdam() -> Zone {
        Zone::named("Europe/Amsterdam").unwrap()
    }

    #[test]
    fn a_time_that_never_was_lies_an_hour_around_the_change() {
        let LocalTime::Gap { earlier, later } = amsterdam().local("2026-03-29T02:30:00").unwrap() else {
            panic!("clocks go from 2 to 3");
        };
        assert_eq!(
            (earlier.to_string(), later.to_string()),
            ("2026-03-29T00:30:00Z".into(), "2026-03-29T01:30:00Z".into())
        );
    }

    proptest! {
        #[test]
        fn what_the_clocks_show_is_read_back(millis in 0_i64..4_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            let shown = amsterdam().wall_clock(at);
            let read = amsterdam().local(&shown.to_string()).unwrap();
            prop_assert_eq!(read, shown.readings());
            prop_assert!(read.earliest() == at || read.latest() == at);
        }
    }

    #[test]
    fn wall_clock_milliseconds_are_the_same_as_the_text() {
        for (millis, text) in
            [(1_773_309_900_000, "2026-03-12 10:05:00"), (1_792_895_400_000, "2026-10-25 02:30:00")]
        {
            assert_eq!(amsterdam().local_millis(millis).unwrap(), amsterdam().local(text).unwrap(), "{text}");
        }
        assert!(amsterdam().local_millis(i64::MAX).is_err() && amsterdam().local_millis(i64::MIN).is_err());
    }

    #[test]
    fn what_has_an_offset_or_no_time_is_no_wall_clock() {
        for text in [
            "",
            "2026-03-12",
            "2026-03-12T10:05:00Z",
            "2026-03-12T10:05:00+01:00",
            "2026-03-12T10:05:00-0400",
            "12.03.2026 10:05",
            "2026-03-12 25:00:00",
            "2026-03-12 10:05:00[Europe/Amsterdam]",
            "äöüäöüäöüäöüäöüäöü",
        ] {
            assert!(amsterdam().local(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_among_the_meanings_of_its_wall_clock(secs in 0_i64..4_000_000_000) {
            let instant = Timestamp::from_secs(secs);
            let wall = jiff::Timestamp::from_second(secs).unwrap().to_zoned(amsterdam().rules().clone()).datetime();
            let local = amsterdam().local(&wall.to_string()).unwrap();
            prop_assert!(local.earliest() == instant || local.latest() == instant, "{wall}");
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = amsterdam().local(&text);
        }
    }
}
