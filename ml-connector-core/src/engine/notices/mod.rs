//! Notices: what happens to the connector's own work, told as events like any other.

mod notice;
mod resumed;
mod standing;

pub use self::standing::Parked;
pub(crate) use self::{
    notice::{Notice, append},
    resumed::{hear_resumed, resume},
    standing::{ConnectionNews, connection_turned, standings},
};
