//! What is changed: shown first, confirmed, done once, and what is shown is what is done.

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    audit::{EntryKind, EntryState, Query},
    engine::FeedProgress,
    model::{Destination, Origin},
    route::{Route, RouteSet},
};

use crate::world::{Answer, World};

/// The fields of a confirmation, with a reason.
fn form<'a>(page: &Answer, fields: &[(&'a str, String)], token: &'a str) -> Vec<(&'a str, String)> {
    let mut form = fields.to_vec();
    form.push(("token", page.field("token")));
    form.push(("why", token.to_owned()));
    form
}

async fn posted(world: &World, who: &str, form: &[(&str, String)]) -> Answer {
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.post(who, "/console/act", &form).await
}

fn group(act: &str, like: impl std::fmt::Display) -> Vec<(&'static str, String)> {
    vec![
        ("do", act.to_owned()),
        ("connection", "slack".to_owned()),
        ("state", "dead".to_owned()),
        ("like", like.to_string()),
    ]
}

async fn confirmation(world: &World, who: &str, fields: &[(&'static str, String)]) -> Answer {
    let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    world.get(who, &format!("/console/act?{}", query.join("&"))).await
}

#[tokio::test(start_paused = true)]
async fn a_group_is_shown_confirmed_sent_again_once_and_followed_to_its_end() {
    let world = World::new().await;
    let dead = world.dead("books", 3).await;
    let written = || world.corners.written.lock().unwrap().len();
    let before = written();

    let trouble = world.get("carl", "/console/trouble").await;
    trouble.shows("3 deliveries").shows("channel_not_found").shows("Invite the app");
    let fields = group("replay", dead[0]);
    let page = confirmation(&world, "carl", &fields).await;
    page.shows("3 entries would be sent again").shows("channel:accounting").shows("Nothing has happened yet");
    assert_eq!(written(), before, "nothing is sent by looking");

    let form = form(&page, &fields, "");
    let done = posted(&world, "carl", &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let done_query =
        Query::of_kind(EntryKind::Delivery).with_connection("slack".into()).with_state(EntryState::Done);
    let mut all = done_query.clone();
    all.limit = 10;
    world.until(&all, |entry| entry.seq.0 > dead[2].0 + 2).await;
    for seq in &dead {
        let replayed =
            world.until(&Query::entries(vec![*seq]), |entry| entry.state == EntryState::Replayed).await;
        let by = replayed.replayed_by().unwrap();
        world.until(&Query::entries(vec![by]), |entry| entry.state == EntryState::Done).await;
    }
    assert_eq!(written(), before + 3);

    let progress = world.get("carl", done.location()).await;
    progress.shows("<dt>handled</dt><dd>3</dd>").shows("It has ended").hides("http-equiv");
    world.get("carl", "/console/trouble").await.hides("channel_not_found");

    // The button pressed twice, or the page sent again by the browser.
    let again = posted(&world, "carl", &form).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(written(), before + 3, "once");
    // Whose act it was, only he and those who see everything know.
    assert_eq!(world.get("ada", done.location()).await.status, StatusCode::OK);
    for who in ["bob", "rita"] {
        assert_eq!(world.get(who, done.location()).await.status, StatusCode::NOT_FOUND, "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_since_it_was_confirmed_is_shown_again_and_not_done() {
    let world = World::new().await;
    let dead = world.dead("books", 2).await;
    let fields = group("replay", dead[0]);
    let page = confirmation(&world, "carl", &fields).await;
    let form = form(&page, &fields, "");
    // One more is given up meanwhile.
    world.corners.broken.lock().unwrap().insert("channel:accounting".to_owned());
    world.change("books", "9", "10.00").await;
    let refused = posted(&world, "carl", &form).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.shows("This is not what was confirmed any more").shows("3 entries would be sent again");
    let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    assert_eq!(world.connector.count(&dead, 10).await.unwrap(), 3, "nothing was done");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_for_one_act_of_one_person_about_one_selection() {
    let world = World::new().await;
    let dead = world.dead("books", 2).await;
    let replay = group("replay", dead[0]);
    let page = confirmation(&world, "carl", &replay).await;
    let form_of = |fields: &[(&'static str, String)]| form(&page, fields, "because");
    assert_eq!(posted(&world, "ada", &form_of(&replay)).await.status, StatusCode::CONFLICT, "another person");
    assert_eq!(
        posted(&world, "bob", &form_of(&replay)).await.status,
        StatusCode::FORBIDDEN,
        "one who only looks"
    );
    assert_eq!(
        posted(&world, "carl", &form_of(&group("discard", dead[0]))).await.status,
        StatusCode::CONFLICT
    );
    let one =
        vec![("do", "replay".to_owned()), ("connection", "slack".to_owned()), ("seq", dead[0].to_string())];
    assert_eq!(posted(&world, "carl", &form_of(&one)).await.status, StatusCode::CONFLICT, "other entries");
    let all = Query::of_kind(EntryKind::Act);
    assert_eq!(world.connector.count(&all, 10).await.unwrap(), 0, "nothing was done");
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_or_left_undone_needs_a_reason_that_the_log_keeps() {
    let world = World::new().await;
    let dead = world.dead("books", 2).await;
    for (act, state) in [("acknowledge", EntryState::Dead), ("discard", EntryState::Discarded)] {
        // What is known is no group any more: one entry by its number.
        let fields =
            vec![("do", act.to_owned()), ("connection", "slack".to_owned()), ("seq", dead[0].to_string())];
        let page = confirmation(&world, "carl", &fields).await;
        let without = posted(&world, "carl", &form(&page, &fields, "")).await;
        assert_eq!(without.status, StatusCode::BAD_REQUEST);
        without.shows("Say why");
        let done = posted(&world, "carl", &form(&page, &fields, "the channel was closed")).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER);
        let entry = world.connector.search(&Query::entries(vec![dead[0]])).await.unwrap().pop().unwrap();
        assert_eq!((entry.state, entry.acknowledged), (state, act == "acknowledge"));
        let story = world.get("bob", &format!("/console/event/{}", dead[0])).await;
        story.shows("carl").shows("the channel was closed");
    }
}

#[tokio::test(start_paused = true)]
async fn routes_are_checked_tried_on_the_past_and_applied_only_as_they_were_tried() {
    let world = World::new().await;
    world.change("books", "1", "149.97").await;
    world.change("books", "2", "20000.00").await;
    let page = world.get("ada", "/console/routes").await;
    let token = page.field("token");
    let toml = |sum: &str| {
        format!(
            "[[routes]]\r\nname = \"large only\"\r\nfrom = [\"books\"]\r\nat_least = [{{ amount = \"{sum}\", currency = \"EUR\" }}]\r\nto = [{{ sink = \"slack\", destination = \"channel:cfo\" }}]\r\n"
        )
    };
    let try_it = async |who: &str, text: &str| {
        world.post(who, "/console/routes", &[("routes", text), ("token", &token)]).await
    };
    let wrong =
        try_it("ada", "[[routes]]\nname = \"x\"\nto = [{ sink = \"nobody\", destination = \"y\" }]").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("nobody").shows("Nothing was changed");
    assert_eq!(try_it("ada", "[[routes]").await.status, StatusCode::BAD_REQUEST);
    // Whoever sees only a part may not change what is everybody's, whatever else he may.
    assert_eq!(try_it("carl", &toml("10000")).await.status, StatusCode::FORBIDDEN);
    world.get("carl", "/console/routes").await.hides("Try other routes");

    let tried = try_it("ada", &toml("10000")).await;
    tried.shows("<dt>lost</dt><dd>2</dd>").shows("<dt>gained</dt><dd>0</dd>");
    assert_eq!(world.connector.routes().len(), 3, "nothing was changed");
    let token = tried.field("token");
    let apply = async |text: &str| {
        world.post("ada", "/console/routes", &[("do", "apply"), ("routes", text), ("token", &token)]).await
    };
    assert_eq!(
        apply(&toml("1")).await.status,
        StatusCode::CONFLICT,
        "other routes than those that were tried"
    );
    assert_eq!(apply(&toml("10000")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(&*world.connector.routes()[0].name, "large only");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_asked_for_confirmed_and_followed() {
    let world = World::new().await;
    let page =
        world.get("carl", "/console/act?do=backfill&connection=books&feed=invoices&since=2026-03-01").await;
    page.shows("2026-03-01").shows("Nothing has happened yet");
    let fields = [("do", "backfill"), ("connection", "books"), ("feed", "invoices"), ("since", "2026-03-01")];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let done = posted(&world, "carl", &form(&page, &fields, "")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let acts = Query::of_kind(EntryKind::Act).with_name("backfill");
    world.until(&acts, |entry| entry.state == EntryState::Done).await;
    assert_eq!(world.get("carl", done.location()).await.status, StatusCode::OK);
    world.get("carl", "/console/backfills").await.shows("invoices").hides("%<");
    let nothing = world.get("carl", "/console/act?do=backfill&connection=books&feed=nothing").await;
    let fields = [("do", "backfill"), ("connection", "books"), ("feed", "nothing")];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    assert_eq!(posted(&world, "carl", &form(&nothing, &fields, "")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_tells_how_far_it_is_where_the_vendor_says_how_much_follows() {
    let world = World::new().await;
    world.corners.past.store(150, Ordering::SeqCst);
    let feed = async || world.connector.progress(&"books".into()).await.unwrap().remove(0);
    let until = async |what: &str, is_so: &dyn Fn(&FeedProgress) -> bool| {
        for _ in 0..600 {
            if is_so(&feed().await) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{what}: {:?}", feed().await);
    };
    let has_read = |feed: &FeedProgress, rows| feed.runs.iter().any(|run| run.rows >= rows);
    until("the first read has ended", &|feed| feed.baseline.is_some()).await;
    world.get("bob", "/console/backfills").await.hides("aria-label=\"50 of 150\"");
    world.connector.backfill(&"books".into(), "invoices", None).await.unwrap();
    until("a page was read", &|feed| has_read(feed, 50)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let page = world.get("bob", "/console/backfills").await;
    // It goes on every thirty seconds.
    page.shows("50 rows").shows("aria-label=\"50 of 150\"").shows(" of 150 rows");
    page.shows(" s left").shows("http-equiv");
    until("all was read", &|feed| has_read(feed, 150)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let page = world.get("bob", "/console/backfills").await;
    page.shows("150 rows").shows(", ended ").hides("class=\"meter\"").hides(" left").hides("http-equiv");
}

/// An event has no destination of its own: where it would go, the routes say.
#[tokio::test(start_paused = true)]
async fn what_the_routes_of_today_would_send_is_shown_with_its_ways_and_confirmed_for_these_alone() {
    let world = World::new().await;
    let event = world.change("books", "1", "149.97").await.parent.unwrap();
    let route = |destination: &str| {
        let route = Route::new("again").from("books").with_origin(Origin::Replay);
        RouteSet::new(vec![
            route.to("slack", Destination::from(destination)).to("rivalslack", "channel:r".into()),
        ])
    };
    let fields =
        vec![("do", "reroute".to_owned()), ("connection", "books".to_owned()), ("seq", event.to_string())];
    confirmation(&world, "carl", &fields).await.shows("Nothing of this can be done");
    world.connector.set_routes(route("channel:first")).unwrap();
    let page = confirmation(&world, "carl", &fields).await;
    page.shows("1 entry would be sent where the routes send it now");
    page.shows("slack · channel:first by the route again: <b>1</b>").hides("read again");
    page.shows("connections that you do not see: <b>1</b>").hides("rival");
    confirmation(&world, "ada", &fields).await.shows("rivalslack · channel:r by the route again: <b>1</b>");
    // Other routes meanwhile: it would go where nobody has agreed to.
    world.connector.set_routes(route("channel:second")).unwrap();
    let refused = posted(&world, "carl", &form(&page, &fields, "")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.shows("channel:second");
    assert_eq!(posted(&world, "carl", &form(&refused, &fields, "")).await.status, StatusCode::SEE_OTHER);
    let sent = Query::of_kind(EntryKind::Delivery).with_destination("channel:second");
    world.until(&sent, |entry| entry.state == EntryState::Done).await;
}
