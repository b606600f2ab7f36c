use std::fmt;

use serde::Deserialize;

use super::{flag, lax, needed, or_default, text, text_or_empty, texts};

/// A person, or a bot. `Debug` shows the id only.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Its id.
    #[serde(deserialize_with = "needed")]
    pub id: String,
    /// The workspace it belongs to; another one's for guests of shared channels.
    #[serde(default, deserialize_with = "text")]
    pub team_id: Option<String>,
    /// Whether it was deactivated.
    #[serde(default, deserialize_with = "flag")]
    pub deleted: bool,
    /// Whether it is a bot.
    #[serde(default, deserialize_with = "flag")]
    pub is_bot: bool,
    /// Whether it is a guest of some channels.
    #[serde(default, deserialize_with = "flag")]
    pub is_restricted: bool,
    /// Whether it is a guest of one channel.
    #[serde(default, deserialize_with = "flag")]
    pub is_ultra_restricted: bool,
    /// Their place in an organization that has several workspaces.
    #[serde(default, deserialize_with = "lax")]
    pub enterprise_user: Option<EnterpriseUser>,
    /// The full name. Untrusted text.
    #[serde(default, deserialize_with = "text")]
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

    /// Whether the person is a guest of the workspace.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.is_restricted || self.is_ultra_restricted
    }

    /// Whether the person belongs to a workspace (`T…`), or to an organization (`E…`), and is no guest from another one.
    #[must_use]
    pub fn is_of(&self, team: &str) -> bool {
        let of = self.enterprise_user.iter().flat_map(|user| user.enterprise_id.iter().chain(&user.teams));
        self.team_id.iter().chain(of).any(|home| home == team)
    }

    /// All names the person goes by, each once, the full one first. Untrusted text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let Profile { real_name, real_name_normalized, display_name, display_name_normalized, .. } =
            &self.profile;
        let names = [real_name, &self.real_name, real_name_normalized, display_name, display_name_normalized];
        let names = names.map(|name| name.as_deref().unwrap_or_default().trim());
        let is_new = move |(i, name): &(usize, &str)| !name.is_empty() && !names[..*i].contains(name);
        names.into_iter().enumerate().filter(is_new).map(|(_, name)| name)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Somebody's place in an organization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EnterpriseUser {
    /// The organization.
    #[serde(default, deserialize_with = "text")]
    pub enterprise_id: Option<String>,
    /// The workspaces of it that the person belongs to.
    #[serde(default, deserialize_with = "texts")]
    pub teams: Vec<String>,
}

/// What a person says of themselves. `Debug` shows nothing of it.
#[derive(Clone, Default, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The address; only with the scope `users:read.email`.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// The short name. Untrusted text.
    #[serde(default, deserialize_with = "text")]
    pub display_name: Option<String>,
    /// The short name in plain letters. Untrusted text.
    #[serde(default, deserialize_with = "text")]
    pub display_name_normalized: Option<String>,
    /// The full name. Untrusted text.
    #[serde(default, deserialize_with = "text")]
    pub real_name: Option<String>,
    /// The full name in plain letters. Untrusted text.
    #[serde(default, deserialize_with = "text")]
    pub real_name_normalized: Option<String>,
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
    #[serde(deserialize_with = "needed")]
    pub name: String,
    /// Who put it there; Slack may leave some out.
    #[serde(default, deserialize_with = "texts")]
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
    #[serde(deserialize_with = "needed")]
    pub id: String,
    /// Which of its states is meant.
    #[serde(default, deserialize_with = "text_or_empty")]
    pub hash: String,
}
