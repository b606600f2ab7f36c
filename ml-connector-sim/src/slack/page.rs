//! The page that shows channels as a person would see them. No script, no form, nothing from elsewhere.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{
    SlackSim,
    message::Message,
    model::Channel,
    mrkdwn,
    workspace::{BOT_NAME, BOT_USER, Workspace},
};

/// Answers `/` with all channels and `/channels/{id}` with one.
pub(super) fn answer(sim: &SlackSim, method: &Method, path: &str) -> Response<Bytes> {
    if method != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let page = sim.workspace(|workspace| match path.strip_prefix("/channels/") {
        None if path == "/" => Some(page(workspace, None)),
        None => None,
        Some(id) => {
            let channel = workspace.channels.get(id.trim_end_matches('/'))?.clone();
            Some(page(workspace, Some(&channel)))
        }
    });
    let Some(page) = page else { return status(StatusCode::NOT_FOUND) };
    let mut answer = Response::new(Bytes::from(page.into_string()));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

fn page(workspace: &Workspace, only: Option<&Channel>) -> Markup {
    let title = only.map_or_else(|| "All channels".to_owned(), |channel| name(channel, workspace));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="5";
                title { (title) " · " (workspace.config.team_name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav {
                    p.team { (workspace.config.team_name) span { "simulated Slack" } }
                    a.current[only.is_none()] href="/" { "All channels" }
                    @for channel in workspace.channels.values() {
                        a.current[only == Some(channel)] href={ "/channels/" (channel.id) } {
                            (name(channel, workspace))
                            @let count = workspace.messages(&channel.id).len();
                            @if count > 0 { span.count { (count) } }
                        }
                    }
                }
                main {
                    @match only {
                        Some(channel) => (section(channel, workspace)),
                        None => @for channel in workspace.channels.values() { (section(channel, workspace)) },
                    }
                }
            }
        }
    }
}

fn section(channel: &Channel, workspace: &Workspace) -> Markup {
    let messages = workspace.messages(&channel.id);
    html! {
        section {
            h1 {
                (name(channel, workspace))
                @if channel.is_private { span { "private" } }
                @if channel.is_archived { span { "archived" } }
                @if !channel.bot_is_member { span { (BOT_NAME) " is not a member" } }
            }
            @if messages.is_empty() { p.empty { "No messages yet." } }
            @for message in messages.iter().filter(|message| message.in_channel()) {
                (self::message(message, workspace))
                @let replies = messages
                    .iter()
                    .filter(|reply| reply.thread_ts.as_ref() == Some(&message.ts) && reply.ts != message.ts);
                @for reply in replies { div.reply { (self::message(reply, workspace)) } }
            }
        }
    }
}

fn message(message: &Message, workspace: &Workspace) -> Markup {
    let author = match workspace.user(&message.user) {
        Some(user) => user.real_name.as_str(),
        None if message.user == BOT_USER => BOT_NAME,
        None => message.user.as_str(),
    };
    html! {
        article {
            div.avatar.bot[message.by_bot()] { (author.chars().next().unwrap_or('?').to_uppercase()) }
            div.content {
                p.who {
                    b { (author) }
                    @if message.by_bot() { span.app { "APP" } }
                    time { (clock(message)) }
                    @if message.edits() > 0 { span { "(edited)" } }
                }
                @match message.blocks.as_ref().and_then(Value::as_array) {
                    Some(blocks) => @for block in blocks { (self::block(block, workspace)) },
                    None => p { (mrkdwn::render(&message.text, workspace)) },
                }
            }
        }
    }
}

fn block(block: &Value, workspace: &Workspace) -> Markup {
    let list = |name: &str| block[name].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        @match block["type"].as_str().unwrap_or_default() {
            "header" => h2 { (text(&block["text"], workspace)) },
            "divider" => hr;,
            "section" => {
                div.section {
                    div {
                        @if !block["text"].is_null() { p { (text(&block["text"], workspace)) } }
                        @if !list("fields").is_empty() {
                            div.fields {
                                @for field in list("fields") { div { (text(field, workspace)) } }
                            }
                        }
                    }
                    @if !block["accessory"].is_null() { (element(&block["accessory"], workspace)) }
                }
            }
            "context" => {
                div.context { @for part in list("elements") { span { (element(part, workspace)) } } }
            }
            "actions" => {
                div.actions { @for part in list("elements") { (element(part, workspace)) } }
            }
            "table" => {
                table {
                    @for row in list("rows") {
                        tr { @for cell in row.as_array().into_iter().flatten() { td { (leaves(cell)) } } }
                    }
                }
            }
            "markdown" => p { (block["text"].as_str().unwrap_or_default()) },
            "rich_text" => p { (leaves(block)) },
            other => p.unknown { "[" (other) " block]" },
        }
    }
}

