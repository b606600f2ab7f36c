//! What the engine asks of a source.

use std::fmt;

use bytes::Bytes;

use crate::{Timestamp, model::PollMode, size::Size};

/// A webhook to verify and decode. `Debug` shows its path and sizes: headers prove who sends, and people's words are in
/// the body.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ReceiveRequest<'a> {
    /// The request: its body as the bytes that were received, its path below the endpoint.
    pub request: &'a http::Request<Bytes>,
    /// What [`upkeep`](super::Source::upkeep), or a [handshake](crate::model::Intake::state), stored last; `None` before the
    /// first time.
    pub state: Option<&'a Bytes>,
    /// When it was received.
    pub now: Timestamp,
}

/// A page of a feed to read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PollRequest<'a> {
    /// The name of the feed.
    pub feed: &'a str,
    /// Why it is read.
    pub mode: PollMode,
    /// Where the page begins, as the page before has said; `None`: at the beginning.
    pub checkpoint: Option<&'a Bytes>,
}

/// Webhook subscriptions to look after. `Debug` shows the size of the state, which may hold secrets.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct UpkeepRequest<'a> {
    /// The public URL of the connection's endpoint; `None`: the host has none, and no webhook can come.
    pub callback: Option<&'a str>,
    /// What the last look, or a [handshake](crate::model::Intake::state) since, stored; `None` before the first.
    pub state: Option<&'a Bytes>,
    /// What the last look stored while the connection read another account. Set until a look at the present account has
    /// succeeded: the subscriptions of the other account have to be ended first.
    pub former: Option<&'a Bytes>,
}

impl<'a> ReceiveRequest<'a> {
    /// A request that was received now, before any state is stored.
    #[must_use]
    pub fn new(request: &'a http::Request<Bytes>, now: Timestamp) -> Self {
        Self { request, state: None, now }
    }

    /// Sets what `upkeep` stored last.
    #[must_use]
    pub fn state(mut self, state: Option<&'a Bytes>) -> Self {
        self.state = state;
        self
    }
}

impl<'a> PollRequest<'a> {
    /// The first page of a feed.
    #[must_use]
    pub fn new(feed: &'a str, mode: PollMode) -> Self {
        Self { feed, mode, checkpoint: None }
    }

    /// Sets where the page begins.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Option<&'a Bytes>) -> Self {
        self.checkpoint = checkpoint;
        self
    }
}

impl<'a> UpkeepRequest<'a> {
    /// The first look, of a host without a public URL.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the public URL of the connection's endpoint.
    #[must_use]
    pub fn callback(mut self, callback: Option<&'a str>) -> Self {
        self.callback = callback;
        self
    }

    /// Sets what the last look stored.
    #[must_use]
    pub fn state(mut self, state: Option<&'a Bytes>) -> Self {
        self.state = state;
        self
    }

    /// Sets what was stored for the account that the connection read before.
    #[must_use]
    pub fn former(mut self, former: Option<&'a Bytes>) -> Self {
        self.former = former;
        self
    }
}

impl fmt::Debug for ReceiveRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveRequest")
            .field("path", &self.request.uri().path())
            .field("body", &Size(self.request.body()))
            .field("state", &self.state.map(|state| Size(state)))
            .field("now", &self.now)
            .finish()
    }
}

impl fmt::Debug for UpkeepRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpkeepRequest")
            .field("callback", &self.callback)
            .field("state", &self.state.map(|state| Size(state)))
            .field("former", &self.former.map(|former| Size(former)))
            .finish()
    }
}
