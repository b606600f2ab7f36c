//! Times: in the organization's zone, in UTC on hover, and how far away.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;
use maud::{Markup, Render, html};
use ml_connector_core::{Timestamp, engine::ConnectionView, model::ConnectionId};

/// The zones of the visible organizations.
#[derive(Debug)]
pub(crate) struct Zones {
    of: BTreeMap<ConnectionId, TimeZone>,
    first: TimeZone,
}

impl Zones {
    pub(crate) fn of(connections: &[ConnectionView]) -> Self {
        let zone = |view: &ConnectionView| TimeZone::get(view.zone.as_deref()?).ok();
        let of = connections.iter().filter_map(|view| Some((view.id.clone(), zone(view)?)));
        let of: BTreeMap<_, _> = of.collect();
        Self { first: of.values().next().cloned().unwrap_or(TimeZone::UTC), of }
    }

    /// A connection without a zone of its own, such as Slack, is told in the first organization's.
    pub(crate) fn of_connection(&self, connection: &ConnectionId) -> &TimeZone {
        self.of.get(connection).unwrap_or(&self.first)
    }

    pub(crate) fn first(&self) -> &TimeZone {
        &self.first
    }

    pub(crate) fn first_name(&self) -> &str {
        self.first.iana_name().unwrap_or("UTC")
    }
}

/// An instant as a page shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When<'a> {
    pub at: Timestamp,
    pub zone: &'a TimeZone,
    pub now: Timestamp,
}

impl When<'_> {
    /// The wall clock: the day only when it is another one.
    fn local(&self) -> Option<String> {
        let at = jiff::Timestamp::from_millisecond(self.at.as_millis()).ok()?.to_zoned(self.zone.clone());
        let now = jiff::Timestamp::from_millisecond(self.now.as_millis()).ok()?.to_zoned(self.zone.clone());
        let format = match at.date() == now.date() {
            true => "%H:%M:%S",
            false if at.year() == now.year() => "%b %-d, %H:%M:%S",
            false => "%Y-%m-%d %H:%M",
        };
        Some(at.strftime(format).to_string())
    }

    /// How far away it is, in words.
    pub(crate) fn distance(&self) -> String {
        if self.at > self.now {
            return format!("in {}", span(self.at.saturating_since(self.now)));
        }
        match self.now.saturating_since(self.at) {
            ago if ago.as_secs() < 2 => "now".to_owned(),
            ago => format!("{} ago", span(ago)),
        }
    }

    /// The clock time alone, to the millisecond.
    pub(crate) fn exact(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.at.as_millis());
        at.map_or_else(
            |_| "never".to_owned(),
            |at| at.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        )
    }

    /// The time, and how far away that is.
    pub(crate) fn with_distance(&self) -> Markup {
        html! { (self) " " span.faint { "(" (self.distance()) ")" } }
    }
}

impl Render for When<'_> {
    fn render(&self) -> Markup {
        let utc = self.at.to_string();
        html! { time datetime=(utc) title={ (utc) " UTC" } { (self.local().unwrap_or_else(|| utc.clone())) } }
    }
}

/// A length of time, in the largest unit that says enough.
pub(crate) fn span(length: Duration) -> String {
    let (millis, secs) = (length.as_millis(), length.as_secs());
    match secs {
        0 => format!("{millis} ms"),
        1..10 if length.subsec_millis() >= 100 => format!("{}.{} s", secs, length.subsec_millis() / 100),
        1..10 => format!("{secs} s"),
        10..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(at: &str, now: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let parse = |text| Timestamp::parse(text).unwrap();
        When { at: parse(at), now: parse(now), zone: &zone }.render().into_string()
    }

    #[test]
    fn times_are_in_the_zone_of_the_organization_and_in_utc_on_hover() {
        let shown = when("2026-03-12T06:00:04Z", "2026-03-12T20:00:00Z", "Europe/Amsterdam");
        assert!(
            shown.contains(">07:00:04<") && shown.contains("title=\"2026-03-12T06:00:04Z UTC\""),
            "{shown}"
        );
        // After the clock was changed, on another day.
        let shown = when("2026-03-30T06:00:04Z", "2026-04-02T20:00:00Z", "Europe/Amsterdam");
        assert!(shown.contains(">Mar 30, 08:00:04<"), "{shown}");
        assert!(when("2025-12-31T23:59:59Z", "2026-01-01T12:00:00Z", "UTC").contains("2025-12-31 23:59"));
    }

    #[test]
    fn lengths_are_told_in_a_unit_that_people_use() {
        for (millis, told) in [
            (0, "0 ms"),
            (980, "980 ms"),
            (1_000, "1 s"),
            (4_230, "4.2 s"),
            (61_000, "61 s"),
            (46_800_000, "13 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), told);
        }
    }
}
