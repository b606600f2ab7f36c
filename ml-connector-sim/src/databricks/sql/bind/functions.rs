//! The scalar functions by name: which arguments they take, and of which type they are.

use super::{
    super::{
        cast::{self, Kind},
        error::{Sql, SqlError},
        eval::{Bound, Function, Typed},
        json::Mode,
        types::{DataType, Field, Value},
    },
    Session,
    unify::{constant, converted, unified},
};

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
