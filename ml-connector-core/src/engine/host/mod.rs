//! What a host calls beside `receive` and `run`.

pub(crate) mod builder;
pub(crate) mod dry_run;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod service;
