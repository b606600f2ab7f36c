//! A table before it is written to: it is there, nothing hides its rows, and it has the columns.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{Context, Error, ErrorKind, Result, Scope, model::Columns};

use super::{
    Parts,
    run::{Failure, Run},
};
use crate::{
    config::DriftPolicy,
    error::Repair,
    models::Table,
    sql::{Layout, TableName, add_columns, create_change_log, create_table},
    tables::{Difference, Known, Written, inspect, inspect_change_log},
};

/// How long what was seen of a table holds. What changes meanwhile is met as an error, and looked at then.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

impl Parts {
    /// What of the records goes into the table, which is made or extended as the settings say.
    ///
    /// # Errors
    /// In the scope of the lane, with what the operator does.
    pub(super) async fn prepare(
        &self,
        run: &Run<'_>,
        table: &TableName,
        columns: &Arc<Columns>,
        known: &mut Known,
    ) -> Result<Arc<Layout>, Failure> {
        self.clear_suspicion(run, table, known).await?;
        let now = run.ctx.now();
        let fresh = |at: ml_connector_core::Timestamp| now.saturating_since(at) < LOOK_EVERY;
        if self.change_log && !known.change_log.is_some_and(fresh) {
            self.prepare_change_log(run, &table.change_log(), columns).await?;
            known.change_log = Some(now);
        }
        let seen = known.layouts.iter().find(|(of, _, at)| Arc::ptr_eq(of, columns) && fresh(*at));
        if let Some((_, layout, _)) = seen {
            return Ok(Arc::clone(layout));
        }
        let seen = match self.look(run.ctx, table).await? {
            Some(seen) => seen,
            None => {
                self.make(run, table, &create_table(table, columns, self.tables.raw)).await?;
                if !known.written.is_empty() {
                    known.made_anew = true;
                }
                known.written = Written::default();
                self.look(run.ctx, table).await?.ok_or_else(|| missing(table))?
            }
        };
        let mut found = inspect(&self.tables, table, &seen, columns)?;
        if self.tables.policy == DriftPolicy::Evolve && !found.missing.is_empty() {
            let added = found.missing.iter();
            let added: Vec<_> = added
                .map(|(path, kind, comment)| {
                    (path.iter().map(String::as_str).collect(), kind, comment.clone())
                })
                .collect();
            run.statement(&add_columns(table, &added), &[], false)
                .await
                .map_err(|failure| at(failure, table))?;
            tracing::info!(%table, columns = added.len(), "a table got columns that it lacked");
            let seen = self.look(run.ctx, table).await?.ok_or_else(|| missing(table))?;
            found = inspect(&self.tables, table, &seen, columns)?;
        }
        self.tables.report(table, found.drift);
        if known.made_anew {
            self.tables.add(table, Difference::MadeAnew);
        }
        let layout = Arc::new(found.layout);
        known.layouts.retain(|(of, ..)| !Arc::ptr_eq(of, columns));
        known.layouts.push((Arc::clone(columns), Arc::clone(&layout), now));
        Ok(layout)
    }

    /// Looks whether a row that was inserted a second time is there once: then the first had been deleted.
    ///
    /// # Errors
    /// In the scope of the lane, as long as a policy hides the row, or it is there twice.
    async fn clear_suspicion(
        &self,
        run: &Run<'_>,
        table: &TableName,
        known: &mut Known,
    ) -> Result<(), Failure> {
        let Some((connection, id)) = &known.suspect else { return Ok(()) };
        if self.count(run.ctx, table, connection, id).await? == 1 {
            known.suspect = None;
            return Ok(());
        }
        let difference = Difference::HiddenRows;
        let message = format!("{difference}. Until then nothing is written to the table");
        self.tables.add(table, difference);
        Err(Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Lane)
            .with_context("table", table)
            .into())
    }

    async fn prepare_change_log(
        &self,
        run: &Run<'_>,
        table: &TableName,
        columns: &Columns,
    ) -> Result<(), Failure> {
        match self.look(run.ctx, table).await? {
            Some(seen) => Ok(inspect_change_log(&self.tables, table, &seen)?),
            None => self.make(run, table, &create_change_log(table, columns)).await,
        }
    }

    async fn make(&self, run: &Run<'_>, table: &TableName, sql: &str) -> Result<(), Failure> {
        if !self.tables.create {
            return Err(missing(table).into());
        }
        run.statement(sql, &[], false).await.map_err(|failure| at(failure, table))?;
        tracing::info!(%table, "a table was made");
        Ok(())
    }

    async fn look(&self, ctx: &Context, table: &TableName) -> Result<Option<Table>> {
        self.client.get_table(ctx, table).await.map_err(|error| match (error.kind(), error.scope()) {
            (ErrorKind::PermissionDenied, Scope::Entry) => {
                Error::new(ErrorKind::PermissionDenied, Repair::Grant.message())
                    .with_scope(Scope::Lane)
                    .with_context("table", table)
                    .with_source(error)
            }
            _ => error,
        })
    }
}

fn missing(table: &TableName) -> Error {
    Error::new(ErrorKind::ConfigInvalid, Repair::MissingTable.message())
        .with_scope(Scope::Lane)
        .with_context("table", table)
}

fn at(failure: Failure, table: &TableName) -> Failure {
    Failure { error: failure.error.with_context("table", table), ..failure }
}
