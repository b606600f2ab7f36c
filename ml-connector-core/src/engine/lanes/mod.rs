//! What waits, in which order, and what may begin now.

pub(crate) mod held;
mod queues;
mod scheduler;
#[cfg(test)]
mod tests;

pub(crate) use scheduler::*;
