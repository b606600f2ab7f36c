//! Statements on their way: each begins, runs, and takes effect at one instant.

use ml_connector_core::Timestamp;

use super::{
    super::{
        State,
        results::Cells,
        sql::{
            Access, SqlError,
            catalog::{Database, Row, Table},
        },
    },
    Failed, MAX_INLINE_BYTES, Phase,
};

/// Brings all statements to where they are now: each begins, runs, and takes effect at one instant.
pub(in crate::databricks) fn settle(state: &mut State, now: Timestamp) {
    loop {
        // A warehouse that could not start may do so by now.
        for run in
            state.runs.iter_mut().filter(|run| run.starts.is_none() && matches!(run.phase, Phase::Pending))
        {
            run.starts = state.warehouses.get_mut(&run.warehouse).and_then(|warehouse| warehouse.wake(now));
        }
        state.warehouses.values_mut().for_each(|warehouse| warehouse.settle(now));
        let due = state.runs.iter().enumerate().filter_map(|(at, run)| {
            let starts = run.starts?;
            match run.phase {
                Phase::Pending => Some((starts, at)),
                Phase::Running => Some((starts + run.runs_for, at)),
                _ => None,
            }
        });
        let Some((instant, at)) = due.min().filter(|(instant, _)| *instant <= now) else { return };
        if let Phase::Pending = state.runs[at].phase {
            begin(state, at);
        } else {
            end(state, at, instant);
        }
    }
}

fn begin(state: &mut State, at: usize) {
    let target = target(state, at);
    let versions = target.as_ref().and_then(|(name, _)| versions(state, name));
    let doubles = target.as_ref().filter(|_| state.tuning.doubles_inserts);
    let began_with = doubles.and_then(|(name, _)| self::table(&state.database, name).cloned());
    let run = &mut state.runs[at];
    run.began_at = versions;
    run.began_with = began_with;
    run.phase = Phase::Running;
}

fn target(state: &State, at: usize) -> Option<([String; 3], Access)> {
    let run = state.runs.get(at)?;
    run.parsed.as_ref().ok()?.writes(&run.session)
}

fn versions(state: &State, name: &[String; 3]) -> Option<(u64, u64)> {
    let table = table(&state.database, name)?;
    Some((table.version, table.metadata_version))
}

fn end(state: &mut State, at: usize, instant: Timestamp) {
    let target = target(state, at);
    let planted = state.failures.iter().position(|failure| state.runs[at].text.contains(&failure.statement));
    let planted = planted.map(|place| state.failures.remove(place));
    let before = planted.as_ref().is_some_and(|failure| !failure.after_commit);
    let mut outcome = match conflict(state, at, target.as_ref()) {
        Some(conflict) => Phase::Failed(conflict),
        None if before => Phase::Pending,
        None => executed(state, at),
    };
    if let (Some(failure), Phase::Pending | Phase::Succeeded(_)) = (planted, &outcome) {
        outcome = Phase::Failed(Failed {
            error_code: failure.error_code,
            message: failure.message,
            sql_state: failure.sql_state,
        });
    }
    let run = &mut state.runs[at];
    run.phase = outcome;
    run.ended = Some(instant);
}

fn conflict(state: &mut State, at: usize, target: Option<&([String; 3], Access)>) -> Option<Failed> {
    let (name, access) = target?;
    let planted = *access == Access::Rewrites && state.tuning.conflicts > 0;
    state.tuning.conflicts -= u32::from(planted);
    let (version, metadata) = versions(state, name)?;
    let (began, began_metadata) = state.runs[at].began_at.unwrap_or((version, metadata));
    let full = name.join(".");
    let (class, text) = if metadata != began_metadata || (*access == Access::Metadata && version != began) {
        (
            "DELTA_METADATA_CHANGED",
            "The metadata of the Delta table has been changed by a concurrent update.".to_owned(),
        )
    } else if planted || (*access == Access::Rewrites && version != began && !state.tuning.doubles_inserts) {
        (
            "DELTA_CONCURRENT_APPEND.WITHOUT_HINT",
            format!(
                "Transaction conflict detected. a concurrent MERGE added data to table {full} committed at version \
                 {version}. The concurrent operation modified data that should have been read by this operation."
            ),
        )
    } else {
        return None;
    };
    Some(Failed::from(&SqlError::new(class, "2D521", format!("{text} Please retry the operation."))))
}

