mod events;

pub(crate) use events::*;
