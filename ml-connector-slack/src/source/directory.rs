//! Who people are, and to which groups they belong.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ml_connector_core::{Context, Remembered, Result, Retry, Scope, approval};

use crate::{client::Client, error::is_code};

/// How long what Slack says of a person or a group is believed.
const KEEP: Duration = Duration::from_secs(300);
/// More than so many are forgotten at once: a workspace may have very many people.
const MANY: usize = 10_000;

/// A workspace's people and user groups, read when they are needed and remembered for five minutes. For the
/// [policy](approval::Policy) of approvals: groups are named by their ids, `S07FINANCE`. Needs the scope
/// `usergroups:read`, and a paid plan.
#[derive(Debug, Clone)]
pub struct Directory {
    client: Client,
    /// Whose people's addresses are vouched for.
    team: Option<Arc<str>>,
    people: Arc<Remembered<Person>>,
    groups: Arc<Remembered<Vec<Arc<str>>>>,
}

/// What is known of a person. `Debug` shows nothing of it.
#[derive(Clone, Default)]
pub(crate) struct Person {
    /// All there are, the full one first.
    pub(crate) names: Vec<String>,
    /// Only of the connection's own people: for those of guests another workspace vouches.
    pub(crate) email: Option<String>,
    pub(crate) is_bot: bool,
    pub(crate) is_deactivated: bool,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person")
    }
}

impl Directory {
    pub(crate) fn new(client: Client, team: Option<&str>) -> Self {
        Self {
            client,
            team: team.map(Arc::from),
            people: Arc::new(Remembered::new(KEEP, MANY)),
            groups: Arc::new(Remembered::new(KEEP, MANY)),
        }
    }

    /// Who somebody is, as far as the app may know and somebody vouches for it.
    ///
    /// # Errors
    /// One that passes, or dead credentials. Where Slack says that it will never tell, nothing is known.
    pub(crate) async fn person(&self, ctx: &Context, user: &str) -> Result<Person> {
        let read = async {
            match self.client.users_info(ctx, user).await {
                Ok(found) => {
                    let names = found.names().map(ToOwned::to_owned).collect();
                    let is_own = self.team.as_ref().is_some_and(|team| found.is_of(team));
                    let email = found.profile.email.filter(|_| is_own);
                    Ok(Person { names, email, is_bot: found.is_bot, is_deactivated: found.deleted })
                }
                // A scope that only this call lacks stops nothing else.
                Err(error)
                    if is_code(&error, "missing_scope")
                        || error.retry() == Retry::Never && error.scope() != &Scope::Connection =>
                {
                    tracing::info!(%error, "a person cannot be read: only the id is known");
                    Ok(Person::default())
                }
                Err(error) => Err(error),
            }
        };
        self.people.get(ctx, user, read).await
    }
}

#[async_trait]
impl approval::Directory for Directory {
    async fn members(&self, ctx: &Context, group: &str) -> Result<Vec<Arc<str>>> {
        let read = async {
            let members = self.client.usergroups_users_list(ctx, group).await?;
            Ok(members.into_iter().map(Arc::from).collect())
        };
        self.groups.get(ctx, group, read).await
    }
}