fn executed(state: &mut State, at: usize) -> Phase {
    let State { runs, database, warehouses, .. } = state;
    let run = &runs[at];
    let parsed = match &run.parsed {
        Ok(parsed) => parsed,
        Err(error) => return Phase::Failed(error.into()),
    };
    if parsed.changes() && warehouses.get(&run.warehouse).is_some_and(|warehouse| warehouse.only_reads()) {
        let sentence = "The operation is not supported: this warehouse only reads.";
        return Phase::Failed(
            (&SqlError::new("UNSUPPORTED_FEATURE.WRITE_ON_WAREHOUSE", "0A000", sentence)).into(),
        );
    }
    let overlapped =
        parsed.writes(&run.session).zip(run.began_with.clone()).filter(|((name, access), began)| {
            let now = table(database, name).map(|table| table.version);
            *access == Access::Rewrites && now.is_some_and(|now| now != began.version)
        });
    let doubles = overlapped.map(|((name, _), began)| {
        let rows = doubled(database, &name, began, |database| parsed.execute(database, &run.session).is_ok());
        (name, rows)
    });
    let executed = parsed.execute(database, &run.session);
    if let (Some((name, rows)), true) = (doubles, executed.is_ok())
        && let Some(table) = table_mut(database, &name)
    {
        table.rows.extend(rows);
    }
    match executed {
        Err(error) => Phase::Failed((&error).into()),
        Ok(None) => Phase::Succeeded(None),
        Ok(Some(rows)) => {
            let cells = Cells::of(&rows, &run.session.zone, run.row_limit);
            if cells.bytes() > MAX_INLINE_BYTES {
                return Phase::Failed(Failed {
                    error_code: "BAD_REQUEST".to_owned(),
                    message: "Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result \
                              size of at most 26214400 bytes. Please execute the statement with \
                              disposition=EXTERNAL_LINKS if you want to download the full result."
                        .to_owned(),
                    sql_state: None,
                });
            }
            Phase::Succeeded(Some(cells))
        }
    }
}

/// The rows that a statement inserts into a table as it was when it began, and that are there now: they will be there twice.
fn doubled(
    database: &mut Database,
    name: &[String; 3],
    began: Table,
    execute: impl FnOnce(&mut Database) -> bool,
) -> Vec<Row> {
    let key = |row: &Row, of: &Table| {
        ["_connection", "_id"].map(|own| of.position(own).map(|place| row[place].clone()))
    };
    let keys = |of: &Table| of.rows.iter().map(|row| key(row, of)).collect::<Vec<_>>();
    let Some(table) = table_mut(database, name) else { return Vec::new() };
    let (before, now) = (keys(&began), keys(table));
    let there = std::mem::replace(table, began);
    let is_done = execute(database);
    let Some(table) = table_mut(database, name) else { return Vec::new() };
    let then = std::mem::replace(table, there);
    let is_double = |row: &&Row| {
        let key = key(row, &then);
        is_done && !before.contains(&key) && now.contains(&key)
    };
    then.rows.iter().filter(is_double).cloned().collect()
}

fn table<'a>(database: &'a Database, [catalog, schema, name]: &[String; 3]) -> Option<&'a Table> {
    database.catalogs.get(catalog)?.get(schema)?.tables.get(name)
}

fn table_mut<'a>(database: &'a mut Database, [catalog, schema, name]: &[String; 3]) -> Option<&'a mut Table> {
    database.catalogs.get_mut(catalog)?.get_mut(schema)?.tables.get_mut(name)
}
