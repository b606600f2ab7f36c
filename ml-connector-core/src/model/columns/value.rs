//! From the vendor's JSON text to a value of a column's type: exact, or refused.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ColumnType;
use crate::model::{Date, Timestamp};

/// A value of a column: exactly what the vendor wrote, in the one form that warehouses read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Text.
    String(Cow<'a, str>),
    /// True or false.
    Boolean(bool),
    /// A whole number.
    BigInt(i64),
    /// Decimal digits without an exponent, which fit the column.
    Decimal(Cow<'a, str>),
    /// `YYYY-MM-DD`.
    Date(Cow<'a, str>),
    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`; the fraction only as long as it was, and cut after the microseconds.
    Timestamp(String),
    /// Lines: the values of each, in the order of the nested columns.
    List(Vec<Vec<Self>>),
}

/// More zeros than any precision holds: an exponent beyond is nonsense.
const MAX_EXPONENT: i32 = 100;

/// Reads a value that is no list. An empty text is nothing for every type but text.
pub(super) fn scalar<'a>(
    kind: &ColumnType,
    value: &'a RawValue,
    rounds: bool,
) -> Result<Value<'a>, &'static str> {
    let json = value.get();
    if json == "null" {
        return Ok(Value::Null);
    }
    let text: Cow<'a, str> = if json.starts_with('"') {
        text(json).ok_or("the text cannot be read")?
    } else {
        Cow::Borrowed(json)
    };
    if text.is_empty() && *kind != ColumnType::String {
        return Ok(Value::Null);
    }
    match kind {
        ColumnType::String => Ok(Value::String(text)),
        ColumnType::Boolean => match &*text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err("expected true or false"),
        },
        ColumnType::BigInt => {
            let whole = decimal(text, 38, 0, false).ok().and_then(|digits| digits.parse().ok());
            whole.map(Value::BigInt).ok_or("expected a whole number of 64 bits")
        }
        ColumnType::Decimal { precision, scale } => {
            decimal(text, *precision, *scale, rounds).map(Value::Decimal)
        }
        ColumnType::Date => date(text).map(Value::Date),
        ColumnType::Timestamp => instant(&text).map(Value::Timestamp),
        ColumnType::List(_) => Err("expected no list"),
    }
}

fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Plain digits that fit: those that were written, or what they round to where that is wanted.
fn decimal(text: Cow<'_, str>, precision: u8, scale: u8, rounds: bool) -> Result<Cow<'_, str>, &'static str> {
    const NO_NUMBER: &str = "expected a decimal number";
    const TOO_LONG: &str = "the number has more digits than the column holds";
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (&number[..at], number[at + 1..].parse::<i32>().map_err(|_| NO_NUMBER)?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.is_empty() && fraction.is_empty() {
        return Err(NO_NUMBER);
    }
    let most_whole = usize::from(precision - scale);
    let is_plain = mantissa.len() == number.len()
        && !whole.is_empty()
        && !text.starts_with('+')
        && !mantissa.ends_with('.');
    if is_plain && fraction.len() <= usize::from(scale) && whole.trim_start_matches('0').len() <= most_whole {
        return Ok(text);
    }
    if exponent.abs() > MAX_EXPONENT {
        let is_zero = whole.bytes().chain(fraction.bytes()).all(|b| b == b'0');
        return if is_zero || rounds && exponent < 0 { Ok(Cow::Borrowed("0")) } else { Err(TOO_LONG) };
    }
    // The point moves through the digits.
    let digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).map_err(|_| TOO_LONG)? + exponent;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => {
            let width = digits.len() + usize::try_from(point.unsigned_abs()).map_err(|_| TOO_LONG)?;
            (String::new(), format!("{digits:0>width$}"))
        }
    };
    let (whole, fraction) = match fraction.get(usize::from(scale)..) {
        Some(rest) if rounds && !rest.is_empty() => {
            let (whole, fraction) = rounded(&whole, &fraction, usize::from(scale));
            (Cow::Owned(whole), Cow::Owned(fraction))
        }
        _ => (Cow::Borrowed(&*whole), Cow::Borrowed(&*fraction)),
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if fraction.len() > usize::from(scale) || whole.len() > most_whole {
        return Err(TOO_LONG);
    }
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(Cow::Owned(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }))
}

/// Half away from zero, on the digits.
fn rounded(whole: &str, fraction: &str, scale: usize) -> (String, String) {
    let (kept, rest) = fraction.split_at(scale);
    let mut digits = format!("0{whole}{kept}").into_bytes();
    if rest.as_bytes().first().is_some_and(|digit| *digit >= b'5') {
        for digit in digits.iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let digits = String::from_utf8(digits).unwrap_or_default();
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    (whole.to_owned(), fraction.to_owned())
}

/// `YYYY-MM-DD`, also with a time behind it that is cut off.
fn date(text: Cow<'_, str>) -> Result<Cow<'_, str>, &'static str> {
    const NO_DATE: &str = "expected a date as YYYY-MM-DD";
    let day = text.get(..10).ok_or(NO_DATE)?;
    let is_day = day.bytes().enumerate().all(|(i, b)| match i {
        4 | 7 => b == b'-',
        _ => b.is_ascii_digit(),
    });
    let ends = matches!(text.as_bytes().get(10), None | Some(b'T' | b' '));
    if !is_day || !ends || Date::parse(day).is_err() {
        return Err(NO_DATE);
    }
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..10]),
        Cow::Owned(mut text) => {
            text.truncate(10);
            Cow::Owned(text)
        }
    })
}

/// In UTC, with as many digits of the second as were written, and six at most.
fn instant(text: &str) -> Result<String, &'static str> {
    const NO_INSTANT: &str = "expected an instant with an offset";
    let instant = Timestamp::parse(text).map_err(|_| NO_INSTANT)?;
    let mut utc = Timestamp::from_secs(instant.as_secs()).to_string();
    let fraction: &str = text.split_once('.').map_or("", |(_, behind)| {
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        &behind[..end.min(6)]
    });
    if !fraction.is_empty() {
        utc.pop();
        utc.push('.');
        utc.push_str(fraction);
        utc.push('Z');
    }
    Ok(utc)
}
