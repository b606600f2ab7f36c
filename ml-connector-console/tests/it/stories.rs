//! Stories that wait, and what is said meanwhile.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{
    AuditLog, Error, ErrorKind, Retry,
    audit::{EntryKind, EntryState, NewEntry, Parent, Query, Transaction},
    route::RouteSet,
};

use crate::world::{Answer, World};

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_limit_is_told_in_words_while_it_does_and_in_its_story_afterwards() {
    let world = World::new().await;
    // Five a second go.
    for i in 0..60 {
        world.tell("books", &format!("w{i}"), "5.00").await;
    }
    let all = Query::of_kind(EntryKind::Delivery).with_limit(100);
    let done = async || {
        let found = world.connector.search(&all).await.unwrap();
        found.iter().filter(|entry| entry.state == EntryState::Done).count()
    };
    let mut page = world.get("ada", "/console").await;
    // Between two seconds there is room for a moment.
    let is_limited = |page: &Answer| {
        ["limited by board/channel:accounting", ", next ", "5 of 5 in 1 s"]
            .iter()
            .all(|text| page.text.contains(text))
    };
    while !is_limited(&page) && done().await < 60 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        page = world.get("ada", "/console").await;
    }
    page.shows("<h2>Waiting</h2>").shows("<b>channel:accounting</b>: ").shows(" entries to send");
    page.shows("limited by board/channel:accounting").shows(", next ");
    page.shows("<h2>Limits</h2>").shows("aria-label=\"5 of 5\"").shows("5 of 5 in 1 s");
    // Limits belong to nobody.
    world.get("bob", "/console").await.shows("<h2>Waiting</h2>").hides("<h2>Limits</h2>");
    let last = Query::of_kind(EntryKind::Delivery).newest_first().with_limit(1);
    let last = world.until(&last, |entry| entry.state == EntryState::Done).await;
    // Of the last five, which went together, the first has waited.
    let mut told = 0;
    for entry in world.connector.search(&all.clone().newest_first().with_limit(5)).await.unwrap() {
        let page = world.get("bob", &format!("/console/event/{}", entry.seq)).await;
        let waited = page.text.contains("waiting for the limit board/channel:accounting");
        assert_eq!(waited, page.text.contains("Waited for room in the limit"));
        told += usize::from(waited);
    }
    assert!(told >= 1, "#{} and those before", last.seq);
    world.get("ada", "/console").await.hides("<h2>Waiting</h2>");
}

#[tokio::test(start_paused = true)]
async fn a_night_in_which_nothing_happened_is_folded() {
    let world = World::new().await;
    let morning = world.connector.context().now() + Duration::from_secs(3 * 3600);
    let later = Error::new(ErrorKind::RateLimited, "come back later").with_retry(Retry::At(morning));
    world.corners.faults.lock().unwrap().push_back(later);
    world.tell("books", "1", "5.00").await;
    tokio::time::sleep(Duration::from_secs(3 * 3600 + 60)).await;
    let sent = Query::of_kind(EntryKind::Delivery);
    let sent = world.until(&sent, |entry| entry.state == EntryState::Done).await;
    let page = world.get("bob", &format!("/console/event/{}", sent.seq)).await;
    page.shows("<g class=\"fold\">")
        .shows(" in which nothing happened")
        .shows(" later</li>")
        .shows("Tried again at");
}

/// What a route matches, sends and gives up is counted; what others would have gained, lost and moved, too.
#[tokio::test(start_paused = true)]
async fn routes_are_counted_and_what_others_would_gain_and_move_is_shown() {
    let world = World::new().await;
    world.change("books", "1", "5.00").await;
    world.change("books", "2", "20000.00").await;
    world.dead("books", 1).await;
    let page = world.get("ada", "/console/routes").await;
    let row = |name: &str| {
        let row = page.text.split("<tr>").find(|row| row.contains(&format!(">{name}</a>"))).unwrap();
        let cells = row.split("class=\"amount\"").skip(1);
        let text = |cell: &str| {
            let cell = cell.split_once('>').unwrap().1.split_once("</td>").unwrap().0;
            cell.chars().filter(char::is_ascii_digit).collect::<String>()
        };
        cells.map(text).collect::<Vec<_>>()
    };
    // Matches, sent, given up, waiting.
    assert_eq!(row("invoices"), ["3", "2", "1", "0"]);
    assert_eq!(row("large"), ["1", "1", "0", "0"]);
    assert_eq!(row("rival invoices"), ["0", "0", "0", "0"]);

    // Nobody takes what happens from here on.
    world.connector.set_routes(RouteSet::default()).unwrap();
    world.tell("books", "3", "7.00").await;
    let untold = Query::of_kind(EntryKind::Event).with_number("INV-3");
    world.until(&untold, |_| true).await;
    let form = world.get("ada", "/console/routes").await;
    let toml = "[[routes]]\nname = \"new\"\nfrom = [\"books\"]\nto = [{ sink = \"slack\", destination = \"channel:new\" }]";
    let tried =
        world.post("ada", "/console/routes", &[("routes", toml), ("token", &form.field("token"))]).await;
    tried
        .shows("<dt>gained</dt><dd>1</dd>")
        .shows("<dt>moved</dt><dd>3</dd>")
        .shows("<dt>lost</dt><dd>0</dd>");
    tried.shows("+ slack channel:new").shows("− slack channel:accounting").shows("− slack channel:cfo");
    assert!(world.connector.routes().is_empty(), "nothing was changed");
}

/// What cannot be read, such as after a downgrade, is said, and hides nothing of the rest.
#[tokio::test(start_paused = true)]
async fn other_routes_are_tried_on_what_can_be_read_and_the_rest_is_told() {
    let world = World::new().await;
    for id in ["1", "2", "3"] {
        world.change("books", id, "5.00").await;
    }
    let events = world.connector.search(&Query::of_kind(EntryKind::Event)).await.unwrap();
    let broken = |kind, connection: &str| NewEntry {
        body: Some("{}".into()),
        ..NewEntry::new(events[0].partition, kind, connection.into(), events[0].at)
    };
    let delivery = NewEntry { parent: Parent::Entry(events[1].seq), ..broken(EntryKind::Delivery, "slack") };
    let append = vec![delivery, broken(EntryKind::Event, "books")];
    let now = world.connector.context().now();
    world.log.commit(vec![Transaction { append, ..Transaction::default() }], now).await.unwrap();

    let form = world.get("ada", "/console/routes").await;
    let toml = "[[routes]]\nname = \"new\"\nto = [{ sink = \"slack\", destination = \"channel:new\" }]";
    let form = [("routes", toml), ("token", &*form.field("token"))];
    let tried = world.post("ada", "/console/routes", &form).await;
    assert_eq!(tried.status, StatusCode::OK);
    tried
        .shows("<dt>moved</dt><dd>2</dd>")
        .shows("<dt>as before</dt><dd>0</dd>")
        .shows("<dt>not known</dt><dd>2</dd>")
        .shows(
            "1 event and 1 delivery cannot be read, and are left out: what would change there is not known.",
        );
}
