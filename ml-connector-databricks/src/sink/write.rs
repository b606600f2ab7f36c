//! A batch into its tables: rows that can be written are, and one that cannot is found and named.

use std::{collections::HashSet, sync::Arc};

use ml_connector_core::{
    AttemptNotes, Context, Error, ErrorKind, Result, Scope,
    model::{Columns, Delivery, EntityRef, Event, Seq},
};

use super::{Parts, no_columns, run::Run, tally::Tally};
use crate::{
    destination,
    error::again,
    rows::{Encoder, Origin, Rows},
    sql::{Layout, TableName},
    tables::Known,
};

/// How often a table that changes under our hands is looked at anew.
const CHANGES: u32 = 2;

/// Rows for one table, of one form.
pub(super) struct Job<'a> {
    pub(super) table: TableName,
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
pub(super) struct Work<'a> {
    pub(super) parts: &'a Parts,
    pub(super) ctx: &'a Context,
    notes: &'a dyn AttemptNotes,
    batch: &'a [Delivery],
    pub(super) job: &'a Job<'a>,
    /// Whether a delivery may have rows in other tables, too.
    pub(super) several: bool,
}

impl Work<'_> {
    async fn make(&self, known: &mut Known, tally: &mut Tally) {
        let mut changed = 0;
        let mut events = self.job.events.clone();
        loop {
            let owners: Vec<usize> = events.iter().map(|(owner, _)| *owner).collect();
            let seqs = self.seqs(owners.iter().copied());
            let layout =
                match self.parts.prepare(&self.run(&seqs), &self.job.table, &self.job.columns, known).await {
                    Ok(layout) => layout,
                    Err(failure) => return fail(owners, self.waits(failure, known).await, tally),
                };
            let rows = self.encode(&events, &layout, tally);
            let Some((left, failure)) = self.put(&rows, &layout, known, tally).await else { return };
            known.layouts.clear();
            known.change_log = None;
            changed += 1;
            if changed > CHANGES {
                let error = self.waits(failure, known).await;
                return fail(left.iter().map(|place| rows.rows[*place].owner), error, tally);
            }
            // The table has changed: what is left is written in the form that it has now.
            let left: HashSet<_> = left.iter().map(|place| of(&rows, *place)).collect();
            events.retain(|(owner, event)| left.contains(&(*owner, &event.entity, event.epoch, event.n)));
        }
    }

    pub(super) fn run<'a>(&'a self, seqs: &'a [Seq]) -> Run<'a> {
        Run { parts: self.parts, ctx: self.ctx, notes: self.notes, seqs }
    }

    pub(super) fn seqs(&self, owners: impl Iterator<Item = usize>) -> Vec<Seq> {
        let mut seqs: Vec<Seq> = owners.map(|owner| self.batch[owner].seq).collect();
        seqs.dedup();
        seqs
    }

    fn encode(&self, events: &[(usize, &Event)], layout: &Layout, tally: &mut Tally) -> Rows {
        let most = match self.parts.volume {
            Some(_) => self.parts.max_bytes,
            None => self.parts.max_parameter_bytes,
        };
        let raw = events.iter().filter_map(|(_, event)| event.raw.as_ref()).map(|raw| raw.get().len());
        let mut encoder = Encoder::new(&self.job.columns, layout, most, (events.len(), raw.sum()));
        for (owner, event) in events {
            let Some(feeding) = self.parts.feeding.get(&event.connection) else { continue };
            let origin = Origin {
                system: feeding.system,
                account: &feeding.account,
                change_log: self.parts.change_log,
            };
            if let Err(error) = encoder.add(*owner, event, origin) {
                tally.refused(
                    *owner,
                    error.with_context("row", &event.entity).with_context("table", &self.job.table),
                );
            }
        }
        encoder.finish()
    }
}

/// What tells a row of a batch from every other.
fn of(rows: &Rows, place: usize) -> (usize, &EntityRef, u64, u64) {
    let row = &rows.rows[place];
    (row.owner, &row.entity, row.epoch, row.n)
}

/// The same error for every delivery once.
pub(super) fn fail(owners: impl IntoIterator<Item = usize>, error: Error, tally: &mut Tally) {
    let error = Arc::new(error);
    owners.into_iter().for_each(|owner| tally.waits(owner, again(&error)));
}
