//! INSERT, UPDATE, DELETE and MERGE executed. Each computes all rows first and then commits them at once.

use std::sync::Arc;

use super::{
    ast::{Assignment, Expr, Merge, MergeAction, MergeClause, Query, Target, When},
    bind::{Binder, Scope, Session, converted},
    cast::{self, Kind},
    catalog::{Database, Row, Table},
    error::{Sql, SqlError, quoted},
    eval::{Bound, Frame, Typed},
    matching::Matcher,
    position::Position,
    read::{self, Policies},
    rows::Rows,
    select::Reader,
    types::{DataType, Value},
};

/// How many rows a statement changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) inserted: usize,
    pub(crate) updated: usize,
    pub(crate) deleted: usize,
}

pub(crate) fn insert(
    database: &mut Database,
    session: &Session,
    name: &[String; 3],
    at: Position,
    columns: Option<&[String]>,
    source: &Query,
) -> Sql<Counts> {
    let table = writable(database, name, at, false)?;
    let source = Reader::new(database, session).query(source)?;
    let places: Vec<usize> = match columns {
        None => (0..table.columns.len()).collect(),
        Some(names) => {
            let place = |name: &String| {
                table.position(name).ok_or_else(|| no_column(table, std::slice::from_ref(name), at))
            };
            names.iter().map(place).collect::<Sql<_>>()?
        }
    };
    if places.len() != source.columns.len() {
        let sentence = format!(
            "Cannot write to {}, the reason is the number of columns: the table takes {}, the data have {}.",
            quoted(name),
            places.len(),
            source.columns.len()
        );
        return Err(SqlError::new("INSERT_COLUMN_ARITY_MISMATCH", "21S01", sentence));
    }
    for (place, column) in places.iter().zip(&source.columns) {
        cast::check_assignment(&table.columns[*place].name, &column.ty, &table.columns[*place].ty)?;
    }
    let checks = Checks::of(table, session)?;
    let mut rows = table.rows.clone();
    for row in &source.rows {
        let mut new = vec![Value::Null; table.columns.len()];
        for ((place, column), value) in places.iter().zip(&source.columns).zip(&**row) {
            let to = &table.columns[*place].ty;
            new[*place] = cast::cast(value, &column.ty, to, Kind::Assignment, &session.zone)?;
        }
        let new = new.into();
        checks.hold(&new, table, session)?;
        rows.push(new);
    }
    commit(database, session, name, at, rows)?;
    Ok(Counts { inserted: source.rows.len(), ..Counts::default() })
}

pub(crate) fn update(
    database: &mut Database,
    session: &Session,
    target: &Target,
    set: &[Assignment],
    filter: Option<&Expr>,
) -> Sql<Counts> {
    let name = session.resolve(&target.name)?;
    let at = target.name.at;
    let table = writable(database, &name, at, true)?;
    let scope = Scope(read::scope(table, &qualifier(target, &name), 0));
    let mut binder = Binder::new(&scope, session);
    let set = assignments(table, set, &mut binder)?;
    let filter = filter.map(|filter| binder.condition(filter)).transpose()?;
    let policies = Policies::of(table, session)?;
    let checks = Checks::of(table, session)?;
    let mut counts = Counts::default();
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        match chosen(row, &policies, filter.as_ref(), session)? {
            None => rows.push(row.clone()),
            Some(seen) => {
                let new = assigned(row, &set, Frame::of(&seen), session)?;
                checks.hold(&new, table, session)?;
                rows.push(new);
                counts.updated += 1;
            }
        }
    }
    commit(database, session, &name, at, rows)?;
    Ok(counts)
}

pub(crate) fn delete(
    database: &mut Database,
    session: &Session,
    target: &Target,
    filter: Option<&Expr>,
) -> Sql<Counts> {
    let name = session.resolve(&target.name)?;
    let at = target.name.at;
    let table = writable(database, &name, at, true)?;
    let scope = Scope(read::scope(table, &qualifier(target, &name), 0));
    let filter = filter.map(|filter| Binder::new(&scope, session).condition(filter)).transpose()?;
    let policies = Policies::of(table, session)?;
    let mut counts = Counts::default();
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        match chosen(row, &policies, filter.as_ref(), session)? {
            None => rows.push(row.clone()),
            Some(_) => counts.deleted += 1,
        }
    }
    commit(database, session, &name, at, rows)?;
    Ok(counts)
}

