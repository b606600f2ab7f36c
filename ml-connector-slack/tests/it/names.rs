//! From channel names to ids.

use ml_connector_core::{Effect, ErrorKind, Retry, Scope, rate::Feedback};
use ml_connector_slack::channel;
use serde_json::Value;
use wiremock::ResponseTemplate;

use crate::support::*;

const LIST: &str = "conversations.list";
const POST: &str = "chat.postMessage";

async fn world() -> World {
    let world = World::new().await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    world
}

async fn two_pages(world: &World) {
    world.answer_once(LIST, ok("conversations.list.page1.json")).await;
    world.answer(LIST, ok("conversations.list.page2.json")).await;
}

async fn posted_to(world: &World) -> Vec<String> {
    let requests = world.requests(POST).await;
    let channel = |request: &wiremock::Request| {
        let body: Value = request.body_json().unwrap();
        body["channel"].as_str().unwrap().to_owned()
    };
    requests.iter().map(channel).collect()
}

fn one(channel: &str) -> ResponseTemplate {
    json(200, &format!(r#"{{"ok":true,"channels":[{channel}],"response_metadata":{{"next_cursor":""}}}}"#))
}

#[tokio::test]
async fn a_name_nobody_has_stops_the_lane_and_is_not_asked_for_again_at_once() {
    let world = world().await;
    two_pages(&world).await;
    let slack = world.slack();
    for _ in 0..2 {
        let error = world.deliver(&slack, &delivery(channel("nowhere"))).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::NotFound, &Scope::Lane));
        assert_eq!((error.retry(), error.context("channel")), (Retry::Never, Some("nowhere")));
    }
    assert_eq!(world.requests(LIST).await.len(), 2);
    world.clock.advance(secs(61));
    world.deliver(&slack, &delivery(channel("nowhere"))).await.unwrap_err();
    assert_eq!(world.requests(LIST).await.len(), 3, "the channel may have been made meanwhile");
}

#[tokio::test]
async fn an_archived_channel_stops_the_lane() {
    let world = world().await;
    two_pages(&world).await;
    let error = world.deliver(&world.slack(), &delivery(channel("finance-audit"))).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Conflict, &Scope::Lane));
    assert!(error.message().contains("unarchive"));
    assert!(posted_to(&world).await.is_empty());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_has_posted_nothing() {
    for (response, scope) in [
        (error("missing_scope"), Scope::Lane),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "60"),
            Scope::Quota("slack/T07LEDGER1/conversations.list".into()),
        ),
        (json(200, r#"{"ok":true,"channels":7}"#), Scope::Entry),
    ] {
        let world = world().await;
        world.answer(LIST, response).await;
        let error = world.deliver(&world.slack(), &delivery(channel("accounting"))).await.unwrap_err();
        assert_eq!((error.effect(), error.scope()), (Effect::None, &scope), "{error:?}");
        assert!(posted_to(&world).await.is_empty());
    }
}

#[tokio::test]
async fn a_name_is_found_on_any_page_and_kept() {
    let world = world().await;
    two_pages(&world).await;
    let slack = world.slack();
    for _ in 0..2 {
        world.deliver(&slack, &delivery(channel("#invoice-approvals"))).await.unwrap();
    }
    assert_eq!(posted_to(&world).await, ["C07APPROV1", "C07APPROV1"]);
    let requests = world.requests(LIST).await;
    let bodies: Vec<_> = requests.iter().map(|request| std::str::from_utf8(&request.body).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            "types=public_channel%2Cprivate_channel&limit=999",
            "types=public_channel%2Cprivate_channel&limit=999&cursor=dGVhbTpDMDdGSU5BVURJMQ%3D%3D",
        ]
    );
    assert_eq!(requests[0].headers["content-type"], "application/x-www-form-urlencoded");
    let told = world.limiter.told.lock().unwrap();
    assert!(told.iter().all(|(_, feedback)| matches!(feedback, Feedback::Finished(_))), "{told:?}");
}

