//! Whole-system tests: the real crates on simulated vendors, and the log under the worst that can happen.
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod acknowledgements;
mod approvals;
mod chaos;
mod company;
mod consent;
#[cfg(target_os = "linux")]
mod durability;
mod exact;
mod flow;
mod frail;
mod freshbooks;
mod full_disk;
mod health;
#[cfg(unix)]
mod hosts;
#[cfg(unix)]
mod kill;
mod links;
mod log_lines;
mod mirror;
mod outages;
mod polling;
#[cfg(unix)]
mod proof;
mod samples;
mod secrets;
mod slack_forms;
mod slack_load;
#[cfg(unix)]
mod storage_faults;
mod structure;
#[cfg(unix)]
mod tokens;
mod warehouse;
mod way_back;
mod world;
