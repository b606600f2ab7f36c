//! What a query gives: its list computed, sorted, without doubles, and put together with others.

use std::collections::HashSet;

use super::{
    super::{
        bind::{BoundOrder, Session, common},
        cast::{self, Kind},
        catalog::Row,
        error::{Sql, SqlError},
        eval::Frame,
        rows::{ResultColumn, Rows},
        types::{DataType, Value},
    },
    items::Output,
    stages::{Stage, by},
};

/// What a sort key is computed from.
#[derive(Clone, Copy)]
pub(super) enum Sorted {
    Projected,
    Before,
}

/// The SELECT list computed, sorted.
pub(super) fn project(
    stages: &[Stage],
    outputs: &[Output],
    orders: &[(BoundOrder, Sorted)],
    only_distinct: bool,
    session: &Session,
) -> Sql<Rows> {
    let column = |name: String, ty: &DataType| ResultColumn { qualifier: Vec::new(), name, ty: ty.clone() };
    let mut columns = Vec::new();
    for output in outputs {
        match output {
            Output::One(typed, name) => columns.push(column(name.clone(), &typed.ty)),
            Output::Many(generator, alias) => match (&generator.columns[..], alias) {
                ([(_, ty)], Some(alias)) => columns.push(column(alias.clone(), ty)),
                (many, _) => columns.extend(many.iter().map(|(name, ty)| column((*name).to_owned(), ty))),
            },
        }
    }
    let mut projected: Vec<(usize, Row)> = Vec::with_capacity(stages.len());
    for (at, stage) in stages.iter().enumerate() {
        let mut lists: Vec<Vec<Value>> = vec![Vec::with_capacity(columns.len())];
        for output in outputs {
            match output {
                Output::One(typed, _) => {
                    let value = match typed.expr.direct(stage.frame()) {
                        Some(value) => value.clone(),
                        None => typed.expr.eval(stage.frame(), &session.zone)?,
                    };
                    match &mut lists[..] {
                        [list] => list.push(value),
                        lists => lists.iter_mut().for_each(|list| list.push(value.clone())),
                    }
                }
                Output::Many(generator, _) => {
                    let made = generator.rows(stage.frame(), session)?;
                    let start = lists.pop().unwrap_or_default();
                    lists = made.into_iter().map(|row| start.iter().cloned().chain(row).collect()).collect();
                }
            }
        }
        projected.extend(lists.into_iter().map(|list| (at, Row::from(list))));
    }
    if !orders.is_empty() {
        let mut keyed = Vec::with_capacity(projected.len());
        for (at, row) in projected {
            let mut key = Vec::with_capacity(orders.len());
            for (order, sorted) in orders {
                let frame = match sorted {
                    Sorted::Projected => Frame::of(&row),
                    Sorted::Before => stages[at].frame(),
                };
                key.push(order.expr.eval(frame, &session.zone)?);
            }
            keyed.push((key, at, row));
        }
        keyed.sort_by(|(left, ..), (right, ..)| by(orders.iter().map(|(order, _)| order), left, right));
        projected = keyed.into_iter().map(|(_, at, row)| (at, row)).collect();
    }
    let mut rows = projected.into_iter().map(|(_, row)| row).collect();
    if only_distinct {
        distinct(&mut rows);
    }
    Ok(Rows { columns, rows })
}

pub(super) fn distinct(rows: &mut Vec<Row>) {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.clone()));
}

pub(super) fn union(left: Rows, right: Rows, session: &Session) -> Sql<Rows> {
    if left.columns.len() != right.columns.len() {
        let sentence = "UNION can only be performed on inputs with the same number of columns.";
        return Err(SqlError::new("NUM_COLUMNS_MISMATCH", "42826", sentence));
    }
    let mut columns = left.columns.clone();
    for (column, right) in columns.iter_mut().zip(&right.columns) {
        column.ty = common(&column.ty, &right.ty)?;
    }
    let mut rows = Vec::with_capacity(left.rows.len() + right.rows.len());
    for side in [left, right] {
        for row in side.rows {
            let cells = row.iter().zip(side.columns.iter().zip(&columns));
            let cells: Sql<Vec<_>> = cells
                .map(|(value, (from, to))| cast::cast(value, &from.ty, &to.ty, Kind::Ansi, &session.zone))
                .collect();
            rows.push(cells?.into());
        }
    }
    Ok(Rows { columns, rows })
}
