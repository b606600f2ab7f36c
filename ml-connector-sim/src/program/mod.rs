//! Each simulator as the program serves it: with something in it, and with a guide for the person who started it.

pub(crate) mod bc;
pub(crate) mod databricks;
pub(crate) mod exact;
pub(crate) mod freshbooks;
pub(crate) mod slack;
pub(crate) mod zoho;
