//! What Slack refuses in blocks.

use std::collections::BTreeSet;

use serde_json::Value;

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Valid,
    /// Each message ends with a JSON pointer.
    Invalid(Vec<String>),
    /// A message holds at most one table.
    SecondTable,
    /// Not an array of objects.
    NoList,
}

/// Checks the blocks of a message. Lengths are counted in UTF-16 code units, the stricter reading.
pub(super) fn check(blocks: &Value) -> Checked {
    let Some(blocks) = blocks.as_array().filter(|blocks| blocks.iter().all(Value::is_object)) else {
        return Checked::NoList;
    };
    let tables = blocks.iter().filter(|block| matches!(kind(block), "table" | "data_table")).count();
    if tables > 1 {
        return Checked::SecondTable;
    }
    let mut report = Report::default();
    report.blocks(blocks, 50, "/blocks");
    report.verdict()
}

/// Checks a modal.
pub(super) fn check_view(view: &Value) -> Checked {
    let mut report = Report::default();
    if view["type"] != "modal" {
        report.say("must be modal", "/view/type");
    }
    if view["title"].is_null() {
        report.say("missing required field: title", "/view");
    } else {
        report.text_object(&view["title"], 24, true, "/view/title");
    }
    for name in ["submit", "close"] {
        if !view[name].is_null() {
            report.text_object(&view[name], 24, true, &format!("/view/{name}"));
        }
    }
    for (name, max) in [("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)] {
        if view[name].as_str().is_some_and(|text| text.encode_utf16().count() > max) {
            report.say(&format!("must be less than {} characters", max + 1), &format!("/view/{name}"));
        }
    }
    let Some(blocks) = view["blocks"].as_array() else {
        report.say("missing required field: blocks", "/view");
        return report.verdict();
    };
    report.blocks(blocks, 100, "/view/blocks");
    if view["submit"].is_null() && blocks.iter().any(|block| kind(block) == "input") {
        report.say("missing required field: submit", "/view");
    }
    for (i, block) in blocks.iter().enumerate() {
        if matches!(kind(block), "table" | "data_table" | "markdown") {
            report.say(&format!("unsupported type: {}", kind(block)), &format!("/view/blocks/{i}"));
        }
    }
    report.verdict()
}

/// Whether rich text would be replaced by something else, which an update cannot.
pub(super) fn mismatch(old: Option<&Value>, new: Option<&Value>) -> bool {
    let rich = |blocks: Option<&Value>| {
        let blocks = blocks.and_then(Value::as_array);
        blocks.is_some_and(|blocks| blocks.iter().any(|block| kind(block) == "rich_text"))
    };
    rich(old) && new.is_some() && !rich(new)
}

/// Everything that was found.
#[derive(Debug, Default)]
struct Report(Vec<String>);

impl Report {
    fn verdict(self) -> Checked {
        if self.0.is_empty() { Checked::Valid } else { Checked::Invalid(self.0) }
    }

    fn blocks(&mut self, blocks: &[Value], max: usize, at: &str) {
        self.count(blocks.len(), 1, max, "blocks", at);
        let mut ids = BTreeSet::new();
        for (i, block) in blocks.iter().enumerate() {
            let at = format!("{at}/{i}");
            self.optional_text(&block["block_id"], 255, &format!("{at}/block_id"));
            if let Some(id) = block["block_id"].as_str()
                && !ids.insert(id)
            {
                self.say("block_id must be unique in the message", &format!("{at}/block_id"));
            }
            self.block(block, &at);
        }
    }

    fn say(&mut self, message: &str, pointer: &str) {
        self.0.push(format!("{message} [json-pointer:{pointer}]"));
    }

    fn block(&mut self, block: &Value, at: &str) {
        match kind(block) {
            "divider" => {}
            "header" => self.text_object(&block["text"], 150, true, &format!("{at}/text")),
            "section" => self.section(block, at),
            "context" => {
                self.each(&block["elements"], 1, 10, &format!("{at}/elements"), |report, element, at| {
                    match kind(element) {
                        "image" => report.image(element, at),
                        _ => report.text_object(element, 3000, false, at),
                    }
                });
            }
            "actions" => {
                let mut ids = BTreeSet::new();
                self.each(&block["elements"], 1, 25, &format!("{at}/elements"), |report, element, at| {
                    report.element(element, at);
                    if let Some(id) = element["action_id"].as_str()
                        && !ids.insert(id.to_owned())
                    {
                        report.say("action_id must be unique in the block", &format!("{at}/action_id"));
                    }
                });
            }
            "image" => self.image(block, at),
            "input" => self.input(block, at),
            "table" => self.table(block, at),
            "markdown" => self.text(&block["text"], 12_000, &format!("{at}/text")),
            // Not used for posting by the connector: taken as they are.
            "rich_text" | "video" | "file" | "data_table" | "context_actions" | "card" | "carousel"
            | "container" | "plan" | "task_card" | "data_visualization" => {}
            other => self.say(&format!("unsupported type: {other}"), at),
        }
    }

    fn section(&mut self, block: &Value, at: &str) {
        if block["text"].is_null() && block["fields"].is_null() {
            return self.say("one of text and fields is required", at);
        }
        if !block["text"].is_null() {
            self.text_object(&block["text"], 3000, false, &format!("{at}/text"));
        }
        if !block["fields"].is_null() {
            self.each(&block["fields"], 1, 10, &format!("{at}/fields"), |report, field, at| {
                report.text_object(field, 2000, false, at);
            });
        }
        if !block["accessory"].is_null() {
            self.element(&block["accessory"], &format!("{at}/accessory"));
        }
    }

    fn input(&mut self, block: &Value, at: &str) {
        self.text_object(&block["label"], 2000, true, &format!("{at}/label"));
        if !block["hint"].is_null() {
            self.text_object(&block["hint"], 2000, true, &format!("{at}/hint"));
        }
        let (element, at) = (&block["element"], format!("{at}/element"));
        self.optional_text(&element["action_id"], 255, &format!("{at}/action_id"));
        if !element["placeholder"].is_null() {
            self.text_object(&element["placeholder"], 150, true, &format!("{at}/placeholder"));
        }
        match kind(element) {
            "plain_text_input" => {
                for (name, least) in [("min_length", 0), ("max_length", 1)] {
                    let limit = &element[name];
                    if !limit.is_null()
                        && !limit.as_u64().is_some_and(|limit| (least..=3000).contains(&limit))
                    {
                        self.say(&format!("must be from {least} to 3000"), &format!("{at}/{name}"));
                    }
                }
            }
            "static_select" => {
                self.each(&element["options"], 1, 100, &format!("{at}/options"), Self::option);
            }
            "radio_buttons" | "checkboxes" => {
                self.each(&element["options"], 1, 10, &format!("{at}/options"), Self::option);
            }
            "datepicker"
            | "users_select"
            | "number_input"
            | "email_text_input"
            | "url_text_input"
            | "rich_text_input"
            | "file_input"
            | "multi_static_select"
            | "timepicker" => {}
            other => self.say(&format!("unsupported type: {other}"), &at),
        }
    }

    fn option(&mut self, option: &Value, at: &str) {
        self.text_object(&option["text"], 75, true, &format!("{at}/text"));
        self.text(&option["value"], 150, &format!("{at}/value"));
    }

    fn element(&mut self, element: &Value, at: &str) {
        match kind(element) {
            "button" => {
                self.text_object(&element["text"], 75, true, &format!("{at}/text"));
                self.optional_text(&element["action_id"], 255, &format!("{at}/action_id"));
                self.optional_text(&element["value"], 2000, &format!("{at}/value"));
                self.optional_text(&element["url"], 3000, &format!("{at}/url"));
                if element["url"].as_str().is_some_and(|url| !is_web_address(url)) {
                    self.say("must be a web address", &format!("{at}/url"));
                }
                if !matches!(element["style"].as_str(), None | Some("primary" | "danger")) {
                    self.say("must be primary or danger", &format!("{at}/style"));
                }
                let confirm = &element["confirm"];
                if confirm.is_object() {
                    for (part, max) in [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)] {
                        let plain = part != "text";
                        self.text_object(&confirm[part], max, plain, &format!("{at}/confirm/{part}"));
                    }
                }
            }
            "image" => self.image(element, at),
            "overflow" | "static_select" | "users_select" | "datepicker" | "checkboxes" | "radio_buttons"
            | "workflow_button" => {}
            other => self.say(&format!("unsupported type: {other}"), at),
        }
    }

    fn image(&mut self, image: &Value, at: &str) {
        self.text(&image["alt_text"], 2000, &format!("{at}/alt_text"));
        if image["image_url"].is_null() == image["slack_file"].is_null() {
            self.say("exactly one of image_url and slack_file is required", at);
        }
    }

    fn table(&mut self, block: &Value, at: &str) {
        let mut characters = 0;
        self.each(&block["rows"], 1, 100, &format!("{at}/rows"), |report, row, at| {
            report.each(row, 1, 20, at, |report, cell, at| match kind(cell) {
                "raw_text" => {
                    report.text(&cell["text"], 10_000, &format!("{at}/text"));
                    characters += cell["text"].as_str().unwrap_or_default().encode_utf16().count();
                }
                "rich_text" => {}
                other => report.say(&format!("unsupported type: {other}"), at),
            });
        });
        if characters > 10_000 {
            self.say("must be less than 10001 characters in all cells", at);
        }
    }

    fn text_object(&mut self, object: &Value, max: usize, only_plain: bool, at: &str) {
        match kind(object) {
            "plain_text" => {
                if !object["verbatim"].is_null() {
                    self.say("unexpected field: verbatim", at);
                }
            }
            "mrkdwn" if !only_plain => {
                if !object["emoji"].is_null() {
                    self.say("unexpected field: emoji", at);
                }
            }
            _ if only_plain => return self.say("must be a plain_text object", at),
            _ => return self.say("must be a text object", at),
        }
        self.text(&object["text"], max, &format!("{at}/text"));
    }

    fn optional_text(&mut self, text: &Value, max: usize, at: &str) {
        if !text.is_null() {
            self.text(text, max, at);
        }
    }

    fn text(&mut self, text: &Value, max: usize, at: &str) {
        match text.as_str().map(|text| text.encode_utf16().count()) {
            None => self.say("must be a string", at),
            Some(0) => self.say("must be more than 0 characters", at),
            Some(length) if length > max => {
                self.say(&format!("must be less than {} characters", max + 1), at);
            }
            Some(_) => {}
        }
    }

    fn each(
        &mut self,
        list: &Value,
        min: usize,
        max: usize,
        at: &str,
        mut check: impl FnMut(&mut Self, &Value, &str),
    ) {
        let Some(items) = list.as_array() else { return self.say("must be an array", at) };
        self.count(items.len(), min, max, "items", at);
        for (i, item) in items.iter().enumerate() {
            check(self, item, &format!("{at}/{i}"));
        }
    }

    fn count(&mut self, actual: usize, min: usize, max: usize, of: &str, at: &str) {
        if actual < min {
            self.say(&format!("no fewer than {min} {of} allowed"), at);
        } else if actual > max {
            self.say(&format!("no more than {max} {of} allowed"), at);
        }
    }
}

fn kind(object: &Value) -> &str {
    object["type"].as_str().unwrap_or_default()
}

pub(super) fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http" | "mailto"))
}
