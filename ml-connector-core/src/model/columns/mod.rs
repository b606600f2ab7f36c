//! What the records of a kind look like as a table.

mod read;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeSet;

use read::Node;
pub use value::Value;

use super::{Raw, RecordKind};
use crate::{Error, ErrorKind, Result};

/// What the records of a kind look like as a table: published by a source in
/// [`SourceInfo::columns`](crate::SourceInfo::columns), so that a warehouse needs to know no vendor, and every source can
/// feed one.
///
/// Values are read from the vendor's own JSON ([`Event::raw`](super::Event::raw)) digit by digit.
///
/// ```
/// use ml_connector_core::model::{Column, Columns, Raw, RecordKind, Value};
///
/// let columns = Columns::new(RecordKind::Invoice, "invoices", "Sales invoices")
///     .with(Column::string("number", "/invoice_number").commented("What people call it"))
///     .with(Column::decimal("total", "/total", 4))
///     .with(Column::list("lines", "/line_items", [Column::string("item", "/name")]));
/// columns.validate()?;
///
/// let raw: Raw = serde_json::from_str(r#"{"total": 1250.50, "line_items": [{"name": "Crate"}]}"#)?;
/// let row = columns.read(&raw)?;
/// assert_eq!(row[0], Value::Null);
/// assert_eq!(row[1], Value::Decimal("1250.50".into()));
/// assert_eq!(row[2], Value::List(vec![vec![Value::String("Crate".into())]]));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Columns {
    /// The kind of records.
    pub kind: RecordKind,
    /// What the table is called: lower case, in the plural.
    pub table: &'static str,
    /// What is in the table.
    pub comment: &'static str,
    whole: Option<&'static str>,
    fields: Fields,
}

/// Columns that are read together, with what finds them in one pass over the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    columns: Vec<Column>,
    root: Node,
}

/// One column of a table, or of the lines nested in one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name: lower-case letters, digits and underscores.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnType,
    /// Where its value is in the vendor's JSON: a JSON pointer of members' names, without elements of arrays. In nested
    /// lines it begins at the element; `""` is the element itself.
    pub pointer: &'static str,
    /// What it means. Empty where the name says it.
    pub comment: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether rows of a list have it too, where [`Columns::whole`] tells rows of a list from whole records.
    pub listed: bool,
    /// Whether digits behind a decimal's scale are rounded (half away from zero) instead of refused: for vendors that
    /// compute with binary fractions, and write `249.97999999999999`.
    pub rounds: bool,
    /// What reads it anew, where a change of this column alone is no event: such as the next change of the record.
    /// `None`: every change of it is an event.
    pub refreshed_by: Option<&'static str>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// Text. What the vendor wrote as a number, a list or an object is kept as its JSON text.
    String,
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    BigInt,
    /// A number with `scale` digits behind the point, and `precision` digits in all.
    Decimal {
        /// All digits: 38 at most.
        precision: u8,
        /// The digits behind the point.
        scale: u8,
    },
    /// A calendar date.
    Date,
    /// An instant, to the microsecond.
    Timestamp,
    /// Nested lines, each with these columns.
    List(Fields),
}

impl Columns {
    /// A table without columns.
    #[must_use]
    pub fn new(kind: RecordKind, table: &'static str, comment: &'static str) -> Self {
        Self { kind, table, comment, whole: None, fields: Fields::default() }
    }

    /// Adds a column.
    #[must_use]
    pub fn with(mut self, column: Column) -> Self {
        self.fields.push(column);
        self
    }

    /// Adds columns.
    #[must_use]
    pub fn with_all(self, columns: impl IntoIterator<Item = Column>) -> Self {
        columns.into_iter().fold(self, Self::with)
    }

    /// A record without a member at this JSON pointer is a row of a list, which has only the columns that are
    /// [`listed`](Column::listed). Without it every record is whole.
    #[must_use]
    pub fn whole_with(mut self, pointer: &'static str) -> Self {
        self.whole = Some(pointer);
        self.fields.root.add_whole(pointer);
        self
    }

