//! Checks blocks against the limits of Block Kit.

use std::{collections::BTreeSet, fmt};

use super::{
    Block, Button, Cell, Confirm, Text, TextInput, View,
    limits::{
        ACTIONS_MAX, BLOCKS_MAX, BUTTON_TEXT_MAX, CELLS_MAX, COLUMNS_MAX, CONFIRM_ANSWER_MAX,
        CONFIRM_TEXT_MAX, CONFIRM_TITLE_MAX, CONTEXT_MAX, FIELD_MAX, FIELDS_MAX, HEADER_MAX, ID_MAX,
        INPUT_MAX, LABEL_MAX, MESSAGE_BYTES_MAX, PLACEHOLDER_MAX, PRIVATE_METADATA_MAX, ROWS_MAX,
        TABLE_TEXT_MAX, TEXT_MAX, URL_MAX, VALUE_MAX, VIEW_BLOCKS_MAX, VIEW_BYTES_MAX, VIEW_LABEL_MAX,
    },
    units,
};

/// One broken limit. Holds no text of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Where, as a JSON pointer into the blocks: `/1/fields/0/text`.
    pub pointer: String,
    /// Which rule, such as `max_length`.
    pub rule: &'static str,
    /// What was found.
    pub actual: usize,
    /// What is allowed.
    pub limit: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}, limit {}", self.rule, self.pointer, self.actual, self.limit)
    }
}

pub(super) fn validate(blocks: &[Block]) -> Result<(), Vec<Violation>> {
    let mut found = Violations::default();
    found.blocks("", blocks, BLOCKS_MAX);
    let tables = blocks.iter().filter(|block| matches!(block, Block::Table { .. })).count();
    found.check("", "one_table", tables, tables <= 1, 1);
    found.bytes(&blocks, MESSAGE_BYTES_MAX);
    found.verdict()
}

fn view(view: &View) -> Result<(), Vec<Violation>> {
    let mut found = Violations::default();
    found.plain("/title", &view.title, VIEW_LABEL_MAX);
    found.blocks("/blocks", &view.blocks.0, VIEW_BLOCKS_MAX);
    let tables = view.blocks.0.iter().filter(|block| matches!(block, Block::Table { .. })).count();
    found.check("/blocks", "messages_only", tables, tables == 0, 0);
    let inputs = view.blocks.0.iter().any(|block| matches!(block, Block::Input { .. }));
    found.check("/submit", "required_with_input", 0, view.submit.is_some() || !inputs, 1);
    for (at, label) in [("/submit", &view.submit), ("/close", &view.close)] {
        if let Some(label) = label {
            found.plain(at, label, VIEW_LABEL_MAX);
        }
    }
    for (at, text, max) in [
        ("/private_metadata", &view.private_metadata, PRIVATE_METADATA_MAX),
        ("/callback_id", &view.callback_id, ID_MAX),
    ] {
        found.check(at, "max_length", units(text), units(text) <= max, max);
    }
    found.bytes(&view, VIEW_BYTES_MAX);
    found.verdict()
}

impl View {
    /// Checks every documented limit.
    ///
    /// # Errors
    /// Everything that is wrong, in order.
    pub fn validate(&self) -> Result<(), Vec<Violation>> {
        view(self)
    }
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn check(&mut self, pointer: &str, rule: &'static str, actual: usize, holds: bool, limit: usize) {
        if !holds {
            self.0.push(Violation { pointer: pointer.to_owned(), rule, actual, limit });
        }
    }

