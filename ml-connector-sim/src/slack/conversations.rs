//! The `conversations.*` methods.

use base64::{Engine, prelude::BASE64_STANDARD};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    ids::BOT_USER,
    message::Message,
    model::Channel,
    refusal::{Outcome, Refusal},
    workspace::Workspace,
};

/// What a restricted app gets at most per call.
const RESTRICTED_LIMIT: usize = 15;

pub(super) fn history(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let channel = readable(workspace, args)?;
    let limit = limit(workspace, args, 100);
    let newest_first = workspace
        .readable(&channel.id, now)
        .filter(|message| message.in_channel())
        .collect::<Vec<_>>()
        .into_iter()
        .rev();
    let mut answer = messages(workspace, args, &channel.id, newest_first, limit)?;
    answer["pin_count"] = 0.into();
    if let Some(oldest) = args.text("oldest") {
        answer["oldest"] = oldest.into();
    }
    Ok(answer)
}

pub(super) fn replies(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let channel = readable(workspace, args)?;
    let ts = args.text("ts").ok_or_else(|| Refusal::missing_argument("ts"))?;
    let root = match workspace.message(&channel.id, &ts) {
        Some(message) => message.thread_ts.clone().unwrap_or(ts),
        None => return Err("thread_not_found".into()),
    };
    let limit = limit(workspace, args, 1000);
    let thread: Vec<&Message> = workspace
        .readable(&channel.id, now)
        .filter(|message| message.ts == root || message.thread_ts.as_deref() == Some(&root))
        .collect();
    messages(workspace, args, &channel.id, thread.into_iter(), limit)
}

pub(super) fn list(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let types = args.text("types").unwrap_or_else(|| "public_channel".to_owned());
    let mut wanted = Vec::new();
    for kind in types.split(',').map(str::trim) {
        let scope = match kind {
            "public_channel" => "channels:read",
            "private_channel" => "groups:read",
            "im" => "im:read",
            "mpim" => "mpim:read",
            _ => return Err("invalid_types".into()),
        };
        if !workspace.has_scope(scope) {
            return Err(Refusal::missing_scope(scope, &workspace.config.scopes));
        }
        wanted.push(kind);
    }
    let asked = args.number("limit").unwrap_or(100).clamp(1, 999);
    let limit = workspace.conditions.cursor_page(&mut workspace.dice, asked);
    let from = from_cursor(args, "channel:")?;
    if from.is_none() && workspace.config.empty_first_pages {
        return Ok(json!({ "channels": [], "response_metadata": { "next_cursor": cursor("channel:", "") } }));
    }
    let from = from.unwrap_or_default();
    let mut rows: Vec<&Channel> = workspace
        .channels
        .values()
        .filter(|channel| wanted.contains(&channel.kind()))
        .filter(|channel| !channel.is_private || channel.bot_is_member)
        .filter(|channel| !(args.flag("exclude_archived") && channel.is_archived))
        .filter(|channel| channel.id > from)
        .collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| cursor("channel:", &last.id));
    let rows: Vec<Value> = rows.into_iter().map(|channel| workspace.conversation(channel)).collect();
    Ok(json!({ "channels": rows, "response_metadata": { "next_cursor": next.unwrap_or_default() } }))
}

pub(super) fn info(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let channel = visible(workspace, args, "read")?;
    Ok(json!({ "channel": workspace.conversation(&channel) }))
}

pub(super) fn join(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let id = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let channel = workspace.channels.get_mut(&id).ok_or("channel_not_found")?;
    if channel.is_private {
        return Err("method_not_supported_for_channel_type".into());
    }
    if channel.is_archived {
        return Err("is_archived".into());
    }
    let already = std::mem::replace(&mut channel.bot_is_member, true);
    let channel = channel.clone();
    let mut answer = json!({ "channel": workspace.conversation(&channel) });
    if already {
        answer["warning"] = "already_in_channel".into();
    }
    Ok(answer)
}

pub(super) fn open(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    if let Some(id) = args.text("channel") {
        let channel = workspace.channels.get(&id).filter(|channel| channel.with_user.is_some());
        let channel = channel.cloned().ok_or("channel_not_found")?;
        return Ok(opened(workspace, args, &channel, true));
    }
    let users = args.text("users").unwrap_or_default();
    let mut users: Vec<&str> = users.split(',').map(str::trim).filter(|user| !user.is_empty()).collect();
    users.sort_unstable();
    users.dedup();
    match users.len() {
        0 => return Err("users_list_not_supplied".into()),
        1..=8 => {}
        _ => return Err("too_many_users".into()),
    }
    let scope = if users.len() > 1 { "mpim:write" } else { "im:write" };
    if !workspace.has_scope(scope) {
        return Err(Refusal::missing_scope(scope, &workspace.config.scopes));
    }
    for id in &users {
        match workspace.user(id) {
            None if *id == BOT_USER => return Err("invalid_user_combination".into()),
            None => return Err("user_not_found".into()),
            Some(user) if user.deleted => return Err("user_disabled".into()),
            Some(_) => {}
        }
    }
    let joined = users.join(",");
    let known =
        workspace.channels.values().find(|channel| channel.with_user.as_ref() == Some(&joined)).cloned();
    match known {
        Some(channel) => Ok(opened(workspace, args, &channel, true)),
        None if args.flag("prevent_creation") => Err("channel_not_found".into()),
        None => {
            let channel = workspace.open(&users);
            Ok(opened(workspace, args, &channel, false))
        }
    }
}

