//! What a failed statement means.

use ml_connector_core::{Effect, Error, ErrorKind, Retry, Scope};

use super::class::Said;
use crate::models::{State, Status};

/// What a failed statement means for the rows that it carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was committed; something after that failed.
    Committed,
    /// Others wrote at the same time: the same statement again.
    Conflict,
    /// The table is not what it was: look at it, and then again.
    Changed,
    /// It passes by itself.
    Passing,
    /// Somebody cancelled it, or a limit of time did.
    Cancelled,
    /// A row has a value that cannot be stored: find it, and write the others.
    Row,
    /// A row breaks a rule of the table. When every row does, the rule is the fault.
    Constraint,
    /// Somebody has to repair the table, or our right to it. Other tables go on.
    Table(Repair),
    /// Somebody has to repair the place. Nothing goes on.
    Place(Repair),
    /// The staged file is gone: an earlier attempt got further than we know. Stage it again.
    FileGone,
}

/// What the operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    Grant,
    MissingTable,
    MissingSchema,
    MissingCatalog,
    MissingVolume,
    Quota,
    Protocol,
    Unsupported,
    ReadOnly,
    DuplicateKeys,
    Types,
    Ours,
    Unknown,
}

/// Classes that say more than their states.
const CLASSES: &[(&str, Fault)] = &[
    ("DELTA_POST_COMMIT_HOOK_FAILED", Fault::Committed),
    ("DELTA_METADATA_CHANGED", Fault::Changed),
    ("DELTA_PROTOCOL_CHANGED", Fault::Changed),
    ("DELTA_CONCURRENT_APPEND", Fault::Conflict),
    ("DELTA_CONCURRENT_DELETE_READ", Fault::Conflict),
    ("DELTA_CONCURRENT_DELETE_DELETE", Fault::Conflict),
    ("DELTA_CONCURRENT_WRITE", Fault::Conflict),
    ("DELTA_CONCURRENT_TRANSACTION", Fault::Conflict),
    ("DELTA_MAX_COMMIT_RETRIES_EXCEEDED", Fault::Conflict),
    ("TABLE_OR_VIEW_NOT_FOUND", Fault::Changed),
    ("DELTA_TABLE_NOT_FOUND", Fault::Changed),
    ("UNRESOLVED_COLUMN", Fault::Changed),
    ("UNRESOLVED_FIELD", Fault::Changed),
    ("TABLE_OR_VIEW_ALREADY_EXISTS", Fault::Committed),
    ("SCHEMA_NOT_FOUND", Fault::Place(Repair::MissingSchema)),
    ("CATALOG_NOT_FOUND", Fault::Place(Repair::MissingCatalog)),
    ("NO_SUCH_CATALOG_EXCEPTION", Fault::Place(Repair::MissingCatalog)),
    ("INSUFFICIENT_PERMISSIONS", Fault::Table(Repair::Grant)),
    ("PERMISSION_DENIED", Fault::Table(Repair::Grant)),
    ("CAST_INVALID_INPUT", Fault::Row),
    ("NUMERIC_VALUE_OUT_OF_RANGE", Fault::Row),
    ("CAST_OVERFLOW", Fault::Row),
    ("CAST_OVERFLOW_IN_TABLE_INSERT", Fault::Row),
    ("MALFORMED_RECORD_IN_PARSING", Fault::Row),
    ("FAILED_READ_FILE.NO_HINT", Fault::Row),
    ("DATATYPE_MISMATCH", Fault::Table(Repair::Types)),
    ("INCOMPATIBLE_DATA_FOR_TABLE", Fault::Table(Repair::Types)),
    ("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", Fault::Constraint),
    ("DELTA_MISSING_NOT_NULL_COLUMN_VALUE", Fault::Constraint),
    ("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", Fault::Constraint),
    ("DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE", Fault::Table(Repair::DuplicateKeys)),
    ("MERGE_CARDINALITY_VIOLATION", Fault::Table(Repair::DuplicateKeys)),
    ("PATH_NOT_FOUND", Fault::FileGone),
    ("CF_PATH_DOES_NOT_EXIST_FOR_READ_FILES", Fault::FileGone),
    ("FAILED_READ_FILE.FILE_NOT_EXIST", Fault::FileGone),
    ("VOLUME_NOT_FOUND", Fault::Table(Repair::MissingVolume)),
    ("DELTA_UNSUPPORTED_FEATURES_FOR_WRITE", Fault::Table(Repair::Protocol)),
    ("QUOTA_EXCEEDED", Fault::Table(Repair::Quota)),
    ("PARSE_SYNTAX_ERROR", Fault::Table(Repair::Ours)),
    ("UNBOUND_SQL_PARAMETER", Fault::Table(Repair::Ours)),
    ("UNSUPPORTED_FEATURE", Fault::Table(Repair::Unsupported)),
];

