#![doc = include_str!("../docs.md")]

mod attempt;
mod auth;
pub mod blocks;
mod channels;
mod client;
mod config;
mod consent;
mod destination;
mod directory;
mod error;
mod events;
mod interactivity;
mod lookup;
pub mod message;
pub mod models;
pub mod pacing;
mod people;
mod place;
mod receive;
mod sink;
mod source;

pub use self::{
    client::Client,
    config::{BASE_URL, Builder, Config, Dedupe, History, Inbound},
    destination::{admin, channel, clicker, email, message, thread, user},
    directory::Directory,
    models::MessageRef,
    sink::Slack,
    source::SlackSource,
};
