//! Who is let in, what each sees, and what every answer says to browsers.

use http::{Request, StatusCode};
use http_body_util::Full;
use ml_connector_core::audit::{EntryKind, Query};

use crate::{
    vendor::CUSTOMER,
    world::{FORM, World, encoded, get, post, send},
};

/// Every page.
const PAGES: [&str; 5] = ["", "/events", "/trouble", "/routes", "/backfills"];

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_who_is_not_allowed() {
    let world = World::new().await;
    let style = world.get("ada", "/console").await;
    let style =
        style.text.split_once("rel=\"stylesheet\" href=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    assert_eq!(world.get("ada", &style).await.status, StatusCode::OK);
    for who in ["", "eve", "nameless"] {
        for page in PAGES.iter().map(|page| format!("/console{page}")).chain([style.clone()]) {
            let answer = world.get(who, &page).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{who} {page}");
            answer.hides("books");
        }
        let answer = world.post(who, "/console/act", &[("do", "resume"), ("connection", "books")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_keeps_browsers_from_loading_framing_and_keeping_it() {
    let world = World::new().await;
    for (who, path) in [
        ("ada", "/console"),
        ("ada", "/console/nothing"),
        ("eve", "/console"),
        ("ada", "/console/events?q=%00"),
    ] {
        let answer = world.get(who, path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        for word in [
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(word), "{policy}");
        }
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(
            !answer.text.contains(" style=")
                && !answer.text.contains(" onclick=")
                && !answer.text.contains("<style")
        );
    }
    let page = world.get("ada", "/console").await;
    for asset in page.text.split("=\"/console/assets/").skip(1).map(|rest| rest.split_once('"').unwrap().0) {
        assert!(asset.split_once('.').unwrap().0.len() == 16, "a digest: {asset}");
        let answer = world.get("ada", &format!("/console/assets/{asset}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"));
    }
    assert_eq!(world.get("ada", "/console/assets/0000000000000000.css").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_others_is_not_there() {
    let world = World::new().await;
    let own = world.change("books", "1", "149.97").await;
    let other = world.change("rival", "2", "77.70").await;
    for who in ["bob", "carl"] {
        for page in
            PAGES.iter().map(|page| format!("/console{page}")).chain(["/console/events?kind=all".to_owned()])
        {
            world.get(who, &page).await.hides("rival").hides("77.70");
        }
        for path in [
            format!("/console/event/{}", other.seq),
            format!("/console/event/{}", other.parent.unwrap()),
            "/console/record/rival/invoice/2%2077.70".to_owned(),
            "/console/record/any/invoice/2%2077.70".to_owned(),
            format!("/console/events?q=%23{}", other.seq),
        ] {
            assert_eq!(world.get(who, &path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        for q in ["INV-2", "77.70", "board", "invoice/2 77.70"] {
            let path = format!("/console/events?q={}", q.replace(' ', "+"));
            world.get(who, &path).await.hides(&format!("/event/{}", other.seq)).hides("rivalslack");
        }
        world.get(who, "/console/events?connection=rival").await.shows("Nothing fits");
        world.get(who, "/console?chart=rival").await.hides("last two hours of rival");
        // The names of routes are names of customers, and a story names routes.
        for seq in [own.seq, own.parent.unwrap()] {
            let page = world.get(who, &format!("/console/event/{seq}")).await;
            page.shows("board/").shows("Taken by <b>invoices</b>").shows("<b>large</b>").hides("rival");
        }
    }
    for act in [
        format!("do=replay&connection=rivalslack&seq={}", other.seq),
        format!("do=replay&connection=slack&seq={}", other.seq),
        format!("do=replay&connection=slack&state=dead&like={}", other.seq),
        "do=resume&connection=rival".to_owned(),
        "do=backfill&connection=rival&feed=invoices".to_owned(),
    ] {
        let answer = world.get("carl", &format!("/console/act?{act}")).await;
        assert!(
            answer.status == StatusCode::NOT_FOUND || answer.text.contains("Nothing of this can be done"),
            "{act}"
        );
        assert_eq!(world.get("bob", &format!("/console/act?{act}")).await.status, StatusCode::FORBIDDEN);
    }
    world.get("rita", "/console/events").await.shows("77.7").hides("149.97");
}

#[tokio::test(start_paused = true)]
async fn what_entries_hold_is_hidden_until_somebody_who_may_looks_and_the_log_says_so() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "149.97").await;
    let event = delivery.parent.unwrap();
    let path = format!("/console/event/{event}");
    for who in ["ada", "bob", "carl"] {
        world.get(who, &path).await.hides(CUSTOMER);
    }
    world.get("bob", &path).await.hides("Show it");
    let page = world.get("ada", &path).await;
    let token = page.field("token");
    let reveal = format!("{path}/reveal");
    // Another entry, another person, another time.
    for (who, path, token) in [
        ("ada", format!("/console/event/{}/reveal", delivery.seq), token.clone()),
        ("rita", reveal.clone(), token.clone()),
        ("bob", reveal.clone(), token.clone()),
        ("ada", reveal.clone(), "0.0".to_owned()),
    ] {
        let answer = world.post(who, &path, &[("token", &token)]).await;
        assert!(matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{who} {path}");
        answer.hides(CUSTOMER);
    }
    let acts = Query::of_kind(EntryKind::Act).with_name("reveal");
    assert_eq!(world.connector.search(&acts).await.unwrap().len(), 0, "nobody has looked");
    world.post("ada", &reveal, &[("token", &token)]).await.shows(CUSTOMER).hides("Before");
    let looked = world.connector.search(&acts.with_bodies()).await.unwrap();
    let body = String::from_utf8_lossy(looked[0].body.as_ref().unwrap()).into_owned();
    assert!(looked.len() == 1 && body.contains("ada") && body.contains(&event.to_string()), "{body}");
}

#[tokio::test(start_paused = true)]
async fn what_a_change_changed_is_named_and_its_values_are_revealed() {
    let world = World::new().await;
    let first = world.change("books", "moving", "0").await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    world.change("books", "moving", "0").await;
    let later = Query::of_kind(EntryKind::Delivery).with_connection("slack".into()).newest_first();
    let second = world.until(&later, |entry| entry.parent > first.parent).await;
    let path = format!("/console/event/{}", second.parent.unwrap());
    let page = world.get("ada", &path).await;
    page.shows("Changed: <code>total</code>").hides("Before");
    let token = page.field("token");
    let page = world.post("ada", &format!("{path}/reveal"), &[("token", &token)]).await;
    page.shows("Before").shows("After").shows("EUR");
}

#[tokio::test(start_paused = true)]
async fn forms_from_elsewhere_are_refused() {
    let world = World::new().await;
    let page = world.get("ada", "/console/act?do=resume&connection=books").await;
    let form = [("do", "resume"), ("connection", "books"), ("token", &*page.field("token"))];
    let from = |headers: &[(&str, &str)]| {
        let mut request = Request::post("/console/act").header("actor", "ada").header("content-type", FORM);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(encoded(&form))).unwrap()
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://a.example"), ("host", "a.example")],
        &[("origin", "https://evil.example"), ("host", "a.example")],
        &[("origin", "null"), ("host", "a.example")],
    ] {
        let answer = send(&world.console, from(headers)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let here = from(&[("origin", "https://a.example"), ("host", "a.example")]);
    assert_eq!(send(&world.console, here).await.status, StatusCode::SEE_OTHER);
    for (method, kind) in [("PUT", FORM), ("DELETE", FORM), ("POST", "text/plain")] {
        let request = Request::builder().method(method).uri("/console/act").header("actor", "ada");
        let request = request.header("content-type", kind).header("sec-fetch-site", "same-origin");
        let answer = send(&world.console, request.body(Full::new(encoded(&form))).unwrap()).await;
        let refused = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::BAD_REQUEST];
        assert!(refused.contains(&answer.status), "{method} {kind}: {}", answer.status);
    }
    let vast = "a".repeat(200_000);
    assert_eq!(
        world.post("ada", "/console/routes", &[("routes", &vast)]).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_holds_on_every_host_of_the_log() {
    let world = World::new().await;
    let page = get(&world.other_host(), "ada", "/console/act?do=resume&connection=books").await;
    let token = page.field("token");
    let form = [("do", "resume"), ("connection", "books"), ("token", &*token)];
    assert_eq!(world.post("ada", "/console/act", &form).await.status, StatusCode::SEE_OTHER);
    // As after a restart.
    assert_eq!(post(&world.other_host(), "ada", "/console/act", &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(world.post("carl", "/console/act", &form).await.status, StatusCode::CONFLICT, "not his");
    let other = [("do", "resume"), ("connection", "slack"), ("token", &*token)];
    assert_eq!(world.post("ada", "/console/act", &other).await.status, StatusCode::CONFLICT);
    tokio::time::sleep(std::time::Duration::from_secs(601)).await;
    assert_eq!(world.post("ada", "/console/act", &form).await.status, StatusCode::CONFLICT, "ten minutes");
}

#[tokio::test(start_paused = true)]
async fn the_page_says_so_while_the_log_is_down() {
    let world = World::new().await;
    world.log.goes_down();
    for page in ["", "/events", "/trouble", "/routes", "/backfills", "/event/1"] {
        let answer = world.get("ada", &format!("/console{page}")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
        answer.shows("The log does not answer").hides("the disk is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_shown_while_the_log_takes_no_writes_although_there_is_no_key_yet() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "149.97").await;
    world.log.takes_no_writes();
    let page = world.get("ada", &format!("/console/event/{}", delivery.seq)).await;
    assert_eq!(page.status, StatusCode::OK);
    page.shows("board/").shows("while the log takes no writes").hides("Show it");
    let routes = world.get("ada", "/console/routes").await;
    assert_eq!(routes.status, StatusCode::OK);
    routes.shows("invoices").shows("while the log takes no writes").hides("<textarea");
    // Whoever sees some connections has to know it, too.
    for who in ["ada", "bob"] {
        world.get(who, "/console").await.shows("The log takes no writes");
        world.get(who, "/console/trouble").await.shows("The log takes no writes").shows("Look at the disk");
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_the_host_is_seen_by_those_who_see_everything() {
    let world = World::new().await;
    world.change("books", "1", "149.97").await;
    world.wall.jumps_ahead(std::time::Duration::from_secs(7200));
    for page in ["", "/trouble"] {
        let path = format!("/console{page}");
        world.get("ada", &path).await.shows("The clock of this host is not believed");
        world.get("bob", &path).await.hides("clock of this host");
    }
    world.get("bob", "/console").await.shows("Nothing needs you");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_run_the_connector_shows_what_the_log_knows() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "149.97").await;
    let other = world.other_host();
    get(&other, "ada", "/console").await.shows("does not run in this process");
    get(&other, "ada", &format!("/console/event/{}", delivery.seq)).await.shows("board/");
}
