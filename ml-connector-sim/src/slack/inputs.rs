//! Inputs of messages and modals: what a person may enter, and how it arrives.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The longest text of an input without a limit of its own.
const MAX_LENGTH: usize = 3000;

/// The input blocks.
pub(super) fn inputs(blocks: &Value) -> impl Iterator<Item = &Value> {
    blocks.as_array().into_iter().flatten().filter(|block| block["type"] == "input")
}

pub(super) fn block_id(block: &Value) -> &str {
    block["block_id"].as_str().unwrap_or_default()
}

/// What stands in an input: what was entered, or what it began with.
pub(super) fn value<'a>(block: &'a Value, entered: &'a BTreeMap<String, String>) -> &'a str {
    let element = &block["element"];
    let initial = element["initial_value"].as_str().or_else(|| element["initial_option"]["value"].as_str());
    entered.get(block_id(block)).map(String::as_str).or(initial).unwrap_or_default()
}

/// What Slack itself does not let through, by block id.
pub(super) fn check(blocks: &Value, entered: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    inputs(blocks)
        .filter_map(|block| {
            let length = value(block, entered).chars().count();
            let limit =
                |name: &str| block["element"][name].as_u64().and_then(|limit| usize::try_from(limit).ok());
            let wrong = if length == 0 {
                if block["optional"] == true {
                    return None;
                }
                "Please complete this required field.".to_owned()
            } else if let Some(least) = limit("min_length").filter(|least| length < *least) {
                format!("Please enter at least {least} characters.")
            } else {
                let most = limit("max_length").unwrap_or(MAX_LENGTH);
                if length <= most {
                    return None;
                }
                format!("Please enter at most {most} characters.")
            };
            Some((block_id(block).to_owned(), wrong))
        })
        .collect()
}

/// `state.values`: by block, by action, what stands there.
pub(super) fn state(blocks: &Value, entered: &BTreeMap<String, String>) -> Value {
    let values: Map<String, Value> = inputs(blocks)
        .map(|block| {
            let element = &block["element"];
            let kind = element["type"].as_str().unwrap_or_default();
            let value = Some(value(block, entered)).filter(|value| !value.is_empty());
            let held = match kind {
                "static_select" | "radio_buttons" => {
                    let options = element["options"].as_array().into_iter().flatten();
                    let chosen = options.into_iter().find(|option| option["value"].as_str() == value);
                    json!({ "type": kind, "selected_option": chosen })
                }
                "datepicker" => json!({ "type": kind, "selected_date": value }),
                _ => json!({ "type": kind, "value": value }),
            };
            let action_id = element["action_id"].as_str().unwrap_or_default();
            (block_id(block).to_owned(), json!({ action_id: held }))
        })
        .collect();
    values.into()
}
