//! What ids look like.

/// The longest id that is taken for one.
const ID_MAX: usize = 80;

/// Whether a text is the id of a conversation.
pub(crate) fn is_conversation(text: &str) -> bool {
    is_id(text, "CGD", 8)
}

/// Whether a text is the id of a person.
pub(crate) fn is_user(text: &str) -> bool {
    is_id(text, "UW", 2)
}

/// Slack's ids: a letter that says what it is, then capitals and digits.
fn is_id(text: &str, kinds: &str, min: usize) -> bool {
    let mut chars = text.chars();
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    chars.next().is_some_and(|kind| kinds.contains(kind))
        && text.len() > min
        && text.len() <= ID_MAX
        && chars.all(fits)
}
