//! Patterns over event types.

use crate::{
    Error, ErrorKind, Result,
    model::{Change, Event, text_id},
};

text_id! {
    /// Matches the changes of events: `invoice.paid`, `invoice.*`, `*.created`, `*`, and `invoice.overdue:7` for
    /// one threshold of several.
    Pattern,
}

impl Pattern {
    /// The kind of records it is about; `*` = every kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.as_str().split_once('.').map_or(self.as_str(), |(kind, _)| kind)
    }

    /// Checks that the pattern can match something.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the pattern and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        let invalid = |message| {
            Err(Error::new(ErrorKind::ConfigInvalid, message)
                .with_context("pattern", self.as_str().escape_debug()))
        };
        match self.as_str().split_once('.') {
            None if self.as_str() == "*" => Ok(()),
            None => invalid("expected a pattern such as `invoice.paid`, `invoice.*` or `*`"),
            Some((kind, change)) if kind.is_empty() || change.is_empty() => {
                invalid("expected a kind and a change around the dot")
            }
            Some((_, "*" | "overdue")) => Ok(()),
            Some((_, change)) => match change.parse::<Change>() {
                Ok(_) => Ok(()),
                Err(_) => invalid("no such change"),
            },
        }
    }

    /// Whether one of the event's changes matches. `*` stands for every kind of record; what became of the connector's
    /// own work has to be named: `delivery.dead`, `connection.*`.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let (kind, wanted) = self.as_str().split_once('.').unwrap_or((self.as_str(), "*"));
        (kind == &*event.entity.kind || kind == "*" && !event.is_outcome())
            && (wanted == "*"
                || event
                    .changes
                    .iter()
                    .any(|change| wanted == change.as_str() || wanted == change.to_string()))
    }
}
