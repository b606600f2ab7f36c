//! Overview: whether something needs somebody, what each connection does, and what waits for what.

use maud::{Markup, html};
use ml_connector_core::{
    audit::Backlog,
    engine::{ConnectionHealth, Health, HistoryBucket, LaneHealth, Tally, WaitReason},
    model::{ConnectionId, Quota},
};

use super::needs::{Need, needs};
use crate::{
    answer::Refusal,
    asked::Asked,
    show::{Bar, Tab, bars, many, meter, refreshing},
    text::safe,
    time::span,
};

/// How many connections are shown on one page.
const CONNECTIONS: usize = 50;
/// How many things that need somebody are told.
const NEEDS: usize = 20;
/// How many lanes and limits are shown.
const LANES: usize = 20;
const LIMITS: usize = 12;

pub(crate) async fn show(asked: &Asked) -> Result<Markup, Refusal> {
    let health = asked.scoped.health().await?;
    let needs = needs(&health);
    let charted = match asked.params.get("chart") {
        Some(named) => Some(ConnectionId::from(named)),
        // Where the latest delivery went there is the most to see.
        None => health.connections.iter().max_by_key(|(_, of)| of.last_delivery).map(|(id, _)| id.clone()),
    };
    let lead = html! {
        @match needs.len() {
            0 => { "Nothing needs you. " },
            count => { b { (many(count as u64, "thing")) @if count == 1 { " needs you. " } @else { " need you. " } } },
        }
        @if health.running { "The connector runs here, on " (many(health.partitions as u64, "partition")) "." }
        @else { "The connector does not run in this process: you see what the log knows." }
    };
    let body = html! {
        @if !needs.is_empty() { (list(asked, &needs)) }
        (connections(asked, &health))
        (waiting(asked, &health))
        (limits(asked).await?)
        @if let Some(charted) = &charted { (charts(asked, charted, &health).await?) }
    };
    Ok(refreshing(asked, Tab::Overview, "Overview", &lead, &body, None))
}

/// What needs somebody, with what to do about it.
fn list(asked: &Asked, needs: &[Need]) -> Markup {
    html! {
        ul.needs {
            @for need in needs.iter().take(NEEDS) {
                li {
                    span.chip.bad { span.mark aria-hidden="true" { "!" } " " (need.connection) }
                    div {
                        b { (need.what) } " "
                        @if let Some(since) = need.since { span.faint { "since " (asked.at(since)) } }
                        p { (need.remedy) }
                    }
                }
            }
        }
        p {
            @if needs.len() > NEEDS { "And " (needs.len() - NEEDS) " more. " }
            a.button href=(asked.href("/trouble", &[])) { "Look at the trouble" }
        }
    }
}

fn connections(asked: &Asked, health: &Health) -> Markup {
    let mut views = asked.scoped.connections();
    let after = asked.params.get("after").unwrap_or_default();
    let is_first = after.is_empty();
    views.retain(|view| view.id.as_str() > after);
    let more = views.len() > CONNECTIONS;
    views.truncate(CONNECTIONS);
    html! {
        h2 { "Connections" }
        @if views.is_empty() && is_first { p.empty { "You see no connection. Whoever runs this console decides which you may see." } }
        @else {
            table.cards {
                thead { tr {
                    th { "Connection" } th { "State" } th { "Last webhook" } th { "Last event" } th { "Last delivery" } th { "Waits" } th { "Next expiry" }
                } }
                tbody {
                    @for view in &views {
                        @let of = health.connections.get(&view.id).cloned().unwrap_or_default();
                        tr {
                            th scope="row" data-label="Connection" {
                                a href=(asked.href("/events", &[("connection", view.id.as_str())])) { (view.id.as_str()) }
                                span.faint { " " (view.system) }
                            }
                            td data-label="State" { (standing(&of)) }
                            td data-label="Last webhook" { (maybe(asked, of.hooks.accepted_at, &view.id)) }
                            td data-label="Last event" { (maybe(asked, of.last_event, &view.id)) }
                            td data-label="Last delivery" { (maybe(asked, of.last_delivery, &view.id)) }
                            td data-label="Waits" { (of.backlog.iter().map(|row| row.due + row.later).sum::<u64>()) }
                            td data-label="Next expiry" { (expiry(asked, &of, &view.id)) }
                        }
                    }
                }
            }
            @if more || !is_first {
                nav.pager aria-label="Pages of the list" {
                    @if !is_first { a.button href=(asked.href("", &[])) { "First connections" } }
                    @if more { @if let Some(last) = views.last() { a.button rel="next" href=(asked.href("", &[("after", last.id.as_str())])) { "More connections" } } }
                }
            }
        }
    }
}

fn standing(of: &ConnectionHealth) -> Markup {
    let dead = of.dead + of.unrouted;
    let parked: u64 = of.backlog.iter().map(|row| row.parked).sum();
    html! {
        @if let Some(parked) = &of.parked {
            span.chip.bad { span.mark aria-hidden="true" { "✕" } " stopped" } " " span.why { (safe(&parked.reason, 160)) }
        } @else if dead > 0 || parked > 0 || !of.stopped_sweeps.is_empty() || !of.unavailable_feeds.is_empty() || of.hooks.remedy.is_some() {
            span.chip.wait { span.mark aria-hidden="true" { "!" } " works, with trouble" }
        } @else {
            span.chip.good { span.mark aria-hidden="true" { "✓" } " works" }
        }
        @if let Some(why) = &of.webhooks { " " span.why { "No webhooks: " (safe(why, 160)) } }
    }
}

