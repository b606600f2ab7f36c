//! Whole-system tests: the real crates on simulated vendors.

mod chaos;
mod flow;
mod world;
