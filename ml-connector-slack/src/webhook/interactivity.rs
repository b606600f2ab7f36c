//! Clicks and dialogs.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use ml_connector_core::{
    Result, Timestamp,
    approval::Choice,
    model::{AccountKey, EntityRef, Intake, Prompt},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::signal::{account, check_app, json, misunderstood, prompt, signal};
use crate::{
    blocks::{Block, Blocks, TextInput, View},
    models::{MessageRef, flag, lax, lax_list, text},
};

/// How long a trigger can be used to open a dialog. (Slack docs: "Handling user interaction")
const TRIGGER: Duration = Duration::from_secs(3);
/// Which dialog asks why something is rejected.
const REJECT: &str = "approval.reject";
/// The longest reason that is taken.
const REASON_MAX: usize = 500;

/// What is known of a click, or of a dialog that was sent: Slack's payload is all there is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clicked {
    pub(crate) user: String,
    pub(crate) action: String,
    pub(crate) value: Option<String>,
    pub(crate) reason: Option<String>,
    /// The message, `channel/ts`.
    pub(crate) place: Option<String>,
    pub(crate) received_at: Timestamp,
}

/// A dialog to open.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ask {
    /// `None` when Slack did not send a readable one: there is nothing to open it with.
    pub(crate) trigger: Option<String>,
    pub(crate) about: About,
    /// Who is to be told when it cannot be opened.
    pub(crate) user: String,
}

/// What comes back with a dialog: it knows of no message.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct About {
    value: String,
    place: Option<String>,
}

/// What all interactions have in common.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lax")]
    team: Option<Id>,
    #[serde(default, deserialize_with = "lax")]
    enterprise: Option<Id>,
    #[serde(default, deserialize_with = "flag")]
    is_enterprise_install: bool,
    #[serde(default, deserialize_with = "lax")]
    api_app_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    trigger_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    view: Option<Installed>,
}

/// Through which installation a dialog was opened, which may not be where it was sent from.
#[derive(Deserialize)]
struct Installed {
    #[serde(default, deserialize_with = "lax")]
    app_installed_team_id: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default, deserialize_with = "lax")]
    user: Option<Id>,
    #[serde(default, deserialize_with = "lax")]
    channel: Option<Id>,
    #[serde(default, deserialize_with = "lax")]
    container: Option<Container>,
    #[serde(default, deserialize_with = "lax")]
    message: Option<Message>,
    #[serde(default, deserialize_with = "lax_list")]
    actions: Vec<Action>,
    #[serde(default, deserialize_with = "lax")]
    state: Option<State>,
    #[serde(default, deserialize_with = "lax")]
    view: Option<OpenView>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default, deserialize_with = "lax")]
    message_ts: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    channel_id: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "lax")]
    ts: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default, deserialize_with = "lax")]
    action_ts: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    value: Option<String>,
}

/// The fields of a message or dialog. Of the others nothing is read: people may have written anything anywhere.
#[derive(Default, Deserialize)]
struct State {
    #[serde(default, deserialize_with = "lax")]
    values: Option<BTreeMap<String, Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default, deserialize_with = "text")]
    value: Option<String>,
}

#[derive(Deserialize)]
struct OpenView {
    id: String,
    #[serde(default, deserialize_with = "lax")]
    hash: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    callback_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    private_metadata: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    state: Option<State>,
}

/// Reads an interaction that is proven.
pub(crate) fn read(app: Option<&str>, payload: &[u8], now: Timestamp) -> Result<Intake> {
    let unreadable = |_| misunderstood("expected an interaction as a JSON object");
    let head: Head = serde_json::from_slice(payload).map_err(unreadable)?;
    check_app(app, head.api_app_id.as_deref())?;
    let body = || serde_json::from_slice::<Payload>(payload).map_err(unreadable);
    match &*head.kind {
        "block_actions" => body()?.clicks(&head, now),
        "view_submission" => body()?.submission(&head, now),
        _ => head.note(),
    }
}

impl Payload {
    /// One signal for each action. Slack sends a click once only, so it has to be stored before it is answered.
    fn clicks(&self, head: &Head, now: Timestamp) -> Result<Intake> {
        let (Some(user), actions @ [_, ..]) = (&self.user, &self.actions[..]) else {
            return Err(misunderstood("expected a click with its user and its action"));
        };
        let place = self.place();
        let reason = self.state.as_ref().and_then(State::reason);
        let mut intake = Intake::accepted(Vec::with_capacity(actions.len()));
        for (i, action) in actions.iter().enumerate() {
            let value = action.value.clone();
            let choice = value.as_deref().and_then(Choice::parse);
            let number = head.trigger_id.as_ref().map(|trigger| format!("click/{trigger}/{i}"));
            // A button without a line for a reason beside it: a dialog asks, and its answer decides.
            if let (Choice::REJECT, Some(choice), None) = (&*action.action_id, &choice, &reason) {
                let entity = EntityRef::new("notice", head.click_id(user, action, place.as_deref()));
                intake.signals.push(signal(head.account(), entity, "dialog", number, &())?);
                intake.prompt = head.ask(choice, user, place.as_deref(), now)?;
                continue;
            }
            let clicked = Clicked {
                user: user.id.clone(),
                action: action.action_id.clone(),
                value,
                reason: reason.clone().flatten(),
                place: place.clone(),
                received_at: now,
            };
            let entity = EntityRef::new("action", head.click_id(user, action, place.as_deref()));
            intake.signals.push(signal(head.account(), entity, "block_actions", number, &clicked)?);
        }
        Ok(intake)
    }

