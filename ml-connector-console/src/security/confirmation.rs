//! Confirmations: a token that says who confirmed what. It is good for ten minutes, and for nothing else.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use ml_connector_core::{Timestamp, model::Seq};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How long a token is good for.
const LIFE_MS: i64 = 10 * 60 * 1000;

/// What tokens are made with: the same on all hosts of a log, and after every restart.
#[derive(Clone)]
pub(crate) struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// What a token is about: another actor, act, selection, number or mode needs another token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub actor: &'a str,
    pub act: &'a str,
    /// What exactly is changed: a digest over all of it.
    pub selection: [u8; 32],
    pub count: usize,
    pub mode: &'a str,
}

impl Key {
    /// A token that is good from now on.
    pub(crate) fn issue(&self, about: &Bound<'_>, now: Timestamp) -> String {
        let ends = now.as_millis().saturating_add(LIFE_MS);
        format!("{ends:x}.{}", hex(&self.sign(about, ends)))
    }

    /// Whether a token is about exactly this, and still good.
    pub(crate) fn is_good(&self, token: &str, about: &Bound<'_>, now: Timestamp) -> bool {
        let Some((ends, mac)) = token.split_once('.') else { return false };
        let Ok(ends) = i64::from_str_radix(ends, 16) else { return false };
        let left = ends.saturating_sub(now.as_millis());
        let is_genuine: bool = hex(&self.sign(about, ends)).as_bytes().ct_eq(mac.as_bytes()).into();
        is_genuine && (0..=LIFE_MS).contains(&left)
    }

    fn sign(&self, about: &Bound<'_>, ends: i64) -> [u8; 32] {
        let Bound { actor, act, selection, count, mode } = about;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        // Each part with its length, so that none can be taken for another.
        for part in [b"console 1", actor.as_bytes(), act.as_bytes(), selection, mode.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(&(*count as u64).to_be_bytes());
        mac.update(&ends.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// A digest over entries and words.
pub(crate) fn digest(entries: &[Seq], words: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((entries.len() as u64).to_be_bytes());
    entries.iter().for_each(|seq| digest.update(seq.0.to_be_bytes()));
    for word in words {
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word.as_bytes());
    }
    digest.finalize().into()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Bound<'static> {
        let selection = digest(&[Seq(1), Seq(2)], &[]);
        Bound { actor: "ada", act: "replay", selection, count: 2, mode: "same" }
    }

    #[test]
    fn a_token_is_good_for_what_it_was_made_for_and_for_ten_minutes() {
        let (key, now) = (Key([7; 32]), Timestamp::from_secs(1_000_000));
        let token = key.issue(&bound(), now);
        let later = |ms| Timestamp::from_millis(now.as_millis() + ms);
        assert!(key.is_good(&token, &bound(), now) && key.is_good(&token, &bound(), later(LIFE_MS)));
        assert!(!key.is_good(&token, &bound(), later(LIFE_MS + 1)), "it ends");
        assert!(!key.is_good(&token, &bound(), later(-1)), "a clock that was ahead made it");
        let others = [
            Bound { actor: "bob", ..bound() },
            Bound { act: "discard", ..bound() },
            Bound { selection: digest(&[Seq(1), Seq(3)], &[]), ..bound() },
            Bound { count: 3, ..bound() },
            Bound { mode: "reroute", ..bound() },
            Bound { actor: "adar", act: "eplay", ..bound() },
        ];
        for other in others {
            assert!(!key.is_good(&token, &other, now), "{other:?}");
        }
        assert!(!Key([8; 32]).is_good(&token, &bound(), now), "another key");
        for forged in
            ["", ".", "zz.00", "7fffffffffffffff.00", &token[..token.len() - 1], &format!("{token}0")]
        {
            assert!(!key.is_good(forged, &bound(), now), "{forged}");
        }
    }

    #[test]
    fn parts_of_a_selection_do_not_run_into_each_other() {
        assert_ne!(digest(&[], &["ab", "c"]), digest(&[], &["a", "bc"]));
        assert_ne!(digest(&[Seq(1)], &[]), digest(&[Seq(1), Seq(0)], &[]));
    }
}
