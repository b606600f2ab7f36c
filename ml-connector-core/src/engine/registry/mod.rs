mod connections;

pub(crate) use connections::*;