/// A row as it is seen, if it is seen and the condition holds.
fn chosen(row: &Row, policies: &Policies, filter: Option<&Bound>, session: &Session) -> Sql<Option<Row>> {
    let Some(seen) = policies.seen(row, session)? else { return Ok(None) };
    match filter {
        Some(filter) if !filter.eval(Frame::of(&seen), &session.zone)?.is_true() => Ok(None),
        _ => Ok(Some(seen)),
    }
}

/// What a clause of a MERGE does to a row.
enum Action {
    Set(Vec<(usize, Bound)>),
    Delete,
}

struct Clause {
    when: When,
    condition: Option<Bound>,
    action: Action,
}

pub(crate) fn merge(database: &mut Database, session: &Session, merge: &Merge) -> Sql<Counts> {
    let name = session.resolve(&merge.target.name)?;
    let at = merge.target.name.at;
    let table = writable(database, &name, at, true)?;
    let policies = Policies::of(table, session)?;
    if policies.exist() && session.policies_refuse_merge {
        let sentence = format!(
            "Error using row filters or column masks: MERGE INTO operations do not support writing into table {} with \
             row level security or column masks.",
            quoted(&name)
        );
        return Err(SqlError::new("ROW_COLUMN_ACCESS.MERGE_UNSUPPORTED_TARGET", "0A000", sentence));
    }
    let source = Reader::new(database, session).relation(&merge.source)?;
    let (on, clauses) = bound(table, &qualifier(&merge.target, &name), &source, merge, session)?;
    let checks = Checks::of(table, session)?;
    let matcher = Matcher::new(Some(on), &source.rows, session)?;
    let updates_matched = clauses.iter().any(|clause| clause.when == When::Matched);
    // Several matches are harmless only where every matched row is deleted anyway.
    let only_deletes = clauses
        .iter()
        .filter(|clause| clause.when == When::Matched)
        .all(|clause| matches!((&clause.action, &clause.condition), (Action::Delete, None)));

    let nothing = vec![Value::Null; source.columns.len()];
    let mut matched_sources = vec![false; source.rows.len()];
    let mut counts = Counts::default();
    // Most rows stay as they are.
    let (mut changed, mut new_rows) = (Vec::new(), Vec::new());
    for (place, row) in table.rows.iter().enumerate() {
        let masked;
        let seen = if policies.exist() {
            // A hidden row is not there: it does not match, and it is not "not matched by source" either.
            let Some(seen) = policies.seen(row, session)? else { continue };
            masked = seen;
            &masked
        } else {
            row
        };
        let matches = matcher.matches(seen, &source.rows, session)?;
        matches.iter().for_each(|at| matched_sources[*at] = true);
        if matches.len() > 1 && updates_matched && !only_deletes {
            return Err(SqlError::new(
                "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
                "21506",
                "Cannot perform Merge as multiple source rows matched and attempted to modify the same target row in \
                 the Delta table in possibly conflicting ways.",
            ));
        }
        let (when, from) = match matches.first() {
            Some(at) => (When::Matched, &*source.rows[*at]),
            None => (When::NotMatchedBySource, &nothing[..]),
        };
        let frame = Frame([seen, from, &[]]);
        match first(&clauses, when, frame, session)? {
            None => {}
            Some(Action::Delete) => {
                changed.push((place, None));
                counts.deleted += 1;
            }
            Some(Action::Set(set)) => {
                let new = assigned(row, set, frame, session)?;
                checks.hold(&new, table, session)?;
                changed.push((place, Some(new)));
                counts.updated += 1;
            }
        }
    }
    let blank: Row = vec![Value::Null; table.columns.len()].into();
    for (from, _) in source.rows.iter().zip(&matched_sources).filter(|(_, matched)| !**matched) {
        let frame = Frame([&[], from, &[]]);
        if let Some(Action::Set(set)) = first(&clauses, When::NotMatched, frame, session)? {
            let new = assigned(&blank, set, frame, session)?;
            checks.hold(&new, table, session)?;
            new_rows.push(new);
            counts.inserted += 1;
        }
    }
    if table.properties.get("delta.appendOnly").is_some_and(|only| only == "true")
        && counts.updated + counts.deleted > 0
    {
        return Err(append_only(&name));
    }
    database.table_mut(&name, at)?.patched(changed, new_rows, session.now / 1000);
    Ok(counts)
}