#[tokio::test]
async fn a_post_that_waited_for_its_channel_is_charged_when_it_goes_out() {
    let world = world().await;
    let clock = std::sync::Arc::clone(&world.clock);
    let slow = move |_: &wiremock::Request| {
        clock.advance(secs(2));
        one(r#"{"id":"C07ACCTNG1","name":"accounting"}"#)
    };
    world.answer(LIST, slow).await;
    let slack = world.slack();
    for _ in 0..2 {
        world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap();
    }
    let told = world.limiter.told.lock().unwrap();
    let charged: Vec<_> =
        told.iter().filter(|(_, feedback)| !matches!(feedback, Feedback::Finished(_))).cloned().collect();
    let key = "slack/T07LEDGER1/channel/channel:accounting".into();
    assert_eq!(charged, [(key, Feedback::Charge { units: 1 })]);
}

#[tokio::test]
async fn an_odd_channel_hides_no_other() {
    let odd = r#"null, 7, {"name":"nobody"}, {"id":"C07ODD0001","name":"half \ud83d","previous_names":[null],
        "is_archived":{},"is_member":null},
        {"id":"C07OLD0001","name":"new-name","previous_names":[null,"old-\ud83d","old-name"],"topic":"\ud83d"}"#;
    let good = r#"{"id":"C07ACCTNG1","name":"accounting"}"#;
    let world = world().await;
    let first = format!(
        r#"{{"ok":true,"channels":[{odd}],"response_metadata":{{"next_cursor":"more","messages":["\ud83d"]}}}}"#
    );
    world.answer_once(LIST, json(200, &first)).await;
    world.answer(LIST, one(good)).await;
    let slack = world.slack();
    for name in ["accounting", "old-name"] {
        world.deliver(&slack, &delivery(channel(name))).await.unwrap();
    }
    assert_eq!(posted_to(&world).await, ["C07ACCTNG1", "C07OLD0001"]);
}

/// A list that seems to end proves nothing about the channels that were not read.
#[tokio::test]
async fn a_cursor_that_cannot_be_read_is_no_end() {
    let world = world().await;
    let odd = r#"{"ok":true,"channels":[],"response_metadata":{"next_cursor":{}}}"#;
    world.answer(LIST, json(200, odd)).await;
    let error = world.deliver(&world.slack(), &delivery(channel("accounting"))).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidResponse, Effect::None));
}

#[tokio::test]
async fn an_empty_page_with_a_cursor_is_not_the_end() {
    let world = world().await;
    let empty = r#"{"ok":true,"channels":[],"response_metadata":{"next_cursor":"more"}}"#;
    world.answer_once(LIST, json(200, empty)).await;
    world.answer(LIST, ok("conversations.list.page2.json")).await;
    world.deliver(&world.slack(), &delivery(channel("invoice-approvals"))).await.unwrap();
    assert_eq!(posted_to(&world).await, ["C07APPROV1"]);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_begins_the_list_again_once() {
    let world = world().await;
    world.answer_once(LIST, ok("conversations.list.page1.json")).await;
    world.answer_once(LIST, ok("conversations.list.error.invalid_cursor.json")).await;
    world.answer(LIST, ok("conversations.list.page2.json")).await;
    world.deliver(&world.slack(), &delivery(channel("invoice-approvals"))).await.unwrap();
    assert_eq!(posted_to(&world).await, ["C07APPROV1"]);
}

/// An app that Slack does not list reads one short page a minute: a large workspace takes hours.
#[tokio::test]
async fn a_list_that_takes_hours_is_read_to_its_end() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let world = world().await;
    let calls = AtomicUsize::new(0);
    let rare = move |request: &wiremock::Request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let page: usize = body.split_once("cursor=page").map_or(0, |(_, page)| page.parse().unwrap());
        if calls.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            return ResponseTemplate::new(429).insert_header("retry-after", "600");
        }
        let name = if page == 12 { "accounting".to_owned() } else { format!("other-{page}") };
        let next = page + 1;
        json(
            200,
            &format!(
                r#"{{"ok":true,"channels":[{{"id":"C07PAGE{page}","name":"{name}"}}],"response_metadata":{{"next_cursor":"page{next}"}}}}"#
            ),
        )
    };
    world.answer(LIST, rare).await;
    let slack = world.slack();
    for _ in 0..12 {
        world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap_err();
        world.clock.advance(secs(600));
    }
    world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap();
    assert_eq!(posted_to(&world).await, ["C07PAGE12"]);
    assert_eq!(world.requests(LIST).await.len(), 25, "no page was read twice");
    // What nobody has looked at for an hour is read anew.
    world.clock.advance(secs(3600));
    world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap_err();
}

