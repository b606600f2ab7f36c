#![doc = include_str!("../docs.md")]

mod attempt;
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
mod people;
mod place;
mod sink;

pub use self::{
    client::Client,
    config::{BASE_URL, Builder, Config, Dedupe, History},
    destination::{admin, channel, clicker, email, message, thread, user},
    models::MessageRef,
    sink::Slack,
};
