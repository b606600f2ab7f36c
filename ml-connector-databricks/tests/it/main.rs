//! Against scripted answers, and against the simulated workspace.

mod cases;
mod config;
mod conformance;
mod faults;
mod lake;
mod oracle;
mod support;
mod tables;
