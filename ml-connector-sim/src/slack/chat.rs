//! `chat.postMessage` and `chat.update`.

use std::time::Duration;

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    blocks::{self, Verdict},
    methods::{Outcome, Refusal},
    workspace::{BOT_USER, Channel, Message, Workspace, ts_of},
};

/// `chat.postMessage` page: longer text is cut.
const MAX_TEXT: usize = 40_000;
/// `chat.update` page: longer text is refused.
const MAX_UPDATED_TEXT: usize = 4_000;
/// How long a `client_msg_id` is remembered where that is switched on; Slack publishes nothing.
const CLIENT_MSG_ID_LIFE: Duration = Duration::from_secs(600);

pub(super) fn post_message(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let target = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let channel = writable(workspace, &target)?;
    let (text, cut) = cut(args.text("text").unwrap_or_default());
    let blocks = structured(args, "blocks", "invalid_blocks_format")?.filter(|blocks| !is_empty(blocks));
    let attachments = structured(args, "attachments", "invalid_attachments")?;
    if text.is_empty() && blocks.is_none() && attachments.is_none_or(|attachments| is_empty(&attachments)) {
        return Err("no_text".into());
    }
    let blocks = blocks.map(|blocks| accept(workspace, blocks)).transpose()?;
    let metadata = structured(args, "metadata", "invalid_metadata_format")?.filter(|value| !is_empty(value));
    metadata.as_ref().map(check_metadata).transpose()?;
    let client_msg_id = args.text("client_msg_id");
    if let Some(earlier) = repeated(workspace, &channel, client_msg_id.as_deref(), now) {
        let message = workspace.shown(&earlier, true);
        return Ok(json!({
            "channel": channel.id, "ts": earlier.ts, "message": message, "is_duplicate": true,
        }));
    }
    let message = Message {
        ts: String::new(),
        thread_ts: args.text("thread_ts"),
        broadcast: args.flag("reply_broadcast"),
        user: BOT_USER.to_owned(),
        text,
        blocks,
        metadata,
        client_msg_id,
        edited: None,
        edits: 0,
        at: now,
    };
    let message = workspace.store(&channel.id, message);
    let mut answer =
        json!({ "channel": channel.id, "ts": message.ts, "message": workspace.shown(&message, true) });
    if cut {
        answer["warning"] = "message_truncated".into();
    }
    Ok(answer)
}

pub(super) fn update(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let channel = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let ts = args.text("ts").ok_or_else(|| Refusal::missing_argument("ts"))?;
    // An id only: neither a name nor a person.
    let channel = workspace.channels.get(&channel).cloned().ok_or("channel_not_found")?;
    if channel.is_archived {
        return Err("is_inactive".into());
    }
    let text = args.text("text");
    if text.as_ref().is_some_and(|text| text.encode_utf16().count() > MAX_UPDATED_TEXT) {
        return Err("msg_too_long".into());
    }
    let blocks = structured(args, "blocks", "invalid_blocks_format")?;
    let metadata = structured(args, "metadata", "invalid_metadata_format")?;
    if text.is_none() && blocks.is_none() && metadata.is_none() {
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
    let message = workspace.message_mut(&channel.id, &ts).ok_or("message_not_found")?;
    if !message.by_bot() {
        return Err("cant_update_message".into());
    }
    if let Some(text) = text {
        message.text = text;
    }
    if let Some(blocks) = blocks {
        message.blocks = blocks;
    }
    if let Some(metadata) = metadata {
        message.metadata = Some(metadata).filter(|metadata| !is_empty(metadata));
    }
    message.edits += 1;
    message.edited = Some(ts_of(now.as_secs() * 1_000_000));
    let message = message.clone();
    Ok(json!({
        "channel": channel.id, "ts": ts, "text": message.text, "message": workspace.shown(&message, true),
    }))
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
        Verdict::Valid => {}
        Verdict::Invalid(messages) => return Err(Refusal::with_messages("invalid_blocks", &messages)),
        Verdict::SecondTable => {
            return Err(Refusal::with_messages(
                "invalid_attachments",
                &["only_one_table_allowed".to_owned()],
            ));
        }
        Verdict::NoList => return Err("invalid_blocks_format".into()),
    }
    for block in blocks.as_array_mut().into_iter().flatten() {
        if block["block_id"].is_null() {
            block["block_id"] = workspace.seed.hex()[..5].into();
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
