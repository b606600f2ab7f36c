//! Who did something, and about which document.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{ConnectionId, EntityRef};

/// A document as somebody saw it: which, and after which of its changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DocumentRef {
    /// Whose document.
    pub connection: ConnectionId,
    /// Which document.
    pub entity: EntityRef,
    /// The number of the change that was told: [`Event::n`](super::Event::n).
    pub n: u64,
}

/// A person who did something. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The connection that knows the person.
    pub connection: ConnectionId,
    /// The person's id there.
    pub id: Arc<str>,
    /// The person's full name. Untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Other names the person goes by there: other systems may know them by one of these. Untrusted text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The person's address, where it may be read and is vouched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the person's account was deactivated when the person was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deactivated: bool,
    /// Where it was done, in that connection's own form: the message, so that an answer can be shown beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Arc<str>>,
}

impl Actor {
    /// A person known by id.
    pub fn new(connection: impl Into<ConnectionId>, id: impl Into<Arc<str>>) -> Self {
        let (connection, id) = (connection.into(), id.into());
        Self { connection, id, name: None, aliases: Vec::new(), email: None, deactivated: false, place: None }
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, id, .. } = self;
        f.debug_struct("Actor").field("connection", connection).field("id", id).finish_non_exhaustive()
    }
}
