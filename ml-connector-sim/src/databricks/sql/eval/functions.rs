//! The scalar functions computed.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::{
        decimal::Decimal,
        error::{Sql, SqlError},
        json::{self, Mode},
        time::{self, SessionZone},
        types::{DataType, Value},
    },
    Bound, Frame,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Coalesce,
    NullIf,
    Lower,
    Upper,
    Trim,
    Length,
    Substring,
    Concat,
    Like,
    Abs,
    Round,
    Size,
    /// `array(...)`, `struct(...)`, `named_struct(...)`
    List,
    Map,
    /// `list[0]` or `map['key']`
    ElementOf,
    ArrayContains,
    FromJson(Mode),
    ToJson,
    ParseJson,
    Base64,
    Unbase64,
    Year,
    Month,
    Day,
    Greatest,
    Least,
}

/// Computes a call.
pub(crate) fn eval(
    function: &Function,
    args: &[Bound],
    types: &[DataType],
    result: &DataType,
    frame: Frame<'_>,
    zone: &SessionZone,
) -> Sql<Value> {
    let value = |at: usize| args.get(at).map_or(Ok(Value::Null), |arg| arg.eval(frame, zone));
    match function {
        Function::Coalesce => {
            for arg in args {
                let value = arg.eval(frame, zone)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            return Ok(Value::Null);
        }
        Function::List => {
            let values: Sql<Vec<_>> = args.iter().map(|arg| arg.eval(frame, zone)).collect();
            return Ok(Value::List(values?.into()));
        }
        Function::Map => {
            let mut pairs = Vec::new();
            for pair in args.chunks_exact(2) {
                pairs.push((pair[0].eval(frame, zone)?, pair[1].eval(frame, zone)?));
            }
            return Ok(Value::Map(pairs.into()));
        }
        Function::Greatest | Function::Least => {
            let values: Sql<Vec<_>> = args.iter().map(|arg| arg.eval(frame, zone)).collect();
            let values = values?.into_iter().filter(|value| !value.is_null());
            let best = if *function == Function::Greatest {
                values.max_by(Value::compared)
            } else {
                values.min_by(Value::compared)
            };
            return Ok(best.unwrap_or(Value::Null));
        }
        Function::NullIf => {
            let left = value(0)?;
            return Ok(if !left.is_null() && left == value(1)? { Value::Null } else { left });
        }
        _ => {}
    }
    let first = value(0)?;
    if first.is_null() {
        return Ok(if *function == Function::Size { Value::Integer(-1) } else { Value::Null });
    }
    let text = first.as_text().unwrap_or_default();
    Ok(match function {
        Function::Lower => Value::text(text.to_lowercase()),
        Function::Upper => Value::text(text.to_uppercase()),
        Function::Trim => Value::text(text.trim_matches(' ')),
        Function::Length => integer(text.chars().count()),
        Function::Concat => {
            let mut all = text.to_owned();
            for at in 1..args.len() {
                match value(at)? {
                    Value::Null => return Ok(Value::Null),
                    other => all.push_str(other.as_text().unwrap_or_default()),
                }
            }
            Value::text(all)
        }
        Function::Substring => {
            match (value(1)?, if args.len() > 2 { value(2)? } else { Value::Integer(i64::MAX) }) {
                (Value::Integer(start), Value::Integer(len)) => Value::text(substring(text, start, len)),
                _ => Value::Null,
            }
        }
        Function::Like => match value(1)? {
            Value::String(pattern) => {
                let pattern: Vec<char> = pattern.chars().collect();
                Value::Boolean(like(&text.chars().collect::<Vec<_>>(), &pattern))
            }
            _ => Value::Null,
        },
        Function::Abs => match first {
            Value::Integer(value) => Value::Integer(
                value
                    .checked_abs()
                    .ok_or_else(|| SqlError::new("ARITHMETIC_OVERFLOW", "22003", "long overflow."))?,
            ),
            Value::Decimal(value) => Value::Decimal(Decimal { units: value.units.abs(), ..value }),
            Value::Double(value) => Value::Double(value.abs()),
            other => other,
        },
        Function::Round => {
            let DataType::Decimal { precision, scale } = *result else { return Ok(Value::Null) };
            let value = match first {
                Value::Integer(value) => Decimal::whole(value),
                Value::Decimal(value) => value,
                _ => return Ok(Value::Null),
            };
            value.rescaled(precision, scale).map_or(Value::Null, Value::Decimal)
        }
        Function::Size => match &first {
            Value::List(items) => integer(items.len()),
            Value::Map(pairs) => integer(pairs.len()),
            _ => Value::Null,
        },
        Function::ElementOf => element(&first, &value(1)?)?,
        Function::ArrayContains => {
            let needle = value(1)?;
            match &first {
                _ if needle.is_null() => Value::Null,
                Value::List(items) if items.contains(&needle) => Value::Boolean(true),
                Value::List(items) if items.iter().any(Value::is_null) => Value::Null,
                _ => Value::Boolean(false),
            }
        }
        Function::FromJson(mode) => json::from_json(text, result, *mode, zone)?,
        Function::ToJson => {
            let mut json = String::new();
            json::write(&mut json, &first, &types[0], zone);
            Value::text(json)
        }
        Function::ParseJson => json::variant(text)?,
        Function::Base64 => match first {
            Value::Binary(bytes) => Value::text(STANDARD.encode(bytes)),
            _ => Value::Null,
        },
        Function::Unbase64 => match STANDARD.decode(text) {
            Ok(bytes) => Value::Binary(bytes.into()),
            Err(_) => {
                let sentence = "The value of the function `unbase64` is no valid BASE64.";
                return Err(SqlError::new("CONVERSION_INVALID_INPUT", "22018", sentence));
            }
        },
        Function::Year | Function::Month | Function::Day => {
            let Value::Date(days) = first else { return Ok(Value::Null) };
            let date = time::date_text(days);
            let mut parts = date.rsplitn(3, '-').map(|part| part.parse().unwrap_or_default());
            let (day, month, year) = (parts.next(), parts.next(), parts.next());
            let part = match function {
                Function::Year => year,
                Function::Month => month,
                _ => day,
            };
            Value::Integer(part.unwrap_or_default())
        }
        _ => Value::Null,
    })
}

fn integer(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn element(of: &Value, key: &Value) -> Sql<Value> {
    match (of, key) {
        (Value::List(items), Value::Integer(at)) => {
            let found = usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned();
            found.ok_or_else(|| {
                let len = items.len();
                let sentence = format!("The index {at} is out of bounds. The array has {len} elements.");
                SqlError::new("INVALID_ARRAY_INDEX", "22003", sentence)
            })
        }
        (Value::Map(pairs), key) => {
            Ok(pairs.iter().find(|(known, _)| known == key).map_or(Value::Null, |(_, value)| value.clone()))
        }
        _ => Ok(Value::Null),
    }
}

/// Counts from 1; from the end if negative.
fn substring(text: &str, start: i64, len: i64) -> String {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let from = if start > 0 {
        start - 1
    } else if start < 0 {
        count + start
    } else {
        0
    };
    let to = from.saturating_add(len.max(0));
    let clamp = |at: i64| usize::try_from(at.clamp(0, count)).unwrap_or_default();
    text.chars().skip(clamp(from)).take(clamp(to) - clamp(from).min(clamp(to))).collect()
}

/// `%` is any text, `_` any character, a backslash takes the next one as it is.
fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| like(&text[at..], rest)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest),
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && like(&text[1..], rest),
    }
}
