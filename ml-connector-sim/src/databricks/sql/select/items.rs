//! The SELECT list: stars, names and positions.

use super::super::{
    ast::{Expr, Item, Order},
    bind::{BoundOrder, is_aggregate},
    cast,
    catalog::same,
    error::{Sql, SqlError, quoted},
    eval::{Bound, Typed},
    generator::Generator,
    rows::Rows,
    time::SessionZone,
    types::{DataType, Field, Value},
};

/// One item of a SELECT list.
pub(super) enum Output {
    One(Typed, String),
    Many(Generator, Option<String>),
}

impl Output {
    pub(super) fn is_named(&self, name: &str) -> bool {
        match self {
            Self::One(_, own) => same(own, name),
            Self::Many(_, own) => own.as_deref().is_some_and(|own| same(own, name)),
        }
    }
}

/// `*` replaced by the columns it stands for.
pub(super) fn expanded(items: &[Item], input: &Rows) -> Sql<Vec<(Expr, Option<String>)>> {
    let mut all = Vec::new();
    for item in items {
        match item {
            Item::Expr { expr, alias } => all.push((expr.clone(), alias.clone())),
            Item::All(qualifier, at) => {
                let before = all.len();
                for column in &input.columns {
                    let within = column.qualifier.len() >= qualifier.len()
                        && column.qualifier[column.qualifier.len() - qualifier.len()..]
                            .iter()
                            .zip(qualifier)
                            .all(|(left, right)| same(left, right));
                    if within {
                        let mut parts = column.qualifier.clone();
                        parts.push(column.name.clone());
                        all.push((Expr::Column(parts, *at), Some(column.name.clone())));
                    }
                }
                // `r.*` of a struct
                if all.len() == before
                    && let [name] = &qualifier[..]
                    && let Some(column) = input.columns.iter().find(|column| same(&column.name, name))
                    && let DataType::Struct(fields) = &column.ty
                {
                    let field = |field: &Field| {
                        (Expr::Column(vec![name.clone(), field.name.clone()], *at), Some(field.name.clone()))
                    };
                    all.extend(fields.iter().map(field));
                }
                if all.len() == before && !qualifier.is_empty() {
                    let name = quoted(qualifier);
                    let sentence = format!("Cannot resolve {name}.* given input columns.");
                    return Err(SqlError::new("CANNOT_RESOLVE_STAR_EXPAND", "42704", sentence).at(*at));
                }
            }
        }
    }
    Ok(all)
}

/// The name of an output column without an alias.
pub(super) fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Column(parts, _) => parts.last().cloned().unwrap_or_default(),
        Expr::Field(_, name, _) => name.clone(),
        Expr::Cast { expr, .. } => shown(expr),
        Expr::Parameter(name, _) => format!(":{name}"),
        Expr::Literal(value, ty) => cast::text(value, ty, &SessionZone::UTC),
        Expr::Call(call) if call.star => format!("{}(1)", call.function),
        Expr::Call(call) => {
            let args: Vec<_> = call.args.iter().map(shown).collect();
            let distinct = if call.distinct && is_aggregate(&call.function) { "DISTINCT " } else { "" };
            format!("{}({distinct}{})", call.function, args.join(", "))
        }
        _ => "expression".to_owned(),
    }
}

/// The column that `ORDER BY 2` means.
pub(super) fn ordinal(expr: &Expr, columns: usize) -> Sql<Option<usize>> {
    match expr {
        Expr::Literal(Value::Integer(at), _) => match usize::try_from(*at) {
            Ok(at) if (1..=columns).contains(&at) => Ok(Some(at - 1)),
            _ => {
                let sentence =
                    format!("ORDER BY position {at} is not in select list (valid range is [1, {columns}]).");
                Err(SqlError::new("ORDER_BY_POS_OUT_OF_RANGE", "42805", sentence))
            }
        },
        _ => Ok(None),
    }
}

pub(super) fn positional(order: &Order, at: usize) -> BoundOrder {
    BoundOrder { expr: Bound::Column(0, at), descending: order.descending, nulls_first: order.nulls_first }
}
