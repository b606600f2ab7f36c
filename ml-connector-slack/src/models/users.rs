use std::fmt;

use serde::Deserialize;

use super::or_default;

/// A person, or a bot. `Debug` shows the id only.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Its id.
    pub id: String,
    /// The workspace it belongs to; another one's for guests of shared channels.
    #[serde(default)]
    pub team_id: Option<String>,
    /// Whether it was deactivated.
    #[serde(default, deserialize_with = "or_default")]
    pub deleted: bool,
    /// Whether it is a bot.
    #[serde(default, deserialize_with = "or_default")]
    pub is_bot: bool,
    /// The full name. Untrusted text.
    #[serde(default)]
    pub real_name: Option<String>,
    /// What else is known.
    #[serde(default, deserialize_with = "or_default")]
    pub profile: Profile,
}

impl User {
    /// Whether somebody reads what is sent there.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.deleted && !self.is_bot
    }

    /// The name people see. Untrusted text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let names = [&self.profile.display_name, &self.profile.real_name, &self.real_name];
        names.into_iter().flatten().map(String::as_str).find(|name| !name.trim().is_empty())
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a person says of themselves. `Debug` shows nothing of it.
#[derive(Clone, Default, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The address; only with the scope `users:read.email`.
    #[serde(default)]
    pub email: Option<String>,
    /// The short name. Untrusted text.
    #[serde(default)]
    pub display_name: Option<String>,
    /// The full name. Untrusted text.
    #[serde(default)]
    pub real_name: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

/// An emoji on a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Reaction {
    /// Its name without colons; `::skin-tone-3` may follow.
    pub name: String,
    /// Who put it there; Slack may leave some out.
    #[serde(default, deserialize_with = "or_default")]
    pub users: Vec<String>,
    /// How many did.
    #[serde(default, deserialize_with = "or_default")]
    pub count: u32,
}

/// A modal that is open.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ViewRef {
    /// Its id.
    pub id: String,
    /// Which of its states is meant.
    #[serde(default, deserialize_with = "or_default")]
    pub hash: String,
}
