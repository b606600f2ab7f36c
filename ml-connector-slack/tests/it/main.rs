//! The sink against a Slack that answers on a loopback port, and the cards it makes.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

mod assignee;
mod cards;
mod check;
mod client;
mod conformance;
mod conversations;
mod deliver;
mod digests;
mod forms;
mod hostile;
mod look_up;
mod names;
mod prompts;
mod receive;
mod source;
mod support;
mod tokens;
mod vectors;
