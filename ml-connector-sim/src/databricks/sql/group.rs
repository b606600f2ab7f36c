//! GROUP BY and aggregate functions.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    bind::{Aggregate, Session},
    catalog::Row,
    decimal::Decimal,
    error::{Sql, SqlError},
    eval::{Frame, Typed},
    types::{DataType, Value},
};

/// The rows of a grouped query, in the order their first members came: group values, and aggregates beside them.
/// Without GROUP BY all rows are one group, also when there are none.
pub(crate) fn grouped(
    rows: &[Row],
    groups: &[Typed],
    aggregates: &[Aggregate],
    session: &Session,
) -> Sql<Vec<(Row, Row)>> {
    let mut places: HashMap<Vec<Value>, usize> = HashMap::new();
    let mut order: Vec<(Row, Vec<Accumulator>)> = Vec::new();
    let fresh = || aggregates.iter().map(|_| Accumulator::default()).collect::<Vec<_>>();
    if groups.is_empty() {
        places.insert(Vec::new(), 0);
        order.push((Arc::from([]), fresh()));
    }
    for row in rows {
        let frame = Frame::of(row);
        let key: Sql<Vec<_>> = groups.iter().map(|group| group.expr.eval(frame, &session.zone)).collect();
        let key = key?;
        let place = *places.entry(key).or_insert_with_key(|key| {
            order.push((key.clone().into(), fresh()));
            order.len() - 1
        });
        for (aggregate, accumulator) in aggregates.iter().zip(&mut order[place].1) {
            let value = match &aggregate.arg {
                Some(arg) => arg.expr.eval(frame, &session.zone)?,
                None => Value::Boolean(true),
            };
            accumulator.add(aggregate, value)?;
        }
    }
    let finish = |(key, accumulators): (Row, Vec<Accumulator>)| {
        let values: Sql<Vec<_>> = aggregates
            .iter()
            .zip(accumulators)
            .map(|(aggregate, accumulator)| accumulator.finish(aggregate))
            .collect();
        Ok((key, values?.into()))
    };
    order.into_iter().map(finish).collect()
}

#[derive(Default)]
struct Accumulator {
    count: i64,
    value: Option<Value>,
    seen: HashSet<Value>,
}

impl Accumulator {
    /// NULL does not count.
    fn add(&mut self, aggregate: &Aggregate, value: Value) -> Sql<()> {
        if value.is_null() || (aggregate.distinct && !self.seen.insert(value.clone())) {
            return Ok(());
        }
        if aggregate.function == "count_if" && !value.is_true() {
            return Ok(());
        }
        self.count += 1;
        let kept = match (self.value.take(), aggregate.function.as_str()) {
            (_, "count" | "count_if") => return Ok(()),
            (None, _) => value,
            (Some(kept), "min") => {
                if value.compared(&kept).is_lt() {
                    value
                } else {
                    kept
                }
            }
            (Some(kept), "max") => {
                if value.compared(&kept).is_gt() {
                    value
                } else {
                    kept
                }
            }
            (Some(kept), "sum" | "avg") => sum(kept, value)?,
            (Some(kept), _) => kept,
        };
        self.value = Some(kept);
        Ok(())
    }

    fn finish(self, aggregate: &Aggregate) -> Sql<Value> {
        let Some(value) = self.value else {
            let counts = matches!(aggregate.function.as_str(), "count" | "count_if");
            return Ok(if counts { Value::Integer(self.count) } else { Value::Null });
        };
        match (value, &aggregate.ty) {
            (Value::Decimal(sum), DataType::Decimal { precision, scale }) => {
                let result = if aggregate.function == "avg" {
                    sum.checked_div(Decimal::whole(self.count), *scale)
                } else {
                    Some(sum)
                };
                let result = result.and_then(|result| result.rescaled(*precision, *scale));
                Ok(Value::Decimal(result.ok_or_else(overflow)?))
            }
            #[allow(clippy::cast_precision_loss)] // an average of doubles is not exact anyway
            (Value::Double(sum), _) if aggregate.function == "avg" => {
                Ok(Value::Double(sum / self.count as f64))
            }
            (value, _) => Ok(value),
        }
    }
}

fn sum(left: Value, right: Value) -> Sql<Value> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => {
            left.checked_add(right).map(Value::Integer).ok_or_else(overflow)
        }
        (Value::Decimal(left), Value::Decimal(right)) => {
            left.checked_add(right).map(Value::Decimal).ok_or_else(overflow)
        }
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        _ => Err(SqlError::unsupported("a sum of these values")),
    }
}

fn overflow() -> SqlError {
    SqlError::new(
        "ARITHMETIC_OVERFLOW",
        "22003",
        "Overflow in sum. Use 'try_sum' to tolerate overflow and return NULL instead.",
    )
}
