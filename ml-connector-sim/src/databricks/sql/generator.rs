//! `explode` and `posexplode`: many rows from one.

use super::{
    ast::Expr,
    bind::{Binder, Session},
    error::{Sql, SqlError},
    eval::{Bound, Frame, Typed},
    types::{DataType, Value},
};

/// `explode` or `posexplode`.
pub(super) struct Generator {
    of: Bound,
    pub(super) outer: bool,
    with_position: bool,
    /// Their usual names and their types.
    pub(super) columns: Vec<(&'static str, DataType)>,
}

impl Generator {
    /// `None` for any other expression.
    pub(super) fn bind(expr: &Expr, binder: &mut Binder<'_>) -> Sql<Option<Self>> {
        let Expr::Call(call) = expr else { return Ok(None) };
        let (with_position, outer) = match call.function.as_str() {
            "explode" => (false, false),
            "explode_outer" => (false, true),
            "posexplode" => (true, false),
            "posexplode_outer" => (true, true),
            _ => return Ok(None),
        };
        let [arg] = &call.args[..] else {
            return Err(SqlError::unsupported(format_args!("{} with these arguments", call.function)));
        };
        let Typed { expr: of, ty } = binder.bind(arg)?;
        let mut columns = if with_position { vec![("pos", DataType::Int)] } else { Vec::new() };
        match ty {
            DataType::Array(of) => columns.push(("col", *of)),
            DataType::Map(key, value) => columns.extend([("key", *key), ("value", *value)]),
            ty => {
                let sentence = format!(
                    "Cannot resolve \"{}\": it takes an ARRAY or a MAP, not \"{ty}\".",
                    call.function
                );
                return Err(SqlError::mismatch(sentence).at(call.at));
            }
        }
        Ok(Some(Self { of, outer, with_position, columns }))
    }

    /// What it makes of one row.
    pub(super) fn rows(&self, frame: Frame<'_>, session: &Session) -> Sql<Vec<Vec<Value>>> {
        let position =
            |at: usize| self.with_position.then(|| Value::Integer(i64::try_from(at).unwrap_or(i64::MAX)));
        let rows: Vec<Vec<Value>> = match self.of.eval(frame, &session.zone)? {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| position(at).into_iter().chain([item.clone()]).collect())
                .collect(),
            Value::Map(pairs) => {
                let row = |(at, (key, value)): (usize, &(Value, Value))| {
                    position(at).into_iter().chain([key.clone(), value.clone()]).collect()
                };
                pairs.iter().enumerate().map(row).collect()
            }
            _ => Vec::new(),
        };
        Ok(if rows.is_empty() && self.outer { vec![vec![Value::Null; self.columns.len()]] } else { rows })
    }
}
