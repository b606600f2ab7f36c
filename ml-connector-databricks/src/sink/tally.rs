//! What became of the rows of each delivery.

use std::sync::Arc;

use ml_connector_core::{
    Error, ErrorKind, Result, Retry, Scope,
    model::{Delivery, Receipt},
};

/// What became of the rows of each delivery of a batch.
pub(super) struct Tally(Vec<Of>);

/// So many rows of a delivery that cannot be written are named.
const NAMED: usize = 10;

#[derive(Default)]
struct Of {
    written: usize,
    refused: usize,
    /// The statement that wrote its last row.
    statement: Option<Arc<str>>,
    /// Why the first row that cannot be written cannot be, ever …
    poison: Option<Error>,
    /// … and which others cannot either.
    others: Vec<String>,
    /// Why rows are not written yet.
    waits: Option<Error>,
}

impl Tally {
    pub(super) fn of(batch: &[Delivery]) -> Self {
        Self(batch.iter().map(|_| Of::default()).collect())
    }

    /// A row of the delivery is written.
    pub(super) fn written(&mut self, owner: usize, statement: &Arc<str>) {
        let of = &mut self.0[owner];
        of.written += 1;
        of.statement = Some(Arc::clone(statement));
    }

    /// A row of the delivery can never be written: the error names it.
    pub(super) fn refused(&mut self, owner: usize, error: Error) {
        let of = &mut self.0[owner];
        of.refused += 1;
        if of.poison.is_some() && of.others.len() < NAMED {
            of.others.extend(error.context("row").map(str::to_owned));
        }
        of.poison.get_or_insert(error);
    }

    /// Rows of the delivery are not written yet. No row is given up for what is not its own fault, however long it takes.
    pub(super) fn waits(&mut self, owner: usize, error: Error) {
        let of = &mut self.0[owner];
        let error = match (error.kind(), error.scope(), error.retry()) {
            // What passes by itself keeps all tables waiting. An answer that nobody understands is no answer.
            (ErrorKind::Unavailable, _, _) => error.with_scope(Scope::Connection),
            (ErrorKind::InvalidResponse, _, _) => {
                error.with_scope(Scope::Connection).with_retry(Retry::Backoff)
            }
            (_, Scope::Entry, Retry::Never) => error.with_scope(Scope::Lane),
            _ => error,
        };
        of.waits.get_or_insert(error);
    }

    /// Whether no row of the delivery was refused.
    pub(super) fn is_clean(&self, owner: usize) -> bool {
        self.0[owner].refused == 0
    }

    /// One result for each delivery. A page with a row that cannot be written is an error that names it, after the others
    /// were written.
    pub(super) fn results(self) -> Vec<Result<Receipt>> {
        let result = |of: Of| match (of.waits, of.poison) {
            (Some(error), _) => Err(error),
            (None, Some(poison)) if of.written + of.refused > 1 => {
                let (written, refused) = (of.written, of.refused);
                let message =
                    format!("{refused} of {} rows cannot be written, the others are", written + refused);
                let named = Error::new(ErrorKind::InvalidRequest, message);
                let facts = ["row", "column", "of", "class", "statement", "table"];
                let facts = facts.into_iter().filter_map(|key| Some((key, poison.context(key)?)));
                let named = facts.fold(named, |named, (key, fact)| named.with_context(key, fact));
                let named = match &*of.others {
                    [] => named,
                    others => named.with_context("others", others.join(", ")),
                };
                Err(named.with_source(poison))
            }
            (None, Some(poison)) => Err(poison),
            (None, None) => Ok(receipt(of.statement)),
        };
        self.0.into_iter().map(result).collect()
    }
}

fn receipt(statement: Option<Arc<str>>) -> Receipt {
    Receipt::new(statement.unwrap_or_else(|| "no rows".into()))
}