    /// The columns in their order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.fields.columns
    }

    /// Where a whole record differs from a row of a list.
    #[must_use]
    pub fn whole(&self) -> Option<&'static str> {
        self.whole
    }

    /// Whether this is a whole record, and no row of a list.
    #[must_use]
    pub fn is_whole(&self, raw: &Raw) -> bool {
        self.whole.is_none_or(|pointer| raw.at(pointer).is_some())
    }

    /// Reads a record: one value per column, in their order, in one pass.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the first column whose value does not fit; it quotes nothing of it.
    pub fn read<'a>(&self, raw: &'a Raw) -> Result<Vec<Value<'a>>> {
        self.read_with_form(raw).map(|(values, _)| values)
    }

    /// As [`read`](Self::read), and in the same pass whether this is a whole record, as [`is_whole`](Self::is_whole) says.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with_form<'a>(&self, raw: &'a Raw) -> Result<(Vec<Value<'a>>, bool)> {
        let (values, has_whole) = self.fields.read(raw.value())?;
        Ok((values, has_whole || self.whole.is_none()))
    }

    /// Whether every name, pointer and precision can be served.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the table and the column.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message| Error::new(ErrorKind::ConfigInvalid, message).with_context("table", self.table);
        if !is_name(self.table) {
            return Err(wrong("expected a table's name of lower-case letters, digits and underscores"));
        }
        self.fields.validate().map_err(|(column, message)| wrong(message).with_context("column", column))
    }
}

impl Fields {
    /// The columns in their order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn push(&mut self, column: Column) {
        self.root.add(column.pointer, self.columns.len());
        self.columns.push(column);
    }

    fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        let mut names = BTreeSet::new();
        for column in &self.columns {
            let wrong = |message| Err((column.name, message));
            if !is_name(column.name) || column.name.starts_with('_') {
                return wrong(
                    "expected a name of lower-case letters, digits and underscores, with a letter first",
                );
            }
            if !names.insert(column.name) {
                return wrong("expected each name once");
            }
            if !column.pointer.is_empty() && !column.pointer.starts_with('/') {
                return wrong("expected a JSON pointer, which begins with a slash");
            }
            match &column.kind {
                ColumnType::Decimal { precision, scale }
                    if !(1..=38).contains(precision) || scale > precision =>
                {
                    return wrong("expected a decimal of 38 digits at most");
                }
                ColumnType::List(fields) if fields.columns.is_empty() => {
                    return wrong("expected nested lines with columns");
                }
                ColumnType::List(fields) => fields.validate()?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl FromIterator<Column> for Fields {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        let mut fields = Self::default();
        columns.into_iter().for_each(|column| fields.push(column));
        fields
    }
}

impl Column {
    /// A column that may be null, in rows of lists too.
    #[must_use]
    pub const fn new(name: &'static str, kind: ColumnType, pointer: &'static str) -> Self {
        Self {
            name,
            kind,
            pointer,
            comment: "",
            nullable: true,
            listed: true,
            rounds: false,
            refreshed_by: None,
        }
    }

    /// Text.
    #[must_use]
    pub const fn string(name: &'static str, pointer: &'static str) -> Self {
        Self::new(name, ColumnType::String, pointer)
    }

    /// True or false.
    #[must_use]
    pub const fn boolean(name: &'static str, pointer: &'static str) -> Self {
        Self::new(name, ColumnType::Boolean, pointer)
    }

    /// A whole number.
    #[must_use]
    pub const fn big_int(name: &'static str, pointer: &'static str) -> Self {
        Self::new(name, ColumnType::BigInt, pointer)
    }

    /// A decimal of 38 digits, `scale` of them behind the point: an amount with more is refused, not rounded.
    #[must_use]
    pub const fn decimal(name: &'static str, pointer: &'static str, scale: u8) -> Self {
        Self::new(name, ColumnType::Decimal { precision: 38, scale }, pointer)
    }

    /// A calendar date.
    #[must_use]
    pub const fn date(name: &'static str, pointer: &'static str) -> Self {
        Self::new(name, ColumnType::Date, pointer)
    }

    /// An instant that the vendor writes with an offset.
    #[must_use]
    pub const fn timestamp(name: &'static str, pointer: &'static str) -> Self {
        Self::new(name, ColumnType::Timestamp, pointer)
    }

    /// Nested lines.
    #[must_use]
    pub fn list(name: &'static str, pointer: &'static str, columns: impl IntoIterator<Item = Self>) -> Self {
        Self::new(name, ColumnType::List(columns.into_iter().collect()), pointer)
    }

    /// Says what it means.
    #[must_use]
    pub fn commented(self, comment: &'static str) -> Self {
        Self { comment, ..self }
    }

    /// It is never null.
    #[must_use]
    pub fn required(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// Digits behind the scale are what binary fractions leave behind, and are rounded.
    #[must_use]
    pub fn rounded(self) -> Self {
        Self { rounds: true, ..self }
    }

    /// Rows of lists do not have it.
    #[must_use]
    pub fn in_detail(self) -> Self {
        Self { listed: false, ..self }
    }

    /// A change of it alone is no event; says what reads it anew.
    #[must_use]
    pub fn refreshed_by(self, what: &'static str) -> Self {
        Self { refreshed_by: Some(what), ..self }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 255
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
