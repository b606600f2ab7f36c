//! Modals that are open, and what opens them.

use std::collections::{BTreeMap, HashMap};

use ml_connector_core::Timestamp;
use serde_json::Value;

/// A modal that was opened for a person.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Its id.
    pub id: String,
    /// Who sees it.
    pub user: String,
    /// The view as the API shows it, without what was entered.
    pub view: Value,
    /// What the app finds wrong, by block id of the input.
    pub errors: BTreeMap<String, String>,
    /// What the person has entered and submitted, by block id of the input.
    pub entered: BTreeMap<String, String>,
    /// What Slack tells the person when the app did not answer as it should.
    pub trouble: Option<String>,
    /// Whether it is still there.
    pub is_open: bool,
    /// The view it lies upon.
    pub below: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
}

impl View {
    /// The app's name for it.
    #[must_use]
    pub fn callback_id(&self) -> &str {
        self.view["callback_id"].as_str().unwrap_or_default()
    }
}

/// The modals so far, and what they can be opened with.
#[derive(Debug, Default)]
pub(super) struct Views {
    pub(super) all: Vec<View>,
    pub(super) triggers: HashMap<String, Trigger>,
}

/// What opens a modal, once.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) user: String,
    /// The modal it came from.
    pub(super) view: Option<String>,
    pub(super) issued: Timestamp,
    pub(super) used: bool,
}

impl Views {
    pub(super) fn get(&self, id: &str) -> Option<&View> {
        self.all.iter().find(|view| view.id == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut View> {
        self.all.iter_mut().find(|view| view.id == id)
    }

    /// The view on top of a person's stack.
    pub(super) fn top(&self, user: &str) -> Option<&View> {
        self.all.iter().rev().find(|view| view.is_open && view.user == user)
    }

    /// Closes all views of a person.
    pub(super) fn clear(&mut self, user: &str) {
        self.all.iter_mut().filter(|view| view.user == user).for_each(|view| view.is_open = false);
    }
}
