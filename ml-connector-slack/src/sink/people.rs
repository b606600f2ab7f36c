//! From email addresses to user ids.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ml_connector_core::{Context, Error, ErrorKind, Result, Scope, Timestamp};

use crate::{client::Client, error::is_code};

/// How long a person stays known by an address, which another may be given.
const KEEP: Duration = Duration::from_secs(3600);
/// How long an address that nobody has stays nobody's, so that a wrong route does not ask per event.
const KEEP_UNKNOWN: Duration = Duration::from_secs(300);
/// More people than routes name. Beyond it all are asked for again.
const KNOWN_MAX: usize = 10_000;

/// The people that were asked for by address. `Debug` shows how many.
#[derive(Default)]
pub(crate) struct People(Mutex<HashMap<String, Known>>);

#[derive(Clone)]
struct Known {
    at: Timestamp,
    found: Result<Member, Missing>,
}

/// Somebody in the workspace.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) is_guest: bool,
}

/// Why there is nobody.
#[derive(Clone, Copy)]
pub(crate) enum Missing {
    Nobody,
    /// Deactivated, or a bot.
    Gone,
}

impl Missing {
    fn error(self) -> Error {
        let message = match self {
            Self::Nobody => "nobody in the workspace has this address: check it, or use the user's id",
            Self::Gone => "this address belongs to somebody who was deactivated, or to a bot",
        };
        Error::new(ErrorKind::NotFound, message).with_operation("slack.resolve_email").with_scope(Scope::Lane)
    }
}

impl People {
    /// Finds the id of a person.
    ///
    /// # Errors
    /// In the scope of the lane and for good when nobody reachable has the address.
    pub(crate) async fn resolve(&self, ctx: &Context, client: &Client, email: &str) -> Result<String> {
        self.find(ctx, client, email).await?.map(|member| member.id).map_err(Missing::error)
    }

    /// Finds a person, or why there is nobody.
    ///
    /// # Errors
    /// Slack's, where it does not say.
    pub(crate) async fn find(
        &self,
        ctx: &Context,
        client: &Client,
        email: &str,
    ) -> Result<Result<Member, Missing>> {
        if let Some(found) = self.known(email, ctx.now()) {
            return Ok(found);
        }
        let found = match client.users_lookup_by_email(ctx, email).await {
            Ok(user) if user.is_reachable() => Ok(Member { is_guest: user.is_guest(), id: user.id }),
            Ok(_) => Err(Missing::Gone),
            Err(error) if is_code(&error, "users_not_found") => Err(Missing::Nobody),
            Err(error) => return Err(error),
        };
        self.learn(email, Known { at: ctx.now(), found: found.clone() });
        Ok(found)
    }

    /// Forgets somebody, because messages to them are refused.
    pub(crate) fn forget(&self, email: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(email);
    }

    fn known(&self, email: &str, now: Timestamp) -> Option<Result<Member, Missing>> {
        let people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        people.get(email).filter(|known| known.is_fresh(now)).map(|known| known.found.clone())
    }

    fn learn(&self, email: &str, known: Known) {
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if people.len() >= KNOWN_MAX {
            people.retain(|_, old| old.is_fresh(known.at));
        }
        if people.len() >= KNOWN_MAX {
            people.clear();
        }
        people.insert(email.to_owned(), known);
    }
}

impl Known {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.saturating_since(self.at) < if self.found.is_ok() { KEEP } else { KEEP_UNKNOWN }
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("People").field("known", &known).finish()
    }
}
