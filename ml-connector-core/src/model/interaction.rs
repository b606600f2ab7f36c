//! What people did, and what they are told.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Actor, Approval, Change, DocumentRef, PrivateAnswer, Record, Timestamp};

/// Something a person did, is asked for, or is told. No vendor's record: it is told once, and its change is part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Interaction {
    /// A click, or another input of a person, on a message.
    Action(Action),
    /// An emoji that somebody put on a message, or took away.
    Reaction(Reaction),
    /// A decision about a document: asked for, given, carried out.
    Approval(Approval),
    /// What somebody who clicked or wrote is to be told.
    Answer(PrivateAnswer),
}

impl Interaction {
    /// The kind of the entities of actions.
    pub const ACTION: &'static str = "action";
    /// The kind of the entities of reactions.
    pub const REACTION: &'static str = "reaction";
    /// The kind of the entities of approvals.
    pub const APPROVAL: &'static str = "approval";
    /// The kind of the entities of answers.
    pub const ANSWER: &'static str = "answer";
    /// All kinds of entities that people's doings have.
    pub(crate) const KINDS: [&'static str; 4] = [Self::ACTION, Self::REACTION, Self::APPROVAL, Self::ANSWER];

    /// The kind of its entity, which begins the type of its events: `action`, `reaction`, `approval` or `answer`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Action(_) => Self::ACTION,
            Self::Reaction(_) => Self::REACTION,
            Self::Approval(_) => Self::APPROVAL,
            Self::Answer(_) => Self::ANSWER,
        }
    }

    /// The change that it tells.
    #[must_use]
    pub fn change(&self) -> Change {
        match self {
            Self::Reaction(Reaction { added: false, .. }) => Change::Deleted,
            Self::Action(_) | Self::Reaction(_) | Self::Answer(_) => Change::Created,
            Self::Approval(approval) => approval.status.change(),
        }
    }

    /// The document it is about, where that is known. Of an action or a reaction, what its message told: a document, or
    /// an approval.
    #[must_use]
    pub fn about(&self) -> Option<&DocumentRef> {
        match self {
            Self::Action(action) => action.about.as_ref(),
            Self::Reaction(reaction) => Some(&reaction.about),
            Self::Approval(approval) => Some(&approval.document),
            Self::Answer(answer) => answer.about.as_ref(),
        }
    }

    /// Who did it; of an approval, who decided; of an answer, who is told.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Action(action) => Some(&action.actor),
            Self::Reaction(reaction) => Some(&reaction.actor),
            Self::Approval(approval) => approval.decision.as_ref().map(|decision| &decision.actor),
            Self::Answer(answer) => Some(&answer.to),
        }
    }

    /// The document as an approval shows it.
    #[must_use]
    pub fn document(&self) -> Option<&Record> {
        match self {
            Self::Approval(approval) => Some(&approval.shown),
            _ => None,
        }
    }

    /// The approval, where it is one.
    #[must_use]
    pub fn approval(&self) -> Option<&Approval> {
        match self {
            Self::Approval(approval) => Some(approval),
            _ => None,
        }
    }
}

/// A click, or another input of a person, on a message. `Debug` shows no text that a person wrote.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Action {
    /// Which button or input, as its message named it.
    pub action_id: Arc<str>,
    /// What the button carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the person wrote. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who.
    pub actor: Actor,
    /// What the message told, by its receipt; `None` = the log does not know the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<DocumentRef>,
    /// When it was received.
    pub at: Timestamp,
}

impl Action {
    /// An input of a person.
    pub fn new(action_id: impl Into<Arc<str>>, actor: Actor, at: Timestamp) -> Self {
        Self { action_id: action_id.into(), value: None, text: None, actor, about: None, at }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action_id, actor, about, at, .. } = self;
        f.debug_struct("Action")
            .field("action_id", action_id)
            .field("actor", actor)
            .field("about", about)
            .field("at", at)
            .finish_non_exhaustive()
    }
}

/// An emoji that somebody put on a message of the connector, or took away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reaction {
    /// The emoji's name, without skin tone: `+1`.
    pub emoji: Arc<str>,
    /// Whether it was put there; `false` = taken away.
    pub added: bool,
    /// Who.
    pub actor: Actor,
    /// What the message told when it was looked at.
    pub about: DocumentRef,
    /// When it was received.
    pub at: Timestamp,
}

impl Reaction {
    /// A reaction that was put on a message. The skin tone is left out.
    #[must_use]
    pub fn new(emoji: &str, actor: Actor, about: DocumentRef, at: Timestamp) -> Self {
        Self { emoji: emoji_name(emoji).into(), added: true, actor, about, at }
    }
}

/// The name of an emoji without colons and skin tone: `+1` for `:+1::skin-tone-3:`.
pub(crate) fn emoji_name(emoji: &str) -> &str {
    let emoji = emoji.trim().trim_start_matches(':');
    emoji.split("::").next().unwrap_or(emoji).trim_end_matches(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_has_one_name_for_every_skin() {
        for emoji in ["+1", ":+1:", "+1::skin-tone-3", ":+1::skin-tone-6:", " +1 "] {
            assert_eq!(emoji_name(emoji), "+1", "{emoji}");
        }
        assert_eq!(emoji_name(""), "");
    }

    #[test]
    fn what_people_write_is_not_shown() {
        let mut action = Action::new("a", Actor::new("slack", "U1"), Timestamp::default());
        action.text = Some("planted".into());
        action.value = Some("planted".into());
        assert!(!format!("{:?}", Interaction::Action(action)).contains("planted"));
    }
}
