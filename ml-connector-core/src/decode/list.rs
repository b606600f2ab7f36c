//! The rows of a list.

use serde_json::value::RawValue;

use super::{Decoded, Object, object, object::is_nothing, plain_text};
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

/// Reads the rows of a list one by one. A row that is `null` or empty is skipped; a missing list has no rows.
///
/// `id` is the member that holds a row's id, for the rows that `read` refuses.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the value is no list.
pub fn rows<T>(
    list: &RawValue,
    id: &'static str,
    read: impl Fn(&Object<'_>) -> Result<T>,
) -> Result<Vec<Row<T>>> {
    if is_nothing(list) {
        return Ok(Vec::new());
    }
    let items: Vec<&RawValue> = serde_json::from_str(list.get())
        .map_err(|_| Error::new(ErrorKind::InvalidResponse, "expected a list of records"))?;
    let rows = items.into_iter().enumerate().filter(|(_, raw)| !is_nothing(raw));
    Ok(rows
        .map(|(number, raw)| match object(raw, &read) {
            Ok(decoded) => Row::Read { decoded, raw: raw.to_owned() },
            Err(error) => {
                let id = super::members(raw.get())
                    .and_then(|members| plain_text(members.get(id)?).map(|id| id.into_owned()))
                    .filter(|id| !id.is_empty());
                let digest = Revision::of(raw.get().as_bytes()).to_string();
                let row =
                    LostRow { id: id.map(Into::into), ..LostRow::new(number, error.to_string(), digest) };
                Row::Unreadable { row, error }
            }
        })
        .collect())
}

/// The ids of the rows that have one, each for a signal, and the rows that have none, for [`Page::lost`](crate::model::Page::lost).
#[must_use]
pub fn apart(unreadable: Vec<LostRow>) -> (Vec<String>, Vec<LostRow>) {
    let (named, lost): (Vec<_>, Vec<_>) = unreadable.into_iter().partition(|row| row.id.is_some());
    (named.into_iter().filter_map(|row| row.id).map(|id| id.to_string()).collect(), lost)
}
