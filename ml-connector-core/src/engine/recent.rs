//! Which webhooks were received a moment ago.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// So many webhooks are remembered, at 8 bytes each. A new one takes the place of an old one.
const REMEMBERED: usize = 16 * 1024;

/// The webhooks received last, by a keyed hash of each. One may be forgotten early, or be taken for another with a chance of
/// one in 2^64 each: what depends on it may be more work then, and nothing else.
#[derive(Debug)]
pub(crate) struct Recent {
    hasher: RandomState,
    hashes: Box<[AtomicU64]>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            hashes: std::iter::repeat_with(AtomicU64::default).take(REMEMBERED).collect(),
        }
    }
}

impl Recent {
    /// Whether the same was received before. Remembers it.
    pub(crate) fn has(&self, webhook: &impl Hash) -> bool {
        let hash = self.hasher.hash_one(webhook);
        let place = usize::try_from(hash % REMEMBERED as u64).unwrap_or_default();
        self.hashes[place].swap(hash, Ordering::Relaxed) == hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_known_until_others_have_taken_its_place() {
        let recent = Recent::default();
        assert!(!recent.has(&(1, "body")));
        assert!(recent.has(&(1, "body")) && recent.has(&(1, "body")));
        assert!(!recent.has(&(2, "body")) && !recent.has(&(1, "other")));
        (0..20 * REMEMBERED).for_each(|nth| drop(recent.has(&nth)));
        assert!(!recent.has(&(1, "body")));
    }
}