    fn verdict(self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    fn bytes(&mut self, whole: &impl serde::Serialize, max: usize) {
        // Writing blocks as JSON cannot fail: they hold text and numbers only.
        let bytes = serde_json::to_vec(whole).map_or(0, |json| json.len());
        self.check("", "max_bytes", bytes, bytes <= max, max);
    }

    fn blocks(&mut self, at: &str, blocks: &[Block], max: usize) {
        self.count(at, blocks.len(), 1, max);
        let mut ids = BTreeSet::new();
        for (i, block) in blocks.iter().enumerate() {
            let at = format!("{at}/{i}");
            self.block(&at, block);
            if let Block::Input { block_id, .. } = block {
                self.length(&format!("{at}/block_id"), block_id, ID_MAX);
                self.check(&format!("{at}/block_id"), "unique", 2, ids.insert(block_id), 1);
            }
        }
    }

    fn count(&mut self, pointer: &str, actual: usize, min: usize, max: usize) {
        self.check(pointer, "min_items", actual, actual >= min, min);
        self.check(pointer, "max_items", actual, actual <= max, max);
    }

    fn length(&mut self, pointer: &str, text: &str, max: usize) {
        let actual = units(text);
        self.check(pointer, "min_length", actual, !text.trim().is_empty(), 1);
        self.check(pointer, "max_length", actual, actual <= max, max);
    }

    fn text(&mut self, pointer: &str, text: &Text, max: usize) {
        self.length(&format!("{pointer}/text"), text.as_str(), max);
    }

    fn plain(&mut self, pointer: &str, text: &Text, max: usize) {
        self.check(&format!("{pointer}/type"), "plain_text_only", 1, !text.is_markup(), 0);
        self.text(pointer, text, max);
    }

    fn block(&mut self, at: &str, block: &Block) {
        match block {
            Block::Header { text } => self.plain(&format!("{at}/text"), text, HEADER_MAX),
            Block::Section { text, fields } => {
                self.check(at, "text_or_fields", 0, text.is_some() || !fields.is_empty(), 1);
                if let Some(text) = text {
                    self.text(&format!("{at}/text"), text, TEXT_MAX);
                }
                self.count(&format!("{at}/fields"), fields.len(), 0, FIELDS_MAX);
                for (i, field) in fields.iter().enumerate() {
                    self.text(&format!("{at}/fields/{i}"), field, FIELD_MAX);
                }
            }
            Block::Context { elements } => {
                self.count(&format!("{at}/elements"), elements.len(), 1, CONTEXT_MAX);
                for (i, element) in elements.iter().enumerate() {
                    self.text(&format!("{at}/elements/{i}"), element, TEXT_MAX);
                }
            }
            Block::Divider {} => {}
            Block::Actions { elements } => self.actions(&format!("{at}/elements"), elements),
            Block::Input { label, element, .. } => {
                self.plain(&format!("{at}/label"), label, LABEL_MAX);
                self.input(&format!("{at}/element"), element);
            }
            Block::Table { rows, column_settings } => {
                self.table(&format!("{at}/rows"), rows);
                self.count(&format!("{at}/column_settings"), column_settings.len(), 0, COLUMNS_MAX);
            }
        }
    }

    fn actions(&mut self, at: &str, buttons: &[Button]) {
        self.count(at, buttons.len(), 1, ACTIONS_MAX);
        let mut ids = BTreeSet::new();
        for (i, button) in buttons.iter().enumerate() {
            let at = format!("{at}/{i}");
            self.plain(&format!("{at}/text"), &button.text, BUTTON_TEXT_MAX);
            self.length(&format!("{at}/action_id"), &button.action_id, ID_MAX);
            self.check(&format!("{at}/action_id"), "unique", 2, ids.insert(&button.action_id), 1);
            if let Some(url) = &button.url {
                self.length(&format!("{at}/url"), url, URL_MAX);
                self.check(&format!("{at}/url"), "https_only", 1, url.starts_with("https://"), 0);
            }
            if let Some(value) = &button.value {
                self.length(&format!("{at}/value"), value, VALUE_MAX);
            }
            if let Some(confirm) = &button.confirm {
                self.confirm(&format!("{at}/confirm"), confirm);
            }
        }
    }

    fn confirm(&mut self, at: &str, confirm: &Confirm) {
        self.plain(&format!("{at}/title"), &confirm.title, CONFIRM_TITLE_MAX);
        self.text(&format!("{at}/text"), &confirm.text, CONFIRM_TEXT_MAX);
        self.plain(&format!("{at}/confirm"), &confirm.confirm, CONFIRM_ANSWER_MAX);
        self.plain(&format!("{at}/deny"), &confirm.deny, CONFIRM_ANSWER_MAX);
    }

    fn input(&mut self, at: &str, input: &TextInput) {
        self.length(&format!("{at}/action_id"), &input.action_id, ID_MAX);
        if let Some(placeholder) = &input.placeholder {
            self.plain(&format!("{at}/placeholder"), placeholder, PLACEHOLDER_MAX);
        }
        let (min, max) = (input.min_length.unwrap_or(0), input.max_length.unwrap_or(INPUT_MAX));
        self.check(&format!("{at}/min_length"), "max_value", min, min <= max, max);
        self.check(&format!("{at}/max_length"), "max_value", max, max <= INPUT_MAX, INPUT_MAX);
        self.check(&format!("{at}/max_length"), "min_value", max, max >= 1, 1);
    }

    fn table(&mut self, at: &str, rows: &[Vec<Cell>]) {
        self.count(at, rows.len(), 1, ROWS_MAX);
        for (i, row) in rows.iter().enumerate() {
            self.count(&format!("{at}/{i}"), row.len(), 1, CELLS_MAX);
        }
        for (i, cell) in rows.iter().flatten().enumerate() {
            if let Some(url) = cell.url() {
                self.length(&format!("{at}/cells/{i}/url"), url, URL_MAX);
            }
        }
        let total = rows.iter().flatten().map(Cell::units).sum();
        self.check(at, "max_length", total, total <= TABLE_TEXT_MAX, TABLE_TEXT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{Blocks, Column, Markup};

    fn check(blocks: Vec<Block>, expected: &[&str]) {
        let violations = blocks.into_iter().fold(Blocks::new(), Blocks::with).validate().err();
        let found: Vec<_> = violations.unwrap_or_default().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    fn plain(length: usize) -> Text {
        Text::plain(&"x".repeat(length))
    }

    fn button() -> Button {
        Button::new("open", "Open")
    }

    #[test]
    fn every_limit_is_met_exactly_and_refused_one_above() {
        check(vec![], &["min_items at : 0, limit 1"]);
        check(vec![Block::Divider {}; 50], &[]);
        check(vec![Block::Divider {}; 51], &["max_items at : 51, limit 50"]);

        check(vec![Block::Header { text: plain(150) }], &[]);
        check(vec![Block::Header { text: plain(151) }], &["max_length at /0/text/text: 151, limit 150"]);
        check(vec![Block::Header { text: plain(0) }], &["min_length at /0/text/text: 0, limit 1"]);
        let markup = Text::markup(Markup::new().bold("x"));
        check(vec![Block::Header { text: markup }], &["plain_text_only at /0/text/type: 1, limit 0"]);

        check(vec![Block::section(plain(3000))], &[]);
        check(vec![Block::section(plain(3001))], &["max_length at /0/text/text: 3001, limit 3000"]);
        check(vec![Block::fields(vec![])], &["text_or_fields at /0: 0, limit 1"]);
        check(vec![Block::fields(vec![plain(2000); 10])], &[]);
        check(vec![Block::fields(vec![plain(1); 11])], &["max_items at /0/fields: 11, limit 10"]);
        check(
            vec![Block::fields(vec![plain(1), plain(2001)])],
            &["max_length at /0/fields/1/text: 2001, limit 2000"],
        );

        check(vec![Block::Context { elements: vec![] }], &["min_items at /0/elements: 0, limit 1"]);
        check(
            vec![Block::Context { elements: vec![plain(1); 11] }],
            &["max_items at /0/elements: 11, limit 10"],
        );
    }

    #[test]
    fn buttons_are_checked_one_by_one() {
        let actions = |elements| vec![Block::Actions { elements }];
        check(actions(vec![]), &["min_items at /0/elements: 0, limit 1"]);
        let many: Vec<_> = (0..26).map(|i| Button::new(i.to_string(), "x")).collect();
        check(actions(many), &["max_items at /0/elements: 26, limit 25"]);
        check(actions(vec![button(), button()]), &["unique at /0/elements/1/action_id: 2, limit 1"]);
        check(
            actions(vec![button().with_url("http://x.example/")]),
            &["https_only at /0/elements/0/url: 1, limit 0"],
        );
        check(
            actions(vec![button().with_value("v".repeat(2001))]),
            &["max_length at /0/elements/0/value: 2001, limit 2000"],
        );
        check(
            actions(vec![Button::new("i".repeat(256), "x")]),
            &["max_length at /0/elements/0/action_id: 256, limit 255"],
        );
        check(
            actions(vec![button().with_url(format!("https://x.example/{}", "a".repeat(3000)))]),
            &["max_length at /0/elements/0/url: 3018, limit 3000"],
        );
    }

    #[test]
    fn questions_and_inputs_are_checked_part_by_part() {
        let actions = |confirm| vec![Block::Actions { elements: vec![button().with_confirm(confirm)] }];
        let confirm = |title, text, confirm, deny| Confirm {
            title: plain(title),
            text: plain(text),
            confirm: plain(confirm),
            deny: plain(deny),
        };
        check(actions(confirm(100, 300, 30, 30)), &[]);
        check(
            actions(confirm(101, 301, 31, 0)),
            &[
                "max_length at /0/elements/0/confirm/title/text: 101, limit 100",
                "max_length at /0/elements/0/confirm/text/text: 301, limit 300",
                "max_length at /0/elements/0/confirm/confirm/text: 31, limit 30",
                "min_length at /0/elements/0/confirm/deny/text: 0, limit 1",
            ],
        );
        let input = |id: &str, element| vec![Block::input(id, "Reason", element)];
        let element = || TextInput::new("reason");
        check(input("reason", element().with_length(0, 3000)), &[]);
        check(input(&"i".repeat(256), element()), &["max_length at /0/block_id: 256, limit 255"]);
        check(
            input("reason", element().with_length(3, 3001)),
            &["max_value at /0/element/max_length: 3001, limit 3000"],
        );
        check(
            input("reason", element().with_length(1, 0)),
            &[
                "max_value at /0/element/min_length: 1, limit 0",
                "min_value at /0/element/max_length: 0, limit 1",
            ],
        );
        let twice = [input("reason", element()), input("reason", element())].concat();
        check(twice, &["unique at /1/block_id: 2, limit 1"]);
        let labeled = |length| {
            let (block_id, label) = ("reason".to_owned(), plain(length));
            vec![Block::Input { block_id, label, element: element(), optional: false }]
        };
        check(labeled(2000), &[]);
        check(labeled(2001), &["max_length at /0/label/text: 2001, limit 2000"]);
    }

    #[test]
    fn a_modal_has_limits_of_its_own() {
        let check = |view: View, expected: &[&str]| {
            let found: Vec<_> =
                view.validate().err().unwrap_or_default().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        let dividers = |count| Blocks(vec![Block::Divider {}; count]);
        let reason = || Blocks::new().with(Block::input("reason", "Reason", TextInput::new("reason")));
        check(View::new("Reject", dividers(100)), &[]);
        check(View::new("Reject", dividers(101)), &["max_items at /blocks: 101, limit 100"]);
        check(View::new("", dividers(1)), &["min_length at /title/text: 0, limit 1"]);
        check(View::new("Reject", reason()).with_submit("Reject"), &[]);
        check(View::new("Reject", reason()), &["required_with_input at /submit: 0, limit 1"]);
        check(
            View::new("Reject", dividers(1)).with_callback("c".repeat(256), "p".repeat(3001)),
            &[
                "max_length at /private_metadata: 3001, limit 3000",
                "max_length at /callback_id: 256, limit 255",
            ],
        );
        let (block, _) =
            crate::blocks::table(&[("A", crate::blocks::Align::Left)], [vec![Cell::new("a", 9)]]);
        check(View::new("Reject", Blocks::new().with(block)), &["messages_only at /blocks: 1, limit 0"]);
        let long = View::new("Reject", Blocks(vec![Block::section(plain(3000)); 90]));
        assert_eq!(long.validate().unwrap_err()[0].rule, "max_bytes");
    }

    #[test]
    fn a_table_takes_as_many_rows_as_fit_and_counts_the_others() {
        let columns = [("A", crate::blocks::Align::Left)];
        for (rows, length, left_out) in [(99, 10, 0), (100, 10, 1), (20, 1000, 11), (0, 1, 0)] {
            let cells = (0..rows).map(|_| vec![Cell::new(&"x".repeat(length), length)]);
            let (block, found) = crate::blocks::table(&columns, cells);
            assert_eq!(found, left_out);
            check(vec![block], &[]);
        }
        let link = Cell::link("INV-1", 9, "javascript:alert(1)");
        assert_eq!(link.url(), None);
        assert_eq!(Cell::link("INV-1", 9, "https://x.example/1").url(), Some("https://x.example/1"));
    }

    #[test]
    fn tables_are_checked_by_rows_cells_text_and_number() {
        let cell = |length: usize| Cell::new(&"x".repeat(length), length);
        let table = |rows, columns| Block::Table { rows, column_settings: vec![Column::default(); columns] };
        check(vec![table(vec![vec![cell(1)]; 100], 20)], &[]);
        check(vec![table(vec![vec![cell(500); 20]], 0)], &[]);
        check(vec![table(vec![vec![cell(1)]; 101], 0)], &["max_items at /0/rows: 101, limit 100"]);
        check(vec![table(vec![vec![cell(1); 21]], 0)], &["max_items at /0/rows/0: 21, limit 20"]);
        check(vec![table(vec![vec![]], 0)], &["min_items at /0/rows/0: 0, limit 1"]);
        check(vec![table(vec![vec![cell(1)]], 21)], &["max_items at /0/column_settings: 21, limit 20"]);
        check(vec![table(vec![vec![cell(10_001)]], 0)], &["max_length at /0/rows: 10001, limit 10000"]);
        let one = || table(vec![vec![cell(1)]], 0);
        check(vec![one(), one()], &["one_table at : 2, limit 1"]);
    }

    #[test]
    fn all_blocks_together_have_a_limit() {
        let found = vec![Block::section(plain(3000)); 17].into_iter().fold(Blocks::new(), Blocks::with);
        assert_eq!(found.validate().unwrap_err()[0].rule, "max_bytes");
    }
}
