//! Statements that were under way when somebody stopped waiting: they are asked for before anything is sent again.

use ml_connector_core::{
    Context, ErrorKind, Result,
    model::{Delivery, Lookup, Receipt},
};

use super::{Parts, note::Note, run::follow};
use crate::{
    error::{Fault, failed},
    models::{State, Statement},
};

/// How a statement of an earlier attempt ended.
enum Ended {
    /// It was committed.
    Well,
    /// It was not, or nobody knows any more. What it would have written may be sent again.
    Otherwise,
}

impl Parts {
    /// What became of an attempt, where it noted a statement.
    pub(super) async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let Some(note) = Note::read(delivery) else { return Ok(Lookup::MayRepeat) };
        Ok(match self.ended(ctx, &note.statement).await? {
            Ended::Well if note.settles => Lookup::Happened(Receipt::new(note.statement)),
            // Nothing is written twice: rows that are there are no older than those that come.
            _ => Lookup::MayRepeat,
        })
    }

    async fn ended(&self, ctx: &Context, id: &str) -> Result<Ended> {
        let statement = match self.client.get_statement(ctx, id).await {
            Ok(statement) => follow(self, ctx, statement).await,
            Err(error) => Err(error),
        };
        match statement {
            Ok(Statement { status, .. }) => Ok(match status.state {
                State::Succeeded | State::Closed => Ended::Well,
                _ if failed(&status, id).0 == Fault::Committed => Ended::Well,
                _ => Ended::Otherwise,
            }),
            // Forgotten: after its end, or because its first answer was its last.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ended::Otherwise),
            Err(error) => Err(error),
        }
    }
}
