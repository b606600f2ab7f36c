//! Feeds: read on a schedule, on request, after gaps, and for the past; and swept for what no longer exists.

mod requests;
mod schedule;
mod state;
mod step;
mod sweep;

pub(crate) use requests::*;
pub use state::{FeedProgress, RunProgress, StoppedSweep};
pub(crate) use {
    schedule::{ensure, is_settled},
    step::step,
};
