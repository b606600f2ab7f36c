//! The console, asked in process: what is shown to whom, and what is refused.

#![allow(clippy::unwrap_used)]

mod access;
mod acts;
mod browser;
mod logs;
mod many;
mod mounts;
mod pages;
mod stories;
mod trouble;
mod vendor;
mod world;
