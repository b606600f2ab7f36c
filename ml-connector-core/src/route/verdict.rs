//! Whether a route takes an event, and why not.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{OtherCurrencies, Route};
use crate::{
    Money,
    model::{CodeName, Event, Interaction, Line, Origin, Record, emoji_name},
};

/// Why a route matched an event, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RouteMatch {
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
    /// The route has no amount in the record's currency.
    OtherCurrency,
    /// The record's customer or supplier is another one, or not known.
    OtherCounterparty,
    /// The record stands otherwise.
    OtherStatus,
    /// No line is on one of the accounts.
    OtherAccount,
    /// No line is of one of the cost centers.
    OtherCostCenter,
    /// The record has none of the tags.
    OtherTags,
    /// It is no reaction, or one with another emoji.
    OtherEmoji,
    /// It is about no document, or about another connection's.
    OtherDocument,
    /// The event is a page of records; the route takes them one by one.
    OneByOne,
    /// An earlier route takes the event alone.
    EarlierRoute,
}

impl RouteMatch {
    /// Every answer, in the order of [`code`](Self::code).
    const ALL: [Self; 16] = [
        Self::Matched,
        Self::OtherConnection,
        Self::OtherChange,
        Self::OtherOrigin,
        Self::BelowThreshold,
        Self::AboveThreshold,
        Self::OtherCounterparty,
        Self::OtherStatus,
        Self::OtherAccount,
        Self::OtherCostCenter,
        Self::OtherTags,
        Self::OtherDocument,
        Self::OneByOne,
        Self::EarlierRoute,
        Self::OtherEmoji,
        Self::OtherCurrency,
    ];

    /// Whether the event is delivered.
    #[must_use]
    pub fn is_match(self) -> bool {
        self == Self::Matched
    }

    /// One letter for it, as the log keeps it. Letters are never given to another answer.
    pub(crate) fn code(self) -> char {
        let place = Self::ALL.iter().position(|answer| *answer == self);
        place.and_then(|place| u8::try_from(place).ok()).map_or('?', |place| char::from(b'a' + place))
    }

    /// Reads a letter.
    pub(crate) fn from_code(code: char) -> Option<Self> {
        let place = u32::from(code).checked_sub(u32::from('a'))?;
        Self::ALL.get(usize::try_from(place).ok()?).copied()
    }
}

impl fmt::Display for RouteMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matched => "matched",
            Self::OtherConnection => "the event comes from another connection",
            Self::OtherChange => "no pattern matches any of its changes",
            Self::OtherOrigin => "the event has another origin",
            Self::BelowThreshold => "the total is below `at_least`",
            Self::AboveThreshold => "the total is not below `below`",
            Self::OtherCurrency => "the route has no amount in the currency of the total",
            Self::OtherCounterparty => "the counterparty is none of `counterparty`",
            Self::OtherStatus => "the status is none of `status`, or one of `not_status`",
            Self::OtherAccount => "no line is on one of `account`",
            Self::OtherCostCenter => "no line is of one of `cost_center`",
            Self::OtherTags => "the record has none of `tags`, or one of `not_tags`",
            Self::OtherEmoji => "it is no reaction with one of `emoji`",
            Self::OtherDocument => "it is not about a document of one of `about`",
            Self::OneByOne => "the event is a page of records, and `pages` is not set",
            Self::EarlierRoute => {
                "an earlier route takes the event, and the first one that matches is enough"
            }
        })
    }
}

impl Route {
    /// Decides about an event: the first obstacle, if there is one.
    #[must_use]
    pub fn verdict(&self, event: &Event) -> RouteMatch {
        if event.is_page() {
            return match event
                .page
                .iter()
                .map(|one| self.verdict(one))
                .min_by_key(|verdict| !verdict.is_match())
            {
                Some(verdict) if self.pages => verdict,
                _ => RouteMatch::OneByOne,
            };
        }
        if !self.from.is_empty() && !self.from.contains(&event.connection) {
            return RouteMatch::OtherConnection;
        }
        let origins: &[Origin] = if self.origins.is_empty() { &[Origin::Live] } else { &self.origins };
        if !self.all_origins && !origins.contains(&event.origin) {
            return RouteMatch::OtherOrigin;
        }
        let wanted =
            self.on.iter().any(|pattern| pattern.matches(event)) || self.on.is_empty() && !event.is_outcome();
        if !wanted {
            return RouteMatch::OtherChange;
        }
        match self.document_verdict(event.document()) {
            RouteMatch::Matched => self.interaction_verdict(event.interaction()),
            obstacle => obstacle,
        }
    }

