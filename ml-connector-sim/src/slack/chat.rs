//! The `chat.*` methods.

use std::time::Duration;

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    blocks::{self, Checked},
    ids::BOT_USER,
    message::Message,
    model::{Channel, Ephemeral},
    refusal::{Outcome, Refusal},
    workspace::{Workspace, ts_of},
};

/// `chat.postMessage` page: longer text is cut.
const MAX_TEXT: usize = 40_000;
/// `chat.update` page: longer text is refused.
const MAX_UPDATED_TEXT: usize = 4_000;
/// `chat.postMessage` page.
const MAX_MARKDOWN: usize = 12_000;
/// `chat.postMessage` page.
const MAX_ATTACHMENTS: usize = 100;
/// How long a `client_msg_id` is remembered where that is switched on; Slack publishes nothing.
const CLIENT_MSG_ID_LIFE: Duration = Duration::from_secs(600);

/// What a message shows.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) blocks: Option<Value>,
    pub(super) attachments: Option<Value>,
    /// Whether the text was longer than a message holds.
    cut: bool,
}

impl Content {
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), blocks: None, attachments: None, cut: false }
    }

    /// Reads and checks what a message is to show.
    pub(super) fn read(workspace: &mut Workspace, args: &Args) -> Result<Self, Refusal> {
        let (mut text, cut) = cut(args.text("text").unwrap_or_default());
        let blocks = structured(args, "blocks", "invalid_blocks_format")?.filter(|blocks| !is_empty(blocks));
        let attachments = attachments(args)?.filter(|attachments| !is_empty(attachments));
        if let Some(markdown) = args.text("markdown_text") {
            if !text.is_empty() || blocks.is_some() {
                return Err("markdown_text_conflict".into());
            }
            if markdown.encode_utf16().count() > MAX_MARKDOWN {
                return Err("msg_too_long".into());
            }
            text = markdown;
        }
        if text.is_empty() && blocks.is_none() && attachments.is_none() {
            return Err("no_text".into());
        }
        let blocks = blocks.map(|blocks| accept(workspace, blocks)).transpose()?;
        Ok(Self { text, blocks, attachments, cut })
    }
}

/// What only one person sees, not stored yet.
pub(super) fn whispered(
    channel: &str,
    user: &str,
    thread_ts: Option<String>,
    content: Content,
    at: Timestamp,
) -> Ephemeral {
    Ephemeral {
        channel: channel.to_owned(),
        user: user.to_owned(),
        ts: String::new(),
        thread_ts,
        text: content.text,
        blocks: content.blocks.unwrap_or_default(),
        at,
    }
}

pub(super) fn post_message(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let target = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let channel = writable(workspace, &target)?;
    let custom = ["username", "icon_url", "icon_emoji"].iter().any(|name| args.text(name).is_some());
    if custom && !workspace.has_scope("chat:write.customize") {
        return Err(Refusal::missing_scope("chat:write.customize", &workspace.config.scopes));
    }
    let content = Content::read(workspace, args)?;
    let metadata = structured(args, "metadata", "invalid_metadata_format")?.filter(|value| !is_empty(value));
    metadata.as_ref().map(check_metadata).transpose()?;
    let client_msg_id = args.text("client_msg_id");
    if let Some(earlier) = repeated(workspace, &channel, client_msg_id.as_deref(), now) {
        let message = workspace.shown(&channel.id, &earlier, true);
        return Ok(json!({
            "channel": channel.id, "ts": earlier.ts, "message": message, "is_duplicate": true,
        }));
    }
    let mut message = Message::new(BOT_USER, content.text, now);
    // A reply to what is not there is posted into the channel, without a word about it.
    message.thread_ts =
        args.text("thread_ts").filter(|thread| workspace.message(&channel.id, thread).is_some());
    message.broadcast = args.flag("reply_broadcast");
    (message.blocks, message.attachments) = (content.blocks, content.attachments);
    (message.metadata, message.client_msg_id) = (metadata, client_msg_id);
    let message = workspace.store(&channel.id, message);
    let shown = workspace.shown(&channel.id, &message, true);
    let mut answer = json!({ "channel": channel.id, "ts": message.ts, "message": shown });
    if content.cut {
        answer["warning"] = "message_truncated".into();
    }
    Ok(answer)
}

