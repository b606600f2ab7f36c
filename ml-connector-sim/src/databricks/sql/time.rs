//! Dates and timestamps as text.

use jiff::{civil, tz::TimeZone};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A zone that a text without an offset is read in, and that texts are written in.
#[derive(Debug, Clone)]
pub(crate) struct SessionZone(TimeZone);

impl SessionZone {
    pub(crate) const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its name, such as `America/Los_Angeles`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub(crate) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The instant of a local time; a time that does not exist is moved on, as the vendor does.
    fn instant(&self, local_micros: i64) -> Option<i64> {
        if self.0 == TimeZone::UTC {
            return Some(local_micros);
        }
        let seconds = local_micros.div_euclid(MICROS_PER_SECOND);
        let local = jiff::Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC).datetime();
        let at = self.0.to_timestamp(local).ok()?.as_second();
        at.checked_mul(MICROS_PER_SECOND)?.checked_add(local_micros.rem_euclid(MICROS_PER_SECOND))
    }

    /// Seconds east of UTC at an instant.
    fn offset(&self, micros: i64) -> i32 {
        let at = jiff::Timestamp::from_second(micros.div_euclid(MICROS_PER_SECOND));
        at.map_or(0, |at| self.0.to_offset(at).seconds())
    }

    fn local(&self, micros: i64) -> i64 {
        micros.saturating_add(i64::from(self.offset(micros)) * MICROS_PER_SECOND)
    }

    /// The day of an instant in this zone.
    pub(crate) fn day_of(&self, micros: i64) -> i32 {
        day(self.local(micros))
    }

    /// When a day begins in this zone.
    pub(crate) fn start_of(&self, days: i32) -> Option<i64> {
        self.instant(midnight(days))
    }

    /// What a clock in this zone shows.
    pub(crate) fn wall_clock(&self, micros: i64) -> i64 {
        self.local(micros)
    }

    /// As CAST to STRING writes it: `2026-03-02 09:15:05.25`.
    pub(crate) fn written(&self, micros: i64) -> String {
        wall_text(self.local(micros), ' ')
    }

    /// As a result cell shows it: `2026-03-02T09:15:05.250Z`.
    pub(crate) fn cell(&self, micros: i64) -> String {
        format!("{}{}", cell_text(self.local(micros)), offset_text(self.offset(micros)))
    }
}

/// Reads a timestamp: a date, perhaps a time, perhaps a zone. A time without a zone is of the session's zone.
pub(crate) fn instant(text: &str, zone: &SessionZone) -> Option<i64> {
    let (local, offset) = wall_and_zone(text)?;
    match offset {
        None => zone.instant(local),
        Some(Offset::Fixed(seconds)) => local.checked_sub(i64::from(seconds) * MICROS_PER_SECOND),
        Some(Offset::Named(zone)) => zone.instant(local),
    }
}

/// Reads a timestamp without a zone; a zone in the text is dropped.
pub(crate) fn wall(text: &str) -> Option<i64> {
    wall_and_zone(text).map(|(local, _)| local)
}

/// Reads a date. What follows a `T` or a blank is dropped, as the vendor drops it.
pub(crate) fn date(text: &str) -> Option<i32> {
    let text = text.trim();
    let date = text.split_once(['T', ' ']).map_or(text, |(date, _)| date);
    days(date)
}

pub(crate) fn date_text(days: i32) -> String {
    let date = jiff::Timestamp::from_second(i64::from(days) * SECONDS_PER_DAY);
    date.map_or_else(|_| days.to_string(), |at| at.to_zoned(TimeZone::UTC).date().to_string())
}

/// A local time as a result cell shows it.
pub(crate) fn cell_text(local: i64) -> String {
    let (seconds, micros) = (local.div_euclid(MICROS_PER_SECOND), local.rem_euclid(MICROS_PER_SECOND));
    let fraction = if micros % 1000 == 0 { format!("{:03}", micros / 1000) } else { format!("{micros:06}") };
    format!("{}.{fraction}", to_the_second(seconds, 'T'))
}

/// A local time as CAST to STRING writes it.
pub(crate) fn wall_text(local: i64, between: char) -> String {
    let (seconds, micros) = (local.div_euclid(MICROS_PER_SECOND), local.rem_euclid(MICROS_PER_SECOND));
    let mut text = to_the_second(seconds, between);
    if micros != 0 {
        text.push('.');
        text.push_str(format!("{micros:06}").trim_end_matches('0'));
    }
    text
}

/// The midnight a day begins with, on a clock without a zone.
pub(crate) fn midnight(days: i32) -> i64 {
    i64::from(days) * SECONDS_PER_DAY * MICROS_PER_SECOND
}

pub(crate) fn day(local: i64) -> i32 {
    i32::try_from(local.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND)).unwrap_or(i32::MAX)
}

fn to_the_second(seconds: i64, between: char) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(at) => {
            let local = at.to_zoned(TimeZone::UTC).datetime();
            let (date, time) = (local.date(), local.time());
            format!("{date}{between}{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
        }
        Err(_) => seconds.to_string(),
    }
}

