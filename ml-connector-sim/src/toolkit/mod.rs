//! What every simulator is made of.

pub(crate) mod control;
pub(crate) mod exchange;
pub(crate) mod faults;
pub(crate) mod json;
pub(crate) mod params;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod transport;
