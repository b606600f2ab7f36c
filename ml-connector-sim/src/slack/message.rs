//! Messages, and how the API shows them.

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    model::{Posted, Reaction, Revision},
    workspace::{APP_ID, BOT_ID, BOT_NAME, BOT_USER, Workspace},
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

impl Workspace {
    /// A message as the API shows it.
    pub(super) fn shown(&self, channel: &str, message: &Message, with_metadata: bool) -> Value {
        let mut shown = json!({
            "type": "message",
            "user": message.user,
            "team": self.config.team_id,
            "ts": message.ts,
            "text": message.text,
        });
        if message.by_bot() {
            shown["bot_id"] = BOT_ID.into();
            shown["app_id"] = APP_ID.into();
            shown["bot_profile"] = json!({
                "id": BOT_ID, "app_id": APP_ID, "user_id": BOT_USER, "name": BOT_NAME,
                "icons": {}, "deleted": false, "updated": 1_764_547_200, "team_id": self.config.team_id,
            });
        }
        if message.tombstone {
            shown["subtype"] = "tombstone".into();
            shown["hidden"] = true.into();
        }
        for (name, value) in [("blocks", &message.blocks), ("attachments", &message.attachments)] {
            if let Some(value) = value {
                shown[name] = value.clone();
            }
        }
        self.thread(channel, message, &mut shown);
        if let Some(id) = &message.client_msg_id {
            shown["client_msg_id"] = id.clone().into();
        }
        if let Some(ts) = &message.edited {
            shown["edited"] = json!({ "user": message.user, "ts": ts });
        }
        if !message.reactions.is_empty() {
            shown["reactions"] = reactions(&message.reactions);
        }
        match &message.metadata {
            Some(metadata) if with_metadata => shown["metadata"] = metadata.clone(),
            Some(metadata) => shown["metadata"] = json!({ "event_type": metadata["event_type"] }),
            None => {}
        }
        shown
    }

    /// What a message says about its thread, as a reply or as a parent.
    fn thread(&self, channel: &str, message: &Message, shown: &mut Value) {
        if let Some(thread_ts) = &message.thread_ts {
            shown["thread_ts"] = thread_ts.clone().into();
        }
        if message.is_reply() {
            let parent = message.thread_ts.as_ref().and_then(|ts| self.message(channel, ts));
            if let Some(parent) = parent {
                shown["parent_user_id"] = parent.user.clone().into();
            }
            return;
        }
        let replies: Vec<&Message> = self.replies(channel, &message.ts).collect();
        let Some(latest) = replies.last() else { return };
        let mut users: Vec<&str> = Vec::new();
        for reply in &replies {
            if !users.contains(&reply.user.as_str()) {
                users.push(&reply.user);
            }
        }
        shown["thread_ts"] = message.ts.clone().into();
        shown["reply_count"] = replies.len().into();
        shown["reply_users_count"] = users.len().into();
        shown["reply_users"] = users.into();
        shown["latest_reply"] = latest.ts.clone().into();
        shown["is_locked"] = false.into();
        shown["subscribed"] = false.into();
    }
}

fn reactions(reactions: &[Reaction]) -> Value {
    reactions
        .iter()
        .map(|reaction| {
            json!({ "name": reaction.name, "users": reaction.users, "count": reaction.users.len() })
        })
        .collect()
}
