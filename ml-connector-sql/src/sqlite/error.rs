//! SQLite's failures as errors of the SDK. None of them quotes a value.

use ml_connector_core::{Effect, Error, ErrorKind};
use rusqlite::ErrorCode;

/// A file that cannot be opened: mostly the host's to repair.
pub(super) fn opening(cause: &rusqlite::Error) -> Error {
    let kind = match cause.sqlite_error_code() {
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly,
        ) => ErrorKind::ConfigInvalid,
        _ => ErrorKind::Unavailable,
    };
    error(kind, cause).with_operation("sqlite_log.open")
}

/// Whether a file could not be opened only because another process holds it. The low byte is the primary code.
pub(super) fn is_locked(error: &Error) -> bool {
    let code = error.context("sqlite_code").and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, rusqlite::ffi::SQLITE_BUSY | rusqlite::ffi::SQLITE_LOCKED))
}

/// A read or write that did not happen.
pub(super) fn running(operation: &'static str, cause: &rusqlite::Error) -> Error {
    let kind = match cause.sqlite_error_code() {
        // The database works: whoever wrote it has to be told, and nobody else has to wait.
        Some(ErrorCode::TooBig) => ErrorKind::Unexpected,
        _ => ErrorKind::Unavailable,
    };
    error(kind, cause).with_operation(operation)
}

/// A commit that failed: whether the disk has it shows after the next start.
pub(super) fn committing(operation: &'static str, cause: &rusqlite::Error) -> Error {
    running(operation, cause).with_effect(Effect::Unknown)
}

/// The files are not those that were opened. What was just written may be in no file any more.
pub(super) fn replaced(operation: &'static str) -> Error {
    let message = "the database file was deleted or replaced while it is open: put it back, or start this program again";
    Error::new(ErrorKind::Unavailable, message).with_operation(operation).with_effect(Effect::Unknown)
}

/// A thread that has stopped, or has more to do than it may be given.
pub(super) fn thread(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_operation(operation)
}

fn error(kind: ErrorKind, cause: &rusqlite::Error) -> Error {
    let message = match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "no room left for the database: free space or raise its size limit",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "the database is locked: end the other program that writes to it"
        }
        Some(ErrorCode::ReadOnly) => {
            "the database is read-only: make the file and its directory writable for this user"
        }
        Some(ErrorCode::PermissionDenied) => {
            "access denied: make the file readable and writable for this user"
        }
        Some(ErrorCode::CannotOpen) => {
            "the database cannot be opened: its directory has to exist and be writable for this user"
        }
        Some(ErrorCode::NotADatabase) => "the file is no SQLite database: give another path",
        Some(ErrorCode::DatabaseCorrupt) => "the database is damaged: restore it from a backup",
        Some(ErrorCode::SystemIoFailure) => "the disk failed: check it and the system's log",
        Some(ErrorCode::TooBig) => "a value is larger than SQLite allows",
        _ if matches!(
            cause,
            rusqlite::Error::IntegralValueOutOfRange(..) | rusqlite::Error::InvalidColumnType(..)
        ) =>
        {
            "the database holds a value this version cannot read"
        }
        _ => "the database failed",
    };
    let error = Error::new(kind, message);
    match cause {
        rusqlite::Error::SqliteFailure(failure, _) => {
            error.with_context("sqlite_code", failure.extended_code).with_source(failure.to_string())
        }
        other => error.with_source(other.to_string()),
    }
}
