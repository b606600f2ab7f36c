#![doc = include_str!("../docs.md")]

mod auth;
pub mod blocks;
mod channels;
mod client;
mod config;
mod consent;
mod destination;
mod error;
mod lookup;
pub mod message;
pub mod models;
pub mod pacing;
mod sink;

pub use self::{
    client::Client,
    config::{BASE_URL, Builder, Config, Dedupe, History},
    destination::{channel, user},
    models::MessageRef,
    sink::Slack,
};
