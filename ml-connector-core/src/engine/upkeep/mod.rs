mod look;

pub(crate) use look::*;
