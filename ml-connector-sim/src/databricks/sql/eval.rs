//! Expressions whose names and types are settled, and their values.

mod functions;

pub(crate) use self::functions::Function;
use super::{
    ast::Operator,
    cast::{self, Kind},
    decimal::Decimal,
    error::{Sql, SqlError},
    time::SessionZone,
    types::{DataType, Value},
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    Constant(Value),
    /// Which of the frame's rows, and where in it.
    Column(u8, usize),
    Field(Box<Self>, usize),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    /// Both sides have one type.
    Compare(Operator, Box<Self>, Box<Self>),
    IsNull(Box<Self>, bool),
    IsTrue {
        expr: Box<Self>,
        truth: bool,
        negated: bool,
    },
    In(Box<Self>, Vec<Self>, bool),
    Case(Vec<(Self, Self)>, Option<Box<Self>>),
    Cast {
        expr: Box<Self>,
        from: DataType,
        to: DataType,
        kind: Kind,
    },
    Arithmetic(Operator, Box<Self>, Box<Self>, DataType),
    Call {
        function: Function,
        args: Vec<Self>,
        types: Vec<DataType>,
        result: DataType,
    },
}

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) expr: Bound,
    pub(crate) ty: DataType,
}

/// The rows an expression sees: of the input or the target, of aggregates or the source, of window functions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Frame<'a>(pub(crate) [&'a [Value]; 3]);

impl<'a> Frame<'a> {
    pub(crate) fn of(row: &'a [Value]) -> Self {
        Self([row, &[], &[]])
    }
}

impl Bound {
    /// The value itself, where it only has to be looked up.
    pub(crate) fn direct<'a>(&'a self, frame: Frame<'a>) -> Option<&'a Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Column(row, at) => Some(frame.0[usize::from(*row)].get(*at).unwrap_or(&Value::Null)),
            _ => None,
        }
    }

    pub(crate) fn eval(&self, frame: Frame<'_>, zone: &SessionZone) -> Sql<Value> {
        let value = |expr: &Self| expr.eval(frame, zone);
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Column(row, at) => frame.0[usize::from(*row)].get(*at).cloned().unwrap_or(Value::Null),
            Self::Field(of, at) => match value(of)? {
                Value::List(fields) => fields.get(*at).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            },
            Self::And(left, right) => match value(left)?.truth() {
                Some(false) => Value::Boolean(false),
                left => match (left, value(right)?.truth()) {
                    (_, Some(false)) => Value::Boolean(false),
                    (Some(true), Some(true)) => Value::Boolean(true),
                    _ => Value::Null,
                },
            },
            Self::Or(left, right) => match value(left)?.truth() {
                Some(true) => Value::Boolean(true),
                left => match (left, value(right)?.truth()) {
                    (_, Some(true)) => Value::Boolean(true),
                    (Some(false), Some(false)) => Value::Boolean(false),
                    _ => Value::Null,
                },
            },
            Self::Not(expr) => value(expr)?.truth().map_or(Value::Null, |truth| Value::Boolean(!truth)),
            Self::Compare(operator, left, right) => compared(*operator, &value(left)?, &value(right)?),
            Self::IsNull(expr, negated) => Value::Boolean(value(expr)?.is_null() != *negated),
            Self::IsTrue { expr, truth, negated } => {
                Value::Boolean((value(expr)?.truth() == Some(*truth)) != *negated)
            }
            Self::In(expr, list, negated) => {
                let needle = value(expr)?;
                let mut found = Value::Boolean(false);
                for item in list {
                    match compared(Operator::Equal, &needle, &value(item)?) {
                        Value::Boolean(false) => {}
                        Value::Boolean(true) => {
                            found = Value::Boolean(true);
                            break;
                        }
                        _ => found = Value::Null,
                    }
                }
                found.truth().map_or(Value::Null, |truth| Value::Boolean(truth != *negated))
            }
            Self::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    if value(condition)?.is_true() {
                        return value(result);
                    }
                }
                otherwise.as_deref().map_or(Ok(Value::Null), value)?
            }
            Self::Cast { expr, from, to, kind } => cast::cast(&value(expr)?, from, to, *kind, zone)?,
            Self::Arithmetic(operator, left, right, ty) => {
                arithmetic(*operator, &value(left)?, &value(right)?, ty)?
            }
            Self::Call { function, args, types, result } => {
                functions::eval(function, args, types, result, frame, zone)?
            }
        })
    }
}

fn compared(operator: Operator, left: &Value, right: &Value) -> Value {
    if operator == Operator::SameAs {
        return Value::Boolean(left == right);
    }
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    let order = left.compared(right);
    Value::Boolean(match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn arithmetic(operator: Operator, left: &Value, right: &Value, ty: &DataType) -> Sql<Value> {
    let overflow = || {
        SqlError::new(
            "ARITHMETIC_OVERFLOW",
            "22003",
            format!(
                "{} overflow. Use 'try_add' to tolerate overflow and return NULL instead.",
                ty.type_name()
            ),
        )
    };
    let by_zero = || {
        SqlError::new(
            "DIVIDE_BY_ZERO",
            "22012",
            "Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead.",
        )
    };
    Ok(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => {
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                _ if *right == 0 => return Err(by_zero()),
                _ => left.checked_rem(*right),
            };
            let bits = ty.integer_bits().unwrap_or(64);
            Value::Integer(result.filter(|value| cast::fits(*value, bits)).ok_or_else(overflow)?)
        }
        (Value::Double(left), Value::Double(right)) => Value::Double(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            _ if *right == 0.0 => return Err(by_zero()),
            Operator::Divide => left / right,
            _ => left % right,
        }),
        (Value::Decimal(left), Value::Decimal(right)) => {
            let DataType::Decimal { precision, scale } = *ty else { return Ok(Value::Null) };
            let minus = |value: Decimal| Decimal { units: -value.units, ..value };
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_add(minus(*right)),
                Operator::Multiply => left.checked_mul(*right),
                _ if right.units == 0 => return Err(by_zero()),
                Operator::Divide => left.checked_div(*right, scale),
                _ => return Err(SqlError::unsupported("the remainder of decimals")),
            };
            let result = result.and_then(|value| value.rescaled(precision, scale));
            Value::Decimal(result.ok_or_else(|| {
                let sentence = format!("The result cannot be represented as Decimal({precision}, {scale}).");
                SqlError::new("NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION", "22003", sentence)
            })?)
        }
        _ => Value::Null,
    })
}
