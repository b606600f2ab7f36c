//! SQL warehouses.

use serde::Deserialize;

use super::words;

#[derive(Deserialize)]
pub(crate) struct Warehouse {
    pub(crate) state: WarehouseState,
    #[serde(default)]
    pub(crate) warehouse_type: Option<String>,
    #[serde(default)]
    pub(crate) health: Option<Health>,
}

words! {
    /// Where a warehouse stands.
    WarehouseState {
        Running = "RUNNING",
        Starting = "STARTING",
        Stopping = "STOPPING",
        Stopped = "STOPPED",
        Deleting = "DELETING",
        Deleted = "DELETED",
    }
}

/// Why clusters do not start. The statement API never says it.
#[derive(Deserialize)]
pub(crate) struct Health {
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) failure_reason: Option<Reason>,
}

#[derive(Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    pub(crate) code: Option<String>,
}

impl Health {
    /// The vendor's code of what keeps it from starting.
    pub(crate) fn failure(&self) -> Option<&str> {
        let fails = matches!(self.status.as_deref(), Some("FAILED" | "DEGRADED"));
        fails.then(|| {
            self.failure_reason.as_ref().and_then(|reason| reason.code.as_deref()).unwrap_or("unknown")
        })
    }
}

impl Warehouse {
    /// Real-time warehouses answer queries and take no writes.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.warehouse_type.as_deref(), Some("REALTIME" | "REYDEN"))
    }
}

impl std::fmt::Display for WarehouseState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deleting => "being deleted",
            Self::Deleted => "deleted",
            Self::Other(_) => "in a state that is not known",
        })
    }
}
