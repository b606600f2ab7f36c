//! Resolve: from the signals of a record to its snapshot, its event and its deliveries.

mod failed;
mod observe;
mod read;
mod requests;
mod rows;
mod signals;

pub(crate) use self::{
    failed::failed,
    observe::{Found, Purpose, load_snapshots, observe, remember, write_down},
    read::read,
    rows::tell_rows,
    signals::{Resolved, WaitingSignal, load},
};
