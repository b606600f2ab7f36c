//! What all rooms of the engine work with.

use std::sync::{Arc, PoisonError, RwLock};

use url::Url;

use super::{
    hooks::Hooks, log_gate::LogGate, mailbox::Mailbox, registry::Registry, settings::Settings,
    stats::Counters, trace::NamedRoutes,
};
use crate::{AuditLog, Clock, Context, Result, model::EndpointId};

/// The parts of a connector. All clones of a [`Connector`](super::Connector) share one.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn AuditLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) context: Context,
    pub(crate) public_url: Option<Url>,
    pub(crate) settings: Settings,
    pub(crate) registry: RwLock<Arc<Registry>>,
    pub(crate) mailbox: Mailbox,
    pub(crate) stats: Counters,
    pub(crate) named_routes: NamedRoutes,
    pub(crate) hooks: Hooks,
    pub(crate) log_gate: LogGate,
}

impl Shared {
    /// Changes connections or routes: all of a change or nothing.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Registry) -> Result<T>) -> Result<T> {
        let mut current = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Registry::clone(&current);
        let changed = change(&mut next)?;
        *current = Arc::new(next);
        Ok(changed)
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where webhooks of an endpoint have to go.
    pub(crate) fn url_of(&self, endpoint: &EndpointId) -> Option<Url> {
        let mut url = self.public_url.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().push(endpoint.as_str());
        Some(url)
    }
}
