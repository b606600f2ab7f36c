//! What is posted: a message, the templates that make it from an event, and how to replace them.

mod brief;
mod cards;
mod digest;
mod format;
mod templates;

use std::fmt;

use ml_connector_core::model::Event;

pub use self::{
    brief::Brief,
    cards::{Assignee, Cards, PostCards, Unmentioned},
    digest::Table,
    format::{date, money},
    templates::{BRIEF, CARD, POST, TABLE},
};
pub(crate) use self::{digest::DIGEST_MAX, templates::Templates};
use crate::blocks::{Blocks, escape, shorten_escaped};

/// Slack cuts texts at 40,000; above this one it refuses to update a message.
const TEXT_MAX: usize = 4000;

/// A message: blocks, and the text that notifications and screen readers use. `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    blocks: Blocks,
}

impl Message {
    /// A message. `text` is escaped, shown literally and cut at 4,000 characters and bytes; it stands in where blocks are not shown.
    #[must_use]
    pub fn new(text: &str, blocks: Blocks) -> Self {
        let escaped = escape(text);
        let mut units = TEXT_MAX;
        // Slack does not say whether it counts characters or bytes when a message is updated: both are kept.
        let text = loop {
            let cut = shorten_escaped(&escaped, units);
            match cut.len().checked_sub(TEXT_MAX) {
                None | Some(0) => break cut,
                Some(excess) => units -= excess.div_ceil(4),
            }
        };
        Self { text, blocks }
    }

    /// The text as it is sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("text_bytes", &self.text.len()).field("blocks", &self.blocks).finish()
    }
}

/// Makes a message from an event. Pure: the same event gives the same message, so that a repeated attempt says
/// the same. A function is a template:
///
/// ```
/// use ml_connector_core::model::Event;
/// use ml_connector_slack::{
///     blocks::{Block, Blocks, Text},
///     message::{Cards, Message, Template, money},
/// };
///
/// fn short(event: &Event) -> Message {
///     let Some(total) = event.document().and_then(|document| document.total) else {
///         return Cards.render(event);
///     };
///     let text = format!("{}: {}", event.event_type(), money(&total));
///     Message::new(&text, Blocks::new().with(Block::section(Text::plain(&text))))
/// }
/// # let _: &dyn Template = &short;
/// ```
pub trait Template: Send + Sync + 'static {
    /// Makes the message.
    fn render(&self, event: &Event) -> Message;

    /// The same, where it is known who is responsible for what is shown. Unless a template has its own way, nobody is
    /// mentioned.
    fn render_for(&self, event: &Event, _assignee: &Assignee) -> Message {
        self.render(event)
    }
}

impl<F> Template for F
where
    F: Fn(&Event) -> Message + Send + Sync + 'static,
{
    fn render(&self, event: &Event) -> Message {
        self(event)
    }
}

/// Makes one message of the events of a digest, in their order. Pure, like [`Template`]; a function is one.
pub trait DigestTemplate: Send + Sync + 'static {
    /// Makes the message. There is at least one event.
    fn render(&self, events: &[&Event]) -> Message;
}

impl<F> DigestTemplate for F
where
    F: Fn(&[&Event]) -> Message + Send + Sync + 'static,
{
    fn render(&self, events: &[&Event]) -> Message {
        self(events)
    }
}
