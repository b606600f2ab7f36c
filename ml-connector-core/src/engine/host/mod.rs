//! What hosts call beside `receive` and `run`: building a connector, and looking into one.

mod act;
mod acts;
mod builder;
mod changes;
mod check;
mod dry_run;
mod forget;
mod health;
mod progress;
mod replay;
mod replaying;
mod selecting;
mod service;
mod shared_key;
mod story;
mod story_text;
mod views;

pub use self::{
    act::{Act, Acted},
    builder::ConnectorBuilder,
    check::Check,
    dry_run::{DryRun, Way},
    health::{ConnectionHealth, Health, ParkedDelivery, WebhookHealth},
    progress::Progress,
    replay::{Replay, ReplayMode, Replayed},
    service::WebhookService,
    story::{FieldChange, Step, StepKind, Story},
    views::ConnectionView,
};