    fn document_verdict(&self, record: Option<&Record>) -> RouteMatch {
        if let Some(obstacle) = record.and_then(|record| self.amount_verdict(record)) {
            return obstacle;
        }
        let lines = || record.map_or(&[][..], |record| &record.lines);
        let on_a_line = |wanted: &[Arc<str>], of: fn(&Line) -> Option<&CodeName>| {
            let is_wanted = |found: &CodeName| wanted.iter().any(|one| found.is(one));
            wanted.is_empty() || lines().iter().filter_map(of).any(is_wanted)
        };
        let party = record.and_then(|record| record.counterparty.as_ref());
        let is_party = party.is_some_and(|party| {
            party.id.as_ref().is_some_and(|id| is_one_of(&self.counterparty, id))
                || is_one_of(&self.counterparty, &party.name)
        });
        if !self.counterparty.is_empty() && !is_party {
            return RouteMatch::OtherCounterparty;
        }
        if !self.status.is_empty() && !record.is_some_and(|record| self.status.contains(&record.status)) {
            return RouteMatch::OtherStatus;
        }
        if record.is_some_and(|record| self.not_status.contains(&record.status)) {
            return RouteMatch::OtherStatus;
        }
        if !on_a_line(&self.account, |line| line.account.as_ref()) {
            return RouteMatch::OtherAccount;
        }
        if !on_a_line(&self.cost_center, |line| line.cost_center.as_ref()) {
            return RouteMatch::OtherCostCenter;
        }
        let tags = record.map_or(&[][..], |record| &record.tags);
        if !self.tags.is_empty() && !tags.iter().any(|tag| is_one_of(&self.tags, tag)) {
            return RouteMatch::OtherTags;
        }
        if tags.iter().any(|tag| is_one_of(&self.not_tags, tag)) {
            return RouteMatch::OtherTags;
        }
        RouteMatch::Matched
    }

    fn interaction_verdict(&self, interaction: Option<&Interaction>) -> RouteMatch {
        let is_emoji = |emoji: &str| self.emoji.iter().any(|one| emoji_name(one) == emoji_name(emoji));
        let reacted =
            matches!(interaction, Some(Interaction::Reaction(reaction)) if is_emoji(&reaction.emoji));
        if !self.emoji.is_empty() && !reacted {
            return RouteMatch::OtherEmoji;
        }
        let about = interaction.and_then(Interaction::about);
        if !self.about.is_empty() && !about.is_some_and(|about| self.about.contains(&about.connection)) {
            return RouteMatch::OtherDocument;
        }
        RouteMatch::Matched
    }

    /// What of a record's total stands in the way.
    fn amount_verdict(&self, record: &Record) -> Option<RouteMatch> {
        let bounds = [
            (record.total, &self.at_least[..], &self.below[..]),
            (base_total(record), self.base_at_least.as_slice(), self.base_below.as_slice()),
        ];
        for (total, lows, highs) in bounds {
            let Some(mut total) = total else { continue };
            if self.absolute {
                total.amount = total.amount.abs();
            }
            if lows.iter().any(|low| total < *low) {
                return Some(RouteMatch::BelowThreshold);
            }
            if highs.iter().any(|high| total >= *high) {
                return Some(RouteMatch::AboveThreshold);
            }
            let mut amounts = lows.iter().chain(highs).peekable();
            let skips = self.other_currencies == OtherCurrencies::Skip && amounts.peek().is_some();
            if skips && !amounts.any(|amount| amount.currency == total.currency) {
                return Some(RouteMatch::OtherCurrency);
            }
        }
        None
    }
}

/// A record's total in the organization's base currency, as far as it is known.
fn base_total(record: &Record) -> Option<Money> {
    record.base_total.or(record.total)
}

fn is_one_of(wanted: &[Arc<str>], found: &str) -> bool {
    wanted.iter().any(|one| **one == *found)
}
