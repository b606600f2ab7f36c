//! JSON read into a type, or brought into one form.

use std::borrow::Cow;

use super::{
    super::{
        cast,
        decimal::Written,
        time::{self, SessionZone},
        types::{DataType, Value},
    },
    Bad, Mode,
    writer::{write_all, write_text},
};

/// JSON nested deeper is refused.
const MAX_DEPTH: u32 = 256;

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: u32,
    pub(super) mode: Mode,
    pub(super) zone: &'a SessionZone,
}

impl<'a> Reader<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Result<(), Bad> {
        if self.peek() != Some(byte) {
            return Err(Bad::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a value of a type. In PERMISSIVE mode one of another type is NULL.
    pub(super) fn value(&mut self, ty: &DataType) -> Result<Value, Bad> {
        match self.strict(ty) {
            Err(Bad::Field) if self.mode == Mode::Permissive => Ok(Value::Null),
            read => read,
        }
    }

    /// Reads a value. After [`Bad::Field`] the value has been passed over.
    fn strict(&mut self, ty: &DataType) -> Result<Value, Bad> {
        if self.bytes[self.at..].starts_with(b"null") {
            self.at += 4;
            return Ok(Value::Null);
        }
        match (self.peek().ok_or(Bad::Syntax)?, ty) {
            (_, DataType::Variant) => {
                let mut normal = String::new();
                self.normal(&mut normal)?;
                Ok(Value::Variant(normal.into()))
            }
            (b'{', DataType::Struct(fields)) => {
                let mut values = vec![Value::Null; fields.len()];
                let mut next = 0;
                let mut bad = None;
                self.members(|reader, key| {
                    // Keys mostly come in the order of the fields. They must be equal to the letter.
                    let position = match fields.get(next) {
                        Some(field) if field.name == key => Some(next),
                        _ => fields.iter().position(|field| field.name == key),
                    };
                    let Some(position) = position else { return reader.skip() };
                    next = position + 1;
                    match reader.value(&fields[position].ty) {
                        Ok(value) => values[position] = value,
                        Err(Bad::Field) => bad = Some(Bad::Field),
                        Err(Bad::Syntax) => return Err(Bad::Syntax),
                    }
                    Ok(())
                })?;
                bad.map_or(Ok(Value::List(values.into())), Err)
            }
            (b'{', DataType::Map(_, of)) => {
                let mut pairs = Vec::new();
                let mut bad = None;
                self.members(|reader, key| {
                    match reader.value(of) {
                        Ok(value) => pairs.push((Value::text(key), value)),
                        Err(Bad::Field) => bad = Some(Bad::Field),
                        Err(Bad::Syntax) => return Err(Bad::Syntax),
                    }
                    Ok(())
                })?;
                bad.map_or(Ok(Value::Map(pairs.into())), Err)
            }
            (b'[', DataType::Array(of)) => {
                let mut values = Vec::new();
                let mut bad = None;
                self.elements(|reader| {
                    match reader.value(of) {
                        Ok(value) => values.push(value),
                        Err(Bad::Field) => bad = Some(Bad::Field),
                        Err(Bad::Syntax) => return Err(Bad::Syntax),
                    }
                    Ok(())
                })?;
                bad.map_or(Ok(Value::List(values.into())), Err)
            }
            (b'"', ty) => {
                let text = self.string()?;
                scalar_of_text(&text, ty, self.zone).ok_or(Bad::Field)
            }
            (b'{' | b'[', DataType::String) => {
                let mut compact = String::new();
                self.compact(&mut compact)?;
                Ok(Value::text(compact))
            }
            (b'{' | b'[', _) => {
                self.skip()?;
                Err(Bad::Field)
            }
            (b't' | b'f', ty) => {
                let truth = self.boolean()?;
                match ty {
                    DataType::Boolean => Ok(Value::Boolean(truth)),
                    DataType::String => Ok(Value::text(truth.to_string())),
                    _ => Err(Bad::Field),
                }
            }
            (_, ty) => {
                let number = self.number()?;
                scalar_of_number(number, ty).ok_or(Bad::Field)
            }
        }
    }

    fn skip(&mut self) -> Result<(), Bad> {
        self.compact(&mut String::new())
    }

    fn members(&mut self, mut each: impl FnMut(&mut Self, &str) -> Result<(), Bad>) -> Result<(), Bad> {
        self.nested(b'{', b'}', |reader| {
            let key = reader.string()?;
            reader.skip_blank();
            reader.eat(b':')?;
            reader.skip_blank();
            each(reader, &key)
        })
    }

    fn elements(&mut self, each: impl FnMut(&mut Self) -> Result<(), Bad>) -> Result<(), Bad> {
        self.nested(b'[', b']', each)
    }

    fn nested(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        self.eat(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Bad::Syntax);
        }
        self.skip_blank();
        if self.peek() != Some(close) {
            loop {
                self.skip_blank();
                each(self)?;
                self.skip_blank();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    _ => break,
                }
            }
        }
        self.depth -= 1;
        self.eat(close)
    }

    fn boolean(&mut self) -> Result<bool, Bad> {
        for (word, truth) in [("true", true), ("false", false)] {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(truth);
            }
        }
        Err(Bad::Syntax)
    }

    /// A number as it is written.
    fn number(&mut self) -> Result<&'a str, Bad> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        let digits = number.strip_prefix('-').unwrap_or(number);
        let leading_zero =
            digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let plain = digits.starts_with(|c: char| c.is_ascii_digit())
            && !digits.contains(".e")
            && !digits.ends_with('.');
        match Written::parse(number) {
            Some(_) if plain && !leading_zero => Ok(number),
            _ => Err(Bad::Syntax),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Bad> {
        self.eat(b'"')?;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            match self.peek().ok_or(Bad::Syntax)? {
                b'"' => {
                    let tail = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => tail.into(),
                        Some(text) => (text + tail).into(),
                    });
                }
                b'\\' => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let escaped = self.peek().ok_or(Bad::Syntax)?;
                    self.at += 1;
                    let c = match escaped {
                        b'n' => '\n',
                        b't' => '\t',
                        b'r' => '\r',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'u' => self.unicode()?,
                        c @ (b'"' | b'\\' | b'/') => char::from(c),
                        _ => return Err(Bad::Syntax),
                    };
                    owned.get_or_insert_default().push(c);
                    copied = self.at;
                }
                0..=0x1f => return Err(Bad::Syntax),
                _ => self.at += 1,
            }
        }
    }

    fn unicode(&mut self) -> Result<char, Bad> {
        let high = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&high) {
            // A lone half of a pair cannot be kept in UTF-8.
            return Ok(char::from_u32(high).unwrap_or('?'));
        }
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Ok('?');
        }
        self.at += 2;
        let low = self.four_digits()?;
        let code = 0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00);
        Ok(char::from_u32(code).unwrap_or('?'))
    }

    fn four_digits(&mut self) -> Result<u32, Bad> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Bad::Syntax)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Bad::Syntax)
    }

    /// Copies a value without blanks: what a STRING makes of an object.
    fn compact(&mut self, to: &mut String) -> Result<(), Bad> {
        match self.peek().ok_or(Bad::Syntax)? {
            b'{' => {
                to.push('{');
                let mut first = true;
                self.members(|reader, key| {
                    separate(to, &mut first);
                    write_text(to, key);
                    to.push(':');
                    reader.compact(to)
                })?;
                to.push('}');
            }
            b'[' => {
                to.push('[');
                let mut first = true;
                self.elements(|reader| {
                    separate(to, &mut first);
                    reader.compact(to)
                })?;
                to.push(']');
            }
            b'"' => {
                let text = self.string()?;
                write_text(to, &text);
            }
            _ => self.scalar(to, number_text)?,
        }
        Ok(())
    }

    /// Copies a value as VARIANT keeps it.
    pub(super) fn normal(&mut self, to: &mut String) -> Result<(), Bad> {
        match self.peek().ok_or(Bad::Syntax)? {
            b'{' => {
                let mut members = std::collections::BTreeMap::new();
                self.members(|reader, key| {
                    let mut value = String::new();
                    reader.normal(&mut value)?;
                    // A key that comes twice is refused.
                    members.insert(key.to_owned(), value).map_or(Ok(()), |_| Err(Bad::Syntax))
                })?;
                write_all(to, ['{', '}'], members.iter(), |to, (key, value)| {
                    write_text(to, key);
                    to.push(':');
                    to.push_str(value);
                });
            }
            b'[' => {
                to.push('[');
                let mut first = true;
                self.elements(|reader| {
                    separate(to, &mut first);
                    reader.normal(to)
                })?;
                to.push(']');
            }
            b'"' => {
                let text = self.string()?;
                write_text(to, &text);
            }
            _ => self.scalar(to, variant_number)?,
        }
        Ok(())
    }

    fn scalar(&mut self, to: &mut String, number: impl Fn(&str) -> String) -> Result<(), Bad> {
        if self.bytes[self.at..].starts_with(b"null") {
            self.at += 4;
            to.push_str("null");
        } else if matches!(self.peek(), Some(b't' | b'f')) {
            to.push_str(if self.boolean()? { "true" } else { "false" });
        } else {
            to.push_str(&number(self.number()?));
        }
        Ok(())
    }
}

