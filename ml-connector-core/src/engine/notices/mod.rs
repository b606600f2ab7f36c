mod notice;

pub use notice::Parked;
pub(crate) use notice::{Told, append, connection_turned, standing, standing_key};
