//! Who may see and do what.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use http::request::Parts;
use ml_connector_core::{audit::Query, model::ConnectionId};

/// Says who a request is from, and what that person may see and do. The host implements it on top of its own sign-in.
///
/// # Contract
/// - It is asked once for every request, also for style sheets. There is no way around it.
/// - It gets the request without its body: headers, and whatever the host's own layers left in the extensions.
/// - What it cannot decide it denies.
///
/// ```
/// use ml_connector_console::{Access, Authorizer, Grant, Visible};
///
/// /// Reads what the host's sign-in layer left in the request.
/// #[derive(Debug)]
/// struct SignedIn;
///
/// #[derive(Clone)]
/// struct Session { name: String, is_accountant: bool }
///
/// #[async_trait::async_trait]
/// impl Authorizer for SignedIn {
///     async fn authorize(&self, request: &http::request::Parts) -> Access {
///         match request.extensions.get::<Session>() {
///             Some(session) if session.is_accountant => {
///                 Grant::act(session.name.as_str(), Visible::only(["books", "slack"])).into()
///             }
///             Some(session) => Grant::view(session.name.as_str(), Visible::only(["books"])).into(),
///             None => Access::Deny,
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Authorizer: Debug + Send + Sync + 'static {
    /// Who asks, and what they may.
    async fn authorize(&self, request: &Parts) -> Access;
}

/// What an [`Authorizer`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Nothing: the answer is 403.
    Deny,
    /// So much.
    Allow(Grant),
}

impl From<Grant> for Access {
    fn from(grant: Grant) -> Self {
        Self::Allow(grant)
    }
}

/// Which connections somebody sees. It is part of every query; an entry of another connection is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Visible {
    /// All of them, and what belongs to none: limits that are full, routes, and acts about everything.
    All,
    /// These.
    Only(BTreeSet<ConnectionId>),
}

impl Visible {
    /// These connections.
    pub fn only<T: Into<ConnectionId>>(connections: impl IntoIterator<Item = T>) -> Self {
        Self::Only(connections.into_iter().map(Into::into).collect())
    }
}

/// What somebody may see and do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    actor: Arc<str>,
    visible: Visible,
    may_act: bool,
    may_reveal: bool,
    may_route: bool,
}

impl Grant {
    /// Looks only. The actor is the person's name as the log keeps it, such as an e-mail address or a user id; without one
    /// nothing is allowed.
    pub fn view(actor: impl Into<Arc<str>>, visible: Visible) -> Self {
        Self { actor: actor.into(), visible, may_act: false, may_reveal: false, may_route: false }
    }

    /// Looks, and changes what is seen: sends again, acknowledges, discards, resumes, reads the past.
    pub fn act(actor: impl Into<Arc<str>>, visible: Visible) -> Self {
        Self { may_act: true, ..Self::view(actor, visible) }
    }

    /// May also see what entries hold: records, amounts and names, as they were received and sent. Each look is an entry
    /// of the log.
    #[must_use]
    pub fn with_payloads(mut self) -> Self {
        self.may_reveal = true;
        self
    }

    /// May also replace the routes, if all connections are visible and changes are allowed.
    #[must_use]
    pub fn with_routes(mut self) -> Self {
        self.may_route = true;
        self
    }

    pub(crate) fn actor(&self) -> &Arc<str> {
        &self.actor
    }

    pub(crate) fn may_act(&self) -> bool {
        self.may_act
    }

    pub(crate) fn may_reveal(&self) -> bool {
        self.may_reveal
    }

    pub(crate) fn may_route(&self) -> bool {
        self.may_act && self.may_route && self.sees_all()
    }

    pub(crate) fn sees_all(&self) -> bool {
        self.visible == Visible::All
    }

    pub(crate) fn sees(&self, connection: &ConnectionId) -> bool {
        match &self.visible {
            Visible::All => true,
            Visible::Only(connections) => connections.contains(connection),
        }
    }

    /// The query, with the visible connections as a part of it.
    pub(crate) fn narrow(&self, query: Query) -> Query {
        match &self.visible {
            Visible::All => query,
            Visible::Only(connections) => query.within(connections.iter().cloned()),
        }
    }
}
