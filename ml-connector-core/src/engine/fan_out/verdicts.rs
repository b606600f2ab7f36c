//! What the routes said of an event, as it is kept with the event.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    audit::{DocKey, Transaction},
    engine::{
        documents::{self, JsonDocument},
        shared::Shared,
        trace::EventTrace,
        writes,
    },
    model::LaneKey,
    route::{RouteMatch, RouteSet},
};

/// The names of the routes that a set had, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RouteNames(pub(crate) Vec<Arc<str>>);

impl JsonDocument for RouteNames {
    const NAME: &'static str = "names of routes";
}

/// Where the names of a set are kept.
pub(crate) fn names_key(set: u64) -> DocKey {
    DocKey::new("routes", &"all".into(), &format!("{set:016x}"))
}

impl Shared {
    /// What the routes said of an event. Their names are kept once for each set of them.
    pub(crate) async fn trace_routes(
        &self,
        routes: &RouteSet,
        verdicts: &[RouteMatch],
    ) -> Result<Option<Bytes>> {
        if verdicts.is_empty() {
            return Ok(None);
        }
        let names: Vec<Arc<str>> = routes.routes.iter().map(|route| Arc::clone(&route.name)).collect();
        let set = LaneKey::new(names.join("\n")).number(&"routes".into());
        if !self.named_routes.contains(set) {
            let documents = vec![documents::put(names_key(set), &RouteNames(names))?];
            writes::append(self, Transaction { documents, ..Transaction::default() }).await?;
            self.named_routes.insert(set);
        }
        let trace = EventTrace { set, codes: verdicts.iter().map(|verdict| verdict.code()).collect() };
        Ok(serde_json::to_vec(&trace).ok().map(Bytes::from))
    }
}
