//! What is looked for.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Entry, EntryKind, EntryState};
use crate::{
    Timestamp,
    model::{ConnectionId, Currency, EntityRef, Seq},
};

/// What to look for. Every criterion that is given must match.
///
/// ```
/// use ml_connector_core::{audit::{EntryKind, Query, EntryState}, model::Currency};
/// use rust_decimal::Decimal;
///
/// // The dead deliveries to one channel about more than 1,000 euros, the latest first.
/// let query = Query::of_kind(EntryKind::Delivery)
///     .with_state(EntryState::Dead)
///     .with_destination("channel:accounting")
///     .with_currency(Currency::parse("EUR")?)
///     .with_amount_from(Decimal::from(1000))
///     .newest_first();
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Query {
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Of one of these connections; an empty list finds nothing. For people who may see some connections only.
    pub within: Option<Vec<ConnectionId>>,
    /// Of this kind.
    pub kind: Option<EntryKind>,
    /// About this record.
    pub entity: Option<EntityRef>,
    /// About the record with this number or name.
    pub number: Option<Arc<str>>,
    /// Events of this type, deliveries of this route, acts of this name.
    pub name: Option<Arc<str>>,
    /// In this state.
    pub state: Option<EntryState>,
    /// Parked or dead, and acknowledged or not.
    pub acknowledged: Option<bool>,
    /// Settled with this receipt.
    pub receipt: Option<Arc<str>>,
    /// Settled with a receipt that begins with this text.
    pub receipt_prefix: Option<Arc<str>>,
    /// Deliveries to this destination.
    pub destination: Option<Arc<str>>,
    /// About a record that amounts to this or more, whatever its currency.
    #[serde(with = "digits")]
    pub amount_from: Option<Decimal>,
    /// About a record that amounts to this or less.
    #[serde(with = "digits")]
    pub amount_to: Option<Decimal>,
    /// About a record with an amount in this currency. Narrow it by something else as well: there is no index for it.
    pub currency: Option<Currency>,
    /// With an outcome whose reason holds this text as it stands, such as `channel_not_found`. Narrow it by a state or
    /// a time as well: there is no index for it.
    pub error: Option<Arc<str>>,
    /// Appended at this instant or later.
    pub from: Option<Timestamp>,
    /// Appended before this instant.
    pub to: Option<Timestamp>,
    /// These entries.
    pub seqs: Vec<Seq>,
    /// The whole family of this entry: what it follows from, and everything that follows from that.
    pub family_of: Option<Seq>,
    /// Only entries after this one in reading direction.
    pub after: Option<Seq>,
    /// Newest first.
    pub newest_first: bool,
    /// With bodies and traces; they can be large.
    pub bodies: bool,
    /// At most so many; 0 = [`Query::DEFAULT_LIMIT`].
    pub limit: usize,
    /// The most bytes of all bodies together. The entry that exceeds it is the last one returned, so one is always
    /// there. `None` = no limit.
    pub max_bytes: Option<usize>,
}

impl Query {
    /// How many entries are returned when the query does not say.
    pub const DEFAULT_LIMIT: usize = 100;

    /// The entry's whole story, with bodies.
    #[must_use]
    pub fn family_of(seq: Seq) -> Self {
        Self { family_of: Some(seq), bodies: true, limit: 10_000, ..Self::default() }
    }

    /// These entries, with bodies. An empty list finds nothing.
    #[must_use]
    pub fn entries(seqs: Vec<Seq>) -> Self {
        let after = seqs.is_empty().then_some(Seq(u64::MAX));
        Self { limit: seqs.len(), seqs, after, bodies: true, ..Self::default() }
    }

