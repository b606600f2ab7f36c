//! From events to rows: one line of JSON each.

mod encode;
mod layers;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use encode::{Encoder, Origin};
pub(crate) use layers::layers;
pub(crate) use row::{Row, Rows, cuts};
