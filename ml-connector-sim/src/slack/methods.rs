//! The Web API: order of checks, envelope, and who answers what.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    catalog::{Spec, spec},
    limits::RateLimitAnswer,
    refusal::{Outcome, Refusal},
    workspace::Workspace,
};
use crate::toolkit::{buckets::Draw, exchange};

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
    let outcome = authenticate(workspace, &spec, &args, now)
        .and_then(|()| match spec.scope {
            Some(scope) if !workspace.has_scope(scope) => {
                Err(Refusal::missing_scope(scope, &workspace.config.scopes))
            }
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

fn authenticate(workspace: &mut Workspace, spec: &Spec, args: &Args, now: Timestamp) -> Result<(), Refusal> {
    if !spec.needs_token {
        return Ok(());
    }
    if args.token.is_empty() {
        return Err("not_authed".into());
    }
    workspace.tokens.check(&args.token, now)
}

/// The answer to a planted 429.
pub(super) fn throttled(workspace: &mut Workspace, retry_after_secs: Option<u32>) -> Response<Bytes> {
    let body = json!({ "ok": false, "error": "ratelimited" });
    let mut response = with_headers(workspace, StatusCode::TOO_MANY_REQUESTS, &body);
    if let Some(secs) = retry_after_secs {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
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
