//! Whether everything that posting needs is there, for people who set a connection up.

use std::time::Duration;

use ml_connector_core::{CheckResult, CheckStep, Context, Error, ErrorKind, Result, model::Destination};

use crate::{
    Slack,
    destination::{Goal, Target},
    error::is_code,
    models::AuthTest,
};

/// Slack refuses requests, and we refuse Slack's, when clocks are so far apart.
const SKEW: Duration = Duration::from_secs(300);
/// Without this nothing can be posted.
const POST: &str = "chat:write";
/// With this the bot posts in public channels of which it is no member.
const POST_ANYWHERE: &str = "chat:write.public";
/// What else is of use, and for what.
const OF_USE: [(&str, &str); 5] = [
    ("channels:read", "to find public channels by name"),
    ("groups:read", "to find private channels by name"),
    ("channels:history", "to see whether a post whose answer was lost is there"),
    ("groups:history", "to see that in private channels"),
    ("users:read.email", "to find people by address"),
];
const INVITE: &str = "invite the bot to the channel";

impl Slack {
    /// Asks who the token is, and looks at what the answer tells besides.
    pub(super) async fn check_token(&self, ctx: &Context) -> Vec<CheckStep> {
        let identity = match self.client.auth_test(ctx).await {
            Ok(identity) => identity,
            Err(error) => return vec![CheckStep::of("bot", Err::<(), _>(&error))],
        };
        let team = identity.team_id.as_deref().unwrap_or("a workspace that is not named");
        let mut steps = vec![CheckStep::passed("bot").with_found(format!("of {team}"))];
        if let Some(set) = self.inbound.team.as_deref().filter(|set| set.starts_with('T') && *set != team) {
            steps.push(
                CheckStep::failed("workspace", "correct `team`, or install the app in that workspace")
                    .with_found(format!("the token is of {team}, and `team` is {set}")),
            );
        }
        steps.push(scopes(&identity));
        steps.push(clock(&identity, ctx));
        if let Some(admin) = &self.admin {
            steps.push(self.check_target(ctx, admin).await);
        }
        steps
    }

    /// Looks at a place that routes name.
    pub(super) async fn check_place(&self, ctx: &Context, destination: &Destination) -> Vec<CheckStep> {
        let target = match Goal::parse(destination) {
            Ok(Goal::Post(target) | Goal::Assignee(target)) => target,
            Ok(Goal::Admin) => match &self.admin {
                Some(admin) => admin.clone(),
                // That the route cannot be planned is said already.
                None => return Vec::new(),
            },
            Ok(Goal::Thread(message) | Goal::Message(message)) => Target::Conversation(message.channel),
            Ok(Goal::Clicker) | Err(_) => return Vec::new(),
        };
        vec![self.check_target(ctx, &target).await]
    }

    async fn check_target(&self, ctx: &Context, target: &Target) -> CheckStep {
        match target {
            Target::Conversation(id) => self.check_channel(ctx, id, format!("channel {id}")).await,
            Target::Named(name) => {
                let step = format!("channel #{name}");
                match self.channels.resolve(ctx, &self.client, name).await {
                    Ok(id) => self.check_channel(ctx, &id, step).await,
                    Err(error) => failed(step, &error),
                }
            }
            Target::User(id) => {
                let reachable = self.client.users_info(ctx, id).await.map(|user| user.is_reachable());
                person(format!("user {id}"), reachable)
            }
            Target::Email(address) => {
                let found = self.people.find(ctx, &self.client, address).await;
                person("person by address".to_owned(), found.map(|found| found.is_ok()))
            }
            Target::Assignee { fallback, .. } => Box::pin(self.check_target(ctx, fallback)).await,
        }
    }

    async fn check_channel(&self, ctx: &Context, id: &str, step: String) -> CheckStep {
        if id.starts_with('D') {
            return CheckStep::new(step, CheckResult::Skipped)
                .with_found("direct messages are not looked at");
        }
        let channel = match self.client.conversations_info(ctx, id).await {
            Ok(channel) => channel,
            Err(error) => return failed(step, &error),
        };
        if channel.is_archived {
            let remedy = "unarchive the channel, or route to another one";
            return CheckStep::failed(step, remedy).with_found("it is archived");
        }
        if channel.is_member {
            return CheckStep::passed(step).with_found("the bot is a member");
        }
        if channel.is_private {
            return CheckStep::failed(step, INVITE).with_found("it is private, and the bot is no member");
        }
        let anywhere = self.client.auth_test(ctx).await.map(|identity| has(&identity, POST_ANYWHERE));
        match anywhere {
            Ok(Some(true)) => CheckStep::passed(step).with_found("it is public"),
            Ok(None) => CheckStep::warning(step, INVITE).with_found("the bot is no member"),
            Ok(Some(false)) => {
                CheckStep::failed(step, "invite the bot to the channel, or grant chat:write.public")
                    .with_found("the bot is no member")
            }
            Err(error) => failed(step, &error),
        }
    }
}

/// Whether the token has a scope; `None`: Slack does not tell.
fn has(identity: &AuthTest, scope: &str) -> Option<bool> {
    identity.scopes.as_ref().map(|scopes| scopes.iter().any(|own| own == scope))
}

fn scopes(identity: &AuthTest) -> CheckStep {
    const STEP: &str = "scopes";
    let Some(can_post) = has(identity, POST) else {
        return CheckStep::new(STEP, CheckResult::Skipped).with_found("the answer does not tell them");
    };
    if !can_post {
        let remedy = "grant chat:write to the app and install it again";
        return CheckStep::failed(STEP, remedy).with_found("chat:write is missing");
    }
    let missing = OF_USE.iter().filter(|(scope, _)| has(identity, scope) == Some(false));
    let missing: Vec<String> = missing.map(|(scope, what)| format!("{scope} ({what})")).collect();
    if missing.is_empty() {
        return CheckStep::passed(STEP);
    }
    CheckStep::warning(STEP, "grant what you need to the app and install it again")
        .with_found(format!("not granted: {}", missing.join(", ")))
}

fn clock(identity: &AuthTest, ctx: &Context) -> CheckStep {
    const STEP: &str = "clock";
    let Some(theirs) = identity.date else {
        return CheckStep::new(STEP, CheckResult::Skipped).with_found("the answer does not tell it");
    };
    let now = ctx.now();
    let apart = theirs.saturating_since(now).max(now.saturating_since(theirs));
    if apart > SKEW {
        let found = format!("ours and Slack's are {} seconds apart: signatures look forged", apart.as_secs());
        return CheckStep::failed(STEP, "set the host's clock").with_found(found);
    }
    CheckStep::passed(STEP)
}

fn person(step: String, reachable: Result<bool>) -> CheckStep {
    match reachable {
        Ok(true) => CheckStep::passed(step),
        Ok(false) => CheckStep::failed(step, "name somebody who is in the workspace")
            .with_found("nobody, somebody who was deactivated, or a bot"),
        Err(error) => failed(step, &error),
    }
}

/// A look that failed. One that a scope does not allow says nothing of the place.
fn failed(step: String, error: &Error) -> CheckStep {
    let failed = CheckStep::of(step.clone(), Err::<(), _>(error));
    if is_code(error, "missing_scope") {
        let found =
            format!("it cannot be looked at without {}", error.context("needed").unwrap_or("a scope"));
        return CheckStep::new(step, CheckResult::Skipped).with_found(found);
    }
    match error.kind() {
        ErrorKind::NotFound => {
            failed.with_remedy("check the id or the name; a private channel has to have the bot invited")
        }
        _ => failed,
    }
}
