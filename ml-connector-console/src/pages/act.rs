//! An act: shown with its numbers, confirmed, done.

use http::StatusCode;
use maud::{Markup, html};

use super::wanted::{FIELDS, How, MOST, Plan, Wanted};
use crate::{
    answer::{Answer, Refusal},
    asked::Asked,
    security::hex,
    show::{Tab, many, page, state},
    text::safe,
};

/// How many entries are listed before the act.
const LISTED: usize = 10;
/// The longest reason that is kept.
const LONGEST_WHY: usize = 300;

/// What would be done.
pub(crate) async fn confirm(asked: &Asked) -> Result<Answer, Refusal> {
    asked.scoped.may_act()?;
    let plan = Wanted::of(asked).await?.plan(asked).await?;
    Ok(confirmation(asked, &plan, None).await?.into())
}

/// Does it, if it is still what was confirmed.
pub(crate) async fn perform(asked: &Asked) -> Result<Answer, Refusal> {
    asked.scoped.may_act()?;
    let plan = Wanted::of(asked).await?.plan(asked).await?;
    let token = asked.params.get("token").unwrap_or_default();
    let key = asked.scoped.key().await?;
    if !key.is_good(token, &plan.bound(asked), asked.now) {
        let what = "This is not what was confirmed any more: the entries have changed meanwhile, or more than ten minutes \
                    have passed. Nothing was done. Look again.";
        return Ok(Answer::Page(StatusCode::CONFLICT, confirmation(asked, &plan, Some(what)).await?));
    }
    let why = asked.params.get("why").unwrap_or_default();
    let why: String = why.chars().take(LONGEST_WHY).collect();
    if needs_reason(&plan) && why.is_empty() {
        let what = "Say why: whoever looks at the log later has to know.";
        return Ok(Answer::Page(StatusCode::BAD_REQUEST, confirmation(asked, &plan, Some(what)).await?));
    }
    if plan.count == 0 {
        return Err(Refusal::bad("there is nothing to do"));
    }
    let nonce = format!("console {}", hex(&crate::security::digest(&[], &[token])[..16]));
    let acted = asked.scoped.act(plan.act(&nonce, &why)).await?;
    let connection = asked.params.get("connection").unwrap_or_default();
    let entry = acted.entry.map(|seq| seq.to_string()).unwrap_or_default();
    let params = [("connection", connection), ("entry", &*entry)];
    Ok(Answer::See(asked.href(&format!("/acted/{}", acted.act), &params)))
}

fn needs_reason(plan: &Plan) -> bool {
    matches!(&plan.wanted, Wanted::Entries { how: How::Acknowledge | How::Discard | How::Cancel, .. })
}

async fn confirmation(asked: &Asked, plan: &Plan, problem: Option<&str>) -> Result<Markup, Refusal> {
    let token = asked.scoped.key().await?.issue(&plan.bound(asked), asked.now);
    let words = Words::of(plan);
    let lead = html! { (words.lead) " Nothing has happened yet." };
    let body = html! {
        @if let Some(problem) = problem { p.problem role="alert" { span.mark aria-hidden="true" { "!" } " " (problem) } }
        @if let Wanted::Entries { .. } = plan.wanted { (entries(asked, plan)) }
        @if plan.count == 0 {
            p.empty { "Nothing of this can be done any more." }
        } @else {
            form.confirm method="post" action=(asked.href("/act", &[])) {
                @for name in FIELDS {
                    @if let Some(value) = asked.params.get(name) { input type="hidden" name=(name) value=(value); }
                }
                input type="hidden" name="token" value=(token);
                @if needs_reason(plan) {
                    label for="why" { "Why? The log keeps it, with your name." }
                    input #why name="why" type="text" maxlength=(LONGEST_WHY) required;
                }
                div.buttons {
                    button.main type="submit" { (words.button) }
                    a.button href=(asked.href(if matches!(plan.wanted, Wanted::Backfill { .. }) { "/backfills" } else { "/trouble" }, &[])) { "Leave it" }
                }
                p.faint { "Good for ten minutes, and only for exactly this." }
            }
        }
    };
    Ok(page(asked, Tab::Trouble, &words.title, &lead, &body))
}