pub(super) fn update(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let (channel, ts) = addressed(workspace, args)?;
    if channel.is_archived {
        return Err("is_inactive".into());
    }
    let text = args.text("text").or_else(|| args.text("markdown_text"));
    if text.as_ref().is_some_and(|text| text.encode_utf16().count() > MAX_UPDATED_TEXT) {
        return Err("msg_too_long".into());
    }
    let blocks = structured(args, "blocks", "invalid_blocks_format")?;
    let attachments = attachments(args)?;
    let metadata = structured(args, "metadata", "invalid_metadata_format")?;
    if text.is_none() && blocks.is_none() && attachments.is_none() && metadata.is_none() {
        return Err("no_text".into());
    }
    let blocks = match blocks {
        Some(blocks) if is_empty(&blocks) => Some(None),
        Some(blocks) => Some(Some(accept(workspace, blocks)?)),
        // Text alone removes the blocks.
        None => text.is_some().then_some(None),
    };
    if let Some(metadata) = metadata.as_ref().filter(|metadata| !is_empty(metadata)) {
        check_metadata(metadata)?;
    }
    let edited = ts_of(now.as_secs() * 1_000_000);
    let window = workspace.config.edit_window;
    let message = owned(workspace, &channel, &ts, "cant_update_message")?;
    if window.is_some_and(|window| message.at + window < now) {
        return Err("edit_window_closed".into());
    }
    if blocks.as_ref().is_some_and(|new| blocks::mismatch(message.blocks.as_ref(), new.as_ref())) {
        return Err("block_mismatch".into());
    }
    message.keep_revision(now, edited);
    if let Some(text) = text {
        message.text = text;
    }
    if let Some(blocks) = blocks {
        message.blocks = blocks;
    }
    if let Some(attachments) = attachments {
        message.attachments = Some(attachments).filter(|attachments| !is_empty(attachments));
    }
    if let Some(metadata) = metadata {
        message.metadata = Some(metadata).filter(|metadata| !is_empty(metadata));
    }
    let message = message.clone();
    let shown = workspace.shown(&channel.id, &message, true);
    Ok(json!({ "channel": channel.id, "ts": ts, "text": message.text, "message": shown }))
}

pub(super) fn delete(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let (channel, ts) = addressed(workspace, args)?;
    owned(workspace, &channel, &ts, "cant_delete_message")?;
    workspace.remove(&channel.id, &ts);
    Ok(json!({ "channel": channel.id, "ts": ts }))
}

pub(super) fn post_ephemeral(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let target = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let user = args.text("user").ok_or_else(|| Refusal::missing_argument("user"))?;
    let channel = writable(workspace, &target)?;
    let known = workspace.user(&user).is_some_and(|user| !user.deleted && channel.has(&user.id));
    if !known {
        return Err("user_not_in_channel".into());
    }
    let content = Content::read(workspace, args)?;
    let thread_ts = args.text("thread_ts");
    let ephemeral = whispered(&channel.id, &user, thread_ts, content, now);
    Ok(json!({ "message_ts": workspace.whisper(ephemeral) }))
}

pub(super) fn get_permalink(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let id = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let ts = args.text("message_ts").ok_or_else(|| Refusal::missing_argument("message_ts"))?;
    let visible = workspace.channels.get(&id).filter(|channel| !channel.is_private || channel.bot_is_member);
    visible.ok_or("channel_not_found")?;
    workspace.message(&id, &ts).ok_or("message_not_found")?;
    Ok(json!({ "channel": id, "permalink": workspace.permalink(&id, &ts) }))
}

impl Workspace {
    /// Where a person finds a message.
    pub(super) fn permalink(&self, channel: &str, ts: &str) -> String {
        format!("https://{}.slack.com/archives/{channel}/p{}", self.domain(), ts.replace('.', ""))
    }
}

/// The channel and the message of a call, by ids: neither a name nor a person.
fn addressed(workspace: &Workspace, args: &Args) -> Result<(Channel, String), Refusal> {
    let channel = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let ts = args.text("ts").ok_or_else(|| Refusal::missing_argument("ts"))?;
    let channel = workspace.channels.get(&channel).filter(|found| !found.is_private || found.bot_is_member);
    Ok((channel.cloned().ok_or("channel_not_found")?, ts))
}