fn opened(workspace: &Workspace, args: &Args, channel: &Channel, already: bool) -> Value {
    let mut answer = if args.flag("return_im") {
        json!({ "channel": workspace.conversation(channel) })
    } else {
        json!({ "channel": { "id": channel.id } })
    };
    if already {
        answer["no_op"] = true.into();
        answer["already_open"] = true.into();
    }
    answer
}

pub(super) fn members(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let channel = visible(workspace, args, "read")?;
    let from = from_cursor(args, "member:")?.unwrap_or_default();
    let limit = args.number("limit").unwrap_or(100).clamp(1, 999);
    let mut members: Vec<String> =
        workspace.members(&channel).into_iter().filter(|member| *member > from).collect();
    members.sort();
    let more = members.len() > limit;
    members.truncate(limit);
    let next = members.last().filter(|_| more).map(|last| cursor("member:", last)).unwrap_or_default();
    Ok(json!({ "members": members, "response_metadata": { "next_cursor": next } }))
}

/// A channel that the bot may see, if a scope of its kind is there.
fn visible(workspace: &Workspace, args: &Args, access: &str) -> Result<Channel, Refusal> {
    let id = args.text("channel").ok_or_else(|| Refusal::missing_argument("channel"))?;
    let channel = workspace.channels.get(&id).ok_or("channel_not_found")?;
    let scope = channel.scope(access);
    if !workspace.has_scope(&scope) {
        return Err(Refusal::missing_scope(&scope, &workspace.config.scopes));
    }
    if channel.is_private && !channel.bot_is_member {
        return Err("channel_not_found".into());
    }
    Ok(channel.clone())
}

/// A channel whose messages the bot may read: only where it is a member.
fn readable(workspace: &Workspace, args: &Args) -> Result<Channel, Refusal> {
    let channel = visible(workspace, args, "history")?;
    if channel.bot_is_member { Ok(channel) } else { Err("not_in_channel".into()) }
}

/// How many messages a page has.
fn limit(workspace: &mut Workspace, args: &Args, default: usize) -> usize {
    let asked = args.number("limit").unwrap_or(default).clamp(1, 999);
    let most = if workspace.config.restricted_history { RESTRICTED_LIMIT } else { asked };
    workspace.conditions.cursor_page(&mut workspace.dice, asked.min(most))
}

/// A page of messages in the order given, between `oldest` and `latest`.
fn messages<'a>(
    workspace: &Workspace,
    args: &Args,
    channel: &str,
    ordered: impl Iterator<Item = &'a Message>,
    limit: usize,
) -> Outcome {
    let bound = |name: &str, error: &str| match args.text(name) {
        Some(ts) if !ts.is_empty() => micros(&ts).map(Some).ok_or_else(|| Refusal::from(error)),
        _ => Ok(None),
    };
    let oldest = bound("oldest", "invalid_ts_oldest")?;
    let latest = bound("latest", "invalid_ts_latest")?;
    let inclusive = args.flag("inclusive");
    let within = |message: &&Message| {
        let ts = micros(&message.ts).unwrap_or_default();
        oldest.is_none_or(|oldest| ts > oldest || inclusive && ts == oldest)
            && latest.is_none_or(|latest| ts < latest || inclusive && ts == latest)
    };
    let after = from_cursor(args, "next_ts:")?;
    let mut page: Vec<&Message> = ordered.filter(within).collect();
    if let Some(after) = after {
        let Some(at) = page.iter().position(|message| message.ts == after) else {
            return Err("invalid_cursor".into());
        };
        page.drain(..at);
    }
    let next = page.get(limit).map(|message| cursor("next_ts:", &message.ts));
    page.truncate(limit);
    let metadata = args.flag("include_all_metadata");
    let shown: Vec<Value> =
        page.into_iter().map(|message| workspace.shown(channel, message, metadata)).collect();
    let mut answer = json!({ "messages": shown, "has_more": next.is_some() });
    if let Some(next) = next {
        answer["response_metadata"] = json!({ "next_cursor": next });
    }
    Ok(answer)
}

/// Reads a `ts`, or whole seconds, without a binary fraction.
pub(super) fn micros(ts: &str) -> Option<i64> {
    let (secs, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(secs) || !plain(fraction) || fraction.len() > 6 {
        return None;
    }
    secs.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(format!("{fraction:0<6}").parse().ok()?)
}

fn cursor(kind: &str, at: &str) -> String {
    BASE64_STANDARD.encode(format!("{kind}{at}"))
}

fn from_cursor(args: &Args, kind: &str) -> Result<Option<String>, Refusal> {
    let Some(cursor) = args.text("cursor").filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let decoded = BASE64_STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.strip_prefix(kind)) {
        Some(at) => Ok(Some(at.to_owned())),
        None => Err("invalid_cursor".into()),
    }
}
