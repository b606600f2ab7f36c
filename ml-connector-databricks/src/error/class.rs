//! How Databricks names what went wrong with a statement: two grammars, and a state.

use crate::models::Status;

/// What a failed statement says, without its text: that quotes SQL, and may quote data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The error's class, such as `DELTA_CONCURRENT_APPEND.WITHOUT_HINT`.
    pub(crate) class: Option<String>,
    /// Five characters of the SQL standard.
    pub(crate) sql_state: Option<String>,
    /// The API's coarse word.
    pub(crate) code: Option<String>,
    /// What `PERMISSION_DENIED` and the like say in words only.
    pub(crate) denied: bool,
    /// The limit that was reached, where the text has one.
    pub(crate) limit: Option<String>,
}

impl Said {
    pub(crate) fn of(status: &Status) -> Self {
        let error = status.error.as_ref();
        let message = error.and_then(|error| error.message.as_deref()).unwrap_or_default();
        let state = status
            .sql_state
            .as_deref()
            .or(error.and_then(|error| error.sql_state.as_deref()))
            .or_else(|| message.split_once("SQLSTATE:").map(|(_, after)| after.trim_start()))
            .and_then(|text| text.get(..5))
            .filter(|state| state.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        Self {
            class: class_of(message).map(str::to_owned),
            sql_state: state.map(str::to_owned),
            code: error.and_then(|error| error.error_code.clone()).filter(|code| is_class(code)),
            limit: message.split_once("limit: ").and_then(|(_, after)| {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                (!digits.is_empty()).then_some(digits)
            }),
            denied: [
                "PERMISSION_DENIED",
                "INSUFFICIENT_PERMISSIONS",
                "does not have permission",
                "User does not have",
            ]
            .iter()
            .any(|wording| message.contains(wording)),
        }
    }

    /// Whether the class is this one, or one below it.
    pub(crate) fn is(&self, class: &str) -> bool {
        self.class.as_deref().is_some_and(|own| {
            own.strip_prefix(class).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// `[CLASS.SUB] …`, or `[RequestId=… ErrorClass=CLASS.SUB] …`.
fn class_of(message: &str) -> Option<&str> {
    let (head, _) = message.trim_start().strip_prefix('[')?.split_once(']')?;
    let class = match head.split_once("ErrorClass=") {
        Some((_, class)) => class.split_whitespace().next()?,
        None => head,
    };
    Some(class).filter(|class| is_class(class))
}

fn is_class(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}