/// The condition and the clauses of a MERGE, settled. The target is the frame's first row, the source its second.
fn bound(
    table: &Table,
    qualifier: &[String],
    source: &Rows,
    merge: &Merge,
    session: &Session,
) -> Sql<(Bound, Vec<Clause>)> {
    let target_scope = read::scope(table, qualifier, 0);
    let source_scope = Scope(source.scope(1));
    let both = Scope(target_scope.iter().chain(&source_scope.0).cloned().collect());
    let target_only = Scope(target_scope);
    let on = Binder::new(&both, session).condition(&merge.on)?;
    let clause = |clause: &MergeClause| {
        let scope = match clause.when {
            When::Matched => &both,
            When::NotMatched => &source_scope,
            When::NotMatchedBySource => &target_only,
        };
        let mut binder = Binder::new(scope, session);
        let condition = clause.condition.as_ref().map(|condition| binder.condition(condition)).transpose()?;
        let action = match &clause.action {
            MergeAction::Delete => Action::Delete,
            MergeAction::Update(set) | MergeAction::Insert { columns: set } => {
                Action::Set(assignments(table, set, &mut binder)?)
            }
            MergeAction::UpdateAll | MergeAction::InsertAll => {
                Action::Set(every_column(table, &source_scope, merge)?)
            }
        };
        Ok(Clause { when: clause.when, condition, action })
    };
    Ok((on, merge.clauses.iter().map(clause).collect::<Sql<_>>()?))
}

/// `UPDATE SET *` and `INSERT *`: the source must have every column of the target.
fn every_column(table: &Table, source: &Scope, merge: &Merge) -> Sql<Vec<(usize, Bound)>> {
    let mut set = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let found = source.0.iter().find(|known| super::catalog::same(&known.name, &column.name));
        let Some(found) = found else {
            let sentence = format!(
                "Cannot resolve {} in UPDATE or INSERT clause given columns of the source.",
                column.name
            );
            return Err(SqlError::new("DELTA_MERGE_UNRESOLVED_EXPRESSION", "42601", sentence)
                .at(merge.target.name.at));
        };
        let value = Typed { expr: Bound::Column(found.row, found.at), ty: found.ty.clone() };
        set.push((place, stored(&column.name, value, &column.ty)?));
    }
    Ok(set)
}

fn first<'a>(
    clauses: &'a [Clause],
    when: When,
    frame: Frame<'_>,
    session: &Session,
) -> Sql<Option<&'a Action>> {
    for clause in clauses.iter().filter(|clause| clause.when == when) {
        match &clause.condition {
            Some(condition) if !condition.eval(frame, &session.zone)?.is_true() => {}
            _ => return Ok(Some(&clause.action)),
        }
    }
    Ok(None)
}

fn assignments(table: &Table, set: &[Assignment], binder: &mut Binder<'_>) -> Sql<Vec<(usize, Bound)>> {
    let mut bound: Vec<(usize, Bound)> = Vec::new();
    for Assignment { column, value, at } in set {
        // `t.total` and `total` are the same column.
        let place = column
            .last()
            .and_then(|name| table.position(name))
            .ok_or_else(|| no_column(table, column, *at))?;
        if bound.iter().any(|(taken, _)| *taken == place) {
            let sentence = format!("Conflicting assignments to the column {}.", quoted(column));
            return Err(SqlError::new("DELTA_CONFLICT_SET_COLUMN", "42701", sentence));
        }
        let value = binder.bind(value)?;
        bound.push((place, stored(&table.columns[place].name, value, &table.columns[place].ty)?));
    }
    Ok(bound)
}

