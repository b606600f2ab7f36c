//! The workspace: everything behind one installation of the app.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    SlackConfig,
    ids::BOT_USER,
    message::Message,
    model::{Channel, Ephemeral, User},
    outbox::AppOutbox,
    response_urls::ResponseUrls,
    tokens::Tokens,
    views::Views,
};
use crate::toolkit::{buckets::Buckets, conditions::Conditions, dice::Dice, seed::Seed};

/// Everything behind one installation.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) config: SlackConfig,
    pub(super) tokens: Tokens,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) ephemerals: Vec<Ephemeral>,
    pub(super) views: Views,
    pub(super) responses: ResponseUrls,
    pub(super) outbox: AppOutbox,
    /// Where `response_url`s begin.
    pub(super) hooks: String,
    /// Clicks that were not answered: person, channel and message.
    pub(super) troubles: BTreeSet<(String, String, String)>,
    pub(super) limiter: Buckets,
    pub(super) seed: Seed,
    /// As they were when the call came.
    pub(super) conditions: Conditions,
    pub(super) dice: Dice,
    messages: BTreeMap<String, Vec<Message>>,
    last_micros: i64,
}

impl Workspace {
    pub(super) fn new(config: SlackConfig, now: Timestamp) -> Self {
        let mut seed = Seed::new(config.seed);
        let tokens = Tokens::new(&mut seed, &config, now);
        let outbox = AppOutbox::new(&mut seed, config.request_url.clone());
        let channels = config.channels.iter().map(|channel| (channel.id.clone(), channel.clone())).collect();
        Self {
            tokens,
            channels,
            ephemerals: Vec::new(),
            views: Views::default(),
            responses: ResponseUrls::default(),
            outbox,
            hooks: "https://hooks.slack.com".to_owned(),
            troubles: BTreeSet::new(),
            limiter: Buckets::default(),
            seed,
            conditions: config.conditions.clone(),
            dice: Dice::new(config.conditions.seed),
            config,
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

    /// The workspace's part of its web address.
    pub(super) fn domain(&self) -> String {
        self.config.team_name.to_ascii_lowercase().replace(' ', "-")
    }

    /// The next `ts`, which is larger than every one before it in the workspace.
    pub(super) fn stamp(&mut self, now: Timestamp) -> String {
        self.last_micros = (now.as_millis() * 1000).max(self.last_micros + 1);
        ts_of(self.last_micros)
    }

    /// An id of the kind that begins with this letter.
    pub(super) fn id(&mut self, letter: &str) -> String {
        format!("{letter}{}", self.seed.hex()[..10].to_ascii_uppercase())
    }

    /// The messages of a channel, oldest first.
    pub(super) fn messages(&self, channel: &str) -> &[Message] {
        self.messages.get(channel).map_or(&[], Vec::as_slice)
    }

    pub(super) fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages(channel).get(self.position(channel, ts)?)
    }

    pub(super) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        let at = self.position(channel, ts)?;
        self.messages.get_mut(channel)?.get_mut(at)
    }

    /// The replies to a message, oldest first.
    pub(super) fn replies<'a>(&'a self, channel: &str, root: &'a str) -> impl Iterator<Item = &'a Message> {
        let messages = self.messages(channel);
        // A reply is younger than what it replies to.
        let from = messages.partition_point(|message| message.ts.as_str() <= root);
        messages[from..].iter().filter(move |message| message.thread_ts.as_deref() == Some(root))
    }

    /// Deletes a message; one with replies leaves its place to them.
    pub(super) fn remove(&mut self, channel: &str, ts: &str) {
        let Some(at) = self.position(channel, ts) else { return };
        let has_replies = self.replies(channel, ts).next().is_some();
        if let Some(messages) = self.messages.get_mut(channel) {
            if has_replies {
                messages[at].bury();
            } else {
                messages.remove(at);
            }
        }
    }

    fn position(&self, channel: &str, ts: &str) -> Option<usize> {
        // They are in the order of their `ts`, and all of one length.
        self.messages(channel).binary_search_by(|message| message.ts.as_str().cmp(ts)).ok()
    }

    pub(super) fn all_messages(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.messages
            .iter()
            .flat_map(|(channel, messages)| messages.iter().map(move |message| (channel.as_str(), message)))
    }

    /// Stores a message under the next `ts`.
    pub(super) fn store(&mut self, channel: &str, mut message: Message) -> Message {
        message.ts = self.stamp(message.at);
        self.messages.entry(channel.to_owned()).or_default().push(message.clone());
        message
    }

    /// Shows a person something that nobody else sees. Returns what tells it from others.
    pub(super) fn whisper(&mut self, mut ephemeral: Ephemeral) -> String {
        ephemeral.ts = self.stamp(ephemeral.at);
        let ts = ephemeral.ts.clone();
        self.ephemerals.push(ephemeral);
        ts
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
        Some(self.open(&[&user]))
    }

    /// Opens a direct conversation.
    pub(super) fn open(&mut self, users: &[&str]) -> Channel {
        let (letter, name) = if users.len() > 1 { ("C", "mpdm") } else { ("D", "directmessage") };
        let mut channel = Channel::new(&self.id(letter), name).private().with_members(users);
        channel.with_user = Some(users.join(","));
        self.channels.insert(channel.id.clone(), channel.clone());
        channel
    }

    /// A conversation as the API shows it.
    pub(super) fn conversation(&self, channel: &Channel) -> Value {
        if let Some(user) = &channel.with_user {
            return json!({
                "id": channel.id, "is_im": !user.contains(','), "is_mpim": user.contains(','), "user": user,
                "created": 1_735_689_600, "is_org_shared": false, "is_archived": channel.is_archived,
                "priority": 0,
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
            "is_member": channel.bot_is_member, "num_members": self.members(channel).len(),
            "previous_names": channel.previous_names, "properties": {},
            "topic": { "value": "", "creator": "", "last_set": 0 },
            "purpose": { "value": "", "creator": "", "last_set": 0 },
        })
    }

    /// Who is in a channel.
    pub(super) fn members(&self, channel: &Channel) -> Vec<String> {
        let people = self.config.users.iter().filter(|user| !user.deleted && channel.has(&user.id));
        let bot = channel.bot_is_member.then(|| BOT_USER.to_owned());
        people.map(|user| user.id.clone()).chain(bot).collect()
    }

    /// Messages that history shows by now, oldest first.
    pub(super) fn readable(&self, channel: &str, now: Timestamp) -> impl Iterator<Item = &Message> {
        let lag: Duration = self.config.history_lag.max(self.conditions.list_lag);
        self.messages(channel).iter().filter(move |message| message.at + lag <= now)
    }
}

/// Microseconds as a `ts`.
pub(super) fn ts_of(micros: i64) -> String {
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}
