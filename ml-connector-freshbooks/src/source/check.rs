//! Whether everything that a connection needs is there, for people who set one up.

use ml_connector_core::{CheckResult, CheckStep, Context, Error, ErrorKind, Result, Source};

use crate::{
    FreshBooks,
    client::Filter,
    models::{Bill, Business, Resource, by_kind, feed_of},
};

/// What to do about a list that may not be read. FreshBooks does not say which of the causes it is.
const NOT_ALLOWED: &str = "tick the scope on the app and connect again, choose a plan that has the feature, or connect a person \
                           whose role may see it; or leave it out of `resources`";
const UNPROVEN: &str = "check that the public URL can be reached from the internet by https, and answers a POST within 10 seconds \
                        with 200 and no redirect";

impl FreshBooks {
    /// Reads the login, a page of every list that is read, and the callbacks.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let identity = match self.identity(ctx).await {
            Ok(identity) => identity,
            Err(error) => return vec![CheckStep::of("login", Err::<(), _>(&error))],
        };
        let own = identity
            .businesses
            .iter()
            .find(|own| own.account_id.as_deref() == Some(self.client.account_id()));
        let found = self.account_among(&identity, ctx.now());
        let mut steps = vec![CheckStep::passed("login")];
        steps.push(account(found.as_ref(), own));
        if found.is_err() {
            return steps;
        }
        steps.push(self.source.check());
        for feed in &self.source.info().feeds {
            let has_none =
                own.is_some_and(|own| own.has_bills == Some(false)) && Some(feed.name) == feed_of(Bill::KIND);
            steps.push(match self.may_list(ctx, feed.name).await {
                Ok(()) if has_none => CheckStep::warning(feed.name, NOT_ALLOWED)
                    .with_found("FreshBooks says that this person has no bills"),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    CheckStep::of(feed.name, Err::<(), _>(&error)).with_remedy(NOT_ALLOWED)
                }
                read => CheckStep::of(feed.name, read.as_ref()),
            });
        }
        steps.push(self.check_callbacks(ctx).await);
        steps
    }

    /// Reads a page of a feed, and keeps nothing of it.
    async fn may_list(&self, ctx: &Context, feed: &str) -> Result<()> {
        let kind =
            crate::models::KINDS.into_iter().find(|kind| feed_of(kind) == Some(feed)).unwrap_or_default();
        by_kind!(kind, T => self.client.list::<T>(ctx, Filter::default(), 1).await.map(drop), Ok(()))
    }

    /// Whether each noun has a callback that FreshBooks uses. Where they should lead the engine knows: here those below the
    /// connection's own endpoint are counted.
    async fn check_callbacks(&self, ctx: &Context) -> CheckStep {
        const STEP: &str = "callbacks";
        if !self.info().mode.subscribes() {
            return CheckStep::new(STEP, CheckResult::Skipped).with_found("it is polled only");
        }
        let all = match self.client.callbacks(ctx).await {
            Ok(all) => all,
            Err(error) => return CheckStep::of(STEP, Err::<(), _>(&error)),
        };
        let endpoint = &self.info().endpoint;
        let is_verified = |noun: &str| {
            let path = format!("/{endpoint}/{noun}");
            all.iter().any(|callback| callback.verified && callback.uri.ends_with(&path))
        };
        let missing: Vec<&str> =
            self.webhook.nouns().iter().copied().filter(|noun| !is_verified(noun)).collect();
        if missing.is_empty() {
            return CheckStep::passed(STEP);
        }
        let found = format!("FreshBooks calls nobody about {}", missing.join(", "));
        CheckStep::warning(STEP, UNPROVEN).with_found(found)
    }
}

fn account(found: Result<&(), &Error>, own: Option<&Business>) -> CheckStep {
    const STEP: &str = "account";
    let Some(own) = own.filter(|_| found.is_ok()) else { return CheckStep::of(STEP, found) };
    let status = own.status.as_deref().unwrap_or("of no known status");
    let said = format!("{}: {status}, the person who connected is its {}", own.name, own.role);
    match status {
        "cancelled" | "canceled" | "expired" | "suspended" => {
            CheckStep::warning(STEP, "renew the subscription to FreshBooks").with_found(said)
        }
        _ => CheckStep::passed(STEP).with_found(said),
    }
}
