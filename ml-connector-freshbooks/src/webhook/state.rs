//! What is kept of callbacks between two looks: their verifiers, which are the keys of their signatures.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use ml_connector_core::{Error, ErrorKind, Result, Secret, Timestamp, UpkeepRequest, model::Revision};
use serde::{Deserialize, Serialize};

/// For so long after it was asked for, a verifier is taken.
const WAIT: Duration = Duration::from_secs(3600);
/// FreshBooks may still sign with the verifier from before: deliveries that were under way when it was replaced.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// More verifiers than these for one callback are not FreshBooks'.
const MAX_OFFERS: usize = 8;

/// FreshBooks is asked for so long to delete callbacks of an account that the connection has left. By then it has disabled
/// them: their address only refuses.
const LEAVING: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is kept of all callbacks of a connection.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The account that they are of.
    #[serde(default)]
    pub(super) account: String,
    /// Where some may still be, because the connection was there before.
    #[serde(default)]
    pub(super) left: Vec<Left>,
    /// The URL below which they are wanted.
    #[serde(default)]
    pub(super) base: String,
    /// By the noun that they are about.
    #[serde(default)]
    pub(super) nouns: BTreeMap<String, Kept>,
}

/// An account that the connection has left, and the URL below which its callbacks lead.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Left {
    pub(super) account: String,
    pub(super) base: String,
    pub(super) since: Timestamp,
}

/// What is kept of one callback.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// FreshBooks' id of it.
    pub(super) id: Option<String>,
    /// The key of its signatures, once FreshBooks has accepted it.
    pub(super) verifier: Option<Key>,
    /// The key from before.
    pub(super) earlier: Option<Earlier>,
    /// When a verifier was asked for, as long as it is waited for.
    pub(super) asked: Option<Asked>,
    /// What was handed over and not tried yet, the newest last.
    pub(super) offers: Vec<Offer>,
    /// Since when it exists and is not verified.
    pub(super) unverified_since: Option<Timestamp>,
}

/// A verifier.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Key(pub(super) Secret);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Earlier {
    pub(super) verifier: Key,
    pub(super) until: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    /// Whether the call was made. It is made only once it is written down that an answer is waited for, because the verifier
    /// may come before the answer.
    pub(super) sent: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) id: String,
    pub(super) verifier: Key,
}

impl State {
    /// What is known when the connection reads `account`: whatever other it read before is to be left.
    pub(super) fn at(account: &str, request: &UpkeepRequest<'_>, now: Timestamp) -> Self {
        let mut state = Self::read(request.state);
        let mut former = Self::read(request.former);
        let is_here = state.account.is_empty() || state.account == account;
        let mut left = std::mem::take(&mut former.left);
        left.append(&mut state.left);
        for other in [Some(&former), (!is_here).then_some(&state)].into_iter().flatten() {
            if !other.account.is_empty() {
                left.push(Left { account: other.account.clone(), base: other.base.clone(), since: now });
            }
        }
        left.retain(|left| left.account != account && now.saturating_since(left.since) < LEAVING);
        left.dedup_by(|one, other| (&one.account, &one.base) == (&other.account, &other.base));
        let known = if is_here { state } else { Self::default() };
        Self { account: account.to_owned(), left, ..known }
    }

    pub(super) fn read(stored: Option<&Bytes>) -> Self {
        let read = stored.filter(|stored| !stored.is_empty()).map(|stored| serde_json::from_slice(stored));
        match read {
            Some(Ok(state)) => state,
            Some(Err(error)) => {
                let (line, column) = (error.line(), error.column());
                tracing::error!(
                    line,
                    column,
                    "what is kept of callbacks cannot be read: they are set up anew"
                );
                Self::default()
            }
            None => Self::default(),
        }
    }

    pub(super) fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "what is kept of callbacks cannot be written")
                .with_source(source)
        })
    }

    /// The keys that a delivery about a noun may be signed with, its own first: a callback that was made anew by hand keeps
    /// its path and changes its key.
    pub(super) fn keys(&self, noun: &str, now: Timestamp) -> Vec<&Secret> {
        let own = self.nouns.get(noun);
        let others = self.nouns.iter().filter(|(name, _)| *name != noun).map(|(_, kept)| kept);
        own.into_iter().chain(others).flat_map(|kept| kept.keys(now)).collect()
    }

    /// The verifiers that were handed over for a noun and are not confirmed. They prove nothing.
    pub(super) fn offered(&self, noun: &str) -> Vec<&Secret> {
        let offers = self.nouns.get(noun).into_iter().flat_map(|kept| &kept.offers);
        offers.map(|offer| &offer.verifier.0).collect()
    }
}

impl Kept {
    fn keys(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let earlier = self.earlier.as_ref().filter(move |earlier| now < earlier.until);
        let earlier = earlier.map(|earlier| &earlier.verifier);
        self.verifier.iter().chain(earlier).map(|key| &key.0)
    }

    /// Whether a verifier is waited for.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.asked.is_some_and(|asked| now.saturating_since(asked.at) < WAIT)
    }

    /// Takes a verifier that was handed over. Returns whether it is a new one.
    pub(super) fn offer(&mut self, offer: Offer) -> bool {
        if self.offers.contains(&offer) {
            return false;
        }
        if self.offers.len() == MAX_OFFERS {
            self.offers.remove(0);
        }
        self.offers.push(offer);
        true
    }

    /// FreshBooks has accepted a verifier.
    pub(super) fn adopt(&mut self, Offer { id, verifier }: Offer, now: Timestamp) {
        let before = self.verifier.replace(verifier).filter(|before| Some(before) != self.verifier.as_ref());
        if let Some(verifier) = before {
            self.earlier = Some(Earlier { verifier, until: now + OVERLAP });
        }
        self.id = Some(id);
        self.offers.clear();
        (self.asked, self.unverified_since) = (None, None);
    }
}

/// By their digests, so that the time it takes says nothing.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let [one, other] = [self, other].map(|key| Revision::of(key.0.expose().as_bytes()));
        one == other
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}
