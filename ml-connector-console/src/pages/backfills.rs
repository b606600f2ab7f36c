//! Backfills: how far each feed was read, and reading the past.

use std::time::Duration;

use maud::{Markup, html};
use ml_connector_core::{
    engine::{ConnectionView, FeedProgress, RunProgress},
    model::ConnectionId,
};

use crate::{
    answer::Refusal,
    asked::Asked,
    show::{Tab, many, meter, refreshing},
    text::safe,
    time::span,
};

/// How many connections are shown on one page: each is one look into the log.
const CONNECTIONS: usize = 15;
/// How often the page looks again while a backfill goes on.
const REFRESH_S: u32 = 5;

pub(crate) async fn show(asked: &Asked) -> Result<Markup, Refusal> {
    let after = asked.params.get("after").unwrap_or_default();
    let mut sources: Vec<ConnectionView> = asked.scoped.connections();
    sources.retain(|view| view.is_source && view.id.as_str() > after);
    let more = sources.get(CONNECTIONS).is_some();
    sources.truncate(CONNECTIONS);
    let mut read = Vec::new();
    for view in &sources {
        read.push((&view.id, asked.scoped.progress(&view.id).await?));
    }
    let runs = || read.iter().flat_map(|(_, feeds)| feeds).flat_map(|feed| &feed.runs);
    let goes_on = runs().any(|run| run.what == "backfill" && run.ended.is_none());
    let lead = html! {
        "How far each feed was read. A backfill reads the past and tells it to the routes that take the past; news goes first meanwhile. "
        "Where the vendor says with each page how much follows, a bar shows how far it is; where not, nobody knows before it has been read."
    };
    let body = html! {
        @if read.is_empty() { p.empty { "You see no connection that is read." } }
        @for (id, feeds) in &read {
            section.group {
                h2 { (id.as_str()) }
                table.cards {
                    thead { tr { th { "Feed" } th { "Read last" } th { "Under way" } th { "The past" } } }
                    tbody { @for feed in feeds { (row(asked, id, feed)) } }
                }
            }
        }
        @if more { @if let Some(last) = sources.last() { nav.pager { a.button href=(asked.href("/backfills", &[("after", last.id.as_str())])) { "More connections" } } } }
    };
    Ok(refreshing(asked, Tab::Backfills, "Backfills", &lead, &body, goes_on.then_some(REFRESH_S)))
}

fn row(asked: &Asked, connection: &ConnectionId, feed: &FeedProgress) -> Markup {
    html! {
        tr {
            th scope="row" data-label="Feed" { (safe(feed.feed, 60)) }
            td data-label="Read last" {
                @match feed.read_at.or(feed.baseline) {
                    Some(at) => (asked.when(at, connection).with_distance()),
                    None => { span.faint { "not yet: its first read is under way" } },
                }
            }
            td data-label="Under way" {
                @if feed.runs.is_empty() { span.faint { "nothing" } }
                @else { ul.plain { @for run in &feed.runs { li { (told(asked, connection, run)) } } } }
            }
            td data-label="The past" {
                @if asked.scoped.grant().may_act() {
                    form.inline method="get" action=(asked.href("/act", &[])) {
                        input type="hidden" name="do" value="backfill";
                        input type="hidden" name="connection" value=(connection.as_str());
                        input type="hidden" name="feed" value=(feed.feed);
                        label { "since " input name="since" type="date" aria-label={ "Read " (feed.feed) " since this day; all of it without one" }; }
                        button type="submit" { "Read…" }
                    }
                }
            }
        }
    }
}

fn told(asked: &Asked, connection: &ConnectionId, run: &RunProgress) -> Markup {
    let until = run.ended.unwrap_or(asked.now);
    let took = until.saturating_since(run.begun);
    let per_minute =
        u64::try_from(u128::from(run.rows) * 60_000 / took.as_millis().max(1)).unwrap_or(u64::MAX);
    html! {
        b { (run.what) } ": " (many(run.rows, "row"))
        @if took.as_secs() >= 5 { ", " (per_minute) " a minute" }
        @if let (Some(left), None) = (run.left, run.ended) {
            (meter(run.rows, run.rows.saturating_add(left)))
            " of " (many(run.rows.saturating_add(left), "row"))
            @if let Some(longer) = longer(run, left, took) { ", about " (span(longer)) " left" }
        }
        @match run.ended {
            Some(at) => { ", ended " (asked.when(at, connection).with_distance()) " after " (span(took)) },
            None => { ", since " (asked.when(run.begun, connection)) },
        }
        @if let Some(since) = run.since { ", of what changed since " (asked.when(since, connection)) }
        @if let Some(seq) = run.seq { " " a href=(asked.href(&format!("/event/{seq}"), &[])) { "#" (seq.0) } }
    }
}

/// How much longer it takes, if it goes on as fast. Nobody knows from the first seconds.
fn longer(run: &RunProgress, left: u64, took: Duration) -> Option<Duration> {
    let millis = took.as_millis().checked_mul(u128::from(left))?.checked_div(u128::from(run.rows))?;
    (took.as_secs() >= 5).then_some(Duration::from_millis(u64::try_from(millis).ok()?))
}
