//! `users.*` and `usergroups.*`.

use ml_connector_core::{Context, Result};
use serde::Deserialize;

use super::Client;
use crate::models::{User, texts};

#[derive(Deserialize)]
struct OnePerson {
    user: User,
}

impl Client {
    /// Finds a person by email address, in lower case: Slack does not say whether case matters.
    ///
    /// # Errors
    /// Slack's refusals; `users_not_found` when nobody has this address. Whether deactivated people are found is not
    /// documented: look at [`User::deleted`].
    pub async fn users_lookup_by_email(&self, ctx: &Context, email: &str) -> Result<User> {
        let email = email.to_lowercase();
        let fields = [("email", &*email)];
        let answer: OnePerson =
            self.read(ctx, "slack.users_lookup_by_email", "users.lookupByEmail", &fields).await?;
        Ok(answer.user)
    }

    /// Reads a person. The email address is there only with the scope `users:read.email`.
    ///
    /// # Errors
    /// Slack's refusals.
    pub async fn users_info(&self, ctx: &Context, user: &str) -> Result<User> {
        let answer: OnePerson = self.read(ctx, "slack.users_info", "users.info", &[("user", user)]).await?;
        Ok(answer.user)
    }

    /// Lists the members of a user group (`S…`), by user id.
    ///
    /// # Errors
    /// Slack's refusals; `plan_upgrade_required` in a workspace whose plan has no user groups.
    pub async fn usergroups_users_list(&self, ctx: &Context, usergroup: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(default, deserialize_with = "texts")]
            users: Vec<String>,
        }
        let fields = [("usergroup", usergroup)];
        let members: Members =
            self.read(ctx, "slack.usergroups_users_list", "usergroups.users.list", &fields).await?;
        Ok(members.users)
    }
}
