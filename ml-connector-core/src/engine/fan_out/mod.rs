//! Fan out: from a change of a record to everything that follows from it, in the transaction that keeps its snapshot.

pub(crate) mod conversation;
mod events;
mod lane;
mod later;
mod verdicts;

pub(crate) use self::{
    events::{append_deliveries, append_event, append_page, append_pages},
    later::{append_time_signals, is_hint_of_time, is_of_time, later},
    verdicts::{RouteNames, names_key},
};