#[tokio::test]
async fn a_list_that_goes_in_circles_is_an_error() {
    let world = world().await;
    world.answer(LIST, ok("conversations.list.page1.json")).await;
    let error = world.deliver(&world.slack(), &delivery(channel("nowhere"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(world.requests(LIST).await.len(), 2);
}

#[tokio::test]
async fn a_renamed_channel_is_found_by_its_former_name() {
    let world = world().await;
    world
        .answer(LIST, one(r#"{"id":"C07ACCTNG1","name":"finance","previous_names":["accounting","books"]}"#))
        .await;
    world.deliver(&world.slack(), &delivery(channel("accounting"))).await.unwrap();
    assert_eq!(posted_to(&world).await, ["C07ACCTNG1"]);
}

#[tokio::test]
async fn a_former_name_of_several_channels_is_nobodys() {
    let world = world().await;
    let both = r#"{"id":"C07AAAAAA1","name":"a","previous_names":["x"]},
                  {"id":"C07BBBBBB1","name":"b","previous_names":["x"]}"#;
    world.answer(LIST, one(both)).await;
    let error = world.deliver(&world.slack(), &delivery(channel("x"))).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Conflict, &Scope::Lane));
}

#[tokio::test]
async fn a_channel_that_refuses_is_looked_for_anew() {
    let world = World::new().await;
    world.answer_once(POST, ok("chat.postMessage.error.is_archived.json")).await;
    world.answer(POST, ok("chat.postMessage.ok.json")).await;
    world.answer_once(LIST, one(r#"{"id":"C07OLDOLD1","name":"accounting"}"#)).await;
    world
        .answer(
            LIST,
            one(r#"{"id":"C07NEWNEW1","name":"accounting"},
        {"id":"C07OLDOLD1","name":"accounting","is_archived":true}"#),
        )
        .await;
    let slack = world.slack();
    let error = world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap_err();
    assert_eq!(error.scope(), &Scope::Lane);
    world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap();
    assert_eq!(posted_to(&world).await, ["C07OLDOLD1", "C07NEWNEW1"]);
}

#[tokio::test]
async fn a_scan_stops_at_the_match_and_goes_on_from_there_for_another_name() {
    let world = world().await;
    two_pages(&world).await;
    let slack = world.slack();
    world.deliver(&slack, &delivery(channel("accounting"))).await.unwrap();
    assert_eq!(world.requests(LIST).await.len(), 1, "the rest of the workspace does not matter");
    world.deliver(&slack, &delivery(channel("invoice-approvals"))).await.unwrap();
    assert_eq!(world.requests(LIST).await.len(), 2);
    assert_eq!(posted_to(&world).await, ["C07ACCTNG1", "C07APPROV1"]);
}

#[tokio::test]
async fn a_scan_that_is_stopped_by_a_limit_goes_on_where_it_stopped() {
    const PAGES: usize = 40;
    let world = world().await;
    let slack = world.slack();
    for page in 1..=PAGES {
        let name = if page == PAGES { "last" } else { "other" };
        let body = format!(
            r#"{{"ok":true,"channels":[{{"id":"C{page:08}","name":"{name}{page}"}}],
                "response_metadata":{{"next_cursor":"c{page}"}}}}"#
        );
        world.answer_once(LIST, json(200, &body)).await;
        if page % 10 == 0 && page < PAGES {
            world.answer_once(LIST, ResponseTemplate::new(429).insert_header("retry-after", "60")).await;
        }
    }
    let mut put_off = 0;
    while let Err(error) = world.deliver(&slack, &delivery(channel("last40"))).await {
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:?}");
        put_off += 1;
        assert!(put_off < 10, "no end");
        world.clock.advance(secs(61));
    }
    assert_eq!(put_off, 3);
    assert_eq!(posted_to(&world).await, ["C00000040"]);
    assert_eq!(world.requests(LIST).await.len(), PAGES + 3, "no page is read twice");
}
