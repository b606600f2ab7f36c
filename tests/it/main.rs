//! Whole-system tests: the real crates on simulated vendors.

mod flow;
mod world;
