//! The Events API.

use bytes::Bytes;
use ml_connector_core::{
    Result, Timestamp,
    model::{AccountKey, EntityRef, Intake, Signal},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::signal::{account, check_app, misunderstood, signal, text};
use crate::{
    blocks::is_user,
    models::{MessageRef, flag, lax, lax_list},
};

/// What is known of a reaction: Slack's payload is all there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reacted {
    pub(crate) added: bool,
    pub(crate) user: String,
    pub(crate) emoji: String,
    pub(crate) message: String,
    /// Whose message it is, where it has an author.
    pub(crate) author: Option<String>,
    /// When it was done, in microseconds of Slack's clock: orders what is done to one emoji.
    pub(crate) order: u64,
    pub(crate) received_at: Timestamp,
}

impl Reacted {
    /// When the message was looked at. Slack may tell minutes later, when the message has been rewritten since.
    pub(crate) fn seen_at(&self) -> Timestamp {
        let done_at = i64::try_from(self.order / 1000).map_or(self.received_at, Timestamp::from_millis);
        done_at.min(self.received_at)
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lax")]
    challenge: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    team_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    context_team_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    context_enterprise_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    api_app_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    event_id: Option<String>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lax_list")]
    authorizations: Vec<Authorization>,
}

#[derive(Deserialize)]
struct Authorization {
    #[serde(default, deserialize_with = "lax")]
    team_id: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    enterprise_id: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    is_enterprise_install: bool,
}

/// What all events have in common.
#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Reaction {
    user: Option<String>,
    reaction: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    item: Option<Item>,
    #[serde(default, deserialize_with = "lax")]
    item_user: Option<String>,
    #[serde(default, deserialize_with = "lax")]
    event_ts: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

/// Reads a request of the Events API that is proven.
pub(crate) fn read(app: Option<&str>, body: &[u8], now: Timestamp) -> Result<Intake> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|_| misunderstood("expected an event as a JSON object"))?;
    match (&*envelope.kind, &envelope.challenge) {
        // Proven first: an unsigned challenge is not given back.
        ("url_verification", Some(challenge)) => return Ok(text(challenge.clone())),
        ("url_verification", None) => return Err(misunderstood("expected a challenge")),
        _ => check_app(app, envelope.api_app_id.as_deref())?,
    }
    Ok(Intake::accepted(vec![envelope.signal(now)?]))
}

impl Envelope<'_> {
    fn signal(&self, now: Timestamp) -> Result<Signal> {
        let account = self.account();
        let number = self.event_id.as_ref().map(|id| format!("event/{id}"));
        let (Some(event), "event_callback") = (self.event, &*self.kind) else {
            return self.note(account, number, &self.kind);
        };
        // No more is read of an event than is needed of its type: vendors' events grow.
        let Ok(Inner { kind }) = serde_json::from_str(event.get()) else {
            return Err(misunderstood("expected an event with its type"));
        };
        match &*kind {
            "reaction_added" | "reaction_removed" => {
                let reaction = serde_json::from_str::<Reaction>(event.get()).ok();
                match reaction.and_then(|reaction| reaction.read(kind == "reaction_added", now)) {
                    Some((entity, reacted)) => signal(account, entity, &kind, number, &reacted),
                    None => self.note(account, number, &kind),
                }
            }
            "app_uninstalled" | "tokens_revoked" => {
                let entity = EntityRef::new("installation", self.team().unwrap_or("unknown"));
                signal(account, entity, &kind, number, &())
            }
            other => self.note(account, number, other),
        }
    }

    /// What nothing is done about is taken all the same, and can be found in the log: a 4xx counts against the app.
    fn note(&self, account: Option<AccountKey>, number: Option<String>, kind: &str) -> Result<Signal> {
        let id = self.event_id.as_deref().or(self.team()).unwrap_or("unknown");
        signal(account, EntityRef::new("notice", id), kind, number, &())
    }

    /// The installation through which it came: with an app that a whole organization has, never one of its workspaces.
    /// The event's own team may be another one in shared channels.
    fn team(&self) -> Option<&str> {
        let authorized = self.authorizations.first();
        let organization = authorized.and_then(|authorized| authorized.enterprise_id.as_deref());
        let organization = organization.or(self.context_enterprise_id.as_deref());
        let team = authorized.and_then(|authorized| authorized.team_id.as_deref());
        let team = team.or(self.context_team_id.as_deref()).or(self.team_id.as_deref());
        match authorized.is_some_and(|authorized| authorized.is_enterprise_install) {
            true => organization.or(team),
            false => team.or(organization),
        }
    }

    fn account(&self) -> Option<AccountKey> {
        self.team().map(account)
    }
}

impl Reaction {
    /// The reaction: one emoji of one person on one message. `None` for what is no message.
    fn read(&self, added: bool, now: Timestamp) -> Option<(EntityRef, Reacted)> {
        let item = self.item.as_ref().filter(|item| item.kind.as_deref() == Some("message"))?;
        let (channel, ts) = (item.channel.as_deref()?, item.ts.as_deref()?);
        let message: MessageRef = format!("{channel}/{ts}").parse().ok()?;
        let user = self.user.as_deref().filter(|user| is_user(user))?;
        let emoji = self.reaction.as_deref().filter(|emoji| !emoji.is_empty() && emoji.len() <= 255)?;
        let reacted = Reacted {
            added,
            user: user.to_owned(),
            emoji: emoji.to_owned(),
            message: message.to_string(),
            author: self.item_user.clone(),
            order: micros(self.event_ts.as_deref()?)?,
            received_at: now,
        };
        Some((EntityRef::new("reaction", format!("{message}/{user}/{emoji}")), reacted))
    }
}

/// Reads an instant as Slack writes it: seconds, with up to six decimals.
fn micros(ts: &str) -> Option<u64> {
    let (secs, fraction) = ts.split_once('.').unwrap_or((ts, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let decimals = format!("{:0<6}", fraction.get(..6).unwrap_or(fraction));
    let micros = is_digits(&decimals).then(|| decimals.parse::<u64>().ok())??;
    secs.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

/// Reads a payload that a signal of this module carries.
pub(crate) fn stored(payload: &Bytes) -> Result<Reacted> {
    serde_json::from_slice(payload).map_err(|_| misunderstood("a stored reaction cannot be read"))
}