fn stored(column: &str, value: Typed, to: &DataType) -> Sql<Bound> {
    cast::check_assignment(column, &value.ty, to)?;
    Ok(converted(value, to, Kind::Assignment).expr)
}

fn assigned(row: &Row, set: &[(usize, Bound)], frame: Frame<'_>, session: &Session) -> Sql<Row> {
    let mut new: Row = row.iter().cloned().collect();
    let values = Arc::get_mut(&mut new).expect("nobody else has it yet");
    for (place, value) in set {
        values[*place] = match value.direct(frame) {
            Some(value) => value.clone(),
            None => value.eval(frame, &session.zone)?,
        };
    }
    Ok(new)
}

/// NOT NULL and CHECK constraints.
struct Checks(Vec<Bound>);

impl Checks {
    fn of(table: &Table, session: &Session) -> Sql<Self> {
        let scope = Scope(read::scope(table, &[], 0));
        let mut binder = Binder::new(&scope, session);
        table.checks.iter().map(|check| binder.condition(&check.condition)).collect::<Sql<_>>().map(Self)
    }

    fn hold(&self, row: &Row, table: &Table, session: &Session) -> Sql<()> {
        for (column, value) in table.columns.iter().zip(&**row) {
            if column.not_null && value.is_null() {
                let sentence = format!("NOT NULL constraint violated for column: {}.", column.name);
                return Err(SqlError::new("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502", sentence));
            }
        }
        for (condition, check) in self.0.iter().zip(&table.checks) {
            // Unknown is not good enough.
            if !condition.eval(Frame::of(row), &session.zone)?.is_true() {
                let values = table.columns.iter().zip(&**row);
                let values =
                    values.filter(|(column, _)| check.text.contains(&column.name)).map(|(column, value)| {
                        format!("\n - {} : {}", column.name, cast::text(value, &column.ty, &session.zone))
                    });
                let sentence = format!(
                    "CHECK constraint {} ({}) violated by row with values:{}",
                    check.name,
                    check.text,
                    values.collect::<String>()
                );
                return Err(SqlError::new("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001", sentence));
            }
        }
        Ok(())
    }
}

/// The table to write to, if the principal may. All but INSERT read it, too.
fn writable<'a>(database: &'a Database, name: &[String; 3], at: Position, reads: bool) -> Sql<&'a Table> {
    let table = database.table(name, at)?;
    database.grants.require_use(&name[0], &name[1])?;
    let full = name.join(".");
    if reads {
        database.grants.require("SELECT", "Table", &full)?;
    }
    database.grants.require("MODIFY", "Table", &full)?;
    Ok(table)
}

fn commit(
    database: &mut Database,
    session: &Session,
    name: &[String; 3],
    at: Position,
    rows: Vec<Row>,
) -> Sql<()> {
    database.table_mut(name, at)?.committed(rows, session.now / 1000);
    Ok(())
}

fn qualifier(target: &Target, name: &[String; 3]) -> Vec<String> {
    target.alias.clone().map_or_else(|| name.to_vec(), |alias| vec![alias])
}

fn no_column(table: &Table, column: &[String], at: Position) -> SqlError {
    let known: Vec<_> = table.columns.iter().take(5).map(|column| quoted(&[&column.name])).collect();
    let sentence = format!(
        "A column, variable, or function parameter with name {} cannot be resolved. Did you mean one of the following? [{}].",
        quoted(column),
        known.join(", ")
    );
    SqlError::new("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", sentence).at(at)
}

fn append_only(name: &[String; 3]) -> SqlError {
    let sentence = format!(
        "This table is configured to only allow appends: {}. If you would like to permit updates or deletes, use \
         'ALTER TABLE SET TBLPROPERTIES (delta.appendOnly=false)'.",
        quoted(name)
    );
    SqlError::new("DELTA_CANNOT_MODIFY_APPEND_ONLY", "42809", sentence)
}
