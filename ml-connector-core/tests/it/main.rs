//! What the package promises as a whole.

mod features;
mod signatures;
