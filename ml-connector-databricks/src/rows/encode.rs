//! One event as one JSON object. Decimals are texts, so that nobody reads them as binary fractions.

use std::io::Write;

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Change, Columns, Event, Value},
};

use super::row::{Form, Row, Rows};
use crate::sql::{DELETED, DETAILED, Layout, RAW, Wire};

/// What of a row its event does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) system: &'a str,
    pub(crate) account: &'a str,
    /// Whether the row also goes into the change log, which keeps the JSON.
    pub(crate) change_log: bool,
}

/// Writes events as rows, one after another.
pub(crate) struct Encoder<'a> {
    columns: &'a Columns,
    layout: &'a Layout,
    /// A row that is longer is refused.
    most: usize,
    rows: Vec<Row>,
    text: Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// For so many rows of about so many bytes in all.
    pub(crate) fn new(
        columns: &'a Columns,
        layout: &'a Layout,
        most: usize,
        (rows, bytes): (usize, usize),
    ) -> Self {
        Self { columns, layout, most, rows: Vec::with_capacity(rows), text: Vec::with_capacity(bytes) }
    }

    /// Writes an event as a row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the column whose value the table cannot hold. It quotes nothing. Nothing of the
    /// row is kept then.
    pub(crate) fn add(&mut self, owner: usize, event: &Event, origin: Origin<'_>) -> Result<()> {
        let start = self.text.len();
        let written = self.write(event, origin).and_then(|form| {
            let bytes = self.text.len() - start;
            if bytes <= self.most {
                return Ok(form);
            }
            let message =
                "the row is larger than a statement takes: configure a volume, or a larger max_bytes";
            Err(Error::new(ErrorKind::InvalidRequest, message).with_context("bytes", bytes))
        });
        match written {
            Ok(form) => {
                self.text.push(b'\n');
                self.rows.push(Row {
                    owner,
                    connection: event.connection.clone(),
                    entity: event.entity.clone(),
                    epoch: event.epoch,
                    n: event.n,
                    form,
                    text: start..self.text.len(),
                });
                Ok(())
            }
            Err(error) => {
                self.text.truncate(start);
                Err(error)
            }
        }
    }

    pub(crate) fn finish(self) -> Rows {
        Rows { rows: self.rows, text: self.text.into() }
    }

    fn write(&mut self, event: &Event, origin: Origin<'_>) -> Result<Form> {
        let Self { columns, layout, text, .. } = self;
        let deleted = event.changes.contains(&Change::Deleted);
        let raw = event.raw.as_ref().filter(|_| !deleted);
        if raw.is_none() && !deleted {
            return Err(Error::new(ErrorKind::InvalidRequest, "the event does not carry the record's JSON"));
        }
        let n = i64::try_from(event.n).map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, "the change's number has more than 63 bits")
        })?;
        let epoch = i64::try_from(event.epoch)
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the log's number has more than 63 bits"))?;
        let read = raw.map(|raw| columns.read_with_form(raw)).transpose()?;
        let form = match &read {
            None => Form::Gone,
            Some((_, whole)) if layout.detailed && !whole => Form::Listed,
            Some(_) => Form::Whole,
        };
        let mut row = Object::begin(text, layout.strict);
        row.text("_connection", event.connection.as_str())?;
        row.text("_system", origin.system)?;
        row.text("_account", origin.account)?;
        row.text("_id", &event.entity.id)?;
        row.text("_event_id", &event.id())?;
        row.plain("_epoch", epoch)?;
        row.plain("_n", n)?;
        row.text("_occurred_at", &event.at.to_string())?;
        row.plain(DELETED, deleted)?;
        if layout.detailed {
            row.plain(DETAILED.0, form == Form::Whole)?;
        }
        if let Some(raw) = raw.filter(|_| layout.raw || origin.change_log) {
            row.text(RAW.0, raw.get())?;
        }
        if origin.change_log {
            let changes: Vec<String> = event.changes.iter().map(ToString::to_string).collect();
            row.text("_changes", &changes.join(", "))?;
        }
        if let Some((values, _)) = &read {
            record(values, columns, layout, &mut row)?;
        }
        row.end();
        Ok(form)
    }
}

fn record(values: &[Value<'_>], columns: &Columns, layout: &Layout, row: &mut Object<'_>) -> Result<()> {
    for place in &layout.refused {
        if values[*place] != Value::Null {
            return Err(lacking(columns.columns()[*place].name));
        }
    }
    for column in &layout.columns {
        row.value(&column.name, &values[column.place], &column.wire)?;
    }
    Ok(())
}

/// A value for which the table has no place, where such rows are parked.
fn lacking(column: &str) -> Error {
    let message = "the table lacks the column, and rows with a value for it are not written";
    Error::new(ErrorKind::InvalidRequest, message).with_context("column", column)
}

/// A JSON object that is being written. What is null is left out: it reads the same.
struct Object<'a> {
    to: &'a mut Vec<u8>,
    empty: bool,
    /// Whether a value of a line is refused that the table has no member for.
    strict: bool,
}

impl<'a> Object<'a> {
    fn begin(to: &'a mut Vec<u8>, strict: bool) -> Self {
        to.push(b'{');
        Self { to, empty: true, strict }
    }

    fn end(self) {
        self.to.push(b'}');
    }

    fn name(&mut self, name: &str) -> Result<()> {
        if !std::mem::take(&mut self.empty) {
            self.to.push(b',');
        }
        text(self.to, name)?;
        self.to.push(b':');
        Ok(())
    }

    fn text(&mut self, name: &str, value: &str) -> Result<()> {
        self.name(name)?;
        text(self.to, value)
    }

    /// A number, or true or false.
    fn plain(&mut self, name: &str, value: impl std::fmt::Display) -> Result<()> {
        self.name(name)?;
        write!(self.to, "{value}").map_err(unwritable)
    }

    fn value(&mut self, name: &str, value: &Value<'_>, wire: &Wire) -> Result<()> {
        match value {
            Value::Null => Ok(()),
            Value::String(value) | Value::Decimal(value) | Value::Date(value) => self.text(name, value),
            Value::Timestamp(value) => self.text(name, value),
            Value::Boolean(value) => self.plain(name, value),
            Value::BigInt(value) => self.plain(name, value),
            Value::List(lines) => {
                self.name(name)?;
                self.to.push(b'[');
                for (i, line) in lines.iter().enumerate() {
                    if i > 0 {
                        self.to.push(b',');
                    }
                    let mut object = Object::begin(self.to, self.strict);
                    if let Wire::Lines(members) = wire {
                        for (value, member) in line.iter().zip(members) {
                            match member {
                                Ok((name, wire)) => object.value(name, value, wire)?,
                                Err(lacks) if object.strict && *value != Value::Null => {
                                    return Err(lacking(&format!("{name}.{lacks}")));
                                }
                                Err(_) => {}
                            }
                        }
                    }
                    object.end();
                }
                self.to.push(b']');
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "a value of a type that tables here do not have")
                .with_context("column", name)),
        }
    }
}

fn text(to: &mut Vec<u8>, text: &str) -> Result<()> {
    // Nearly every text is written as it is, and looking at all of one is faster than stopping at each letter.
    let is_plain =
        text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if !is_plain {
        return serde_json::to_writer(to, text).map_err(unwritable);
    }
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
    Ok(())
}

fn unwritable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, "a row cannot be written").with_source(source)
}
