//! Reading vendors' JSON leniently: one odd value costs that value, never the record, and never the page.
//!
//! - An [`Object`] gives its members one by one. A value that cannot be read is left out, and its JSON path is noted
//!   ([`LeftOut`]), so that somebody can see what is missing.
//! - Absent, `null`, `""`, `[]` and `{}` are the same: nothing. None of them is noted.
//! - [`rows`] reads the rows of a list one by one. A row that cannot be read keeps its id.
//! - Half a surrogate pair and bytes that are no UTF-8 become replacement characters; a byte order mark is skipped.
//! - An amount is never rounded. One with more digits than [`Decimal`](crate::model::Decimal) has is left out, and its
//!   text is kept.
//!
//! ```
//! use ml_connector_core::decode::{self, Decoded};
//!
//! let raw = serde_json::value::RawValue::from_string(
//!     r#"{"id":7,"due":"01/04/2026","total":"1250.50","currency":"USD","note":null}"#.into(),
//! ).unwrap();
//! let Decoded { value, left_out } = decode::object(&raw, |invoice| {
//!     let currency = invoice.currency("currency");
//!     Ok((invoice.id("id")?, invoice.date("due"), invoice.money("total", currency), invoice.some_text("note")))
//! })?;
//! let (id, due, total, note) = value;
//! assert_eq!((&*id, due, note), ("7", None, None));
//! assert_eq!(total.unwrap().to_string(), "1250.50 USD");
//! assert_eq!(left_out[0].path, "due");
//! # Ok::<_, ml_connector_core::Error>(())
//! ```

mod list;
mod members;
mod object;
mod text;

use std::{cell::RefCell, rc::Rc};

pub use list::{List, Row, apart, rows};
use members::Members;
pub(crate) use members::each_member;
pub use object::Object;
use serde_json::value::RawValue;
pub(crate) use text::unescaped;
pub use text::{clean, plain_text};

pub use crate::model::{LeftOut, LeftOutReason as Reason};
use crate::{Error, ErrorKind, Result};

/// What was read, and what was left out on the way.
#[derive(Debug)]
pub struct Decoded<T> {
    /// What was read.
    pub value: T,
    /// What was left out, in the order in which it was asked for. A hundred entries at most.
    pub left_out: Vec<LeftOut>,
}

/// Reads one object.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the value is no object; whatever `read` returns.
pub fn object<T>(raw: &RawValue, read: impl FnOnce(&Object<'_>) -> Result<T>) -> Result<Decoded<T>> {
    of_text(raw.get(), read)
}

/// As [`object`], of a body as it came.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the body is no JSON object; whatever `read` returns.
pub fn body<T>(bytes: &[u8], read: impl FnOnce(&Object<'_>) -> Result<T>) -> Result<Decoded<T>> {
    of_text(&clean(bytes), read)
}

fn of_text<T>(json: &str, read: impl FnOnce(&Object<'_>) -> Result<T>) -> Result<Decoded<T>> {
    let notes = Notes::default();
    let object = Object::new(json, String::new(), &notes)
        .ok_or_else(|| Error::new(ErrorKind::InvalidResponse, "expected a JSON object"))?;
    let value = read(&object)?;
    drop(object);
    Ok(Decoded { value, left_out: notes.into_list() })
}

/// More notes than these say nothing new.
const MAX_NOTES: usize = 100;

/// Collects what is left out, for an object and all that is within it.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<LeftOut>>>);

impl Notes {
    fn add(&self, path: String, reason: Reason, text: Option<String>) {
        let mut notes = self.0.borrow_mut();
        let is_new = notes.iter().all(|note| note.path != path);
        if is_new && notes.len() < MAX_NOTES {
            notes.push(LeftOut::new(path, reason, text));
        }
    }

    fn into_list(self) -> Vec<LeftOut> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests;
