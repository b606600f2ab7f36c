//! What a method answers when it does not do what it is asked.

use serde_json::{Value, json};

/// What a method answers: its fields, or why not.
pub(super) type Outcome = Result<Value, Refusal>;

/// `{"ok":false,"error":…}` with what comes along.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Value);

impl Refusal {
    pub(super) fn with_messages(error: &str, messages: &[String]) -> Self {
        let shown: Vec<String> = messages.iter().map(|message| format!("[ERROR] {message}")).collect();
        Self(json!({ "error": error, "errors": messages, "response_metadata": { "messages": shown } }))
    }

    pub(super) fn missing_argument(name: &str) -> Self {
        Self(json!({
            "error": "invalid_arguments",
            "response_metadata": { "messages": [format!("[ERROR] missing required field: {name}")] },
        }))
    }

    pub(super) fn missing_scope(needed: &str, granted: &[String]) -> Self {
        let provided = granted.join(",");
        Self(json!({ "error": "missing_scope", "needed": needed, "provided": provided }))
    }
}

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self(json!({ "error": error }))
    }
}
