//! Exact Online on its simulator, in virtual time: days of two companies of one login, up to a month.

mod act;
mod hooks;
mod night;
mod office;
mod region;
mod rights;
mod stage;
mod story;

use std::time::Duration;

use ml_connector_core::audit::{Entry, EntryKind, EntryState, Outcome};

use self::night::Night;
use crate::mirror::{self, Course};

/// Each is a story of two companies.
const SEEDS: u64 = 1;
const HOUR: Duration = Duration::from_secs(3600);
/// How long people do things, and how long nobody does any: long enough for a poll that was put off by an outage.
const WORK: Duration = Duration::from_secs(40 * 60);
const REST: Duration = Duration::from_secs(4 * 3600 - 40 * 60);
const NIGHT: Duration = Duration::from_secs(12 * 3600);

/// Whether it was a daily look at a list that was empty although much is known of it.
fn was_not_believed(entry: &Entry) -> bool {
    let last = entry.outcomes.last().map(|recorded| &recorded.outcome);
    matches!(last, Some(Outcome::Dead { error }) if error.contains("too many records have disappeared"))
}

/// How many days are played: a month, or `MIRROR_DAYS`. A month takes 65 s on a core of its own and 95 s beside the other tests
/// on two cores, where it has two minutes.
fn days() -> u32 {
    let wanted = std::env::var("MIRROR_DAYS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(31)
}

/// From 19 October 2026 on: clocks are set back in the night to the 25th, through which people work. The app's webhook secret is
/// replaced, one company is moved to another database by Exact, and the connection of the other is pointed to a third company.
/// The host is away on most nights, and is killed in one. Where a refresh token works once only, lost answers end the chain of
/// tokens, and somebody consents anew in the evening.
// Proves: nothing_lost.
#[tokio::test(start_paused = true)]
async fn days_are_told_once_whatever_happens_to_tokens_webhooks_and_companies() {
    for seed in mirror::seeds(SEEDS) {
        let mut world = office::world(seed);
        world.furnish(105).await;
        let mut running = world.connect(120);
        world.settle(HOUR).await;
        let days = days();
        let mut night = None;
        for day in 1..=days {
            match day {
                2 => world.vendor.replace_secret(),
                3 => world.vendor.move_database(),
                5 => {
                    running.stop().await;
                    world.vendor.point_elsewhere();
                    running = world.connect(120);
                    world.settle(HOUR).await;
                    world.vendor.left_the_old_company();
                }
                _ => {}
            }
            let now = world.now();
            world.vendor.trouble(day, now);
            for _ in 0..3 {
                world.work(5, WORK).await;
                world.settle(REST).await;
            }
            let is_anew = world.vendor.consent_anew();
            match day {
                // Polled every ten minutes, tokens are renewed all the time; on the first of these nights clocks are set back.
                6 | 20 => {
                    running.stop().await;
                    running = world.connect(10);
                    let morning = world.now() + NIGHT;
                    match day {
                        6 => night = Some(Night::pass(&mut world, morning).await),
                        _ => world.settle(NIGHT).await,
                    }
                }
                4 => {
                    running.kill().await;
                    world.nobody_listens(NIGHT).await;
                    running = world.connect(120);
                }
                _ => {
                    running.stop().await;
                    world.nobody_listens(NIGHT).await;
                    running = world.connect(120);
                }
            }
            if is_anew {
                world.settle(HOUR).await;
            }
        }
        world.calm();
        // A whole look at every list, and what it has found.
        world.settle(HOUR * 30).await;
        let events = world.same_story().await;
        if let Some(night) = night {
            night.is_told(&events);
        }
        let dead = world.entries(EntryKind::Signal).await;
        let dead = dead.into_iter().filter(|entry| entry.state == EntryState::Dead);
        let (disbelieved, dead): (Vec<Entry>, Vec<Entry>) = dead.partition(was_not_believed);
        assert!(dead.is_empty(), "{dead:#?}");
        // A list without the right is empty. The looks after that are believed.
        assert!(
            disbelieved.iter().all(|entry| world.vendor.lacked_a_right(entry.outcomes[0].at)),
            "{disbelieved:#?}"
        );
        assert_eq!(world.stopped_sweeps().await, [""; 0]);
        world.vendor.kept_every_limit();
        let (post, forged) = (&world.post, world.vendor.forged);
        // As many of each for every day that is played.
        let days = days as usize;
        assert!(post.lost > days && post.repeated > days && post.delayed * 2 > days, "{post:?}");
        assert!(forged > days, "{forged}");
        assert!(world.happened().count() > days * 9, "{}", world.happened().count());
        running.stop().await;
    }
}

/// Exact Online → Databricks, by configuration alone: the tables are what the companies' books are.
#[tokio::test(start_paused = true)]
async fn tables_mirror_the_companies_through_faults_kills_and_a_lost_log() {
    let course = Course {
        documents: 42,
        rounds: 4,
        acts: 10,
        round: Duration::from_secs(3 * 3600),
        calm: Duration::from_secs(86_400),
        rows: [20, 80],
    };
    mirror::tables_mirror_the_books(office::world(4), 30, course).await;
}
