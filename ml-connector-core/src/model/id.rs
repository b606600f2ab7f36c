//! Identifiers. Each is its own type, so that mixing two of them does not compile.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<std::sync::Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    )* };
}
pub(crate) use text_id;

text_id! {
    /// The host's name for one connected account, such as `books`: the tenant in every key.
    ///
    /// 1–64 characters of `a-z`, `0-9`, `-` and `_`; [`ConnectionId::validate`] checks it.
    ConnectionId,
    /// The first path segment of a webhook URL. Connections of one vendor app may share it.
    EndpointId,
    /// How shared traffic names a connection: `team:T1`, `org:778812345`.
    AccountKey,
    /// What shares quotas or a token chain, and is therefore owned by one host.
    Affinity,
    /// What keeps order: an entity, a Slack channel, a table.
    LaneKey,
    /// A delivery number the vendor issued, or a nonce: the same key is appended once.
    DedupeKey,
}

const MAX_ID: usize = 64;

impl ConnectionId {
    /// Checks that the id can stand in URLs and keys.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the id and the rule.
    pub fn validate(&self) -> Result<()> {
        validate_segment("connection id", self.as_str())
    }
}

impl EndpointId {
    /// Checks that the id can be a path segment.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the id and the rule.
    pub fn validate(&self) -> Result<()> {
        validate_segment("endpoint id", self.as_str())
    }
}

fn validate_segment(what: &'static str, text: &str) -> Result<()> {
    let fits = (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if fits {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ConfigInvalid, format!("{what} must be 1–64 characters of a-z, 0-9, - and _"))
        .with_context("id", text.escape_debug()))
}

impl LaneKey {
    /// The number under which the log files this lane of a connection. It is the same for ever and on all hosts. Two
    /// lanes with one number only wait for each other.
    #[must_use]
    pub fn number(&self, connection: &ConnectionId) -> u64 {
        stable_hash(&[connection.as_str(), self.as_str()])
    }
}

/// One record of a vendor: its kind (`invoice`) and the vendor's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityRef {
    /// The kind, in the SDK's vocabulary: `invoice`, `bill`, `customer_payment`.
    pub kind: Arc<str>,
    /// The vendor's id.
    pub id: Arc<str>,
}

impl EntityRef {
    /// Names a record.
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// The lane in which this record's signals wait.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey::new([&*self.kind, "/", &*self.id].concat())
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// The position of an entry in the log. Within a partition, order of commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of the connections, owned by one host at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Partition(u8);

impl Partition {
    /// How many partitions there are.
    pub const COUNT: u8 = 64;

    /// The partition with this number; numbers wrap at [`COUNT`](Self::COUNT).
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number % Self::COUNT)
    }

    /// Its number, below [`COUNT`](Self::COUNT).
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// All partitions in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

impl From<u8> for Partition {
    fn from(number: u8) -> Self {
        Self::new(number)
    }
}

impl From<Partition> for u8 {
    fn from(partition: Partition) -> Self {
        partition.number()
    }
}

impl Affinity {
    /// The partition that owns everything with this affinity.
    #[must_use]
    pub fn partition(&self) -> Partition {
        let [.., last] = stable_hash(&[self.as_str()]).to_be_bytes();
        Partition::new(last)
    }
}

/// A hash that never changes between versions or machines; parts are told apart.
fn stable_hash(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_numbers_and_partitions_are_stable_and_tell_connections_apart() {
        let lane = EntityRef::new("invoice", "1").lane();
        assert_eq!(lane.number(&"a".into()), lane.number(&"a".into()));
        assert_ne!(lane.number(&"a".into()), lane.number(&"b".into()));
        assert_ne!(stable_hash(&["a", "bc"]), stable_hash(&["ab", "c"]));
        // Written down: a changed hash would orphan the lanes of every existing log.
        assert_eq!(stable_hash(&["books", "invoice/1"]), 11_762_022_481_484_746_774);
    }

    #[test]
    fn a_connection_id_is_a_path_segment() {
        for good in ["books", "zoho-eu_2", "a"] {
            assert!(ConnectionId::from(good).validate().is_ok(), "{good}");
        }
        for bad in ["", "Books", "a/b", "ä", "a b", &"x".repeat(65)] {
            assert_eq!(
                ConnectionId::from(bad).validate().unwrap_err().kind(),
                ErrorKind::ConfigInvalid,
                "{bad}"
            );
        }
    }
}
