use std::sync::Arc;

use bytes::Bytes;

use super::{key, ring};
use crate::{
    ErrorKind, TokenStore, conformance,
    encryption::{EncryptTokens, EncryptedTokens, KeyRing},
    model::ConnectionId,
    token::{MemoryTokenStore, Stored, Swap, TokenKey},
};

fn name(connection: &str) -> TokenKey {
    TokenKey::new(&ConnectionId::from(connection))
}

async fn put(tokens: &dyn TokenStore, key: &TokenKey, expected: Option<u64>, bytes: &[u8]) -> u64 {
    match tokens.swap(key, expected, Some(Bytes::copy_from_slice(bytes))).await.unwrap() {
        Swap::Stored { version } => version,
        conflict @ Swap::Conflict(_) => panic!("{conflict:?}"),
    }
}

async fn bytes(tokens: &dyn TokenStore, key: &TokenKey) -> Bytes {
    tokens.load(key).await.unwrap().unwrap().bytes
}

/// A store that the test keeps a handle of.
fn store() -> (Arc<MemoryTokenStore>, impl Fn(KeyRing) -> EncryptedTokens<Arc<MemoryTokenStore>>) {
    let inner = Arc::new(MemoryTokenStore::new());
    let handle = Arc::clone(&inner);
    (inner, move |ring| Arc::clone(&handle).encrypted(ring))
}

#[tokio::test]
async fn encrypted_tokens_have_every_behavior() {
    conformance::tokens::all(async || {
        Arc::new(MemoryTokenStore::new().encrypted(ring("a"))) as Arc<dyn TokenStore>
    })
    .await;
    conformance::tokens::all(async || {
        Arc::new(MemoryTokenStore::new().encrypted(ring("a")).accepting_clear()) as Arc<dyn TokenStore>
    })
    .await;
}

#[tokio::test]
async fn a_token_is_bound_to_its_key() {
    let (inner, with) = store();
    put(&with(ring("a")), &name("books"), None, b"1000.refresh").await;
    let stored = bytes(&*inner, &name("books")).await;
    assert!(!stored.windows(4).any(|part| part == b"1000"), "it is not in clear");
    put(&*inner, &name("other"), None, &stored).await;
    let moved = with(ring("a")).load(&name("other")).await.unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::Unexpected, "another connection's token is refused");
    // A conflict shows what is there, and checks it too.
    let conflict = with(ring("a")).swap(&name("other"), None, None).await.unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Unexpected);
}

#[tokio::test]
async fn a_token_in_clear_is_refused_unless_the_host_takes_it() {
    let (inner, with) = store();
    let version = put(&*inner, &name("books"), None, b"{\"format\":1}").await;
    let refused = with(ring("a")).load(&name("books")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    assert!(refused.to_string().contains("active=a"), "{refused}");

    let migrating = with(ring("a")).accepting_clear();
    let plain = Stored { version, bytes: "{\"format\":1}".into() };
    assert_eq!(migrating.load(&name("books")).await.unwrap(), Some(plain));
    assert!(migrating.reencrypt(&name("books")).await.unwrap());
    assert!(!migrating.reencrypt(&name("books")).await.unwrap(), "once is enough");
    assert!(!migrating.reencrypt(&name("none")).await.unwrap());
    assert_eq!(bytes(&with(ring("a")), &name("books")).await, "{\"format\":1}");
}

#[tokio::test]
async fn a_rotation_under_load_loses_no_update() {
    const WRITERS: usize = 8;
    const EACH: usize = 20;
    let (_, with) = store();
    let shared = ring("old");
    let tokens = with(shared.clone());
    put(&tokens, &name("books"), None, b"0").await;
    let write = async || {
        for _ in 0..EACH {
            loop {
                let found = tokens.load(&name("books")).await.unwrap().unwrap();
                tokio::task::yield_now().await;
                let count: usize = std::str::from_utf8(&found.bytes).unwrap().parse().unwrap();
                let next = Bytes::from((count + 1).to_string());
                let swap = tokens.swap(&name("books"), Some(found.version), Some(next)).await.unwrap();
                if matches!(swap, Swap::Stored { .. }) {
                    break;
                }
            }
        }
    };
    let rotate = async {
        shared.replace(&ring("new").with_old(key("old")));
        for _ in 0..WRITERS * EACH {
            tokio::task::yield_now().await;
            tokens.reencrypt(&name("books")).await.unwrap();
        }
    };
    futures_util::future::join(futures_util::future::join_all((0..WRITERS).map(|_| write())), rotate).await;
    // Without the old key, and so encrypted with the new one.
    assert_eq!(bytes(&with(ring("new")), &name("books")).await, (WRITERS * EACH).to_string());
}
