use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;

use super::{key, ring};
use crate::{
    Error, ErrorKind, Result,
    encryption::{Binding, Key, KeyBytes, KeyId, KeyRing, Kms},
};

const BODY: Binding<'_> = Binding { purpose: "entry.body", connection: "books", key: "invoice/1" };

#[test]
fn what_is_sealed_opens_for_its_own_binding_only() {
    let ring = ring("a");
    let sealed = ring.seal(&BODY, b"Jane Roe").unwrap();
    assert_eq!(ring.open(&BODY, &sealed).unwrap(), "Jane Roe");
    assert_ne!(ring.seal(&BODY, b"Jane Roe").unwrap(), sealed, "a nonce is used once");
    let others = [
        Binding { purpose: "entry.trace", ..BODY },
        Binding { connection: "other", ..BODY },
        Binding { key: "invoice/2", ..BODY },
        // The same text, cut into its parts elsewhere.
        Binding { connection: "booksi", key: "nvoice/1", ..BODY },
        Binding { purpose: "entry.bodybooks", connection: "", ..BODY },
    ];
    for other in others {
        let error = ring.open(&other, &sealed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{other:?}");
        assert!(!format!("{error:?}").contains("Jane"), "{error:?}");
    }
}

proptest! {
    #[test]
    fn what_was_changed_or_cut_off_is_refused(
        plain in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let ring = ring("a").with_old(key("b"));
        let sealed = ring.seal(&BODY, &plain).unwrap();
        prop_assert_eq!(ring.open(&BODY, &sealed).unwrap(), plain);
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(ring.open(&BODY, &flipped).is_err());
        prop_assert!(ring.open(&BODY, &sealed[..at.index(sealed.len())]).is_err());
        let mut longer = sealed;
        longer.push(0);
        prop_assert!(ring.open(&BODY, &longer).is_err());
    }

    #[test]
    fn no_bytes_and_no_text_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..96), text in "\\PC*") {
        let mut marked = crate::audit::sealed::MARK.to_vec();
        marked.extend_from_slice(&bytes);
        prop_assert!(ring("a").open(&BODY, &bytes).is_err());
        prop_assert!(ring("a").open(&BODY, &marked).is_err());
        let _ = KeyRing::parse(&text);
    }
}

#[test]
fn old_keys_open_and_only_the_active_one_seals() {
    let old = ring("old").seal(&BODY, b"1").unwrap();
    let both = ring("new").with_old(key("old"));
    assert_eq!(both.open(&BODY, &old).unwrap(), "1");
    assert!(!both.is_current(&old));
    let new = both.seal(&BODY, b"2").unwrap();
    assert!(both.is_current(&new));

    for (ring, what) in [(ring("other"), "not in the key ring"), (ring("new").with_revoked("old"), "revoked")]
    {
        let error = ring.open(&BODY, &old).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(what) && error.to_string().contains("key=old"), "{error}");
    }
    // The same name, but not the same key.
    let bytes: Vec<u8> = (0..32).collect();
    let imposter = KeyRing::new(Key::new("old", &bytes).unwrap());
    assert_eq!(imposter.open(&BODY, &old).unwrap_err().kind(), ErrorKind::Unexpected);
}

#[test]
fn a_ring_changes_for_everything_that_uses_it() {
    let used = ring("old");
    let elsewhere = used.clone();
    let before = elsewhere.seal(&BODY, b"1").unwrap();
    used.replace(&ring("new").with_old(key("old")));
    assert_eq!(elsewhere.active().as_str(), "new");
    assert_eq!(elsewhere.open(&BODY, &before).unwrap(), "1");
}

#[test]
fn keys_are_read_from_texts_files_and_the_environment() {
    let line = |id| key(id).to_text().expose().to_owned();
    let text = format!("# keys\n{} # since November\n{},old-2:revoked\n", line("new"), line("old"));
    let sealed = ring("old").seal(&BODY, b"1").unwrap();
    let file = std::env::temp_dir().join(format!("ml-connector-keys-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, &text).unwrap();
    for ring in [KeyRing::parse(&text).unwrap(), KeyRing::from_file(&file).unwrap()] {
        assert_eq!(ring.active().as_str(), "new");
        assert_eq!(ring.open(&BODY, &sealed).unwrap(), "1");
    }
    std::fs::remove_file(file).unwrap();
    assert!(KeyRing::from_env("ML_CONNECTOR_NO_SUCH_KEY").unwrap().is_none());
    let missing = KeyRing::from_file("/nonexistent/keys").unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/keys"), "{missing}");
}

#[test]
fn a_wrong_key_is_named_and_not_shown() {
    let good = key("a").to_text();
    let good = good.expose();
    let cases = [
        ("", "no key is given"),
        ("c2VjcmV0", "no colon"),
        ("A:c2VjcmV0", "a key's id"),
        ("a:c2VjcmV0", "32 bytes"),
        ("a:c2Vj*mV0", "Base64"),
        ("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "equal"),
        ("a:revoked", "cannot be revoked"),
        (&format!("{good} {good}"), "the same id"),
    ];
    for (text, what) in cases {
        let error = KeyRing::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(what), "{text}: {error}");
        assert!(!format!("{error:?}").contains("c2V"), "{error:?}");
    }
    let shown = format!("{:?} {:?}", key("a"), ring("a").with_revoked("b"));
    assert_eq!(
        shown,
        r#"Key { id: KeyId("a"), bytes: KeyBytes(***) } KeyRing { active: "a", others: ["b"] }"#
    );
}

/// Wraps keys with one of its own.
#[derive(Debug)]
struct Service(KeyRing);

fn wrapping(id: &KeyId) -> Binding<'_> {
    Binding { purpose: "key", connection: "", key: id.as_str() }
}

#[async_trait]
impl Kms for Service {
    async fn wrap(&self, key: &Key) -> Result<Vec<u8>> {
        self.0.seal(&wrapping(&key.id), key.bytes.expose())
    }

    async fn unwrap(&self, id: &KeyId, wrapped: &[u8]) -> Result<KeyBytes> {
        KeyBytes::try_from(&*self.0.open(&wrapping(id), wrapped)?)
    }
}

#[tokio::test]
async fn a_key_service_unwraps_keys() {
    let service = Arc::new(Service(ring("service")));
    let wrapped = key("data").wrap(&*service).await.unwrap();
    let sealed = ring("data").seal(&BODY, b"1").unwrap();
    let unwrapped = KeyRing::unwrap(&wrapped, &*service).await.unwrap();
    assert_eq!(unwrapped.open(&BODY, &sealed).unwrap(), "1");
    let other = Service(ring("another"));
    let refused: Error = KeyRing::unwrap(&wrapped, &other).await.unwrap_err();
    assert!(refused.to_string().contains("service"), "{refused}");
    let renamed = wrapped.replace("data:", "other:");
    assert!(KeyRing::unwrap(&renamed, &*service).await.is_err(), "a wrapped key is bound to its name");
}
