//! Which events go where.

mod pattern;

use std::{fmt, sync::Arc};

pub use pattern::Pattern;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Money, Result,
    model::{ConnectionId, Destination, Event, Origin},
};

/// A rule that turns events into deliveries. A route fires once per event, if any of the event's changes matches.
///
/// ```
/// use ml_connector_core::{Money, model::Destination, route::Route};
///
/// let route = Route::new("large invoices")
///     .from("books")
///     .on("invoice.created")
///     .on("invoice.paid")
///     .at_least(Money::parse("10000", "USD")?)
///     .to("slack", Destination::from("channel:accounting"));
/// route.validate()?;
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Route {
    /// Its name, unique among the routes: deliveries are filed under it.
    pub name: Arc<str>,
    /// Only events of these connections; empty = of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<ConnectionId>,
    /// Only events that match one of these; empty = all changes of records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Pattern>,
    /// Only records with at least this total. One amount per currency; a record in a currency without an amount
    /// matches, so that a large invoice in an unforeseen currency is told rather than missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<Money>,
    /// Only records with less than this total, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Money>,
    /// Only events with one of these origins; empty = live ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// Where matching events go.
    pub to: Vec<Target>,
}

/// A sink and a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The connection of the sink.
    pub sink: ConnectionId,
    /// Where in it.
    pub destination: Destination,
}

/// Why a route matched an event, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The event is delivered.
    Matched,
    /// The event comes from another connection.
    OtherConnection,
    /// None of its changes matches a pattern.
    OtherChange,
    /// It has another origin.
    OtherOrigin,
    /// The record's total is too small.
    BelowThreshold,
    /// The record's total is too large.
    AboveThreshold,
}

impl Verdict {
    /// Whether the event is delivered.
    #[must_use]
    pub fn is_match(self) -> bool {
        self == Self::Matched
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matched => "matched",
            Self::OtherConnection => "the event comes from another connection",
            Self::OtherChange => "no pattern matches any of its changes",
            Self::OtherOrigin => "the event has another origin",
            Self::BelowThreshold => "the total is below `at_least`",
            Self::AboveThreshold => "the total is not below `below`",
        })
    }
}

