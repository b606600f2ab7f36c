//! Against scripted answers, and against the simulated workspace.

mod cases;
mod config;
mod faults;
mod support;
