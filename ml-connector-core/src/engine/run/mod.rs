//! The run loop: holds partitions, finds work, starts it, and takes note of what became of it.

mod discover;
mod handover;
mod housekeeping;
mod runner;

pub(crate) use runner::*;
