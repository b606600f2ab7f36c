//! Emojis under messages: `reactions.*`, and what people do with them.

use ml_connector_core::Timestamp;
use serde_json::json;

use super::{
    args::Args,
    conversations,
    ids::BOT_USER,
    model::Reaction,
    refusal::{Outcome, Refusal},
    workspace::Workspace,
};

/// A user adds an emoji.
pub(super) fn put(
    workspace: &mut Workspace,
    user: &str,
    (channel, ts): (&str, &str),
    name: &str,
    now: Timestamp,
) -> Result<(), &'static str> {
    let name = canonical(name)?;
    if workspace.channels.get(channel).is_some_and(|channel| channel.is_archived) {
        return Err("is_archived");
    }
    let message = workspace.message_mut(channel, ts).filter(|message| !message.tombstone);
    let reactions = &mut message.ok_or("message_not_found")?.reactions;
    match reactions.iter_mut().find(|reaction| reaction.name == name) {
        Some(reaction) if reaction.users.iter().any(|other| other == user) => return Err("already_reacted"),
        Some(reaction) => reaction.users.push(user.to_owned()),
        None => reactions.push(Reaction { name: name.to_owned(), users: vec![user.to_owned()] }),
    }
    workspace.emit_reaction("reaction_added", (channel, ts), user, name, now);
    Ok(())
}

/// A user takes an emoji back.
pub(super) fn take(
    workspace: &mut Workspace,
    user: &str,
    (channel, ts): (&str, &str),
    name: &str,
    now: Timestamp,
) -> Result<(), &'static str> {
    let name = canonical(name)?;
    let message = workspace.message_mut(channel, ts).ok_or("message_not_found")?;
    let reaction =
        message.reactions.iter_mut().find(|reaction| reaction.name == name).ok_or("no_reaction")?;
    let before = reaction.users.len();
    reaction.users.retain(|other| other != user);
    if reaction.users.len() == before {
        return Err("no_reaction");
    }
    message.reactions.retain(|reaction| !reaction.users.is_empty());
    workspace.emit_reaction("reaction_removed", (channel, ts), user, name, now);
    Ok(())
}

/// A name of the shape that names have, and the one that events carry: `+1` is kept, colons are not part of it.
fn canonical(name: &str) -> Result<&str, &'static str> {
    let (base, tone) = name.split_once("::").unwrap_or((name, "skin-tone-2"));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-+'".contains(&byte);
    let toned =
        tone.strip_prefix("skin-tone-").is_some_and(|tone| matches!(tone, "2" | "3" | "4" | "5" | "6"));
    if base.is_empty() || !base.bytes().all(plain) || !toned {
        return Err("invalid_name");
    }
    Ok(name)
}

pub(super) fn add(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let (channel, ts, name) = target(workspace, args)?;
    put(workspace, BOT_USER, (&channel, &ts), &name, now)?;
    Ok(json!({}))
}

pub(super) fn remove(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let (channel, ts, name) = target(workspace, args)?;
    take(workspace, BOT_USER, (&channel, &ts), &name, now)?;
    Ok(json!({}))
}

pub(super) fn get(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let (channel, ts) = item(workspace, args)?;
    let message = workspace.message(&channel, &ts).ok_or("message_not_found")?;
    let mut shown = workspace.shown(&channel, message, true);
    shown["permalink"] = workspace.permalink(&channel, &ts).into();
    Ok(json!({ "type": "message", "channel": channel, "message": shown }))
}

fn target(workspace: &Workspace, args: &Args) -> Result<(String, String, String), Refusal> {
    let name = args.text("name").ok_or_else(|| Refusal::missing_argument("name"))?;
    let (channel, ts) = item(workspace, args)?;
    Ok((channel, ts, name))
}

/// The message that a call names.
fn item(workspace: &Workspace, args: &Args) -> Result<(String, String), Refusal> {
    let (Some(channel), Some(ts)) = (args.text("channel"), args.text("timestamp")) else {
        return Err("no_item_specified".into());
    };
    conversations::micros(&ts).filter(|_| ts.contains('.')).ok_or("bad_timestamp")?;
    let visible = workspace.channels.get(&channel).filter(|found| !found.is_private || found.bot_is_member);
    visible.ok_or("channel_not_found")?;
    Ok((channel, ts))
}
