//! Feeds: read on a schedule, on request, after gaps, and for the past; and swept for what no longer exists.
//!
//! A run is a signal of the feed's own lane, and reads one page per step. A step commits what the page showed, the
//! checkpoint and what is known about the feed together; so a run that breaks off goes on where it was, on any host.

mod end;
mod moved;
mod page;
mod requests;
mod schedule;
mod state;
mod step;
mod sweep;
mod task;
mod turn;
mod unavailable;

pub use self::state::{FeedProgress, FeedRemark, RunProgress, StoppedSweep, UnavailableFeed};
pub(crate) use self::{
    requests::{BackfillRead, backfill_read, feed_remarks, feeds_known, unavailable_feeds},
    schedule::ensure,
    step::step,
};
