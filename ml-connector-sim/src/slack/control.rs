//! What Slack's control surface has beyond faults.

use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::Result;
use serde_json::{Value, json};

use super::SlackSim;
use crate::control::{self, unknown};

/// Answers a call below `/_sim`.
pub(super) fn answer(sim: &SlackSim, request: &Request<Bytes>) -> Response<Bytes> {
    control::answer(request, &sim.shared.faults, |method, segments, body| act(sim, method, segments, body))
}

fn act(sim: &SlackSim, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    match segments {
        ["report"] if method == Method::GET => Ok(json!({
            "requests": sim.received().len(),
            "limit_violations": sim.limit_violations(),
            "ignored_retry_afters": sim.ignored_retry_afters(),
            "duplicates": sim.duplicates(),
            "faults_waiting": sim.faults_waiting(),
        })),
        ["channels", channel, "messages"] if method == Method::GET => {
            let messages: Vec<Value> = sim
                .posts(channel)
                .into_iter()
                .map(|post| {
                    json!({
                        "ts": post.ts, "thread_ts": post.thread_ts, "user": post.user, "text": post.text,
                        "delivery_id": post.delivery_id(), "edits": post.edits,
                    })
                })
                .collect();
            Ok(json!({ "messages": messages }))
        }
        ["channels", channel, "messages"] if method == Method::POST => {
            sim.say(channel, text("user"), text("text"));
            Ok(json!({ "ok": true }))
        }
        _ => Err(unknown()),
    }
}
