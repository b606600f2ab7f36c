//! What hosts call beside `receive` and `run`: building a connector, and looking into one.

mod builder;
mod dry_run;
mod explain;
mod health;
mod progress;
mod replay;
mod service;

pub use self::{
    builder::ConnectorBuilder,
    dry_run::{DryRun, Way},
    explain::Explanation,
    health::{ConnectionHealth, Health, ParkedDelivery},
    progress::Progress,
    replay::{Replay, ReplayMode, Replayed},
    service::WebhookService,
};
