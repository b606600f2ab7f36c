//! One step of a story in words.

use maud::{Markup, html};
use ml_connector_core::{
    engine::{Step, StepKind},
    model::LeftOut,
};

use crate::{asked::Asked, text::safe, time::span};

/// The longest reason that is shown.
const LONGEST: usize = 400;

/// A mark, a color and words for a step. Values of records are not among them.
pub(crate) fn step(asked: &Asked, step: &Step) -> (&'static str, &'static str, Markup) {
    let (class, mark, words) = told(asked, step);
    let took = step.to.map(|to| to.saturating_since(step.from));
    let shows_took = matches!(step.what, StepKind::Called { .. } | StepKind::Waited { .. });
    let words = html! {
        (words)
        @if let Some(took) = took && shows_took { span.faint { " " (span(took)) } }
        @if let Some(link) = step.link {
            " " a href=(asked.href(&format!("/event/{link}"), &[])) { "#" (link.0) }
        }
        @if let Some(why) = &step.why && !matches!(step.what, StepKind::Act { .. }) {
            span.why { ": " (safe(why, LONGEST)) }
        }
    };
    (class, mark, words)
}

fn told(asked: &Asked, step: &Step) -> (&'static str, &'static str, Markup) {
    let s = |text: &str| safe(text, 120);
    match &step.what {
        StepKind::Received { method, target, bytes, sha256 } => (
            "in",
            "↓",
            html! {
                @if step.why.is_some() { "Bytes came in and could not be used. " } @else { "Bytes came in, were verified and stored. " }
                code { (s(method)) " " (s(target)) } " "
                span.faint { (bytes) " bytes, SHA-256 " code title=(sha256) { (sha256.get(..12).unwrap_or(sha256)) "…" } }
            },
        ),
        StepKind::Asked => ("in", "↓", html! { "The connector itself asked for a look." }),
        StepKind::Repeated { count } => {
            ("calm", "≡", html! { "The same came again (" (count) "×) and was not stored twice." })
        }
        StepKind::Called { call } => (
            if call.error.is_some() { "bad" } else { "call" },
            "⇅",
            html! {
                "Asked the vendor: " code { (s(&call.operation)) }
                @for wait in &call.waits {
                    ", after " (span(wait.until.saturating_since(wait.since))) " for room in " code { (s(&wait.key)) }
                }
            },
        ),
        StepKind::Waited { key } => {
            ("wait", "◷", html! { "Waited for room in the limit " code { (s(key)) } })
        }
        StepKind::Answered { signals } => {
            ("calm", "≡", html! { "The same read answered " (signals.len()) " more signals." })
        }
        StepKind::Event { name, changed, left_out } => (
            "event",
            "✎",
            html! {
                @if is_own(name) { "Told of its own work: " } @else { "Read the record: " } b { (s(name)) }
                @if !changed.is_empty() {
                    ". Changed: "
                    @for (i, change) in changed.iter().take(20).enumerate() {
                        @if i > 0 { ", " }
                        code { (s(&change.field)) }
                        @match (&change.before, &change.after) {
                            (None, Some(_)) => " (new)",
                            (Some(_), None) => " (gone)",
                            _ => "",
                        }
                    }
                    @if changed.len() > 20 { " and " (changed.len() - 20) " more" }
                }
                @if !left_out.is_empty() { ". Could not be read and was left out: " (left(left_out)) }
            },
        ),
        StepKind::Routed { matched, others } => (
            if matched.is_empty() { "calm" } else { "event" },
            "⑂",
            html! {
                @if matched.is_empty() { (if asked.scoped.grant().sees_all() { "No route takes it." } else { "No route that you see takes it." }) } @else {
                    "Taken by "
                    @for (i, name) in matched.iter().enumerate() { @if i > 0 { ", " } b { (s(name)) } }
                }
                @if !others.is_empty() {
                    details {
                        summary { @if others.len() == 1 { "1 other route does not take it" } @else { (others.len()) " other routes do not take it" } }
                        ul { @for (name, why) in others.iter().take(50) { li { b { (s(name)) } ": " (why.to_string()) } } }
                    }
                }
            },
        ),
        StepKind::FannedOut { route, destination, schedule } => (
            "out",
            "→",
            html! {
                "To " b { (s(destination)) } " by the route " b { (s(route)) }
                @if let Some(schedule) = schedule { ", " (s(schedule)) }
            },
        ),
        StepKind::Act { name } => ("calm", "☝", html! { "Somebody did: " b { (s(name)) } }),
        StepKind::Begun { attempt } => ("call", "▸", html! { "Attempt " (attempt) " began" }),
        StepKind::Retry { due, uncertain } => (
            "wait",
            "↻",
            html! {
                @if *uncertain { b { "It is unknown whether it arrived. " } }
                "Tried again at " (asked.when(*due, &step.connection))
            },
        ),
        StepKind::Parked => ("bad", "‖", html! { b { "Waits until somebody repairs something" } }),
        StepKind::Done { receipt, url } => (
            "good",
            "✓",
            html! {
                b { "Done" }
                @if let Some(receipt) = receipt { ", receipt " code.copy { (s(receipt)) } }
                @if let Some(url) = url { ", " (elsewhere(url)) }
            },
        ),
        StepKind::Dead => ("bad", "✕", html! { b { "Given up" } }),
        StepKind::Dropped => ("calm", "–", html! { "Nothing had to be done" }),
        StepKind::Acknowledged { by } => ("calm", "☝", html! { (s(by)) " knows of it" }),
        StepKind::Cancelled { by } => ("calm", "⊘", html! { "Cancelled by " (s(by)) }),
        StepKind::Discarded { by } => ("calm", "⊘", html! { "Left undone by " (s(by)) }),
        StepKind::Replayed => ("calm", "↻", html! { "Sent again as" }),
        other => ("calm", "·", html! { (s(&format!("{other:?}"))) }),
    }
}

/// A link out of the console, to what a receipt names.
pub(crate) fn elsewhere(url: &str) -> Markup {
    html! { a href=(url) rel="noreferrer" { "open it there ↗" } }
}

/// Whether an event is about the connector's own work, and not about a record.
fn is_own(name: &str) -> bool {
    let kind = name.split('.').next().unwrap_or_default();
    matches!(kind, "delivery" | "signal" | "connection" | "feed" | "webhook")
}

fn left(left_out: &[LeftOut]) -> String {
    let names: Vec<String> = left_out.iter().take(10).map(|one| safe(&one.to_string(), 80)).collect();
    names.join(", ")
}
