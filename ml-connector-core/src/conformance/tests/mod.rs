//! The suite is checked too: the implementations in memory pass it, and planted defects do not.

mod defects;
mod lenient;

use std::sync::Arc;

use self::defects::{DEFECTS, Mutant};
use super::{limiter, log, tokens};
use crate::{
    AuditLog, RateLimiter, TokenStore, audit::MemoryLog, rate::MemoryRateLimiter, token::MemoryTokenStore,
};

async fn fresh_log() -> Arc<dyn AuditLog> {
    Arc::new(MemoryLog::new())
}

#[tokio::test(start_paused = true)]
async fn the_log_in_memory_has_every_behavior() {
    log::all(fresh_log).await;
    log::all_shared(fresh_log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_in_memory_has_every_behavior_on_several_threads() {
    log::all(fresh_log).await;
    log::all_with_two_handles(async || {
        let log = fresh_log().await;
        log::Handles { one: Arc::clone(&log), two: log }
    })
    .await;
}

#[tokio::test]
async fn tokens_in_memory_have_every_behavior() {
    tokens::all(async || Arc::new(MemoryTokenStore::new()) as Arc<dyn TokenStore>).await;
}

#[tokio::test]
async fn the_limiter_in_memory_has_every_behavior() {
    limiter::all(async || Arc::new(MemoryRateLimiter::new()) as Arc<dyn RateLimiter>).await;
}

#[tokio::test]
async fn every_lenience_of_a_limiter_is_caught() {
    for (name, plant) in lenient::DEFECTS {
        let mut caught = Vec::new();
        for (behavior, check) in limiter::BEHAVIORS {
            let limiter = plant(lenient::Lenient::default());
            if tokio::spawn(async move { check(&limiter).await }).await.is_err() {
                caught.push(*behavior);
            }
        }
        for (behavior, check) in limiter::HAND_OVER_BEHAVIORS {
            let fresh = || Arc::new(plant(lenient::Lenient::default())) as Arc<dyn RateLimiter>;
            let hosts = limiter::Hosts { first: fresh(), next: fresh() };
            if tokio::spawn(async move { check(&hosts).await }).await.is_err() {
                caught.push(*behavior);
            }
        }
        assert_eq!(caught.is_empty(), name.is_empty(), "{name:?} was caught by {caught:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_planted_defect_is_caught() {
    let mut missed = Vec::new();
    for (name, plant) in DEFECTS {
        let caught = caught_by(|| Arc::new(plant(Mutant::default()))).await;
        if caught.is_empty() {
            missed.push(*name);
        }
    }
    assert_eq!(missed, [""; 0], "no behavior noticed these defects");
    let sound = caught_by(|| Arc::new(Mutant::default())).await;
    assert_eq!(sound, [""; 0], "a mutant without a defect is sound");
}

/// The behaviors that an implementation does not have.
async fn caught_by(fresh: impl Fn() -> Arc<Mutant>) -> Vec<&'static str> {
    let mut caught = Vec::new();
    for (name, check) in log::BEHAVIORS.iter().chain(log::SHARED_BEHAVIORS) {
        let mutant = fresh();
        // A task of its own, so that its panic is a result.
        if tokio::spawn(async move { check(&*mutant).await }).await.is_err() {
            caught.push(*name);
        }
    }
    caught
}
