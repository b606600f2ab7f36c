//! Who people are, and to which groups they belong.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ml_connector_core::{Context, Result, Retry, Scope, Timestamp, approval};

use crate::client::Client;

/// How long what Slack says of a person or a group is believed.
const KEEP: Duration = Duration::from_secs(300);
/// More people than this are forgotten at once: a workspace may have very many.
const MANY: usize = 10_000;

/// A workspace's people and user groups, read when they are needed and remembered for five minutes. For the
/// [policy](approval::Policy) of approvals: groups are named by their ids, `S07FINANCE`. Needs the scope
/// `usergroups:read`, and a paid plan.
#[derive(Debug, Clone)]
pub struct Directory {
    client: Client,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    people: HashMap<String, (Timestamp, Person)>,
    groups: HashMap<String, (Timestamp, Vec<Arc<str>>)>,
}

/// What is known of a person.
#[derive(Clone, Default)]
pub(crate) struct Person {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person")
    }
}

impl Directory {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    /// Who somebody is, as far as the app may know.
    ///
    /// # Errors
    /// One that passes, or dead credentials. Where Slack says that it will never tell, nothing is known.
    pub(crate) async fn person(&self, ctx: &Context, user: &str) -> Result<Person> {
        if let Some(person) = fresh(&self.lock().people, user, ctx.now()) {
            return Ok(person);
        }
        let person = match self.client.users_info(ctx, user).await {
            Ok(found) => {
                Person { name: found.name().map(ToOwned::to_owned), email: found.profile.email.clone() }
            }
            Err(error) if error.retry() == Retry::Never && error.scope() != &Scope::Connection => {
                tracing::info!(%error, "a person cannot be read: only the id is known");
                Person::default()
            }
            // A scope that only this call lacks stops nothing else.
            Err(error) if crate::error::is_code(&error, "missing_scope") => Person::default(),
            Err(error) => return Err(error),
        };
        let mut known = self.lock();
        if known.people.len() >= MANY {
            known.people.clear();
        }
        known.people.insert(user.to_owned(), (ctx.now(), person.clone()));
        Ok(person)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh<T: Clone>(known: &HashMap<String, (Timestamp, T)>, key: &str, now: Timestamp) -> Option<T> {
    let (read_at, value) = known.get(key)?;
    (now.saturating_since(*read_at) < KEEP).then(|| value.clone())
}

#[async_trait]
impl approval::Directory for Directory {
    async fn members(&self, ctx: &Context, group: &str) -> Result<Vec<Arc<str>>> {
        if let Some(members) = fresh(&self.lock().groups, group, ctx.now()) {
            return Ok(members);
        }
        let members = self.client.usergroups_users_list(ctx, group).await?;
        let members: Vec<Arc<str>> = members.into_iter().map(Arc::from).collect();
        self.lock().groups.insert(group.to_owned(), (ctx.now(), members.clone()));
        Ok(members)
    }
}
