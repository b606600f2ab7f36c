//! FreshBooks on its simulator, in virtual time: whatever happens to webhooks, callbacks and tokens, what is told is what
//! happened.

mod messages;
mod office;
mod post;
mod slack;
mod tables;
mod webhooks;

use std::time::Duration;

use ml_connector_core::{
    audit::{EntryKind, EntryState},
    model::{Event, Origin},
};

use self::office::World;
use crate::mirror;

/// Each is most of a day of two offices, and takes half a minute. `MIRROR_SEEDS=12` tries more.
const SEEDS: u64 = 3;
const ROUNDS: u32 = 10;
/// A round: some work, and then long enough for the slowest list to be read.
const WORK: Duration = Duration::from_secs(20 * 60);
const REST: Duration = Duration::from_secs(70 * 60);

/// Whether the events are what happened, once each.
async fn same_story(world: &World) {
    let events = world.events().await;
    assert!(events.iter().all(|event| event.origin == Origin::Live));
    let told = |event: &Event| format!("{} {} {}", event.connection, event.event_type(), event.entity.id);
    mirror::same_story(world.happened(), events.iter().map(told));
}

// Proves: nothing_lost, limits_of_freshbooks.
#[tokio::test(start_paused = true)]
async fn whatever_happens_to_webhooks_callbacks_and_tokens_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut world = World::new(seed);
        world.furnish(120).await;
        let running = world.connect();
        world.proven().await;
        for round in 0..ROUNDS {
            // Now and then the chain of tokens breaks, and a person has to mend it: what happens until then is told later.
            let breaks = round % 4 == 2;
            if breaks {
                world.lose_rotation();
            } else {
                world.trouble();
            }
            // Now and then so much happens at once that a list has a new page.
            world.work(if round == 5 { 50 } else { 12 }, WORK).await;
            if breaks {
                assert!(world.waits_for_a_person().await, "seed {seed}, round {round}");
                world.reconnect().await;
            }
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
            world.post.way.lost > 15 && world.post.way.repeated > 15 && world.post.forged > 10,
            "{:?}",
            world.post
        );
        running.stop().await;
        world.shows_no_verifier().await;
    }
}
