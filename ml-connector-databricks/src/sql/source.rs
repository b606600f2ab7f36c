//! Where a statement's rows come from: a JSON array in one parameter, or a staged file with one object per line. Both
//! are decoded with an explicit schema, and a value that does not fit fails the statement instead of becoming null.

use super::{SqlType, ident, literal};

/// Where a statement's rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// The parameter `:batch`.
    Parameter,
    /// A file in a volume.
    File(&'a str),
}

/// What one row has. Members of its JSON that are not named are ignored.
pub(crate) type Shape = Vec<(String, SqlType)>;

impl Source<'_> {
    /// `(SELECT …) AS s`: the rows, one for each `key`, the one that comes first by `order`. The order has to be total:
    /// MERGE may read its source twice.
    pub(crate) fn rows(&self, shape: &Shape, key: &[&str], order: &[&str]) -> String {
        let of = |name: &str| format!("r.{}", ident(name));
        let columns: Vec<String> = shape.iter().map(|(name, _)| of(name)).collect();
        let key: Vec<String> = key.iter().map(|name| of(name)).collect();
        let order: Vec<String> = order.iter().map(|name| format!("{} DESC", of(name))).collect();
        format!(
            "(\n  SELECT {}\n  FROM {}\n  QUALIFY row_number() OVER (PARTITION BY {} ORDER BY {}) = 1\n) AS s",
            columns.join(", "),
            self.decoded(shape),
            key.join(", "),
            order.join(", "),
        )
    }

    fn decoded(&self, shape: &Shape) -> String {
        match self {
            Self::Parameter => {
                let schema = literal(&SqlType::Rows(shape.clone()).to_string());
                format!("(SELECT explode(from_json(:batch, {schema}, map('mode', 'FAILFAST'))) AS r)")
            }
            Self::File(path) => {
                let fields: Vec<String> =
                    shape.iter().map(|(name, kind)| format!("{} {kind}", ident(name))).collect();
                format!(
                    "read_files({}, format => 'json', schema => {}, mode => 'FAILFAST') AS r",
                    literal(path),
                    literal(&fields.join(", ")),
                )
            }
        }
    }
}
