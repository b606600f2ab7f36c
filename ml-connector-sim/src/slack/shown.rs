//! Messages as the API shows them.

use serde_json::{Value, json};

use super::{
    ids::{APP_ID, BOT_ID, BOT_NAME, BOT_USER},
    message::Message,
    model::Reaction,
    workspace::Workspace,
};

impl Workspace {
    /// A message as the API shows it.
    pub(super) fn shown(&self, channel: &str, message: &Message, with_metadata: bool) -> Value {
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
        if message.tombstone {
            shown["subtype"] = "tombstone".into();
            shown["hidden"] = true.into();
        }
        for (name, value) in [("blocks", &message.blocks), ("attachments", &message.attachments)] {
            if let Some(value) = value {
                shown[name] = value.clone();
            }
        }
        self.thread(channel, message, &mut shown);
        if let Some(id) = &message.client_msg_id {
            shown["client_msg_id"] = id.clone().into();
        }
        if let Some(ts) = &message.edited {
            shown["edited"] = json!({ "user": message.user, "ts": ts });
        }
        if !message.reactions.is_empty() {
            shown["reactions"] = reactions(&message.reactions);
        }
        match &message.metadata {
            Some(metadata) if with_metadata => shown["metadata"] = metadata.clone(),
            Some(metadata) => shown["metadata"] = json!({ "event_type": metadata["event_type"] }),
            None => {}
        }
        shown
    }

    /// What a message says about its thread, as a reply or as a parent.
    fn thread(&self, channel: &str, message: &Message, shown: &mut Value) {
        if let Some(thread_ts) = &message.thread_ts {
            shown["thread_ts"] = thread_ts.clone().into();
        }
        if message.is_reply() {
            let parent = message.thread_ts.as_ref().and_then(|ts| self.message(channel, ts));
            if let Some(parent) = parent {
                shown["parent_user_id"] = parent.user.clone().into();
            }
            return;
        }
        let replies: Vec<&Message> = self.replies(channel, &message.ts).collect();
        let Some(latest) = replies.last() else { return };
        let mut users: Vec<&str> = Vec::new();
        for reply in &replies {
            if !users.contains(&reply.user.as_str()) {
                users.push(&reply.user);
            }
        }
        shown["thread_ts"] = message.ts.clone().into();
        shown["reply_count"] = replies.len().into();
        shown["reply_users_count"] = users.len().into();
        shown["reply_users"] = users.into();
        shown["latest_reply"] = latest.ts.clone().into();
        shown["is_locked"] = false.into();
        shown["subscribed"] = false.into();
    }
}

fn reactions(reactions: &[Reaction]) -> Value {
    reactions
        .iter()
        .map(|reaction| {
            json!({ "name": reaction.name, "users": reaction.users, "count": reaction.users.len() })
        })
        .collect()
}
