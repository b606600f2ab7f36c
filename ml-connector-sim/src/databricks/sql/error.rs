//! What a failed statement says.

use std::fmt;

use super::position::Position;

/// An error in the vendor's form: a class in brackets, a sentence, a SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub(crate) class: String,
    pub(crate) sqlstate: &'static str,
    sentence: String,
    place: Place,
}

/// Where in the statement it went wrong, as far as the vendor says it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// Analysis errors end with `; line 1 pos 11`.
    At(Position),
    /// Syntax errors quote the whole statement.
    Quoted(Position, String),
}

pub(crate) type Sql<T> = Result<T, SqlError>;

impl SqlError {
    pub(crate) fn new(class: &str, sqlstate: &'static str, sentence: impl Into<String>) -> Self {
        Self { class: class.to_owned(), sqlstate, sentence: sentence.into(), place: Place::Nowhere }
    }

    /// Adds where it happened.
    pub(crate) fn at(mut self, position: Position) -> Self {
        self.place = Place::At(position);
        self
    }

    pub(crate) fn syntax(near: &str, position: Position, statement: &str) -> Self {
        let near = if near.is_empty() { "end of input".to_owned() } else { format!("'{near}'") };
        let mut error = Self::new("PARSE_SYNTAX_ERROR", "42601", format!("Syntax error at or near {near}."));
        error.place = Place::Quoted(position, statement.to_owned());
        error
    }

    /// What the vendor may well do, but this simulator does not. A test cannot pass by it.
    pub(crate) fn unsupported(what: impl fmt::Display) -> Self {
        Self::new("SIM_UNSUPPORTED", "0A000", format!("The simulator does not execute {what}."))
    }

    pub(crate) fn table_not_found(name: &[String], position: Position) -> Self {
        Self::new(
            "TABLE_OR_VIEW_NOT_FOUND",
            "42P01",
            format!(
                "The table or view {} cannot be found. Verify the spelling and correctness of the schema and catalog.",
                quoted(name)
            ),
        )
        .at(position)
    }

    pub(crate) fn already_exists(kind: &str, name: &[String]) -> Self {
        Self::new(
            &format!("{}_ALREADY_EXISTS", kind.to_ascii_uppercase().replace(' ', "_")),
            "42P07",
            format!(
                "Cannot create {} {} because it already exists.",
                kind.to_ascii_lowercase(),
                quoted(name)
            ),
        )
    }

    pub(crate) fn denied(privilege: &str, kind: &str, name: &str) -> Self {
        Self::new(
            "INSUFFICIENT_PERMISSIONS",
            "42501",
            format!("Insufficient privileges: User does not have {privilege} on {kind} '{name}'."),
        )
    }

    pub(crate) fn mismatch(sentence: impl Into<String>) -> Self {
        Self::new("DATATYPE_MISMATCH", "42K09", sentence)
    }
}

/// A name as messages show it: `` `main`.`finance`.`invoices` ``.
pub(crate) fn quoted<S: AsRef<str>>(parts: &[S]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| format!("`{}`", part.as_ref().replace('`', "``"))).collect();
    parts.join(".")
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, sqlstate, sentence, place } = self;
        match place {
            Place::Nowhere => write!(f, "[{class}] {sentence} SQLSTATE: {sqlstate}"),
            Place::At(at) => {
                write!(f, "[{class}] {sentence} SQLSTATE: {sqlstate}; line {} pos {}", at.line, at.column)
            }
            Place::Quoted(at, statement) => {
                let (line, column) = (at.line, at.column);
                writeln!(f, "\n[{class}] {sentence} SQLSTATE: {sqlstate} (line {line}, pos {column})")?;
                writeln!(f, "\n== SQL ==\n{statement}\n{}^^^", "-".repeat(column as usize))
            }
        }
    }
}
