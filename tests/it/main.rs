//! Whole-system tests.

#[cfg(target_os = "linux")]
mod durability;
#[cfg(unix)]
mod kill;
#[cfg(unix)]
mod proof;
mod storage_faults;
