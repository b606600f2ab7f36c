//! What all rooms of the engine work with.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use url::Url;

use super::{
    hooks::Hooks,
    log_gate::LogGate,
    mailbox::Mailbox,
    recent::Recent,
    registry::{Registry, SourceSlot},
    settings::Settings,
    stats::{Counters, Stat},
    tally::{Tallies, Tally},
    trace::NamedRoutes,
    trouble::{Down, Trouble, TroubleKind, Troubles},
};
use crate::{
    AuditLog, Clock, Context, Error, ErrorKind, Result, Retry,
    check::remedy,
    context::WriteLease,
    model::{ConnectionId, EndpointId, Seq},
    steady_clock::SteadyClock,
};

/// The parts of a connector. All clones of a [`Connector`](super::Connector) share one.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn AuditLog>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The same clock, for what is not believed of it.
    pub(crate) steady_clock: Arc<SteadyClock>,
    pub(crate) context: Context,
    pub(crate) public_url: Option<Url>,
    /// How a person connects an account again, with `{connection}` for its id.
    pub(crate) reconnect: Option<Arc<str>>,
    pub(crate) settings: Settings,
    pub(crate) registry: RwLock<Arc<Registry>>,
    pub(crate) mailbox: Mailbox,
    pub(crate) stats: Counters,
    pub(crate) tallies: Tallies,
    pub(crate) named_routes: NamedRoutes,
    pub(crate) hooks: Hooks,
    pub(crate) recent: Recent,
    pub(crate) log_gate: LogGate,
    pub(crate) troubles: Troubles,
    /// Until when this host may write to other systems.
    pub(crate) lease: Arc<WriteLease>,
    /// When it was looked for connections that other hosts have forgotten, in milliseconds.
    pub(crate) forgotten_at: AtomicI64,
    /// Whether there may be acts that nobody has ended.
    pub(crate) acts_open: AtomicBool,
}

impl Shared {
    /// Changes connections or routes: all of a change or nothing.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Registry) -> Result<T>) -> Result<T> {
        let mut current = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Registry::clone(&current);
        let changed = change(&mut next)?;
        next.note_attached(self.clock.now());
        *current = Arc::new(next);
        Ok(changed)
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts what happens to a connection, by one of its routes where it is a delivery.
    pub(crate) fn count(&self, stat: Stat, count: usize, of: &ConnectionId, route: Option<&str>) {
        self.stats.add_for(stat, count, of, route);
        let counted = count as u64;
        let tally = |add: fn(&mut Tally) -> &mut u64| {
            self.tallies.count(of, self.clock.now(), |tally| *add(tally) += counted);
        };
        match stat {
            _ if count == 0 => {}
            Stat::Received => tally(|tally| &mut tally.received),
            Stat::Events => tally(|tally| &mut tally.events),
            Stat::Dead => tally(|tally| &mut tally.dead),
            _ => {}
        }
    }

    /// Counts values of a connection's records that could not be read, and were told without.
    pub(crate) fn count_left_out(&self, slot: &SourceSlot, count: usize) {
        if count > 0 {
            let counted = count as u64;
            slot.left_out.fetch_add(counted, Ordering::Relaxed);
            self.tallies.count(slot.connection(), self.clock.now(), |tally| tally.left_out += counted);
        }
    }

    /// Counts a delivery that is done, and how long after its event that was.
    pub(crate) fn count_delivered(&self, of: &ConnectionId, route: &str, latency: Option<Duration>) {
        self.stats.add_for(Stat::Delivered, 1, of, Some(route));
        if let Some(latency) = latency {
            self.stats.took(latency, of, route);
        }
        self.tallies.count(of, self.clock.now(), |tally| tally.deliver(latency));
    }

    /// Tells the host about an entry that was given up, or waits for somebody.
    pub(crate) fn trouble(&self, kind: TroubleKind, connection: &ConnectionId, seq: Seq, reason: Arc<str>) {
        let connection = Some(connection.clone());
        self.troubles.tell(Trouble { at: self.clock.now(), kind, connection, seq: Some(seq), reason });
    }

    /// How a person connects an account again.
    pub(crate) fn reconnect(&self, connection: &ConnectionId) -> Option<String> {
        let how = self.reconnect.as_ref()?.replace("{connection}", connection.as_str());
        Some(format!("connect the account again: {how}"))
    }

    /// Why a connection does not work, and what to do about it.
    pub(crate) fn down(&self, connection: &ConnectionId, error: &Error) -> Down {
        let is_refused = error.kind() == ErrorKind::Unauthenticated;
        let passes = !is_refused && error.retry() != Retry::Never;
        let own = is_refused.then(|| self.reconnect(connection)).flatten();
        let remedy = own.or_else(|| (error.retry() == Retry::Never).then(|| remedy(error).to_owned()));
        let reason = remedy.map_or_else(|| error.to_string(), |remedy| format!("{error}: {remedy}"));
        Down { reason: reason.into(), passes }
    }

    /// Where webhooks of an endpoint have to go.
    pub(crate) fn url_of(&self, endpoint: &EndpointId) -> Option<Url> {
        let mut url = self.public_url.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().push(endpoint.as_str());
        Some(url)
    }
}
