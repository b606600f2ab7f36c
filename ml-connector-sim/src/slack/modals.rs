//! `views.open`, `views.push`, `views.update`.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    blocks::{self, Checked},
    ids::{APP_ID, BOT_ID, digits},
    refusal::{Outcome, Refusal},
    views::{Trigger, View},
    workspace::Workspace,
};

/// "Modals" page: how long a `trigger_id` lives, and how many views lie upon each other.
const TRIGGER_LIFE: Duration = Duration::from_secs(3);
const MAX_DEPTH: usize = 3;
/// `views.open` page.
const MAX_VIEW_BYTES: usize = 250_000;

impl Workspace {
    /// A new `trigger_id` for what a person did.
    pub(super) fn trigger(&mut self, user: &str, view: Option<&str>, now: Timestamp) -> String {
        let drawn = self.seed.hex();
        let id = format!("{}.{}.{}", digits(&drawn), digits(&drawn[13..]), &drawn[32..]);
        let trigger =
            Trigger { user: user.to_owned(), view: view.map(str::to_owned), issued: now, used: false };
        self.views.triggers.insert(id.clone(), trigger);
        id
    }

    /// Takes a `trigger_id`, once and only as long as it lives.
    fn exchange(&mut self, args: &Args, now: Timestamp) -> Result<Trigger, Refusal> {
        let id = args.text("trigger_id").ok_or_else(|| Refusal::missing_argument("trigger_id"))?;
        let trigger = self.views.triggers.get_mut(&id).ok_or("invalid_trigger_id")?;
        if trigger.used {
            return Err("exchanged_trigger_id".into());
        }
        if trigger.issued + TRIGGER_LIFE < now {
            return Err("expired_trigger_id".into());
        }
        trigger.used = true;
        Ok(trigger.clone())
    }

    /// Puts a view that was checked in front of a person.
    pub(super) fn show(&mut self, user: &str, below: Option<String>, view: &Value, now: Timestamp) -> Value {
        let id = self.id("V");
        let root = below.as_ref().and_then(|below| self.views.get(below));
        let root = root.map_or_else(|| id.clone().into(), |root| root.view["root_view_id"].clone());
        let mut shown = self.dressed(view, now);
        shown["id"] = id.clone().into();
        shown["root_view_id"] = root;
        shown["previous_view_id"] = below.clone().into();
        self.views.all.push(View {
            id,
            user: user.to_owned(),
            view: shown.clone(),
            errors: BTreeMap::new(),
            entered: BTreeMap::new(),
            trouble: None,
            is_open: true,
            below,
            opened: now,
        });
        shown
    }

    /// Replaces a view that is shown.
    pub(super) fn exchange_view(&mut self, id: &str, view: &Value, now: Timestamp) -> Option<Value> {
        let mut shown = self.dressed(view, now);
        let old = self.views.get_mut(id)?;
        for name in ["id", "root_view_id", "previous_view_id"] {
            shown[name] = old.view[name].clone();
        }
        old.view = shown.clone();
        old.errors.clear();
        old.entered.clear();
        old.trouble = None;
        Some(shown)
    }

    /// A view with everything that the app may leave out.
    fn dressed(&mut self, view: &Value, now: Timestamp) -> Value {
        let mut shown = view.clone();
        for (name, value) in [
            ("private_metadata", json!("")),
            ("callback_id", json!("")),
            ("external_id", json!("")),
            ("clear_on_close", json!(false)),
            ("notify_on_close", json!(false)),
            ("close", Value::Null),
            ("submit", Value::Null),
        ] {
            if shown[name].is_null() {
                shown[name] = value;
            }
        }
        let drawn = self.seed.hex();
        shown["hash"] = format!("{}.{}", now.as_secs(), &drawn[..8]).into();
        shown["state"] = json!({ "values": {} });
        shown["team_id"] = self.config.team_id.clone().into();
        shown["app_installed_team_id"] = self.config.team_id.clone().into();
        shown["app_id"] = APP_ID.into();
        shown["bot_id"] = BOT_ID.into();
        for (i, block) in shown["blocks"].as_array_mut().into_iter().flatten().enumerate() {
            if block["block_id"].is_null() {
                block["block_id"] = drawn[8 + i % 50..13 + i % 50].into();
            }
        }
        shown
    }

    /// Checks a view that the app sends.
    pub(super) fn check_view(&self, view: &Value, instead_of: Option<&str>) -> Result<(), Refusal> {
        if view.to_string().len() > MAX_VIEW_BYTES {
            return Err("view_too_large".into());
        }
        if let Checked::Invalid(messages) = blocks::check_view(view) {
            return Err(Refusal::with_messages("invalid_arguments", &messages));
        }
        let external_id = view["external_id"].as_str().filter(|id| !id.is_empty());
        let taken = external_id.is_some_and(|id| {
            let mut others = self.views.all.iter().filter(|other| Some(other.id.as_str()) != instead_of);
            others.any(|other| other.is_open && other.view["external_id"] == id)
        });
        if taken { Err("duplicate_external_id".into()) } else { Ok(()) }
    }

    /// How many views lie upon each other, this one on top.
    pub(super) fn depth(&self, id: &str) -> usize {
        let mut depth = 0;
        let mut at = self.views.get(id);
        while let Some(view) = at {
            depth += 1;
            at = view.below.as_deref().and_then(|below| self.views.get(below));
        }
        depth
    }

    /// Whether another view may be put upon this one.
    pub(super) fn can_push_on(&self, id: &str) -> bool {
        self.depth(id) < MAX_DEPTH
    }
}

pub(super) fn open(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let view = requested(args)?;
    workspace.check_view(&view, None)?;
    let trigger = workspace.exchange(args, now)?;
    workspace.views.clear(&trigger.user);
    Ok(json!({ "view": workspace.show(&trigger.user, None, &view, now) }))
}

pub(super) fn push(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let view = requested(args)?;
    workspace.check_view(&view, None)?;
    let trigger = workspace.exchange(args, now)?;
    let below = trigger.view.filter(|id| workspace.views.get(id).is_some_and(|view| view.is_open));
    let below = below.ok_or("invalid_trigger_id")?;
    if !workspace.can_push_on(&below) {
        return Err("push_limit_reached".into());
    }
    Ok(json!({ "view": workspace.show(&trigger.user, Some(below), &view, now) }))
}

pub(super) fn update(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let view = requested(args)?;
    let (id, external_id) = (args.text("view_id"), args.text("external_id"));
    if id.is_none() && external_id.is_none() {
        return Err(Refusal::missing_argument("view_id"));
    }
    let found = workspace.views.all.iter().find(|view| {
        view.is_open
            && id.as_ref().map_or_else(
                || view.view["external_id"].as_str() == external_id.as_deref(),
                |id| view.id == *id,
            )
    });
    let found = found.ok_or("not_found")?;
    if args.text("hash").is_some_and(|hash| found.view["hash"] != hash.as_str()) {
        return Err("hash_conflict".into());
    }
    let id = found.id.clone();
    workspace.check_view(&view, Some(&id))?;
    let shown = workspace.exchange_view(&id, &view, now).ok_or("not_found")?;
    Ok(json!({ "view": shown }))
}

fn requested(args: &Args) -> Result<Value, Refusal> {
    match args.structured("view") {
        Some(Ok(view)) if view.is_object() => Ok(view),
        Some(_) => Err("invalid_arguments".into()),
        None => Err(Refusal::missing_argument("view")),
    }
}
