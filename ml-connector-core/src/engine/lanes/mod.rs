//! What waits, in which order, and what may begin now: state and arithmetic, without I/O and without a clock.

mod held;
mod lane;
mod outages;
mod queues;
mod scheduler;
mod slots;
mod survey;
#[cfg(test)]
mod tests;
mod work;

pub use self::survey::{BacklogHealth, LaneHealth, WaitReason};
pub(crate) use self::{
    held::Place,
    scheduler::Lanes,
    slots::SlotClass,
    survey::Survey,
    work::{Appetite, Batch, Evidence, Finished, Hold, Item, LaneId, PutOff},
};
