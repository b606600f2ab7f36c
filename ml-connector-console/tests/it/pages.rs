//! What the pages show, with hostile text in every place, and how often they read the log.

use http::StatusCode;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn an_event_is_told_from_the_bytes_to_the_receipt() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "149.97").await;
    let page = world.get("bob", &format!("/console/event/{}", delivery.seq)).await;
    page.shows("Bytes came in, were verified and stored").shows("Read the record").shows("Taken by");
    page.shows("other routes do not take it")
        .shows("the total is below")
        .shows("channel:accounting")
        .shows(&format!("board/{}", delivery.seq));
    page.shows("<svg class=\"timeline\"").shows("<ol class=\"story\">");
    // In the organization's zone, an hour ahead of UTC, which is on hover.
    page.shows("07:00:0").shows("2026-03-12T06:00:0");
    let event = world.get("bob", &format!("/console/event/{}", delivery.parent.unwrap())).await;
    event.shows("149.97 EUR").shows(&format!("board/{}", delivery.seq));
    let record = delivery.index.entity.unwrap();
    let path = format!("/console/record/books/invoice/{}", record.id.replace(' ', "%20"));
    world.get("bob", &path).await.shows("INV-1").shows("149.97 EUR");
}

#[tokio::test(start_paused = true)]
async fn the_box_finds_everything_by_what_people_have_in_hand() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "1149.97").await;
    let shown = format!("/console/event/{}", delivery.seq);
    for q in ["INV-1", "1149.97", "1,149.97", &format!("board/{}", delivery.seq), "invoice/1+1149.97"] {
        let page = world.get("bob", &format!("/console/events?q={q}")).await;
        page.shows(&shown);
    }
    let one = world.get("bob", &format!("/console/events?q=%23{}", delivery.seq)).await;
    assert_eq!((one.status, one.location()), (StatusCode::SEE_OTHER, &*shown));
    world.get("bob", "/console/events?q=INV-2").await.shows("Nothing is called").shows("Nothing fits");
    // The state of the page is its address.
    let page = world.get("bob", "/console/events?kind=delivery&state=done&connection=slack").await;
    page.shows(&shown).shows("selected");
    for wrong in
        ["kind=thing", "state=odd", "after=x", "amount_from=much", "currency=EURO", "from=today", "error=x"]
    {
        assert_eq!(
            world.get("bob", &format!("/console/events?{wrong}")).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pages_go_on_where_the_one_before_ended() {
    let world = World::new().await;
    for i in 0..53 {
        world.change("books", &format!("n{i}"), "1.00").await;
    }
    let first = world.get("bob", "/console/events").await;
    assert_eq!(first.text.matches(">invoice.sent<").count(), 50);
    let next = first
        .text
        .split_once("rel=\"next\" href=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0
        .replace("&amp;", "&");
    let second = world.get("bob", &next).await;
    assert_eq!(second.text.matches(">invoice.sent<").count(), 3);
    second.shows("That is all").shows("INV-n0").hides("INV-n9<");
}

const HOSTILE: &str = "<script>alert(1)</script>\" onmouseover=\"x' {{7*7}} \u{202e}gpj.exe";

#[tokio::test(start_paused = true)]
async fn hostile_text_does_nothing_anywhere() {
    let world = World::new().await;
    let id = "<img src=x onerror=alert(1)>\"'";
    let delivery = world.change("books", &id.replace(' ', "_"), "5.00").await;
    let encoded: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let record = url::form_urlencoded::byte_serialize(delivery.index.entity.as_ref().unwrap().id.as_bytes())
        .collect::<String>();
    let paths = [
        "/console/events?kind=all".to_owned(),
        format!("/console/event/{}", delivery.seq),
        format!("/console/event/{}", delivery.parent.unwrap()),
        format!("/console/record/books/invoice/{}", record.replace('+', "%20")),
        format!("/console/events?q={encoded}"),
        format!("/console/events?name={encoded}&destination={encoded}&connection={encoded}"),
        format!("/console?chart={encoded}"),
        format!("/console/act?do={encoded}&connection=books"),
        format!("/console/record/books/{encoded}/{encoded}"),
        format!("/console/{encoded}"),
    ];
    for path in paths {
        let page = world.get("ada", &path).await;
        page.hides("<script>alert").hides("<img src=x").hides("\" onmouseover=").hides("\u{202e}");
        assert!(!page.text.contains("javascript:"));
    }
    assert!(
        world.get("ada", "/console/events?kind=all").await.text.contains("&lt;img"),
        "it is shown as text"
    );
}

#[tokio::test(start_paused = true)]
async fn the_overview_says_what_needs_somebody_and_what_to_do() {
    let world = World::new().await;
    world.get("ada", "/console").await.shows("Nothing needs you").shows("books").shows("✓");
    world.dead("books", 2).await;
    let page = world.get("bob", "/console").await;
    page.shows("1 thing needs you")
        .shows("2 entries given up")
        .shows("Repair the cause, then send them again");
    page.shows("Last delivery").shows("last two hours");
    world.get("rita", "/console").await.shows("Nothing needs you");
}

/// However much is in the log, no page reads it more often than so many times.
const MOST_READS: usize = 20;

#[tokio::test(start_paused = true)]
async fn no_page_reads_the_log_more_than_twenty_times() {
    let world = World::new().await;
    let dead = world.dead("books", 60).await;
    let delivery = world.change("books", "last", "12.00").await;
    let pages = [
        ("".to_owned(), MOST_READS),
        ("/events".to_owned(), MOST_READS),
        ("/events?kind=all".to_owned(), MOST_READS),
        ("/events?q=nothing".to_owned(), MOST_READS),
        ("/trouble".to_owned(), MOST_READS),
        ("/routes".to_owned(), MOST_READS),
        ("/backfills".to_owned(), MOST_READS),
        (format!("/event/{}", delivery.seq), MOST_READS),
        (format!("/event/{}", delivery.parent.unwrap()), MOST_READS),
        (format!("/act?do=replay&connection=slack&state=dead&like={}", dead[0]), MOST_READS),
    ];
    let mut told = Vec::new();
    for (page, most) in pages {
        // Nobody else reads meanwhile: everything has settled, and the clock stands still while a page is made.
        world.log.take();
        let answer = world.get("ada", &format!("/console{page}")).await;
        let reads = world.log.take();
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        told.push((page, reads, most));
    }
    let over: Vec<_> = told.iter().filter(|(_, reads, most)| reads > most).collect();
    assert!(over.is_empty(), "{over:?}\n{told:?}");
}
