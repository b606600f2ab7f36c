//! The guide: what the words mean, what is promised and where that ends, and how the connector is operated and extended.
//!
//! | chapter | for whoever asks |
//! |---|---|
//! | [`concepts`] | what is a signal, an event, a delivery, a lane, a partition? |
//! | [`guarantees`] | what holds, by what means, and in which cases it does not? |
//! | [`security`] | who is trusted with what, and what does a host have to do? |
//! | [`tuning`] | which numbers can be changed, and what does that cost? |
//! | [`upgrading`] | how does a new version come into a running system? |
//! | [`testing`] | how does a host test its own integration, and an implementer a trait? |
//! | [`system_crate`] | how is another vendor added? |
//!
//! The code in these chapters is compiled and run as tests of documentation. How the connector is started, watched and repaired
//! day by day is in `OPERATING.md` of the repository.

pub mod concepts;
pub mod guarantees;
pub mod security;
pub mod system_crate;
pub mod testing;
pub mod tuning;
pub mod upgrading;
