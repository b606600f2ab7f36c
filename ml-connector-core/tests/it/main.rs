//! What the package promises as a whole.

#![allow(clippy::unwrap_used)] // everything here is a test

mod decoders;
mod features;
mod guide;
mod signatures;
