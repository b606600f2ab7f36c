//! Hints that something may have changed, and what reading it showed.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AccountKey, Content, DedupeKey, EntityRef, LeftOut, LostRow, Raw, Record, Timestamp};
use crate::size::Size;

/// A hint that something may have changed. Nothing in it is believed except which entity to read. `Debug` shows the
/// size of the payload: people's words and names are in it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Which of the connections behind a shared endpoint it is for; `None` = the one that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKey>,
    /// What to look at.
    pub subject: Subject,
    /// What the vendor says happened, for the audit trail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Arc<str>>,
    /// A delivery number the *vendor* issued. Never a hash of the body: two real changes can look the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<DedupeKey>,
    /// What `resolve` cannot read again, such as a click.
    #[serde(skip)]
    pub payload: Option<Bytes>,
}

impl Signal {
    /// The hint of signals that ask for the past only: reading them may leave room for others.
    pub const BACKFILL: &'static str = "backfill";
    /// The hint of signals about records that a sweep no longer shows. They can wait. A record that cannot be read
    /// either is gone.
    pub const SWEPT: &'static str = "swept";

    /// A hint about one record.
    #[must_use]
    pub fn entity(entity: EntityRef) -> Self {
        Self::of(Subject::Entity(entity))
    }

    /// A hint that many records may have changed. The feed is read: everything since the instant, or what it has not
    /// told yet where no instant is known.
    #[must_use]
    pub fn feed(name: impl Into<Arc<str>>, since: Option<Timestamp>) -> Self {
        Self::of(Subject::Feed { name: name.into(), since })
    }

    /// Asks for a comparison of the records that a feed shows with those that are known. For hints that some records
    /// were deleted.
    #[must_use]
    pub fn sweep(feed: impl Into<Arc<str>>) -> Self {
        Self::of(Subject::Sweep(feed.into()))
    }

    /// A hint with a subject and nothing else.
    #[must_use]
    pub fn of(subject: Subject) -> Self {
        Self { account: None, subject, hint: None, dedupe: None, payload: None }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("account", &self.account)
            .field("subject", &self.subject)
            .field("hint", &self.hint)
            .field("dedupe", &self.dedupe)
            .field("payload", &Size::of(&self.payload))
            .finish_non_exhaustive()
    }
}

/// What a signal asks to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// One record.
    Entity(EntityRef),
    /// Everything a feed has changed.
    Feed {
        /// The feed's name.
        name: Arc<str>,
        /// Since when, where the hint says so.
        since: Option<Timestamp>,
    },
    /// Which records a feed shows, by [`PollMode::Sweep`]: one of [`SourceInfo::sweeps`](crate::SourceInfo::sweeps).
    Sweep(Arc<str>),
    /// A webhook subscription.
    Subscription(Arc<str>),
}

impl Subject {
    /// The feed it is about, if it is about one.
    #[must_use]
    pub fn feed(&self) -> Option<&Arc<str>> {
        match self {
            Self::Feed { name, .. } | Self::Sweep(name) => Some(name),
            Self::Entity(_) | Self::Subscription(_) => None,
        }
    }
}

/// What a verified request means. `Debug` shows the status and sizes.
///
/// Everything in it is stored in one transaction before the answer is sent.
///
/// ```
/// use bytes::Bytes;
/// use ml_connector_core::model::{Intake, Signal, Subject};
///
/// // A handshake: the key that came with it is kept as state, and is in no entry of the log.
/// let look = Signal::of(Subject::Subscription("invoice".into()));
/// let intake = Intake::accepted(vec![look])
///     .state(Bytes::from_static(b"the key"))
///     .evidence(Bytes::from_static(b"a key for callback 912004"));
///
/// // A request that is believed to be somebody else's, and answered so that the vendor goes on.
/// let dropped = Intake::accepted(Vec::new()).note("dropped: the client state is another one").evidence(Bytes::new());
/// # let _ = (intake, dropped);
/// ```
#[non_exhaustive]
pub struct Intake {
    /// What to store before answering.
    pub signals: Vec<Signal>,
    /// The answer once that is durable.
    pub reply: http::Response<Bytes>,
    /// Work with a deadline of seconds, run after the answer is safe.
    pub prompt: Option<Prompt>,
    /// What requests are verified with from now on. It replaces the
    /// [`ReceiveRequest::state`](crate::ReceiveRequest::state) that was given. If another request has replaced that
    /// meanwhile, this one is received again with the newer state. [`Source::upkeep`](crate::Source::upkeep) sees it at
    /// its next look.
    pub state: Option<Bytes>,
    /// What the log keeps instead of the body and the path, for requests with a secret in them.
    pub evidence: Option<Bytes>,
    /// Why the request, or a part of it, leads to nothing. Shown by [`Connector::explain`](crate::Connector::explain). It
    /// holds no secret and no personal data.
    pub note: Option<Arc<str>>,
    /// A note with this key is kept once. For requests that anybody may send as often as he likes.
    pub note_key: Option<DedupeKey>,
}

