//! What keeps others from acting through somebody's browser.

mod confirmation;
mod origin;

pub(crate) use confirmation::{Bound, Key, digest, hex};
pub(crate) use origin::is_same_origin;
