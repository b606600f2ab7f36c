use std::fmt;

use serde::Deserialize;

use super::{flag, lax, needed, next_cursor, page, text, text_or_empty, texts};

/// A page of `conversations.list`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ChannelPage {
    /// The channels; there may be none although more pages follow.
    #[serde(default, deserialize_with = "page")]
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
    #[serde(deserialize_with = "needed")]
    pub id: String,
    /// Its name, which people change.
    #[serde(default, deserialize_with = "text_or_empty")]
    pub name: String,
    /// Whether it is archived.
    #[serde(default, deserialize_with = "flag")]
    pub is_archived: bool,
    /// Whether only its members see it.
    #[serde(default, deserialize_with = "flag")]
    pub is_private: bool,
    /// Whether the bot is a member.
    #[serde(default, deserialize_with = "flag")]
    pub is_member: bool,
    /// Names it had before.
    #[serde(default, deserialize_with = "texts")]
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
    #[serde(default, deserialize_with = "page")]
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
    #[serde(default, deserialize_with = "text_or_empty")]
    pub ts: String,
    /// The user that wrote it.
    #[serde(default, deserialize_with = "text")]
    pub user: Option<String>,
    /// The bot that wrote it.
    #[serde(default, deserialize_with = "text")]
    pub bot_id: Option<String>,
    /// The app that wrote it.
    #[serde(default, deserialize_with = "text")]
    pub app_id: Option<String>,
    /// Other apps put anything here: no more of it is decoded than ours has.
    #[serde(default, deserialize_with = "lax")]
    metadata: Option<Metadata>,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "text")]
    event_type: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    event_payload: Option<Payload>,
}

#[derive(Debug, Clone, Deserialize)]
struct Payload {
    #[serde(default, deserialize_with = "text")]
    delivery_id: Option<String>,
}

impl HistoryMessage {
    /// The delivery that the message belongs to, if it is one of this SDK's.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        if metadata.event_type.as_deref() != Some(super::Metadata::EVENT_TYPE) {
            return None;
        }
        metadata.event_payload.as_ref()?.delivery_id.as_deref()
    }
}
