#![doc = include_str!("../docs.md")]

mod auth;
mod client;
mod config;
mod error;
mod models;
mod sink;
mod source;
mod webhook;

pub use auth::data_center::DataCenter;
pub use config::{Builder, Config, Plan, WebhookParameters};
pub use models::{Organization, User};
pub use sink::command::{acknowledge, acknowledge_in, approve, submit, withdraw, withdraw_from};
pub use source::ZohoBooks;

/// The system's name in errors, spans and [`SourceInfo`](ml_connector_core::SourceInfo).
const SYSTEM: &str = "zoho_books";
