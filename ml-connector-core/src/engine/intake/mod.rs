mod receive;

pub(crate) use receive::*;
