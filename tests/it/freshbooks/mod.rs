//! FreshBooks on its simulator, in virtual time: whatever happens to webhooks, callbacks and tokens, what is told is what
//! happened.

mod office;
mod post;
mod slack;

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::{
    audit::{EntryKind, EntryState},
    model::Origin,
};

use self::office::World;

/// Each is most of a day of two offices. Four have passed; one takes half a minute. `MIRROR_SEEDS=4` tries more.
const SEEDS: u64 = 1;
const ROUNDS: u32 = 10;
/// A round: some work, and then long enough for the slowest list to be read.
const WORK: Duration = Duration::from_secs(20 * 60);
const REST: Duration = Duration::from_secs(70 * 60);

/// Whether the events are what happened, once each.
async fn same_story(world: &World) {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for event in world.events().await {
        assert_eq!(event.origin, Origin::Live);
        *told
            .entry(format!("{} {} {}", event.connection, event.event_type(), event.entity.id))
            .or_default() += 1;
    }
    let mut happened: BTreeMap<String, usize> = BTreeMap::new();
    world.happened().for_each(|what| *happened.entry(what).or_default() += 1);
    let differ: Vec<_> = happened
        .keys()
        .chain(told.keys())
        .filter(|what| happened.get(*what) != told.get(*what))
        .map(|what| format!("{what}: happened {:?}, told {:?}", happened.get(what), told.get(what)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_webhooks_callbacks_and_tokens_is_told_once() {
    let seeds = std::env::var("MIRROR_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 1..=seeds {
        let mut world = World::new(seed);
        world.furnish(120).await;
        let running = world.connect();
        world.proven().await;
        for round in 0..ROUNDS {
            world.trouble();
            // Now and then so much happens at once that a list has a new page.
            world.work(if round == 5 { 50 } else { 12 }, WORK).await;
            world.settle(REST).await;
        }
        world.calm();
        world.settle(REST).await;
        world.proven().await;
        same_story(&world).await;
        assert!(world.happened().count() > 100, "{}", world.happened().count());
        assert_eq!(world.sim.limit_violations(), 0, "seed {seed}");
        let dead = world.entries(EntryKind::Signal).await;
        let dead: Vec<_> = dead.into_iter().filter(|entry| entry.state == EntryState::Dead).collect();
        assert!(dead.is_empty(), "{dead:#?}");
        assert!(
            world.post.lost > 15 && world.post.repeated > 15 && world.post.forged > 10,
            "{:?}",
            world.post
        );
        running.stop().await;
        world.shows_no_verifier().await;
    }
}
