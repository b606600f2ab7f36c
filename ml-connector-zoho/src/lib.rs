#![doc = include_str!("../docs.md")]

mod auth;
mod client;
mod command;
mod config;
mod consent;
mod data_center;
mod error;
mod models;
mod poll;
mod sink;
mod source;
mod subscriptions;
mod webhook;

pub use command::{acknowledge, acknowledge_in, approve, submit, withdraw, withdraw_from};
pub use config::{Builder, Config, Plan, WebhookParameters};
pub use data_center::DataCenter;
pub use models::{Organization, User};
pub use source::ZohoBooks;

/// The system's name in errors, spans and [`SourceInfo`](ml_connector_core::SourceInfo).
const SYSTEM: &str = "zoho_books";