    /// What was written is checked here, because only the answer to this request can show what is wrong with it.
    fn submission(&self, head: &Head, now: Timestamp) -> Result<Intake> {
        let (Some(user), Some(view)) = (&self.user, &self.view) else {
            return Err(misunderstood("expected a dialog with its user"));
        };
        if view.callback_id.as_deref() != Some(REJECT) {
            return head.note();
        }
        let about =
            view.private_metadata.as_deref().and_then(|text| serde_json::from_str::<About>(text).ok());
        let about = about.ok_or_else(|| misunderstood("expected a dialog that says what it is about"))?;
        let reason = view.state.as_ref().and_then(State::reason).flatten();
        let wrong = match &reason {
            None => Some("Say in a few words why."),
            Some(reason) if reason.chars().count() > REASON_MAX => Some("Say it in at most 500 characters."),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            let errors = serde_json::json!({"response_action": "errors", "errors": {Choice::REASON: wrong}});
            return Ok(json(Vec::new(), errors.to_string()));
        }
        let hash = view.hash.as_deref().unwrap_or_default();
        let clicked = Clicked {
            user: user.id.clone(),
            action: Choice::REJECT.to_owned(),
            value: Some(about.value),
            reason,
            place: about.place,
            received_at: now,
        };
        let number = Some(format!("view/{}/{hash}", view.id));
        let entity = EntityRef::new("action", format!("{}/{hash}", view.id));
        Ok(Intake::accepted(vec![signal(head.account(), entity, "view_submission", number, &clicked)?]))
    }

    fn place(&self) -> Option<String> {
        let container = self.container.as_ref();
        let channel = self.channel.as_ref().map(|channel| &channel.id);
        let channel = channel.or(container.and_then(|container| container.channel_id.as_ref()))?;
        let ts = self.message.as_ref().and_then(|message| message.ts.as_ref());
        let ts = ts.or(container.and_then(|container| container.message_ts.as_ref()))?;
        format!("{channel}/{ts}").parse::<MessageRef>().ok().map(|message| message.to_string())
    }
}

impl Head {
    /// What nothing is done about is taken all the same, and can be found in the log.
    fn note(&self) -> Result<Intake> {
        let entity = EntityRef::new("notice", self.trigger_id.as_deref().unwrap_or(&self.kind));
        Ok(Intake::accepted(vec![signal(self.account(), entity, &self.kind, None, &())?]))
    }

    fn ask(&self, choice: &Choice, user: &Id, place: Option<&str>, now: Timestamp) -> Result<Option<Prompt>> {
        let about = About { value: choice.to_value(), place: place.map(ToOwned::to_owned) };
        let ask = Ask { trigger: self.trigger_id.clone(), about, user: user.id.clone() };
        prompt(&ask, now + TRIGGER).map(Some)
    }

    /// The same click has the same id, however often it is told.
    fn click_id(&self, user: &Id, action: &Action, place: Option<&str>) -> String {
        let when = action.action_ts.as_deref().or(self.trigger_id.as_deref()).unwrap_or("0");
        format!("{}/{}/{when}", place.unwrap_or("view"), user.id)
    }

    /// The installation through which it came: with an app that a whole organization has, never one of its workspaces.
    fn team(&self) -> Option<&str> {
        let installed = self.view.as_ref().and_then(|view| view.app_installed_team_id.as_deref());
        let team = self.team.as_ref().map(|team| &*team.id);
        let organization = self.enterprise.as_ref().map(|enterprise| &*enterprise.id);
        match self.is_enterprise_install {
            true => organization.or(installed).or(team),
            false => installed.or(team).or(organization),
        }
    }

    fn account(&self) -> Option<AccountKey> {
        self.team().map(account)
    }
}

impl State {
    /// What was written into the line for a reason: outer `None` = there is no such line.
    fn reason(&self) -> Option<Option<String>> {
        let line = self.values.as_ref()?.get(Choice::REASON)?;
        let inputs: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line.get()).unwrap_or_default();
        let inputs: Vec<Input> =
            inputs.values().filter_map(|input| serde_json::from_str(input.get()).ok()).collect();
        let written = inputs.iter().find_map(|input| input.value.as_deref()).map(str::trim);
        Some(written.filter(|text| !text.is_empty()).map(ToOwned::to_owned))
    }
}

impl About {
    /// The message: its channel and its stamp.
    pub(crate) fn message(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The dialog that asks why.
    pub(crate) fn view(&self) -> Result<View> {
        let metadata =
            serde_json::to_string(self).map_err(|_| misunderstood("the dialog cannot be written"))?;
        let reason = TextInput::new(Choice::REASON).with_length(1, REASON_MAX);
        let blocks = Blocks::new().with(Block::input(Choice::REASON, "Why is it rejected?", reason));
        Ok(View::new("Reject", blocks)
            .with_submit("Reject")
            .with_close("Cancel")
            .with_callback(REJECT, metadata))
    }
}

impl std::fmt::Debug for Clicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clicked")
            .field("user", &self.user)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// Reads a payload that a signal of this module carries.
pub(crate) fn stored(payload: &Bytes) -> Result<Clicked> {
    serde_json::from_slice(payload).map_err(|_| misunderstood("a stored click cannot be read"))
}
