//! JSON: `from_json` into a type, VARIANT, and values written as JSON.

mod reader;
mod writer;

use self::reader::Reader;
pub(crate) use self::writer::write;
use super::{
    error::{Sql, SqlError},
    time::SessionZone,
    types::{DataType, Value},
};

/// What a value that does not fit its type does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It becomes NULL; text that is no JSON makes everything NULL.
    Permissive,
    /// The statement fails.
    FailFast,
}

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// No JSON.
    Syntax,
    /// JSON of another type than asked for.
    Field,
}

/// Reads JSON text as a type. An empty text is NULL; an object where an array is expected is its only element.
pub(crate) fn from_json(text: &str, ty: &DataType, mode: Mode, zone: &SessionZone) -> Sql<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0, depth: 0, mode, zone };
    reader.skip_blank();
    let read = match (ty, reader.peek()) {
        (DataType::Array(of), Some(b'{')) => reader.value(of).map(|value| Value::List([value].into())),
        _ => reader.value(ty),
    };
    reader.skip_blank();
    match read {
        Ok(value) if reader.at == text.len() => Ok(value),
        _ if mode == Mode::Permissive => Ok(Value::Null),
        _ => Err(malformed()),
    }
}

/// Reads one line of a file as a row of these columns.
pub(crate) fn row(line: &str, ty: &DataType, mode: Mode, zone: &SessionZone) -> Sql<Value> {
    match from_json(line, ty, mode, zone)? {
        Value::Null if mode == Mode::FailFast => Err(malformed()),
        value => Ok(value),
    }
}

fn malformed() -> SqlError {
    SqlError::new(
        "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
        "22023",
        "Malformed records are detected in record parsing: [null]. Parse Mode: FAILFAST. To process malformed \
         records as null result, try setting the option 'mode' as 'PERMISSIVE'.",
    )
}

/// Brings JSON into the form VARIANT keeps: keys in order, numbers without idle zeros, no blanks.
pub(crate) fn variant(text: &str) -> Sql<Value> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        text,
        at: 0,
        depth: 0,
        mode: Mode::FailFast,
        zone: &SessionZone::UTC,
    };
    reader.skip_blank();
    let mut normal = String::with_capacity(text.len());
    let read = reader.normal(&mut normal);
    reader.skip_blank();
    if read.is_ok() && reader.at == text.len() {
        Ok(if normal == "null" { Value::Variant("null".into()) } else { Value::Variant(normal.into()) })
    } else {
        Err(malformed())
    }
}