impl Intake {
    /// Signals to store, answered with an empty 200.
    #[must_use]
    pub fn accepted(signals: Vec<Signal>) -> Self {
        let reply = http::Response::new(Bytes::new());
        Self { signals, reply, prompt: None, state: None, evidence: None, note: None, note_key: None }
    }

    /// Sets what requests are verified with from now on.
    #[must_use]
    pub fn state(mut self, state: Bytes) -> Self {
        self.state = Some(state);
        self
    }

    /// Sets what the log keeps instead of the body and the path.
    #[must_use]
    pub fn evidence(mut self, evidence: Bytes) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// Sets why the request, or a part of it, leads to nothing.
    #[must_use]
    pub fn note(mut self, why: impl Into<Arc<str>>) -> Self {
        self.note = Some(why.into());
        self
    }

    /// Like [`note`](Self::note), but the note is kept once under this key, and counted when it comes again. All
    /// connections of the log share the keys, so the key has to name the connection.
    #[must_use]
    pub fn note_once(self, why: impl Into<Arc<str>>, key: DedupeKey) -> Self {
        Self { note_key: Some(key), ..self.note(why) }
    }

    /// Sets the answer.
    #[must_use]
    pub fn reply(mut self, reply: http::Response<Bytes>) -> Self {
        self.reply = reply;
        self
    }

    /// Sets the work that follows the answer.
    #[must_use]
    pub fn prompt(mut self, prompt: Option<Prompt>) -> Self {
        self.prompt = prompt;
        self
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("signals", &self.signals)
            .field("status", &self.reply.status())
            .field("reply", &Size(self.reply.body()))
            .field("prompt", &self.prompt)
            .field("state", &Size::of(&self.state))
            .field("evidence", &Size::of(&self.evidence))
            .field("note", &self.note)
            .finish_non_exhaustive()
    }
}

/// Work with a deadline of seconds, such as opening a dialog: done by the process that received the request,
/// after the commit, best effort. Correctness never depends on it. `Debug` shows the size of the payload.
pub struct Prompt {
    /// What to do, in the source's own form.
    pub payload: Bytes,
    /// It is left undone after this instant.
    pub deadline: Timestamp,
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt")
            .field("deadline", &self.deadline)
            .field("payload", &Size(&self.payload))
            .finish_non_exhaustive()
    }
}

/// The digest of a record read in one fixed form: equal revisions mean that nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; 16]);

impl Revision {
    /// The revision of bytes in a fixed form, without stamps and etags.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(first)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// What one read showed.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Which record.
    pub entity: EntityRef,
    /// When the read *started*.
    pub read_at: Timestamp,
    /// What was seen.
    pub state: Observed,
}

/// The state of a record at the time of a read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Observed {
    /// It is there.
    Present {
        /// The digest of the detail in one fixed form.
        revision: Revision,
        /// The vendor's own version, if it only ever grows.
        order: Option<u64>,
        /// The record in the SDK's vocabulary, or what somebody did.
        content: Content,
        /// The vendor's JSON.
        raw: Option<Raw>,
        /// What of it could not be read.
        notes: Vec<LeftOut>,
    },
    /// It is gone, and this proves it.
    Gone(DeletionProof),
}

/// What proves that a record is gone. "Not found" alone proves nothing. Vendors also say it when the record may not be
/// read, when it belongs to another account, when a related record is missing, and when a replica is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeletionProof {
    /// A signed webhook says that it was deleted, and the read does not find it.
    SignedDeletion,
    /// The vendor answers with what is left of a deleted record, such as a state of its own.
    Tombstone,
    /// The vendor's list of deletions names it.
    DeletionFeed,
    /// The read does not find it, and two complete and authorized reads of its list do not show it. A
    /// [sweep](PollMode::Sweep) is one of the two.
    AbsentTwice,
}

