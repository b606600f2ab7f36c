//! From Databricks' answers to errors: what to do, what may have happened, what has to wait, and what the operator does.

mod answer;
mod class;
mod fault;
#[cfg(test)]
mod tests;

pub(crate) use answer::{check, is_warehouse_refusal, refuses_query_tags, spent_until_tomorrow};
pub(crate) use fault::{Fault, Repair, failed};

use std::sync::Arc;

use ml_connector_core::Error;

/// What is worth repeating of an error's facts.
const FACTS: [&str; 14] = [
    "status",
    "code",
    "class",
    "sql_state",
    "request_id",
    "statement",
    "table",
    "column",
    "warehouse",
    "reason",
    "address",
    "limit",
    "row",
    "of",
];

/// The same error once more: every delivery of a statement gets its own.
pub(crate) fn again(error: &Arc<Error>) -> Error {
    let same = Error::new(error.kind(), error.message().to_owned())
        .with_effect(error.effect())
        .with_scope(error.scope().clone())
        .with_retry(error.retry())
        .with_operation(error.operation());
    with_facts(same, error).with_source(Arc::clone(error))
}

/// An error with the facts of another.
pub(crate) fn with_facts(error: Error, of: &Error) -> Error {
    let facts = FACTS.iter().filter_map(|key| Some((*key, of.context(key)?)));
    facts.fold(error, |error, (key, value)| error.with_context(key, value))
}
