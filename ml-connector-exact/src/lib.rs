//! Exact Online.

mod error;
mod models;
