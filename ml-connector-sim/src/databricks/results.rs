//! Results as the API shows them: every cell is text, rows come in chunks.

use serde_json::{Value, json};

use super::sql::{self, Rows, SessionZone};

/// A result as text.
#[derive(Debug)]
pub(super) struct Cells {
    columns: Vec<Value>,
    rows: Vec<Vec<Option<String>>>,
    truncated: bool,
}

impl Cells {
    pub(super) fn of(rows: &Rows, zone: &SessionZone, row_limit: Option<usize>) -> Self {
        let columns = rows.columns.iter().enumerate().map(|(position, column)| {
            let mut shown = json!({
                "name": column.name,
                "type_text": column.ty.to_string(),
                "type_name": column.ty.type_name(),
                "position": position,
            });
            if let sql::DataType::Decimal { precision, scale } = column.ty {
                shown["type_precision"] = precision.into();
                shown["type_scale"] = scale.into();
            }
            shown
        });
        let limit = row_limit.unwrap_or(usize::MAX);
        let cells = rows.rows.iter().take(limit).map(|row| {
            let cells = row.iter().zip(&rows.columns);
            cells.map(|(value, column)| sql::cell(value, &column.ty, zone)).collect()
        });
        Self { columns: columns.collect(), rows: cells.collect(), truncated: rows.rows.len() > limit }
    }

    /// About what it takes in an answer.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().flatten().map(|cell| cell.as_ref().map_or(4, |cell| cell.len() + 3)).sum()
    }

    pub(super) fn chunks(&self, rows: usize) -> usize {
        self.rows.len().div_ceil(rows.max(1))
    }

    pub(super) fn manifest(&self, rows: usize) -> Value {
        let chunk = |at: usize| {
            let count = rows.min(self.rows.len() - at * rows);
            json!({ "chunk_index": at, "row_offset": at * rows, "row_count": count })
        };
        let mut manifest = json!({
            "format": "JSON_ARRAY",
            "schema": { "column_count": self.columns.len(), "columns": self.columns },
            "total_chunk_count": self.chunks(rows),
            "total_row_count": self.rows.len(),
            "truncated": self.truncated,
        });
        if !self.rows.is_empty() {
            manifest["chunks"] = (0..self.chunks(rows)).map(chunk).collect();
        }
        manifest
    }

    fn slice(&self, at: usize, rows: usize) -> &[Vec<Option<String>>] {
        let start = (at * rows).min(self.rows.len());
        &self.rows[start..(start + rows).min(self.rows.len())]
    }

    pub(super) fn data(&self, id: &str, at: usize, rows: usize) -> Value {
        let slice = self.slice(at, rows);
        if slice.is_empty() {
            return json!({});
        }
        let mut data = json!({
            "chunk_index": at,
            "row_offset": at * rows,
            "row_count": slice.len(),
            "data_array": slice,
        });
        if at + 1 < self.chunks(rows) {
            let (next, offset) = (at + 1, (at + 1) * rows);
            data["next_chunk_index"] = next.into();
            data["next_chunk_internal_link"] =
                format!("/api/2.0/sql/statements/{id}/result/chunks/{next}?row_offset={offset}").into();
        }
        data
    }
}
