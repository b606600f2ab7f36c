//! What `explain` tells: each answer is wrong in a test if it lies.

use vendor::{Fault, webhook};

use super::{super::StepKind, *};
use crate::model::{Seq, Status};

async fn tell(connector: &Connector, ids: &str) {
    assert_eq!(connector.receive(webhook(&format!("account:books {ids}"), "good")).await.status(), 200);
}

async fn explained(connector: &Connector, seq: Seq) -> (Vec<super::super::Step>, String) {
    let story = connector.explain(seq).await.unwrap();
    let text = story.to_string();
    (story.steps, text)
}

async fn nth(world: &World, kind: EntryKind, n: usize) -> Seq {
    world.entries(kind).await[n].seq
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_came_again_and_was_not_stored_has_left_a_trace() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.ledger.put("1", Status::Open, "2026-06-01");
    let began = world.clock_now();
    tell(&connector, "1").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    tell(&connector, "1").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    tell(&connector, "1").await;
    tell(&connector, "1").await;
    tokio::time::sleep(secs(10)).await;
    let signals = world.entries(EntryKind::Signal).await;
    let of_webhooks: Vec<_> =
        signals.iter().filter(|entry| entry.index.name.as_deref() == Some("invoice.changed")).collect();
    assert_eq!(of_webhooks.len(), 2, "the second has the key by which the others are known");
    let (steps, text) = explained(&connector, of_webhooks[1].seq).await;
    let repeated = steps.iter().find(|step| matches!(step.what, StepKind::Repeated { .. })).unwrap();
    let last = began + Duration::from_millis(50);
    assert_eq!((&repeated.what, repeated.to), (&StepKind::Repeated { count: 2 }, Some(last)));
    assert!(text.contains("came again 2 times and was not stored"), "{text}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_waited_for_a_limit_says_for_which_and_how_long() {
    let world = World::new();
    let connector = world.connector();
    for id in ["1", "2", "3"] {
        world.ledger.put(id, Status::Open, "2026-06-01");
    }
    tell(&connector, "1 2 3").await;
    world.run(&connector, secs(20)).await;
    let first = nth(&world, EntryKind::Delivery, 0).await;
    let (steps, _) = explained(&connector, first).await;
    let waits = |step: &&super::super::Step| matches!(step.what, StepKind::Waited { .. });
    assert!(steps.iter().filter(waits).all(|step| step.seq != first), "the first has room");
    let last = nth(&world, EntryKind::Delivery, 2).await;
    let (steps, text) = explained(&connector, last).await;
    let waited = steps.iter().filter(waits).find(|step| step.seq == last).unwrap();
    assert_eq!(waited.what, StepKind::Waited { key: "board/a".into() });
    let took = waited.to.unwrap().saturating_since(waited.from);
    assert!(took >= Duration::from_millis(900) && took <= secs(4), "{took:?}");
    assert!(text.contains(&format!("waited {} ms for board/a", took.as_millis())), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_begins_twice_says_why() {
    let world = World { lease: secs(15), ..World::new() };
    let connector = world.connector();
    let (_stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.ledger.put("1", Status::Open, "2026-06-01");
    world.board.fault(Fault::Hang);
    tell(&connector, "1").await;
    tokio::time::sleep(secs(5)).await;
    // Killed in the middle of its attempt.
    running.abort();
    let second = world.connector();
    world.run(&second, secs(120)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    let (steps, text) = explained(&second, nth(&world, EntryKind::Delivery, 0).await).await;
    let begun: Vec<_> = steps
        .iter()
        .filter(|step| matches!(step.what, StepKind::Begun { .. }))
        .map(|step| step.why.as_deref().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(begun.len(), 2, "{text}");
    assert_eq!(begun[0], "");
    assert!(begun[1].contains("the attempt before began and has no result: its process ended"), "{text}");
}

/// Of three records in one webhook and eighteen routes, only the way of one is told.
#[tokio::test(start_paused = true)]
async fn a_story_lists_the_way_and_counts_the_rest() {
    let world = World::new();
    let mut routes = vec![Route::new("sent").on("*.sent").to("board", Destination::from("a"))];
    for n in 0..17 {
        routes.push(Route::new(format!("other-{n}")).on("*.paid").to("board", Destination::from("b")));
    }
    let connector = world.connector_with(routes);
    for id in ["1", "2", "3"] {
        world.ledger.put(id, Status::Open, "2026-06-01");
    }
    tell(&connector, "1 2 3").await;
    world.run(&connector, secs(20)).await;
    let deliveries = world.entries(EntryKind::Delivery).await;
    assert_eq!(deliveries.len(), 3);
    // The second record's signal follows from the webhook, which is the first one's.
    let (_, text) = explained(&connector, deliveries[1].seq).await;
    let told: Vec<&str> =
        ["invoice/1", "invoice/2", "invoice/3"].into_iter().filter(|id| text.contains(id)).collect();
    assert!(told.contains(&"invoice/2") && !told.contains(&"invoice/3"), "{text}");
    assert!(text.contains("route \"sent\" matched; 17 other routes did not match"), "{text}");
    assert!(!text.contains("other-"), "{text}");
    let all = world.entries(EntryKind::Signal).await.len()
        + world.entries(EntryKind::Event).await.len()
        + deliveries.len();
    let shown = text.lines().filter(|line| line.trim_start().starts_with('#')).count();
    let counted = text.lines().last().unwrap().to_owned();
    let of_webhook =
        all - world.entries(EntryKind::Signal).await.iter().filter(|one| one.parent.is_none()).count() + 1;
    assert_eq!(counted, format!("and {} other entries of the same family", of_webhook - shown), "{text}");
}
