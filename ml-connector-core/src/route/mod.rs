//! Which events go where.

mod pattern;
mod schedule;
mod set;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

use std::sync::Arc;

pub use pattern::Pattern;
pub use schedule::{Digest, Schedule};
use serde::{Deserialize, Serialize};
pub use set::{RouteMode, RouteSet};
pub use target::Target;
pub use verdict::RouteMatch;

use crate::{
    Error, ErrorKind, Money, Result,
    model::{ConnectionId, Destination, Origin, Status},
};

/// A rule that turns events into deliveries. A route fires once per event, if any of the event's changes matches.
///
/// What a filter asks for has to be known: a record without a counterparty, such as one that is gone, does not match
/// a route for a counterparty.
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
    /// Only records with at least this total. One amount per currency; [`other_currencies`](Self::other_currencies) says
    /// what becomes of a record in a currency without an amount. A record whose total is not known matches, whatever the
    /// amounts are: it is told rather than missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<Money>,
    /// Only records with less than this total, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Money>,
    /// Only records with at least this total in the organization's base currency, whatever currency they are in. A record
    /// whose total is not known in the currency of this amount is compared by [`other_currencies`](Self::other_currencies).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_at_least: Option<Money>,
    /// Only records with less than this total in the organization's base currency, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_below: Option<Money>,
    /// What becomes of records in a currency for which there is no amount.
    #[serde(default, skip_serializing_if = "OtherCurrencies::is_match")]
    pub other_currencies: OtherCurrencies,
    /// Compares totals without their sign: a credit note of −20,000 is as large as an invoice of 20,000.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absolute: bool,
    /// Only records of these customers or suppliers, by id or by name, written as the vendor writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counterparty: Vec<Arc<str>>,
    /// Only records with one of these statuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// Only records with none of these statuses. An event without a record matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_status: Vec<Status>,
    /// Only records with a line on one of these accounts, by id, code or name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub account: Vec<Arc<str>>,
    /// Only records with a line of one of these cost centers, by id, code or name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost_center: Vec<Arc<str>>,
    /// Only records with one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// Only records with none of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_tags: Vec<Arc<str>>,
    /// Only reactions with one of these emoji, such as `+1`; skin tones do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emoji: Vec<Arc<str>>,
    /// Only what people did about documents of these connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<ConnectionId>,
    /// Only events with one of these origins; empty = live ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// Takes events of every origin: news, the past, what the connector did itself, and replays. For warehouses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_origins: bool,
    /// Takes the past a page at a time: of a backfill whose pages carry whole records, one event with the page's
    /// matching records instead of one event each. For warehouses. Such a route takes [`Origin::Backfill`], too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pages: bool,
    /// Where matching events go.
    pub to: Vec<Target>,
}

/// What becomes of records in a currency for which a route has no amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OtherCurrencies {
    /// They match, so that a large invoice in an unforeseen currency is told rather than missed.
    #[default]
    Match,
    /// They do not match: a route beside this one is for them.
    Skip,
}

impl OtherCurrencies {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
    fn is_match(&self) -> bool {
        *self == Self::Match
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
            base_at_least: None,
            base_below: None,
            other_currencies: OtherCurrencies::default(),
            absolute: false,
            counterparty: Vec::new(),
            status: Vec::new(),
            not_status: Vec::new(),
            account: Vec::new(),
            cost_center: Vec::new(),
            tags: Vec::new(),
            not_tags: Vec::new(),
            emoji: Vec::new(),
            about: Vec::new(),
            origins: Vec::new(),
            all_origins: false,
            pages: false,
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

    /// Takes records from this total in the base currency on.
    #[must_use]
    pub fn base_at_least(mut self, total: Money) -> Self {
        self.base_at_least = Some(total);
        self
    }

    /// Takes records below this total in the base currency.
    #[must_use]
    pub fn base_below(mut self, total: Money) -> Self {
        self.base_below = Some(total);
        self
    }

    /// Says what becomes of records in a currency without an amount.
    #[must_use]
    pub fn other_currencies(mut self, rule: OtherCurrencies) -> Self {
        self.other_currencies = rule;
        self
    }

    /// Compares totals without their sign.
    #[must_use]
    pub fn absolute(mut self) -> Self {
        self.absolute = true;
        self
    }

    /// Takes no records that stand so.
    #[must_use]
    pub fn not_status(mut self, status: Status) -> Self {
        self.not_status.push(status);
        self
    }

    /// Takes no records with this tag.
    #[must_use]
    pub fn not_tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.not_tags.push(tag.into());
        self
    }

    /// Takes events of every origin, in place of those that were named so far.
    #[must_use]
    pub fn with_all_origins(mut self) -> Self {
        self.all_origins = true;
        self.origins.clear();
        self
    }

