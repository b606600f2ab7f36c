//! Which webhooks were accepted, and which were not proven to come from the vendor: counted in this process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Timestamp, model::ConnectionId};

/// So many in a row are no accident, and one that was accepted so short a while ago says that the secret is right.
const REFUSED_IN_A_ROW: u64 = 3;
const RIGHT_LATELY: Duration = Duration::from_secs(600);

/// The webhooks of every connection.
#[derive(Debug, Default)]
pub(crate) struct Hooks(Mutex<HashMap<ConnectionId, Seen>>);

/// The webhooks of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) accepted_at: Option<Timestamp>,
    /// How many were refused since, and when the last was.
    pub(crate) refused: u64,
    pub(crate) refused_at: Option<Timestamp>,
}

impl Seen {
    /// Whether it looks as if the secret were wrong. Anybody can send what is not signed, so one that is accepted now
    /// and then outweighs what is refused.
    pub(crate) fn are_refused(&self) -> bool {
        let last = self.refused_at.unwrap_or_default();
        self.refused >= REFUSED_IN_A_ROW
            && self.accepted_at.is_none_or(|accepted| last.saturating_since(accepted) >= RIGHT_LATELY)
    }
}

impl Hooks {
    pub(crate) fn accepted(&self, connection: &ConnectionId, now: Timestamp) {
        let seen = Seen { accepted_at: Some(now), refused: 0, refused_at: None };
        if let Some(known) = self.all().get_mut(connection) {
            *known = seen;
            return;
        }
        self.all().insert(connection.clone(), seen);
    }

    pub(crate) fn refused(&self, connection: &ConnectionId, now: Timestamp) {
        let mut all = self.all();
        let seen = all.entry(connection.clone()).or_default();
        (seen.refused, seen.refused_at) = (seen.refused + 1, Some(now));
    }

    pub(crate) fn forget(&self, connection: &ConnectionId) {
        self.all().remove(connection);
    }

    pub(crate) fn of(&self, connection: &ConnectionId) -> Seen {
        self.all().get(connection).copied().unwrap_or_default()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ConnectionId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
