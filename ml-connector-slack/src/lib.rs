#![doc = include_str!("../docs.md")]

mod auth;
pub mod blocks;
mod client;
mod config;
mod error;
pub mod message;
pub mod models;
pub mod pacing;
mod sink;
mod source;
mod webhook;

pub use self::{
    client::Client,
    config::{BASE_URL, Builder, Config, Dedupe, History, Inbound},
    models::MessageRef,
    sink::Slack,
    sink::destination::{admin, channel, clicker, email, message, thread, user},
    source::SlackSource,
    source::directory::Directory,
};
