//! The connections and routes of a running connector.

mod check;
mod connections;
mod pulse;
mod reads;
mod slots;

pub(crate) use self::{
    connections::{Registry, digest_lane},
    pulse::Missed,
    reads::Asked,
    slots::{SinkSlot, SourceSlot},
};
