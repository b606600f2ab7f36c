//! HMAC-SHA256 over the bytes as received.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::{Error, ErrorKind, Result, Secret};

/// How a vendor writes a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Hexadecimal digits, in either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Verifies HMAC-SHA256 signatures under one or more secrets: while a secret is rotated, the old and the new one
/// hold. The keyed state is prepared once, but for secrets that are given by name and may change.
#[derive(Clone)]
pub struct HmacSha256 {
    keys: Vec<HmacKey>,
}

#[derive(Clone)]
enum HmacKey {
    Fixed(Hmac<Sha256>),
    Named(Secret),
}

impl HmacKey {
    fn new(secret: &Secret) -> Option<Self> {
        if secret.is_named() {
            Some(Self::Named(secret.clone()))
        } else {
            keyed(secret.expose()).map(Self::Fixed)
        }
    }

    /// Does something with every state that is good at present.
    fn each(&self, mut with: impl FnMut(&Hmac<Sha256>)) {
        match self {
            Self::Fixed(keyed) => with(keyed),
            Self::Named(secret) => {
                // An empty text would be anybody's.
                let texts = secret.accepted().filter(|text| !text.is_empty());
                texts.filter_map(keyed).for_each(|keyed| with(&keyed));
            }
        }
    }
}

impl HmacSha256 {
    /// A verifier for these secrets, used as text.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] without a secret, or with an empty one: nothing is ever accepted unsigned.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self> {
        let invalid = |message| Error::new(ErrorKind::ConfigInvalid, message);
        let keys = secrets
            .into_iter()
            .map(|secret| match secret.is_empty() {
                true => Err(invalid("a webhook secret is empty")),
                false => HmacKey::new(secret).ok_or_else(|| invalid("a webhook secret is unusable")),
            })
            .collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Err(invalid("a webhook secret is required"));
        }
        Ok(Self { keys })
    }

    /// Checks `signature` against the message given in parts, in constant time for each secret.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`], which holds neither the expected nor the received signature.
    pub fn verify(&self, parts: &[&[u8]], signature: &str, encodings: &[Encoding]) -> Result<()> {
        let mut valid = Choice::from(0);
        for received in encodings.iter().filter_map(|encoding| decode(signature, *encoding)) {
            for key in &self.keys {
                key.each(|keyed| valid |= mac(keyed, parts).as_slice().ct_eq(&received));
            }
        }
        if valid.into() { Ok(()) } else { Err(refused("the signature does not match")) }
    }

    /// Signs a message with the first secret, as a vendor would: for tests and simulators.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]], encoding: Encoding) -> String {
        let mut signed = None;
        if let Some(key) = self.keys.first() {
            key.each(|keyed| signed = signed.or_else(|| Some(mac(keyed, parts))));
        }
        let mac: [u8; 32] = signed.unwrap_or_default();
        match encoding {
            Encoding::Hex => mac.iter().map(|byte| format!("{byte:02x}")).collect(),
            Encoding::Base64 => BASE64_STANDARD.encode(mac),
        }
    }
}

impl fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacSha256({} secrets)", self.keys.len())
    }
}

/// The error of a request that is not proven to come from the vendor.
#[must_use]
pub(crate) fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::SignatureInvalid, reason)
}

fn keyed(text: &str) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(text.as_bytes()).ok()
}

