#![doc = include_str!("../docs.md")]

mod auth;
mod builder;
mod client;
mod config;
mod destination;
mod error;
mod models;
mod rows;
mod sink;
mod sql;
mod tables;

pub use self::{
    builder::Builder,
    config::{Config, DriftPolicy},
    destination::{table, tables},
    sink::{Databricks, QueryRows},
    tables::{Difference, Drift},
};

/// The system's name in errors, spans and [`SinkInfo`](ml_connector_core::SinkInfo).
const SYSTEM: &str = "databricks";
