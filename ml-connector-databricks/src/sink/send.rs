//! The rows of one part in their statements: the change log, and the table in as many layers as records have rows that count.

use std::{collections::HashSet, sync::Arc, time::Duration};

use ml_connector_core::{Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp};

use super::{
    run::{Failure, Run},
    stage::Staged,
    tally::Tally,
    write::{Work, fail},
};
use crate::{
    models::{Parameter, Statement},
    rows::{Row, Rows, layers},
    sql::{Layout, Source, append, merge, overtaken},
    tables::{Difference, Known},
};

/// With less time left no statement begins.
const LEAST_TIME: Duration = Duration::from_secs(10);
/// How much the clocks of two hosts may differ: a row that was noticed so much later cannot be the earlier change.
const CLOCKS: Duration = Duration::from_secs(5 * 60);

/// Rows as a statement reads them.
enum Load {
    Parameter(String),
    File(Staged),
}

/// What one load of rows is read for.
struct Step<'a> {
    rows: Vec<&'a Row>,
    appends: bool,
    merges: bool,
}

impl Work<'_> {
    /// Writes the rows at these places. Returns the statement that was the last.
    ///
    /// # Errors
    /// Of the first statement that did not succeed. What those before it wrote stays, and is written again without effect.
    pub(super) async fn send(
        &self,
        batch: &Rows,
        part: &[usize],
        layout: &Layout,
        settles: bool,
        known: &mut Known,
        tally: &mut Tally,
    ) -> Result<Arc<str>, Failure> {
        let rows: Vec<&Row> = part.iter().map(|place| &batch.rows[*place]).collect();
        let seqs = self.seqs(rows.iter().map(|row| row.owner));
        let run = self.run(&seqs);
        let ingested_at = self.ctx.now().to_string();
        let steps = self.steps(&rows);
        let last = steps.len() - 1;
        let mut written = Arc::from("");
        for (number, step) in steps.iter().enumerate() {
            if self.ctx.time_left() < LEAST_TIME {
                return Err(not_in_time(self.ctx.now()).into());
            }
            let load = self.load(batch, &step.rows).await?;
            let ended = self.step(&run, step, &load, layout, &ingested_at, settles && number == last).await;
            let overtaken = match &ended {
                Ok(Some(statement)) => self.account(step, &load, statement, known).await,
                _ => Vec::new(),
            };
            if let (Load::File(staged), Some(volume)) = (&load, &self.parts.volume)
                && ended.as_ref().err().is_none_or(|failure| failure.error.effect() != Effect::Unknown)
            {
                self.parts.unstage(self.ctx, volume, staged).await;
            }
            if let Some(statement) = ended? {
                written = statement.statement_id.into();
            }
            if !overtaken.is_empty() {
                // The statement that wrote the others does not settle these.
                run.note(&self.seqs(overtaken.iter().copied()), &written, false).await?;
                fail(overtaken, self.is_overtaken(), tally);
            }
        }
        Ok(written)
    }

    /// The log keeps every change; what is only current needs the latest.
    fn steps<'a>(&self, rows: &[&'a Row]) -> Vec<Step<'a>> {
        let layers = layers(rows);
        let (appends, merges) = (self.parts.change_log, true);
        let mut steps = Vec::with_capacity(layers.len() + 1);
        if appends && (layers.len() > 1 || layers.iter().any(|layer| layer.len() < rows.len())) {
            steps.push(Step { rows: rows.to_vec(), appends, merges: false });
            steps.extend(layers.into_iter().map(|rows| Step { rows, appends: false, merges }));
        } else {
            steps.extend(layers.into_iter().map(|rows| Step { rows, appends, merges }));
        }
        steps
    }

    async fn load(&self, batch: &Rows, rows: &[&Row]) -> Result<Load> {
        let bytes: usize = rows.iter().map(|row| row.bytes()).sum();
        match self.parts.volume.as_ref().filter(|_| bytes > self.parts.max_parameter_bytes) {
            None => Ok(Load::Parameter(batch.array(rows))),
            Some(volume) => {
                let lines = batch.lines(rows);
                Ok(Load::File(self.parts.stage(self.ctx, volume, &self.job.table, lines).await?))
            }
        }
    }

    /// Returns the statement that merged, if there is one.
    async fn step(
        &self,
        run: &Run<'_>,
        step: &Step<'_>,
        load: &Load,
        layout: &Layout,
        ingested_at: &str,
        settles: bool,
    ) -> Result<Option<Statement>, Failure> {
        let mut parameters = vec![Parameter { name: "ingested_at", kind: "STRING", value: ingested_at }];
        if let Load::Parameter(batch) = load {
            parameters.push(Parameter { name: "batch", kind: "STRING", value: batch });
        }
        let source = load.source();
        if step.appends {
            let log = self.job.table.change_log();
            run.statement(&append(&log, &source), &parameters, false)
                .await
                .map_err(|failure| Failure { error: failure.error.with_context("table", &log), ..failure })?;
        }
        if !step.merges {
            return Ok(None);
        }
        let ended = run.statement(&merge(&self.job.table, layout, &source), &parameters, settles).await?;
        tracing::debug!(
            table = %self.job.table,
            statement = %ended.statement_id,
            inserted = ended.count("num_inserted_rows"),
            updated = ended.count("num_updated_rows"),
            "rows were written"
        );
        Ok(Some(ended))
    }

    /// Compares what a statement did with what it was to do. Returns whose rows it passed over although they are later.
    async fn account(
        &self,
        step: &Step<'_>,
        load: &Load,
        statement: &Statement,
        known: &mut Known,
    ) -> Vec<usize> {
        self.find_doubles(step, statement, known).await;
        let affected = statement.count("num_affected_rows");
        if affected.is_none_or(|affected| affected >= step.rows.len() as u64) {
            return Vec::new();
        }
        // Rows that were written before are passed over, too: the table says which it is.
        match self.overtaken(load).await {
            Ok(ids) if ids.is_empty() => Vec::new(),
            Ok(ids) => {
                self.parts.tables.add(&self.job.table, Difference::Overtaken);
                let is_one =
                    |row: &&&Row| ids.contains(&(row.connection.to_string(), row.entity.id.to_string()));
                step.rows.iter().filter(is_one).map(|row| row.owner).collect()
            }
            Err(error) => {
                tracing::warn!(table = %self.job.table, %error, "nobody knows why rows were passed over");
                Vec::new()
            }
        }
    }

    async fn overtaken(&self, load: &Load) -> Result<HashSet<(String, String)>> {
        let sql = overtaken(&self.job.table, &load.source());
        let parameters = match load {
            Load::Parameter(batch) => vec![("batch", batch.as_str())],
            Load::File(_) => Vec::new(),
        };
        let seen = self.parts.query(self.ctx, &sql, &parameters).await?;
        let is_later = |there: &str, came: &str| match (Timestamp::parse(there), Timestamp::parse(came)) {
            (Ok(there), Ok(came)) => came.saturating_since(there) > CLOCKS,
            _ => false,
        };
        let of = |row: Vec<Option<String>>| match <[_; 4]>::try_from(row) {
            Ok([Some(connection), Some(id), Some(there), Some(came)]) => {
                is_later(&there, &came).then_some((connection, id))
            }
            _ => None,
        };
        Ok(seen.rows.into_iter().filter_map(of).collect())
    }

    fn is_overtaken(&self) -> Error {
        let message = format!(
            "{}. The table is not written to until that is clear: see \"When numbers go back\" in the documentation",
            Difference::Overtaken
        );
        Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Lane)
            .with_context("table", &self.job.table)
    }

    /// Compares what a statement has inserted with what can be new to the table: a row that this process has written before
    /// cannot. More than that was deleted by somebody, or a policy hides it from us, which Unity Catalog does not show.
    async fn find_doubles(&self, step: &Step<'_>, statement: &Statement, known: &mut Known) {
        let keys: Vec<u64> = step.rows.iter().map(|row| row.key()).collect();
        let again: Vec<&&Row> = step.rows.iter().filter(|row| known.written.has(row.key())).collect();
        let inserted = statement.count("num_inserted_rows").unwrap_or(0);
        if let Some(row) = again.first().filter(|_| inserted > (keys.len() - again.len()) as u64) {
            tracing::error!(
                table = %self.job.table,
                statement = %statement.statement_id,
                inserted,
                written_before = again.len(),
                "rows that were written before were inserted again: they were deleted, or a policy hides them"
            );
            let (connection, id) = (&row.connection, &row.entity.id);
            // A row that is seen right after that was deleted before: nobody hides it.
            let seen = self.parts.count(self.ctx, &self.job.table, connection, id).await;
            if !matches!(seen, Ok(1)) {
                known.suspect = Some((connection.clone(), Arc::clone(id)));
            }
        }
        keys.into_iter().for_each(|key| known.written.add(key));
    }
}

impl Load {
    fn source(&self) -> Source<'_> {
        match self {
            Self::Parameter(_) => Source::Parameter,
            Self::File(staged) => Source::File(&staged.path),
        }
    }
}

fn not_in_time(now: Timestamp) -> Error {
    Error::new(ErrorKind::RateLimited, "the batch goes on with the next attempt")
        .with_effect(Effect::Unknown)
        .with_retry(Retry::At(now))
}
