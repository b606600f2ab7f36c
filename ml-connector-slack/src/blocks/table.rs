//! Tables: rows of literal text.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Block, limits, safe_url, shorten_literal, units, visible};

/// Makes a table of as many rows as Slack takes, and tells how many were left out. `columns` gives the titles.
///
/// ```
/// use ml_connector_slack::blocks::{Align, Cell, table};
///
/// let rows = (1..=200).map(|i| vec![Cell::new(&format!("Line {i}"), 40), Cell::new("12.50 EUR", 40)]);
/// let (block, left_out) = table(&[("Description", Align::Left), ("Amount", Align::Right)], rows);
/// assert_eq!(left_out, 101);
/// # let _ = block;
/// ```
pub fn table(columns: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<Cell>>) -> (Block, usize) {
    table_within(limits::TABLE_BYTES_MAX, columns, rows)
}

/// The same, with at most so many bytes of JSON in its cells.
pub(crate) fn table_within(
    bytes_max: usize,
    columns: &[(&str, Align)],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) -> (Block, usize) {
    let head: Vec<Cell> = columns.iter().map(|(title, _)| Cell::new(title, limits::CELL_TITLE_MAX)).collect();
    let size = |row: &[Cell]| {
        // Each cell and each row has a comma or a bracket besides.
        let bytes = row.iter().map(|cell| cell.bytes() + 1).sum::<usize>() + 2;
        (row.iter().map(Cell::units).sum::<usize>(), bytes)
    };
    let (mut text, mut bytes) = size(&head);
    let mut shown = vec![head];
    let mut rows = rows.into_iter();
    let mut left_out = 0;
    for row in rows.by_ref() {
        let (more_text, more_bytes) = size(&row);
        let fits = shown.len() < limits::ROWS_MAX
            && text + more_text <= limits::TABLE_TEXT_MAX
            && bytes + more_bytes <= bytes_max;
        if !fits {
            left_out = 1;
            break;
        }
        (text, bytes) = (text + more_text, bytes + more_bytes);
        shown.push(row);
    }
    left_out += rows.count();
    let column_settings =
        columns.iter().map(|&(_, align)| Column { align, is_wrapped: align == Align::Left });
    (Block::Table { rows: shown, column_settings: column_settings.collect() }, left_out)
}

/// A cell of a table: literal text, in which nothing needs escaping, or a link. `Debug` shows the size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    url: Option<String>,
}

impl Cell {
    /// A cell cut at `limit`; a space where there is nothing to show, because Slack refuses empty cells.
    #[must_use]
    pub fn new(text: &str, limit: usize) -> Self {
        let text: String = visible(text).collect();
        let text = if text.trim().is_empty() { " ".to_owned() } else { shorten_literal(&text, limit) };
        Self { text, url: None }
    }

    /// The same, leading to an https URL; only the text when the URL is not one that [`safe_url`] lets pass.
    #[must_use]
    pub fn link(text: &str, limit: usize, url: &str) -> Self {
        let cell = Self::new(text, limit);
        let url = safe_url(url).filter(|_| cell.text != " ");
        Self { url, ..cell }
    }

    pub(super) fn units(&self) -> usize {
        units(&self.text)
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// What it takes in the message.
    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Wire<'a> {
            RawText { text: &'a str },
            RichText { elements: [Section<'a>; 1] },
        }
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "rich_text_section")]
        struct Section<'a> {
            elements: [Link<'a>; 1],
        }
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "link")]
        struct Link<'a> {
            url: &'a str,
            text: &'a str,
        }
        let text = &*self.text;
        let wire = match &self.url {
            None => Wire::RawText { text },
            Some(url) => Wire::RichText { elements: [Section { elements: [Link { url, text }] }] },
        };
        wire.serialize(to)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({} units)", self.units())
    }
}

/// How a column of a table is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// To which side.
    pub align: Align,
    /// Whether long text goes on in the next line.
    pub is_wrapped: bool,
}

/// To which side text is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Text.
    #[default]
    Left,
    /// Marks.
    Center,
    /// Numbers.
    Right,
}
