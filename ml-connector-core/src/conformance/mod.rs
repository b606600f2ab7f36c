//! What every implementation of the traits has to do, as functions to call from its tests.
//!
//! A behavior is one function that takes a fresh instance and panics with what it missed. [`log::all`],
//! [`tokens::all`], [`limiter::all`], [`source::all`] and [`sink::all`] run them all; stores that outlive their process
//! also call [`log::survives_reopening`] and [`tokens::survives_reopening`], and logs that several processes open
//! [`log::all_with_two_handles`].
//!
//! A store is given as it is. A system crate gives a [`SourceUnderTest`](source::SourceUnderTest) or a
//! [`SinkUnderTest`](sink::SinkUnderTest): its connection, a vendor that answers as it should, and the vendor's own
//! words for no. The suite puts itself between the two. [`vectors::check`] holds a source against a file of signed and
//! forged requests.
//!
//! ```
//! use std::sync::Arc;
//! use ml_connector_core::{AuditLog, audit::MemoryLog, conformance};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! conformance::log::all(async || Arc::new(MemoryLog::new()) as Arc<dyn AuditLog>).await;
//! # });
//! ```
#![allow(clippy::missing_panics_doc)] // a panic is how a behavior says that it was not met

pub mod limiter;
pub mod log;
pub mod sink;
pub mod source;
pub mod tokens;
pub mod vectors;
mod wire;

#[cfg(test)]
mod tests;

pub use wire::Refusals;

/// A behavior: its name, and the function that checks it on a fresh instance.
pub type Behavior<T> = (&'static str, for<'a> fn(&'a T) -> futures_util::future::BoxFuture<'a, ()>);

/// Lists functions together with their names.
macro_rules! behaviors {
    ($contract:ty: $($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), |instance: &$contract| Box::pin($module::$name(instance)))),*]
    };
}
use behaviors;