fn offset_text(seconds: i32) -> String {
    if seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

enum Offset {
    Fixed(i32),
    Named(SessionZone),
}

fn wall_and_zone(text: &str) -> Option<(i64, Option<Offset>)> {
    let text = text.trim();
    let Some((date, time)) = text.split_once(['T', ' ']) else {
        return Some((midnight(days(text)?), None));
    };
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(time.len());
    let (time, zone) = (&time[..end], time[end..].trim());
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.split(':');
    let (hour, minute) = (small(parts.next()?, 23)?, small(parts.next()?, 59)?);
    let second = parts.next().map_or(Some(0), |second| small(second, 59))?;
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than six digits are cut off.
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let local = midnight(days(date)?) + seconds * MICROS_PER_SECOND + micros;
    Some((local, offset(zone)?))
}

/// One or two digits up to a maximum.
fn small(text: &str, max: u8) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| digits && *value <= max)
}

/// `None` inside for no zone at all.
fn offset(zone: &str) -> Option<Option<Offset>> {
    match zone.as_bytes() {
        [] => return Some(None),
        [b'+' | b'-', ..] => {
            let (hours, minutes) = zone[1..].split_once(':').unwrap_or((&zone[1..], "0"));
            let seconds = i32::from(small(hours, 18)?) * 3600 + i32::from(small(minutes, 59)?) * 60;
            return Some(Some(Offset::Fixed(if zone.starts_with('-') { -seconds } else { seconds })));
        }
        _ => {}
    }
    match zone {
        "Z" | "UTC" | "GMT" => Some(Some(Offset::Fixed(0))),
        name => SessionZone::named(name).map(|zone| Some(Offset::Named(zone))),
    }
}

/// Days since 1970 of `2026-3-2`, `2026-03` or `2026`.
fn days(text: &str) -> Option<i32> {
    let mut parts = text.split('-');
    let year =
        parts.next().filter(|year| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let mut part = || parts.next().map_or(Some(1), |part| small(part, 31));
    let (month, day) = (part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = civil::Date::new(year.parse().ok()?, month, day).ok()?;
    Some(days_since_1970(date))
}

/// Counted from 1 March, so that a leap day comes last: large batches hold many dates.
fn days_since_1970(date: civil::Date) -> i32 {
    let (year, month, day) = (i32::from(date.year()), i32::from(date.month()), i32::from(date.day()));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_utc_and_a_time_without_one_is_the_sessions() {
        let los_angeles = SessionZone::named("America/Los_Angeles").unwrap();
        for (text, zone, expected) in [
            ("2026-03-02T09:15:05Z", &SessionZone::UTC, Some("2026-03-02T09:15:05.000Z")),
            ("2026-03-02T09:15:05.123456789Z", &SessionZone::UTC, Some("2026-03-02T09:15:05.123456Z")),
            ("2026-03-02T09:15:05+05:30", &SessionZone::UTC, Some("2026-03-02T03:45:05.000Z")),
            ("2026-03-02 09:15:05 -8:00", &SessionZone::UTC, Some("2026-03-02T17:15:05.000Z")),
            ("2026-03-02T01:00:00 Europe/Paris", &SessionZone::UTC, Some("2026-03-02T00:00:00.000Z")),
            ("2026-03-02", &los_angeles, Some("2026-03-02T00:00:00.000-08:00")),
            ("2026-07-02 01:02", &los_angeles, Some("2026-07-02T01:02:00.000-07:00")),
            ("1969-12-31T23:59:59.5Z", &SessionZone::UTC, Some("1969-12-31T23:59:59.500Z")),
            ("2026-13-45T00:00:00Z", &SessionZone::UTC, None),
            ("/Date(1772442905000)/", &SessionZone::UTC, None),
            ("", &SessionZone::UTC, None),
            ("2026-03-02T25:00:00Z", &SessionZone::UTC, None),
            ("2026-03-02T09:15:05 Mars/Olympus", &SessionZone::UTC, None),
        ] {
            assert_eq!(instant(text, zone).map(|at| zone.cell(at)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn days_are_counted_as_the_calendar_counts_them() {
        for year in [1, 1600, 1899, 1900, 1969, 1970, 1972, 2000, 2024, 2026, 2100, 9999] {
            for (month, day) in [(1, 1), (2, 28), (3, 1), (12, 31)] {
                let date = civil::Date::new(year, month, day).unwrap();
                let counted = civil::date(1970, 1, 1).until(date).unwrap().get_days();
                assert_eq!(days_since_1970(date), counted, "{date}");
            }
        }
    }

    #[test]
    fn a_date_drops_the_time_behind_it() {
        for (text, expected) in [
            ("2026-03-01", Some("2026-03-01")),
            ("2026-03-01T23:59:59Z", Some("2026-03-01")),
            ("2024-02-29", Some("2024-02-29")),
            ("2026-02-29", None),
            ("", None),
            ("01/03/2026", None),
            ("26-03-01", None),
        ] {
            assert_eq!(date(text).map(date_text).as_deref(), expected, "{text}");
        }
    }
}
