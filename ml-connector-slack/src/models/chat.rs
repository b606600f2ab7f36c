use std::{fmt, str::FromStr};

use ml_connector_core::{
    Error, ErrorKind,
    model::{Delivery, DeliveryId},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    blocks::{Blocks, is_conversation, shorten_literal},
    message::Message,
    models::lax,
};

/// The arguments of `chat.postMessage`. `Debug` shows where it goes, not what it says.
#[derive(Serialize)]
pub(crate) struct PostMessage<'a> {
    /// A conversation id, or a user id for the bot's direct messages with that person.
    pub(crate) channel: &'a str,
    /// The first message of the thread that it is a reply in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thread_ts: Option<&'a str>,
    /// The text for notifications.
    pub(crate) text: &'a str,
    /// The blocks.
    #[serde(skip_serializing_if = "Blocks::is_empty")]
    pub(crate) blocks: &'a Blocks,
    /// What a look-up finds the message by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
    /// An undocumented key by which Slack may recognize a repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_msg_id: Option<String>,
    /// Whether style characters in `text` count.
    pub(crate) mrkdwn: bool,
    /// Whether Slack shows a preview of linked pages.
    pub(crate) unfurl_links: bool,
    /// Whether Slack shows a preview of linked media.
    pub(crate) unfurl_media: bool,
}

impl<'a> PostMessage<'a> {
    /// A message for a conversation, without previews and with a literal text.
    pub(crate) fn new(channel: &'a str, message: &'a Message) -> Self {
        Self {
            channel,
            thread_ts: None,
            text: message.text(),
            blocks: message.blocks(),
            metadata: None,
            client_msg_id: None,
            mrkdwn: false,
            unfurl_links: false,
            unfurl_media: false,
        }
    }
}

impl fmt::Debug for PostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostMessage").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// The arguments of `chat.update`. `Debug` shows which message, not what it says.
#[derive(Serialize)]
pub(crate) struct UpdateMessage<'a> {
    /// The conversation, by id: neither a name nor a person will do.
    pub(crate) channel: &'a str,
    /// The message.
    pub(crate) ts: &'a str,
    /// The text for notifications.
    pub(crate) text: &'a str,
    /// The blocks. Always sent: without them the text alone would stay.
    pub(crate) blocks: &'a Blocks,
    /// What a look-up finds the change by. Left out, the message keeps what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
    /// Here the default would turn words of the text into links.
    pub(crate) parse: &'static str,
}

impl<'a> UpdateMessage<'a> {
    /// What a message is to say from now on.
    pub(crate) fn new(which: &'a MessageRef, message: &'a Message) -> Self {
        let MessageRef { channel, ts } = which;
        Self { channel, ts, text: message.text(), blocks: message.blocks(), metadata: None, parse: "none" }
    }
}

impl fmt::Debug for UpdateMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateMessage").field("ts", &self.ts).finish_non_exhaustive()
    }
}

/// The arguments of `chat.postEphemeral`. `Debug` shows where it goes, not what it says.
#[derive(Serialize)]
pub(crate) struct EphemeralMessage<'a> {
    /// The conversation, by id.
    pub(crate) channel: &'a str,
    /// Who sees it.
    pub(crate) user: &'a str,
    /// The text for notifications.
    pub(crate) text: &'a str,
    /// The blocks.
    #[serde(skip_serializing_if = "Blocks::is_empty")]
    pub(crate) blocks: &'a Blocks,
}

impl fmt::Debug for EphemeralMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralMessage").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// A message's metadata: invisible to people, readable by every app and member of the workspace. It therefore
/// holds ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Metadata {
    event_type: &'static str,
    event_payload: Payload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Payload {
    delivery_id: String,
    source: String,
    resource: String,
    resource_id: String,
}

impl Metadata {
    /// The event type of every message of ours.
    pub(crate) const EVENT_TYPE: &'static str = "mlc_notification";
    /// Metadata has an unpublished limit; four ids of this length stay under 1 kB.
    const ID_MAX: usize = 128;

    /// What names a message under `message_id`: its delivery, or the first delivery of its digest.
    pub(crate) fn of(delivery: &Delivery, message_id: DeliveryId) -> Self {
        let id = |text: &str| shorten_literal(text, Self::ID_MAX);
        let event = &delivery.event;
        Self {
            event_type: Self::EVENT_TYPE,
            event_payload: Payload {
                delivery_id: message_id.to_string(),
                source: id(event.connection.as_str()),
                resource: id(&event.entity.kind),
                resource_id: id(&event.entity.id),
            },
        }
    }
}

/// The answer of `chat.postMessage`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Posted {
    /// The conversation; for a post to a user, the conversation with them.
    pub(crate) channel: String,
    /// The message's identity in it.
    pub(crate) ts: String,
    /// Whether Slack recognized a repetition and posted nothing.
    #[serde(default, deserialize_with = "lax")]
    pub(crate) is_duplicate: Option<bool>,
    /// The message as it was stored. An odd one proves nothing.
    #[serde(default, deserialize_with = "lax")]
    pub(crate) message: Option<Stored>,
}

/// A message as Slack stored it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Stored {
    /// The first message of its thread; a reply to a message that is gone has none.
    #[serde(default)]
    pub(crate) thread_ts: Option<String>,
}

impl Posted {
    /// Whether a reply to `thread_ts` has become a message of its own: Slack does so, without a word, when the first
    /// message is gone. An answer that does not show the message proves nothing.
    pub(crate) fn has_left(&self, thread_ts: &str) -> bool {
        self.message.as_ref().is_some_and(|stored| stored.thread_ts.as_deref() != Some(thread_ts))
    }
}

/// The handle of a message, as it stands in a receipt: `C07ACCTNG1/1767225605.000219`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// The conversation.
    pub channel: String,
    /// The message's identity in it. Text: a float cannot hold it.
    pub ts: String,
}

impl MessageRef {
    /// Where a person sees the message, in a workspace with this address: Slack's own permalink.
    pub(crate) fn link(&self, workspace: &Url) -> Option<Url> {
        workspace.join(&format!("/archives/{}/p{}", self.channel, self.ts.replace('.', ""))).ok()
    }
}

impl fmt::Display for MessageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.ts)
    }
}

impl FromStr for MessageRef {
    type Err = Error;

    /// Reads what `Display` wrote.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('/') {
            Some((channel, ts)) if is_conversation(channel) && is_ts(ts) => {
                Ok(Self { channel: channel.to_owned(), ts: ts.to_owned() })
            }
            _ => Err(Error::new(ErrorKind::InvalidRequest, "expected a message as channel/ts")
                .with_context("bytes", text.len())),
        }
    }
}

fn is_ts(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(secs, fraction)| {
        secs.len() == 10 && fraction.len() == 6 && digits(secs) && digits(fraction)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reference_survives_its_text() {
        let text = "C07ACCTNG1/1767225605.000219";
        assert_eq!(text.parse::<MessageRef>().unwrap().to_string(), text);
        for wrong in [
            "",
            "C07ACCTNG1",
            "/1767225605.000219",
            "C07ACCTNG1/1767225605",
            "C07ACCTNG1/x767225605.000219",
            "ephemeral:C07ACCTNG1/1767225605.000219",
        ] {
            assert_eq!(wrong.parse::<MessageRef>().unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong}");
        }
    }
}