/// States where no class is told. Two characters stand for all that begin with them.
const STATES: &[(&str, Fault)] = &[
    ("2D521", Fault::Conflict),
    ("2DKD0", Fault::Committed),
    ("42P01", Fault::Changed),
    ("42703", Fault::Changed),
    ("42704", Fault::Place(Repair::MissingSchema)),
    ("42P08", Fault::Place(Repair::MissingCatalog)),
    ("42501", Fault::Table(Repair::Grant)),
    ("42601", Fault::Table(Repair::Ours)),
    ("42P02", Fault::Table(Repair::Ours)),
    ("42K09", Fault::Table(Repair::Types)),
    ("KD000", Fault::Table(Repair::Types)),
    ("42K03", Fault::FileGone),
    ("KD001", Fault::FileGone),
    ("21506", Fault::Table(Repair::DuplicateKeys)),
    ("23K01", Fault::Table(Repair::DuplicateKeys)),
    ("56038", Fault::Table(Repair::Protocol)),
    ("22", Fault::Row),
    ("23", Fault::Constraint),
    ("0A", Fault::Table(Repair::Unsupported)),
    ("25", Fault::Place(Repair::ReadOnly)),
    ("40", Fault::Conflict),
    ("57014", Fault::Cancelled),
    ("08", Fault::Passing),
    ("57", Fault::Passing),
    ("58", Fault::Passing),
];

/// The API's own words, where neither class nor state is told.
const CODES: &[(&str, Fault)] = &[
    ("TEMPORARILY_UNAVAILABLE", Fault::Passing),
    ("SERVICE_UNDER_MAINTENANCE", Fault::Passing),
    ("WORKSPACE_TEMPORARILY_UNAVAILABLE", Fault::Passing),
    ("RESOURCE_EXHAUSTED", Fault::Passing),
    ("IO_ERROR", Fault::Passing),
    ("INTERNAL_ERROR", Fault::Passing),
    ("ABORTED", Fault::Passing),
    ("CANCELLED", Fault::Cancelled),
    ("DEADLINE_EXCEEDED", Fault::Cancelled),
    ("ALREADY_EXISTS", Fault::Committed),
];

/// Classifies a statement that ended as FAILED or CANCELED, and says it as an error.
pub(crate) fn failed(status: &Status, statement_id: &str) -> (Fault, Error) {
    let said = Said::of(status);
    let fault = match status.state {
        State::Canceled => Fault::Cancelled,
        _ => Fault::of(&said),
    };
    let limit = said.limit.filter(|_| fault == Fault::Table(Repair::Quota));
    let facts = [("limit", limit), ("class", said.class), ("sql_state", said.sql_state), ("code", said.code)];
    let facts = facts.into_iter().filter_map(|(key, fact)| Some((key, fact?)));
    let error = facts.fold(fault.error(), |error, (key, fact)| error.with_context(key, fact));
    (fault, error.with_context("statement", statement_id))
}

