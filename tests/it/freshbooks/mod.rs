//! FreshBooks on its simulator, in virtual time: whatever happens to webhooks, callbacks and tokens, what is told is what
//! happened.

mod messages;
mod office;
mod slack;
mod webhooks;

use std::time::Duration;

use ml_connector_core::audit::{EntryKind, EntryState};

use crate::mirror::{self, Course};

/// Each is most of a day of two offices, and takes half a minute. `MIRROR_SEEDS=12` tries more.
const SEEDS: u64 = 3;
const ROUNDS: u32 = 10;
/// A round: some work, and then long enough for the slowest list to be read.
const WORK: Duration = Duration::from_secs(20 * 60);
const REST: Duration = Duration::from_secs(70 * 60);

// Proves: nothing_lost, limits_of_freshbooks.
#[tokio::test(start_paused = true)]
async fn whatever_happens_to_webhooks_callbacks_and_tokens_is_told_once() {
    for seed in mirror::seeds(SEEDS) {
        let mut world = office::world(seed);
        world.furnish(120).await;
        let running = world.connect(());
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
        world.same_story().await;
        assert!(world.happened().count() > 100, "{}", world.happened().count());
        assert_eq!(world.vendor.sim.limit_violations(), 0, "seed {seed}");
        let dead = world.entries(EntryKind::Signal).await;
        let dead: Vec<_> = dead.into_iter().filter(|entry| entry.state == EntryState::Dead).collect();
        assert!(dead.is_empty(), "{dead:#?}");
        let (post, forged) = (&world.post, world.vendor.forged);
        assert!(post.lost > 15 && post.repeated > 15 && forged > 10, "{post:?}, {forged} forged");
        running.stop().await;
        world.shows_no_verifier().await;
    }
}

/// FreshBooks → Databricks, by configuration alone: the tables are what the offices' books are.
#[tokio::test(start_paused = true)]
async fn tables_mirror_the_offices_through_faults_kills_and_a_lost_log() {
    let (round, calm) = (Duration::from_secs(2 * 3600), Duration::from_secs(6 * 3600));
    let course = Course { documents: 40, rounds: 4, acts: 12, round, calm, rows: [20, 80] };
    mirror::tables_mirror_the_books(office::world(4), (), course).await;
}