fn maybe(asked: &Asked, at: Option<ml_connector_core::Timestamp>, connection: &ConnectionId) -> Markup {
    html! { @match at { Some(at) => (asked.when(at, connection).with_distance()), None => { span.faint { "none yet" } } } }
}

/// What ends next: a token or a webhook.
fn expiry(asked: &Asked, of: &ConnectionHealth, connection: &ConnectionId) -> Markup {
    let token = of.token.iter().flat_map(|token| {
        [("token, renewed by itself", token.expires_at), ("sign-in, if unused", token.dies_at)]
    });
    let hooks = of.subscriptions.iter().map(|hook| ("webhook, renewed by itself", hook.ends));
    let next = token
        .chain(hooks)
        .filter_map(|(what, ends)| Some((ends?, what)))
        .filter(|(ends, _)| *ends > asked.now)
        .min();
    html! {
        @match next {
            Some((ends, what)) => { (what) ": " (asked.when(ends, connection).distance()) },
            None => { span.faint { "none known" } },
        }
    }
}

/// What waits, lane by lane, in words.
fn waiting(asked: &Asked, health: &Health) -> Markup {
    let lanes = health.connections.iter().flat_map(|(id, of)| {
        let of_kind = |what, lanes: &[LaneHealth]| {
            lanes.iter().map(|lane| (id.clone(), what, lane.clone())).collect::<Vec<_>>()
        };
        [of_kind("read", &of.signals.lanes), of_kind("send", &of.deliveries.lanes)].concat()
    });
    let mut lanes: Vec<_> = lanes.collect();
    // What is only due later, such as the next read of a feed, waits for nothing.
    lanes
        .retain(|(_, _, lane)| lane.waiting > 0 || lane.parked || !matches!(lane.reason, WaitReason::Window));
    lanes.sort_by_key(|(_, _, lane)| std::cmp::Reverse(lane.waiting));
    html! {
        @if !lanes.is_empty() {
            h2 { "Waiting" }
            ul.lanes {
                @for (connection, what, lane) in lanes.iter().take(LANES) {
                    li {
                        span.mark aria-hidden="true" { (if lane.parked { "‖" } else { "◷" }) } " "
                        b { (safe(lane.destination.as_deref().unwrap_or(connection.as_str()), 60)) } ": "
                        (many(lane.waiting.max(1) as u64, "entry")) " to " (what) ", "
                        (reason(&lane.reason))
                        @if let Some(next) = lane.next { ", next " (asked.when(next, connection).with_distance()) }
                        @if let Some(head) = lane.head { " " a href=(asked.href(&format!("/event/{head}"), &[])) { "#" (head.0) } }
                    }
                }
            }
        }
    }
}

fn reason(of: &WaitReason) -> String {
    match of {
        WaitReason::Work => "being worked on".to_owned(),
        WaitReason::Turn => "waiting for its turn".to_owned(),
        WaitReason::Quota { key } => format!("limited by {}", safe(key.as_str(), 60)),
        WaitReason::Blocked => "tried again after a failure that passes".to_owned(),
        WaitReason::Outage => "the connection does not work".to_owned(),
        WaitReason::Parked => "somebody has to repair something".to_owned(),
        WaitReason::Window => "until its schedule".to_owned(),
        WaitReason::Pause => "the other side wants a pause".to_owned(),
        _ => "waiting".to_owned(),
    }
}

/// How much of each limit is spent, the fullest first.
async fn limits(asked: &Asked) -> Result<Markup, Refusal> {
    let usage = asked.scoped.usage().await?;
    let windows = usage.iter().flat_map(|usage| usage.windows.iter().map(move |window| (usage, window)));
    let mut windows: Vec<_> = windows.filter(|(_, window)| window.used > 0).collect();
    windows.sort_by_key(|(_, window)| {
        std::cmp::Reverse(window.used.saturating_mul(1000) / u64::from(window.quota.limit()).max(1))
    });
    Ok(html! {
        @if !windows.is_empty() {
            h2 { "Limits" }
            ul.limits {
                @for (usage, window) in windows.into_iter().take(LIMITS) {
                    li {
                        code { (safe(usage.key.as_str(), 60)) }
                        (meter(window.used, u64::from(window.quota.limit())))
                        span { (window.used) " of " (window.quota.limit()) (window_of(window.quota)) }
                    }
                }
            }
        }
    })
}

fn window_of(quota: Quota) -> String {
    match quota {
        Quota::Rolling { window, .. } => format!(" in {}", span(window)),
        Quota::Aligned { period, .. } => format!(" in each {}", span(period)),
        Quota::Errors { window, .. } => format!(" failures in {}", span(window)),
        _ => " at once".to_owned(),
    }
}