impl Observed {
    /// It is there, without the vendor's JSON and version.
    pub fn present(revision: Revision, content: impl Into<Content>) -> Self {
        Self::Present { revision, order: None, content: content.into(), raw: None, notes: Vec::new() }
    }

    /// The record, where one is there.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Present { content, .. } => content.record(),
            Self::Gone(_) => None,
        }
    }

    /// The digest of the detail; `None` when it is gone.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Present { revision, .. } => Some(*revision),
            Self::Gone(_) => None,
        }
    }
}

/// What resolving signals led to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Resolution {
    /// Records were read. Usually one; a line resolves to its document.
    Observed(Vec<Observation>),
    /// Records were read, and some are to be read again later, even without a webhook.
    Scheduled {
        /// What was read.
        seen: Vec<Observation>,
        /// When to look at what again. A signal with a [`dedupe`](Signal::dedupe) key is kept once.
        later: Vec<(Timestamp, Signal)>,
    },
    /// The read is older than the hint: it came from a replica, or was a 404 right after creation. A record that was
    /// never seen is given up after an hour of this, without a notice.
    NotYet {
        /// When to read again.
        retry_at: Timestamp,
    },
    /// Records were read that the source shows for the first time, although they are not new: an upgrade or a copy has
    /// brought them. As at a baseline, they are stored without an event, and what happens to them from now on is told.
    /// Records that are already known stay as they are.
    Past {
        /// What was read.
        seen: Vec<Observation>,
        /// Why it is no news, for the audit trail.
        note: &'static str,
    },
    /// The hint stands for many records: read the feed.
    Sweep {
        /// The feed to read.
        feed: Arc<str>,
        /// Since when, where known.
        since: Option<Timestamp>,
    },
    /// Nothing to tell.
    Done {
        /// Why, for the audit trail.
        note: &'static str,
    },
}

/// One page of a feed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Rows that carry the full record.
    pub observations: Vec<Observation>,
    /// Rows of records whose details say more. A baseline stores them as they are. A backfill sends them at once, with
    /// their [raw](Observed::Present::raw) JSON, to routes that take pages; then it reads the details one by one. Any
    /// other read only asks for the details.
    pub rows: Vec<Observation>,
    /// Rows that carry the full record and are shown for the first time, although they are not new: see
    /// [`Resolution::Past`].
    pub past: Vec<Observation>,
    /// Rows that have to be read one by one.
    pub signals: Vec<Signal>,
    /// Rows that cannot be read, and for which nothing else can be read. Health counts them. Each is a note that
    /// [`Connector::explain`](crate::Connector::explain) shows. When the same row comes again, the note counts it as a
    /// repetition.
    pub lost: Vec<LostRow>,
    /// Where the next page starts, in the source's own form. Stored in the same commit as the page.
    pub checkpoint: Bytes,
    /// Whether there is a next page now.
    pub more: bool,
    /// What a person has to know of the feed although it works, such as "an empty list does not mean that nothing is
    /// owed". Health shows the remark of the last page of an ordinary read until the next read replaces it.
    pub remark: Option<Arc<str>>,
    /// How many rows follow this page, as far as the vendor says: with it a backfill tells how long it will take. `None`
    /// where a list does not say how long it is.
    pub left: Option<u64>,
}

impl Page {
    /// An empty last page. The next read begins at `checkpoint`.
    #[must_use]
    pub fn new(checkpoint: Bytes) -> Self {
        let (observations, rows, past, signals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (lost, more, remark, left) = (Vec::new(), false, None, None);
        Self { observations, rows, past, signals, lost, checkpoint, more, remark, left }
    }

    /// Sets the rows that carry the full record.
    #[must_use]
    pub fn observations(mut self, observations: Vec<Observation>) -> Self {
        self.observations = observations;
        self
    }

    /// Sets the rows of records whose details say more.
    #[must_use]
    pub fn rows(mut self, rows: Vec<Observation>) -> Self {
        self.rows = rows;
        self
    }

    /// Sets the rows that are no news.
    #[must_use]
    pub fn past(mut self, past: Vec<Observation>) -> Self {
        self.past = past;
        self
    }

    /// Sets the rows that have to be read one by one.
    #[must_use]
    pub fn signals(mut self, signals: Vec<Signal>) -> Self {
        self.signals = signals;
        self
    }

    /// Sets the rows that cannot be read, and for which nothing else can be read.
    #[must_use]
    pub fn lost(mut self, lost: Vec<LostRow>) -> Self {
        self.lost = lost;
        self
    }

    /// Sets whether there is a next page now.
    #[must_use]
    pub fn more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }

