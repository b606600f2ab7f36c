//! The sink against a Slack that answers on a loopback port, and the cards it makes.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

mod cards;
mod conformance;
mod deliver;
mod hostile;
mod look_up;
mod names;
mod support;
mod tokens;
