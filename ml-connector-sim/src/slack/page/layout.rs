//! The page: people and channels at the side, messages in the middle.

use std::{collections::BTreeMap, time::Duration};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{Reader, blocks::block, modal, style::STYLE};
use crate::slack::{
    app::NO_ANSWER,
    ids::{BOT_NAME, BOT_USER},
    inputs,
    message::Message,
    model::{Channel, Ephemeral},
    mrkdwn,
    outbox::ReplyTo,
    workspace::Workspace,
};

/// How soon a page is drawn again, in seconds: at first, while the app may still be at it, and later.
const SOON: u32 = 1;
const LATER: u32 = 5;
/// How long an app may take to change something after it was clicked.
const BUSY: Duration = Duration::from_secs(5);
/// Emojis that can be added with one click.
const QUICK: [&str; 5] = ["white_check_mark", "x", "eyes", "thumbsup", "tada"];

/// The whole page, with the modal that is open for the reader.
pub(super) fn page(reader: &mut Reader<'_>) -> Markup {
    let open = reader.workspace.views.top(&reader.user);
    let refresh = match open {
        Some(view) => modal::waits(view, reader).then_some(SOON),
        None => refresh(reader),
    };
    document(reader, refresh, open.map(|view| modal::modal(view, reader)).as_ref())
}

/// The page with something over it.
pub(super) fn page_under(reader: &Reader<'_>, over: &Markup) -> Markup {
    document(reader, None, Some(over))
}

fn document(reader: &Reader<'_>, refresh: Option<u32>, over: Option<&Markup>) -> Markup {
    let workspace = reader.workspace;
    let title =
        reader.only.as_ref().map_or_else(|| "All channels".to_owned(), |channel| name(channel, workspace));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(secs) = refresh { meta http-equiv="refresh" content=(secs); }
                title { (title) " · " (workspace.config.team_name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (side(reader))
                main {
                    @if let Some(banner) = &reader.banner { p.banner { (banner) } }
                    @if workspace.outbox.url.is_none() {
                        p.banner { "No app is connected: clicks and reactions are sent to nobody." }
                    }
                    @match &reader.only {
                        Some(channel) => (section(channel, reader)),
                        None => @for channel in workspace.channels.values() { (section(channel, reader)) },
                    }
                }
                @if let Some(over) = over { (over) }
            }
        }
    }
}

fn side(reader: &Reader<'_>) -> Markup {
    let workspace = reader.workspace;
    html! {
        nav {
            p.team { (workspace.config.team_name) span { "simulated Slack" } }
            a.current[reader.only.is_none()] href=(reader.path(None)) { "All channels" }
            @for channel in workspace.channels.values() {
                a.current[reader.only.as_ref() == Some(channel)] href=(reader.path(Some(&channel.id))) {
                    (name(channel, workspace))
                    @let count = workspace.messages(&channel.id).len();
                    @if count > 0 { span.count { (count) } }
                }
            }
            p.you { "You are" }
            @for user in workspace.config.users.iter().filter(|user| !user.deleted) {
                a.person.current[user.id == reader.user] href=(super::path(Some(reader.here()), &user.id)) {
                    (user.real_name)
                }
            }
        }
    }
}

fn section(channel: &Channel, reader: &Reader<'_>) -> Markup {
    let workspace = reader.workspace;
    let messages = workspace.messages(&channel.id);
    let visible = !channel.is_private || channel.has(&reader.user);
    let top = messages.iter().filter(|message| message.in_channel());
    let whispers =
        || workspace.ephemerals.iter().filter(|seen| seen.channel == channel.id && seen.user == reader.user);
    let mut lines: Vec<(&str, Markup)> = Vec::new();
    for message in top.filter(|_| visible) {
        lines.push((&message.ts, with_replies(channel, message, reader)));
    }
    lines.extend(whispers().map(|seen| (seen.ts.as_str(), whisper(seen, reader))));
    lines.sort_by_key(|(ts, _)| *ts);
    html! {
        section {
            h1 {
                (name(channel, workspace))
                @if channel.is_private { span { "private" } }
                @if channel.is_archived { span { "archived" } }
                @if !channel.bot_is_member { span { (BOT_NAME) " is not a member" } }
            }
            @if !visible {
                p.empty { "You are not a member." }
            } @else if lines.is_empty() {
                p.empty { "No messages yet." }
            }
            @for (_, line) in &lines { (line) }
            @if visible && reader.only.is_some() { (write(channel, reader)) }
        }
    }
}

/// A box to write in, or the way to it: what is being written would not survive a page that draws itself again.
fn write(channel: &Channel, reader: &Reader<'_>) -> Markup {
    html! {
        @if reader.writes {
            form.write method="post" action="/page/say" {
                (context(channel, "", reader))
                input type="text" name="text" autofocus placeholder={ "Message " (name(channel, reader.workspace)) };
                button.button { "Send" }
            }
        } @else {
            p.note { a href={ (reader.path(Some(&channel.id))) "&write=1" } { "Write a message or a command" } }
        }
    }
}

fn with_replies(channel: &Channel, message: &Message, reader: &Reader<'_>) -> Markup {
    let replies: Vec<&Message> = reader.workspace.replies(&channel.id, &message.ts).collect();
    html! {
        (self::message(channel, message, reader))
        @if !replies.is_empty() {
            div.reply {
                p.note { (replies.len()) @if replies.len() == 1 { " reply" } @else { " replies" } }
                @for reply in replies { (self::message(channel, reply, reader)) }
            }
        }
    }
}

