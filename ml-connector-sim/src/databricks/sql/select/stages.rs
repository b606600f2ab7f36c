//! Rows on their way through a SELECT: filtered, numbered by windows, sorted.

use std::collections::HashMap;

use super::super::{
    bind::{BoundOrder, BoundWindow, Session},
    catalog::Row,
    error::Sql,
    eval::{Bound, Frame},
    types::Value,
};

/// One row on its way through a SELECT.
pub(super) struct Stage {
    pub(super) base: Row,
    pub(super) aggregates: Row,
    pub(super) windows: Row,
}

impl Stage {
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame([&self.base, &self.aggregates, &self.windows])
    }
}

pub(super) fn filtered(rows: Vec<Row>, filter: &Bound, session: &Session) -> Sql<Vec<Row>> {
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        if filter.eval(Frame::of(&row), &session.zone)?.is_true() {
            kept.push(row);
        }
    }
    Ok(kept)
}

pub(super) fn kept(stages: Vec<Stage>, filter: &Bound, session: &Session) -> Sql<Vec<Stage>> {
    let mut kept = Vec::with_capacity(stages.len());
    for stage in stages {
        if filter.eval(stage.frame(), &session.zone)?.is_true() {
            kept.push(stage);
        }
    }
    Ok(kept)
}

pub(super) fn windowed(stages: &mut [Stage], windows: &[BoundWindow], session: &Session) -> Sql<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let mut values = vec![vec![Value::Null; windows.len()]; stages.len()];
    for (column, window) in windows.iter().enumerate() {
        let mut partitions: HashMap<Vec<Value>, Vec<usize>> = HashMap::new();
        for (at, stage) in stages.iter().enumerate() {
            let key: Sql<Vec<_>> =
                window.partition_by.iter().map(|expr| expr.eval(stage.frame(), &session.zone)).collect();
            partitions.entry(key?).or_default().push(at);
        }
        for mut members in partitions.into_values() {
            let keys = sort(&mut members, &window.order_by, |at, expr| {
                expr.eval(stages[*at].frame(), &session.zone)
            })?;
            let (mut rank, mut dense) = (0_i64, 0_i64);
            for (number, at) in (1_i64..).zip(&members) {
                let place = usize::try_from(number - 1).unwrap_or_default();
                if number == 1 || keys[place] != keys[place - 1] {
                    rank = number;
                    dense += 1;
                }
                values[*at][column] = Value::Integer(match window.function.as_str() {
                    "rank" => rank,
                    "dense_rank" => dense,
                    _ => number,
                });
            }
        }
    }
    stages.iter_mut().zip(values).for_each(|(stage, values)| stage.windows = values.into());
    Ok(())
}

/// Sorts and keeps the order of equals. Returns the keys in the new order.
pub(super) fn sort<T>(
    items: &mut Vec<T>,
    orders: &[BoundOrder],
    key: impl Fn(&T, &Bound) -> Sql<Value>,
) -> Sql<Vec<Vec<Value>>> {
    if orders.is_empty() {
        return Ok(vec![Vec::new(); items.len()]);
    }
    let mut keyed = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let key: Sql<Vec<_>> = orders.iter().map(|order| key(&item, &order.expr)).collect();
        keyed.push((key?, item));
    }
    keyed.sort_by(|(left, _), (right, _)| by(orders.iter(), left, right));
    let mut keys = Vec::with_capacity(keyed.len());
    for (key, item) in keyed {
        keys.push(key);
        items.push(item);
    }
    Ok(keys)
}

pub(super) fn by<'a>(
    orders: impl Iterator<Item = &'a BoundOrder>,
    left: &[Value],
    right: &[Value],
) -> std::cmp::Ordering {
    let mut compared = orders.zip(left.iter().zip(right)).map(|(order, (left, right))| {
        match (left.is_null(), right.is_null()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) if order.nulls_first => std::cmp::Ordering::Less,
            (true, false) => std::cmp::Ordering::Greater,
            (false, true) if order.nulls_first => std::cmp::Ordering::Greater,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) if order.descending => right.compared(left),
            (false, false) => left.compared(right),
        }
    });
    compared.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}
