//! CAST, `try_cast` and what an assignment to a column allows.

use super::{
    decimal::{Decimal, Written},
    error::{Sql, SqlError},
    json,
    time::{self, SessionZone},
    types::{DataType, Value},
};

/// Which conversion is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What does not convert fails the statement.
    Ansi,
    /// What does not convert is NULL.
    Try,
    /// Into a column: an overflow names the table.
    Assignment,
}

/// Whether a cast is possible at all. `Void` casts to everything.
pub(crate) fn check(from: &DataType, to: &DataType) -> Sql<()> {
    use DataType as T;
    let possible = from == to
        || match (from, to) {
            (T::Void, _) => true,
            (T::Array(from), T::Array(to)) => return check(from, to),
            (T::Map(from_key, from), T::Map(to_key, to)) => {
                check(from_key, to_key)?;
                return check(from, to);
            }
            (T::Struct(from), T::Struct(to)) => {
                return if from.len() == to.len() {
                    from.iter().zip(to).try_for_each(|(from, to)| check(&from.ty, &to.ty))
                } else {
                    Err(impossible(&T::Struct(from.clone()), &T::Struct(to.clone())))
                };
            }
            (T::Variant, _) | (_, T::Array(_) | T::Map(..) | T::Struct(_) | T::Variant | T::Void) => false,
            (T::Binary, to) => *to == T::String,
            (from, T::Binary) => *from == T::String,
            (_, T::String) | (T::String, _) => true,
            (from, to) if from.is_numeric() && to.is_numeric() => true,
            (T::Boolean, to) => to.is_numeric(),
            (from, T::Boolean) => from.is_numeric(),
            (T::Date | T::Timestamp | T::TimestampNtz, T::Date | T::Timestamp | T::TimestampNtz) => true,
            (T::Timestamp, to) => to.is_numeric(),
            (from, T::Timestamp) => from.is_numeric(),
            _ => false,
        };
    if possible { Ok(()) } else { Err(impossible(from, to)) }
}

fn impossible(from: &DataType, to: &DataType) -> SqlError {
    SqlError::new(
        "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        "42K09",
        format!("Cannot resolve the CAST due to data type mismatch: cannot cast \"{from}\" to \"{to}\"."),
    )
}

/// Whether a value of one type may be assigned to a column of another without a cast.
pub(crate) fn check_assignment(column: &str, from: &DataType, to: &DataType) -> Sql<()> {
    use DataType as T;
    let safe = from == to
        || match (from, to) {
            (T::Void, _) => true,
            (T::Array(from), T::Array(to)) => return check_assignment(column, from, to),
            (T::Map(from_key, from), T::Map(to_key, to)) => {
                check_assignment(column, from_key, to_key)?;
                return check_assignment(column, from, to);
            }
            (T::Struct(from), T::Struct(to)) => {
                let same = from.len() == to.len()
                    && from.iter().zip(to).all(|(from, to)| from.name.eq_ignore_ascii_case(&to.name));
                if same {
                    return from
                        .iter()
                        .zip(to)
                        .try_for_each(|(from, to)| check_assignment(column, &from.ty, &to.ty));
                }
                false
            }
            (from, T::String) => {
                !matches!(from, T::Array(_) | T::Map(..) | T::Struct(_) | T::Variant | T::Binary)
            }
            (from, to) if from.is_numeric() && to.is_numeric() => true,
            (T::Date | T::Timestamp | T::TimestampNtz, T::Date | T::Timestamp | T::TimestampNtz) => true,
            _ => false,
        };
    if safe {
        return Ok(());
    }
    Err(SqlError::new(
        "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST",
        "KD000",
        format!(
            "Cannot write incompatible data for the table: Cannot safely cast `{column}` \"{from}\" to \"{to}\"."
        ),
    ))
}

