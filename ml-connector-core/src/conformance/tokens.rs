//! Behaviors of a [`TokenStore`].

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Behavior, behaviors};
use crate::{
    TokenStore,
    model::ConnectionId,
    token::{Stored, Swap, TokenKey},
};

/// What every token store has to do.
pub const BEHAVIORS: &[Behavior<dyn TokenStore>] = behaviors![dyn TokenStore:
    swap::a_swap_needs_the_version_that_is_there,
    swap::versions_grow_across_a_delete,
    swap::keys_are_kept_apart,
    swap::blobs_come_back_as_they_were,
    swap::concurrent_swaps_have_one_winner,
    swap::no_update_is_lost,
];

/// Checks [`BEHAVIORS`], each on an instance of its own.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn TokenStore>) {
    for (_, check) in BEHAVIORS {
        check(&*fresh().await).await;
    }
}

/// For durable stores: tokens are there when `open` opens the same storage again. It has to be empty the first
/// time.
pub async fn survives_reopening(open: impl AsyncFn() -> Arc<dyn TokenStore>) {
    let tokens = open().await;
    let kept = stored(&*tokens, "kept", None, "refresh").await;
    let deleted = stored(&*tokens, "deleted", None, "refresh").await;
    let swap = tokens.swap(&key("deleted"), Some(deleted), None).await.expect("the swap is answered");
    assert!(matches!(swap, Swap::Stored { .. }), "a delete of the current version succeeds");
    drop(tokens);
    let tokens = open().await;
    let found = load(&*tokens, "kept").await.expect("a stored token survives");
    assert_eq!((found.version, &*found.bytes), (kept, &b"refresh"[..]));
    assert_eq!(load(&*tokens, "deleted").await, None, "a deleted token stays deleted");
    assert!(stored(&*tokens, "deleted", None, "new").await > deleted, "versions grow across a restart");
}

fn key(name: &str) -> TokenKey {
    TokenKey::new(&ConnectionId::from(name))
}

async fn load(tokens: &dyn TokenStore, name: &str) -> Option<Stored> {
    tokens.load(&key(name)).await.expect("the token can be read")
}

async fn swap(tokens: &dyn TokenStore, name: &str, expected: Option<u64>, value: &str) -> Swap {
    let value = Bytes::copy_from_slice(value.as_bytes());
    tokens.swap(&key(name), expected, Some(value)).await.expect("the swap is answered")
}

/// Swaps what cannot conflict; returns the new version.
async fn stored(tokens: &dyn TokenStore, name: &str, expected: Option<u64>, value: &str) -> u64 {
    match swap(tokens, name, expected, value).await {
        Swap::Stored { version } => version,
        conflict @ Swap::Conflict(_) => {
            panic!("expected the token to be stored, but there was a {conflict:?}")
        }
    }
}

/// One function per behavior.
pub mod swap {
    use super::{Arc, BTreeSet, Bytes, Stored, Swap, TokenStore, join_all, key, load, stored, swap};

    /// Any other version is a conflict that shows what is there, and changes nothing.
    pub async fn a_swap_needs_the_version_that_is_there(tokens: &dyn TokenStore) {
        assert_eq!(load(tokens, "a").await, None, "a new store is empty");
        assert_eq!(swap(tokens, "a", Some(1), "x").await, Swap::Conflict(None), "there is no version 1 yet");
        let first = stored(tokens, "a", None, "first").await;
        let there = Stored { version: first, bytes: "first".into() };
        for wrong in [None, Some(first + 1), Some(first.wrapping_sub(1))] {
            let conflict = swap(tokens, "a", wrong, "x").await;
            assert_eq!(conflict, Swap::Conflict(Some(there.clone())), "{wrong:?} is not there");
            let delete = tokens.swap(&key("a"), wrong, None).await.expect("the swap is answered");
            assert_eq!(delete, Swap::Conflict(Some(there.clone())), "a delete is compared too");
        }
        assert_eq!(load(tokens, "a").await, Some(there), "a conflict changes nothing");
        let second = stored(tokens, "a", Some(first), "second").await;
        assert!(second > first, "a version grows with every swap");
        assert_eq!(load(tokens, "a").await, Some(Stored { version: second, bytes: "second".into() }));
    }

    /// Who still knows the version of a deleted token must not replace the one that came after it.
    pub async fn versions_grow_across_a_delete(tokens: &dyn TokenStore) {
        let first = stored(tokens, "a", None, "first").await;
        let delete = tokens.swap(&key("a"), Some(first), None).await.expect("the swap is answered");
        assert_eq!(delete, Swap::Stored { version: first }, "a delete answers with the version it had");
        assert_eq!(load(tokens, "a").await, None);
        assert_eq!(swap(tokens, "a", Some(first), "x").await, Swap::Conflict(None), "it is gone");
        let second = stored(tokens, "a", None, "second").await;
        assert!(second > first, "{second} follows {first}");
    }

    /// A swap of one key is nothing to another.
    pub async fn keys_are_kept_apart(tokens: &dyn TokenStore) {
        stored(tokens, "a", None, "of a").await;
        assert_eq!(load(tokens, "b").await, None);
        stored(tokens, "b", None, "of b").await;
        assert_eq!(load(tokens, "a").await.map(|stored| stored.bytes), Some("of a".into()));
    }

    /// Any bytes, also none.
    pub async fn blobs_come_back_as_they_were(tokens: &dyn TokenStore) {
        let large: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
        let mut expected = None;
        for blob in [Bytes::new(), Bytes::from_static(b"\0"), large.into()] {
            let swap = tokens.swap(&key("a"), expected, Some(blob.clone())).await;
            let Swap::Stored { version } = swap.expect("the swap is answered") else {
                panic!("the current version can be replaced");
            };
            expected = Some(version);
            assert_eq!(load(tokens, "a").await, Some(Stored { version, bytes: blob }));
        }
    }

    /// A refresh token is used by one of those who found it.
    pub async fn concurrent_swaps_have_one_winner(tokens: &dyn TokenStore) {
        let first = stored(tokens, "a", None, "first").await;
        for expected in [Some(first), None] {
            let swaps = join_all((0..8).map(|_| swap(tokens, "a", expected, "mine"))).await;
            let winners = swaps.iter().filter(|swap| matches!(swap, Swap::Stored { .. })).count();
            assert_eq!(winners, usize::from(expected.is_some()), "expected {expected:?}");
        }
    }

    /// Readers that write back what they read plus one end with the number of writers.
    pub async fn no_update_is_lost(tokens: &dyn TokenStore) {
        const WRITERS: usize = 8;
        const EACH: usize = 10;
        let count = |found: &Option<Stored>| {
            let text = found.as_ref().map(|stored| String::from_utf8_lossy(&stored.bytes).into_owned());
            text.map_or(0, |text| text.parse::<usize>().expect("a number was stored"))
        };
        let versions = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        let write = async || {
            for _ in 0..EACH {
                let mut found = load(tokens, "a").await;
                let version = loop {
                    tokio::task::yield_now().await;
                    let next = (count(&found) + 1).to_string();
                    match swap(tokens, "a", found.map(|stored| stored.version), &next).await {
                        Swap::Stored { version } => break version,
                        Swap::Conflict(current) => found = current,
                    }
                };
                let is_new = versions.lock().expect("no writer has failed").insert(version);
                assert!(is_new, "version {version} was given twice");
            }
        };
        join_all((0..WRITERS).map(|_| write())).await;
        assert_eq!(count(&load(tokens, "a").await), WRITERS * EACH, "every update is counted");
    }
}
