//! Events: what happened in the workspace, told to the app.

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    ids::{APP_ID, BOT_USER},
    outbox::AppCall,
    workspace::Workspace,
};
use crate::toolkit::buckets::Draw;

/// The deprecated `token` in everything Slack sends.
pub(super) const VERIFICATION_TOKEN: &str = "Zq1xV3rifyDeprecated0000";
const HOUR_MS: i64 = 3_600_000;

impl Workspace {
    /// Puts an event in line for the app, if it is connected and has not had too many.
    pub(super) fn emit(&mut self, event: &Value, now: Timestamp) {
        if self.tokens.uninstalled || self.outbox.url.is_none() || self.outbox.cut_off {
            return;
        }
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if !self.within_the_hour(now) {
            return;
        }
        let id = self.outbox.event_id();
        let body = json!({
            "token": VERIFICATION_TOKEN,
            "team_id": self.config.team_id,
            "context_team_id": self.config.team_id,
            "context_enterprise_id": null,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": id,
            "event_time": now.as_secs(),
            "authorizations": [{
                "enterprise_id": null, "team_id": self.config.team_id, "user_id": BOT_USER,
                "is_bot": true, "is_enterprise_install": false,
            }],
            "is_ext_shared_channel": false,
            "event_context": format!("4-{}", &self.seed.hex()[..32]),
        });
        self.outbox.enqueue(&AppCall::event(&kind, &id), &body.to_string(), now);
    }

    /// Tells of an emoji under a message, if the app may know: it needs the scope, and the bot has to be there.
    pub(super) fn emit_reaction(
        &mut self,
        kind: &str,
        (channel, ts): (&str, &str),
        user: &str,
        name: &str,
        now: Timestamp,
    ) {
        let is_member = self.channels.get(channel).is_some_and(|channel| channel.bot_is_member);
        if !is_member || !self.has_scope("reactions:read") {
            return;
        }
        let author = self.message(channel, ts).map(|message| message.user.clone());
        let event = json!({
            "type": kind,
            "user": user,
            "item": { "type": "message", "channel": channel, "ts": ts },
            "reaction": name,
            "item_user": author,
            "event_ts": self.stamp(now),
        });
        self.emit(&event, now);
    }

    /// Whether the hour takes one more event. If not, the app hears so once a minute.
    fn within_the_hour(&mut self, now: Timestamp) -> bool {
        let events = self.config.events_per_hour;
        let hour = Draw {
            key: "events".to_owned(),
            at_once: events,
            interval_ms: HOUR_MS / i64::from(events.max(1)),
        };
        if self.limiter.takes(&hour, now) {
            return true;
        }
        let told = Draw { key: "events lost".to_owned(), at_once: 1, interval_ms: 60_000 };
        if self.limiter.takes(&told, now) {
            self.tell_rate_limited(now);
        }
        false
    }

    /// Tells the app that events are lost.
    pub(super) fn tell_rate_limited(&mut self, now: Timestamp) {
        let body = json!({
            "token": VERIFICATION_TOKEN,
            "type": "app_rate_limited",
            "team_id": self.config.team_id,
            "minute_rate_limited": now.as_secs() / 60 * 60,
            "api_app_id": APP_ID,
        });
        let id = self.outbox.event_id();
        self.outbox.enqueue(&AppCall::event("app_rate_limited", &id), &body.to_string(), now);
    }
}
