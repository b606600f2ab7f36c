//! What is connected, for whoever shows it.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    Connector,
    model::{AccountKey, ConnectionId, EndpointId},
    route::Route,
};

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionView {
    /// Its name.
    pub id: ConnectionId,
    /// The system behind it, such as `zoho`.
    pub system: &'static str,
    /// Whether changes come from it.
    pub is_source: bool,
    /// Whether deliveries go to it.
    pub is_sink: bool,
    /// The organizations, divisions or companies that it reads, as shared traffic names them: `org:778812345`.
    pub accounts: Vec<AccountKey>,
    /// Where its webhooks come in.
    pub endpoint: Option<EndpointId>,
    /// The zone of the organization's days.
    pub zone: Option<String>,
}

impl Connector {
    /// Every connection that is attached to this connector, by name.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionView> {
        let registry = self.shared.registry();
        let view = |id: ConnectionId| {
            let (source, sink) = (registry.source(&id), registry.sink(&id));
            let info = source.map(|slot| slot.source.info());
            let system = info.map(|info| info.system).or(sink.map(|slot| slot.sink.info().system));
            ConnectionView {
                system: system.unwrap_or_default(),
                is_source: source.is_some(),
                is_sink: sink.is_some(),
                accounts: info.map(|info| info.accounts.clone()).unwrap_or_default(),
                endpoint: info.map(|info| info.endpoint.clone()),
                zone: info.map(|info| info.zone.name().to_owned()),
                id,
            }
        };
        registry.connections().into_iter().map(view).collect()
    }

    /// The routes in force, in order, with those that connections have brought.
    #[must_use]
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.shared.registry().routes().routes.clone()
    }
}