impl Fault {
    /// Whether others are in the way, or something that passes: the table waits for a while, and then for a person.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Conflict | Self::Changed | Self::Passing | Self::Cancelled | Self::FileGone)
    }

    fn of(said: &Said) -> Self {
        if let Some((_, fault)) = CLASSES.iter().find(|(class, _)| said.is(class)) {
            return *fault;
        }
        let by_state = said.sql_state.as_deref().and_then(|state| {
            let hit =
                |(known, _): &&(&str, Self)| state == *known || known.len() == 2 && state.starts_with(known);
            STATES.iter().find(hit)
        });
        if let Some((_, fault)) = by_state {
            return *fault;
        }
        if said.denied {
            return Self::Table(Repair::Grant);
        }
        // A class that nobody knows says more than the API's coarse word for it.
        let by_code =
            CODES.iter().find(|(code, _)| said.class.is_none() && said.code.as_deref() == Some(code));
        by_code.map_or(Self::Table(Repair::Unknown), |(_, fault)| *fault)
    }

    /// The fault as an error. Nothing was written, except where it was committed.
    pub(crate) fn error(self) -> Error {
        let new = Error::new;
        match self {
            Self::Committed => {
                new(ErrorKind::Unexpected, "the statement was committed, and failed after that")
                    .with_effect(Effect::Applied)
            }
            Self::Conflict => new(ErrorKind::Conflict, "others write to the table at the same time")
                .with_retry(Retry::Backoff),
            Self::Changed => {
                new(ErrorKind::Conflict, "the table has changed meanwhile").with_retry(Retry::Backoff)
            }
            Self::Passing => new(ErrorKind::Unavailable, "Databricks could not run the statement"),
            Self::Cancelled => new(
                ErrorKind::Unavailable,
                "the statement was cancelled before its end: raise the STATEMENT_TIMEOUT of the SQL warehouse, or choose a \
                 larger one",
            ),
            Self::FileGone => new(ErrorKind::Conflict, "the staged file is gone").with_retry(Retry::Backoff),
            Self::Row => new(ErrorKind::InvalidRequest, "the row has a value that the table cannot hold"),
            Self::Constraint => new(ErrorKind::InvalidRequest, "the row breaks a constraint of the table"),
            Self::Table(repair) => new(repair.kind(), repair.message()).with_scope(Scope::Lane),
            Self::Place(repair) => new(repair.kind(), repair.message()).with_scope(Scope::Connection),
        }
    }
}

impl Repair {
    fn kind(self) -> ErrorKind {
        match self {
            Self::Grant => ErrorKind::PermissionDenied,
            Self::Ours | Self::Unknown => ErrorKind::Unexpected,
            _ => ErrorKind::ConfigInvalid,
        }
    }

    /// What is wrong, and what the operator does.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Grant => {
                "a grant is missing: the service principal needs USE CATALOG, USE SCHEMA, and SELECT and MODIFY on the table \
                 (CREATE TABLE on the schema to make it, READ VOLUME and WRITE VOLUME for staged files)"
            }
            Self::MissingTable => {
                "the table is missing: create it, or let the connector do it with create_tables"
            }
            Self::MissingSchema => "the schema is missing: create it, and grant USE SCHEMA on it",
            Self::MissingCatalog => "the catalog is missing: create it, and grant USE CATALOG on it",
            Self::MissingVolume => {
                "the volume for staged files is missing: create it, and grant READ VOLUME and WRITE VOLUME"
            }
            Self::Quota => {
                "a quota of the metastore is reached: have it raised, or delete what is not used; the count follows after \
                 about half an hour"
            }
            Self::Protocol => {
                "the table uses a feature that the SQL warehouse's channel cannot write: choose a newer channel"
            }
            Self::Unsupported => {
                "the table, or the SQL warehouse, does not support the statement: see the class"
            }
            Self::ReadOnly => "the SQL warehouse takes no writes: choose a serverless, pro or classic one",
            Self::DuplicateKeys => {
                "the table has several rows with one (_connection, _id): somebody else writes to it. Delete the duplicates"
            }
            Self::Types => "a column of the table has another type than the rows: see the drift report",
            Self::Ours => "Databricks does not understand the statement: report it with its id",
            Self::Unknown => {
                "the statement failed in a way that is not known: see its class and the query history"
            }
        }
    }
}
