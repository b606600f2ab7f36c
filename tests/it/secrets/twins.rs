//! A connector whose log is encrypted does the same as one whose log is in clear: sweeps and dry runs, too.

use std::sync::Arc;

use futures_util::TryStreamExt;
use ml_connector_core::{
    audit::{EntryKind, Query},
    encryption::{EncryptLog, EncryptTokens, Key, KeyRing},
    model::Event,
    route::{Route, RouteSet},
};
use ml_connector_sim::zoho::Entity;

use super::{CENTS, CUSTOMER, VENDOR};
use crate::world::{ACCOUNTING, Story, World, amount, document, everything, secs};

/// What became of the same week at one of the two.
#[derive(Debug, PartialEq, Eq)]
struct Week {
    /// The events, by type and record.
    events: Vec<String>,
    /// What other routes would have done with them, and what was done.
    dry_run: Vec<(u64, String, usize, usize, bool)>,
    /// How many deliveries there are to the channel, and how many events about the record that went.
    counted: (usize, usize),
}

async fn a_week(world: World, is_encrypted: bool) -> Week {
    let builder = match is_encrypted {
        false => world.builder(),
        true => {
            let ring = KeyRing::new(Key::generate("test").unwrap());
            let log = Arc::clone(&world.log).encrypted(ring.clone()).await.unwrap();
            world.builder().audit_log(log).token_store(Arc::clone(&world.tokens).encrypted(ring))
        }
    };
    let builder = builder.source(world.source().build().unwrap()).sink(world.sink().build().unwrap());
    let connector = builder.route(everything(ACCOUNTING)).build().unwrap();
    let mut story = Story::of(world, connector);
    story.later(secs(600)).await;
    let books = story.world.books.clone();
    let gone = books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    books.mark_sent(&gone).unwrap();
    let paid = books.create_invoice(document(CUSTOMER, CENTS + 1)).unwrap();
    books.mark_sent(&paid).unwrap();
    books.create_bill(document(VENDOR, CENTS)).unwrap();
    story.told().await;
    books.pay_invoice(&paid, amount(CENTS + 1)).unwrap();
    story.told().await;
    // Nobody hears that it is gone: a sweep finds out, by the records that the log knows.
    books.delete(Entity::Invoice, &gone).unwrap();
    drop(books.take_webhooks());
    story.later(secs(25 * 3600)).await;

    let connector = &story.connector;
    let everything = Query::of_kind(EntryKind::Event).with_bodies().with_limit(1000);
    let mut events = Vec::new();
    for entry in connector.search(&everything).await.unwrap() {
        let event = Event::from_cloudevent(&entry.body.unwrap()).unwrap();
        events.push(format!("{} {}", event.event_type(), event.entity.id));
    }
    assert!(events.contains(&format!("invoice.deleted {gone}")), "{events:?}");
    let paid_only = Route::new("paid").on("invoice.paid").to("slack", ml_connector_slack::channel("C1"));
    let routes = RouteSet::new(vec![paid_only]);
    let runs = connector.dry_run(&routes, &everything).unwrap().try_collect::<Vec<_>>().await.unwrap();
    let dry_run = runs
        .iter()
        .map(|run| {
            let (would_go, went) = (run.would_go.len(), run.went.len());
            let event = run.event.as_ref().unwrap();
            (event.n, event.event_type().to_string(), would_go, went, run.differs())
        })
        .collect::<Vec<_>>();
    assert!(dry_run.iter().any(|(.., would_go, _, _)| *would_go == 1));
    assert!(dry_run.iter().all(|(.., went, _)| *went == 1), "each went into the channel: {dry_run:?}");
    let mut entities = runs.iter().map(|run| &run.event.as_ref().unwrap().entity);
    let gone = entities.find(|entity| *entity.id == *gone).unwrap().clone();
    let channel = ml_connector_slack::channel(ACCOUNTING);
    let to_the_channel = Query::of_kind(EntryKind::Delivery).with_destination(channel.as_str());
    let about_it = Query::of_kind(EntryKind::Event).with_entity(gone);
    let counted = (
        connector.count(&to_the_channel, 1000).await.unwrap(),
        connector.count(&about_it, 1000).await.unwrap(),
    );
    story.end().await;
    Week { events, dry_run, counted }
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_connector_notices_what_is_gone_and_runs_dry_as_one_in_clear() {
    let clear = a_week(World::new(), false).await;
    let encrypted = a_week(World::new(), true).await;
    assert_eq!(encrypted, clear);
    assert!(clear.counted.0 > 4 && clear.counted.1 > 1, "{clear:?}");
}