/// What happened in the last two hours, and how old what waits is.
async fn charts(asked: &Asked, of: &ConnectionId, health: &Health) -> Result<Markup, Refusal> {
    let history = asked.scoped.history(of).await?;
    let slots = slots(asked, &history.minutes);
    let all = slots.iter().fold(Tally::default(), |mut all, (_, tally)| {
        all.merge(tally);
        all
    });
    let clock = |at| asked.when(at, of).exact()[..5].to_owned();
    let flow: Vec<Bar> = slots
        .iter()
        .map(|(at, tally)| Bar {
            name: clock(*at),
            told: format!(
                "{} received, {} events, {} delivered, {} given up",
                tally.received, tally.events, tally.delivered, tally.dead
            ),
            parts: vec![
                ("bad", tally.dead),
                ("good", tally.delivered),
                ("event", tally.events),
                ("in", tally.received),
            ],
        })
        .collect();
    let latencies: Vec<Bar> = slots
        .iter()
        .map(|(at, tally)| {
            let (half, most) = (level(tally, HALF), level(tally, MOST));
            let parts = vec![("good", half), ("wait", most.saturating_sub(half))];
            Bar { name: clock(*at), told: within(tally), parts }
        })
        .collect();
    let named: Vec<&ConnectionId> = health.connections.keys().take(CONNECTIONS).collect();
    let ages = ages(health.connections.get(of).map(|of| &of.backlog[..]).unwrap_or_default());
    let told = format!(
        "{} received, {} events, {} delivered, {} given up in two hours",
        all.received, all.events, all.delivered, all.dead
    );
    Ok(html! {
        h2 { "The last two hours of " (of.as_str()) }
        p.tabs {
            @for id in named {
                a href=(asked.href("", &[("chart", id.as_str())])) aria-current=[(id == of).then_some("true")] { (id.as_str()) }
            }
        }
        div.charts {
            (bars("Throughput", &told, &flow))
            (bars("From event to delivery", &within(&all), &latencies))
            @if ages.iter().all(|bar| bar.parts.iter().all(|(_, part)| *part == 0)) {
                figure.chart { figcaption { b { "What waits, by age" } } p.faint { "Nothing waits." } }
            } @else { (bars("What waits, by age", &told_of(&ages), &ages)) }
        }
    })
}

/// The parts of deliveries whose time is told.
const HALF: f64 = 0.5;
const MOST: f64 = 0.95;

/// How long deliveries took, in words.
fn within(tally: &Tally) -> String {
    if tally.latency.iter().all(|count| *count == 0) {
        return "nothing was delivered".to_owned();
    }
    let longest = Tally::LATENCIES.last().copied().unwrap_or_default();
    let told = |part| match tally.latency_at(part) {
        Some(within) => format!("within {}", span(within)),
        None => format!("longer than {}", span(longest)),
    };
    format!("half {}, 95 % {}", told(HALF), told(MOST))
}

/// How high a bar is for a time: by the bounds between which times are counted, each about three times the one before.
fn level(tally: &Tally, part: f64) -> u64 {
    let bounds = Tally::LATENCIES;
    match tally.latency_at(part) {
        _ if tally.latency.iter().all(|count| *count == 0) => 0,
        Some(within) => 1 + bounds.partition_point(|bound| *bound < within) as u64,
        None => 1 + bounds.len() as u64,
    }
}

/// Five minutes each, also those in which nothing happened.
fn slots(asked: &Asked, minutes: &[HistoryBucket]) -> Vec<(ml_connector_core::Timestamp, Tally)> {
    const SLOT_MS: i64 = 5 * 60_000;
    let last = asked.now.as_millis().div_euclid(SLOT_MS);
    let slot = |number: i64| {
        let mut tally = Tally::default();
        let of_slot = minutes.iter().filter(|bucket| bucket.at.as_millis().div_euclid(SLOT_MS) == number);
        of_slot.for_each(|bucket| tally.merge(&bucket.tally));
        (ml_connector_core::Timestamp::from_millis(number * SLOT_MS), tally)
    };
    (last - 23..=last).map(slot).collect()
}

fn told_of(ages: &[Bar]) -> String {
    let told = ages.iter().filter(|bar| bar.told != "0").map(|bar| format!("{}: {}", bar.name, bar.told));
    told.collect::<Vec<_>>().join(", ")
}

fn ages(backlog: &[Backlog]) -> Vec<Bar> {
    let names = ["< 1 min", "1 min", "5 min", "15 min", "1 h", "6 h", "1 day"];
    let due: u64 = backlog.iter().map(|row| row.due).sum();
    let older = |i: usize| backlog.iter().map(|row| row.older_than[i]).sum::<u64>();
    let from: Vec<u64> = std::iter::once(due).chain((0..Backlog::AGES.len()).map(older)).collect();
    let bar = |(i, name): (usize, &&str)| {
        let count = from[i].saturating_sub(from.get(i + 1).copied().unwrap_or_default());
        Bar {
            name: (*name).to_owned(),
            told: count.to_string(),
            parts: vec![(if i > 3 { "bad" } else { "wait" }, count)],
        }
    };
    names.iter().enumerate().map(bar).collect()
}
