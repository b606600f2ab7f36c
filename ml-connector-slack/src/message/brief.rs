//! One line per event.

use ml_connector_core::model::{Change, Event, Interaction};

use super::{Message, Template, cards};
use crate::blocks::{Block, Blocks, Text};

/// One line of small type: what happened to what, of whom, how much, and a link. For channels in which much happens.
/// Where somebody has to decide, a line is not enough: requests for approval stay cards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Brief;

impl Template for Brief {
    fn render(&self, event: &Event) -> Message {
        if *event.entity.kind == *Interaction::APPROVAL {
            return cards::Cards.render(event);
        }
        let summary = cards::summary(event);
        let mut elements = vec![Text::plain(&summary)];
        let url = event.document().and_then(|document| document.url.as_deref());
        let url = url.filter(|_| !event.changes.contains(&Change::Deleted));
        elements.extend(url.and_then(|url| Text::link(url, "Open")));
        Message::new(&summary, Blocks::new().with(Block::context(elements)))
    }
}
