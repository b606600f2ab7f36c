//! Names and types of expressions settled.

mod functions;
mod scope;
mod unify;

use super::{
    ast::{Call, Expr, Operator, Order},
    cast::{self, Kind},
    catalog::same,
    error::{Sql, SqlError, quoted},
    eval::{Bound, Frame, Function, Typed},
    parser,
    position::Position,
    types::{DataType, Value},
};

pub(crate) use self::{
    functions::json_option,
    scope::{Parameter, Scope, ScopeColumn, Session},
    unify::{common, constant, converted, unified},
};
use self::{
    scope::distance,
    unify::{decimal_result, folded},
};

/// An aggregate function of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) function: String,
    pub(crate) arg: Option<Typed>,
    pub(crate) distinct: bool,
    pub(crate) ty: DataType,
}

/// `row_number() OVER (...)` and its like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundWindow {
    pub(crate) function: String,
    pub(crate) partition_by: Vec<Bound>,
    pub(crate) order_by: Vec<BoundOrder>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundOrder {
    pub(crate) expr: Bound,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// Settles expressions of one query, and collects what has to be computed before them.
pub(crate) struct Binder<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) session: &'a Session,
    /// Names that stand for an expression where no column has them.
    pub(crate) aliases: &'a [(String, Expr)],
    /// In a grouped query: what it is grouped by. Plain columns may not be named then.
    pub(crate) groups: Option<Vec<Typed>>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// `None` where window functions are not allowed.
    pub(crate) windows: Option<Vec<BoundWindow>>,
    pub(crate) depth: u32,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(scope: &'a Scope, session: &'a Session) -> Self {
        Self { scope, session, aliases: &[], groups: None, aggregates: Vec::new(), windows: None, depth: 0 }
    }

    pub(crate) fn bind(&mut self, expr: &Expr) -> Sql<Typed> {
        if let Some(groups) = &self.groups
            && !has_aggregate(expr)
        {
            let mut plain = Binder { aliases: self.aliases, ..Binder::new(self.scope, self.session) };
            if let Ok(bound) = plain.bind(expr) {
                if let Some(at) = groups.iter().position(|group| *group == bound) {
                    return Ok(Typed { expr: Bound::Column(0, at), ty: bound.ty });
                }
                if let (Expr::Column(parts, at), false) = (expr, matches!(bound.expr, Bound::Constant(_))) {
                    let sentence = format!(
                        "The non-aggregating expression \"{}\" is based on columns which are not participating in the \
                         GROUP BY clause.",
                        parts.join(".")
                    );
                    return Err(SqlError::new("MISSING_AGGREGATION", "42803", sentence).at(*at));
                }
            }
        }
        self.plain(expr)
    }

    pub(crate) fn order(&mut self, order: &Order) -> Sql<BoundOrder> {
        let Order { expr, descending, nulls_first } = order;
        Ok(BoundOrder { expr: self.bind(expr)?.expr, descending: *descending, nulls_first: *nulls_first })
    }

    /// A condition: BOOLEAN, or NULL.
    pub(crate) fn condition(&mut self, expr: &Expr) -> Sql<Bound> {
        let Typed { expr, ty } = self.bind(expr)?;
        match ty {
            DataType::Boolean | DataType::Void => Ok(expr),
            ty => Err(SqlError::new(
                "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
                "42K09",
                format!(
                    "Cannot resolve the condition due to data type mismatch: it is \"{ty}\", not \"BOOLEAN\"."
                ),
            )),
        }
    }

    fn plain(&mut self, expr: &Expr) -> Sql<Typed> {
        match expr {
            Expr::Literal(value, ty) => Ok(constant(value.clone(), ty.clone())),
            Expr::Parameter(name, at) => self.parameter(name, *at),
            Expr::Column(parts, at) => self.column(parts, *at),
            Expr::Field(of, name, at) => {
                let of = self.bind(of)?;
                field(of, name, *at)
            }
            Expr::Element(of, index) => {
                let args = vec![self.bind(of)?, self.bind(index)?];
                functions::bind("element_of", args, self.session)
            }
            Expr::Not(expr) => {
                Ok(Typed { expr: Bound::Not(Box::new(self.condition(expr)?)), ty: DataType::Boolean })
            }
            Expr::Negative(expr) => {
                let Typed { expr, ty } = self.bind(expr)?;
                if !ty.is_numeric() {
                    return Err(SqlError::mismatch(format!("Cannot negate \"{ty}\".")));
                }
                let zero =
                    cast::cast(&Value::Integer(0), &DataType::Int, &ty, Kind::Ansi, &self.session.zone)?;
                let (zero, expr) = (Box::new(Bound::Constant(zero)), Box::new(expr));
                let expr = Bound::Arithmetic(Operator::Subtract, zero, expr, ty.clone());
                Ok(Typed { expr: folded(expr, &self.session.zone), ty })
            }
            Expr::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expr::IsNull { expr, negated } => {
                let expr = Bound::IsNull(Box::new(self.bind(expr)?.expr), *negated);
                Ok(Typed { expr, ty: DataType::Boolean })
            }
            Expr::IsTrue { expr, truth, negated } => {
                let expr = Box::new(self.condition(expr)?);
                Ok(Typed {
                    expr: Bound::IsTrue { expr, truth: *truth, negated: *negated },
                    ty: DataType::Boolean,
                })
            }
            Expr::In { expr, list, negated } => {
                let mut all = vec![self.bind(expr)?];
                for item in list {
                    all.push(self.bind(item)?);
                }
                let (mut all, _) = unified(all)?;
                let needle = Box::new(all.remove(0));
                Ok(Typed { expr: Bound::In(needle, all, *negated), ty: DataType::Boolean })
            }
            Expr::Like { expr, pattern, negated } => {
                let args = vec![self.bind(expr)?, self.bind(pattern)?];
                let like = functions::bind("like", args, self.session)?;
                let expr = if *negated { Bound::Not(Box::new(like.expr)) } else { like.expr };
                Ok(Typed { expr, ty: DataType::Boolean })
            }
            Expr::Case { operand, branches, otherwise } => {
                let mut conditions = Vec::new();
                let mut results = Vec::new();
                for (condition, result) in branches {
                    conditions.push(match operand {
                        Some(operand) => self.binary(Operator::Equal, operand, condition)?.expr,
                        None => self.condition(condition)?,
                    });
                    results.push(self.bind(result)?);
                }
                if let Some(otherwise) = otherwise {
                    results.push(self.bind(otherwise)?);
                }
                let (mut results, ty) = unified(results)?;
                let otherwise = if otherwise.is_some() { results.pop().map(Box::new) } else { None };
                let branches = conditions.into_iter().zip(results).collect();
                Ok(Typed { expr: Bound::Case(branches, otherwise), ty })
            }
            Expr::Cast { expr, ty, tolerant } => {
                let expr = self.bind(expr)?;
                let kind = if *tolerant { Kind::Try } else { Kind::Ansi };
                cast::check(&expr.ty, ty)?;
                Ok(converted(expr, ty, kind))
            }
            Expr::Call(call) => self.call(call),
        }
    }

    fn parameter(&self, name: &str, at: Position) -> Sql<Typed> {
        let Some(Parameter { ty, value }) = self.session.parameters.get(name) else {
            let sentence = format!(
                "Found the unbound parameter: {name}. Please, fix `args` and provide a mapping of the parameter to \
                 either a SQL literal or collection constructor functions."
            );
            return Err(SqlError::new("UNBOUND_SQL_PARAMETER", "42P02", sentence).at(at));
        };
        let value = match value {
            None => Value::Null,
            Some(text) => cast::cast(
                &Value::text(text.as_str()),
                &DataType::String,
                ty,
                Kind::Ansi,
                &self.session.zone,
            )?,
        };
        Ok(constant(value, ty.clone()))
    }

    /// `t.column.field`: as many names as possible say where the column is, the rest are fields of it.
    fn column(&mut self, parts: &[String], at: Position) -> Sql<Typed> {
        for before in (0..parts.len()).rev() {
            let found = self.scope.found(&parts[..before], &parts[before]);
            match found[..] {
                [] => {}
                [column] => {
                    let bound = Bound::Column(column.row, column.at);
                    let start = Typed { expr: bound, ty: column.ty.clone() };
                    return parts[before + 1..].iter().try_fold(start, |of, name| field(of, name, at));
                }
                _ => {
                    let sentence =
                        format!("Reference {} is ambiguous, could be several columns.", quoted(parts));
                    return Err(SqlError::new("AMBIGUOUS_REFERENCE", "42704", sentence).at(at));
                }
            }
        }
        if let [name] = parts
            && let Some((_, expr)) = self.aliases.iter().find(|(alias, _)| same(alias, name))
            && self.depth < 8
        {
            // An alias may be defined by another alias, but not by itself.
            self.depth += 1;
            let bound = self.bind(expr);
            self.depth -= 1;
            return bound;
        }
        Err(self.unresolved(parts, at))
    }

    fn unresolved(&self, parts: &[String], at: Position) -> SqlError {
        let name = quoted(parts);
        let start = format!("A column, variable, or function parameter with name {name} cannot be resolved.");
        let last = parts.last().map(|last| last.to_lowercase()).unwrap_or_default();
        let mut known: Vec<_> = self.scope.0.iter().collect();
        if known.is_empty() {
            return SqlError::new("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", start).at(at);
        }
        known.sort_by_key(|column| distance(&column.name.to_lowercase(), &last));
        let known = known.iter().take(5).map(|column| {
            let mut parts: Vec<&str> = column.qualifier.iter().map(String::as_str).collect();
            parts.push(&column.name);
            quoted(&parts)
        });
        let known: Vec<_> = known.collect();
        let sentence = format!("{start} Did you mean one of the following? [{}].", known.join(", "));
        SqlError::new("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", sentence).at(at)
    }

    fn binary(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Sql<Typed> {
        if let Operator::And | Operator::Or = operator {
            let (left, right) = (Box::new(self.condition(left)?), Box::new(self.condition(right)?));
            let expr =
                if operator == Operator::And { Bound::And(left, right) } else { Bound::Or(left, right) };
            return Ok(Typed { expr, ty: DataType::Boolean });
        }
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        match operator {
            Operator::Concat => functions::bind("concat", vec![left, right], self.session),
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => self.arithmetic(operator, left, right),
            _ => {
                let (sides, ty) = unified(vec![left, right])?;
                if matches!(ty, DataType::Map(..) | DataType::Variant) {
                    return Err(SqlError::mismatch(format!("Cannot compare values of the type \"{ty}\".")));
                }
                let mut sides = sides.into_iter().map(|side| Box::new(folded(side, &self.session.zone)));
                match (sides.next(), sides.next()) {
                    (Some(left), Some(right)) => {
                        Ok(Typed { expr: Bound::Compare(operator, left, right), ty: DataType::Boolean })
                    }
                    _ => Err(SqlError::unsupported("this comparison")),
                }
            }
        }
    }

    fn arithmetic(&self, operator: Operator, left: Typed, right: Typed) -> Sql<Typed> {
        let numeric = |side: Typed| match side.ty {
            DataType::String => Ok(converted(side, &DataType::Double, Kind::Ansi)),
            DataType::Void => Ok(converted(side, &DataType::Int, Kind::Ansi)),
            ref ty if ty.is_numeric() => Ok(side),
            ref ty => Err(SqlError::mismatch(format!("Cannot compute with a value of the type \"{ty}\"."))),
        };
        let (left, right) = (numeric(left)?, numeric(right)?);
        let (ty, operand) = if left.ty == DataType::Double || right.ty == DataType::Double {
            (DataType::Double, None)
        } else if left.ty.is_integer() && right.ty.is_integer() {
            match operator {
                Operator::Divide => (DataType::Double, None),
                _ => (common(&left.ty, &right.ty)?, None),
            }
        } else {
            let (Some(left), Some(right)) = (left.ty.as_decimal(), right.ty.as_decimal()) else {
                return Err(SqlError::unsupported("this calculation"));
            };
            (decimal_result(operator, left, right), Some(()))
        };
        let side = |side: Typed| match operand {
            // Decimals keep their own scale; integers become decimals without one.
            Some(()) => match side.ty.as_decimal() {
                Some((precision, scale)) => {
                    converted(side, &DataType::Decimal { precision, scale }, Kind::Ansi)
                }
                None => side,
            },
            None => converted(side, &ty, Kind::Ansi),
        };
        let (left, right) = (Box::new(side(left).expr), Box::new(side(right).expr));
        Ok(Typed { expr: Bound::Arithmetic(operator, left, right, ty.clone()), ty })
    }

    fn call(&mut self, call: &Call) -> Sql<Typed> {
        let Call { function, args, star, distinct, over, at } = call;
        if let Some(over) = over {
            if !matches!(function.as_str(), "row_number" | "rank" | "dense_rank") {
                return Err(SqlError::unsupported(format_args!("{function} as a window function")));
            }
            if self.windows.is_none() {
                return Err(SqlError::unsupported("window functions here"));
            }
            let mut window =
                BoundWindow { function: function.clone(), partition_by: Vec::new(), order_by: Vec::new() };
            for expr in &over.partition_by {
                window.partition_by.push(self.bind(expr)?.expr);
            }
            for order in &over.order_by {
                window.order_by.push(self.order(order)?);
            }
            let windows = self.windows.get_or_insert_default();
            let at = windows.iter().position(|known| *known == window).unwrap_or_else(|| {
                windows.push(window);
                windows.len() - 1
            });
            return Ok(Typed { expr: Bound::Column(2, at), ty: DataType::Int });
        }
        if is_aggregate(function) {
            return self.aggregate(function, args, *star, *distinct);
        }
        if *star || *distinct {
            return Err(SqlError::unsupported(format_args!("{function} of * or DISTINCT")));
        }
        if function.starts_with("explode") || function.starts_with("posexplode") {
            let sentence = format!("The generator is not supported: nested in expressions \"{function}\".");
            return Err(
                SqlError::new("UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS", "42K0E", sentence).at(*at)
            );
        }
        if function == "from_json" {
            return self.json_reader(args);
        }
        let args: Sql<Vec<_>> = args.iter().map(|arg| self.bind(arg)).collect();
        functions::bind(function, args?, self.session)
    }

    fn aggregate(&mut self, function: &str, args: &[Expr], star: bool, distinct: bool) -> Sql<Typed> {
        if self.groups.is_none() {
            let sentence = "An aggregate function is not allowed here.";
            return Err(SqlError::new("INVALID_WHERE_CONDITION", "42903", sentence));
        }
        let mut plain = Binder { aliases: self.aliases, ..Binder::new(self.scope, self.session) };
        let arg = match (args, star) {
            ([], true) if function == "count" => None,
            ([arg], false) => Some(plain.bind(arg)?),
            _ => return Err(SqlError::unsupported(format_args!("{function} with these arguments"))),
        };
        let arg_type = arg.as_ref().map_or(DataType::Void, |arg| arg.ty.clone());
        let (arg, ty) = match (function, &arg_type) {
            ("count" | "count_if", _) => (arg, DataType::BigInt),
            ("sum", DataType::Decimal { precision, scale }) => {
                (arg, DataType::decimal(u32::from(*precision) + 10, u32::from(*scale)))
            }
            ("sum", ty) if ty.is_integer() => (arg, DataType::BigInt),
            ("avg", DataType::Decimal { precision, scale }) => {
                (arg, DataType::decimal(u32::from(*precision) + 4, u32::from(*scale) + 4))
            }
            ("sum" | "avg", ty) if ty.is_numeric() || *ty == DataType::String => {
                (arg.map(|arg| converted(arg, &DataType::Double, Kind::Ansi)), DataType::Double)
            }
            ("min" | "max" | "any_value" | "first", ty)
                if !matches!(ty, DataType::Map(..) | DataType::Variant) =>
            {
                (arg, ty.clone())
            }
            (_, ty) => return Err(SqlError::mismatch(format!("{function} does not take \"{ty}\"."))),
        };
        let aggregate = Aggregate { function: function.to_owned(), arg, distinct, ty: ty.clone() };
        let at = self.aggregates.iter().position(|known| *known == aggregate).unwrap_or_else(|| {
            self.aggregates.push(aggregate);
            self.aggregates.len() - 1
        });
        Ok(Typed { expr: Bound::Column(1, at), ty })
    }

    /// The schema and the options are constants: they decide the type.
    fn json_reader(&mut self, args: &[Expr]) -> Sql<Typed> {
        let [json, schema, options @ ..] = args else {
            return Err(SqlError::unsupported("from_json with these arguments"));
        };
        let json = self.bind(json)?;
        if !matches!(json.ty, DataType::String | DataType::Void) {
            return Err(SqlError::mismatch(format!("from_json takes a \"STRING\", not \"{}\".", json.ty)));
        }
        let schema = self.constant(schema)?;
        let Some(schema) = schema.0.as_text().map(str::to_owned) else {
            let sentence = "Unsupported expression as the schema: expected a string literal.";
            return Err(SqlError::new("INVALID_SCHEMA.NON_STRING_LITERAL", "42K07", sentence));
        };
        let ty = parser::schema(&schema)?;
        let mut mode = super::json::Mode::Permissive;
        for options in options {
            let Value::Map(pairs) = self.constant(options)?.0 else {
                let sentence = "Must use the `map()` function for options.";
                return Err(SqlError::new("INVALID_OPTIONS.NON_MAP_FUNCTION", "42K06", sentence));
            };
            for (key, value) in &*pairs {
                mode = functions::json_option(
                    key.as_text().unwrap_or_default(),
                    value.as_text().unwrap_or_default(),
                )?
                .unwrap_or(mode);
            }
        }
        let call = Bound::Call {
            function: Function::FromJson(mode),
            args: vec![json.expr],
            types: vec![json.ty],
            result: ty.clone(),
        };
        Ok(Typed { expr: call, ty })
    }

    /// The value of an expression without columns.
    pub(crate) fn constant(&mut self, expr: &Expr) -> Sql<(Value, DataType)> {
        let none = Scope::default();
        let bound = Binder::new(&none, self.session).bind(expr)?;
        Ok((bound.expr.eval(Frame::default(), &self.session.zone)?, bound.ty))
    }
}

