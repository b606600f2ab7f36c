//! A change of a record.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    AccountKey, Before, Change, ConnectionId, Content, EntityRef, Interaction, LeftOut, Raw, Record,
    Timestamp, text_id,
};
use crate::{Error, ErrorKind, Result};

text_id! {
    /// The type of an event: kind and strongest change, such as `invoice.paid`.
    EventType,
}

/// Why an event exists. A route takes [`Live`](Self::Live) events unless it says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// Something happened.
    #[default]
    Live,
    /// Somebody asked for the past.
    Backfill,
    /// Somebody asked to send it again.
    Replay,
    /// We did it ourselves.
    Ours,
}

/// A change of one record. Its identity is (connection, entity, n); n also orders the record's events.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Whose record.
    pub connection: ConnectionId,
    /// Which record.
    pub entity: EntityRef,
    /// The record's changes are numbered 1, 2, 3 …
    pub n: u64,
    /// What changed; never empty.
    pub changes: BTreeSet<Change>,
    /// When the log began to watch the connection, in milliseconds since 1970; 0 = not known. A new log after a lost
    /// one has a greater epoch and counts `n` from 1 again. A consumer that compares `(epoch, n)` never goes back.
    pub epoch: u64,
    /// Why the event exists.
    pub origin: Origin,
    /// When the change was observed.
    pub at: Timestamp,
    /// The system it comes from, such as `zoho_books`; empty = not known.
    pub system: Arc<str>,
    /// The account it comes from: the organisation, division or company.
    pub account: Option<AccountKey>,
    /// The record after the change, or what somebody did. Of a record that is gone, what was known last; `None` when
    /// nothing was.
    pub content: Option<Content>,
    /// How the record stood before, where that is different and known.
    pub before: Option<Before>,
    /// The vendor's JSON of it.
    pub raw: Option<Raw>,
    /// What of the record could not be read.
    pub notes: Vec<LeftOut>,
    /// The record behind an outcome: what the dead delivery was about.
    pub about: Option<EntityRef>,
    /// Why an outcome came about: codes and ids, never a vendor's text.
    pub reason: Option<Arc<str>>,
    /// The records of a page of the past, each as the event that would tell it alone. Only events of the kind `page`
    /// have them, and no record of their own. Routes with [`pages`](crate::route::Route::pages) take them.
    pub page: Vec<Self>,
    /// Whether its destination is told of several accounts, so that a message has to say whose record it is. Set for a
    /// delivery, and not stored.
    pub of_several: bool,
}

impl Event {
    /// The kinds of events about the connector's own work.
    pub const OUTCOMES: [&'static str; 5] = ["delivery", "signal", "connection", "feed", "webhook"];
    /// The kind of events that tell of many records at once.
    pub const PAGE: &'static str = "page";

    /// An event without the vendor's JSON.
    #[must_use]
    pub fn new(
        connection: ConnectionId,
        entity: EntityRef,
        n: u64,
        changes: BTreeSet<Change>,
        at: Timestamp,
        content: Option<Content>,
    ) -> Self {
        Self {
            connection,
            entity,
            n,
            changes,
            epoch: 0,
            origin: Origin::Live,
            at,
            system: "".into(),
            account: None,
            content,
            before: None,
            raw: None,
            notes: Vec::new(),
            about: None,
            reason: None,
            page: Vec::new(),
            of_several: false,
        }
    }

    /// The record, where it tells of one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.content.as_ref().and_then(Content::record)
    }

    /// What somebody did, where it tells of that.
    #[must_use]
    pub fn interaction(&self) -> Option<&Interaction> {
        self.content.as_ref().and_then(Content::interaction)
    }

    /// The business data in it: its record, or the document that an approval shows. What amounts, summaries and searches
    /// are about.
    #[must_use]
    pub fn document(&self) -> Option<&Record> {
        self.content.as_ref().and_then(Content::document)
    }

    /// Whose books it is about. If it tells what somebody did, that is the connection of the document.
    #[must_use]
    pub fn books(&self) -> &ConnectionId {
        let about = self.interaction().and_then(Interaction::about);
        about.map_or(&self.connection, |document| &document.connection)
    }

    /// Whether the event tells of a page of the past.
    #[must_use]
    pub fn is_page(&self) -> bool {
        &*self.entity.kind == Self::PAGE
    }

