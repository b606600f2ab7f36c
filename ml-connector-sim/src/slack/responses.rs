//! `response_url`s: how the app answers the person who clicked, without a token.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    chat::{self, Content},
    ids::{BOT_USER, digits},
    message::Message,
    model::Ephemeral,
    refusal::Refusal,
    response_urls::ResponseUrl,
    workspace::Workspace,
};
use crate::toolkit::{buckets::Draw, exchange};

/// "Handling user interaction" page: how often and how long a URL can be used.
const USES: u32 = 5;
const LIFE: Duration = Duration::from_secs(30 * 60);

impl Workspace {
    /// The path of a new URL.
    pub(super) fn response_path(
        &mut self,
        kind: &str,
        user: &str,
        channel: &str,
        ts: &str,
        now: Timestamp,
    ) -> String {
        let drawn = self.seed.hex();
        let path = format!("/{kind}/{}/{}/{}", self.config.team_id, digits(&drawn), &drawn[40..]);
        let url = ResponseUrl {
            user: user.to_owned(),
            channel: channel.to_owned(),
            ts: ts.to_owned(),
            issued: now,
            uses: 0,
        };
        self.responses.0.insert(path.clone(), url);
        path
    }
}

/// Answers a request to one of the URLs.
pub(super) fn answer(workspace: &mut Workspace, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
    let path = request.uri().path();
    let Some(url) = workspace.responses.0.get(path).cloned() else {
        return refused(StatusCode::NOT_FOUND, &"no_such_url".into());
    };
    if request.method() != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, &"invalid_post_type".into());
    }
    if url.issued + LIFE <= now {
        return refused(StatusCode::NOT_FOUND, &"expired_url".into());
    }
    if url.uses >= USES {
        return refused(StatusCode::NOT_FOUND, &"used_url".into());
    }
    let post = Draw {
        key: format!("post {}", url.channel),
        at_once: workspace.config.channel_burst,
        interval_ms: 1000,
    };
    if let Err(secs) = workspace.limiter.admit(&[post], now) {
        let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, &"ratelimited".into());
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        return answer;
    }
    let outcome =
        Args::read(request).map_err(Refusal::from).and_then(|args| respond(workspace, &url, &args, now));
    match outcome {
        Ok(()) => {
            if let Some(url) = workspace.responses.0.get_mut(path) {
                url.uses += 1;
            }
            exchange::json(StatusCode::OK, "application/json; charset=utf-8", json!({ "ok": true }))
        }
        Err(refusal) => refused(StatusCode::BAD_REQUEST, &refusal),
    }
}

fn refused(status: StatusCode, Refusal(fields): &Refusal) -> Response<Bytes> {
    let body = json!({ "ok": false, "error": fields["error"] });
    exchange::json(status, "application/json; charset=utf-8", body)
}

fn respond(workspace: &mut Workspace, url: &ResponseUrl, args: &Args, now: Timestamp) -> Result<(), Refusal> {
    let content = match Content::read(workspace, args) {
        Ok(content) => Some(content),
        Err(Refusal(fields)) if fields["error"] == "no_text" && args.flag("delete_original") => None,
        Err(refusal) => return Err(refusal),
    };
    if args.flag("delete_original") {
        delete_original(workspace, url);
    }
    let Some(content) = content else { return Ok(()) };
    if args.flag("replace_original") && !url.ts.is_empty() {
        return replace_original(workspace, url, content, now);
    }
    let thread_ts = args.text("thread_ts");
    if args.text("response_type").as_deref() == Some("in_channel") {
        let mut message = Message::new(BOT_USER, content.text, now);
        (message.blocks, message.attachments, message.thread_ts) =
            (content.blocks, content.attachments, thread_ts);
        workspace.store(&url.channel, message);
    } else {
        workspace.whisper(chat::whispered(&url.channel, &url.user, thread_ts, content, now));
    }
    Ok(())
}

fn replace_original(
    workspace: &mut Workspace,
    url: &ResponseUrl,
    content: Content,
    now: Timestamp,
) -> Result<(), Refusal> {
    let edited = workspace.stamp(now);
    if let Some(message) = workspace.message_mut(&url.channel, &url.ts) {
        message.keep_revision(now, edited);
        (message.text, message.blocks) = (content.text, content.blocks);
        return Ok(());
    }
    // What only one person sees stays so.
    let original = workspace.ephemerals.iter_mut().find(|ephemeral| is_original(ephemeral, url));
    let original = original.ok_or("message_not_found")?;
    original.text = content.text;
    original.blocks = content.blocks.unwrap_or(Value::Null);
    Ok(())
}

fn delete_original(workspace: &mut Workspace, url: &ResponseUrl) {
    workspace.remove(&url.channel, &url.ts);
    workspace.ephemerals.retain(|ephemeral| !is_original(ephemeral, url));
}

fn is_original(ephemeral: &Ephemeral, url: &ResponseUrl) -> bool {
    ephemeral.ts == url.ts && ephemeral.channel == url.channel && ephemeral.user == url.user
}
