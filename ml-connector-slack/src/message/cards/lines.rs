//! The lines of a document, or what a payment settles.

use ml_connector_core::model::{Line, Money, Record};

use super::value;
use crate::{
    blocks::{Align, Block, Cell, Markup, Text, safe_url, table as fit},
    message::format::money,
};

/// How many lines of a document a card shows.
const LINES_SHOWN: usize = 10;
const CELL_MAX: usize = 100;

/// A column of lines: its title, and what stands in it.
type Column = (&'static str, Align, fn(&Line) -> Cell);

const DESCRIPTION: Column = ("Description", Align::Left, |line| cell(&line.description));
const ACCOUNT: Column = ("Account", Align::Left, |line| cell(line.account.as_deref().unwrap_or_default()));
const COST_CENTER: Column =
    ("Cost center", Align::Left, |line| cell(line.cost_center.as_deref().unwrap_or_default()));
const QUANTITY: Column = ("Quantity", Align::Right, |line| {
    cell(&line.quantity.map(|quantity| quantity.normalize().to_string()).unwrap_or_default())
});
const AMOUNT: Column = ("Amount", Align::Right, |line| amount(line.amount.as_ref()));

/// The first ten lines, how many more there are, and where. Columns that no line fills are left out.
pub(super) fn table(record: &Record, linked: bool) -> Vec<Block> {
    let url = record.url.as_deref().filter(|_| linked).and_then(safe_url);
    let (block, shown, total) = if record.lines.is_empty() {
        if record.allocations.is_empty() {
            return Vec::new();
        }
        let rows = record.allocations.iter().take(LINES_SHOWN);
        let rows = rows.map(|row| vec![cell(&row.number), amount(Some(&row.amount))]);
        let columns = [("Applied to", Align::Left), ("Amount", Align::Right)];
        let (block, left_out) = fit(&columns, rows);
        let total = record.allocations.len();
        (block, total.min(LINES_SHOWN) - left_out, total)
    } else {
        let (block, shown) = of_lines(&record.lines);
        (block, shown, record.lines.len())
    };
    let mut blocks = vec![block];
    blocks.extend((total > shown).then(|| more(total - shown, url.as_deref())));
    blocks
}

fn of_lines(lines: &[Line]) -> (Block, usize) {
    let filled = |here: fn(&Line) -> bool| lines.iter().any(here);
    let columns: Vec<Column> = [
        (DESCRIPTION, true),
        (ACCOUNT, filled(|line| line.account.is_some())),
        (COST_CENTER, filled(|line| line.cost_center.is_some())),
        (QUANTITY, filled(|line| line.quantity.is_some())),
        (AMOUNT, filled(|line| line.amount.is_some())),
    ]
    .into_iter()
    .filter_map(|(column, there)| there.then_some(column))
    .collect();
    let titles: Vec<_> = columns.iter().map(|&(title, align, _)| (title, align)).collect();
    let rows =
        lines.iter().take(LINES_SHOWN).map(|line| columns.iter().map(|(.., show)| show(line)).collect());
    let (block, left_out) = fit(&titles, rows);
    (block, lines.len().min(LINES_SHOWN) - left_out)
}

/// `and 3 more in the record`, which is a link where there is one.
fn more(left_out: usize, url: Option<&str>) -> Block {
    Block::context(vec![match url {
        Some(url) => {
            Text::markup(Markup::new().text(&format!("and {left_out} more in ")).link(url, "the record"))
        }
        None => Text::plain(&format!("and {left_out} more")),
    }])
}

fn cell(text: &str) -> Cell {
    Cell::new(&value(text, CELL_MAX).unwrap_or_default(), CELL_MAX)
}

fn amount(amount: Option<&Money>) -> Cell {
    Cell::new(&amount.map(money).unwrap_or_default(), CELL_MAX)
}
