//! Exact Online and Slack: the simulators, and the story that is played on them.

mod simulation;
mod story;

pub use simulation::{CASH_FLOW, FINANCE, PURCHASES, Simulation, WHOLESALER};
pub use story::{away, checks, play};
