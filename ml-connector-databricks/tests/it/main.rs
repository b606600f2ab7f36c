//! Against scripted answers, and against the simulated workspace.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

mod cases;
mod config;
mod conformance;
mod faults;
mod lake;
mod oracle;
mod support;
mod tables;
