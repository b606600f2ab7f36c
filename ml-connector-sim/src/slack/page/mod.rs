//! The page on which people use the workspace: plain forms, no script, nothing from elsewhere.

mod blocks;
mod consent;
mod forms;
mod layout;
mod modal;
mod style;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use maud::Markup;
use ml_connector_core::Timestamp;

use super::{SlackSim, model::Channel, workspace::Workspace};

/// Who looks, at what.
pub(super) struct Reader<'a> {
    workspace: &'a Workspace,
    /// A user id.
    user: String,
    now: Timestamp,
    /// One channel instead of all.
    only: Option<Channel>,
    /// Whether a box to write in is shown.
    writes: bool,
    /// What went wrong with what they did last.
    banner: Option<String>,
}

impl Reader<'_> {
    /// The page of a channel, or of all, for the same person.
    fn path(&self, channel: Option<&str>) -> String {
        path(channel, &self.user)
    }

    /// Where the reader is.
    fn here(&self) -> &str {
        self.only.as_ref().map_or("", |channel| channel.id.as_str())
    }
}

fn path(channel: Option<&str>, user: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("as", user).finish();
    match channel.filter(|channel| !channel.is_empty()) {
        Some(channel) => format!("/channels/{channel}?{query}"),
        None => format!("/?{query}"),
    }
}

/// Answers `/` with all channels, `/channels/{id}` with one, and what is sent from there.
pub(super) fn answer(sim: &SlackSim, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    match (request.method(), path.strip_prefix("/page/")) {
        (&Method::POST, Some("allow")) => consent::decide(sim, request.body(), true),
        (&Method::POST, Some("refuse")) => consent::decide(sim, request.body(), false),
        (&Method::POST, Some(action)) => forms::answer(sim, action, request.body()),
        (&Method::GET, None) if path == "/oauth/v2/authorize" => {
            consent::ask(sim, request.uri().query().unwrap_or_default().as_bytes())
        }
        (&Method::GET, None) => {
            let channel = match path.strip_prefix("/channels/") {
                Some(id) => id.trim_end_matches('/'),
                None if path == "/" => "",
                None => return empty(StatusCode::NOT_FOUND),
            };
            let query: Vec<_> =
                url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
            let value = |name: &str| query.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
            show(sim, channel, value("as").unwrap_or_default(), |reader| {
                reader.writes = value("write").is_some();
                layout::page(reader)
            })
        }
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Draws the page of a channel, or of all, for a person; by default the first.
fn show(
    sim: &SlackSim,
    channel: &str,
    user: &str,
    draw: impl FnOnce(&mut Reader<'_>) -> Markup,
) -> Response<Bytes> {
    let now = sim.now();
    let page = sim.workspace(|workspace| {
        let only = match channel {
            "" => None,
            id => Some(workspace.channels.get(id)?.clone()),
        };
        let user = workspace.user(user).or_else(|| workspace.config.users.first());
        let user = user.map(|user| user.id.clone()).unwrap_or_default();
        Some(draw(&mut Reader { workspace, user, now, only, writes: false, banner: None }))
    });
    let Some(page) = page else { return empty(StatusCode::NOT_FOUND) };
    let mut answer = Response::new(Bytes::from(page.into_string()));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

/// What the person does next is asked for by GET, so that going back repeats nothing.
fn see_other(to: &str) -> Response<Bytes> {
    let mut answer = empty(StatusCode::SEE_OTHER);
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}
