//! What people and administrators do, and what they see: the part of a simulator that a test plays.

use std::collections::BTreeMap;

use ml_connector_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::json;

use super::{
    SlackSim,
    interact::Interaction,
    message::Message,
    model::{Channel, Ephemeral, Revision, User, UserGroup},
    reactions,
    views::View,
    workspace::Workspace,
};

impl SlackSim {
    /// A person writes into a channel.
    pub fn say(&self, channel: &str, user: &str, text: &str) {
        let now = self.now();
        self.workspace(|workspace| workspace.store(channel, Message::new(user, text.to_owned(), now)));
    }

    /// A person clicks a button of a message. The click is in line for the app.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the person or what they would click is not there or not visible to them,
    /// [`ErrorKind::Conflict`] when the message has no such button any more.
    pub fn click(&self, channel: &str, ts: &str, action_id: &str, user: &str) -> Result<Interaction> {
        self.click_with(channel, ts, action_id, user, &[])
    }

    /// As [`click`](Self::click), with what the person has entered into the inputs of the message: pairs of a block
    /// id and a text or an option's value.
    ///
    /// # Errors
    /// As [`click`](Self::click).
    pub fn click_with(
        &self,
        channel: &str,
        ts: &str,
        action_id: &str,
        user: &str,
        inputs: &[(&str, &str)],
    ) -> Result<Interaction> {
        let (now, entered) = (self.now(), entered(inputs));
        self.workspace(|workspace| {
            let hooks = workspace.hooks.clone();
            workspace.click((channel, ts), action_id, user, &entered, (&hooks, now))
        })
    }

    /// A person adds an emoji to a message.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] as [`click`](Self::click), [`ErrorKind::Conflict`] when it is there already,
    /// [`ErrorKind::InvalidRequest`] for what is no name of an emoji.
    pub fn react(&self, user: &str, channel: &str, ts: &str, emoji: &str) -> Result<()> {
        self.reacting(user, channel, |workspace, now| {
            reactions::put(workspace, user, (channel, ts), emoji, now)
        })
    }

    /// A person takes an emoji back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] as [`click`](Self::click), [`ErrorKind::Conflict`] when it is not there.
    pub fn unreact(&self, user: &str, channel: &str, ts: &str, emoji: &str) -> Result<()> {
        self.reacting(user, channel, |workspace, now| {
            reactions::take(workspace, user, (channel, ts), emoji, now)
        })
    }

    fn reacting(
        &self,
        user: &str,
        channel: &str,
        act: impl FnOnce(&mut Workspace, Timestamp) -> std::result::Result<(), &'static str>,
    ) -> Result<()> {
        let now = self.now();
        self.workspace(|workspace| {
            workspace.place(channel, user)?;
            act(workspace, now).map_err(|error| {
                let kind = match error {
                    "message_not_found" => ErrorKind::NotFound,
                    "invalid_name" => ErrorKind::InvalidRequest,
                    _ => ErrorKind::Conflict,
                };
                Error::new(kind, "the reaction was refused").with_context("error", error)
            })
        })
    }

    /// A person submits the modal in front of them, with what they entered: pairs of a block id and a text or an
    /// option's value. What the inputs' own rules forbid is shown to them and not sent.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when that modal is not in front of them, [`ErrorKind::Conflict`] when it cannot be
    /// submitted, [`ErrorKind::InvalidRequest`] when an input holds what it does not allow.
    pub fn submit_view(&self, user: &str, view: &str, inputs: &[(&str, &str)]) -> Result<Interaction> {
        let (now, entered) = (self.now(), entered(inputs));
        self.workspace(|workspace| workspace.submit(user, view, &entered, now))
    }

    /// A person closes the modal in front of them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when that modal is not in front of them.
    pub fn close_view(&self, user: &str, view: &str) -> Result<()> {
        let now = self.now();
        self.workspace(|workspace| workspace.close(user, view, now))
    }

