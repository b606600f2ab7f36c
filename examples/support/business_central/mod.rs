//! Business Central and Slack: the simulators, and the story that is played on them.

mod simulation;
mod story;

pub use simulation::{ACCOUNTING, APPROVALS, COMPANY, Simulation};
pub use story::{back, checks, play, while_nobody_listens};
