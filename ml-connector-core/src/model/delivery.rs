//! One event for one destination, and what becomes of it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ConnectionId, Cost, Event, LaneKey, Observation, PostedDocument, Seq, Signal, Timestamp, text_id,
};

text_id! {
    /// Where in a sink a delivery goes, in the sink's own form, such as `channel:accounting`. Sinks offer
    /// functions that make one.
    Destination,
}

/// The identity of a delivery towards other systems, the same for every attempt. An idempotency key or a marker in a
/// message carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(uuid::Uuid);

impl DeliveryId {
    /// A new identity, unique everywhere and sorted by time.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let subsec_nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, subsec_nanos);
        Self(uuid::Uuid::new_v7(stamp))
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One event for one destination.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// Its place in the log.
    pub seq: Seq,
    /// Its identity towards the outside.
    pub id: DeliveryId,
    /// Where it goes.
    pub destination: Destination,
    /// The route that made it.
    pub route: Arc<str>,
    /// What it brings.
    pub event: Arc<Event>,
    /// How many attempts have begun: for [`Sink::deliver`](crate::Sink::deliver) with this one, for
    /// [`Sink::look_up`](crate::Sink::look_up) up to the one that is looked for.
    pub attempt: u32,
    /// When the first attempt may have been made; what a look-up has to search from.
    pub since: Timestamp,
    /// What an earlier attempt left with [`AttemptNotes`](crate::AttemptNotes), such as the handle of a running statement.
    pub note: Option<Bytes>,
    /// The form the route asks for, by a name that the sink knows.
    pub template: Option<Arc<str>>,
    /// How the message goes on from what this destination was told about the same record before.
    pub follow: Option<Follow>,
    /// The first delivery about the same record to this destination, where the route follows one.
    pub root: Option<Root>,
    /// Whether it is part of a digest: the sink makes one message of the whole batch.
    pub digest: bool,
    /// The schedule it waits for, as text: a part of its lane's name.
    pub(crate) schedule: Option<Arc<str>>,
}

impl Delivery {
    /// A first attempt without notes.
    pub fn new(
        seq: Seq,
        id: DeliveryId,
        destination: Destination,
        route: impl Into<Arc<str>>,
        event: Arc<Event>,
        since: Timestamp,
    ) -> Self {
        Self {
            seq,
            id,
            destination,
            route: route.into(),
            event,
            attempt: 0,
            since,
            note: None,
            template: None,
            follow: None,
            root: None,
            digest: false,
            schedule: None,
        }
    }
}

/// How later messages about a record go on from the first one at their destination.
///
/// When the message that [`Delivery::root`] names is gone, the sink returns [`NotFound`](crate::ErrorKind::NotFound),
/// without effect and in the scope of the entry. The delivery then comes again without a root, as the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Follow {
    /// As replies to it.
    Thread,
    /// By rewriting it.
    Update,
}

/// What a destination was told about a record before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The receipt of the first delivery.
    pub reference: Arc<str>,
    /// The latest of the record's changes that it shows. Replies do not count.
    pub n: u64,
}

/// What a delivery waits for: its turn in a lane, and room in quotas.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeliveryPlan {
    /// One delivery of a lane is under way at a time, in the order of their events.
    pub lane: LaneKey,
    /// What one attempt spends.
    pub costs: Vec<Cost>,
    /// How long one attempt, or one look-up after it, may take; `None` = as the
    /// [settings](crate::engine::Settings::call) say.
    pub time: Option<Duration>,
}

impl DeliveryPlan {
    /// A place in a lane that spends nothing.
    #[must_use]
    pub fn new(lane: LaneKey) -> Self {
        Self { lane, costs: Vec::new(), time: None }
    }

    /// Sets what one attempt spends.
    #[must_use]
    pub fn costs(mut self, costs: Vec<Cost>) -> Self {
        self.costs = costs;
        self
    }

    /// Sets how long one attempt may take, for work that takes longer than usual. The lane waits meanwhile. A call of
    /// the SDK's client has a time limit of its own: see [`Call::within`](crate::http::Call::within).
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

/// Proof of a delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// The other side's handle, searchable in the log: a message, a document, a statement.
    pub reference: Arc<str>,
    /// The record as read back after our own write. Recorded in the settling transaction, so that the
    /// vendor's webhook about it is no change.
    pub observed: Option<Arc<Observation>>,
    /// The document that a command was about, as it was read back. Whoever gave the command is told of it.
    pub result: Option<PostedDocument>,
    /// What the source of the same connection has to read because of it. Appended by the settling transaction.
    pub signals: Vec<Signal>,
    /// Whether the first message about the record was gone, so that this delivery wrote a new first message.
    pub begins_anew: bool,
}

impl Receipt {
    /// A receipt with nothing but a handle.
    pub fn new(reference: impl Into<Arc<str>>) -> Self {
        Self {
            reference: reference.into(),
            observed: None,
            result: None,
            signals: Vec::new(),
            begins_anew: false,
        }
    }
}

/// What became of a delivery, as the source of its event [hears of it](crate::SourceInfo::outcomes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fate {
    /// Which of the record's changes it told: [`Event::n`](super::Event::n).
    pub n: u64,
    /// The connection it went to.
    pub sink: ConnectionId,
    /// Where in it.
    pub destination: Destination,
    /// The route that made it.
    pub route: Arc<str>,
    /// How it ended.
    pub state: Ended,
    /// The receipt's handle, when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// The document that a command was about, as it was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PostedDocument>,
    /// Why it is not done: codes and ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// It was delivered.
    Done,
    /// It waits until somebody repairs something.
    Parked,
    /// It was given up, and can be replayed.
    Dead,
    /// It was given up, and nobody can tell whether it was delivered.
    Uncertain,
}

/// What looking up an attempt with an unknown effect showed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Lookup {
    /// It had happened.
    Happened(Receipt),
    /// It had not: safe to repeat.
    DidNotHappen,
    /// Not visible yet, and not certain either.
    AskAgain {
        /// When to look again.
        at: Timestamp,
    },
    /// The other side cannot tell, but a duplicate does no harm, such as an answer that one person sees. The delivery
    /// is repeated, and the log says possibly duplicated.
    MayRepeat,
    /// The other side cannot tell: the host's policy decides.
    CannotTell,
}