/// Converts a value whose types [`check`] let through.
pub(crate) fn cast(
    value: &Value,
    from: &DataType,
    to: &DataType,
    kind: Kind,
    zone: &SessionZone,
) -> Sql<Value> {
    if value.is_null() || from == to {
        return Ok(value.clone());
    }
    match (value, from, to) {
        (Value::List(items), DataType::Array(from), DataType::Array(to)) => {
            let items: Sql<Vec<_>> = items.iter().map(|item| cast(item, from, to, kind, zone)).collect();
            Ok(Value::List(items?.into()))
        }
        (Value::List(items), DataType::Struct(from), DataType::Struct(to)) => {
            let fields = items.iter().zip(from.iter().zip(to));
            let items: Sql<Vec<_>> =
                fields.map(|(item, (from, to))| cast(item, &from.ty, &to.ty, kind, zone)).collect();
            Ok(Value::List(items?.into()))
        }
        (Value::Map(pairs), DataType::Map(from_key, from), DataType::Map(to_key, to)) => {
            let pair = |(key, value): &(Value, Value)| {
                Ok((cast(key, from_key, to_key, kind, zone)?, cast(value, from, to, kind, zone)?))
            };
            Ok(Value::Map(pairs.iter().map(pair).collect::<Sql<Vec<_>>>()?.into()))
        }
        _ => match scalar(value, from, to, zone) {
            Ok(value) => Ok(value),
            Err(_) if kind == Kind::Try => Ok(Value::Null),
            Err(Unfit::Malformed) => Err(SqlError::new(
                "CAST_INVALID_INPUT",
                "22018",
                format!(
                    "The value '{}' of the type \"{from}\" cannot be cast to \"{to}\" because it is malformed. Correct \
                     the value as per the syntax, or change its target type. Use `try_cast` to tolerate malformed \
                     input and return NULL instead.",
                    text(value, from, zone)
                ),
            )),
            Err(Unfit::Overflow) => Err(overflow(value, from, to, kind, zone)),
        },
    }
}

fn overflow(value: &Value, from: &DataType, to: &DataType, kind: Kind, zone: &SessionZone) -> SqlError {
    let shown = text(value, from, zone);
    match (kind, to) {
        (Kind::Assignment, _) => SqlError::new(
            "CAST_OVERFLOW_IN_TABLE_INSERT",
            "22003",
            format!(
                "Fail to assign a value of \"{from}\" type to the \"{to}\" type column or variable due to an overflow. \
                 Use `try_cast` on the input value to tolerate overflow and return NULL instead."
            ),
        ),
        (_, DataType::Decimal { precision, scale }) => SqlError::new(
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
            "22003",
            format!("{shown} cannot be represented as Decimal({precision}, {scale})."),
        ),
        _ => SqlError::new(
            "CAST_OVERFLOW",
            "22003",
            format!(
                "The value {shown} of the type \"{from}\" cannot be cast to \"{to}\" due to an overflow. Use \
                 `try_cast` to tolerate overflow and return NULL instead."
            ),
        ),
    }
}

enum Unfit {
    Malformed,
    Overflow,
}