fn element(element: &Value, workspace: &Workspace) -> Markup {
    html! {
        @match element["type"].as_str().unwrap_or_default() {
            "button" => {
                @let style = element["style"].as_str().unwrap_or("plain");
                span class={ "button " (style) } { (text(&element["text"], workspace)) }
            }
            "image" => span.unknown { "[" (element["alt_text"].as_str().unwrap_or("image")) "]" },
            "mrkdwn" | "plain_text" => (text(element, workspace)),
            other => span.unknown { "[" (other) "]" },
        }
    }
}

fn text(object: &Value, workspace: &Workspace) -> Markup {
    let text = object["text"].as_str().unwrap_or_default();
    if object["type"] == "mrkdwn" { mrkdwn::render(text, workspace) } else { mrkdwn::plain(text) }
}

/// The literal texts of a rich text or a cell, however deep.
fn leaves(value: &Value) -> Markup {
    html! {
        @if let Some(text) = value["text"].as_str() {
            (text)
        } @else {
            @for part in value["elements"].as_array().into_iter().flatten() { (leaves(part)) }
        }
    }
}

fn name(channel: &Channel, workspace: &Workspace) -> String {
    match &channel.with_user {
        Some(id) => workspace.user(id).map_or_else(|| id.clone(), |user| user.real_name.clone()),
        None => format!("# {}", channel.name),
    }
}

fn clock(message: &Message) -> String {
    let at = jiff::Timestamp::from_millisecond(message.at.as_millis()).unwrap_or_default();
    at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}

const STYLE: &str = "
*{box-sizing:border-box;margin:0}
body{display:flex;min-height:100vh;font:15px/1.5 system-ui,'Segoe UI',Roboto,'Noto Sans',sans-serif;color:#1f2328;background:#fff}
nav{width:240px;flex:none;padding:20px 12px;background:#f6f5f8;border-right:1px solid #e6e3ea}
nav .team{padding:0 10px 14px;font-weight:700}
nav .team span{display:block;font-size:12px;font-weight:400;color:#77727f}
nav a{display:flex;justify-content:space-between;gap:8px;padding:5px 10px;border-radius:6px;color:#3b3641;text-decoration:none}
nav a:hover{background:#ece9f0}
nav a.current{background:#e2dcec;font-weight:600}
nav .count{font-size:12px;color:#77727f;font-weight:400}
main{flex:1;min-width:0;padding:20px 32px 60px;max-width:900px}
section{margin-bottom:36px}
h1{font-size:17px;padding-bottom:10px;margin-bottom:6px;border-bottom:1px solid #e6e3ea}
h1 span{margin-left:10px;font-size:12px;font-weight:400;color:#77727f}
h2{font-size:16px;line-height:1.35;margin:2px 0 4px}
article{display:flex;gap:12px;padding:10px 0}
.reply{margin-left:48px;padding-left:14px;border-left:2px solid #e6e3ea}
.avatar{flex:none;width:36px;height:36px;border-radius:8px;background:#c9d6e8;color:#33507a;font-weight:700;text-align:center;line-height:36px}
.avatar.bot{background:#d9cfe8;color:#573a86}
.content{flex:1;min-width:0;overflow-wrap:anywhere}
.who{display:flex;align-items:baseline;gap:8px}
.who time,.who span{font-size:12px;color:#77727f}
.who .app{padding:0 4px;border-radius:3px;background:#eceaf0;font-size:10px;font-weight:600;letter-spacing:.04em}
.section{display:flex;justify-content:space-between;gap:16px;margin:4px 0}
.section>div{flex:1;min-width:0}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:8px 24px;max-width:620px}
.context{display:flex;flex-wrap:wrap;gap:4px 12px;margin:4px 0;font-size:13px;color:#66616e}
.actions{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0 4px}
.button{padding:4px 12px;border:1px solid #c9c4d1;border-radius:6px;font-size:13px;font-weight:600;white-space:nowrap;align-self:flex-start}
.button.primary{background:#1c7a5a;border-color:#1c7a5a;color:#fff}
.button.danger{border-color:#c2334d;color:#c2334d}
.mention{padding:0 2px;border-radius:3px;background:#e8f1fb;color:#1a5fa8}
.unknown,.empty{color:#77727f;font-size:13px}
a{color:#1a5fa8}
hr{border:0;border-top:1px solid #e6e3ea;margin:8px 0}
code{padding:0 4px;border:1px solid #e6e3ea;border-radius:4px;background:#f8f7fa;font-size:13px}
pre{padding:8px 10px;border:1px solid #e6e3ea;border-radius:6px;background:#f8f7fa;font-size:13px;white-space:pre-wrap}
blockquote{padding-left:10px;border-left:3px solid #d8d4de;color:#55505c}
table{margin:6px 0;border-collapse:collapse;font-size:14px}
td{padding:4px 12px;border:1px solid #e0dde5}
tr:first-child td{background:#f8f7fa;font-weight:600}
@media(max-width:700px){body{display:block}nav{width:auto;border-right:0;border-bottom:1px solid #e6e3ea}main{padding:16px}.fields{grid-template-columns:1fr}}
";
