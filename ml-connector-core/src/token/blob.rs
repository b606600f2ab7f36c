//! What is stored under a token's key, in a versioned format.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{Error, ErrorKind, Result, Scope, Secret, Timestamp, http::Answer};

/// The format written here. A blob with a higher one was written by a later release.
const FORMAT: u8 = 1;

/// The headers of a token answer that are kept with it: what vendors say their verdict in, and nothing else.
const KEPT_HEADERS: [&str; 4] = ["content-type", "retry-after", "reason", "www-authenticate"];

/// A chain of tokens: each refresh makes the next generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Blob {
    format: u8,
    pub(crate) generation: u64,
    /// The generation at which somebody connected. Answers from before belong to another consent.
    pub(crate) since: u64,
    pub(crate) access: Option<Kept>,
    /// When the newest token arrived; it stays when the token is dropped.
    pub(crate) issued_at: Option<Timestamp>,
    /// `None`: the vendor names no end.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) refresh: Option<Kept>,
    /// When the refresh token ends; `None`: the vendor does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_expires_at: Option<Timestamp>,
    /// Another refresh token that arrived late; tried when the current one is refused.
    pub(crate) spare: Option<Kept>,
    /// The refresh token of the chain that a configured one has replaced, until that one has proven itself.
    #[serde(default)]
    pub(crate) former: Option<Kept>,
    pub(crate) phase: RefreshPhase,
    /// Answers that nobody has classified yet. They stand beside the phase, because an answer that comes late is kept
    /// without ending another host's request.
    pub(crate) received: Vec<ReceivedAnswer>,
    /// How many answers to this generation's refresh were lost.
    pub(crate) lost: u32,
    /// When the token endpoint was asked lately.
    pub(crate) asked: Vec<Timestamp>,
    pub(crate) failure: Option<TokenFailure>,
    /// Digests of the configured refresh tokens that are known here, newest last: each begins a chain once at most.
    /// `None`: nobody has said yet which one is configured, as in what earlier releases stored.
    #[serde(default)]
    pub(crate) seeds: Option<Vec<String>>,
    /// What the vendor said last of the scopes that were granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
}

/// Who is working on the next generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum RefreshPhase {
    Idle,
    /// `owner` is about to ask.
    Claimed {
        owner: Uuid,
        until: Timestamp,
    },
    /// `owner` asks, or has asked.
    Sent {
        owner: Uuid,
        at: Timestamp,
    },
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ReceivedAnswer {
    /// Of which generation's request.
    pub(crate) generation: u64,
    pub(crate) by: Uuid,
    pub(crate) at: Timestamp,
    /// The answer to a person's consent: its tokens begin another chain, whatever generation this one has reached.
    #[serde(default)]
    pub(crate) consent: bool,
    status: u16,
    headers: Vec<(String, String)>,
    body: Kept,
}

/// Why the last request led to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TokenFailure {
    pub(crate) cause: Cause,
    /// The vendor's code or the status.
    pub(crate) code: String,
    /// What a person has to know, in words of the system crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// When, where it matters because `until` counts from it.
    #[serde(default)]
    pub(crate) at: Option<Timestamp>,
    /// Nobody asks before; `None`: nobody asks again.
    pub(crate) until: Option<Timestamp>,
    /// How many failures in a row.
    pub(crate) count: u32,
    /// The digest of the configuration that failed: another one is tried at once.
    pub(crate) config: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The refresh token is dead.
    Refused,
    /// Answers were lost, and asking again could do harm.
    AnswerLost,
    /// The app's id, secret or request is wrong.
    Misconfigured,
    /// The vendor wants to be left alone.
    Throttled,
    /// The vendor, or the way to it, is down.
    Unavailable,
}

impl Blob {
    /// A chain that begins with a refresh token, or with the app's credentials alone.
    pub(crate) fn new(refresh: Option<Secret>) -> Self {
        Self {
            format: FORMAT,
            generation: 0,
            since: 0,
            access: None,
            issued_at: None,
            expires_at: None,
            refresh: refresh.map(Kept),
            refresh_expires_at: None,
            spare: None,
            former: None,
            phase: RefreshPhase::Idle,
            received: Vec::new(),
            lost: 0,
            asked: Vec::new(),
            failure: None,
            seeds: None,
            scopes: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(self)
            .map(Bytes::from)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "the token could not be encoded"))
    }

    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when a later release wrote it; [`ErrorKind::Unexpected`] when it is no token.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u8,
        }
        // The decoder's own message may quote what it read.
        let unreadable = |_| {
            Error::new(ErrorKind::Unexpected, "what is stored under the token's key is no token")
                .with_scope(Scope::Connection)
                .with_context("bytes", bytes.len())
        };
        let Head { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the token was stored by a later release")
                .with_scope(Scope::Connection)
                .with_context("format", format)
                .with_context("known", FORMAT));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

impl ReceivedAnswer {
    pub(crate) fn new(generation: u64, by: Uuid, answer: &Answer) -> Self {
        let headers = KEPT_HEADERS
            .iter()
            .filter_map(|name| Some((String::from(*name), String::from(answer.header(name)?))))
            .collect();
        Self {
            generation,
            by,
            at: answer.received_at,
            consent: false,
            status: answer.status.as_u16(),
            headers,
            body: Kept(Secret::from(String::from_utf8_lossy(&answer.body).into_owned())),
        }
    }

    /// The answer to the exchange of a consent's code. `by` is nobody else's.
    pub(crate) fn of_consent(by: Uuid, answer: &Answer) -> Self {
        Self { consent: true, ..Self::new(0, by, answer) }
    }

    pub(crate) fn answer(&self) -> Answer {
        let headers: HeaderMap = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            })
            .collect();
        Answer {
            status: StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body: Bytes::copy_from_slice(self.body.0.expose().as_bytes()),
            received_at: self.at,
        }
    }

    /// Whether this is the same answer, stored twice because a write's outcome was unknown.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.generation, self.by, self.at) == (other.generation, other.by, other.at)
    }
}

/// A secret that is written into the blob, and shown nowhere else.
#[derive(Clone)]
pub(crate) struct Kept(pub(crate) Secret);

impl PartialEq for Kept {
    /// Both sides are ours: there is nobody to time the comparison.
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for Kept {}

impl std::hash::Hash for Kept {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.expose().hash(state);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Secret::from).map(Self)
    }
}
