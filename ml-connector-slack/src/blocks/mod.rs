//! Block Kit: the blocks that cards are made of, and a check of every limit before anything is sent.

mod text;
mod validate;

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

pub(crate) use self::text::{shorten_literal, visible};
pub use self::{
    text::{Markup, Text, escape, safe_url, shorten_escaped, units},
    validate::Violation,
};

/// The blocks of one message, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Blocks(Vec<Block>);

impl Blocks {
    /// No blocks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a block.
    #[must_use]
    pub fn with(mut self, block: Block) -> Self {
        self.0.push(block);
        self
    }

    /// Adds a block.
    pub fn push(&mut self, block: Block) {
        self.0.push(block);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.0.iter()
    }

    /// Checks every documented limit, so that a message Slack would refuse is never sent.
    ///
    /// # Errors
    /// Everything that is wrong, in order.
    pub fn validate(&self) -> Result<(), Vec<Violation>> {
        validate::validate(&self.0)
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// Large type. Plain text of at most 150.
    Header {
        /// What it says.
        text: Text,
    },
    /// Text, or fields in two columns, or both.
    Section {
        /// At most 3,000.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
        /// At most 10, each at most 2,000.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<Text>,
    },
    /// Small type.
    Context {
        /// 1 to 10.
        elements: Vec<Text>,
    },
    /// A line.
    Divider {},
    /// Buttons.
    Actions {
        /// 1 to 25.
        elements: Vec<Button>,
    },
    /// A table; at most one in a message.
    Table {
        /// 1 to 100, each of 1 to 20 cells.
        rows: Vec<Vec<Cell>>,
        /// At most 20.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        column_settings: Vec<Column>,
    },
}

impl Block {
    /// Large type.
    #[must_use]
    pub fn header(text: &str) -> Self {
        Self::Header { text: Text::plain(text).shortened(validate::HEADER_MAX) }
    }

    /// A paragraph.
    #[must_use]
    pub fn section(text: Text) -> Self {
        Self::Section { text: Some(text), fields: Vec::new() }
    }

    /// Fields in two columns.
    #[must_use]
    pub fn fields(fields: Vec<Text>) -> Self {
        Self::Section { text: None, fields }
    }
}

/// A button. `Debug` shows the action only.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "button")]
pub struct Button {
    text: Text,
    action_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<ButtonStyle>,
}

impl Button {
    /// A button that sends its action. The label is cut at 75.
    #[must_use]
    pub fn new(action_id: impl Into<String>, label: &str) -> Self {
        let text = Text::plain(label).shortened(validate::BUTTON_TEXT_MAX);
        Self { text, action_id: action_id.into(), url: None, value: None, style: None }
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

/// A cell of a table: literal text, in which nothing needs escaping. `Debug` shows the size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Cell(String);

impl Cell {
    /// A cell cut at `limit`; a space where there is nothing to show, because Slack refuses empty cells.
    #[must_use]
    pub fn new(text: &str, limit: usize) -> Self {
        let text: String = visible(text).collect();
        if text.trim().is_empty() {
            return Self(" ".to_owned());
        }
        Self(shorten_literal(&text, limit))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("Cell", 2)?;
        object.serialize_field("type", "raw_text")?;
        object.serialize_field("text", &self.0)?;
        object.end()
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({} units)", units(&self.0))
    }
}

/// How a column of a table is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// To which side.
    pub align: Align,
    /// Whether long text goes on in the next line.
    pub is_wrapped: bool,
}

/// To which side text is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Text.
    #[default]
    Left,
    /// Marks.
    Center,
    /// Numbers.
    Right,
}