fn message(channel: &Channel, message: &Message, reader: &Reader<'_>) -> Markup {
    let live = !message.tombstone && !channel.is_archived;
    html! {
        article {
            (avatar(&message.user, reader.workspace))
            div.content {
                p.who {
                    b { (author(&message.user, reader.workspace)) }
                    @if message.by_bot() { span.app { "APP" } }
                    time { (clock(message.at)) }
                    // Where blocks are shown Slack does not say that they were changed.
                    @if message.edits() > 0 && message.blocks.is_none() { span { "(edited)" } }
                }
                (content(channel, &message.ts, &message.text, message.blocks.as_ref(), reader))
                (reactions(channel, message, live, reader))
            }
        }
    }
}

fn whisper(seen: &Ephemeral, reader: &Reader<'_>) -> Markup {
    let Some(channel) = reader.workspace.channels.get(&seen.channel) else { return Markup::default() };
    html! {
        article.ephemeral {
            (avatar(BOT_USER, reader.workspace))
            div.content {
                p.note { "Only visible to you" }
                p.who { b { (BOT_NAME) } span.app { "APP" } time { (clock(seen.at)) } }
                (content(channel, &seen.ts, &seen.text, Some(&seen.blocks), reader))
            }
        }
    }
}

/// Text or blocks; the inputs and buttons of one message are one form.
fn content(channel: &Channel, ts: &str, text: &str, blocks: Option<&Value>, reader: &Reader<'_>) -> Markup {
    let place = (reader.user.clone(), channel.id.clone(), ts.to_owned());
    let waits = reader.workspace.outbox.waits(reader.now, |reply_to| {
        matches!(reply_to, ReplyTo::Click { user, channel, ts } if (user, channel, ts) == (&place.0, &place.1, &place.2))
    });
    html! {
        @match blocks.and_then(Value::as_array) {
            Some(blocks) => {
                form method="post" action="/page/click" {
                    (context(channel, ts, reader))
                    @for part in blocks { (block(part, !channel.is_archived, &BTreeMap::new(), reader)) }
                }
            }
            None => p { (mrkdwn::render(text, reader.workspace)) },
        }
        @if waits {
            p.note { "Waiting for the app…" }
        } @else if reader.workspace.troubles.contains(&place) {
            p.trouble { (NO_ANSWER) }
        }
    }
}

fn reactions(channel: &Channel, message: &Message, live: bool, reader: &Reader<'_>) -> Markup {
    if !live && message.reactions.is_empty() {
        return Markup::default();
    }
    html! {
        form.reactions method="post" action="/page/react" {
            (context(channel, &message.ts, reader))
            @for reaction in &message.reactions {
                @let mine = reaction.users.contains(&reader.user);
                @let names: Vec<&str> = reaction.users.iter().map(|user| author(user, reader.workspace)).collect();
                button.mine[mine] name="name" value=(reaction.name) title=(names.join(", "))
                    formaction=[mine.then_some("/page/unreact")] disabled[!live] {
                    (mrkdwn::emoji(&reaction.name)) " " (reaction.users.len())
                }
            }
            @if live {
                span.add {
                    @for name in QUICK.iter().filter(|name| !message.reactions.iter().any(|other| other.name == **name)) {
                        button name="name" value=(name) title={ "Add :" (name) ":" } { (mrkdwn::emoji(name)) }
                    }
                }
            }
        }
    }
}

/// Who does something, where, and where they stand.
fn context(channel: &Channel, ts: &str, reader: &Reader<'_>) -> Markup {
    html! {
        @for (name, value) in
            [("as", reader.user.as_str()), ("here", reader.here()), ("channel", &channel.id), ("ts", ts)]
        {
            input type="hidden" name=(name) value=(value);
        }
    }
}

/// When the page is to draw itself again: not while there is something to fill in, for that would be lost.
fn refresh(reader: &Reader<'_>) -> Option<u32> {
    let workspace = reader.workspace;
    if workspace.outbox.acted.is_some_and(|acted| reader.now < acted + BUSY) {
        return Some(SOON);
    }
    let shown = workspace
        .all_messages()
        .filter(|(channel, _)| reader.only.as_ref().is_none_or(|only| only.id == **channel));
    let mut blocks = shown.filter_map(|(_, message)| message.blocks.as_ref());
    let fills_in = reader.writes || blocks.any(|blocks| inputs::inputs(blocks).next().is_some());
    (!fills_in).then_some(LATER)
}

fn avatar(user: &str, workspace: &Workspace) -> Markup {
    let initial = author(user, workspace).chars().next().unwrap_or('?').to_uppercase();
    html! { div.avatar.bot[user == BOT_USER] { (initial) } }
}

fn author<'a>(user: &'a str, workspace: &'a Workspace) -> &'a str {
    match workspace.user(user) {
        Some(user) => &user.real_name,
        None if user == BOT_USER => BOT_NAME,
        None => user,
    }
}

fn name(channel: &Channel, workspace: &Workspace) -> String {
    match &channel.with_user {
        Some(ids) => ids.split(',').map(|id| author(id, workspace)).collect::<Vec<_>>().join(", "),
        None => format!("# {}", channel.name),
    }
}

fn clock(at: ml_connector_core::Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}