    /// A person types a slash command, such as `/overdue` with `30 days`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] as [`click`](Self::click), [`ErrorKind::PermissionDenied`] without the scope
    /// `commands`.
    pub fn command(&self, channel: &str, user: &str, command: &str, text: &str) -> Result<Interaction> {
        let now = self.now();
        self.workspace(|workspace| {
            let hooks = workspace.hooks.clone();
            workspace.command(channel, user, (command, text), (&hooks, now))
        })
    }

    /// What a person sees that nobody else does, oldest first.
    #[must_use]
    pub fn ephemerals(&self, user: &str) -> Vec<Ephemeral> {
        self.workspace(|workspace| {
            workspace.ephemerals.iter().filter(|seen| seen.user == user).cloned().collect()
        })
    }

    /// The modals that were opened for a person, closed ones too, oldest first.
    #[must_use]
    pub fn views(&self, user: &str) -> Vec<View> {
        self.workspace(|workspace| {
            workspace.views.all.iter().filter(|view| view.user == user).cloned().collect()
        })
    }

    /// What a message looked like before each of its changes, oldest first.
    #[must_use]
    pub fn revisions(&self, channel: &str, ts: &str) -> Vec<Revision> {
        self.workspace(|workspace| {
            workspace.message(channel, ts).map(|message| message.revisions.clone()).unwrap_or_default()
        })
    }

    /// Adds a channel, or replaces the one with its id, without telling the app.
    pub fn set_channel(&self, channel: Channel) {
        self.workspace(|workspace| workspace.channels.insert(channel.id.clone(), channel));
    }

    /// Renames a channel: nobody finds it by its old name, and the app is told. Unknown ids are ignored.
    pub fn rename_channel(&self, channel: &str, name: &str) {
        let now = self.now();
        self.workspace(|workspace| {
            let Some(found) = workspace.channels.get_mut(channel) else { return };
            found.previous_names.push(std::mem::replace(&mut found.name, name.to_owned()));
            let kind = if found.is_private { "group_rename" } else { "channel_rename" };
            let event = json!({
                "type": kind, "channel": { "id": channel, "name": name, "created": 1_735_689_600 },
                "event_ts": workspace.stamp(now),
            });
            workspace.emit(&event, now);
        });
    }

    /// Archives a channel, and tells the app. Unknown ids are ignored.
    pub fn archive_channel(&self, channel: &str, by: &str) {
        let now = self.now();
        self.workspace(|workspace| {
            let Some(found) = workspace.channels.get_mut(channel) else { return };
            found.is_archived = true;
            let kind = if found.is_private { "group_archive" } else { "channel_archive" };
            let event = json!({
                "type": kind, "channel": channel, "user": by, "event_ts": workspace.stamp(now),
            });
            workspace.emit(&event, now);
        });
    }

    /// Adds a person, or replaces the one with the same id.
    pub fn set_user(&self, user: User) {
        self.workspace(|workspace| {
            workspace.config.users.retain(|other| other.id != user.id);
            workspace.config.users.push(user);
        });
    }

    /// Adds a user group, or replaces the one with its id.
    pub fn set_usergroup(&self, group: UserGroup) {
        self.workspace(|workspace| {
            workspace.config.usergroups.retain(|other| other.id != group.id);
            workspace.config.usergroups.push(group);
        });
    }

    /// Replaces the bot's scopes.
    pub fn set_scopes(&self, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.workspace(|workspace| workspace.config.scopes = scopes);
    }

    /// Removes the app from the workspace: it is told so, then nothing more, and its tokens answer
    /// `account_inactive`.
    pub fn uninstall(&self) {
        let now = self.now();
        self.workspace(|workspace| workspace.uninstall(now));
    }
}

fn entered(inputs: &[(&str, &str)]) -> BTreeMap<String, String> {
    inputs.iter().map(|(block, value)| ((*block).to_owned(), (*value).to_owned())).collect()
}
