//! Upkeep: webhook subscriptions, looked after on their own schedule and whenever something is said about them.

mod look;
mod schedule;

pub(crate) use self::{
    look::look_after,
    schedule::{Known, ensure, known},
};
