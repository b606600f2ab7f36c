//! A batch into its tables: rows that can be written are, and one that cannot is found and named.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, Result, Retry, Scope,
    model::{Columns, Delivery, Event, Seq},
};

use super::{
    Parts, no_columns,
    run::{Failure, Run, WAIT},
    tally::Tally,
};
use crate::{
    destination,
    error::{Fault, again},
    models::{Parameter, Statement},
    rows::{Origin, Row, array, cuts, encode, latest, lines},
    sql::{Layout, Source, TableName, append, merge},
    tables::Known,
};

/// A statement that decodes more rows from a parameter takes longer than a staged file.
const MOST_ROWS: usize = 5_000;
/// With less time left no statement begins.
const LEAST_TIME: Duration = Duration::from_secs(10);
/// When so many rows are refused one by one and none is taken, it is not the rows.
const TELLING: usize = 3;
/// How often a table that changes under our hands is looked at anew.
const CHANGES: u32 = 2;

/// Rows for one table, of one form.
struct Job<'a> {
    table: TableName,
    columns: Arc<Columns>,
    events: Vec<(usize, &'a Event)>,
}

impl Parts {
    /// Writes what is not done yet.
    pub(super) async fn write(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
        tally: &mut Tally,
    ) {
        let jobs = self.jobs(batch, tally);
        let several = jobs.len() > 1;
        for job in jobs {
            let known = self.tables.of(&job.table);
            let mut known = known.lock().await;
            let work = Work { parts: self, ctx, notes, batch, job: &job, several };
            work.make(&mut known, tally).await;
        }
    }

    /// Sorts events by the table they go to.
    fn jobs<'a>(&self, batch: &'a [Delivery], tally: &mut Tally) -> Vec<Job<'a>> {
        let mut jobs: Vec<Job<'a>> = Vec::new();
        for (owner, delivery) in batch.iter().enumerate() {
            let page = delivery.event.page.as_slice();
            let events = if delivery.event.is_page() { page } else { std::slice::from_ref(&*delivery.event) };
            for event in events {
                match self.table_of(delivery, event) {
                    Ok((table, columns)) => {
                        let same =
                            |job: &&mut Job<'_>| job.table == table && Arc::ptr_eq(&job.columns, &columns);
                        match jobs.iter_mut().find(same) {
                            Some(job) => job.events.push((owner, event)),
                            None => jobs.push(Job { table, columns, events: vec![(owner, event)] }),
                        }
                    }
                    Err(error) if *error.scope() == Scope::Entry => {
                        tally.refused(owner, error.with_context("row", &event.entity));
                    }
                    Err(error) => tally.waits(owner, error),
                }
            }
        }
        jobs
    }

    fn table_of(&self, delivery: &Delivery, event: &Event) -> Result<(TableName, Arc<Columns>)> {
        let feeding = self.feeding.get(&event.connection).ok_or_else(|| {
            let message = "no source is known for the connection: give the builder its source with tables_of";
            Error::new(ErrorKind::ConfigInvalid, message)
                .with_scope(Scope::Lane)
                .with_context("connection", &event.connection)
        })?;
        let columns = feeding.columns_of(&event.entity.kind).ok_or_else(|| no_columns(&event.entity.kind))?;
        let table = match destination::named(&delivery.destination)? {
            Some(table) => self.tables.names.called(table),
            None => self.tables.names.table(feeding.system, columns)?,
        };
        Ok((table, Arc::clone(columns)))
    }
}

/// What is done for one table.
struct Work<'a> {
    parts: &'a Parts,
    ctx: &'a Context,
    notes: &'a dyn AttemptNotes,
    batch: &'a [Delivery],
    job: &'a Job<'a>,
    /// Whether a delivery may have rows in other tables, too.
    several: bool,
}

