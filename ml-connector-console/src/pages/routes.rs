//! Routes: what goes where, what became of it, and what other routes would have done with the past.

use std::collections::BTreeMap;

use http::StatusCode;
use maud::{Markup, html};
use ml_connector_core::{
    audit::{EntryKind, EntryState, Query},
    engine::{DryRun, Way},
    route::{Route, RouteSet},
};

use crate::{
    answer::{Answer, Refusal},
    asked::Asked,
    params::ROUTES,
    security::{Bound, digest},
    show::{Tab, many, page},
    text::safe,
};

/// How many of the latest deliveries are counted by route.
const COUNTED: usize = 1000;
/// How many of the latest events other routes are tried on.
const TRIED: usize = 100;
/// How many of those that differ are listed.
const LISTED: usize = 25;

pub(crate) async fn show(asked: &Asked) -> Result<Markup, Refusal> {
    let deliveries =
        asked.scoped.search(Query::of_kind(EntryKind::Delivery).newest_first().with_limit(COUNTED)).await?;
    let mut counts: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for delivery in &deliveries {
        let count = counts.entry(delivery.index.name.as_deref().unwrap_or_default()).or_default();
        count[0] += 1;
        match delivery.state {
            EntryState::Done => count[1] += 1,
            EntryState::Dead | EntryState::Parked => count[2] += 1,
            EntryState::Pending => count[3] += 1,
            _ => {}
        }
    }
    let routes = asked.scoped.routes();
    let lead = html! { "Which events go where. The numbers are of the latest " (many(deliveries.len() as u64, "delivery")) ". "
        @if asked.scoped.grant().may_route() { "Below, you try others on the past before you apply them." }
        @else { "To change them takes the right, and a view of all connections." }
    };
    let body = html! {
        @if routes.is_empty() { p.empty { "You see no route." } }
        @else {
            table.cards {
                thead { tr { th { "Route" } th { "Takes" } th { "To" } th.amount { "Matches" } th.amount { "Sent" } th.amount { "Given up" } th.amount { "Wait" } } }
                tbody {
                    @for route in routes.iter().take(200) {
                        @let [matches, sent, dead, wait] = counts.get(&*route.name).copied().unwrap_or_default();
                        tr {
                            th scope="row" data-label="Route" { a href=(asked.href("/events", &[("kind", "delivery"), ("name", &route.name)])) { (safe(&route.name, 60)) } }
                            td data-label="Takes" { (takes(route)) }
                            td data-label="To" { @for to in &route.to { div { (to.sink.as_str()) " " span.faint { (safe(to.destination.as_str(), 50)) } @if to.schedule.is_some() { " " span.chip.wait { "◷ scheduled" } } } } }
                            td.amount data-label="Matches" { (matches) }
                            td.amount data-label="Sent" { (sent) }
                            td.amount data-label="Given up" { @if dead > 0 { b.bad { "✕ " (dead) } } @else { "0" } }
                            td.amount data-label="Wait" { (wait) }
                        }
                    }
                }
            }
        }
        @if asked.scoped.grant().may_route() { (form(asked, None, "").await?) }
    };
    Ok(page(asked, Tab::Routes, "Routes", &lead, &body))
}

fn takes(route: &Route) -> String {
    let list = |words: Vec<&str>| safe(&words.join(", "), 120);
    let mut told = match &route.on[..] {
        [] => "all changes of records".to_owned(),
        on => list(on.iter().map(|pattern| pattern.as_str()).collect()),
    };
    if !route.from.is_empty() {
        told.push_str(" of ");
        told.push_str(&list(route.from.iter().map(|id| id.as_str()).collect()));
    }
    for money in &route.at_least {
        told.push_str(&format!(", from {money}"));
    }
    for money in &route.below {
        told.push_str(&format!(", below {money}"));
    }
    told
}

/// Tries other routes, or applies them: what is applied was tried in the same form.
pub(crate) async fn change(asked: &Asked) -> Result<Answer, Refusal> {
    asked.scoped.may_route()?;
    let text = asked.params.required(ROUTES)?;
    let applies = asked.params.get("do") == Some("apply");
    let token = asked.params.get("token").unwrap_or_default();
    let (act, about) = if applies { ("apply_routes", text) } else { ("try_routes", "") };
    if !asked.scoped.key().await?.is_good(token, &bound(asked, act, about), asked.now) {
        let what = "More than ten minutes have passed, or these are not the routes that were tried. Nothing was changed. Try them again.";
        return Ok(Answer::Page(StatusCode::CONFLICT, again(asked, what, text).await?));
    }
    let set = match RouteSet::from_toml(text) {
        Ok(set) => set,
        Err(error) => {
            return Ok(Answer::Page(
                StatusCode::BAD_REQUEST,
                again(asked, &safe(&error.to_string(), 500), text).await?,
            ));
        }
    };
    if applies {
        let acted = asked.scoped.set_routes(set).await?;
        return Ok(Answer::See(asked.href(&format!("/acted/{}", acted.act), &[])));
    }
    let tried = match asked.scoped.dry_run(&set, TRIED).await {
        Ok(tried) => tried,
        Err(Refusal::Core(error)) => {
            return Ok(Answer::Page(
                StatusCode::BAD_REQUEST,
                again(asked, &safe(&error.to_string(), 500), text).await?,
            ));
        }
        Err(refusal) => return Err(refusal),
    };
    Ok(shown(asked, text, &set, &tried).await?.into())
}

