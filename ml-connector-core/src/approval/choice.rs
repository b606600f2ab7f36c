//! What a button carries.

use std::{fmt, sync::Arc};

use crate::model::RequestId;

/// Leads the text form, so that values of other buttons are not taken for choices.
const PREFIX: &str = "approval";

/// The value of a button, or of another control: which request it decides. Nothing in it is believed except which
/// approval to look up. Whether that request is still open is checked there.
///
/// ```
/// use ml_connector_core::approval::Choice;
///
/// let choice = Choice::new("5d1c0f7e3a604c1e9a532f6f0f3f7a10", "2-c81e728d");
/// assert_eq!(choice.to_value(), "approval:5d1c0f7e3a604c1e9a532f6f0f3f7a10:2-c81e728d");
/// assert_eq!(Choice::parse(&choice.to_value()), Some(choice));
/// assert_eq!(Choice::parse("open:invoice"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The approval's id: the id of its entity.
    pub approval: Arc<str>,
    /// The request's id, new for each card: [`Approval::request`](crate::model::Approval::request).
    pub request: RequestId,
}

impl Choice {
    /// The action id of the button that approves.
    pub const APPROVE: &'static str = "approval.approve";
    /// The action id of the button that rejects.
    pub const REJECT: &'static str = "approval.reject";
    /// The action id of the button that has the books try again.
    pub const RETRY: &'static str = "approval.retry";
    /// The id of the input in which a reason is written.
    pub const REASON: &'static str = "approval.reason";
    /// The longest text that is read: the ids are ours, and short.
    const MAX: usize = 255;

    /// A choice about a request.
    pub fn new(approval: impl Into<Arc<str>>, request: impl Into<RequestId>) -> Self {
        Self { approval: approval.into(), request: request.into() }
    }

    /// The text form, at most 255 characters long.
    #[must_use]
    pub fn to_value(&self) -> String {
        self.to_string()
    }

    /// Reads the text form; `None` for any other text.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let fits =
            |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let mut parts = value.split(':');
        let choice = match (parts.next()?, parts.next().filter(fits)?, parts.next().filter(fits)?) {
            (PREFIX, approval, request) => Self::new(approval, request),
            _ => return None,
        };
        (parts.next().is_none() && value.len() <= Self::MAX).then_some(choice)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}:{}:{}", self.approval, self.request)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_a_choice_wrote_is_read() {
        for other in [
            "",
            "approval",
            "approval:",
            "approval:a",
            "approval:a:",
            "approval::1",
            "approval:a:1:",
            "approval:a:1:2",
            "approvals:a:1",
            "Approval:a:1",
            "approval:a/b:1",
            "approval:ä:1",
            "approval: a:1",
            &format!("approval:{}:1", "a".repeat(255)),
        ] {
            assert_eq!(Choice::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_choice_survives_its_text(approval in "[0-9a-f]{32}", request in "[0-9]{1,9}") {
            let choice = Choice::new(approval, request);
            prop_assert_eq!(Choice::parse(&choice.to_value()), Some(choice));
        }

        #[test]
        fn no_text_panics(text in "(approval:)?\\PC{0,40}") {
            let _ = Choice::parse(&text);
        }
    }
}
