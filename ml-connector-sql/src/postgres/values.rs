//! Values as the database holds them.

use std::borrow::Cow;

use deadpool_postgres::tokio_postgres::Row;
use ml_connector_core::{
    audit::EntryKind,
    model::{Partition, Seq},
};

use super::error::Failure;

/// Text as it is stored: Postgres holds no NUL character in text, so the symbol for it stands there instead.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

/// A place in the log that may lie beyond its end.
pub(super) fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn seq(row: &Row, column: usize) -> Result<Seq, Failure> {
    Ok(Seq(row.try_get::<_, i64>(column)?.cast_unsigned()))
}

pub(super) fn unsigned(row: &Row, column: usize) -> Result<u32, Failure> {
    u32::try_from(row.try_get::<_, i64>(column)?).map_err(|_| Failure::Unreadable("a number"))
}

pub(super) fn partition(row: &Row, column: usize) -> Result<Partition, Failure> {
    let number =
        u8::try_from(row.try_get::<_, i16>(column)?).map_err(|_| Failure::Unreadable("a partition"))?;
    Ok(Partition::new(number))
}

pub(super) fn kind(row: &Row, column: usize) -> Result<EntryKind, Failure> {
    let number = u8::try_from(row.try_get::<_, i16>(column)?).ok();
    number.and_then(EntryKind::from_u8).ok_or(Failure::Unreadable("the kind of an entry"))
}
