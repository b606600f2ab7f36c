//! The Web API: order of checks, envelope, and who answers what.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    chat, conversations,
    limits::{Draw, RateLimitAnswer},
    workspace::{BOT_ID, BOT_USER, Workspace},
};
use crate::exchange;

/// What a method answers: its fields, or why not.
pub(super) type Outcome = Result<Value, Refusal>;

/// `{"ok":false,"error":…}` with what comes along.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Value);

impl Refusal {
    pub(super) fn with_messages(error: &str, messages: &[String]) -> Self {
        let shown: Vec<String> = messages.iter().map(|message| format!("[ERROR] {message}")).collect();
        Self(json!({ "error": error, "errors": messages, "response_metadata": { "messages": shown } }))
    }

    pub(super) fn missing_argument(name: &str) -> Self {
        Self(json!({
            "error": "invalid_arguments",
            "response_metadata": { "messages": [format!("[ERROR] missing required field: {name}")] },
        }))
    }

    pub(super) fn missing_scope(needed: &str, workspace: &Workspace) -> Self {
        let provided = workspace.config.scopes.join(",");
        Self(json!({ "error": "missing_scope", "needed": needed, "provided": provided }))
    }
}

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self(json!({ "error": error }))
    }
}

/// What is known of a method before it runs.
struct Spec {
    takes_json: bool,
    only_post: bool,
    /// Calls a minute; `None` where posting's own limits hold.
    per_minute: Option<u32>,
    scope: Option<&'static str>,
    run: fn(&mut Workspace, &Args, Timestamp) -> Outcome,
}

fn spec(method: &str) -> Option<Spec> {
    let read = |per_minute, run| Spec {
        takes_json: false,
        only_post: false,
        per_minute: Some(per_minute),
        scope: None,
        run,
    };
    Some(match method {
        "auth.test" => Spec { takes_json: true, ..read(600, auth_test) },
        "chat.postMessage" => Spec {
            takes_json: true,
            only_post: true,
            per_minute: None,
            scope: Some("chat:write"),
            run: chat::post_message,
        },
        "chat.update" => {
            Spec { takes_json: true, only_post: true, scope: Some("chat:write"), ..read(50, chat::update) }
        }
        "conversations.history" => Spec { takes_json: true, ..read(50, conversations::history) },
        "conversations.replies" => read(50, conversations::replies),
        "conversations.list" => read(20, conversations::list),
        "conversations.info" => read(50, conversations::info),
        "conversations.join" => Spec {
            takes_json: true,
            only_post: true,
            scope: Some("channels:join"),
            ..read(50, conversations::join)
        },
        "users.lookupByEmail" => Spec { scope: Some("users:read.email"), ..read(50, lookup_by_email) },
        _ => return None,
    })
}

/// Answers a call. The real order of checks is not published; this is the sheet's.
pub(super) fn answer(
    workspace: &mut Workspace,
    method: &str,
    request: &Request<Bytes>,
    args: Result<Args, &'static str>,
    now: Timestamp,
) -> Response<Bytes> {
    let Some(spec) = spec(method) else { return envelope(workspace, Err("unknown_method".into()), &[]) };
    if spec.only_post && request.method() != Method::POST {
        return envelope(workspace, Err("invalid_post_type".into()), &[]);
    }
    let mut args = match args {
        Ok(args) => args,
        Err(error) => return envelope(workspace, Err(error.into()), &[]),
    };
    if args.json_body && !spec.takes_json {
        args.make_invisible();
    }
    let draws = draws(workspace, method, &spec, &args);
    if let Err(secs) = workspace.limiter.admit(&draws, now) {
        return limited(workspace, secs);
    }
    let outcome = authenticate(workspace, request, &args)
        .and_then(|()| match spec.scope {
            Some(scope) if !workspace.has_scope(scope) => Err(Refusal::missing_scope(scope, workspace)),
            _ => Ok(()),
        })
        .and_then(|()| (spec.run)(workspace, &args, now));
    envelope(workspace, outcome, &args.warnings)
}

