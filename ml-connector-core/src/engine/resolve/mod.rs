pub(crate) mod observe;
mod read;

pub(crate) use read::*;
