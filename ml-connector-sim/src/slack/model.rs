//! What a workspace consists of, as a test sees it.

use ml_connector_core::Timestamp;
use serde_json::Value;

/// A channel, or a direct conversation with the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// Its name, without `#`.
    pub name: String,
    /// The names it had before, oldest first. Nobody finds it by them.
    pub previous_names: Vec<String>,
    /// Whether only members see it.
    pub is_private: bool,
    /// Whether it is closed.
    pub is_archived: bool,
    /// Whether the bot is in it.
    pub bot_is_member: bool,
    /// The people in it; `None` is everybody.
    pub members: Option<Vec<String>>,
    /// The other people of a direct conversation, with commas between them.
    pub with_user: Option<String>,
}

impl Channel {
    /// A public channel with the bot and everybody in it.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            previous_names: Vec::new(),
            is_private: false,
            is_archived: false,
            bot_is_member: true,
            members: None,
            with_user: None,
        }
    }

    /// Private.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.is_archived = true;
        self
    }

    /// Without the bot.
    #[must_use]
    pub fn without_bot(mut self) -> Self {
        self.bot_is_member = false;
        self
    }

    /// With only these people.
    #[must_use]
    pub fn with_members(mut self, users: &[&str]) -> Self {
        self.members = Some(users.iter().map(|user| (*user).to_owned()).collect());
        self
    }

    /// Whether a person is in it.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.iter().any(|member| member == user))
    }

    /// What `conversations.list` calls its kind.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.with_user, self.is_private) {
            (Some(users), _) if users.contains(',') => "mpim",
            (Some(_), _) => "im",
            (None, true) => "private_channel",
            (None, false) => "public_channel",
        }
    }

    /// Which scopes open it: `channels:<access>`, `groups:<access>`, `im:<access>` or `mpim:<access>`.
    pub(super) fn scope(&self, access: &str) -> String {
        let family = match (&self.with_user, self.is_private) {
            (Some(users), _) if users.contains(',') => "mpim",
            (Some(_), _) => "im",
            (None, true) => "groups",
            (None, false) => "channels",
        };
        format!("{family}:{access}")
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The id.
    pub id: String,
    /// The full name.
    pub real_name: String,
    /// The address.
    pub email: String,
    /// Whether the account was deactivated.
    pub deleted: bool,
    /// Whether it is a guest of some channels.
    pub guest: bool,
}

impl User {
    /// A person with an active account.
    #[must_use]
    pub fn new(id: &str, real_name: &str, email: &str) -> Self {
        let (id, real_name, email) = (id.to_owned(), real_name.to_owned(), email.to_owned());
        Self { id, real_name, email, deleted: false, guest: false }
    }

    /// Deactivated.
    #[must_use]
    pub fn deactivated(mut self) -> Self {
        self.deleted = true;
        self
    }

    /// A guest of some channels.
    #[must_use]
    pub fn guest(mut self) -> Self {
        self.guest = true;
        self
    }

    /// What people are called here is not what stands in the books.
    pub(super) fn display_name(&self) -> &str {
        self.real_name.split(' ').next().unwrap_or_default()
    }

    pub(super) fn handle(&self) -> &str {
        self.email.split('@').next().unwrap_or_default()
    }
}

/// A user group, such as `@approvers`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserGroup {
    /// Its id.
    pub id: String,
    /// What follows the `@`.
    pub handle: String,
    /// Who is in it.
    pub users: Vec<String>,
    /// Whether it was switched off.
    pub disabled: bool,
}

impl UserGroup {
    /// A group that is in use.
    #[must_use]
    pub fn new(id: &str, handle: &str, users: &[&str]) -> Self {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        Self { id: id.to_owned(), handle: handle.to_owned(), users, disabled: false }
    }
}

/// A message as it stands in a channel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Posted {
    /// The channel's id.
    pub channel: String,
    /// Its id within the channel.
    pub ts: String,
    /// The parent's `ts`, for a reply.
    pub thread_ts: Option<String>,
    /// Who wrote it: a user id.
    pub user: String,
    /// The text, escaped as it was sent.
    pub text: String,
    /// The blocks, or null.
    pub blocks: Value,
    /// The metadata, or null.
    pub metadata: Value,
    /// The client's message id.
    pub client_msg_id: Option<String>,
    /// Who reacted with what.
    pub reactions: Vec<Reaction>,
    /// How often it was changed.
    pub edits: u32,
    /// When it was posted.
    pub at: Timestamp,
}

impl Posted {
    /// The `delivery_id` in its metadata.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        self.metadata["event_payload"]["delivery_id"].as_str()
    }
}

/// What a message looked like before it was changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Revision {
    /// When it ended.
    pub until: Timestamp,
    /// The text.
    pub text: String,
    /// The blocks, or null.
    pub blocks: Value,
}

/// An emoji under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaction {
    /// Its name without colons.
    pub name: String,
    /// Who added it, in order.
    pub users: Vec<String>,
}

/// A message that only one person sees.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ephemeral {
    /// The channel it stands in.
    pub channel: String,
    /// Who sees it.
    pub user: String,
    /// What tells it from others; not the id of a message.
    pub ts: String,
    /// The thread it stands in.
    pub thread_ts: Option<String>,
    /// The text, escaped as it was sent.
    pub text: String,
    /// The blocks, or null.
    pub blocks: Value,
    /// When it came.
    pub at: Timestamp,
}
