//! Whole-system tests.
#![allow(clippy::unwrap_used)] // helpers of tests, too

#[cfg(target_os = "linux")]
mod durability;
#[cfg(unix)]
mod kill;
#[cfg(unix)]
mod proof;
#[cfg(unix)]
mod storage_faults;
