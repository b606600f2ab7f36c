//! What the examples share: settings from the environment, and simulators instead of real accounts.
#![doc = include_str!("../../README.md")]

/// The snippets of the other documents, compiled like those of the README.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../SECURITY.md")]
    struct Security;
    #[doc = include_str!("../../OPERATING.md")]
    struct Operating;
    #[doc = include_str!("../../ml-connector-sim/README.md")]
    struct Simulators;
}

pub mod bars;
pub mod business_central;
pub mod connections;
pub mod console;
pub mod exact_online;
pub mod freshbooks;
pub mod host;
pub mod introduction;
pub mod lab;
pub mod report;
pub mod settings;
pub mod simulation;
pub mod stores;
pub mod story;
pub mod wait;
