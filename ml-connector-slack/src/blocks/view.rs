//! Modals.

use serde::Serialize;

use super::{Blocks, Text, limits};

/// A modal: blocks, and the buttons below them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "modal")]
pub struct View {
    pub(super) title: Text,
    pub(super) blocks: Blocks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) submit: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) close: Option<Text>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) private_metadata: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) callback_id: String,
    notify_on_close: bool,
}

impl View {
    /// A modal with a title, cut at 24.
    #[must_use]
    pub fn new(title: &str, blocks: Blocks) -> Self {
        Self {
            title: Text::plain(title).shortened(limits::VIEW_LABEL_MAX),
            blocks,
            submit: None,
            close: None,
            private_metadata: String::new(),
            callback_id: String::new(),
            notify_on_close: false,
        }
    }

    /// A button that sends what was written; it has to be there when there is something to write. Cut at 24.
    #[must_use]
    pub fn with_submit(mut self, label: &str) -> Self {
        self.submit = Some(Text::plain(label).shortened(limits::VIEW_LABEL_MAX));
        self
    }

    /// What the button that closes is called. Cut at 24.
    #[must_use]
    pub fn with_close(mut self, label: &str) -> Self {
        self.close = Some(Text::plain(label).shortened(limits::VIEW_LABEL_MAX));
        self
    }

    /// What comes back with the submission under `callback_id`: a modal knows of no message. At most 3,000 and 255.
    #[must_use]
    pub fn with_callback(
        mut self,
        callback_id: impl Into<String>,
        private_metadata: impl Into<String>,
    ) -> Self {
        (self.callback_id, self.private_metadata) = (callback_id.into(), private_metadata.into());
        self
    }
}
