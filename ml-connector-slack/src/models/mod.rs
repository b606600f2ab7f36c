//! What Slack's methods take and answer: the fields this crate uses. Unknown fields are ignored.

mod auth;
mod chat;
mod conversations;
mod lenient;
mod users;

pub use auth::AuthTest;
pub use chat::MessageRef;
pub(crate) use chat::{EphemeralMessage, Metadata, PostMessage, Posted, UpdateMessage};
pub use conversations::{Channel, ChannelPage, HistoryMessage, HistoryPage, HistoryQuery};
pub(crate) use lenient::{flag, lax, lax_list, needed, or_default, page, text, text_or_empty, texts};
pub use users::{EnterpriseUser, Profile, Reaction, User, ViewRef};

use serde::{Deserialize, Deserializer};

/// Where the next page begins; Slack ends a list with an empty, null or missing cursor.
#[derive(Debug, Default, Deserialize)]
struct ResponseMetadata {
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Reads the cursor out of `response_metadata`. An odd one is an error: a list that seems to end proves that nothing more is
/// there.
fn next_cursor<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let metadata = Option::<ResponseMetadata>::deserialize(from)?.unwrap_or_default();
    Ok(metadata.next_cursor.filter(|cursor| !cursor.is_empty()))
}
