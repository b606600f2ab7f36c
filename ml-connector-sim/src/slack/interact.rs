//! What people do, as the requests that Slack makes of it: clicks, submitted modals, slash commands.

use std::collections::BTreeMap;

use ml_connector_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    events::VERIFICATION_TOKEN,
    ids::{APP_ID, BOT_USER},
    inputs,
    message::Message,
    model::{Channel, Ephemeral},
    outbox::{AppCall, DeliveryKind, ReplyTo},
    views::View,
    workspace::Workspace,
};

/// What a person did, as far as it can be told apart from everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interaction {
    /// Opens one modal within three seconds.
    pub trigger_id: String,
    /// Where the app answers the person, five times within 30 minutes; empty for modals.
    pub response_url: String,
}

/// A message as one person sees it.
enum Clicked {
    Posted(Message),
    Ephemeral(Ephemeral),
}

impl Workspace {
    /// A person clicks a button, with what stands in the inputs of the message.
    pub(super) fn click(
        &mut self,
        (channel, ts): (&str, &str),
        action_id: &str,
        user: &str,
        entered: &BTreeMap<String, String>,
        (hooks, now): (&str, Timestamp),
    ) -> Result<Interaction> {
        let place = self.place(channel, user)?;
        let clicked = match self.message(channel, ts) {
            Some(message) => Clicked::Posted(message.clone()),
            None => self
                .ephemerals
                .iter()
                .find(|seen| seen.channel == channel && seen.ts == ts && seen.user == user)
                .cloned()
                .map(Clicked::Ephemeral)
                .ok_or_else(|| missing("there is no such message"))?,
        };
        let (message, thread_ts, is_ephemeral) = match clicked {
            Clicked::Posted(message) => {
                (self.shown(channel, &message, true), message.thread_ts.filter(|root| *root != ts), false)
            }
            Clicked::Ephemeral(seen) => (ephemeral(&seen), seen.thread_ts, true),
        };
        let (block_id, element) = action(&message["blocks"], action_id)
            .ok_or_else(|| Error::new(ErrorKind::Conflict, "the message has no such button"))?;
        let trigger_id = self.trigger(user, None, now);
        let path = self.response_path("actions", user, channel, ts, now);
        let mut taken = element;
        taken["block_id"] = block_id.into();
        taken["action_ts"] = self.stamp(now).into();
        let mut container = json!({
            "type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": is_ephemeral,
        });
        if let Some(thread_ts) = thread_ts {
            container["thread_ts"] = thread_ts.into();
        }
        let response_url = format!("{hooks}{path}");
        let mut payload = self.interaction("block_actions", user, &trigger_id);
        payload["container"] = container;
        payload["channel"] = json!({ "id": channel, "name": display_name(&place) });
        payload["state"] = json!({ "values": inputs::state(&message["blocks"], entered) });
        payload["response_url"] = response_url.clone().into();
        payload["actions"] = json!([taken]);
        payload["message"] = message;
        let reply_to =
            ReplyTo::Click { user: user.to_owned(), channel: channel.to_owned(), ts: ts.to_owned() };
        self.send(DeliveryKind::BlockActions, (action_id, &trigger_id), &reply_to, &payload, now);
        Ok(Interaction { trigger_id, response_url })
    }