/// A message of the bot's own.
fn owned<'a>(
    workspace: &'a mut Workspace,
    channel: &Channel,
    ts: &str,
    foreign: &'static str,
) -> Result<&'a mut Message, Refusal> {
    let ephemerals = &workspace.ephemerals;
    let missing = match ephemerals.iter().any(|seen| seen.ts == ts && seen.channel == channel.id) {
        true => foreign,
        false => "message_not_found",
    };
    let message = workspace.message_mut(&channel.id, ts).filter(|message| !message.tombstone);
    let message = message.ok_or(missing)?;
    if message.by_bot() { Ok(message) } else { Err(foreign.into()) }
}

/// The channel a bot may write to, or why it may not.
fn writable(workspace: &mut Workspace, target: &str) -> Result<Channel, Refusal> {
    let channel = workspace.find_or_open(target).ok_or("channel_not_found")?;
    if channel.is_private && !channel.bot_is_member {
        return Err("channel_not_found".into());
    }
    if channel.is_archived {
        return Err("is_archived".into());
    }
    if !channel.bot_is_member && !workspace.has_scope("chat:write.public") {
        return Err("not_in_channel".into());
    }
    Ok(channel)
}

/// Checks blocks and gives an id to those without.
fn accept(workspace: &mut Workspace, mut blocks: Value) -> Result<Value, Refusal> {
    match blocks::check(&blocks) {
        Checked::Valid => {}
        Checked::Invalid(messages) => return Err(Refusal::with_messages("invalid_blocks", &messages)),
        Checked::SecondTable => {
            return Err(Refusal::with_messages(
                "invalid_attachments",
                &["only_one_table_allowed".to_owned()],
            ));
        }
        Checked::NoList => return Err("invalid_blocks_format".into()),
    }
    let most = workspace.config.max_blocks_bytes;
    if most.is_some_and(|most| blocks.to_string().len() > most) {
        return Err("msg_blocks_too_long".into());
    }
    for block in blocks.as_array_mut().into_iter().flatten() {
        if block["block_id"].is_null() {
            block["block_id"] = workspace.seed.hex()[..5].into();
        }
        let elements = block.get_mut("elements").and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            if element["type"] == "button" && element["action_id"].is_null() {
                element["action_id"] = workspace.seed.hex()[..5].into();
            }
        }
    }
    Ok(blocks)
}

fn check_metadata(metadata: &Value) -> Result<(), Refusal> {
    let known = |object: &serde_json::Map<String, Value>| {
        object.keys().all(|key| key == "event_type" || key == "event_payload")
    };
    let well_formed = metadata["event_type"].is_string()
        && metadata["event_payload"].is_object()
        && metadata.as_object().is_some_and(known);
    if well_formed { Ok(()) } else { Err("invalid_metadata_format".into()) }
}

fn repeated(workspace: &Workspace, channel: &Channel, id: Option<&str>, now: Timestamp) -> Option<Message> {
    let id = id.filter(|_| workspace.config.client_msg_id_dedupe)?;
    workspace
        .messages(&channel.id)
        .iter()
        .find(|message| {
            message.client_msg_id.as_deref() == Some(id)
                && now.saturating_since(message.at) < CLIENT_MSG_ID_LIFE
        })
        .cloned()
}

fn attachments(args: &Args) -> Result<Option<Value>, Refusal> {
    let attachments = structured(args, "attachments", "invalid_attachments")?;
    match attachments.as_ref().map(|attachments| attachments.as_array().map(Vec::len)) {
        Some(None) => Err("invalid_attachments".into()),
        Some(Some(count)) if count > MAX_ATTACHMENTS => Err("too_many_attachments".into()),
        _ => Ok(attachments),
    }
}

fn structured(args: &Args, name: &str, error: &str) -> Result<Option<Value>, Refusal> {
    args.structured(name).transpose().map_err(|()| error.into())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn cut(text: String) -> (String, bool) {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => (text[..end].to_owned(), true),
        None => (text, false),
    }
}