    /// Everything of one kind.
    #[must_use]
    pub fn of_kind(kind: EntryKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Narrows to a kind.
    #[must_use]
    pub fn with_kind(mut self, kind: EntryKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Narrows to a connection.
    #[must_use]
    pub fn with_connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Narrows to connections; none of them finds nothing.
    #[must_use]
    pub fn within(mut self, connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        self.within = Some(connections.into_iter().collect());
        self
    }

    /// Narrows to a record.
    #[must_use]
    pub fn with_entity(mut self, entity: EntityRef) -> Self {
        self.entity = Some(entity);
        self
    }

    /// Narrows to the record with this number or name.
    #[must_use]
    pub fn with_number(mut self, number: impl Into<Arc<str>>) -> Self {
        self.number = Some(number.into());
        self
    }

    /// Narrows to a type of events, a route or an act.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Narrows to a state.
    #[must_use]
    pub fn with_state(mut self, state: EntryState) -> Self {
        self.state = Some(state);
        self
    }

    /// Narrows to what is parked or dead, and acknowledged or not.
    #[must_use]
    pub fn with_acknowledged(mut self, acknowledged: bool) -> Self {
        self.acknowledged = Some(acknowledged);
        self
    }

    /// Narrows to a receipt.
    #[must_use]
    pub fn with_receipt(mut self, receipt: impl Into<Arc<str>>) -> Self {
        self.receipt = Some(receipt.into());
        self
    }

    /// Narrows to receipts that begin with this text.
    #[must_use]
    pub fn with_receipt_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.receipt_prefix = Some(prefix.into());
        self
    }

    /// Narrows to a destination.
    #[must_use]
    pub fn with_destination(mut self, destination: impl Into<Arc<str>>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Narrows to amounts of at least so much.
    #[must_use]
    pub fn with_amount_from(mut self, amount: Decimal) -> Self {
        self.amount_from = Some(amount);
        self
    }

    /// Narrows to amounts of at most so much.
    #[must_use]
    pub fn with_amount_to(mut self, amount: Decimal) -> Self {
        self.amount_to = Some(amount);
        self
    }

    /// Narrows to a currency.
    #[must_use]
    pub fn with_currency(mut self, currency: Currency) -> Self {
        self.currency = Some(currency);
        self
    }

    /// Narrows to a reason.
    #[must_use]
    pub fn with_error(mut self, text: impl Into<Arc<str>>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Narrows to what was appended at this instant or later.
    #[must_use]
    pub fn appended_from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Narrows to what was appended before this instant.
    #[must_use]
    pub fn appended_before(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// Goes on after this entry, in reading direction.
    #[must_use]
    pub fn after(mut self, after: Seq) -> Self {
        self.after = Some(after);
        self
    }

    /// Reads backwards.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Reads bodies and traces as well.
    #[must_use]
    pub fn with_bodies(mut self) -> Self {
        self.bodies = true;
        self
    }

    /// Stops when the bodies have so many bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Returns at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The limit in force.
    #[must_use]
    pub fn effective_limit(&self) -> usize {
        if self.limit == 0 { Self::DEFAULT_LIMIT } else { self.limit }
    }

    /// Tells of each entry in its turn whether it is still to be returned, by the bytes of those before: for logs.
    pub fn budget(&self) -> impl FnMut(&Entry) -> bool + use<> {
        let (most, mut bytes) = (self.max_bytes.unwrap_or(usize::MAX), 0_usize);
        move |entry| {
            let fits = bytes < most.max(1);
            bytes = bytes.saturating_add(entry.body.as_ref().map_or(0, bytes::Bytes::len));
            fits
        }
    }
}

/// Amounts as the text of their digits.
mod digits {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[allow(clippy::ref_option)] // as serde calls it
    pub(super) fn serialize<S: Serializer>(amount: &Option<Decimal>, to: S) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_being_written_down() {
        let query = Query::of_kind(EntryKind::Delivery)
            .with_state(EntryState::Dead)
            .with_amount_from("0.10".parse().unwrap())
            .with_currency(Currency::parse("EUR").unwrap())
            .within(["books".into()])
            .with_limit(7);
        let text = serde_json::to_string(&query).unwrap();
        assert_eq!(serde_json::from_str::<Query>(&text).unwrap(), query, "{text}");
        assert_eq!(serde_json::from_str::<Query>("{}").unwrap(), Query::default());
    }
}