fn mac(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn decode(signature: &str, encoding: Encoding) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    match encoding {
        Encoding::Hex => {
            let digits: &[u8; 64] = signature.as_bytes().try_into().ok()?;
            for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
                *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
            }
        }
        // The buffer is larger than the MAC, because the decoder asks for room in whole groups.
        Encoding::Base64 => {
            let mut group = [0; 36];
            let length = BASE64_STANDARD.decode_slice(signature, &mut group).ok()?;
            bytes.copy_from_slice(group.get(..length).filter(|decoded| decoded.len() == 32)?);
        }
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const BODY: &[u8] = br#"{"created_date":"2019-03-06","event_id":"5675"}"#;
    const HEX: &str = "32d59db84ae56a980e32944f9d05363f628a2e9d62db920be04cda603b0cd484";

    fn verifier(secrets: &[&str]) -> HmacSha256 {
        HmacSha256::new(&secrets.iter().map(|secret| Secret::from(*secret)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn during_a_change_both_secrets_hold_and_afterwards_one_does() {
        let secret = Secret::named(&"old".into(), None);
        let held = HmacSha256::new([&secret]).unwrap();
        let check =
            |by: &str| held.verify(&[BODY], &verifier(&[by]).sign(&[BODY], Encoding::Hex), &[Encoding::Hex]);
        assert!(check("old").is_ok() && check("new").is_err());
        secret.follow(&"new".into(), Some(&"old".into()));
        assert!(check("old").is_ok() && check("new").is_ok() && check("other").is_err());
        assert_eq!(held.sign(&[BODY], Encoding::Hex), verifier(&["new"]).sign(&[BODY], Encoding::Hex));
        secret.follow(&"new".into(), None);
        assert!(check("old").is_err() && check("new").is_ok());
        secret.follow(&"".into(), None);
        assert!(check("new").is_err(), "nothing is ever accepted unsigned");
    }

    #[test]
    fn a_known_vector_passes_whole_and_in_parts_under_any_of_the_secrets() {
        let (head, tail) = BODY.split_at(7);
        for secrets in [&["mlcZohoSecret2026"][..], &["new", "mlcZohoSecret2026"]] {
            let verifier = verifier(secrets);
            verifier.verify(&[BODY], HEX, &[Encoding::Hex]).unwrap();
            verifier.verify(&[head, tail], &HEX.to_uppercase(), &[Encoding::Base64, Encoding::Hex]).unwrap();
        }
        let base64 = verifier(&["mlcZohoSecret2026"]).sign(&[BODY], Encoding::Base64);
        verifier(&["mlcZohoSecret2026"]).verify(&[BODY], &base64, &[Encoding::Base64]).unwrap();
    }

    #[test]
    fn anything_else_is_refused_without_a_hint() {
        let verifier = verifier(&["mlcZohoSecret2026"]);
        let one_off = HEX.replacen('3', "4", 1);
        for signature in ["", "32", &one_off, &HEX[1..], &format!("{HEX}00"), &HEX.replace('3', "g"), "é"] {
            let error = verifier.verify(&[BODY], signature, &[Encoding::Hex, Encoding::Base64]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignatureInvalid);
            assert!(!format!("{error:?}").contains("32d59db8"), "{error:?}");
        }
        assert!(verifier.verify(&[BODY], HEX, &[Encoding::Base64]).is_err());
        assert!(verifier.verify(&[&BODY[1..]], HEX, &[Encoding::Hex]).is_err());
    }

    #[test]
    fn nothing_is_accepted_unsigned() {
        assert_eq!(HmacSha256::new([]).unwrap_err().kind(), ErrorKind::ConfigInvalid);
        assert_eq!(HmacSha256::new([&Secret::from("")]).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }

    proptest! {
        #[test]
        fn what_was_signed_passes_and_any_flipped_bit_is_refused(
            body in vec(any::<u8>(), 0..200), split in any::<usize>(), bit in any::<usize>(), hex in any::<bool>(),
        ) {
            let verifier = verifier(&["new", "old"]);
            let encoding = if hex { Encoding::Hex } else { Encoding::Base64 };
            let signature = verifier.sign(&[&body], encoding);
            let (head, tail) = body.split_at(split % (body.len() + 1));
            prop_assert!(verifier.verify(&[head, tail], &signature, &[encoding]).is_ok());

            let mut forged = decode(&signature, encoding).unwrap();
            forged[bit / 8 % 32] ^= 1 << (bit % 8);
            let forged = match encoding {
                Encoding::Hex => forged.iter().map(|byte| format!("{byte:02x}")).collect(),
                Encoding::Base64 => BASE64_STANDARD.encode(forged),
            };
            prop_assert!(verifier.verify(&[&body], &forged, &[encoding]).is_err());

            let mut changed = body.clone();
            if let Some(byte) = changed.get_mut(bit / 8 % body.len().max(1)) {
                *byte ^= 1 << (bit % 8);
                prop_assert!(verifier.verify(&[&changed], &signature, &[encoding]).is_err());
            }
        }

        #[test]
        fn no_signature_panics_or_passes(signature in "\\PC{0,90}|[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=") {
            let both = [Encoding::Hex, Encoding::Base64];
            prop_assert!(verifier(&["secret"]).verify(&[BODY], &signature, &both).is_err());
        }
    }
}
