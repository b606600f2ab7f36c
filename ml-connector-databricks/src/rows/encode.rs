//! One event as one JSON object. Decimals are texts, so that nobody reads them as binary fractions.

use std::io::Write;

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Change, Columns, Event, Raw, Value},
};

use crate::sql::{DELETED, DETAILED, Layout, RAW, Wire};

/// What of a row its event does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) system: &'a str,
    pub(crate) account: &'a str,
    /// Whether the row also goes into the change log, which keeps the JSON.
    pub(crate) change_log: bool,
}

/// Writes an event as a row.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] names the column whose value the table cannot hold. It quotes nothing.
pub(crate) fn encode(
    event: &Event,
    origin: Origin<'_>,
    columns: &Columns,
    layout: &Layout,
) -> Result<String> {
    let deleted = event.changes.contains(&Change::Deleted);
    let raw = event.raw.as_ref().filter(|_| !deleted);
    if raw.is_none() && !deleted {
        return Err(Error::new(ErrorKind::InvalidRequest, "the event does not carry the record's JSON"));
    }
    let n = i64::try_from(event.n)
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the change's number has more than 63 bits"))?;
    let epoch = i64::try_from(event.epoch)
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the log's number has more than 63 bits"))?;
    let mut to = Vec::with_capacity(512);
    let mut row = Object::begin(&mut to);
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
        row.plain(DETAILED.0, raw.is_some_and(|raw| columns.is_whole(raw)))?;
    }
    if let Some(raw) = raw.filter(|_| layout.raw || origin.change_log) {
        row.text(RAW.0, raw.get())?;
    }
    if origin.change_log {
        let changes: Vec<String> = event.changes.iter().map(ToString::to_string).collect();
        row.text("_changes", &changes.join(", "))?;
    }
    if let Some(raw) = raw {
        record(raw, columns, layout, &mut row)?;
    }
    row.end();
    String::from_utf8(to)
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a row is not UTF-8").with_source(source))
}

fn record(raw: &Raw, columns: &Columns, layout: &Layout, row: &mut Object<'_>) -> Result<()> {
    let values = columns.read(raw)?;
    for place in &layout.refused {
        if values[*place] != Value::Null {
            let message = "the table lacks the column, and rows with a value for it are not written";
            return Err(Error::new(ErrorKind::InvalidRequest, message)
                .with_context("column", columns.columns()[*place].name));
        }
    }
    for column in &layout.columns {
        row.value(&column.name, &values[column.place], &column.wire)?;
    }
    Ok(())
}

/// A JSON object that is being written. What is null is left out: it reads the same.
struct Object<'a> {
    to: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn begin(to: &'a mut Vec<u8>) -> Self {
        to.push(b'{');
        Self { to, empty: true }
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
                    let mut object = Object::begin(self.to);
                    if let Wire::Lines(names) = wire {
                        for (value, name) in line.iter().zip(names) {
                            if let Some((name, wire)) = name {
                                object.value(name, value, wire)?;
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
    serde_json::to_writer(to, text).map_err(unwritable)
}

fn unwritable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, "a row cannot be written").with_source(source)
}