    /// A person submits the modal on top. Slack itself refuses what the inputs' own rules forbid.
    pub(super) fn submit(
        &mut self,
        user: &str,
        id: &str,
        entered: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Interaction> {
        let view = self.shown_to(user, id)?;
        if view.view["submit"].is_null() {
            return Err(Error::new(ErrorKind::Conflict, "the modal cannot be submitted"));
        }
        let wrong = inputs::check(&view.view["blocks"], entered);
        let refused = !wrong.is_empty();
        if let Some(open) = self.views.get_mut(id) {
            open.entered.clone_from(entered);
            open.errors = wrong;
        }
        if refused {
            return Err(Error::new(ErrorKind::InvalidRequest, "an input holds what it does not allow"));
        }
        let trigger_id = self.trigger(user, Some(id), now);
        let mut payload = self.interaction("view_submission", user, &trigger_id);
        payload["view"] = view.view.clone();
        payload["view"]["state"] = json!({ "values": inputs::state(&view.view["blocks"], entered) });
        payload["response_urls"] = json!([]);
        let reply_to = ReplyTo::Submission { view: id.to_owned() };
        let name = view.callback_id();
        self.send(DeliveryKind::ViewSubmission, (name, &trigger_id), &reply_to, &payload, now);
        Ok(Interaction { trigger_id, response_url: String::new() })
    }

    /// A person closes the modal on top. The app hears of it if it asked to.
    pub(super) fn close(&mut self, user: &str, id: &str, now: Timestamp) -> Result<()> {
        let view = self.shown_to(user, id)?;
        self.views.get_mut(id).into_iter().for_each(|view| view.is_open = false);
        if view.view["notify_on_close"] == true {
            let trigger_id = self.trigger(user, None, now);
            let mut payload = self.interaction("view_closed", user, &trigger_id);
            payload.as_object_mut().into_iter().for_each(|fields| drop(fields.remove("trigger_id")));
            payload["is_cleared"] = false.into();
            payload["view"] = view.view.clone();
            let name = (view.callback_id(), trigger_id.as_str());
            self.send(DeliveryKind::ViewClosed, name, &ReplyTo::Nobody, &payload, now);
        }
        Ok(())
    }

    /// A person types a slash command.
    pub(super) fn command(
        &mut self,
        channel: &str,
        user: &str,
        (command, text): (&str, &str),
        (hooks, now): (&str, Timestamp),
    ) -> Result<Interaction> {
        let place = self.place(channel, user)?;
        if !self.has_scope("commands") {
            return Err(Error::new(ErrorKind::PermissionDenied, "the app has no scope for commands"));
        }
        let trigger_id = self.trigger(user, None, now);
        let path = self.response_path("commands", user, channel, "", now);
        let response_url = format!("{hooks}{path}");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("token", VERIFICATION_TOKEN)
            .append_pair("team_id", &self.config.team_id)
            .append_pair("team_domain", &self.domain())
            .append_pair("channel_id", channel)
            .append_pair("channel_name", display_name(&place))
            .append_pair("user_id", user)
            .append_pair("user_name", self.user(user).map_or("", |user| user.handle()))
            .append_pair("command", command)
            .append_pair("text", text)
            .append_pair("api_app_id", APP_ID)
            .append_pair("is_enterprise_install", "false")
            .append_pair("response_url", &response_url)
            .append_pair("trigger_id", &trigger_id)
            .finish();
        let reply_to = ReplyTo::Command { user: user.to_owned(), channel: channel.to_owned() };
        self.queue(DeliveryKind::Command, (command, &trigger_id), &reply_to, &form, now);
        Ok(Interaction { trigger_id, response_url })
    }

    /// The channel in which a person acts, if they can.
    pub(super) fn place(&self, channel: &str, user: &str) -> Result<Channel> {
        let known = self.user(user).filter(|user| !user.deleted);
        known.ok_or_else(|| missing("there is no such active person"))?;
        let channel = self.channels.get(channel).filter(|channel| !channel.is_private || channel.has(user));
        channel.cloned().ok_or_else(|| missing("the person sees no such channel"))
    }

    fn shown_to(&self, user: &str, id: &str) -> Result<View> {
        let view = self.views.top(user).filter(|view| view.id == id);
        view.cloned().ok_or_else(|| missing("the person sees no such modal"))
    }

    /// What all payloads have in common.
    fn interaction(&self, kind: &str, user: &str, trigger_id: &str) -> Value {
        let handle = self.user(user).map_or("", |user| user.handle());
        json!({
            "type": kind,
            "user": { "id": user, "username": handle, "name": handle, "team_id": self.config.team_id },
            "team": { "id": self.config.team_id, "domain": self.domain() },
            "api_app_id": APP_ID,
            "token": VERIFICATION_TOKEN,
            "trigger_id": trigger_id,
            "enterprise": null,
            "is_enterprise_install": false,
        })
    }

    fn send(
        &mut self,
        kind: DeliveryKind,
        names: (&str, &str),
        reply_to: &ReplyTo,
        payload: &Value,
        now: Timestamp,
    ) {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish();
        self.queue(kind, names, reply_to, &form, now);
    }

    fn queue(
        &mut self,
        kind: DeliveryKind,
        names: (&str, &str),
        reply_to: &ReplyTo,
        form: &str,
        now: Timestamp,
    ) {
        if self.outbox.url.is_some() && !self.tokens.uninstalled {
            let call = AppCall {
                kind,
                name: names.0.to_owned(),
                id: names.1.to_owned(),
                reply_to: reply_to.clone(),
            };
            self.outbox.enqueue(&call, form, now);
        }
    }
}

/// An ephemeral message in a payload.
fn ephemeral(seen: &Ephemeral) -> Value {
    let mut shown = Map::new();
    shown.insert("type".to_owned(), "message".into());
    shown.insert("user".to_owned(), BOT_USER.into());
    shown.insert("app_id".to_owned(), APP_ID.into());
    shown.insert("ts".to_owned(), seen.ts.clone().into());
    shown.insert("text".to_owned(), seen.text.clone().into());
    shown.insert("is_ephemeral".to_owned(), true.into());
    if !seen.blocks.is_null() {
        shown.insert("blocks".to_owned(), seen.blocks.clone());
    }
    shown.into()
}

/// The button with this id, and the block it stands in.
pub(super) fn action(blocks: &Value, action_id: &str) -> Option<(String, Value)> {
    blocks.as_array()?.iter().find_map(|block| {
        let elements = block["elements"].as_array().into_iter().flatten().chain([&block["accessory"]]);
        let found = elements.into_iter().find(|element| element["action_id"] == action_id);
        Some((block["block_id"].as_str().unwrap_or_default().to_owned(), found?.clone()))
    })
}

/// What stands for a channel's name in a payload: a word to show, not a key.
fn display_name(channel: &Channel) -> &str {
    match (&channel.with_user, channel.is_private) {
        (Some(_), _) => "directmessage",
        (None, true) => "privategroup",
        (None, false) => &channel.name,
    }
}

fn missing(message: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, message)
}
