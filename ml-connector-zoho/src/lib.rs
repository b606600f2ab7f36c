#![doc = include_str!("docs.md")]

mod auth;
mod client;
mod config;
mod consent;
mod data_center;
mod error;
mod models;
mod poll;
mod source;
mod webhook;

pub use config::{Builder, Config, Plan, WebhookParameters};
pub use data_center::DataCenter;
pub use source::ZohoBooks;

/// The system's name in errors, spans and [`SourceInfo`](ml_connector_core::SourceInfo).
const SYSTEM: &str = "zoho_books";