impl Work<'_> {
    async fn make(&self, known: &mut Known, tally: &mut Tally) {
        let mut changed = 0;
        let mut events = self.job.events.clone();
        loop {
            let owners: Vec<usize> = events.iter().map(|(owner, _)| *owner).collect();
            let seqs = self.seqs(owners.iter().copied());
            let run = Run { parts: self.parts, ctx: self.ctx, notes: self.notes, seqs: &seqs };
            let layout = match self.parts.prepare(&run, &self.job.table, &self.job.columns, known).await {
                Ok(layout) => layout,
                Err(Failure { error, .. }) => return fail(owners, error, tally),
            };
            let rows = self.encode(&events, &layout, tally);
            let left = self.put(&rows, &layout, known, tally).await;
            let Some((left, failure)) = left else { return };
            known.layouts.clear();
            known.change_log = None;
            changed += 1;
            if changed > CHANGES {
                return fail(left.iter().map(|place| rows[*place].owner), failure, tally);
            }
            // The table has changed: what is left is written in the form that it has now.
            let ids: Vec<_> =
                left.iter().map(|place| (&rows[*place].entity, rows[*place].n, rows[*place].owner)).collect();
            events.retain(|(owner, event)| ids.contains(&(&event.entity, event.n, *owner)));
        }
    }

    fn seqs(&self, owners: impl Iterator<Item = usize>) -> Vec<Seq> {
        let mut seqs: Vec<Seq> = owners.map(|owner| self.batch[owner].seq).collect();
        seqs.dedup();
        seqs
    }

    fn encode(&self, events: &[(usize, &Event)], layout: &Layout, tally: &mut Tally) -> Vec<Row> {
        let mut rows = Vec::with_capacity(events.len());
        for (owner, event) in events {
            let Some(feeding) = self.parts.feeding.get(&event.connection) else { continue };
            let origin = Origin {
                system: feeding.system,
                account: &feeding.account,
                change_log: self.parts.change_log,
            };
            let most = if self.parts.volume.is_some() {
                self.parts.max_bytes
            } else {
                self.parts.max_parameter_bytes
            };
            let row = encode(event, origin, &self.job.columns, layout).and_then(|json| {
                if json.len() <= most {
                    return Ok(json);
                }
                let message =
                    "the row is larger than a statement takes: configure a volume, or a larger max_bytes";
                Err(Error::new(ErrorKind::InvalidRequest, message).with_context("bytes", json.len()))
            });
            match row {
                Ok(json) => rows.push(Row {
                    owner: *owner,
                    connection: event.connection.clone(),
                    entity: event.entity.clone(),
                    n: event.n,
                    json,
                }),
                Err(error) => {
                    let named =
                        error.with_context("row", &event.entity).with_context("table", &self.job.table);
                    tally.refused(*owner, named);
                }
            }
        }
        rows
    }

    /// Writes rows, in halves where one of them is refused. `Some`: these are left, because the table has changed.
    async fn put(
        &self,
        rows: &[Row],
        layout: &Layout,
        known: &mut Known,
        tally: &mut Tally,
    ) -> Option<(Vec<usize>, Error)> {
        let bytes: usize = rows.iter().map(|row| row.json.len() + 1).sum();
        let staged = bytes > self.parts.max_parameter_bytes && self.parts.volume.is_some();
        let most = if staged { self.parts.max_bytes } else { self.parts.max_parameter_bytes };
        let mut open = cuts(rows, most, if staged { usize::MAX } else { MOST_ROWS });
        // A delivery that has a row elsewhere, or one that was refused, is not done with this statement.
        let whole = !self.several && rows.iter().all(|row| tally.is_clean(row.owner));
        open.reverse();
        let (mut refused, mut written) = (Vec::new(), 0);
        while let Some(part) = open.pop() {
            let settles = whole && part.len() == rows.len();
            let failure = match self.send(&rows[part.clone()], layout, settles).await {
                Ok(statement) => {
                    self.account(&rows[part.clone()], &statement, known);
                    let id = Arc::from(statement.statement_id);
                    rows[part.clone()].iter().for_each(|row| tally.written(row.owner, &id));
                    written += part.len();
                    continue;
                }
                Err(failure) => failure,
            };
            match failure.fault {
                Some(Fault::Row | Fault::Constraint) if part.len() > 1 => {
                    let half = part.start + part.len() / 2;
                    open.push(half..part.end);
                    open.push(part.start..half);
                }
                Some(Fault::Row | Fault::Constraint) => {
                    refused.push((part.start, failure.error));
                    if refused.len() >= TELLING && written == 0 && !open.is_empty() {
                        let rest = open.iter().rev().cloned().flatten();
                        self.blame_table(rows, refused, rest, tally);
                        return None;
                    }
                }
                Some(Fault::Changed) => {
                    self.name(rows, refused, tally);
                    let left = part.chain(open.into_iter().rev().flatten()).collect();
                    return Some((left, failure.error.with_context("table", &self.job.table)));
                }
                _ => {
                    self.name(rows, refused, tally);
                    let left = part.chain(open.into_iter().rev().flatten()).map(|place| rows[place].owner);
                    fail(left, failure.error.with_context("table", &self.job.table), tally);
                    return None;
                }
            }
        }
        self.name(rows, refused, tally);
        None
    }

    /// Compares what a statement has inserted with what can be new to the table: a row that this process has written before
    /// cannot. More than that is a policy that hides rows from us, which Unity Catalog does not show.
    fn account(&self, rows: &[Row], statement: &Statement, known: &mut Known) {
        let keys: BTreeMap<u64, &Row> = rows.iter().map(|row| (row.key(), row)).collect();
        let again: Vec<&&Row> =
            keys.iter().filter(|(key, _)| known.written.has(**key)).map(|(_, row)| row).collect();
        let inserted = statement.count("num_inserted_rows").unwrap_or(0);
        if let Some(row) = again.first().filter(|_| inserted > (keys.len() - again.len()) as u64) {
            tracing::error!(
                table = %self.job.table,
                statement = %statement.statement_id,
                inserted,
                written_before = again.len(),
                "rows that were written before were inserted again: they were deleted, or a policy hides them"
            );
            known.suspect = Some((row.connection.clone(), row.entity.id.clone()));
        }
        keys.into_keys().for_each(|key| known.written.add(key));
    }

    /// Names rows that were refused alone.
    fn name(&self, rows: &[Row], refused: Vec<(usize, Error)>, tally: &mut Tally) {
        for (place, error) in refused {
            let named = error.with_context("row", &rows[place].entity).with_context("table", &self.job.table);
            tally.refused(rows[place].owner, named);
        }
    }

    /// Every row is refused: it is a rule of the table, and no row is given up for it.
    fn blame_table(
        &self,
        rows: &[Row],
        refused: Vec<(usize, Error)>,
        rest: impl Iterator<Item = usize>,
        tally: &mut Tally,
    ) {
        let Some((_, last)) = refused.last() else { return };
        let message = "the table refuses every row: it has a constraint or a type of its own. Change that, or the table's name";
        let class = last.context("class").unwrap_or("unknown").to_owned();
        let error = Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Lane)
            .with_context("table", &self.job.table)
            .with_context("class", class);
        let places: Vec<usize> = refused.into_iter().map(|(place, _)| place).chain(rest).collect();
        fail(places.into_iter().map(|place| rows[place].owner), error, tally);
    }

    /// One statement, or two where there is a change log.
    async fn send(&self, rows: &[Row], layout: &Layout, settles: bool) -> Result<Statement, Failure> {
        if self.ctx.time_left() < LEAST_TIME {
            let now = self.ctx.now();
            return Err(Error::new(ErrorKind::RateLimited, "the batch goes on with the next attempt")
                .with_effect(Effect::Unknown)
                .with_retry(Retry::At(now))
                .into());
        }
        let seqs = self.seqs(rows.iter().map(|row| row.owner));
        let run = Run { parts: self.parts, ctx: self.ctx, notes: self.notes, seqs: &seqs };
        // The log keeps every change; what is only current needs the latest.
        let sent: Vec<&Row> = if self.parts.change_log { rows.iter().collect() } else { latest(rows) };
        let bytes: usize = sent.iter().map(|row| row.json.len() + 1).sum();
        let ingested_at = self.ctx.now().to_string();
        let ingested = Parameter { name: "ingested_at", kind: "STRING", value: &ingested_at };
        match self.parts.volume.as_ref().filter(|_| bytes > self.parts.max_parameter_bytes) {
            None => {
                let batch = array(&sent);
                let parameters = [Parameter { name: "batch", kind: "STRING", value: &batch }, ingested];
                self.statements(&run, layout, &Source::Parameter, &parameters, WAIT, settles).await
            }
            Some(volume) => {
                let staged = self.parts.stage(self.ctx, volume, &self.job.table, lines(&sent)).await?;
                // Its id is noted at once: a large batch takes its time.
                let source = Source::File(&staged.path);
                let sent = self.statements(&run, layout, &source, &[ingested], Duration::ZERO, settles).await;
                let ended =
                    sent.as_ref().err().is_none_or(|failure| failure.error.effect() != Effect::Unknown);
                if ended {
                    self.parts.unstage(self.ctx, volume, &staged).await;
                }
                sent
            }
        }
    }

    async fn statements(
        &self,
        run: &Run<'_>,
        layout: &Layout,
        source: &Source<'_>,
        parameters: &[Parameter<'_>],
        wait: Duration,
        settles: bool,
    ) -> Result<Statement, Failure> {
        if self.parts.change_log {
            run.statement(&append(&self.job.table.change_log(), source), parameters, wait, false).await?;
        }
        let ended = run.statement(&merge(&self.job.table, layout, source), parameters, wait, settles).await?;
        tracing::debug!(
            table = %self.job.table,
            statement = %ended.statement_id,
            inserted = ended.count("num_inserted_rows"),
            updated = ended.count("num_updated_rows"),
            "rows were written"
        );
        Ok(ended)
    }
}

/// The same error for every delivery once.
fn fail(owners: impl IntoIterator<Item = usize>, error: Error, tally: &mut Tally) {
    let error = Arc::new(error);
    owners.into_iter().for_each(|owner| tally.waits(owner, again(&error)));
}
