//! Where messages go.

use ml_connector_core::{Error, ErrorKind, Result, model::Destination};

/// The longest channel name Slack allows.
const NAME_MAX: usize = 80;

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
    let text = if is_id(text, "CGD", 8) { text.to_owned() } else { text.to_lowercase() };
    Destination::from(format!("channel:{text}"))
}

/// The bot's direct messages with a person, by user id (`U07APPROV1`).
#[must_use]
pub fn user(id: &str) -> Destination {
    Destination::from(format!("user:{}", id.trim()))
}

/// A destination, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A conversation by id.
    Conversation(String),
    /// A channel by name, to be looked up.
    Named(String),
    /// A person by id.
    User(String),
}

impl Target {
    /// Reads what [`channel`] and [`user`] make.
    pub(crate) fn parse(destination: &Destination) -> Result<Self> {
        match destination.as_str().split_once(':') {
            Some(("channel", id)) if is_id(id, "CGD", 8) => Ok(Self::Conversation(id.to_owned())),
            Some(("channel", name)) if is_name(name) => Ok(Self::Named(name.to_owned())),
            Some(("user", id)) if is_id(id, "UW", 2) => Ok(Self::User(id.to_owned())),
            _ => Err(Error::new(
                ErrorKind::InvalidRequest,
                "expected a destination made by slack::channel(id or name) or slack::user(id)",
            )
            .with_context(
                "destination",
                destination.as_str().chars().take(120).collect::<String>().escape_debug(),
            )),
        }
    }
}

/// Slack's ids: a letter that says what it is, then capitals and digits.
fn is_id(text: &str, kinds: &str, min: usize) -> bool {
    let mut chars = text.chars();
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    chars.next().is_some_and(|kind| kinds.contains(kind))
        && text.len() > min
        && text.len() <= NAME_MAX
        && chars.all(fits)
}

/// Slack's channel names: lower case, no spaces or punctuation but `-` and `_`; other scripts are allowed.
fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.chars().count())
        && text.chars().all(|c| matches!(c, '-' | '_') || c.is_alphanumeric() && !c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_understood_or_refused() {
        let parse = |destination: Destination| Target::parse(&destination).ok();
        assert_eq!(parse(channel("#accounting")), Some(Target::Named("accounting".into())));
        assert_eq!(parse(channel(" Büro-2_x ")), Some(Target::Named("büro-2_x".into())));
        assert_eq!(parse(channel("C07ACCTNG1")), Some(Target::Conversation("C07ACCTNG1".into())));
        assert_eq!(parse(channel("c07acctng1")), Some(Target::Named("c07acctng1".into())));
        assert_eq!(parse(user("U07APPROV1")), Some(Target::User("U07APPROV1".into())));
        for wrong in [
            channel(""),
            channel("#"),
            channel("two words"),
            channel("<!here>"),
            channel(&"x".repeat(81)),
            user("C07ACCTNG1"),
            user("anna"),
            "accounting".into(),
            "table:x".into(),
        ] {
            assert_eq!(parse(wrong.clone()), None, "{wrong}");
        }
    }
}
