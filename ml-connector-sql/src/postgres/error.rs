//! What can go wrong with a server, and how it is told. No error quotes a value: what the server says about one is left
//! out.

use deadpool_postgres::{PoolError, TimeoutType, tokio_postgres::error::SqlState};
use ml_connector_core::{Effect, Error, ErrorKind};

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection to be had.
    Pool(PoolError),
    /// The server refused something, or the connection broke.
    Server(deadpool_postgres::tokio_postgres::Error),
    /// It took too long.
    Late,
    /// What was read has changed before it was locked.
    Overtaken,
    /// The server holds something that this version cannot read.
    Unreadable(&'static str),
    /// Refused by ourselves.
    Refused(Box<Error>),
}

impl From<PoolError> for Failure {
    fn from(cause: PoolError) -> Self {
        Self::Pool(cause)
    }
}

impl From<deadpool_postgres::tokio_postgres::Error> for Failure {
    fn from(cause: deadpool_postgres::tokio_postgres::Error) -> Self {
        Self::Server(cause)
    }
}

impl Failure {
    /// Whether the same may succeed at once: others were in the way, or the connection had ended before.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            // What somebody else wrote at the same time is found when it is read again.
            Self::Server(cause) if cause.code() == Some(&SqlState::UNIQUE_VIOLATION) => true,
            Self::Server(_) if self.is_read_only() => false,
            Self::Server(cause) => {
                self.has_lost_connection()
                    || matches!(
                        cause.code(),
                        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
                    )
            }
            Self::Pool(PoolError::Backend(cause)) => {
                cause.code().is_none() || cause.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
            }
            Self::Overtaken => true,
            _ => false,
        }
    }

    /// Whether the server does not write: after a failover, another does.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Server(cause) if cause.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
    }

    /// Whether the connection is of no use any more: it broke, or leads to a server that does not write.
    pub(super) fn has_lost_connection(&self) -> bool {
        match self {
            Self::Server(cause) => match cause.code() {
                None => is_broken(cause),
                Some(code) => {
                    // Classes 08 and 57P: the server ends, or has ended, the session.
                    code.code().starts_with("08")
                        || code.code().starts_with("57P")
                        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                }
            },
            Self::Late => true,
            _ => false,
        }
    }

    /// As an error of a call.
    pub(super) fn during(self, operation: &'static str) -> Error {
        let error = match self {
            Self::Refused(error) => return error.with_operation(operation),
            Self::Late => unavailable(
                "the database does not answer in time: look at its load, its locks and the network",
            ),
            Self::Overtaken => unavailable("others wrote the same at the same time, again and again"),
            Self::Unreadable(what) => {
                unavailable("the database holds a value this version cannot read").with_context("value", what)
            }
            Self::Pool(PoolError::Timeout(TimeoutType::Wait)) => unavailable(
                "every connection to the database is in use: give the pool more of them, or look at what holds them",
            ),
            Self::Pool(PoolError::Timeout(_)) => {
                unavailable("the database cannot be reached in time: look at its address and the network")
            }
            Self::Pool(PoolError::Backend(cause)) | Self::Server(cause) => of_server(&cause),
            Self::Pool(cause) => {
                unavailable("there is no connection to the database").with_source(cause.to_string())
            }
        };
        error.with_operation(operation)
    }

    /// As an error of opening, where most of what fails is the host's to repair.
    pub(super) fn opening(self) -> Error {
        let is_config = match &self {
            Self::Pool(PoolError::Backend(cause)) | Self::Server(cause) => cause.code().is_some_and(|code| {
                // Rights, names, passwords; not what a server in trouble says.
                ["28", "3D", "3F", "42"].iter().any(|class| code.code().starts_with(class))
            }),
            _ => false,
        };
        let error = self.during("postgres_log.open");
        if !is_config {
            return error;
        }
        let (message, code) =
            (error.message().to_owned(), error.context("sqlstate").unwrap_or_default().to_owned());
        Error::new(ErrorKind::ConfigInvalid, message)
            .with_operation("postgres_log.open")
            .with_context("sqlstate", code)
    }
}

/// Whether it is no word of the server's, but the end of the way to it.
fn is_broken(cause: &deadpool_postgres::tokio_postgres::Error) -> bool {
    cause.is_closed() || std::error::Error::source(cause).is_some_and(|source| source.is::<std::io::Error>())
}

/// A commit of which nobody can say whether it was applied.
pub(super) fn unknown(operation: &'static str) -> Error {
    unavailable("the connection to the database was lost at COMMIT, and whether it was applied cannot be found out now")
        .with_operation(operation)
        .with_effect(Effect::Unknown)
}

/// A commit that was lost with its connection, and not applied.
pub(super) fn not_applied(operation: &'static str) -> Error {
    unavailable("the connection to the database was lost before the commit was applied")
        .with_operation(operation)
}

/// Whether the server refused a value, so that without it the rest may succeed: classes 22, 23 and 54 say so.
pub(super) fn is_about_a_value(error: &Error) -> bool {
    error.context("sqlstate").is_some_and(is_of_a_value)
}

fn is_of_a_value(code: &str) -> bool {
    ["22", "23", "54"].iter().any(|class| code.starts_with(class))
}

/// The same error, for somebody else who waits for the same.
pub(super) fn same(error: &Error) -> Error {
    let same = Error::new(error.kind(), error.message().to_owned())
        .with_operation(error.operation())
        .with_effect(error.effect());
    match error.context("sqlstate") {
        Some(code) => same.with_context("sqlstate", code),
        None => same,
    }
}

pub(super) fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

fn of_server(cause: &deadpool_postgres::tokio_postgres::Error) -> Error {
    let Some(told) = cause.as_db_error() else {
        // The sources of what is no word of the server's name hosts and files, no values.
        let source = std::error::Error::source(cause).map(ToString::to_string);
        let error = unavailable(
            "the connection to the database failed: look at its address, the server and the network",
        );
        return error.with_source(source.unwrap_or_else(|| cause.to_string()));
    };
    let code = told.code();
    let message = match *code {
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "the database role lacks rights: it needs CREATE on the database, or USAGE and CREATE on the schema and all \
             rights on what is in it"
        }
        SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            "the database is read-only: it is a standby, perhaps since a failover; connect to the primary \
             (target_session_attrs=read-write)"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "the database has no connection left: raise its max_connections, or give the pools fewer"
        }
        SqlState::DISK_FULL => "no room left for the database: free space on its disk",
        SqlState::OUT_OF_MEMORY => "the database is out of memory",
        SqlState::LOCK_NOT_AVAILABLE => {
            "a lock in the database is held by somebody else: look for a stuck session"
        }
        SqlState::QUERY_CANCELED => "the statement took longer than the database allows",
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            "the database is starting or stopping"
        }
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
            "this host stood still in the middle of a transaction, which the database has undone"
        }
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the database does not accept the role or its password"
        }
        SqlState::INVALID_CATALOG_NAME => "there is no database of this name",
        SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::UNIQUE_VIOLATION => "others wrote the same at the same time, again and again",
        _ if is_of_a_value(code.code()) => "the database does not take a value of what was written",
        _ => "the database failed",
    };
    let kind = match *code {
        // The database works: whoever wrote it has to be told, and nobody else has to wait.
        _ if is_of_a_value(code.code()) && *code != SqlState::UNIQUE_VIOLATION => ErrorKind::Unexpected,
        _ => ErrorKind::Unavailable,
    };
    // The primary message of some codes quotes what was written; the code says enough.
    Error::new(kind, message).with_context("sqlstate", code.code())
}
