//! Whether everything that a connection needs is there, for people who set one up.

use ml_connector_core::{CheckResult, CheckStep, Context, ErrorKind, Result, Source};

use crate::{
    ZohoBooks,
    client::Filter,
    models::{KINDS, by_kind, feed_of},
};

/// What to do about a list that may not be read.
const NOT_ALLOWED: &str = "connect again with the scope that the answer names, or connect a person whose role may see it; or leave \
                           it out of `resources`";
const MISSING: &str =
    "webhooks are set up at the next start, and then every six hours; the log says what keeps them from it";

impl ZohoBooks {
    /// Reads the organization, a page of every list that is read, and the webhooks that are managed.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let found = self.find_organization(ctx).await;
        let organization = match &found {
            Ok(own) => {
                CheckStep::passed("organization").with_found(format!("{} ({})", own.name, own.plan_name))
            }
            Err(error) => CheckStep::of("organization", Err::<(), _>(error)),
        };
        if organization.result == CheckResult::Failed {
            return vec![organization];
        }
        let mut steps = vec![organization, self.source.check()];
        if let Some((set, own)) = self.client.wrong_home() {
            let found = format!("it is {own}, and base_currency says {set}");
            steps.push(
                CheckStep::warning("base currency", "correct base_currency, or leave it out")
                    .with_found(found),
            );
        }
        for feed in &self.info().feeds {
            steps.push(match self.may_list(ctx, feed.name).await {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    CheckStep::of(feed.name, Err::<(), _>(&error)).with_remedy(NOT_ALLOWED)
                }
                read => CheckStep::of(feed.name, read.as_ref()),
            });
        }
        steps.push(self.check_webhooks(ctx).await);
        steps
    }

    /// Reads a page of a feed, and keeps nothing of it.
    async fn may_list(&self, ctx: &Context, feed: &str) -> Result<()> {
        let Some(kind) = KINDS.into_iter().find(|kind| feed_of(kind) == Some(feed)) else { return Ok(()) };
        let newest = Filter::Since(Some(ctx.now()));
        by_kind!(kind, T => self.client.list::<T>(ctx, newest, 1).await.map(drop), Ok(()))
    }

    /// Whether Zoho has every webhook that is managed. Those that somebody has set up by hand nobody can see.
    async fn check_webhooks(&self, ctx: &Context) -> CheckStep {
        const STEP: &str = "webhooks";
        let Some(managed) = &self.managed else {
            return CheckStep::new(STEP, CheckResult::Skipped)
                .with_found("they are not set up by this connection");
        };
        match self.client.webhooks(ctx).await {
            Ok(hooks) => match managed.missing(&hooks).as_slice() {
                [] => CheckStep::passed(STEP),
                missing => CheckStep::warning(STEP, MISSING)
                    .with_found(format!("Zoho calls nobody about {}", missing.join(", "))),
            },
            Err(error) => CheckStep::of(STEP, Err::<(), _>(&error)),
        }
    }
}
