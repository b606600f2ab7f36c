//! What blocks hold besides text: buttons and lines to write in.

use std::fmt;

use serde::Serialize;

use super::{Text, limits};

/// A button. `Debug` shows the action only.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "button")]
pub struct Button {
    pub(super) text: Text,
    pub(super) action_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<ButtonStyle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm: Option<Confirm>,
}

impl Button {
    /// A button that sends its action. The label is cut at 75.
    #[must_use]
    pub fn new(action_id: impl Into<String>, label: &str) -> Self {
        let text = Text::plain(label).shortened(limits::BUTTON_TEXT_MAX);
        Self { text, action_id: action_id.into(), url: None, value: None, style: None, confirm: None }
    }

    /// Opens an https URL. Slack sends the action nevertheless.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// What comes back with the action.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// What is asked before the action is sent.
    #[must_use]
    pub fn with_confirm(mut self, confirm: Confirm) -> Self {
        self.confirm = Some(confirm);
        self
    }

    /// How it looks.
    #[must_use]
    pub fn with_style(mut self, style: ButtonStyle) -> Self {
        self.style = Some(style);
        self
    }
}

impl fmt::Debug for Button {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Button").field("action_id", &self.action_id).finish_non_exhaustive()
    }
}

/// How a button looks, if not neutral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonStyle {
    /// The main thing to do.
    Primary,
    /// Something that cannot be undone.
    Danger,
}

/// A question before an action is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirm {
    pub(super) title: Text,
    pub(super) text: Text,
    pub(super) confirm: Text,
    pub(super) deny: Text,
}

impl Confirm {
    /// A title (cut at 100), a text (cut at 300), and what the two answers are called (cut at 30).
    #[must_use]
    pub fn new(title: &str, text: &str, confirm: &str, deny: &str) -> Self {
        Self {
            title: Text::plain(title).shortened(limits::CONFIRM_TITLE_MAX),
            text: Text::plain(text).shortened(limits::CONFIRM_TEXT_MAX),
            confirm: Text::plain(confirm).shortened(limits::CONFIRM_ANSWER_MAX),
            deny: Text::plain(deny).shortened(limits::CONFIRM_ANSWER_MAX),
        }
    }
}

/// A line to write in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "plain_text_input")]
pub struct TextInput {
    pub(super) action_id: String,
    multiline: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placeholder: Option<Text>,
}

impl TextInput {
    /// One line of any length that Slack takes.
    #[must_use]
    pub fn new(action_id: impl Into<String>) -> Self {
        Self {
            action_id: action_id.into(),
            multiline: false,
            min_length: None,
            max_length: None,
            placeholder: None,
        }
    }

    /// Several lines.
    #[must_use]
    pub fn multiline(mut self) -> Self {
        self.multiline = true;
        self
    }

    /// How much has to be written at least, and at most: 0 and 1 to 3,000.
    #[must_use]
    pub fn with_length(mut self, min: usize, max: usize) -> Self {
        (self.min_length, self.max_length) = (Some(min), Some(max));
        self
    }

    /// What stands there before anything is written. Cut at 150.
    #[must_use]
    pub fn with_placeholder(mut self, text: &str) -> Self {
        self.placeholder = Some(Text::plain(text).shortened(limits::PLACEHOLDER_MAX));
        self
    }
}
