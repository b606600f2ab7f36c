//! Values written as JSON.

use std::fmt::Write;

use super::super::{
    cast,
    time::SessionZone,
    types::{DataType, Value},
};

/// A value as JSON text.
pub(crate) fn write(to: &mut String, value: &Value, ty: &DataType, zone: &SessionZone) {
    match (value, ty) {
        (Value::Null, _) => to.push_str("null"),
        (Value::List(items), DataType::Array(of)) => {
            write_all(to, ['[', ']'], items.iter(), |to, item| write(to, item, of, zone));
        }
        (Value::List(items), DataType::Struct(fields)) => {
            write_all(to, ['{', '}'], items.iter().zip(fields), |to, (item, field)| {
                write_text(to, &field.name);
                to.push(':');
                write(to, item, &field.ty, zone);
            });
        }
        (Value::Map(pairs), DataType::Map(key_type, of)) => {
            write_all(to, ['{', '}'], pairs.iter(), |to, (key, item)| {
                write_text(to, &cast::text(key, key_type, zone));
                to.push(':');
                write(to, item, of, zone);
            });
        }
        (Value::Variant(json), _) => to.push_str(json),
        (Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Double(_), _) => {
            to.push_str(&cast::text(value, ty, zone));
        }
        (Value::Timestamp(micros), DataType::Timestamp) => write_text(to, &zone.cell(*micros)),
        _ => write_text(to, &cast::text(value, ty, zone)),
    }
}

pub(super) fn write_all<T>(
    to: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut String, T),
) {
    to.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            to.push(',');
        }
        each(to, item);
    }
    to.push(close);
}

pub(super) fn write_text(to: &mut String, text: &str) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            c if c.is_control() && (c as u32) < 0x20 => drop(write!(to, "\\u{:04x}", c as u32)),
            c => to.push(c),
        }
    }
    to.push('"');
}
