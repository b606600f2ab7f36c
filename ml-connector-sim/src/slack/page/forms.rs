//! What people send from the page.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use ml_connector_core::Result;
use serde_json::Value;
use url::Url;

use super::{blocks::INPUT, empty, layout, modal, path, see_other, show};
use crate::slack::{SlackSim, blocks::is_web_address, interact::action};

struct Form(BTreeMap<String, String>);

impl Form {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What was entered, by block id.
    fn inputs(&self) -> Vec<(&str, &str)> {
        let inputs =
            self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(INPUT)?, value.as_str())));
        inputs.collect()
    }
}

/// Does what was sent and leads back to where it was sent from.
pub(super) fn answer(sim: &SlackSim, action: &str, body: &Bytes) -> Response<Bytes> {
    let form = Form(url::form_urlencoded::parse(body).into_owned().collect());
    let (user, channel, ts) = (form.text("as"), form.text("channel"), form.text("ts"));
    let done: Result<()> = match action {
        "click" => return click(sim, &form),
        "react" => sim.react(user, channel, ts, form.text("name")),
        "unreact" => sim.unreact(user, channel, ts, form.text("name")),
        "say" => say(sim, &form),
        "submit" => {
            // What is wrong with it is shown in the modal.
            let _ = sim.submit_view(user, form.text("view"), &form.inputs());
            Ok(())
        }
        "close" => sim.close_view(user, form.text("view")),
        _ => return empty(StatusCode::NOT_FOUND),
    };
    back(sim, &form, done)
}

fn back(sim: &SlackSim, form: &Form, done: Result<()>) -> Response<Bytes> {
    let (here, user) = (form.text("here"), form.text("as"));
    match done {
        Ok(()) => see_other(&path(Some(here), user)),
        Err(error) => show(sim, here, user, |reader| {
            reader.banner = Some(error.to_string());
            layout::page(reader)
        }),
    }
}

/// A click asks first where the button says so, and then leads to where a button with an address leads.
fn click(sim: &SlackSim, form: &Form) -> Response<Bytes> {
    let (user, channel, ts) = (form.text("as"), form.text("channel"), form.text("ts"));
    let action_id = form.text("action_id");
    let button = sim.workspace(|workspace| match workspace.message(channel, ts) {
        Some(message) => action(message.blocks.as_ref()?, action_id),
        None => workspace
            .ephemerals
            .iter()
            .find(|seen| seen.channel == channel && seen.ts == ts && seen.user == user)
            .and_then(|seen| action(&seen.blocks, action_id)),
    });
    let button = button.map_or(Value::Null, |(_, button)| button);
    if button["confirm"].is_object() && form.text("confirmed").is_empty() {
        let fields: Vec<(&str, &str)> =
            form.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        return show(sim, form.text("here"), user, |reader| {
            layout::page_under(reader, &modal::confirm(&button["confirm"], &fields, reader))
        });
    }
    let clicked = sim.click_with(channel, ts, action_id, user, &form.inputs());
    let url = button["url"].as_str().filter(|url| clicked.is_ok() && is_web_address(url));
    match url.and_then(|url| Url::parse(url).ok()) {
        Some(url) => see_other(url.as_str()),
        None => back(sim, form, clicked.map(drop)),
    }
}

/// A person writes; what begins with a slash is a command.
fn say(sim: &SlackSim, form: &Form) -> Result<()> {
    let (user, channel, text) = (form.text("as"), form.text("channel"), form.text("text").trim());
    if text.is_empty() {
        return Ok(());
    }
    if text.starts_with('/') {
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        return sim.command(channel, user, command, rest).map(drop);
    }
    sim.workspace(|workspace| workspace.place(channel, user))?;
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    sim.say(channel, user, &escaped);
    Ok(())
}
