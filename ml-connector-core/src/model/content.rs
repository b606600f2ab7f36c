//! What an event tells, and what a read shows.

use serde::{Deserialize, Serialize};

use super::{Interaction, Record};

/// What an event tells, and what a read shows: business data, or what people did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A record of the books.
    Record(Box<Record>),
    /// What somebody did, is asked for, or is told.
    Interaction(Box<Interaction>),
}

impl Content {
    /// The record, where it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Interaction(_) => None,
        }
    }

    /// What somebody did, where it is that.
    #[must_use]
    pub fn interaction(&self) -> Option<&Interaction> {
        match self {
            Self::Record(_) => None,
            Self::Interaction(interaction) => Some(interaction),
        }
    }

    /// The business data in it: the record, or the document that an approval shows.
    #[must_use]
    pub fn document(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Interaction(interaction) => interaction.document(),
        }
    }
}

impl From<Record> for Content {
    fn from(record: Record) -> Self {
        Self::Record(Box::new(record))
    }
}

impl From<Box<Record>> for Content {
    fn from(record: Box<Record>) -> Self {
        Self::Record(record)
    }
}

impl From<Interaction> for Content {
    fn from(interaction: Interaction) -> Self {
        Self::Interaction(Box::new(interaction))
    }
}
