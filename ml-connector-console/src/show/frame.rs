//! The frame of every page, and pages that say why there is none.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::{
    answer::{Answer, Refusal},
    asked::Asked,
    assets,
    scoped::is_down,
    text::safe,
};

/// How often the overview looks again, where there is script.
const OVERVIEW_S: u32 = 15;

/// The pages that can be chosen everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Events,
    Trouble,
    Routes,
    Backfills,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "", "Overview"),
        (Self::Events, "/events", "Events"),
        (Self::Trouble, "/trouble", "Trouble"),
        (Self::Routes, "/routes", "Routes"),
        (Self::Backfills, "/backfills", "Backfills"),
    ];
}

/// A page. The lead says what it is, and what to do.
pub(crate) fn page(asked: &Asked, tab: Tab, title: &str, lead: &Markup, body: &Markup) -> Markup {
    refreshing(asked, tab, title, lead, body, None)
}

/// A page that is asked for again after so many seconds.
pub(crate) fn refreshing(
    asked: &Asked,
    tab: Tab,
    title: &str,
    lead: &Markup,
    body: &Markup,
    seconds: Option<u32>,
) -> Markup {
    let grant = asked.scoped.grant();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(asked, title))
                @if let Some(seconds) = seconds { meta http-equiv="refresh" content=(seconds); }
            }
            body {
                a.skip href="#main" { "To the content" }
                header.top {
                    a.brand href=(asked.href("", &[])) { span.logo aria-hidden="true" { "⇄" } "ml-connector" }
                    nav aria-label="Pages" {
                        @for (each, path, name) in Tab::ALL {
                            a href=(asked.href(path, &[])) aria-current=[(each == tab).then_some("page")] { (name) }
                        }
                    }
                    form.find action=(asked.href("/events", &[])) method="get" role="search" {
                        label.hidden for="find" { "Find" }
                        input #find name="q" type="search" maxlength="200" placeholder="Number, id, receipt, amount, #entry"
                            value=[asked.params.get("q")];
                        button type="submit" { "Find" }
                    }
                }
                main #main data-refresh=[(tab == Tab::Overview).then_some(OVERVIEW_S)] {
                    h1 { (title) }
                    p.lead { (lead) }
                    (body)
                }
                footer {
                    "Signed in as " b { (safe(grant.actor(), 80)) } ". "
                    @if !grant.may_act() { "You may look, but not change anything. " }
                    "Times are in the zone of each organization (" (asked.zone_name()) " where there is none); point at one for UTC. "
                    "Page of " (asked.at(asked.now)) "."
                }
            }
        }
    }
}

fn head(asked: &Asked, title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        meta name="robots" content="noindex";
        title { (title) " · ml-connector" }
        link rel="stylesheet" href=(asked.href(assets::style(), &[]));
        link rel="icon" type="image/svg+xml" href=(asked.href(assets::icon(), &[]));
        script src=(asked.href(assets::script(), &[])) defer {}
    }
}

/// What is shown to whom nothing is shown: no word about the connector.
pub(crate) fn denied() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Not allowed" } }
            body { h1 { "Not allowed" } p { "Sign in with an account that may see this console." } }
        }
    }
}

/// Why there is no such page, and what to do.
pub(crate) fn refused(asked: &Asked, refusal: &Refusal) -> Answer {
    let status = refusal.status();
    let (title, what) = match refusal {
        Refusal::Bad(why) => ("This cannot be asked", format!("{}. Go back and correct it.", capital(why))),
        Refusal::Forbidden(why) => ("Not allowed", (*why).to_owned()),
        Refusal::NotFound => (
            "Nothing here",
            "There is no such thing (any more), or you may not see it. Find it by its number above.".to_owned(),
        ),
        Refusal::Method => ("This cannot be asked", "The address takes GET and POST only.".to_owned()),
        Refusal::Body => ("Too much", "The form is too large, or came in too slowly. Send less.".to_owned()),
        Refusal::Core(_) if is_down(refusal) => (
            "The log does not answer",
            "Nothing can be shown without it, and nothing is read or sent meanwhile. Webhooks are answered with 503, so that \
             vendors send them again. Repair the database; the connector goes on by itself."
                .to_owned(),
        ),
        Refusal::Core(error) => match status {
            StatusCode::INTERNAL_SERVER_ERROR => ("This did not work", safe(&error.to_string(), 500)),
            StatusCode::NOT_FOUND => ("Nothing here", "There is no such thing (any more).".to_owned()),
            _ => ("This cannot be done", safe(&error.to_string(), 500)),
        },
    };
    let body = match is_down(refusal) {
        true => html! { p.chip.bad { span.mark aria-hidden="true" { "✕" } " The log is down" } },
        false => html! { p { a href=(asked.href("", &[])) { "To the overview" } } },
    };
    Answer::Page(status, page(asked, Tab::Overview, title, &html! { (what) }, &body))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
