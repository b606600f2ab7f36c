//! The rows of a batch in as few statements as may be, and in halves where one of them is refused, until that is found.

use std::{collections::BTreeSet, sync::Arc};

use ml_connector_core::{Error, ErrorKind, Scope};

use super::{
    run::Failure,
    tally::Tally,
    write::{Work, fail},
};
use crate::{
    error::{Fault, again},
    rows::{Row, Rows, cuts},
    sql::Layout,
    tables::{Fate, Known, Search},
};

/// A statement that decodes more rows from a parameter takes longer than a staged file.
const MOST_ROWS: usize = 5_000;
/// When so many rows are refused one by one, and none is taken between them, it may not be the rows …
const TELLING: usize = 3;
/// … and so many others, from all over the batch, are tried before the table is blamed.
const OTHERS: usize = 4;

/// The places of some rows of a batch.
type Part = Vec<usize>;

impl Work<'_> {
    /// Writes rows. `Some`: these are left, because the table has changed.
    pub(super) async fn put(
        &self,
        batch: &Rows,
        layout: &Layout,
        known: &mut Known,
        tally: &mut Tally,
    ) -> Option<(Part, Failure)> {
        let rows = &batch.rows;
        let mut refused: Vec<(usize, Arc<Error>)> = Vec::new();
        let (mut open, mut search) = self.begin(rows, known, &mut refused, tally);
        // A delivery that has a row elsewhere, or one that was refused, is not done with this statement.
        let whole = !self.several && rows.iter().all(|row| tally.is_clean(row.owner));
        let (mut written, mut telling, mut asked_others) = (0, TELLING, false);
        while let Some(part) = open.pop() {
            let settles = whole && part.len() == rows.len();
            let failure = match self.send(batch, &part, layout, settles, known, tally).await {
                Ok(id) => {
                    (known.refusals, known.troubled) = (0, None);
                    written += part.len();
                    for place in part {
                        tally.written(rows[place].owner, &id);
                        search.note(rows[place].change(), Fate::Written(Arc::clone(&id)));
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            match failure.fault {
                Some(Fault::Row | Fault::Constraint) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    open.extend([second.to_vec(), first.to_vec()]);
                }
                Some(Fault::Row | Fault::Constraint) => {
                    let demanded = layout.demands.as_deref().filter(|_| is_about_null(&failure.error));
                    let error = Arc::new(failure.error);
                    for place in part {
                        search.note(rows[place].change(), Fate::Refused(Arc::clone(&error)));
                        refused.push((place, Arc::clone(&error)));
                    }
                    if written > 0 {
                        continue;
                    }
                    known.refusals += 1;
                    if known.refusals < telling && demanded.is_none() {
                        continue;
                    }
                    if !asked_others && demanded.is_none() && !open.is_empty() {
                        asked_others = true;
                        telling = known.refusals + spread(&mut open);
                        continue;
                    }
                    let places = refused.iter().map(|(place, _)| *place).chain(open.into_iter().flatten());
                    fail(places.map(|place| rows[place].owner), self.blame_table(&error, demanded), tally);
                    return None;
                }
                Some(Fault::Changed) => {
                    self.name(rows, refused, tally);
                    return Some((
                        part.into_iter().chain(open.into_iter().rev().flatten()).collect(),
                        failure,
                    ));
                }
                _ => {
                    self.name(rows, refused, tally);
                    open.push(part);
                    let owners: Vec<_> = open.iter().flatten().map(|place| rows[*place].owner).collect();
                    for (number, part) in open.iter().rev().enumerate() {
                        part.iter().for_each(|place| search.note(rows[*place].change(), Fate::Open(number)));
                    }
                    known.search = search;
                    fail(owners, self.waits(failure, known).await, tally);
                    return None;
                }
            }
        }
        self.name(rows, refused, tally);
        None
    }

    /// What is to be written, the first part last: what an earlier attempt left, in its parts, and then what is new.
    fn begin(
        &self,
        rows: &[Row],
        known: &mut Known,
        refused: &mut Vec<(usize, Arc<Error>)>,
        tally: &mut Tally,
    ) -> (Vec<Part>, Search) {
        let (earlier, mut search) = (std::mem::take(&mut known.search), Search::default());
        let mut groups: Vec<Part> = Vec::new();
        let mut fresh = Part::new();
        for (place, row) in rows.iter().enumerate() {
            let fate = earlier.of(row.change());
            if let Some(fate) = fate {
                search.note(row.change(), fate.clone());
            }
            match fate {
                Some(Fate::Written(id)) => tally.written(row.owner, id),
                Some(Fate::Refused(error)) => refused.push((place, Arc::clone(error))),
                Some(Fate::Open(number)) => {
                    groups.resize_with(groups.len().max(number + 1), Part::new);
                    groups[*number].push(place);
                }
                None => fresh.push(place),
            }
        }
        groups.push(fresh);
        let mut open: Vec<Part> = Vec::new();
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let of: Vec<&Row> = group.iter().map(|place| &rows[*place]).collect();
            let bytes: usize = of.iter().map(|row| row.bytes()).sum();
            let staged = bytes > self.parts.max_parameter_bytes && self.parts.volume.is_some();
            let most = if staged { self.parts.max_bytes } else { self.parts.max_parameter_bytes };
            let cuts = cuts(&of, most, if staged { usize::MAX } else { MOST_ROWS });
            open.extend(cuts.into_iter().map(|cut| group[cut].to_vec()));
        }
        open.reverse();
        (open, search)
    }

    /// Names rows that were refused alone.
    fn name(&self, rows: &[Row], refused: Vec<(usize, Arc<Error>)>, tally: &mut Tally) {
        for (place, error) in refused {
            let named = again(&error).with_context("row", &rows[place].entity);
            tally.refused(rows[place].owner, named.with_context("table", &self.job.table));
        }
    }

    /// Every row is refused: it is a rule of the table, and no row is given up for it.
    fn blame_table(&self, last: &Error, demanded: Option<&str>) -> Error {
        let message = match demanded {
            Some(_) => {
                "the table has a column of its own that must have a value: let it be null, or give it a default"
            }
            None => {
                "the table refuses every row: it has a constraint or a type of its own. Change that, or the table's name"
            }
        };
        let error = Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Lane)
            .with_context("table", &self.job.table)
            .with_context("class", last.context("class").unwrap_or("unknown"));
        match demanded {
            Some(column) => error.with_context("column", column),
            None => error,
        }
    }
}

/// Takes some rows out of what is open, from its end, its middle and between, to be tried alone and next. Returns how many.
fn spread(open: &mut Vec<Part>) -> usize {
    let last = open.iter().map(Vec::len).sum::<usize>().saturating_sub(1);
    let chosen: BTreeSet<usize> = (1..=OTHERS).map(|step| last * step / OTHERS).collect();
    let (mut at, mut others) = (0, Vec::new());
    for part in open.iter_mut() {
        part.retain(|place| {
            let is_chosen = chosen.contains(&at);
            if is_chosen {
                others.push(vec![*place]);
            }
            at += 1;
            !is_chosen
        });
    }
    open.retain(|part| !part.is_empty());
    let count = others.len();
    open.extend(others);
    count
}

/// Whether a column without a value was refused.
fn is_about_null(error: &Error) -> bool {
    error.context("class").is_some_and(|class| class.contains("NOT_NULL"))
}
