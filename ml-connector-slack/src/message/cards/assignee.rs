//! Whoever is responsible for what a message shows.

use ml_connector_core::model::Person;

use super::{VALUE_MAX, value};
use crate::blocks::{Markup, Text};

/// Whoever the books hold responsible for what a message shows, [`Record::assignee`](ml_connector_core::model::Record), as
/// Slack knows them: found by address before the message is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assignee {
    /// The books name nobody.
    #[default]
    Nobody,
    /// The user with this id: `<@U07APPROV1>` notifies them.
    User(String),
    /// Somebody who cannot be mentioned.
    Unmentioned(Unmentioned),
}

/// Why somebody cannot be mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmentioned {
    /// The books have no address of theirs.
    NoAddress,
    /// Nobody in the workspace has their address.
    NotInWorkspace,
    /// Their account is deactivated, or a bot's.
    Deactivated,
    /// They are a guest, whom the books are no business of.
    Guest,
    /// Slack does not say who has an address: a scope is missing, or it did not answer.
    Unread,
}

impl Unmentioned {
    /// The reason, as it goes on after a name: `Lena Kaya is not mentioned: …`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoAddress => "the books have no e-mail address",
            Self::NotInWorkspace => "nobody in the workspace has the e-mail address",
            Self::Deactivated => "the account is deactivated",
            Self::Guest => "the account is a guest's",
            Self::Unread => "Slack does not say who has the e-mail address",
        }
    }
}

impl Assignee {
    /// A person of the books: mentioned if they are the one who was found, else by name.
    #[must_use]
    pub fn text(&self, person: &Person) -> Option<Text> {
        match self {
            Self::User(id) => {
                Some(Text::markup(Markup::new().user(id))).filter(|text| !text.as_str().is_empty())
            }
            Self::Nobody | Self::Unmentioned(_) => responsible(person).map(|name| Text::plain(&name)),
        }
    }

    /// Why nobody is mentioned, in words for people; `None` when somebody is, or nobody could be.
    #[must_use]
    pub fn hint(&self, person: &Person) -> Option<String> {
        let Self::Unmentioned(why) = self else { return None };
        let name = responsible(person).unwrap_or_else(|| "Whoever is responsible".to_owned());
        Some(format!("{name} is not mentioned: {}", why.words()))
    }
}

/// A person of the books, by name, else by address. Ids mean nothing to people.
pub(super) fn responsible(person: &Person) -> Option<String> {
    let name = person.name.as_deref().and_then(|name| value(name, VALUE_MAX));
    name.or_else(|| value(person.email.as_deref()?, VALUE_MAX))
}
