//! The lines of a document, or what a payment settles.

use ml_connector_core::model::{CodeName, Line, Money, Record, Side};

use super::value;
use crate::{
    blocks::{Align, Block, Cell, Markup, Text, safe_url, table_within},
    message::format::money,
};

/// How many lines of a document a card shows.
const LINES_SHOWN: usize = 10;
const CELL_MAX: usize = 100;
/// What a table takes beside its cells, and the line below it that says how many rows are missing.
const FRAME: usize = 600;

/// A column of lines: its title, and what stands in it.
type LineColumn = (&'static str, Align, fn(&Line) -> Cell);

const DESCRIPTION: LineColumn = ("Description", Align::Left, |line| cell(&line.description));
const ACCOUNT: LineColumn = ("Account", Align::Left, |line| named(line.account.as_ref()));
const COST_CENTER: LineColumn = ("Cost center", Align::Left, |line| named(line.cost_center.as_ref()));
const QUANTITY: LineColumn = ("Quantity", Align::Right, |line| {
    cell(&line.quantity.map(|quantity| quantity.normalize().to_string()).unwrap_or_default())
});
const DEBIT: LineColumn = ("Debit", Align::Right, |line| on_side(line, Side::Debit));
const CREDIT: LineColumn = ("Credit", Align::Right, |line| on_side(line, Side::Credit));
const AMOUNT: LineColumn = ("Amount", Align::Right, |line| amount(line.amount.as_ref()));

/// The first ten lines, how many more there are, and where; of more than ten lines that are spread over cost centers,
/// what each of these bears. Columns that no line fills are left out. With less than so many bytes of room there are fewer
/// lines, and without any only how many there are.
pub(super) fn table(record: &Record, linked: bool, room: usize) -> Vec<Block> {
    let url = record.url.as_deref().filter(|_| linked).and_then(safe_url);
    let room = room.saturating_sub(FRAME);
    let fit = |columns: &[(&str, Align)], rows: Vec<Vec<Cell>>| table_within(room, columns, rows);
    let (block, shown, total) = if record.lines.is_empty() {
        if record.allocations.is_empty() {
            return Vec::new();
        }
        let rows = record.allocations.iter().take(LINES_SHOWN);
        let rows = rows.map(|row| vec![cell(&row.number), amount(Some(&row.amount))]).collect();
        let columns = [("Applied to", Align::Left), ("Amount", Align::Right)];
        let (block, left_out) = fit(&columns, rows);
        let total = record.allocations.len();
        (block, total.min(LINES_SHOWN) - left_out, total)
    } else if let Some(sums) = by_cost_center(&record.lines).filter(|_| record.lines.len() > LINES_SHOWN) {
        let columns = [("Cost center", Align::Left), ("Sum of its lines", Align::Right)];
        let rows = sums.iter().take(LINES_SHOWN).map(|(center, sum)| vec![cell(center), amount(Some(sum))]);
        let rows = rows.collect();
        let (block, left_out) = fit(&columns, rows);
        (block, sums.len().min(LINES_SHOWN) - left_out, sums.len())
    } else {
        let (block, shown) = of_lines(&record.lines, room);
        (block, shown, record.lines.len())
    };
    let mut blocks: Vec<Block> = Some(block).filter(|_| shown > 0).into_iter().collect();
    blocks.extend((total > shown).then(|| more(total - shown, url.as_deref())));
    blocks
}

/// Whether a card shows a table of it.
pub(super) fn has_table(record: &Record) -> bool {
    !(record.lines.is_empty() && record.allocations.is_empty())
}

fn of_lines(lines: &[Line], room: usize) -> (Block, usize) {
    let filled = |here: fn(&Line) -> bool| lines.iter().any(here);
    let sided = filled(|line| line.side.is_some());
    let columns: Vec<LineColumn> = [
        (DESCRIPTION, true),
        (ACCOUNT, filled(|line| line.account.is_some())),
        (COST_CENTER, filled(|line| line.cost_center.is_some())),
        (QUANTITY, filled(|line| line.quantity.is_some())),
        (DEBIT, sided),
        (CREDIT, sided),
        // An amount without a side stands beside the two columns.
        (AMOUNT, filled(|line| line.amount.is_some() && line.side.is_none())),
    ]
    .into_iter()
    .filter_map(|(column, there)| there.then_some(column))
    .collect();
    let titles: Vec<_> = columns.iter().map(|&(title, align, _)| (title, align)).collect();
    let rows =
        lines.iter().take(LINES_SHOWN).map(|line| columns.iter().map(|(.., show)| show(line)).collect());
    let (block, left_out) = table_within(room, &titles, rows);
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

/// What each cost center bears, the largest part first; `None` where the lines do not say that.
fn by_cost_center(lines: &[Line]) -> Option<Vec<(String, Money)>> {
    let mut sums: Vec<(String, Money)> = Vec::new();
    if !lines.iter().any(|line| line.cost_center.is_some()) {
        return None;
    }
    for line in lines {
        let amount = line.amount.filter(|_| line.side.is_none())?;
        let center = line.cost_center.as_ref().and_then(CodeName::label);
        let center = center.unwrap_or_else(|| "No cost center".to_owned());
        match sums.iter_mut().find(|(known, sum)| *known == center && sum.currency == amount.currency) {
            Some((_, sum)) => sum.amount = sum.amount.checked_add(amount.amount)?,
            None => sums.push((center, amount)),
        }
    }
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.amount));
    Some(sums)
}

/// An account, or the like, as people know it.
fn named(what: Option<&CodeName>) -> Cell {
    cell(&what.and_then(CodeName::label).unwrap_or_default())
}

fn on_side(line: &Line, side: Side) -> Cell {
    amount(line.amount.as_ref().filter(|_| line.side == Some(side)))
}

fn cell(text: &str) -> Cell {
    Cell::new(&value(text, CELL_MAX).unwrap_or_default(), CELL_MAX)
}

fn amount(amount: Option<&Money>) -> Cell {
    Cell::new(&amount.map(money).unwrap_or_default(), CELL_MAX)
}
