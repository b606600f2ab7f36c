//! The SQL Statement Execution API.

use serde::{Deserialize, Deserializer, Serialize};

use super::words;

/// A statement as it is sent.
#[derive(Serialize)]
pub(crate) struct Execute<'a> {
    pub(crate) statement: &'a str,
    pub(crate) warehouse_id: &'a str,
    pub(crate) catalog: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) parameters: &'a [Parameter<'a>],
    /// Whole seconds: `0s`, or 5 to 50.
    pub(crate) wait_timeout: &'static str,
    pub(crate) on_wait_timeout: &'static str,
    pub(crate) disposition: &'static str,
    pub(crate) format: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) query_tags: Vec<QueryTag<'a>>,
}

/// A value for a marker in a statement.
#[derive(Clone, Serialize)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: &'a str,
}

/// Shown in the query history.
#[derive(Serialize)]
pub(crate) struct QueryTag<'a> {
    pub(crate) key: &'static str,
    pub(crate) value: &'a str,
}

/// A statement as it stands.
#[derive(Deserialize)]
pub(crate) struct Statement {
    pub(crate) statement_id: String,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) manifest: Option<Manifest>,
    #[serde(default)]
    pub(crate) result: Option<ResultData>,
}

#[derive(Deserialize)]
pub(crate) struct Status {
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) error: Option<ServiceError>,
    #[serde(default)]
    pub(crate) sql_state: Option<String>,
}

words! {
    /// Where a statement stands. `CLOSED` is a success whose result is gone.
    State {
        Pending = "PENDING",
        Running = "RUNNING",
        Succeeded = "SUCCEEDED",
        Failed = "FAILED",
        Canceled = "CANCELED",
        Closed = "CLOSED",
    }
}

#[derive(Default, Deserialize)]
pub(crate) struct ServiceError {
    #[serde(default)]
    pub(crate) error_code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) sql_state: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Manifest {
    #[serde(default)]
    pub(crate) schema: Option<Schema>,
    #[serde(default)]
    pub(crate) total_row_count: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Schema {
    #[serde(default)]
    pub(crate) columns: Vec<ColumnInfo>,
}

#[derive(Deserialize)]
pub(crate) struct ColumnInfo {
    #[serde(default)]
    pub(crate) name: String,
}

/// A chunk of rows. Every cell is a text, whatever its type.
#[derive(Default, Deserialize)]
pub(crate) struct ResultData {
    #[serde(default, deserialize_with = "rows")]
    pub(crate) data_array: Vec<Vec<Option<String>>>,
    #[serde(default)]
    pub(crate) next_chunk_index: Option<u64>,
}

fn rows<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<Option<String>>>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Statement {
    /// A number in the one row that a statement which writes answers with, by its column's name.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let columns = &self.manifest.as_ref()?.schema.as_ref()?.columns;
        let place = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))?;
        self.result.as_ref()?.data_array.first()?.get(place)?.as_ref()?.parse().ok()
    }

    /// The names of the columns of its result.
    pub(crate) fn column_names(&self) -> Vec<String> {
        let schema = self.manifest.as_ref().and_then(|manifest| manifest.schema.as_ref());
        schema
            .map_or_else(Vec::new, |schema| schema.columns.iter().map(|column| column.name.clone()).collect())
    }
}

impl State {
    /// Whether it will move on by itself.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}
