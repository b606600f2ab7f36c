//! Blocks as a person sees them. Whatever they say, only the tags written here come out.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::Reader;
use crate::slack::{blocks::is_web_address, dates, inputs, mrkdwn, workspace::Workspace};

/// What the names of inputs begin with; the block id follows.
pub(super) const INPUT: &str = "in.";

/// Draws a block, with what was entered before. Where buttons are `live` they send the form around them.
pub(super) fn block(
    block: &Value,
    live: bool,
    entered: &BTreeMap<String, String>,
    reader: &Reader<'_>,
) -> Markup {
    let list = |name: &str| block[name].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        @match block["type"].as_str().unwrap_or_default() {
            "header" => h2 { (text(&block["text"], reader)) },
            "divider" => hr;,
            "section" => {
                div.section {
                    div {
                        @if !block["text"].is_null() { p { (text(&block["text"], reader)) } }
                        @if !list("fields").is_empty() {
                            div.fields {
                                @for field in list("fields") { div { (text(field, reader)) } }
                            }
                        }
                    }
                    @if !block["accessory"].is_null() { (element(&block["accessory"], live, reader)) }
                }
            }
            "context" => {
                div.context { @for part in list("elements") { span { (element(part, live, reader)) } } }
            }
            "actions" => {
                div.actions { @for part in list("elements") { (element(part, live, reader)) } }
            }
            "input" => (input(block, entered)),
            "image" => p.unknown { "[" (block["alt_text"].as_str().unwrap_or("image")) "]" },
            "table" | "data_table" => {
                table {
                    @for row in list("rows") {
                        tr { @for cell in row.as_array().into_iter().flatten() { td { (cell_text(cell, reader)) } } }
                    }
                }
            }
            "markdown" => p { (block["text"].as_str().unwrap_or_default()) },
            "rich_text" => div.rich { @for part in list("elements") { (rich(part, reader.workspace)) } },
            other => p.unknown { "[" (other) " block]" },
        }
    }
}

fn element(element: &Value, live: bool, reader: &Reader<'_>) -> Markup {
    html! {
        @match element["type"].as_str().unwrap_or_default() {
            "button" => {
                @let style = element["style"].as_str().unwrap_or("plain");
                @let action_id = element["action_id"].as_str().unwrap_or_default();
                button class={ "button " (style) } name="action_id" value=(action_id) disabled[!live] {
                    (text(&element["text"], reader))
                }
            }
            "image" => span.unknown { "[" (element["alt_text"].as_str().unwrap_or("image")) "]" },
            "mrkdwn" | "plain_text" => (text(element, reader)),
            other => span.unknown { "[" (other) "]" },
        }
    }
}

fn input(block: &Value, entered: &BTreeMap<String, String>) -> Markup {
    let element = &block["element"];
    let name = format!("{INPUT}{}", inputs::block_id(block));
    let initial = inputs::value(block, entered);
    let options = element["options"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        label.input {
            b { (plain_text(&block["label"])) @if block["optional"] == true { " (optional)" } }
            @match element["type"].as_str().unwrap_or_default() {
                "static_select" | "radio_buttons" => {
                    select name=(name) {
                        option value="" { (plain_text(&element["placeholder"])) }
                        @for option in options {
                            @let value = option["value"].as_str().unwrap_or_default();
                            option value=(value) selected[value == initial] {
                                (plain_text(&option["text"]))
                            }
                        }
                    }
                }
                "plain_text_input" if element["multiline"] == true => {
                    textarea name=(name) placeholder=(plain(&element["placeholder"])) { (initial) }
                }
                _ => input type="text" name=(name) value=(initial) placeholder=(plain(&element["placeholder"]));,
            }
            @if !block["hint"].is_null() { small { (plain_text(&block["hint"])) } }
        }
    }
}

/// A text object.
pub(super) fn text(object: &Value, reader: &Reader<'_>) -> Markup {
    if object["type"] == "mrkdwn" {
        mrkdwn::render(object["text"].as_str().unwrap_or_default(), reader.workspace)
    } else {
        plain_text(object)
    }
}

/// A text object that holds no markup, or nothing.
pub(super) fn plain_text(object: &Value) -> Markup {
    mrkdwn::plain(object["text"].as_str().unwrap_or_default())
}

fn plain(object: &Value) -> &str {
    object["text"].as_str().unwrap_or_default()
}

fn cell_text(cell: &Value, reader: &Reader<'_>) -> Markup {
    match cell["elements"].as_array() {
        Some(parts) => html! { @for part in parts { (rich(part, reader.workspace)) } },
        None => html! { (cell["text"].as_str().unwrap_or_default()) },
    }
}

/// An element of rich text, however deep. Its texts are literal.
fn rich(part: &Value, workspace: &Workspace) -> Markup {
    let parts = || part["elements"].as_array().into_iter().flatten().map(|part| rich(part, workspace));
    html! {
        @match part["type"].as_str().unwrap_or_default() {
            "rich_text_section" => div { @for part in parts() { (part) } },
            "rich_text_preformatted" => pre { @for part in parts() { (part) } },
            "rich_text_quote" => blockquote { @for part in parts() { (part) } },
            "rich_text_list" if part["style"] == "ordered" => ol { @for part in parts() { li { (part) } } },
            "rich_text_list" => ul { @for part in parts() { li { (part) } } },
            _ => (leaf(part, workspace)),
        }
    }
}

fn leaf(part: &Value, workspace: &Workspace) -> Markup {
    let field = |name: &str| part[name].as_str().unwrap_or_default();
    let plain = match field("type") {
        "link" if is_web_address(field("url")) => {
            let label = part["text"].as_str().unwrap_or(field("url"));
            html! { a href=(field("url")) rel="noreferrer" { (label) } }
        }
        "user" => mrkdwn::render(&format!("<@{}>", field("user_id")), workspace),
        "channel" => mrkdwn::render(&format!("<#{}>", field("channel_id")), workspace),
        "broadcast" => html! { span.mention { "@" (field("range")) } },
        "emoji" => mrkdwn::emoji(field("name")),
        "date" => {
            let shown = part["timestamp"].as_i64().and_then(|at| dates::shown(at, field("format")));
            html! { (shown.as_deref().unwrap_or(field("fallback"))) }
        }
        _ => html! { (field("text")) },
    };
    let styled = |name: &str| part["style"][name] == true;
    let plain = if styled("code") {
        html! { code { (plain) } }
    } else {
        plain
    };
    let plain = if styled("strike") {
        html! { s { (plain) } }
    } else {
        plain
    };
    let plain = if styled("italic") {
        html! { i { (plain) } }
    } else {
        plain
    };
    if styled("bold") {
        html! { b { (plain) } }
    } else {
        plain
    }
}
