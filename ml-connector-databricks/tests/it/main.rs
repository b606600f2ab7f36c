//! Against scripted answers, and against the simulated workspace.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

mod bad_input;
mod broken_tables;
mod cases;
mod config;
mod conformance;
mod faults;
mod lake;
mod mirror;
mod oracle;
mod support;
mod tables;
