//! What Slack's control surface has beyond faults.

use http::Method;
use ml_connector_core::Result;
use serde_json::{Value, json};

use super::{SlackSim, interact::Interaction};
use crate::toolkit::control::unknown;

/// Answers a call below `/_sim`.
pub(super) fn act(sim: &SlackSim, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let inputs: Vec<(&str, &str)> = body["inputs"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(block, value)| Some((block.as_str(), value.as_str()?)))
        .collect();
    let done = |()| json!({ "ok": true });
    let begun =
        |begun: Interaction| json!({ "trigger_id": begun.trigger_id, "response_url": begun.response_url });
    match (method, segments) {
        (&Method::GET, ["report"]) => Ok(report(sim)),
        (&Method::GET, ["attempts"]) => Ok(attempts(sim)),
        (&Method::GET, ["channels", channel, "messages"]) => Ok(messages(sim, channel)),
        (&Method::GET, ["users", user, "ephemerals"]) => {
            let seen = sim.ephemerals(user).into_iter();
            let seen = seen.map(|seen| json!({ "channel": seen.channel, "ts": seen.ts, "text": seen.text }));
            Ok(json!({ "ephemerals": seen.collect::<Vec<_>>() }))
        }
        (&Method::GET, ["users", user, "views"]) => {
            let views = sim.views(user).into_iter().map(|view| {
                json!({ "id": view.id, "callback_id": view.callback_id(), "open": view.is_open, "errors": view.errors })
            });
            Ok(json!({ "views": views.collect::<Vec<_>>() }))
        }
        (&Method::POST, ["channels", channel, "messages"]) => {
            sim.say(channel, text("user"), text("text"));
            Ok(done(()))
        }
        (&Method::POST, ["channels", channel, "messages", ts, "clicks"]) => {
            sim.click_with(channel, ts, text("action_id"), text("user"), &inputs).map(begun)
        }
        (&Method::POST, ["channels", channel, "messages", ts, "reactions"]) => {
            sim.react(text("user"), channel, ts, text("name")).map(done)
        }
        (&Method::DELETE, ["channels", channel, "messages", ts, "reactions"]) => {
            sim.unreact(text("user"), channel, ts, text("name")).map(done)
        }
        (&Method::POST, ["channels", channel, "commands"]) => {
            sim.command(channel, text("user"), text("command"), text("text")).map(begun)
        }
        (&Method::POST, ["channels", channel, "name"]) => {
            sim.rename_channel(channel, text("name"));
            Ok(done(()))
        }
        (&Method::POST, ["channels", channel, "archive"]) => {
            sim.archive_channel(channel, text("user"));
            Ok(done(()))
        }
        (&Method::POST, ["views", view, "submission"]) => {
            sim.submit_view(text("user"), view, &inputs).map(begun)
        }
        (&Method::POST, ["views", view, "close"]) => sim.close_view(text("user"), view).map(done),
        (&Method::POST, ["uninstall"]) => {
            sim.uninstall();
            Ok(done(()))
        }
        _ => Err(unknown()),
    }
}

fn report(sim: &SlackSim) -> Value {
    json!({
        "requests": sim.received().len(),
        "limit_violations": sim.limit_violations(),
        "ignored_retry_afters": sim.ignored_retry_afters(),
        "duplicates": sim.duplicates(),
        "faults_waiting": sim.faults_waiting(),
        "attempts": sim.attempts().len(),
        "events_cut_off": sim.events_cut_off(),
    })
}

fn messages(sim: &SlackSim, channel: &str) -> Value {
    let messages = sim.posts(channel).into_iter().map(|post| {
        let reactions: Vec<Value> = post
            .reactions
            .iter()
            .map(|reaction| json!({ "name": reaction.name, "users": reaction.users }))
            .collect();
        json!({
            "ts": post.ts, "thread_ts": post.thread_ts, "user": post.user, "text": post.text,
            "blocks": post.blocks, "delivery_id": post.delivery_id(), "edits": post.edits,
            "reactions": reactions,
        })
    });
    json!({ "messages": messages.collect::<Vec<_>>() })
}

fn attempts(sim: &SlackSim) -> Value {
    let attempts = sim.attempts().into_iter().map(|attempt| {
        json!({
            "name": attempt.about.name, "id": attempt.about.id, "number": attempt.number,
            "latency_ms": u64::try_from(attempt.latency.as_millis()).unwrap_or(u64::MAX),
            "status": attempt.status.map(|status| status.as_u16()), "failure": attempt.failure,
            "body": attempt.body,
        })
    });
    json!({ "attempts": attempts.collect::<Vec<_>>() })
}
