//! The scalar functions.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    bind::{Session, constant, converted, unified},
    cast::{self, Kind},
    decimal::Decimal,
    error::{Sql, SqlError},
    eval::{Bound, Frame, Typed},
    json::{self, Mode},
    time::{self, SessionZone},
    types::{DataType, Field, Value},
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

/// What an option of `from_json` or `read_files` sets: the mode, or nothing that matters.
pub(crate) fn json_option(key: &str, value: &str) -> Sql<Option<Mode>> {
    match (key.to_ascii_lowercase().as_str(), value.to_ascii_uppercase().as_str()) {
        ("mode", "FAILFAST") => Ok(Some(Mode::FailFast)),
        ("mode", "PERMISSIVE") => Ok(Some(Mode::Permissive)),
        _ => Err(SqlError::unsupported(format_args!("the JSON option {key} = {value}"))),
    }
}

/// Settles a call: the types of its arguments, and of its result.
pub(crate) fn bind(name: &str, args: Vec<Typed>, session: &Session) -> Sql<Typed> {
    use DataType as T;
    let count = args.len();
    let text = |args: Vec<Typed>| -> Sql<Vec<Typed>> {
        let as_text =
            |arg: Typed| cast::check(&arg.ty, &T::String).map(|()| converted(arg, &T::String, Kind::Ansi));
        args.into_iter().map(as_text).collect()
    };
    let (function, args, result) = match (name, count) {
        ("current_timestamp" | "now", 0) => return Ok(constant(Value::Timestamp(session.now), T::Timestamp)),
        ("current_date" | "curdate", 0) => {
            return Ok(constant(Value::Date(session.zone.day_of(session.now)), T::Date));
        }
        ("current_user" | "session_user" | "user", 0) => {
            return Ok(constant(Value::text(session.principal.as_str()), T::String));
        }
        ("current_catalog", 0) => return Ok(constant(Value::text(session.catalog.as_str()), T::String)),
        ("current_schema" | "current_database", 0) => {
            return Ok(constant(Value::text(session.schema.as_str()), T::String));
        }
        ("current_timezone", 0) => return Ok(constant(Value::text(session.zone.name()), T::String)),
        ("date" | "to_date", 1) => return single_cast(args, &T::Date, Kind::Ansi),
        ("timestamp" | "to_timestamp", 1) => return single_cast(args, &T::Timestamp, Kind::Ansi),
        ("string", 1) => return single_cast(args, &T::String, Kind::Ansi),
        ("bigint", 1) => return single_cast(args, &T::BigInt, Kind::Ansi),
        ("int", 1) => return single_cast(args, &T::Int, Kind::Ansi),
        ("isnull", 1) | ("isnotnull", 1) => {
            let arg = args.into_iter().next().map_or(Bound::Constant(Value::Null), |arg| arg.expr);
            return Ok(Typed { expr: Bound::IsNull(Box::new(arg), name == "isnotnull"), ty: T::Boolean });
        }
        ("if" | "iff", 3) => {
            let mut args = args;
            let condition = args.remove(0).expr;
            let (mut results, ty) = unified(args)?;
            let otherwise = results.pop().map(Box::new);
            let branches = results.pop().map(|then| vec![(condition, then)]).unwrap_or_default();
            return Ok(Typed { expr: Bound::Case(branches, otherwise), ty });
        }
        ("coalesce", 1..)
        | ("nvl" | "ifnull", 2)
        | ("greatest" | "least", 2..)
        | ("nullif", 2)
        | ("array", _) => {
            let (args, ty) = unified(args)?;
            let function = match name {
                "greatest" => Function::Greatest,
                "least" => Function::Least,
                "nullif" => Function::NullIf,
                "array" => Function::List,
                _ => Function::Coalesce,
            };
            let types = vec![ty.clone(); args.len()];
            let result = if name == "array" { T::Array(Box::new(ty)) } else { ty };
            let call = Bound::Call { function, args, types, result: result.clone() };
            return Ok(Typed { expr: call, ty: result });
        }
        ("lower" | "lcase", 1) => (Function::Lower, text(args)?, T::String),
        ("upper" | "ucase", 1) => (Function::Upper, text(args)?, T::String),
        ("trim", 1) => (Function::Trim, text(args)?, T::String),
        ("length" | "char_length" | "len", 1) => (Function::Length, text(args)?, T::Int),
        ("concat", 1..) => (Function::Concat, text(args)?, T::String),
        ("like", 2) => (Function::Like, text(args)?, T::Boolean),
        ("substring" | "substr", 2 | 3) => {
            let mut args = args.into_iter();
            let mut all = text(args.next().into_iter().collect())?;
            all.extend(args.map(|arg| converted(arg, &T::BigInt, Kind::Ansi)));
            (Function::Substring, all, T::String)
        }
        ("abs", 1) if args[0].ty.is_numeric() => {
            let ty = args[0].ty.clone();
            (Function::Abs, args, ty)
        }
        ("round", 1 | 2) => {
            let scale = match args.get(1).map(|scale| &scale.expr) {
                None => 0,
                Some(Bound::Constant(Value::Integer(scale))) => {
                    u8::try_from(*scale).map_err(|_| unknown(name, count))?
                }
                Some(_) => return Err(SqlError::unsupported("round to a computed number of decimals")),
            };
            let arg = args.into_iter().next().ok_or_else(|| unknown(name, count))?;
            let (precision, had) =
                arg.ty.as_decimal().ok_or_else(|| SqlError::unsupported("round of this type"))?;
            let kept = scale.min(had);
            let result = T::decimal(u32::from(precision - had) + 1 + u32::from(kept), u32::from(kept));
            (Function::Round, vec![arg], result)
        }
        ("size" | "cardinality" | "array_size", 1) if matches!(args[0].ty, T::Array(_) | T::Map(..)) => {
            (Function::Size, args, T::Int)
        }
        ("struct", 1..) => {
            let field =
                |(i, arg): (usize, &Typed)| Field { name: format!("col{}", i + 1), ty: arg.ty.clone() };
            let fields = args.iter().enumerate().map(field).collect();
            (Function::List, args, T::Struct(fields))
        }
        ("named_struct", 2..) if count.is_multiple_of(2) => {
            let mut fields = Vec::new();
            let mut values = Vec::new();
            let mut args = args.into_iter();
            while let (Some(name), Some(value)) = (args.next(), args.next()) {
                let Bound::Constant(Value::String(name)) = name.expr else {
                    return Err(SqlError::mismatch("named_struct takes constant names."));
                };
                fields.push(Field { name: name.to_string(), ty: value.ty.clone() });
                values.push(value);
            }
            (Function::List, values, T::Struct(fields))
        }
        ("map", _) if count.is_multiple_of(2) => {
            let (keys, values): (Vec<_>, Vec<_>) =
                args.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
            let (keys, key) = unified(keys.into_iter().map(|(_, key)| key).collect())?;
            let (values, value) = unified(values.into_iter().map(|(_, value)| value).collect())?;
            let types = keys.iter().flat_map(|_| [key.clone(), value.clone()]).collect();
            let args = keys.into_iter().zip(values).flat_map(<[Bound; 2]>::from).collect();
            let result = T::Map(Box::new(key), Box::new(value));
            return Ok(Typed {
                expr: Bound::Call { function: Function::Map, args, types, result: result.clone() },
                ty: result,
            });
        }
        ("element_of", 2) => {
            let result = match &args[0].ty {
                T::Array(of) if args[1].ty.is_integer() => (**of).clone(),
                T::Map(key, of) if **key == args[1].ty => (**of).clone(),
                _ => return Err(SqlError::unsupported("this access to an element")),
            };
            (Function::ElementOf, args, result)
        }
        ("array_contains", 2) => match &args[0].ty {
            T::Array(of) if **of == args[1].ty => (Function::ArrayContains, args, T::Boolean),
            _ => return Err(SqlError::mismatch("array_contains takes an array and a value of its type.")),
        },
        ("to_json", 1) => (Function::ToJson, args, T::String),
        ("parse_json", 1) => (Function::ParseJson, text(args)?, T::Variant),
        ("base64", 1) => (Function::Base64, vec![cast_one(args, &T::Binary)?], T::String),
        ("unbase64", 1) => (Function::Unbase64, text(args)?, T::Binary),
        ("year" | "month" | "day" | "dayofmonth", 1) => {
            let function = match name {
                "year" => Function::Year,
                "month" => Function::Month,
                _ => Function::Day,
            };
            (function, vec![cast_one(args, &T::Date)?], T::Int)
        }
        _ => return Err(unknown(name, count)),
    };
    let (args, types) = args.into_iter().map(|arg| (arg.expr, arg.ty)).unzip();
    Ok(Typed { expr: Bound::Call { function, args, types, result: result.clone() }, ty: result })
}

fn unknown(name: &str, count: usize) -> SqlError {
    SqlError::unsupported(format_args!("the function {name} with {count} arguments of these types"))
}

fn cast_one(args: Vec<Typed>, to: &DataType) -> Sql<Typed> {
    single_cast(args, to, Kind::Ansi)
}

fn single_cast(args: Vec<Typed>, to: &DataType, kind: Kind) -> Sql<Typed> {
    let arg = args.into_iter().next().ok_or_else(|| unknown("cast", 0))?;
    cast::check(&arg.ty, to)?;
    Ok(converted(arg, to, kind))
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
