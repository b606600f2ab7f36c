//! Somebody's decision about a document.

mod builder;
mod choice;
mod connection;
mod policy;
mod record;
mod state;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use builder::{Approvals, Builder};
pub use choice::Choice;
pub use policy::{Approvers, Denied, Directory, Policy};
pub use state::{Answer, Choosing, Decision, Input, Phase, Seen, State, Terms, Verdict};
pub use step::{Next, step};

/// Approvals have nothing to look after; the engine asks all the same.
const UPKEEP: Duration = Duration::from_secs(24 * 3600);
