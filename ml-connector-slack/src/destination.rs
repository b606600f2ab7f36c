//! Where messages go, as routes say it.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use ml_connector_core::{Error, ErrorKind, Result, model::Destination};

use crate::{
    blocks::{is_conversation, is_user},
    models::MessageRef,
};

/// The longest channel name Slack allows.
const NAME_MAX: usize = 80;
/// The longest address that mail knows.
const EMAIL_MAX: usize = 254;

/// A channel: its id (`C07ACCTNG1`, the safest: it survives renaming), or its name with or without `#`.
///
/// Use one form for one channel throughout: order and pace are kept per destination, and `C07ACCTNG1` and
/// `accounting` are two.
///
/// ```
/// assert_eq!(ml_connector_slack::channel("#Accounting").as_str(), "channel:accounting");
/// assert_eq!(ml_connector_slack::channel("C07ACCTNG1").as_str(), "channel:C07ACCTNG1");
/// ```
#[must_use]
pub fn channel(id_or_name: &str) -> Destination {
    let text = id_or_name.trim();
    let text = text.strip_prefix('#').unwrap_or(text);
    let text = if is_conversation(text) { text.to_owned() } else { text.to_lowercase() };
    Destination::from(format!("channel:{text}"))
}

/// The bot's direct messages with a person, by user id (`U07APPROV1`).
#[must_use]
pub fn user(id: &str) -> Destination {
    Destination::from(format!("user:{}", id.trim()))
}

/// The bot's direct messages with a person, by email address.
#[must_use]
pub fn email(address: &str) -> Destination {
    Destination::from(format!("email:{}", address.trim().to_lowercase()))
}

/// The bot's direct messages with whoever the books hold responsible for the document,
/// [`Record::assignee`](ml_connector_core::model::Record), found by address. Where nobody is, or has no address, or none in the
/// workspace, or is a guest or deactivated, the message goes to `fallback`: a channel, a user or an address.
///
/// ```
/// use ml_connector_slack::{assignee, channel};
/// assert_eq!(assignee(&channel("approvals")).as_str(), "assignee:channel:approvals");
/// ```
#[must_use]
pub fn assignee(fallback: &Destination) -> Destination {
    Destination::from(format!("assignee:{fallback}"))
}

/// Replies to a message. The message has to be the first of its thread.
#[must_use]
pub fn thread(of: &MessageRef) -> Destination {
    Destination::from(format!("thread:{of}"))
}

/// A message of the bot's own, rewritten by every delivery.
#[must_use]
pub fn message(which: &MessageRef) -> Destination {
    Destination::from(format!("message:{which}"))
}

/// The person who clicked, where they clicked, and nobody else: for events whose record has an
/// [`Actor`](ml_connector_core::model::Actor) with a place, such as `answer.created`.
#[must_use]
pub fn clicker() -> Destination {
    Destination::from("clicker")
}

/// The channel that the connection was given for its admins: [`Builder::admin`](crate::Builder::admin).
#[must_use]
pub fn admin() -> Destination {
    Destination::from("admin")
}

/// A destination, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    Post(Target),
    Thread(MessageRef),
    Message(MessageRef),
    /// Whoever is responsible; else these.
    Assignee(Target),
    Clicker,
    Admin,
}

impl Goal {
    /// Reads what the functions above make.
    pub(crate) fn parse(destination: &Destination) -> Result<Self> {
        let text = destination.as_str();
        let goal = match text.split_once(':') {
            Some(("assignee", fallback)) => Target::parse(fallback).map(Self::Assignee),
            Some(("thread", message)) => message.parse().ok().map(Self::Thread),
            Some(("message", message)) => message.parse().ok().map(Self::Message),
            None if text == "clicker" => Some(Self::Clicker),
            None if text == "admin" => Some(Self::Admin),
            _ => Target::parse(text).map(Self::Post),
        };
        // An address is somebody's: what is no destination is not shown.
        goal.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "expected a destination made by slack::channel(id or name), user(id), email(address), \
                 assignee(fallback), thread(message), message(message), clicker() or admin()",
            )
            .with_context("destination", format!("{} bytes", text.len()))
        })
    }
}

