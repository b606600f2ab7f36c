//! Block Kit: the blocks that cards are made of, and a check of every limit before anything is sent.

mod elements;
mod id;
mod limits;
mod table;
mod text;
mod validate;
mod view;

use serde::Serialize;

pub(crate) use self::id::{is_conversation, is_user};
pub(crate) use self::table::table_within;
pub(crate) use self::text::{is_blank, shorten_literal, visible};
pub use self::{
    elements::{Button, ButtonStyle, Confirm, TextInput},
    table::{Align, Cell, Column, table},
    text::{Markup, Text, escape, safe_url, shorten_escaped, units},
    validate::Violation,
    view::View,
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

    /// How many bytes of JSON they are.
    pub(crate) fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
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
    /// Something to write, whose answer comes with the next click on the message, or with the modal.
    Input {
        /// What the answer comes under. Other ids are Slack's.
        block_id: String,
        /// What is asked for. At most 2,000.
        label: Text,
        /// Where it is written.
        element: TextInput,
        /// Whether it may be left empty.
        optional: bool,
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
        Self::Header { text: Text::plain(text).shortened(limits::HEADER_MAX) }
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

    /// Small type, one text after the other.
    #[must_use]
    pub fn context(elements: Vec<Text>) -> Self {
        Self::Context { elements }
    }

    /// A line to write in. The label is cut at 2,000.
    #[must_use]
    pub fn input(block_id: impl Into<String>, label: &str, element: TextInput) -> Self {
        let label = Text::plain(label).shortened(limits::LABEL_MAX);
        Self::Input { block_id: block_id.into(), label, element, optional: false }
    }
}
