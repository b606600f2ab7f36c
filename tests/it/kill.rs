//! The process is killed again and again: nothing that was acknowledged is lost, nothing is done twice.
//!
//! `KILL_RANDOM=2000` kills more often.

use std::time::Duration;

use ml_connector_core::Repeat;

use crate::proof::{
    Death, Dice, World,
    host::FailPoint::{self, AfterCommit, AfterPost, BeforeCommit, BeforePost},
};

/// How often the process is killed at a moment of chance unless the environment says otherwise.
const RANDOM: u64 = 110;
/// Around how many of its first commits and posts it is killed.
const COMMITS: u64 = 30;
const POSTS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

// Proves: stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_deaths_lose_nothing_acknowledged_and_repeat_nothing_settled() {
    let mut world = World::new(2026).await;
    let mut deaths = deaths();
    assert!(deaths.len() >= 200, "{}", deaths.len());
    let mut dice = Dice::new(7);
    for left in (1..=deaths.len()).rev() {
        let next = dice.below(left as u64);
        world.live_and_die(deaths.swap_remove(usize::try_from(next).unwrap())).await;
    }
    let missing = world.drain(PATIENCE).await;

    let (posts, found) = (world.vendor.posts().len(), world.vendor.found());
    println!(
        "kills={} acknowledged={} posts={posts} found_by_lookup={found} missing={} repeated={}",
        self::deaths().len(),
        world.acknowledged(),
        missing.len(),
        world.vendor.repeated().len(),
    );
    assert_eq!(missing, [], "every acknowledged change was posted");
    assert_eq!(world.vendor.repeated(), [], "nothing was posted twice");
    world.check_log().await;
    assert!(world.acknowledged() > 1_000 && posts > 500, "the process had something to do");
    assert!(found >= 10, "it died between posts and their settlement");
}

/// Nothing is written after the lease: who was paused finds it over.
// Proves: posted_once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_paused_before_its_post_posts_nothing_after_another_took_over() {
    let mut world = World::new(3).await;
    world.pause_over_a_take_over().await;
    assert_eq!((world.vendor.posts().len(), world.vendor.stale()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_does_not_look_up_posts_twice() {
    let mut world = World::new(1).await;
    world.repeat = Repeat::Safe;
    for nth in 1..=5 {
        world.live_and_die(Death::At(AfterPost(nth))).await;
    }
    world.drain(PATIENCE).await;
    assert!(!world.vendor.repeated().is_empty(), "the test above can fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_commit_loses_webhooks() {
    let mut world = World::new(1).await;
    world.answers_early = true;
    while world.acknowledged() == 0 {
        world.live_and_die(Death::After(Duration::from_millis(150))).await;
    }
    world.answers_early = false;
    let missing = world.drain(Duration::from_secs(2)).await;
    assert!(!missing.is_empty(), "the first test can fail");
}

/// Around every commit and every post at the beginning of a life, and whenever chance wants it.
fn deaths() -> Vec<Death> {
    let points: [fn(u64) -> FailPoint; 2] = [BeforeCommit, AfterCommit];
    let commits = points.into_iter().flat_map(|point| (1..=COMMITS).map(point));
    let points: [fn(u64) -> FailPoint; 2] = [BeforePost, AfterPost];
    let posts = points.into_iter().flat_map(|point| (1..=POSTS).map(point));
    let mut dice = Dice::new(42);
    let random = std::env::var("KILL_RANDOM").ok().and_then(|text| text.parse().ok()).unwrap_or(RANDOM);
    let random = (0..random).map(|_| Death::After(Duration::from_millis(dice.below(250))));
    commits.chain(posts).map(Death::At).chain(random).collect()
}