/// Who is posted to. `Debug` shows no address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A conversation by id.
    Conversation(String),
    /// A channel by name, to be looked up.
    Named(String),
    /// A person by id.
    User(String),
    /// A person by address, to be looked up.
    Email(String),
    /// A person by address who may not be there, and who else is posted to then: never an assignee.
    Assignee { email: String, fallback: Box<Target> },
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("channel", id) if is_conversation(id) => Some(Self::Conversation(id.to_owned())),
            ("channel", name) if is_name(name) => Some(Self::Named(name.to_owned())),
            ("user", id) if is_user(id) => Some(Self::User(id.to_owned())),
            ("email", address) if is_email(address) => Some(Self::Email(address.to_owned())),
            _ => None,
        }
    }

    /// What its order and pace are kept by. Of an address a hash, because keys are logged.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Conversation(id) | Self::Named(id) => format!("channel:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Email(address) | Self::Assignee { email: address, .. } => {
                let mut hasher = DefaultHasher::new();
                address.hash(&mut hasher);
                format!("email:{:016x}", hasher.finish())
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

/// Slack's channel names: lower case, no spaces or punctuation but `-` and `_`; other scripts are allowed.
fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.chars().count())
        && text.chars().all(|c| matches!(c, '-' | '_') || c.is_alphanumeric() && !c.is_ascii_uppercase())
}

/// Enough to tell an address from a slip: Slack knows which exist.
pub(crate) fn is_email(text: &str) -> bool {
    let visible =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.len() <= EMAIL_MAX
        && text.rsplit_once('@').is_some_and(|(name, host)| visible(name) && visible(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_understood_or_refused() {
        let parse = |destination: Destination| Goal::parse(&destination).ok();
        let post = |target| Some(Goal::Post(target));
        assert_eq!(parse(channel("#accounting")), post(Target::Named("accounting".into())));
        assert_eq!(parse(channel(" Büro-2_x ")), post(Target::Named("büro-2_x".into())));
        assert_eq!(parse(channel("C07ACCTNG1")), post(Target::Conversation("C07ACCTNG1".into())));
        assert_eq!(parse(channel("c07acctng1")), post(Target::Named("c07acctng1".into())));
        assert_eq!(parse(user("U07APPROV1")), post(Target::User("U07APPROV1".into())));
        assert_eq!(parse(email(" Anna@X.Example ")), post(Target::Email("anna@x.example".into())));
        let first: MessageRef = "C07ACCTNG1/1767225605.000219".parse().unwrap();
        assert_eq!(parse(thread(&first)), Some(Goal::Thread(first.clone())));
        assert_eq!(parse(message(&first)), Some(Goal::Message(first)));
        assert_eq!(parse(clicker()), Some(Goal::Clicker));
        assert_eq!(parse(admin()), Some(Goal::Admin));
        let fallback = Goal::Assignee(Target::Named("accounting".into()));
        assert_eq!(parse(assignee(&channel("#accounting"))), Some(fallback));
        for wrong in [
            channel(""),
            channel("#"),
            channel("two words"),
            channel("<!here>"),
            channel(&"x".repeat(81)),
            user("C07ACCTNG1"),
            user("anna"),
            email("anna"),
            email("an na@x.example"),
            "thread:C07ACCTNG1".into(),
            "message:accounting/1767225605.000219".into(),
            "accounting".into(),
            "clicker:".into(),
            assignee(&clicker()),
            assignee(&assignee(&channel("accounting"))),
            "table:x".into(),
        ] {
            assert_eq!(parse(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn no_address_stands_in_a_key_or_an_error() {
        let Ok(Goal::Post(anna)) = Goal::parse(&email("anna@x.example")) else { panic!() };
        let Ok(Goal::Post(ben)) = Goal::parse(&email("ben@x.example")) else { panic!() };
        assert_ne!(anna.key(), ben.key());
        assert_eq!(Ok(Goal::Post(anna.clone())), Goal::parse(&email("ANNA@x.example")).map_err(|_| ()));
        let refused = Goal::parse(&email("anna at x.example")).unwrap_err();
        for text in [anna.key(), format!("{anna:?}"), format!("{refused:?}")] {
            assert!(!text.contains("x.example"), "{text}");
        }
    }
}
