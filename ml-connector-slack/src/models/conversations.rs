use std::fmt;

use serde::Deserialize;

use super::{next_cursor, or_default};

/// A page of `conversations.list`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ChannelPage {
    /// The channels; there may be none although more pages follow.
    #[serde(default, deserialize_with = "or_default")]
    pub channels: Vec<Channel>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default, rename = "response_metadata", deserialize_with = "next_cursor")]
    pub next_cursor: Option<String>,
}

/// A channel. `Debug` shows the id only.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct Channel {
    /// Its id, which never changes.
    pub id: String,
    /// Its name, which people change.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Whether it is archived.
    #[serde(default, deserialize_with = "or_default")]
    pub is_archived: bool,
    /// Whether only its members see it.
    #[serde(default, deserialize_with = "or_default")]
    pub is_private: bool,
    /// Whether the bot is a member.
    #[serde(default, deserialize_with = "or_default")]
    pub is_member: bool,
    /// Names it had before.
    #[serde(default, deserialize_with = "or_default")]
    pub previous_names: Vec<String>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Which messages `conversations.history` and `conversations.replies` are asked for.
#[derive(Debug, Clone, Copy)]
pub struct HistoryQuery<'a> {
    /// The conversation.
    pub channel: &'a str,
    /// The oldest message wanted, as a `ts`.
    pub oldest: &'a str,
    /// How many at most.
    pub limit: u32,
    /// Where the page begins.
    pub cursor: Option<&'a str>,
}

/// A page of `conversations.history` or `conversations.replies`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The messages; there may be none although more pages follow.
    #[serde(default, deserialize_with = "or_default")]
    pub messages: Vec<HistoryMessage>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default, rename = "response_metadata", deserialize_with = "next_cursor")]
    pub next_cursor: Option<String>,
}

/// A message read back: what tells whose it is, and nothing of what it says.
#[derive(Debug, Clone, Default, Deserialize)]
#[non_exhaustive]
pub struct HistoryMessage {
    /// Its identity in the conversation.
    #[serde(default, deserialize_with = "or_default")]
    pub ts: String,
    /// The user that wrote it.
    #[serde(default)]
    pub user: Option<String>,
    /// The bot that wrote it.
    #[serde(default)]
    pub bot_id: Option<String>,
    /// The app that wrote it.
    #[serde(default)]
    pub app_id: Option<String>,
    /// Other apps put anything here, so nothing of it is decoded before it is looked at.
    #[serde(default)]
    metadata: Option<serde_json::Value>,
}

impl HistoryMessage {
    /// The delivery that the message belongs to, if it is one of this SDK's.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        if metadata.get("event_type")?.as_str()? != super::Metadata::EVENT_TYPE {
            return None;
        }
        metadata.get("event_payload")?.get("delivery_id")?.as_str()
    }
}