fn scalar(value: &Value, from: &DataType, to: &DataType, zone: &SessionZone) -> Result<Value, Unfit> {
    use DataType as T;
    let malformed = |value: Option<Value>| value.ok_or(Unfit::Malformed);
    match (value, to) {
        (_, T::String) => Ok(match value {
            Value::Binary(bytes) => Value::text(String::from_utf8_lossy(bytes)),
            value => Value::text(text(value, from, zone)),
        }),
        (Value::String(text), T::Binary) => Ok(Value::Binary(text.as_bytes().into())),
        (Value::String(text), T::Boolean) => malformed(match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "1" => Some(Value::Boolean(true)),
            "f" | "false" | "n" | "no" | "0" => Some(Value::Boolean(false)),
            _ => None,
        }),
        (Value::String(text), T::Date) => malformed(time::date(text).map(Value::Date)),
        (Value::String(text), T::Timestamp) => malformed(time::instant(text, zone).map(Value::Timestamp)),
        (Value::String(text), T::TimestampNtz) => malformed(time::wall(text).map(Value::Timestamp)),
        (Value::String(text), T::Double) => malformed(text.trim().parse().ok().map(Value::Double)),
        (Value::String(text), T::Decimal { precision, scale }) => {
            let written = Written::parse(text.trim()).ok_or(Unfit::Malformed)?;
            written.rounded(*precision, *scale).map(Value::Decimal).ok_or(Unfit::Overflow)
        }
        (Value::String(text), ty) => {
            // `'1.9'` is no integer, and neither is a number beyond the type.
            let value: i64 = text.trim().parse().map_err(|_| Unfit::Malformed)?;
            let bits = ty.integer_bits().ok_or(Unfit::Malformed)?;
            malformed(fits(value, bits).then_some(Value::Integer(value)))
        }
        (Value::Boolean(truth), to) => numeric(Decimal::whole(i64::from(*truth)), to),
        (Value::Integer(value), T::Boolean) => Ok(Value::Boolean(*value != 0)),
        (Value::Decimal(value), T::Boolean) => Ok(Value::Boolean(value.units != 0)),
        (Value::Double(value), T::Boolean) => Ok(Value::Boolean(*value != 0.0)),
        (Value::Integer(seconds), T::Timestamp) => {
            seconds.checked_mul(1_000_000).map(Value::Timestamp).ok_or(Unfit::Overflow)
        }
        (Value::Decimal(seconds), T::Timestamp) => {
            let micros = seconds.rescaled(38, 6).and_then(|seconds| i64::try_from(seconds.units).ok());
            micros.map(Value::Timestamp).ok_or(Unfit::Overflow)
        }
        (Value::Timestamp(micros), to) if to.is_integer() => {
            numeric(Decimal::whole(micros.div_euclid(1_000_000)), to)
        }
        (Value::Integer(value), to) => numeric(Decimal::whole(*value), to),
        (Value::Decimal(value), to) => numeric(*value, to),
        (Value::Double(value), to) => match Written::parse(&format!("{value:e}")) {
            Some(written) => match to {
                T::Decimal { precision, scale } => {
                    written.rounded(*precision, *scale).map(Value::Decimal).ok_or(Unfit::Overflow)
                }
                // Integers are cut, not rounded.
                to => numeric(written.exact().or_else(|| written.rounded(38, 0)).ok_or(Unfit::Overflow)?, to),
            },
            None => Err(Unfit::Overflow),
        },
        (Value::Date(days), T::Timestamp) => malformed(zone.start_of(*days).map(Value::Timestamp)),
        (Value::Date(days), T::TimestampNtz) => Ok(Value::Timestamp(time::midnight(*days))),
        (Value::Timestamp(micros), T::Date) if *from == T::Timestamp => Ok(Value::Date(zone.day_of(*micros))),
        (Value::Timestamp(local), T::Date) => Ok(Value::Date(time::day(*local))),
        (Value::Timestamp(micros), T::TimestampNtz) => Ok(Value::Timestamp(zone.wall_clock(*micros))),
        (Value::Timestamp(local), T::Timestamp) => {
            malformed(time::instant(&time::wall_text(*local, ' '), zone).map(Value::Timestamp))
        }
        _ => Err(Unfit::Malformed),
    }
}

fn numeric(value: Decimal, to: &DataType) -> Result<Value, Unfit> {
    match to {
        DataType::Decimal { precision, scale } => {
            value.rescaled(*precision, *scale).map(Value::Decimal).ok_or(Unfit::Overflow)
        }
        DataType::Double => value.to_string().parse().map(Value::Double).map_err(|_| Unfit::Malformed),
        to => {
            let bits = to.integer_bits().ok_or(Unfit::Malformed)?;
            let whole = i64::try_from(value.truncated()).map_err(|_| Unfit::Overflow)?;
            if fits(whole, bits) { Ok(Value::Integer(whole)) } else { Err(Unfit::Overflow) }
        }
    }
}

/// Whether an integer type of so many bits holds a value.
pub(crate) fn fits(value: i64, bits: u32) -> bool {
    let unused = 64 - bits;
    (value << unused) >> unused == value
}

/// A value as CAST to STRING writes it.
pub(crate) fn text(value: &Value, ty: &DataType, zone: &SessionZone) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::Decimal(value) => value.to_string(),
        Value::String(text) | Value::Variant(text) => text.to_string(),
        Value::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Date(days) => time::date_text(*days),
        Value::Timestamp(micros) if *ty == DataType::Timestamp => zone.written(*micros),
        Value::Timestamp(local) => time::wall_text(*local, ' '),
        Value::List(_) | Value::Map(_) => {
            let mut json = String::new();
            json::write(&mut json, value, ty, zone);
            json
        }
    }
}

/// A double as the vendor's JVM writes it.
pub(crate) fn double_text(value: f64) -> String {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-3..1e7).contains(&size) {
        let text = format!("{value:E}");
        return match text.split_once('E') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
            _ => text,
        };
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    format!("{value:?}")
}