fn draws(workspace: &Workspace, method: &str, spec: &Spec, args: &Args) -> Vec<Draw> {
    let restricted = workspace.config.restricted_history
        && matches!(method, "conversations.history" | "conversations.replies");
    match spec.per_minute {
        Some(_) if restricted => vec![Draw { key: method.to_owned(), at_once: 1, interval_ms: 60_000 }],
        Some(calls) => vec![Draw::per_minute(method.to_owned(), calls)],
        None => {
            let target = args.text("channel").unwrap_or_default();
            let channel = workspace.find(&target).map_or(target.as_str(), |channel| channel.id.as_str());
            vec![
                Draw {
                    key: format!("post {channel}"),
                    at_once: workspace.config.channel_burst,
                    interval_ms: 1000,
                },
                Draw::per_minute("post".to_owned(), workspace.config.posts_per_minute),
            ]
        }
    }
}

fn authenticate(workspace: &Workspace, request: &Request<Bytes>, args: &Args) -> Result<(), Refusal> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    let in_form = if args.json_body { None } else { args.text("token") };
    let token = match header {
        Some(header) => header.strip_prefix("Bearer ").map(str::to_owned),
        None => in_form,
    };
    match token {
        None => Err("not_authed".into()),
        Some(token) if token != workspace.token => Err("invalid_auth".into()),
        Some(_) if workspace.uninstalled => Err("account_inactive".into()),
        Some(_) => Ok(()),
    }
}

fn limited(workspace: &mut Workspace, secs: u32) -> Response<Bytes> {
    match workspace.config.rate_limit_answer {
        RateLimitAnswer::WithinOk => envelope(workspace, Err("rate_limited".into()), &[]),
        answer => {
            let body = match answer {
                RateLimitAnswer::RateLimited => {
                    json!({ "retry_after": secs, "ok": false, "error": "rate_limited" })
                }
                _ => json!({ "ok": false, "error": "ratelimited" }),
            };
            let mut response = with_headers(workspace, StatusCode::TOO_MANY_REQUESTS, &body);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
            response
        }
    }
}

fn envelope(workspace: &mut Workspace, outcome: Outcome, warnings: &[&str]) -> Response<Bytes> {
    let mut body = match outcome {
        Ok(mut fields) => {
            fields["ok"] = true.into();
            fields
        }
        Err(Refusal(mut fields)) => {
            fields["ok"] = false.into();
            fields
        }
    };
    let mut all: Vec<String> = body["warning"].as_str().map(str::to_owned).into_iter().collect();
    all.extend(warnings.iter().map(|warning| (*warning).to_owned()));
    if !all.is_empty() {
        body["warning"] = all.join(",").into();
        body["response_metadata"]["warnings"] = all.into();
    }
    with_headers(workspace, StatusCode::OK, &body)
}

fn with_headers(workspace: &mut Workspace, status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = exchange::json(status, "application/json; charset=utf-8", body);
    let id = workspace.seed.hex();
    for (name, value) in
        [("x-slack-req-id", &id[..32]), ("x-oauth-scopes", &workspace.config.scopes.join(","))]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn auth_test(workspace: &mut Workspace, _: &Args, _: Timestamp) -> Outcome {
    let config = &workspace.config;
    Ok(json!({
        "url": format!("https://{}.slack.com/", config.team_name.to_ascii_lowercase()),
        "team": config.team_name,
        "user": "mlconnector",
        "team_id": config.team_id,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": false,
    }))
}

fn lookup_by_email(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let email = args.text("email").ok_or_else(|| Refusal::missing_argument("email"))?;
    let user = workspace.config.users.iter().find(|user| user.email.eq_ignore_ascii_case(email.trim()));
    let user = user.ok_or("users_not_found")?;
    Ok(json!({ "user": {
        "id": user.id,
        "team_id": workspace.config.team_id,
        "name": user.email.split('@').next(),
        "deleted": user.deleted,
        "real_name": user.real_name,
        "tz": "Europe/Amsterdam",
        "tz_offset": 3600,
        "profile": { "real_name": user.real_name, "display_name": user.real_name, "email": user.email },
        "is_admin": false,
        "is_owner": false,
        "is_restricted": false,
        "is_ultra_restricted": false,
        "is_bot": false,
        "is_app_user": false,
        "is_email_confirmed": true,
        "updated": 1_764_547_200,
    } }))
}