fn separate(to: &mut String, first: &mut bool) {
    if !std::mem::replace(first, false) {
        to.push(',');
    }
}

/// What becomes of a number that is read as text: whoever sends `1.10` gets `1.1`.
fn number_text(number: &str) -> String {
    if number.contains(['.', 'e', 'E']) {
        number.parse().map_or_else(|_| number.to_owned(), cast::double_text)
    } else {
        number.to_owned()
    }
}

/// A number in a VARIANT: a decimal without idle zeros, or a double if it has an exponent or too many digits.
fn variant_number(number: &str) -> String {
    let exact = if number.contains(['e', 'E']) {
        None
    } else {
        Written::parse(number).and_then(|number| number.exact())
    };
    match exact {
        Some(decimal) => decimal.normalized().to_string(),
        None => number_text(&format!("{number}{}", if number.contains(['e', 'E']) { "" } else { "e0" })),
    }
}

fn scalar_of_text(text: &str, ty: &DataType, zone: &SessionZone) -> Option<Value> {
    match ty {
        DataType::String => Some(Value::text(text)),
        DataType::Decimal { precision, scale } => {
            // Thousands separators are taken.
            let plain = if text.contains(',') { text.replace(',', "").into() } else { Cow::from(text) };
            Written::parse(&plain)?.rounded(*precision, *scale).map(Value::Decimal)
        }
        DataType::Date => time::date(text).map(Value::Date),
        DataType::Timestamp => time::instant(text, zone).map(Value::Timestamp),
        DataType::TimestampNtz => time::wall(text).map(Value::Timestamp),
        DataType::Double => match text {
            "NaN" => Some(Value::Double(f64::NAN)),
            "Infinity" | "+Infinity" | "INF" => Some(Value::Double(f64::INFINITY)),
            "-Infinity" | "-INF" => Some(Value::Double(f64::NEG_INFINITY)),
            _ => None,
        },
        DataType::Binary => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .ok()
                .map(|bytes| Value::Binary(bytes.into()))
        }
        _ => None,
    }
}

fn scalar_of_number(number: &str, ty: &DataType) -> Option<Value> {
    match ty {
        DataType::Decimal { precision, scale } => {
            Written::parse(number)?.rounded(*precision, *scale).map(Value::Decimal)
        }
        DataType::String => Some(Value::text(number_text(number))),
        DataType::Double => number.parse().ok().map(Value::Double),
        // Seconds.
        DataType::Timestamp => number.parse::<i64>().ok()?.checked_mul(1_000_000).map(Value::Timestamp),
        ty => {
            let bits = ty.integer_bits()?;
            let value: i64 = number.parse().ok()?;
            cast::fits(value, bits).then_some(Value::Integer(value))
        }
    }
}
