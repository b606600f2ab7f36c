//! SQL warehouses.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::answer::{denied, ok, refused};

/// A SQL warehouse.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Warehouse {
    /// Its id: 16 hexadecimal digits.
    pub id: String,
    /// What it does now.
    pub state: WarehouseState,
    /// `PRO`, `CLASSIC`, or `REALTIME`, which only reads.
    pub kind: String,
    /// How long it takes to start.
    pub start: Duration,
    /// Whether the principal has CAN USE.
    pub can_use: bool,
    /// So many submits are refused with 400 "The request could not be processed by the warehouse." while it does not
    /// run, or even if it does when `refuses_running`.
    pub refusals: u32,
    /// Whether refusals come from a running warehouse, too.
    pub refuses_running: bool,
    /// Why it never starts: the code and the cloud's message in `health.failure_reason`.
    pub start_failure: Option<(String, String)>,
    /// What POST `/start` is refused with.
    pub start_refused: Option<String>,
}

/// What a warehouse does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarehouseState {
    /// It starts with the next statement.
    Stopped,
    /// It runs from then on.
    Starting(Timestamp),
    /// It executes statements.
    Running,
    /// It is about to stop.
    Stopping,
    /// It is gone.
    Deleted,
}

impl Warehouse {
    pub(super) fn new(id: String, start: Duration, runs: bool) -> Self {
        Self {
            id,
            state: if runs { WarehouseState::Running } else { WarehouseState::Stopped },
            kind: "PRO".to_owned(),
            start,
            can_use: true,
            refusals: 0,
            refuses_running: false,
            start_failure: None,
            start_refused: None,
        }
    }

    /// Starts it if it does not run, and tells from when on it does; `None` for never.
    pub(super) fn wake(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.settle(now);
        match self.state {
            WarehouseState::Running => Some(now),
            WarehouseState::Deleted => None,
            WarehouseState::Starting(at) => self.start_failure.is_none().then_some(at),
            WarehouseState::Stopped | WarehouseState::Stopping => {
                self.state = WarehouseState::Starting(now + self.start);
                self.start_failure.is_none().then_some(now + self.start)
            }
        }
    }

    pub(super) fn settle(&mut self, now: Timestamp) {
        if let WarehouseState::Starting(at) = self.state
            && at <= now
            && self.start_failure.is_none()
        {
            self.state = WarehouseState::Running;
        }
    }

    /// Whether this submit is refused as by a warehouse that does not run.
    pub(super) fn refuses(&mut self) -> bool {
        let hit = self.refusals > 0 && (self.refuses_running || self.state != WarehouseState::Running);
        self.refusals -= u32::from(hit);
        hit
    }

    pub(super) fn only_reads(&self) -> bool {
        matches!(self.kind.as_str(), "REALTIME" | "REYDEN")
    }

    /// Answers below `/api/2.0/sql/warehouses/{id}`.
    pub(super) fn answer(&mut self, method: &Method, action: &[&str], now: Timestamp) -> Response<Bytes> {
        if !self.can_use {
            return self.not_authorized();
        }
        match (method, action) {
            (&Method::GET, []) => {
                self.settle(now);
                ok(self.shown())
            }
            (&Method::POST, ["start"]) => match &self.start_refused {
                Some(message) => refused(StatusCode::BAD_REQUEST, "BAD_REQUEST", message),
                None => {
                    self.wake(now);
                    ok(json!({}))
                }
            },
            (&Method::POST, ["stop"]) => {
                self.state = WarehouseState::Stopped;
                ok(json!({}))
            }
            _ => refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "No API found for this path"),
        }
    }

    pub(super) fn not_authorized(&self) -> Response<Bytes> {
        denied(
            "The principal is not authorized to use or monitor this SQL Endpoint. Please contact the owner.",
        )
    }

    fn shown(&self) -> Value {
        let running = self.state == WarehouseState::Running;
        let state = match self.state {
            WarehouseState::Stopped => "STOPPED",
            WarehouseState::Starting(_) => "STARTING",
            WarehouseState::Running => "RUNNING",
            WarehouseState::Stopping => "STOPPING",
            WarehouseState::Deleted => "DELETED",
        };
        let mut shown = json!({
            "id": self.id,
            "name": "ml-connector",
            "cluster_size": "2X-Small",
            "min_num_clusters": 1,
            "max_num_clusters": 1,
            "auto_stop_mins": 10,
            "enable_serverless_compute": true,
            "enable_photon": true,
            "warehouse_type": self.kind,
            "state": state,
            "num_clusters": u8::from(running),
            "creator_name": "admin@example.com",
        });
        if let (Some((code, message)), WarehouseState::Starting(_)) = (&self.start_failure, self.state) {
            shown["health"] = json!({
                "status": "FAILED",
                "message": "Launching the clusters fails; it will be tried again.",
                "details": format!("Type: CLIENT_ERROR Code: {code}"),
                "failure_reason": {
                    "code": code,
                    "type": "CLIENT_ERROR",
                    "parameters": { "cloud_error_message": message },
                },
            });
        } else if running {
            shown["health"] = json!({ "status": "HEALTHY" });
        }
        shown
    }
}
