//! Where matching events go.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::model::{ConnectionId, Destination, Follow};

/// A sink, a place in it, and how events are told there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Target {
    /// The connection of the sink.
    pub sink: ConnectionId,
    /// Where in it.
    pub destination: Destination,
    /// In which form, by a name that the sink knows; none = its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Arc<str>>,
    /// How later events about a record go on from the first; none = each stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// When; none = at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Target {
    /// A place where events are told at once, in the sink's own form.
    pub fn new(sink: impl Into<ConnectionId>, destination: Destination) -> Self {
        Self { sink: sink.into(), destination, template: None, follow: None, schedule: None }
    }

    /// In this form.
    #[must_use]
    pub fn with_template(mut self, name: impl Into<Arc<str>>) -> Self {
        self.template = Some(name.into());
        self
    }

    /// Later events about a record go on from the first.
    #[must_use]
    pub fn following(mut self, follow: Follow) -> Self {
        self.follow = Some(follow);
        self
    }

    /// At these times.
    #[must_use]
    pub fn scheduled(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// What is wrong with it: the field, and why.
    pub(super) fn problem(&self) -> Option<(String, &'static str)> {
        let schedule = self.schedule.as_ref()?;
        if let Some((field, message)) = schedule.problem() {
            return Some((format!("schedule.{field}").replace("schedule.schedule", "schedule"), message));
        }
        (self.follow.is_some() && schedule.digest.is_some())
            .then(|| ("follow".to_owned(), "a digest tells of many records: there is none to follow"))
    }
}
