//! SQL types: what a column asks for, and what a table says it has.

use std::fmt;

use ml_connector_core::model::{Column, ColumnType};

use super::ident;

/// A type as it stands in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlType {
    /// Any type without parts, in upper case and without spaces: `DECIMAL(38,9)`.
    Scalar(String),
    /// An array of structs.
    Rows(Vec<(String, Self)>),
    /// Any other type with parts, as it came.
    Other(String),
}

/// The type that a column asks for.
pub(crate) fn type_of(kind: &ColumnType) -> SqlType {
    let name = match kind {
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Decimal { precision, scale } => {
            return SqlType::Scalar(format!("DECIMAL({precision},{scale})"));
        }
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
        ColumnType::List(fields) => {
            let field = |column: &Column| (column.name.to_owned(), type_of(&column.kind));
            return SqlType::Rows(fields.columns().iter().map(field).collect());
        }
        // What is added to the vocabulary later is text here until somebody says better.
        _ => "STRING",
    };
    SqlType::Scalar(name.to_owned())
}

impl SqlType {
    /// Reads what Unity Catalog says: `decimal(38,9)`, `array<struct<a:string,b:bigint>>`.
    pub(crate) fn parse(text: &str) -> Self {
        let trimmed = text.trim();
        let lower = trimmed.to_ascii_lowercase();
        let inner = lower
            .strip_prefix("array<")
            .and_then(|rest| rest.trim_start().strip_prefix("struct<"))
            .and_then(|rest| rest.trim_end().strip_suffix('>'))
            .and_then(|rest| rest.trim_end().strip_suffix('>'));
        if let Some(inner) = inner {
            // Lowering keeps lengths, so the same bytes of the text as it came have the names' case.
            let start = lower.find("struct<").unwrap_or(0) + "struct<".len();
            if let Some(fields) = fields(&trimmed[start..start + inner.len()]) {
                return Self::Rows(fields);
            }
        }
        if lower.contains('<') {
            return Self::Other(trimmed.to_owned());
        }
        Self::Scalar(lower.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase())
    }

    /// Whether values of the type `asked` can be stored without losing a digit.
    pub(crate) fn holds(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Rows(has), Self::Rows(asked)) => has.iter().all(|(name, has)| {
                asked
                    .iter()
                    .find(|(other, _)| other.eq_ignore_ascii_case(name))
                    .is_none_or(|(_, asked)| has.holds(asked))
            }),
            (Self::Scalar(has), Self::Scalar(asked)) => {
                has == asked
                    || has == "STRING"
                    || matches!((decimal(has), decimal(asked)), (Some((p, s)), Some((q, t))) if s >= t && p - s >= q - t)
            }
            _ => false,
        }
    }

    /// The members that `asked` has and this lacks, also those of lists in lists: the names on the way, and the type.
    pub(crate) fn lacks<'a>(&self, asked: &'a Self) -> Vec<(Vec<&'a str>, &'a Self)> {
        let (Self::Rows(has), Self::Rows(asked)) = (self, asked) else { return Vec::new() };
        let mut lacks = Vec::new();
        for (name, kind) in asked {
            match has.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                None => lacks.push((vec![name.as_str()], kind)),
                Some((_, has)) => lacks.extend(has.lacks(kind).into_iter().map(|(mut path, kind)| {
                    path.insert(0, name);
                    (path, kind)
                })),
            }
        }
        lacks
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(name) | Self::Other(name) => f.write_str(name),
            Self::Rows(fields) => {
                f.write_str("ARRAY<STRUCT<")?;
                for (i, (name, kind)) in fields.iter().enumerate() {
                    write!(f, "{}{}: {kind}", if i == 0 { "" } else { ", " }, ident(name))?;
                }
                f.write_str(">>")
            }
        }
    }
}

fn decimal(name: &str) -> Option<(u8, u8)> {
    let (precision, scale) = name.strip_prefix("DECIMAL(")?.strip_suffix(')')?.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?)).filter(|(precision, scale)| scale <= precision)
}

/// `a:string,b:array<struct<c:date>>`, split at the commas outside of brackets and backticks.
fn fields(text: &str) -> Option<Vec<(String, SqlType)>> {
    let (mut fields, mut depth, mut quoted, mut start) = (Vec::new(), 0_usize, false, 0);
    for (at, c) in text.char_indices().chain([(text.len(), ',')]) {
        match c {
            '`' => quoted = !quoted,
            '<' | '(' if !quoted => depth += 1,
            '>' | ')' if !quoted => depth = depth.checked_sub(1)?,
            ',' if depth == 0 && !quoted => {
                let field = text.get(start..at)?.trim();
                start = at + 1;
                let (name, kind) = match field.strip_prefix('`') {
                    Some(rest) => rest.split_once('`')?,
                    None => field.split_once(':')?,
                };
                fields.push((name.trim().to_owned(), SqlType::parse(kind.trim_start_matches([':', ' ']))));
            }
            _ => {}
        }
    }
    Some(fields).filter(|_| depth == 0 && !quoted)
}
