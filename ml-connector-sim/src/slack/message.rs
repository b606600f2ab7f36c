//! Messages.

use ml_connector_core::Timestamp;
use serde_json::Value;

use super::{
    ids::BOT_USER,
    model::{Posted, Reaction, Revision},
};

/// Who is shown as the author of a message that was deleted while it had replies.
const TOMBSTONE_USER: &str = "USLACKBOT";

/// A message in a channel.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) ts: String,
    pub(super) thread_ts: Option<String>,
    pub(super) broadcast: bool,
    pub(super) user: String,
    pub(super) text: String,
    pub(super) blocks: Option<Value>,
    pub(super) attachments: Option<Value>,
    pub(super) metadata: Option<Value>,
    pub(super) client_msg_id: Option<String>,
    pub(super) reactions: Vec<Reaction>,
    /// When it was last changed: a `ts`.
    pub(super) edited: Option<String>,
    pub(super) revisions: Vec<Revision>,
    /// Deleted, but with replies: its place stays.
    pub(super) tombstone: bool,
    pub(super) at: Timestamp,
}

impl Message {
    /// A message with a text, not stored yet.
    pub(super) fn new(user: &str, text: String, at: Timestamp) -> Self {
        Self {
            ts: String::new(),
            thread_ts: None,
            broadcast: false,
            user: user.to_owned(),
            text,
            blocks: None,
            attachments: None,
            metadata: None,
            client_msg_id: None,
            reactions: Vec::new(),
            edited: None,
            revisions: Vec::new(),
            tombstone: false,
            at,
        }
    }

    pub(super) fn by_bot(&self) -> bool {
        self.user == BOT_USER
    }

    pub(super) fn is_reply(&self) -> bool {
        self.thread_ts.as_ref().is_some_and(|thread| *thread != self.ts)
    }

    /// Whether it is shown in the channel itself, not only in its thread.
    pub(super) fn in_channel(&self) -> bool {
        self.broadcast || !self.is_reply()
    }

    /// Keeps what it looks like before it is changed.
    pub(super) fn keep_revision(&mut self, now: Timestamp, edited: String) {
        let (text, blocks) = (self.text.clone(), self.blocks.clone().unwrap_or_default());
        self.revisions.push(Revision { until: now, text, blocks });
        self.edited = Some(edited);
    }

    /// Empties it and leaves its place to its replies.
    pub(super) fn bury(&mut self) {
        "This message was deleted.".clone_into(&mut self.text);
        TOMBSTONE_USER.clone_into(&mut self.user);
        (self.blocks, self.attachments, self.metadata) = (None, None, None);
        self.reactions.clear();
        self.tombstone = true;
    }

    /// How often it was changed.
    pub(super) fn edits(&self) -> u32 {
        u32::try_from(self.revisions.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn posted(&self, channel: &str) -> Posted {
        Posted {
            channel: channel.to_owned(),
            ts: self.ts.clone(),
            thread_ts: self.thread_ts.clone(),
            user: self.user.clone(),
            text: self.text.clone(),
            blocks: self.blocks.clone().unwrap_or_default(),
            metadata: self.metadata.clone().unwrap_or_default(),
            client_msg_id: self.client_msg_id.clone(),
            reactions: self.reactions.clone(),
            edits: self.edits(),
            at: self.at,
        }
    }
}
