//! What the pages show, with hostile text in every place, and how often they read the log.

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Error, ErrorKind,
    audit::{EntryKind, EntryState, Index, NewEntry, Parent, Transaction},
    model::{Destination, EntityRef, Partition},
    route::Route,
};

use crate::{vendor::HOSTILE, world::World};

#[tokio::test(start_paused = true)]
async fn an_event_is_told_from_the_bytes_to_the_receipt() {
    let world = World::new().await;
    let delivery = world.change("books", "1", "149.97").await;
    let page = world.get("bob", &format!("/console/event/{}", delivery.seq)).await;
    page.shows("Bytes came in, were verified and stored").shows("Read the record").shows("Taken by");
    page.shows("1 other route does not take it")
        .shows("the total is below")
        .shows("channel:accounting")
        .shows(&format!("board/{}", delivery.seq));
    page.shows("<svg class=\"timeline\"").shows("<ol class=\"story\">");
    page.shows(&format!("<a href=\"https://boards.example/board/{}\" rel=\"noreferrer\">", delivery.seq));
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
    for wrong in [
        "kind=thing",
        "state=odd",
        "after=x",
        "amount_from=much",
        "currency=EURO",
        "from=today",
        // What would read everything to find nothing.
        "error=x",
        "error=x&state=done",
        "error=x&state=dropped",
        "error=x&from=1970-01-01T00:00:00Z",
        "error=x&q=INV-1",
        "currency=EUR",
        "currency=EUR&state=done",
        "currency=EUR&from=1970-01-01T00:00:00Z",
    ] {
        assert_eq!(
            world.get("bob", &format!("/console/events?{wrong}")).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
    for right in ["error=x&state=dead", "error=x&state=parked", "currency=EUR&amount_to=5"] {
        assert_eq!(world.get("bob", &format!("/console/events?{right}")).await.status, StatusCode::OK);
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

#[tokio::test(start_paused = true)]
async fn hostile_text_does_nothing_anywhere() {
    let world = World::new().await;
    let id = "<img src=x onerror=alert(1)>\"'";
    let delivery = world.change("books", &id.replace(' ', "_"), "5.00").await;
    let hostile = format!("{HOSTILE} \u{202e}gpj.exe");
    let encoded: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
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

/// Also what vendors, the configuration and people of the host write.
#[tokio::test(start_paused = true)]
async fn hostile_text_does_nothing_in_any_field_and_any_error() {
    let world = World::new().await;
    let route = Route::new(HOSTILE).from("books").on("invoice.*");
    world.connector.set_routes(vec![route.to("slack", Destination::from(HOSTILE))]).unwrap();
    *world.corners.customer.lock().unwrap() = Some(HOSTILE.to_owned());
    *world.corners.receipt.lock().unwrap() = Some(HOSTILE.to_owned());
    let done = world.change("books", "1", "5.00").await;
    assert_eq!(done.receipt(), Some(HOSTILE), "it is in the log as it came");
    world.corners.faults.lock().unwrap().push_back(Error::new(ErrorKind::InvalidRequest, HOSTILE));
    let dead = world.change("books", "2", "5.00").await;
    assert!(dead.state == EntryState::Dead && dead.has_error(HOSTILE), "{dead:?}");
    let (event, act) = (done.parent.unwrap(), ("do", "acknowledge"));
    let seq = dead.seq.to_string();
    let confirm = format!("/act?do=acknowledge&connection=slack&seq={seq}");
    let page = world.get("hostile", &format!("/console{confirm}")).await;
    let form =
        [act, ("connection", "slack"), ("seq", &*seq), ("why", HOSTILE), ("token", &*page.field("token"))];
    let acted = world.post("hostile", "/console/act", &form).await;
    let acted = acted.location().strip_prefix("/console").unwrap().to_owned();
    let token = world.get("hostile", &format!("/console/event/{event}")).await.field("token");
    let revealed =
        world.post("hostile", &format!("/console/event/{event}/reveal"), &[("token", &*token)]).await;
    revealed.shows("\\&quot; onmouseover=").shows("&lt;script&gt;");
    let again = world.get("hostile", &format!("/console/act?do=replay&connection=slack&seq={seq}")).await;
    let mut pages = vec![revealed, page, again];
    let paths = ["", "/events?kind=all", "/trouble", "/routes", "/backfills", &*acted];
    let events = [event, done.seq, dead.seq].map(|seq| format!("/event/{seq}"));
    for path in paths.into_iter().chain(events.iter().map(String::as_str)) {
        pages.push(world.get("hostile", &format!("/console{path}")).await);
    }
    for page in &pages {
        assert_eq!(page.status, StatusCode::OK);
        page.hides("<script>alert").hides("<img").hides("\" onmouseover=").shows("&lt;script&gt;");
    }
}

/// A sink's link that leads nowhere good, or no link at all, leaves the receipt as it is.
#[tokio::test(start_paused = true)]
async fn a_link_of_a_careless_sink_is_none() {
    let world = World::new().await;
    for receipt in [
        "javascript:alert(1)",
        "http://boards.example/1",
        "https://me:secret@boards.example/",
        "board/broken",
    ] {
        *world.corners.receipt.lock().unwrap() = Some(receipt.to_owned());
        let done = world.change("books", receipt, "5.00").await;
        assert_eq!(done.receipt(), Some(receipt));
        let page = world.get("ada", &format!("/console/event/{}", done.seq)).await;
        page.shows("<b>Done</b>, receipt").hides("rel=\"noreferrer\"").hides("href=\"javascript");
    }
}

/// What is told of an error is without what looks like a secret, and of a length that fits.
#[tokio::test(start_paused = true)]
async fn secrets_in_errors_are_hidden_and_long_errors_are_cut_on_every_page() {
    let world = World::new().await;
    let said = format!(
        "refused token=Abcdefgh12345 of ada@example.com by xoxb-1234567890-abcdef {}",
        "blah ".repeat(400)
    );
    world.corners.faults.lock().unwrap().push_back(Error::new(ErrorKind::InvalidRequest, said));
    let dead = world.change("books", "1", "5.00").await;
    assert!(dead.has_error("Abcdefgh12345"), "a careless sink");
    for path in [format!("/event/{}", dead.seq), "/trouble".to_owned()] {
        let page = world.get("ada", &format!("/console{path}")).await;
        page.shows("token=•••").hides("Abcdefgh12345").hides("ada@example.com").hides("xoxb-1234567890");
        assert!(!page.text.contains(&"blah ".repeat(100)), "{path}: it is cut");
    }
    world.get("ada", &format!("/console/event/{}", dead.seq)).await.shows(" more characters)");
}

/// Where events went, as far as a row has room for it; all of it is in the story.
#[tokio::test(start_paused = true)]
async fn outcomes_of_events_with_many_destinations_are_counted() {
    let world = World::new().await;
    let now = world.connector.context().now();
    let partition = Partition::all().next().unwrap();
    for (id, count) in [("few", 3), ("some", 10), ("many", 40)] {
        let index = Index {
            entity: Some(EntityRef::new("invoice", id)),
            name: Some("invoice.paid".into()),
            ..Index::default()
        };
        let of = |kind, whose: &str| NewEntry {
            index: index.clone(),
            ..NewEntry::new(partition, kind, whose.into(), now)
        };
        let mut append = vec![of(EntryKind::Event, "books")];
        append.extend(
            (0..count).map(|_| NewEntry { parent: Parent::Nth(0), ..of(EntryKind::Delivery, "slack") }),
        );
        world.log.commit(vec![Transaction { append, ..Transaction::default() }], now).await.unwrap();
    }
    let page = world.get("bob", "/console/events").await;
    let rows: Vec<&str> = page.text.split("<tr>").skip(2).collect();
    let shown = |row: &str| {
        (
            row.matches("class=\"way\"").count(),
            row.contains("and 2 more"),
            row.contains("see its story for all"),
        )
    };
    assert_eq!(shown(rows[0]), (8, false, true), "many");
    assert_eq!(shown(rows[1]), (8, true, false), "some");
    assert_eq!(shown(rows[2]), (3, false, false), "few");
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
    page.shows("Last delivery").shows("last two hours").shows("nothing was delivered");
    // How long deliveries took, five minutes by five minutes.
    world.change("books", "1", "1.00").await;
    let page = world.get("bob", "/console").await;
    page.shows("From event to delivery: half within")
        .shows("07:00: half within")
        .shows("06:55: nothing was delivered");
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
    // Routes are tried on the latest events.
    let page = world.get("ada", "/console/routes").await;
    let toml = "[[routes]]\nname = \"all\"\nto = [{ sink = \"slack\", destination = \"channel:all\" }]";
    world.log.take();
    let form = [("routes", toml), ("token", &*page.field("token"))];
    let tried = world.post("ada", "/console/routes", &form).await;
    told.push(("try routes".to_owned(), world.log.take(), MOST_READS));
    tried.shows("<dt>moved</dt><dd>61</dd>");
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
