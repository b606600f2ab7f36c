//! Times of the day, as people plan with them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Date, Timestamp, Zone};
use crate::{Error, ErrorKind, Result};

/// A time on a wall clock, to the minute. Written as `09:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// Reads `HH:MM`, from `00:00` to `23:59`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let number = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u8>().ok().filter(|_| digits)
        };
        let parts = text.split_once(':').and_then(|(hour, minute)| number(hour).zip(number(minute)));
        match parts {
            Some((hour @ 0..24, minute @ 0..60)) => Ok(Self { hour, minute }),
            _ => Err(Error::new(ErrorKind::InvalidRequest, "expected a time as HH:MM, such as 09:00")
                .with_context("chars", text.len())),
        }
    }

    /// The instant at which clocks in the zone show this time on that date. Where clocks are set back and show it
    /// twice, the first one. Where clocks are set forward and never show it, as much later as they were set forward.
    #[must_use]
    pub fn on(self, date: Date, zone: &Zone) -> Timestamp {
        match zone.local(&format!("{date} {self}:00")) {
            Ok(super::LocalTime::Gap { later, .. }) => later,
            Ok(local) => local.earliest(),
            Err(_) => Timestamp::MAX,
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TimeOfDay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weekday;

    #[test]
    fn a_time_is_two_digits_a_colon_and_two_digits() {
        for text in ["00:00", "09:00", "23:59"] {
            assert_eq!(TimeOfDay::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "9:00", "09", "24:00", "09:60", "09:00:00", "+9:00", " 9:00", "0900", "ä:00"] {
            assert_eq!(TimeOfDay::parse(text).unwrap_err().kind(), ErrorKind::InvalidRequest, "{text}");
        }
    }

    #[test]
    fn every_date_has_the_time_once_also_when_clocks_change() {
        let new_york = Zone::named("America/New_York").unwrap();
        let on = |time, date| {
            TimeOfDay::parse(time).unwrap().on(Date::parse(date).unwrap(), &new_york).to_string()
        };
        assert_eq!(on("09:00", "2026-03-07"), "2026-03-07T14:00:00Z");
        assert_eq!(on("09:00", "2026-03-08"), "2026-03-08T13:00:00Z");
        // From 2 to 3: half past two never is.
        assert_eq!(on("02:30", "2026-03-08"), "2026-03-08T07:30:00Z");
        // From 2 back to 1: half past one is twice.
        assert_eq!(on("01:30", "2026-11-01"), "2026-11-01T05:30:00Z");
        assert_eq!(Date::parse("2026-11-21").unwrap().weekday(), Weekday::Sat);
    }
}
