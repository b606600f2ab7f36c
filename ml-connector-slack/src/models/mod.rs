//! What Slack's methods take and answer: the fields this crate uses. Unknown fields are ignored.

mod auth;
mod chat;
mod conversations;
mod users;

pub use auth::AuthTest;
pub use chat::MessageRef;
pub(crate) use chat::{EphemeralMessage, Metadata, PostMessage, Posted, UpdateMessage};
pub use conversations::{Channel, ChannelPage, HistoryMessage, HistoryPage, HistoryQuery};
pub use users::{EnterpriseUser, Profile, Reaction, User, ViewRef};

use serde::{Deserialize, Deserializer};

/// Where the next page begins; Slack ends a list with an empty, null or missing cursor.
#[derive(Debug, Default, Deserialize)]
struct ResponseMetadata {
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Reads the cursor out of `response_metadata`.
fn next_cursor<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let metadata = Option::<ResponseMetadata>::deserialize(from)?.unwrap_or_default();
    Ok(metadata.next_cursor.filter(|cursor| !cursor.is_empty()))
}

/// Slack says that absent and null are the same.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