async fn again(asked: &Asked, problem: &str, text: &str) -> Result<Markup, Refusal> {
    let body = form(asked, Some(problem), text).await?;
    Ok(page(asked, Tab::Routes, "Routes", &html! { "Nothing was changed." }, &body))
}

fn bound<'a>(asked: &'a Asked, act: &'a str, text: &str) -> Bound<'a> {
    // Browsers end lines as they like.
    let selection = digest(&[], &[&text.replace("\r\n", "\n")]);
    Bound { actor: asked.scoped.grant().actor(), act, selection, count: 0, mode: "" }
}

async fn form(asked: &Asked, problem: Option<&str>, text: &str) -> Result<Markup, Refusal> {
    let Some(key) = asked.scoped.key_for_form().await? else {
        return Ok(html! { p.faint { "Other routes cannot be tried while the log takes no writes." } });
    };
    let token = key.issue(&bound(asked, "try_routes", ""), asked.now);
    Ok(html! {
        h2 { "Try other routes" }
        @if let Some(problem) = problem { p.problem role="alert" { span.mark aria-hidden="true" { "!" } " " (problem) } }
        form.confirm method="post" action=(asked.href("/routes", &[])) {
            label for="routes" { "All routes of the host, in TOML. They are checked and tried on the latest " (TRIED) " events; nothing is changed." }
            textarea #routes name=(ROUTES) rows="14" spellcheck="false" required { (text) }
            input type="hidden" name="token" value=(token);
            div.buttons { button.main type="submit" { "Try" } }
        }
    })
}

/// What could not be compared, in words.
fn unreadable(tried: &[DryRun]) -> String {
    let events = tried.iter().filter(|run| run.event.is_none()).count();
    let deliveries = tried.iter().map(|run| run.unreadable).sum::<usize>();
    let counted = [(events, "event"), (deliveries, "delivery")].into_iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> = counted.map(|(count, what)| many(count as u64, what)).collect();
    let verb = if events + deliveries == 1 { "is" } else { "are" };
    format!(
        "{} cannot be read, and {verb} left out: what would change there is not known. The host's log names each.",
        counted.join(" and ")
    )
}

/// What the routes would have done with the past.
async fn shown(asked: &Asked, text: &str, set: &RouteSet, tried: &[DryRun]) -> Result<Markup, Refusal> {
    let place = |way: &Way| (way.sink.clone(), way.destination.as_str().to_owned());
    let changes: Vec<_> = tried
        .iter()
        .filter(|run| run.differs())
        .filter_map(|run| {
            let would: Vec<_> = run.would_go.iter().map(place).collect();
            let went: Vec<_> = run.went.iter().map(place).collect();
            let gained: Vec<_> = would.iter().filter(|way| !went.contains(way)).cloned().collect();
            let lost: Vec<_> = went.iter().filter(|way| !would.contains(way)).cloned().collect();
            Some((run.seq, run.event.as_ref()?, gained, lost))
        })
        .collect();
    let unknown = tried.iter().filter(|run| !run.is_known()).count();
    let count = |gains: bool, loses: bool| {
        changes
            .iter()
            .filter(|(_, _, gained, lost)| gained.is_empty() != gains && lost.is_empty() != loses)
            .count()
    };
    let token = asked.scoped.key().await?.issue(&bound(asked, "apply_routes", text), asked.now);
    let lead = html! { "The routes are right. This is what they would have done with the latest " (many(tried.len() as u64, "event")) ". Nothing was changed, and nothing of the past is sent again." };
    let body = html! {
        dl.numbers {
            div { dt { "routes" } dd { (set.routes.len()) } }
            div { dt { "gained" } dd { (count(true, false)) } }
            div { dt { "lost" } dd { (count(false, true)) } }
            div { dt { "moved" } dd { (count(true, true)) } }
            div { dt { "as before" } dd { (tried.len() - changes.len() - unknown) } }
            @if unknown > 0 { div { dt { "not known" } dd { (unknown) } } }
        }
        @if unknown > 0 { p.why { span.mark aria-hidden="true" { "!" } " " (unreadable(tried)) } }
        @if !changes.is_empty() {
            ul.plain {
                @for (seq, event, gained, lost) in changes.iter().take(LISTED) {
                    li {
                        a href=(asked.href(&format!("/event/{seq}"), &[])) { "#" (seq.0) } " " (safe(event.event_type().as_str(), 60))
                        @for (sink, to) in gained { " " span.chip.good { "+ " (sink.as_str()) " " (safe(to, 40)) } }
                        @for (sink, to) in lost { " " span.chip.bad { "− " (sink.as_str()) " " (safe(to, 40)) } }
                    }
                }
            }
            @if changes.len() > LISTED { p.faint { "and " (changes.len() - LISTED) " more" } }
        }
        form.confirm method="post" action=(asked.href("/routes", &[])) {
            input type="hidden" name="do" value="apply";
            input type="hidden" name="token" value=(token);
            input type="hidden" name=(ROUTES) value=(text);
            div.buttons { button.main type="submit" { "Apply these routes on this host" } a.button href=(asked.href("/routes", &[])) { "Leave it" } }
            p.faint { "They hold on this host until it is started again: put them into its configuration, too." }
        }
        (form(asked, None, text).await?)
    };
    Ok(page(asked, Tab::Routes, "Routes, tried", &lead, &body))
}
