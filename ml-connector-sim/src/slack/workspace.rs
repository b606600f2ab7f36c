//! The workspace: its channels, people and messages.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{Posted, SlackConfig, limits::Limiter};
use crate::seed::Seed;

pub(super) const APP_ID: &str = "A07MLCONN1";
pub(super) const BOT_ID: &str = "B07MLBOT01";
pub(super) const BOT_USER: &str = "U07MLBOT01";
pub(super) const BOT_NAME: &str = "ml-connector";

/// A channel, or a direct conversation with the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// Its name, without `#`.
    pub name: String,
    /// Whether only members see it.
    pub is_private: bool,
    /// Whether it is closed.
    pub is_archived: bool,
    /// Whether the bot is in it.
    pub bot_is_member: bool,
    /// The other person of a direct conversation.
    pub with_user: Option<String>,
}

impl Channel {
    /// A public channel with the bot in it.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            is_private: false,
            is_archived: false,
            bot_is_member: true,
            with_user: None,
        }
    }

    /// Private.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.is_archived = true;
        self
    }

    /// Without the bot.
    #[must_use]
    pub fn without_bot(mut self) -> Self {
        self.bot_is_member = false;
        self
    }

    /// Which scopes open it: `channels:<access>`, `groups:<access>` or `im:<access>`.
    pub(super) fn scope(&self, access: &str) -> String {
        let family = match (&self.with_user, self.is_private) {
            (Some(_), _) => "im",
            (None, true) => "groups",
            (None, false) => "channels",
        };
        format!("{family}:{access}")
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The id.
    pub id: String,
    /// The full name.
    pub real_name: String,
    /// The address.
    pub email: String,
    /// Whether the account was deactivated.
    pub deleted: bool,
}

impl User {
    /// A person with an active account.
    #[must_use]
    pub fn new(id: &str, real_name: &str, email: &str) -> Self {
        Self { id: id.to_owned(), real_name: real_name.to_owned(), email: email.to_owned(), deleted: false }
    }
}

/// A message in a channel.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) ts: String,
    pub(super) thread_ts: Option<String>,
    pub(super) broadcast: bool,
    pub(super) user: String,
    pub(super) text: String,
    pub(super) blocks: Option<Value>,
    pub(super) metadata: Option<Value>,
    pub(super) client_msg_id: Option<String>,
    pub(super) edited: Option<String>,
    pub(super) edits: u32,
    pub(super) at: Timestamp,
}

impl Message {
    pub(super) fn by_bot(&self) -> bool {
        self.user == BOT_USER
    }

    /// Whether it is shown in the channel itself, not only in its thread.
    pub(super) fn in_channel(&self) -> bool {
        self.broadcast || self.thread_ts.as_ref().is_none_or(|thread| *thread == self.ts)
    }

    pub(super) fn posted(&self, channel: &str) -> Posted {
        Posted {
            channel: channel.to_owned(),
            ts: self.ts.clone(),
            thread_ts: self.thread_ts.clone(),
            user: self.user.clone(),
            text: self.text.clone(),
            blocks: self.blocks.clone().unwrap_or_default(),
            metadata: self.metadata.clone().unwrap_or_default(),
            client_msg_id: self.client_msg_id.clone(),
            edits: self.edits,
            at: self.at,
        }
    }
}

/// Everything behind one token.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) config: SlackConfig,
    pub(super) token: String,
    pub(super) uninstalled: bool,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) limiter: Limiter,
    pub(super) seed: Seed,
    messages: BTreeMap<String, Vec<Message>>,
    last_micros: i64,
}

impl Workspace {
    pub(super) fn new(config: SlackConfig) -> Self {
        let mut seed = Seed::new(config.seed);
        let token = format!("xoxb-simulated-{}", &seed.hex()[..24]);
        let channels = config.channels.iter().map(|channel| (channel.id.clone(), channel.clone())).collect();
        Self {
            config,
            token,
            uninstalled: false,
            channels,
            limiter: Limiter::default(),
            seed,
            messages: BTreeMap::new(),
            last_micros: 0,
        }
    }

    pub(super) fn has_scope(&self, scope: &str) -> bool {
        self.config.scopes.iter().any(|granted| granted == scope)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.config.users.iter().find(|user| user.id == id)
    }

    /// The messages of a channel, oldest first.
    pub(super) fn messages(&self, channel: &str) -> &[Message] {
        self.messages.get(channel).map_or(&[], Vec::as_slice)
    }