/// How many, where to, what may be doubled, and the first of them.
fn entries(asked: &Asked, plan: &Plan) -> Markup {
    let sends = matches!(plan.wanted, Wanted::Entries { how: How::Replay | How::Reroute, .. });
    let uncertain = plan.uncertain();
    html! {
        dl.numbers {
            div { dt { "found" } dd { (plan.entries.len()) @if plan.is_cut { "+" } } }
            div { dt { "would be changed" } dd { (plan.count) } }
            @if sends { div { dt { "may arrive twice" } dd { (uncertain) } } }
        }
        @if plan.is_cut { p { "There are more: " (MOST) " are done at once. Do the rest afterwards." } }
        @if sends && uncertain > 0 {
            p.problem {
                span.mark aria-hidden="true" { "!" }
                " " (many(uncertain as u64, "entry")) " arrived before, or may have. Look at the destination first."
            }
        }
        @if sends && !plan.entries.is_empty() {
            h2 { "Where to" }
            ul { @for (to, count) in plan.destinations(asked) { li { (safe(&to, 100)) ": " b { (count) } } } }
        }
        @if !plan.entries.is_empty() {
            h2 { "Which" }
            ul.plain {
                @for entry in plan.entries.iter().take(LISTED) {
                    li {
                        a href=(asked.href(&format!("/event/{}", entry.seq), &[])) { "#" (entry.seq.0) } " "
                        (state(entry.state, entry.acknowledged)) " "
                        (safe(entry.index.number.as_deref().unwrap_or_default(), 40)) " "
                        span.faint { (safe(entry.index.name.as_deref().unwrap_or_default(), 60)) ", " (asked.when(entry.at, &entry.connection)) }
                    }
                }
            }
            @if plan.entries.len() > LISTED { p.faint { "and " (plan.entries.len() - LISTED) " more" } }
        }
    }
}

/// What an act is called, what it means, and what its button says.
struct Words {
    title: String,
    lead: String,
    button: String,
}

impl Words {
    fn of(plan: &Plan) -> Self {
        let entries = many(plan.count as u64, "entry");
        let words =
            |title: &str, lead: String, button: String| Self { title: title.to_owned(), lead, button };
        match &plan.wanted {
            Wanted::Entries { how, .. } => match how {
                How::Replay => words(
                    "Send again",
                    format!(
                        "{entries} would be sent again, to where each was meant to go. Signals are read again."
                    ),
                    format!("Send {entries} again"),
                ),
                How::Reroute => words(
                    "Send by the routes of today",
                    format!(
                        "{entries} would be sent where the routes send it now. Only routes that take replays do."
                    ),
                    format!("Send {entries}"),
                ),
                How::Acknowledge => words(
                    "Say that it is known",
                    format!("{entries} would stay as they are, and not be counted as trouble any more."),
                    format!("Mark {entries} as known"),
                ),
                How::Discard => words(
                    "Leave undone",
                    format!("{entries} would be left undone for good: they cannot be sent again afterwards."),
                    format!("Leave {entries} undone"),
                ),
                How::Cancel => words(
                    "Cancel",
                    format!(
                        "{entries} would be taken off the work list. One that is under way may still arrive."
                    ),
                    format!("Cancel {entries}"),
                ),
            },
            Wanted::Resume { connection } => words(
                "Try again now",
                format!(
                    "The connection {connection} would be tried at once, with everything that waits behind it."
                ),
                format!("Try {connection} now"),
            ),
            Wanted::Backfill { connection, feed, since } => words(
                "Read the past",
                match since {
                    None => format!(
                        "All of {} of {connection} would be read, from the beginning, and told to routes that take the past.",
                        safe(feed, 60)
                    ),
                    Some(since) => format!(
                        "What changed in {} of {connection} since {since} would be read, and told to routes that take the past.",
                        safe(feed, 60)
                    ),
                },
                "Read the past".to_owned(),
            ),
            Wanted::ConfirmSweep { connection, feed } => words(
                "Believe the sweep",
                format!(
                    "{} of {connection} would be looked at once more. What is missing then is told as deleted, once each is confirmed.",
                    safe(feed, 60)
                ),
                "Believe it".to_owned(),
            ),
        }
    }
}
