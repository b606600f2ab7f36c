//! Drafts that are told about only because they were read.
//!
//! Reading a draft with an app that may write calculates its discount anew: a new stamp, and a notification, which leads to
//! another read. An app that only reads ends that; without one, the reads get rarer as long as they find nothing new.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ml_connector_core::{
    Timestamp,
    model::{DedupeKey, EntityRef, Observation, Signal},
    snapshot::Snapshot,
};

use super::read::is_draft;

/// The pause after the second read in a row that finds nothing new; it doubles.
const FIRST: Duration = Duration::from_secs(60);
/// Polls find a change at least as soon.
const LONGEST: Duration = Duration::from_secs(600);
/// The drafts that are remembered; more begin anew.
const MOST: usize = 10_000;
/// What a notification of a change is called.
const UPDATED: &str = "updated";

/// Since when drafts are read for nothing. It is lost with the process, which costs a few reads.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<HashMap<EntityRef, Pause>>);

#[derive(Debug, Clone, Copy)]
struct Pause {
    length: Duration,
    until: Timestamp,
}

impl Quiet {
    /// When a draft is to be read instead of now, and the signal that says so: where nothing but notifications of changes ask.
    pub(super) fn later(
        &self,
        entity: &EntityRef,
        signals: &[Signal],
        now: Timestamp,
    ) -> Option<(Timestamp, Signal)> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(entity)?.until;
        if until <= now || !signals.iter().all(is_update) {
            return None;
        }
        let mut signal = Signal::entity(entity.clone());
        signal.hint = Some(UPDATED.into());
        let key = format!("business_central/quiet/{entity}/{}", until.as_millis());
        signal.dedupe = Some(DedupeKey::from(key));
        Some((until, signal))
    }

    /// Takes note of what a read for a signal has shown.
    pub(super) fn note(&self, signal: &Signal, seen: &Observation, last: Option<&Snapshot>, now: Timestamp) {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.is_some_and(|last| last.revision.is_some() && last.revision == seen.state.revision());
        if !same || !is_update(signal) || !seen.state.record().is_some_and(is_draft) {
            drafts.remove(&seen.entity);
            return;
        }
        if drafts.len() >= MOST {
            drafts.clear();
        }
        let next = |pause: &Pause| (pause.length * 2).clamp(FIRST, LONGEST);
        let length = drafts.get(&seen.entity).map_or(Duration::ZERO, next);
        drafts.insert(seen.entity.clone(), Pause { length, until: now + length });
    }
}

fn is_update(signal: &Signal) -> bool {
    signal.hint.as_deref() == Some(UPDATED)
}