    pub(super) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages.get_mut(channel)?.iter_mut().find(|message| message.ts == ts)
    }

    pub(super) fn all_messages(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.messages
            .iter()
            .flat_map(|(channel, messages)| messages.iter().map(move |message| (channel.as_str(), message)))
    }

    /// Stores a message under the next `ts`, which is larger than every one before it in the workspace.
    pub(super) fn store(&mut self, channel: &str, mut message: Message) -> Message {
        self.last_micros = (message.at.as_millis() * 1000).max(self.last_micros + 1);
        message.ts = ts_of(self.last_micros);
        self.messages.entry(channel.to_owned()).or_default().push(message.clone());
        message
    }

    pub(super) fn say(&mut self, channel: &str, user: &str, text: &str, now: Timestamp) {
        let message = Message {
            ts: String::new(),
            thread_ts: None,
            broadcast: false,
            user: user.to_owned(),
            text: text.to_owned(),
            blocks: None,
            metadata: None,
            client_msg_id: None,
            edited: None,
            edits: 0,
            at: now,
        };
        self.store(channel, message);
    }

    /// Finds a channel by id, by public name with or without `#`, or by the person it is a conversation with.
    pub(super) fn find(&self, target: &str) -> Option<&Channel> {
        let name = target.trim_start_matches('#');
        self.channels.get(target).or_else(|| {
            self.channels.values().find(|channel| {
                channel.with_user.as_deref() == Some(target) || (channel.name == name && !channel.is_private)
            })
        })
    }

    /// Finds a channel, and opens the bot's conversation with a person who is known.
    pub(super) fn find_or_open(&mut self, target: &str) -> Option<Channel> {
        if let Some(channel) = self.find(target) {
            return Some(channel.clone());
        }
        let user = self.user(target)?.id.clone();
        let id = format!("D{}", &self.seed.hex()[..8].to_ascii_uppercase());
        let mut channel = Channel::new(&id, "directmessage").private();
        channel.with_user = Some(user);
        self.channels.insert(id, channel.clone());
        Some(channel)
    }

    /// A message as the API shows it.
    pub(super) fn shown(&self, message: &Message, with_metadata: bool) -> Value {
        let mut shown = json!({
            "type": "message",
            "user": message.user,
            "team": self.config.team_id,
            "ts": message.ts,
            "text": message.text,
        });
        if message.by_bot() {
            shown["bot_id"] = BOT_ID.into();
            shown["app_id"] = APP_ID.into();
            shown["bot_profile"] = json!({
                "id": BOT_ID, "app_id": APP_ID, "user_id": BOT_USER, "name": BOT_NAME,
                "icons": {}, "deleted": false, "updated": 1_764_547_200, "team_id": self.config.team_id,
            });
        }
        if let Some(blocks) = &message.blocks {
            shown["blocks"] = blocks.clone();
        }
        if let Some(thread_ts) = &message.thread_ts {
            shown["thread_ts"] = thread_ts.clone().into();
        }
        if let Some(id) = &message.client_msg_id {
            shown["client_msg_id"] = id.clone().into();
        }
        if let Some(ts) = &message.edited {
            shown["edited"] = json!({ "user": message.user, "ts": ts });
        }
        match &message.metadata {
            Some(metadata) if with_metadata => shown["metadata"] = metadata.clone(),
            Some(metadata) => shown["metadata"] = json!({ "event_type": metadata["event_type"] }),
            None => {}
        }
        shown
    }

    /// A conversation as the API shows it.
    pub(super) fn conversation(&self, channel: &Channel) -> Value {
        if let Some(user) = &channel.with_user {
            return json!({
                "id": channel.id, "is_im": true, "user": user, "created": 1_735_689_600,
                "is_org_shared": false, "is_archived": channel.is_archived, "priority": 0,
            });
        }
        json!({
            "id": channel.id, "name": channel.name, "name_normalized": channel.name,
            "is_channel": !channel.is_private, "is_group": channel.is_private, "is_im": false, "is_mpim": false,
            "is_private": channel.is_private, "is_archived": channel.is_archived, "is_general": false,
            "is_shared": false, "is_org_shared": false, "is_ext_shared": false, "is_pending_ext_shared": false,
            "pending_shared": [], "shared_team_ids": [self.config.team_id], "pending_connected_team_ids": [],
            "context_team_id": self.config.team_id, "created": 1_735_689_600, "updated": 1_735_689_600_123_i64,
            "creator": "U07CLERK01", "parent_conversation": null, "unlinked": 0,
            "is_member": channel.bot_is_member, "num_members": 7, "previous_names": [], "properties": {},
            "topic": { "value": "", "creator": "", "last_set": 0 },
            "purpose": { "value": "", "creator": "", "last_set": 0 },
        })
    }

    /// Messages that history shows by now, oldest first.
    pub(super) fn readable(&self, channel: &str, now: Timestamp) -> impl Iterator<Item = &Message> {
        let lag: Duration = self.config.history_lag;
        self.messages(channel).iter().filter(move |message| message.at + lag <= now)
    }
}

/// Microseconds as a `ts`.
pub(super) fn ts_of(micros: i64) -> String {
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}
