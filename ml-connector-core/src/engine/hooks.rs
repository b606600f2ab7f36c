//! Which webhooks were accepted, and which were not proven to come from the vendor: counted in this process, for the
//! connection that was meant, and for the endpoint where nobody can say which that was.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    Timestamp,
    model::{ConnectionId, EndpointId},
};

/// So many in a row are no accident, and one that was accepted so short a while ago says that the secret is right.
const REFUSED_IN_A_ROW: u64 = 3;
const RIGHT_LATELY: Duration = Duration::from_secs(600);
/// A secret that was right once is not taken for wrong because of a burst: anybody can send one.
const NO_BURST: Duration = Duration::from_secs(600);
/// Whatever was refused so long ago says nothing any more.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The webhooks of every connection, and of every endpoint.
#[derive(Debug, Default)]
pub(crate) struct Hooks(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    connections: HashMap<ConnectionId, Seen>,
    endpoints: HashMap<EndpointId, Seen>,
}

/// What has come of webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) accepted_at: Option<Timestamp>,
    /// How many were refused since, and when the first and the last were.
    pub(crate) refused: u64,
    refused_from: Timestamp,
    refused_at: Timestamp,
}

impl Seen {
    /// Whether it looks as if the secret were wrong. Anybody can send what is not signed, so one that is accepted from time
    /// to time outweighs what is refused.
    pub(crate) fn are_refused(&self, now: Timestamp) -> bool {
        let last = self.refused_at;
        let was_right = |accepted: Timestamp| {
            last.saturating_since(accepted) < RIGHT_LATELY
                || last.saturating_since(self.refused_from) < NO_BURST
        };
        self.refused >= REFUSED_IN_A_ROW
            && now.saturating_since(last) < STALE
            && !self.accepted_at.is_some_and(was_right)
    }

    fn refuse(&mut self, now: Timestamp) {
        if self.refused == 0 || now.saturating_since(self.refused_at) >= STALE {
            (self.refused, self.refused_from) = (0, now);
        }
        (self.refused, self.refused_at) = (self.refused + 1, now);
    }
}

impl Hooks {
    pub(crate) fn accepted(&self, connection: &ConnectionId, now: Timestamp) {
        accept(&mut self.all().connections, connection, now);
    }

    /// Some connection of the endpoint has accepted one.
    pub(crate) fn accepted_at(&self, endpoint: &EndpointId, now: Timestamp) {
        accept(&mut self.all().endpoints, endpoint, now);
    }

    pub(crate) fn refused(&self, connection: &ConnectionId, now: Timestamp) {
        self.all().connections.entry(connection.clone()).or_default().refuse(now);
    }

    /// No connection of the endpoint has accepted it, and which of them was meant is not known.
    pub(crate) fn refused_at(&self, endpoint: &EndpointId, now: Timestamp) {
        self.all().endpoints.entry(endpoint.clone()).or_default().refuse(now);
    }

    pub(crate) fn forget(&self, connection: &ConnectionId) {
        self.all().connections.remove(connection);
    }

    pub(crate) fn of(&self, connection: &ConnectionId) -> Seen {
        self.all().connections.get(connection).copied().unwrap_or_default()
    }

    pub(crate) fn of_endpoint(&self, endpoint: &EndpointId) -> Seen {
        self.all().endpoints.get(endpoint).copied().unwrap_or_default()
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept<K: Clone + Eq + Hash>(all: &mut HashMap<K, Seen>, key: &K, now: Timestamp) {
    let seen = Seen { accepted_at: Some(now), ..Seen::default() };
    match all.get_mut(key) {
        Some(known) => *known = seen,
        None => drop(all.insert(key.clone(), seen)),
    }
}
