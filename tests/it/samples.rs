//! The sample files that users copy do what they say, as they are.

use ml_connector_core::{Connector, Result, model::Date, route::RouteSet};
use ml_connector_sim::{
    slack::{Channel, SlackConfig},
    zoho::ZohoBooksConfig,
};

use crate::world::{Story, World, amount, document, secs};

const ROUTES: &str = include_str!("../../examples/routes.toml");
const ACCOUNTING: &str = "C07ACCTNG1";
const COLLECTIONS: &str = "C07COLLEC1";

/// The systems and channels that the routes name.
fn world() -> World {
    let mut slack = SlackConfig::default();
    slack.channels = vec![
        Channel::new(ACCOUNTING, "accounting"),
        Channel::new("C07APPROV1", "approvals"),
        Channel::new(COLLECTIONS, "collections"),
        Channel::new("C07OPSTEAM", "ops"),
    ];
    // Sunday evening in New York.
    World::with("2026-03-01T23:00:00Z", ZohoBooksConfig::default(), slack)
}

fn connector(world: &World, routes: &str) -> Result<Connector> {
    world
        .builder()
        .source(world.source().build()?)
        .sink(world.sink().admin("#ops").build()?)
        .routes(RouteSet::from_toml(routes)?)
        .build()
}

#[tokio::test(start_paused = true)]
async fn the_sample_routes_build_a_connector_that_tells_what_they_promise() {
    let world = world();
    let connector = connector(&world, ROUTES).unwrap();
    let mut story = Story::of(world, connector);
    let books = story.world.books.clone();

    books.create_invoice(document("Bluebird Logistics", 999_999)).unwrap();
    assert_eq!(story.told().await, [""; 0], "9,999.99 USD is not large");
    let large = books.create_invoice(document("Bluebird Logistics", 1_200_000)).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000102 created"]);
    books.mark_sent(&large).unwrap();
    assert_eq!(story.told().await, ["Invoice INV-000102 sent"]);
    let posts = story.world.slack.posts(ACCOUNTING);
    assert_eq!(posts[1].thread_ts.as_deref(), Some(&*posts[0].ts), "what follows is a reply");

    // The world's source tells of seven days: on Monday at midnight.
    let due = Date::parse("2026-02-23").unwrap();
    let late = books.create_invoice(document("Northgate Paper Co", 5_000).due(due)).unwrap();
    books.mark_sent(&late).unwrap();
    assert_eq!(story.told().await, [""; 0]);
    assert_eq!(story.world.headlines(COLLECTIONS), [""; 0], "nothing on a Sunday");
    story.later(secs(15 * 3600)).await;
    assert_eq!(story.world.headlines(COLLECTIONS), ["Invoice 7+ days overdue"], "Monday after nine");

    books.pay_invoice(&late, amount(5_000)).unwrap();
    assert_eq!(story.told().await, [""; 0], "payments are gathered");
    assert_eq!(story.later(secs(600)).await.len(), 1, "for ten minutes");
    story.end().await;
}

#[test]
fn a_template_that_nobody_ships_is_refused_when_the_connector_is_built() {
    let wrong = ROUTES.replace("template = \"table\"", "template = \"compact\"");
    let error = connector(&world(), &wrong).unwrap_err().to_string();
    assert!(error.contains("compact") && error.contains("overdue"), "{error}");
}
