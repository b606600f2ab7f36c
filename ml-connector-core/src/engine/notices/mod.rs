//! Notices: what happens to the connector's own work, told as events like any other.

mod notice;
mod standing;

pub use self::standing::Parked;
pub(crate) use self::{
    notice::{Notice, append},
    standing::{connection_turned, standings},
};