pub(crate) fn is_aggregate(function: &str) -> bool {
    matches!(function, "count" | "count_if" | "sum" | "min" | "max" | "avg" | "any_value" | "first")
}

/// Whether an expression holds an aggregate function outside a window's definition.
pub(crate) fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Parameter(..) | Expr::Column(..) => false,
        Expr::Field(of, ..) | Expr::Not(of) | Expr::Negative(of) => has_aggregate(of),
        Expr::IsNull { expr, .. } | Expr::IsTrue { expr, .. } | Expr::Cast { expr, .. } => {
            has_aggregate(expr)
        }
        Expr::Element(left, right) | Expr::Binary(_, left, right) => {
            has_aggregate(left) || has_aggregate(right)
        }
        Expr::Like { expr, pattern, .. } => has_aggregate(expr) || has_aggregate(pattern),
        Expr::In { expr, list, .. } => has_aggregate(expr) || list.iter().any(has_aggregate),
        Expr::Case { operand, branches, otherwise } => {
            operand.as_deref().is_some_and(has_aggregate)
                || branches
                    .iter()
                    .any(|(condition, result)| has_aggregate(condition) || has_aggregate(result))
                || otherwise.as_deref().is_some_and(has_aggregate)
        }
        Expr::Call(call) => {
            let inside = |window: &super::ast::Window| {
                window.partition_by.iter().any(has_aggregate)
                    || window.order_by.iter().any(|order| has_aggregate(&order.expr))
            };
            (call.over.is_none() && is_aggregate(&call.function))
                || call.args.iter().any(has_aggregate)
                || call.over.as_ref().is_some_and(inside)
        }
    }
}

fn field(of: Typed, name: &str, at: Position) -> Sql<Typed> {
    let DataType::Struct(fields) = &of.ty else {
        let sentence = format!("Need a complex type [STRUCT, ARRAY, MAP] but got \"{}\".", of.ty);
        return Err(SqlError::new("INVALID_EXTRACT_BASE_FIELD_TYPE", "42000", sentence).at(at));
    };
    match fields.iter().position(|field| same(&field.name, name)) {
        Some(position) => {
            let ty = fields[position].ty.clone();
            Ok(Typed { expr: Bound::Field(Box::new(of.expr), position), ty })
        }
        None => {
            let known: Vec<_> = fields.iter().map(|field| field.name.clone()).collect();
            let known: Vec<_> = known.iter().map(|name| quoted(&[name])).collect();
            let sentence = format!("No such struct field {} in {}.", quoted(&[name]), known.join(", "));
            Err(SqlError::new("FIELD_NOT_FOUND", "42704", sentence).at(at))
        }
    }
}
