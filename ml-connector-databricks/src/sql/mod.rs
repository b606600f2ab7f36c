//! SQL that is safe to send twice. Data never stands in it: it travels in parameters and files.

mod change_log;
mod create;
mod layout;
mod merge;
mod name;
mod overtaken;
mod source;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use change_log::{OWN, append};
pub(crate) use create::{add_columns, comment, create_change_log, create_table};
pub(crate) use layout::{DELETED, DETAILED, INGESTED_AT, Layout, META, RAW, Target, Wire};
pub(crate) use merge::merge;
pub(crate) use name::{TableName, VolumeName, ident, literal, object_name};
pub(crate) use overtaken::{bury, overtaken};
pub(crate) use source::Source;
pub(crate) use types::{SqlType, type_of};