    /// Sets what a person has to know of the feed although it works.
    #[must_use]
    pub fn remark(mut self, remark: Option<Arc<str>>) -> Self {
        self.remark = remark;
        self
    }

    /// Sets how many rows follow, where the vendor says so.
    #[must_use]
    pub fn left(mut self, left: Option<u64>) -> Self {
        self.left = left;
        self
    }
}

/// Why a feed is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PollMode {
    /// The first read of a new connection: snapshots, no events. Rows without the record's details may come as
    /// observations or [rows](Page::rows) here, so that a large organisation costs no detail reads. What changes after the first page was
    /// read is told by the first [`Live`](Self::Live) read, which begins with the checkpoint of the last page.
    Baseline,
    /// The ordinary read.
    Live,
    /// Everything that was created or changed since an instant: the past, on request, or what may have been missed
    /// in a gap. It has a checkpoint of its own.
    Backfill {
        /// Since when; `None` = everything.
        since: Option<Timestamp>,
    },
    /// Which records exist: the page's `signals` name every one, and are compared with what is known instead of
    /// being resolved; `observations` stay empty. Only for [`SourceInfo::sweeps`](crate::SourceInfo::sweeps).
    Sweep,
}

/// A webhook that is registered at a vendor, for health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// What people call it: an event such as `invoice.changed`.
    pub name: Arc<str>,
    /// When it ends unless it is renewed; `None` = it does not end.
    pub ends: Option<Timestamp>,
}

/// The state of a source's webhook subscriptions after looking after them. `Debug` shows the size of the state, which may
/// hold secrets.
#[non_exhaustive]
pub struct Upkeep {
    /// What [`Source::receive`](crate::Source::receive) needs to verify, in the source's own form.
    pub state: Bytes,
    /// What to read because notifications may have been lost.
    pub signals: Vec<Signal>,
    /// When to look again.
    pub next: Timestamp,
    /// The webhooks that are registered at the vendor.
    pub subscriptions: Vec<Subscription>,
    /// Why webhooks do not come as wanted, where looking again will not help: the plan has none, or the vendor refuses.
    /// Health shows it until a look finds no problem. It holds no secret and no personal data.
    pub problem: Option<Arc<str>>,
}

impl Upkeep {
    /// Nothing to store and nothing to read: look again at `next`.
    #[must_use]
    pub fn new(next: Timestamp) -> Self {
        Self { state: Bytes::new(), signals: Vec::new(), next, subscriptions: Vec::new(), problem: None }
    }

    /// Sets what `receive` needs to verify.
    #[must_use]
    pub fn state(mut self, state: Bytes) -> Self {
        self.state = state;
        self
    }

    /// Sets what to read.
    #[must_use]
    pub fn signals(mut self, signals: Vec<Signal>) -> Self {
        self.signals = signals;
        self
    }

    /// Sets which webhooks are registered.
    #[must_use]
    pub fn subscriptions(mut self, subscriptions: Vec<Subscription>) -> Self {
        self.subscriptions = subscriptions;
        self
    }

    /// Sets why webhooks do not come as wanted.
    #[must_use]
    pub fn problem(mut self, problem: Option<Arc<str>>) -> Self {
        self.problem = problem;
        self
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, signals, next, subscriptions, problem } = self;
        f.debug_struct("Upkeep")
            .field("state", &Size(state))
            .field("signals", signals)
            .field("next", next)
            .field("subscriptions", subscriptions)
            .field("problem", problem)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_not_shown() {
        let planted = || Bytes::from_static(b"planted words");
        let mut signal = Signal::entity(EntityRef::new("action", "1"));
        signal.payload = Some(planted());
        let mut intake = Intake::accepted(vec![signal.clone()]);
        *intake.reply.body_mut() = planted();
        intake.prompt = Some(Prompt { payload: planted(), deadline: Timestamp::default() });
        let intake = intake.state(planted()).evidence(planted());
        let upkeep = Upkeep::new(Timestamp::default()).state(planted()).signals(vec![signal]);
        let shown = format!("{intake:?} {upkeep:?}");
        assert!(!shown.contains("planted"), "{shown}");
        assert_eq!(shown.matches("13 bytes").count(), 7, "{shown}");
    }
}