impl Route {
    /// A route for everything, to nowhere yet.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            from: Vec::new(),
            on: Vec::new(),
            at_least: Vec::new(),
            below: Vec::new(),
            origins: Vec::new(),
            to: Vec::new(),
        }
    }

    /// Also takes events of this connection.
    #[must_use]
    pub fn from(mut self, connection: impl Into<ConnectionId>) -> Self {
        self.from.push(connection.into());
        self
    }

    /// Also takes events that match this pattern, such as `invoice.paid`, `*.created` or `invoice.overdue:7`.
    #[must_use]
    pub fn on(mut self, pattern: impl Into<Pattern>) -> Self {
        self.on.push(pattern.into());
        self
    }

    /// Takes records in this currency from this total on.
    #[must_use]
    pub fn at_least(mut self, total: Money) -> Self {
        self.at_least.push(total);
        self
    }

    /// Takes records in this currency below this total.
    #[must_use]
    pub fn below(mut self, total: Money) -> Self {
        self.below.push(total);
        self
    }

    /// Also takes events of this origin; without any, live ones.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Also delivers there.
    #[must_use]
    pub fn to(mut self, sink: impl Into<ConnectionId>, destination: Destination) -> Self {
        self.to.push(Target { sink: sink.into(), destination });
        self
    }

    /// Checks that the route can ever do something.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the route and the field.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field, message| {
            Err(Error::new(ErrorKind::ConfigInvalid, message)
                .with_context("route", self.name.escape_debug())
                .with_context("field", field))
        };
        if self.name.is_empty() {
            return invalid("name", "a route needs a name");
        }
        if self.to.is_empty() {
            return invalid("to", "a route needs somewhere to deliver to");
        }
        for (field, amounts) in [("at_least", &self.at_least), ("below", &self.below)] {
            let twice =
                |(i, one): (usize, &Money)| amounts[..i].iter().any(|other| other.currency == one.currency);
            if amounts.iter().enumerate().any(twice) {
                return invalid(field, "a currency has more than one amount");
            }
        }
        if self.at_least.iter().any(|low| self.below.iter().any(|high| high <= low)) {
            return invalid("below", "no total is at least `at_least` and below `below`");
        }
        self.on.iter().try_for_each(|pattern| match pattern.validate() {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(error.with_context("route", self.name.escape_debug()).with_context("field", "on"))
            }
        })
    }

    /// Decides about an event.
    #[must_use]
    pub fn verdict(&self, event: &Event) -> Verdict {
        if !self.from.is_empty() && !self.from.contains(&event.connection) {
            return Verdict::OtherConnection;
        }
        let origins: &[Origin] = if self.origins.is_empty() { &[Origin::Live] } else { &self.origins };
        if !origins.contains(&event.origin) {
            return Verdict::OtherOrigin;
        }
        let wanted =
            self.on.iter().any(|pattern| pattern.matches(event)) || self.on.is_empty() && !event.is_outcome();
        if !wanted {
            return Verdict::OtherChange;
        }
        let Some(total) = event.record.as_ref().and_then(|record| record.total) else {
            return Verdict::Matched;
        };
        if self.at_least.iter().any(|low| total < *low) {
            return Verdict::BelowThreshold;
        }
        if self.below.iter().any(|high| total >= *high) {
            return Verdict::AboveThreshold;
        }
        Verdict::Matched
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        Timestamp,
        model::{Change, Record, RecordKind, Status},
    };

    fn invoice(total: &str, currency: &str, changes: &[Change]) -> Event {
        let mut record = Record::new(RecordKind::Invoice, "1", Status::Open);
        record.total = Some(Money::parse(total, currency).unwrap());
        let changes: BTreeSet<_> = changes.iter().copied().collect();
        Event::new("books".into(), record.entity(), 1, changes, Timestamp::default(), Some(Box::new(record)))
    }

    fn route() -> Route {
        Route::new("r").to("slack", Destination::from("channel:a"))
    }

    #[test]
    fn any_change_of_an_event_can_match_and_the_first_obstacle_is_named() {
        let event = invoice("500", "USD", &[Change::Created, Change::Overdue(7)]);
        for (route, expected) in [
            (route(), Verdict::Matched),
            (route().on("invoice.created"), Verdict::Matched),
            (route().on("invoice.overdue:7"), Verdict::Matched),
            (route().on("invoice.overdue:30"), Verdict::OtherChange),
            (route().on("bill.*"), Verdict::OtherChange),
            (route().on("bill.*").on("*.overdue"), Verdict::Matched),
            (route().from("other"), Verdict::OtherConnection),
            (route().with_origin(Origin::Backfill), Verdict::OtherOrigin),
            (route().at_least(Money::parse("500.00", "USD").unwrap()), Verdict::Matched),
            (route().at_least(Money::parse("500.01", "USD").unwrap()), Verdict::BelowThreshold),
            (route().at_least(Money::parse("1000", "EUR").unwrap()), Verdict::Matched),
            (route().below(Money::parse("500", "USD").unwrap()), Verdict::AboveThreshold),
        ] {
            assert_eq!(route.verdict(&event), expected, "{route:?}");
        }
    }

    #[test]
    fn an_error_names_the_route_and_the_field() {
        let usd = |amount| Money::parse(amount, "USD").unwrap();
        for (route, field) in [
            (Route::new("").to("s", Destination::from("d")), "name"),
            (Route::new("x"), "to"),
            (route().on("invoice"), "on"),
            (route().on("invoice.payed"), "on"),
            (route().at_least(usd("1")).at_least(usd("2")), "at_least"),
            (route().at_least(usd("10")).below(usd("10")), "below"),
        ] {
            let error = route.validate().unwrap_err();
            assert_eq!(
                (error.kind(), error.context("field")),
                (ErrorKind::ConfigInvalid, Some(field)),
                "{error}"
            );
        }
    }

    #[test]
    fn a_route_is_data() {
        let json = r#"{"name":"big","on":["invoice.*"],"at_least":[{"amount":"10000","currency":"USD"}],
                       "to":[{"sink":"slack","destination":"channel:a"}]}"#;
        let route: Route = serde_json::from_str(json).unwrap();
        route.validate().unwrap();
        assert_eq!(serde_json::from_str::<Route>(&serde_json::to_string(&route).unwrap()).unwrap(), route);
        assert!(serde_json::from_str::<Route>(r#"{"name":"x","too":[]}"#).is_err());
    }
}