    /// Also takes records of this customer or supplier, by id or by name.
    #[must_use]
    pub fn counterparty(mut self, id_or_name: impl Into<Arc<str>>) -> Self {
        self.counterparty.push(id_or_name.into());
        self
    }

    /// Also takes records that stand so.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status.push(status);
        self
    }

    /// Also takes records with a line on this account.
    #[must_use]
    pub fn account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account.push(account.into());
        self
    }

    /// Also takes records with a line of this cost center.
    #[must_use]
    pub fn cost_center(mut self, cost_center: impl Into<Arc<str>>) -> Self {
        self.cost_center.push(cost_center.into());
        self
    }

    /// Also takes records with this tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Also takes reactions with this emoji, in every skin tone.
    #[must_use]
    pub fn emoji(mut self, emoji: impl Into<Arc<str>>) -> Self {
        self.emoji.push(emoji.into());
        self
    }

    /// Also takes what people did about documents of this connection.
    #[must_use]
    pub fn about(mut self, connection: impl Into<ConnectionId>) -> Self {
        self.about.push(connection.into());
        self
    }

    /// Also takes events of this origin; without any, live ones.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Also takes the past, a page at a time.
    #[must_use]
    pub fn with_pages(mut self) -> Self {
        self.pages = true;
        if self.all_origins {
            return self;
        }
        if self.origins.is_empty() {
            self.origins.push(Origin::Live);
        }
        self.with_origin(Origin::Backfill)
    }

    /// Also delivers there.
    #[must_use]
    pub fn to(self, sink: impl Into<ConnectionId>, destination: Destination) -> Self {
        self.to_target(Target::new(sink, destination))
    }

    /// Also delivers there, in that way.
    #[must_use]
    pub fn to_target(mut self, target: Target) -> Self {
        self.to.push(target);
        self
    }

    /// Checks that the route can ever do something.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the route and the field.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field: &str, message| {
            Err(Error::new(ErrorKind::ConfigInvalid, message)
                .with_context("route", self.name.escape_debug())
                .with_context("field", field))
        };
        if self.name.is_empty() {
            return invalid("name", "a route needs a name");
        }
        for (i, pattern) in self.on.iter().enumerate() {
            pattern.validate().map_err(|error| {
                error
                    .with_context("route", self.name.escape_debug())
                    .with_context("field", format!("on[{i}]"))
            })?;
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
        if let (Some(low), Some(high)) = (self.base_at_least, self.base_below) {
            if low.currency != high.currency {
                return invalid("base_below", "an organization has one base currency");
            }
            if high <= low {
                return invalid("base_below", "no total is at least `base_at_least` and below `base_below`");
            }
        }
        let amounts =
            || self.at_least.iter().chain(&self.below).chain(&self.base_at_least).chain(&self.base_below);
        if amounts().next().is_none() && (self.absolute || self.other_currencies != OtherCurrencies::Match) {
            let field = if self.absolute { "absolute" } else { "other_currencies" };
            return invalid(field, "without an amount there is nothing to compare");
        }
        if self.absolute && amounts().any(|amount| amount.amount.is_sign_negative()) {
            return invalid("absolute", "a total without its sign is never below zero");
        }
        if self.not_status.iter().any(|status| self.status.contains(status)) {
            return invalid("not_status", "a state is asked for and refused");
        }
        if self.not_tags.iter().any(|tag| self.tags.contains(tag)) {
            return invalid("not_tags", "a tag is asked for and refused");
        }
        if self.all_origins && !self.origins.is_empty() {
            return invalid("all_origins", "`origins` says nothing beside `all_origins`");
        }
        let words = [
            ("counterparty", &self.counterparty),
            ("account", &self.account),
            ("cost_center", &self.cost_center),
            ("tags", &self.tags),
            ("not_tags", &self.not_tags),
            ("emoji", &self.emoji),
        ];
        if let Some((field, _)) = words.iter().find(|(_, words)| words.iter().any(|word| word.is_empty())) {
            return invalid(field, "an empty text matches nothing");
        }
        if self.pages && !self.all_origins && !self.origins.contains(&Origin::Backfill) {
            return invalid("pages", "a route for pages of the past has to take the origin `backfill`");
        }
        if self.to.is_empty() {
            return invalid("to", "a route needs somewhere to deliver to");
        }
        for (i, target) in self.to.iter().enumerate() {
            if let Some((field, message)) = target.problem() {
                return invalid(&format!("to[{i}].{field}"), message);
            }
            if self.to[..i].contains(target) {
                return invalid(&format!("to[{i}]"), "the route delivers there already");
            }
        }
        Ok(())
    }
}
