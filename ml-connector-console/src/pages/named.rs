//! Kinds and states as addresses name them.

use ml_connector_core::audit::{EntryKind, EntryState};

use crate::{answer::Refusal, show::kind};

pub(crate) fn kind_named(word: &str) -> Result<EntryKind, Refusal> {
    let found = EntryKind::ALL.into_iter().find(|each| kind(*each) == word);
    found.ok_or_else(|| Refusal::bad("there is no such kind of entry"))
}

pub(crate) fn state_named(word: &str) -> Result<EntryState, Refusal> {
    let found = EntryState::ALL.into_iter().find(|state| state_word(*state) == word);
    found.ok_or_else(|| Refusal::bad("there is no such state"))
}

/// A state as addresses name it.
pub(crate) fn state_word(state: EntryState) -> String {
    format!("{state:?}").to_lowercase()
}
