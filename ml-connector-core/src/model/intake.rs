//! What requests of vendors mean.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{DedupeKey, Signal, Timestamp};
use crate::size::Size;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntityRef, Prompt, Upkeep};

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
