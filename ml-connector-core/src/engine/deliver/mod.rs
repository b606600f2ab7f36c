mod attempt;
pub(crate) mod classify;
pub(crate) mod conversation;
pub(crate) mod follow_ups;
pub(crate) mod look_up;
pub(crate) mod settle;

pub(crate) use attempt::*;
