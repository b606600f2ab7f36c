//! The rows of a list.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Decoded, Members, Object, object, object::is_nothing, plain_text};
use crate::{
    Error, ErrorKind, Result,
    model::{LostRow, Revision},
};

/// A row of a list.
#[derive(Debug)]
pub enum Row<T> {
    /// It was read.
    Read {
        /// What was read, and what was left out.
        decoded: Decoded<T>,
        /// The row, byte for byte.
        raw: Box<RawValue>,
    },
    /// It could not be read. The rest of the page goes on.
    Unreadable {
        /// Where it is. Its id, where it has one, is enough for a signal, which leads to a read of the record alone; a row
        /// without belongs into [`Page::lost`](crate::model::Page::lost).
        row: LostRow,
        /// Why.
        error: Error,
    },
}

/// The rows of a list, unread. `Debug` shows how many there are.
///
/// ```
/// use ml_connector_core::decode::{List, Row};
///
/// let list = serde_json::value::RawValue::from_string(r#"[{"id":"7"},null,{"name":"?"}]"#.into()).unwrap();
/// let rows = List::of(&list)?.rows("id", |row| row.id("id"));
/// assert!(matches!(&rows[0], Row::Read { decoded, .. } if decoded.value == "7"));
/// assert!(matches!(&rows[1], Row::Unreadable { row, .. } if row.number == 2));
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct List(Vec<Box<RawValue>>);

impl List {
    /// Takes a list apart. Where there is nothing, it has no rows.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when the value is no list.
    pub fn of(list: &RawValue) -> Result<Self> {
        if is_nothing(list) {
            return Ok(Self::default());
        }
        serde_json::from_str(list.get())
            .map_err(|_| Error::new(ErrorKind::InvalidResponse, "expected a list of records"))
    }

    /// The rows as they came.
    pub fn iter(&self) -> impl Iterator<Item = &RawValue> {
        self.0.iter().map(|row| &**row)
    }

    /// Reads the rows one by one. A row that is `null` or empty is skipped.
    ///
    /// `id` is the member that holds a row's id, for the rows that `read` refuses.
    pub fn rows<T>(self, id: &'static str, read: impl Fn(&Object<'_>) -> Result<T>) -> Vec<Row<T>> {
        let rows = self.0.into_iter().enumerate().filter(|(_, raw)| !is_nothing(raw));
        rows.map(|(number, raw)| match object(&raw, &read) {
            Ok(decoded) => Row::Read { decoded, raw },
            Err(error) => {
                let id = Members::of(raw.get())
                    .and_then(|members| plain_text(members.get(id)?).map(|id| id.into_owned()))
                    .filter(|id| !id.is_empty());
                let digest = Revision::of(raw.get().as_bytes()).to_string();
                let row =
                    LostRow { id: id.map(Into::into), ..LostRow::new(number, error.to_string(), digest) };
                Row::Unreadable { row, error }
            }
        })
        .collect()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.0.len()).finish()
    }
}

/// [`List::of`] and its [`rows`](List::rows), of a list within a record.
///
/// # Errors
/// As [`List::of`].
pub fn rows<T>(
    list: &RawValue,
    id: &'static str,
    read: impl Fn(&Object<'_>) -> Result<T>,
) -> Result<Vec<Row<T>>> {
    Ok(List::of(list)?.rows(id, read))
}

/// The ids of the rows that have one, each for a signal, and the rows that have none, for [`Page::lost`](crate::model::Page::lost).
#[must_use]
pub fn apart(unreadable: Vec<LostRow>) -> (Vec<String>, Vec<LostRow>) {
    let (named, lost): (Vec<_>, Vec<_>) = unreadable.into_iter().partition(|row| row.id.is_some());
    (named.into_iter().filter_map(|row| row.id).map(|id| id.to_string()).collect(), lost)
}