    /// Kind and strongest change, such as `invoice.paid`.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        let change = self.changes.first().copied().unwrap_or(Change::Updated);
        EventType::from(format!("{}.{}", self.entity.kind, change.as_str()))
    }

    /// Whether the event tells what became of the connector's own work (`delivery.dead`, `webhook.unrouted`) rather
    /// than of a record. Routes have to name the kinds of such events.
    #[must_use]
    pub fn is_outcome(&self) -> bool {
        Self::OUTCOMES.contains(&&*self.entity.kind)
    }

    /// The identity as text: `books/invoice/481500000000103001/3`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.connection, self.entity, self.n)
    }

    /// The event as CloudEvents 1.0 JSON: the form in which it is stored and handed on.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the record cannot be written as JSON.
    pub fn to_cloudevent(&self) -> Result<Bytes> {
        let envelope = CloudEvent {
            specversion: "1.0".into(),
            id: self.id(),
            source: format!("/ml-connector/{}", self.connection),
            kind: self.event_type().to_string(),
            subject: self.entity.to_string(),
            time: self.at,
            datacontenttype: "application/json".into(),
            data: self.into(),
        };
        serde_json::to_vec(&envelope).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the event cannot be written as JSON").with_source(source)
        })
    }

    /// Reads what [`to_cloudevent`](Self::to_cloudevent) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is no such event.
    pub fn from_cloudevent(json: &[u8]) -> Result<Self> {
        let CloudEvent { time, data, .. } = serde_json::from_slice(json).map_err(|source| {
            Error::new(ErrorKind::InvalidRequest, "expected a CloudEvent of ml-connector").with_source(source)
        })?;
        Ok(data.into_event(time))
    }
}

#[derive(Serialize, Deserialize)]
struct CloudEvent {
    specversion: Arc<str>,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: Timestamp,
    datacontenttype: Arc<str>,
    data: Data,
}

#[derive(Serialize, Deserialize)]
struct Data {
    connection: ConnectionId,
    entity: EntityRef,
    n: u64,
    changes: BTreeSet<Change>,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u64,
    #[serde(default)]
    origin: Origin,
    #[serde(default, skip_serializing_if = "is_empty")]
    system: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Box<Record>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interaction: Option<Box<Interaction>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<Raw>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<LeftOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    page: Vec<Self>,
}

#[allow(clippy::ptr_arg)] // the signature serde asks for
fn is_empty(text: &Arc<str>) -> bool {
    text.is_empty()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature serde asks for
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<&Event> for Data {
    fn from(event: &Event) -> Self {
        let (record, interaction) = match event.content.clone() {
            Some(Content::Record(record)) => (Some(record), None),
            Some(Content::Interaction(interaction)) => (None, Some(interaction)),
            None => (None, None),
        };
        Self {
            connection: event.connection.clone(),
            entity: event.entity.clone(),
            n: event.n,
            changes: event.changes.clone(),
            epoch: event.epoch,
            origin: event.origin,
            system: Arc::clone(&event.system),
            account: event.account.clone(),
            record,
            interaction,
            before: event.before.clone(),
            raw: event.raw.clone(),
            notes: event.notes.clone(),
            about: event.about.clone(),
            reason: event.reason.clone(),
            page: event.page.iter().map(Self::from).collect(),
        }
    }
}

impl Data {
    fn into_event(self, at: Timestamp) -> Event {
        let interaction = self.interaction.map(Content::Interaction);
        Event {
            connection: self.connection,
            entity: self.entity,
            n: self.n,
            changes: self.changes,
            origin: self.origin,
            at,
            system: self.system,
            account: self.account,
            epoch: self.epoch,
            content: self.record.map(Content::Record).or(interaction),
            before: self.before,
            raw: self.raw,
            notes: self.notes,
            about: self.about,
            reason: self.reason,
            page: self.page.into_iter().map(|data| data.into_event(at)).collect(),
            of_several: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RecordKind, Status};

    #[test]
    fn the_strongest_change_gives_the_type() {
        let changes = BTreeSet::from([Change::Created, Change::Overdue(7), Change::Sent]);
        let event = Event::new(
            "books".into(),
            EntityRef::new("invoice", "1"),
            1,
            changes,
            Timestamp::default(),
            None,
        );
        assert_eq!(event.event_type().as_str(), "invoice.overdue");
    }

    #[test]
    fn an_event_survives_its_cloudevent_with_every_digit() {
        let mut record = Record::new(RecordKind::Invoice, "1", Status::Other("viewed".into()));
        record.total = Some(crate::model::Money::parse("99999999999999.990", "USD").unwrap());
        let mut event = Event::new(
            "books".into(),
            record.entity(),
            3,
            BTreeSet::from([Change::Overdue(30), Change::Updated]),
            Timestamp::from_millis(1_773_324_300_123),
            Some(record.into()),
        );
        event.epoch = 1_773_000_000_000;
        let total = Some(crate::model::Money::parse("100000000000000.0", "USD").unwrap());
        event.before = Some(Before { total, ..Before::default() });
        let raw = r#"{"total":99999999999999.990,"x":[1,2]}"#;
        event.raw = Some(Raw::new(serde_json::value::RawValue::from_string(raw.into()).unwrap()));
        let json = event.to_cloudevent().unwrap();
        assert!(std::str::from_utf8(&json).unwrap().contains(raw));
        assert_eq!(Event::from_cloudevent(&json).unwrap(), event);
    }
}
