//! What the app has subscribed to in the company, compared with what it should have.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, SourceInfo, Timestamp, UpkeepRequest,
    model::{Signal, Upkeep},
    webhook::{Changes, LookedAfter, Subscriptions, look_after},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Webhook;
use crate::client::{ExactClient, is_refusal, subscriptions::Subscription};

/// How often it is looked whether the subscriptions are there: Exact Online removes those whose user or consent is gone.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);
/// When to look again at what somebody has to repair: each refusal is a counted error.
const LOOK_AT_PROBLEM: Duration = Duration::from_secs(3 * 3600);
/// When to look again after a look that broke off.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
const NOTHING_TO_DO: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where the subscriptions are.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    origin: String,
    division: u32,
    callback: String,
}

impl Webhook {
    /// Makes one subscription for each topic exist, and none where the connection was before.
    ///
    /// # Errors
    /// Exact Online's, if nothing was changed and somebody need not do something.
    pub(crate) async fn look_after(
        &self,
        ctx: &Context,
        client: &ExactClient,
        info: &SourceInfo,
        request: UpkeepRequest<'_>,
    ) -> Result<Upkeep> {
        let before: Place =
            request.state.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or_default();
        let kept = request.state.cloned().unwrap_or_default();
        let Some(callback) = request.callback.map(|url| url.trim_end_matches('/')) else {
            return Ok(Upkeep::new(ctx.now() + NOTHING_TO_DO).state(kept));
        };
        let problem = |problem: String, state: Bytes| {
            tracing::warn!(connection = %info.connection, problem, "webhooks do not come");
            let upkeep = Upkeep::new(ctx.now() + LOOK_AT_PROBLEM).state(state);
            Ok(upkeep.problem(Some(problem.into())))
        };
        if let Some(why) = self.is_elsewhere(callback) {
            return problem(why, kept);
        }
        let place = Place {
            origin: self.base.origin().ascii_serialization(),
            division: self.division,
            callback: callback.to_owned(),
        };
        let left = self.leave(ctx, client, &before, &place).await?;
        let topics = Topics { client, wanted: &self.topics, callback };
        let LookedAfter { repaired, problem: refused, complete, subscriptions, .. } =
            match look_after(&topics, ctx).await {
                Err(error) if is_refusal(&error) => return problem(refusal(&error), kept),
                looked => looked?,
            };
        let state = serde_json::to_vec(&place).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the state of webhooks cannot be written").with_source(source)
        })?;
        let refused = refused.map(|refused| {
            format!(
                "{refused}: the app needs the scope Organization administration (manage), and Exact Online has to reach {} by \
                 https, without a bot protection in between",
                host_of(callback)
            )
        });
        let problems: Vec<String> = [left, refused].into_iter().flatten().collect();
        let next = match (complete, problems.is_empty()) {
            (false, _) => LOOK_AGAIN,
            (true, false) => LOOK_AT_PROBLEM,
            (true, true) => LOOK_EVERY,
        };
        // What happened while a subscription was missing was told by nobody.
        let feeds = info.feeds.iter().filter(|_| repaired).map(|feed| Signal::feed(feed.name, None));
        Ok(Upkeep::new(ctx.now() + next)
            .state(state)
            .signals(feeds.collect())
            .subscriptions(subscriptions)
            .problem((!problems.is_empty()).then(|| problems.join("; ").into())))
    }

    /// Ends the subscriptions that call the connection's URL.
    ///
    /// # Errors
    /// Exact Online's.
    pub(crate) async fn remove(
        &self,
        ctx: &Context,
        client: &ExactClient,
        request: UpkeepRequest<'_>,
    ) -> Result<()> {
        let Some(callback) = request.callback.map(|url| url.trim_end_matches('/')) else { return Ok(()) };
        for own in client.subscriptions(ctx).await?.iter().filter(|one| one.url == callback) {
            client.unsubscribe(ctx, &own.id).await?;
        }
        Ok(())
    }

    /// Why Exact Online will not call this URL.
    fn is_elsewhere(&self, callback: &str) -> Option<String> {
        let own = host_of(callback);
        let redirect =
            self.redirect_host.as_deref().filter(|redirect| !redirect.eq_ignore_ascii_case(&own))?;
        Some(format!(
            "Exact Online calls only the host that the app's redirect URI has: {redirect}, and webhooks are to come to {own}"
        ))
    }

    /// Ends the subscriptions of the company that was read before. Returns what could not be done.
    async fn leave(
        &self,
        ctx: &Context,
        client: &ExactClient,
        before: &Place,
        now: &Place,
    ) -> Result<Option<String>> {
        if before.origin.is_empty() || (&before.origin, before.division) == (&now.origin, now.division) {
            return Ok(None);
        }
        if before.origin != now.origin {
            return Ok(Some(format!(
                "webhooks of company {} are still subscribed at {}: connect it there once more, or remove the app's consent",
                before.division, before.origin
            )));
        }
        let there = client.at_division(before.division);
        let ended = async {
            for old in there.subscriptions(ctx).await?.iter().filter(|old| old.url == before.callback) {
                there.unsubscribe(ctx, &old.id).await?;
            }
            Ok::<_, Error>(())
        };
        match ended.await {
            Ok(()) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                tracing::warn!(%error, "the old company's webhooks cannot be ended");
                Ok(Some(format!("webhooks of company {} are still subscribed", before.division)))
            }
            Err(error) => Err(error),
        }
    }
}

fn refusal(error: &Error) -> String {
    let scope = error.context("scope").unwrap_or("organization.administration");
    format!(
        "webhooks not registered: the app lacks the scope Organization administration with the right to manage ({scope}): tick \
         it in the App Center, then connect again"
    )
}

fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The topics of one company.
struct Topics<'a> {
    client: &'a ExactClient,
    wanted: &'a [&'static str],
    callback: &'a str,
}

#[async_trait]
impl Subscriptions for Topics<'_> {
    type Wanted = &'static str;
    type Existing = Vec<Subscription>;

    fn wanted(&self) -> &[&'static str] {
        self.wanted
    }

    fn name<'a>(&self, wanted: &'a &'static str) -> &'a str {
        wanted
    }

    async fn list(&self, ctx: &Context) -> Result<Vec<Subscription>> {
        self.client.subscriptions(ctx).await
    }

    fn serves(&self, existing: &Vec<Subscription>, wanted: &&'static str) -> bool {
        existing.iter().any(|one| one.topic == **wanted && one.url == self.callback)
    }

    async fn ensure(
        &self,
        ctx: &Context,
        existing: &Vec<Subscription>,
        wanted: &&'static str,
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>> {
        let own = existing.iter().find(|one| one.topic == **wanted && one.url == self.callback);
        // There is one for an app, a company and a topic: another is in the way.
        for stray in existing.iter().filter(|one| one.topic == **wanted && Some(*one) != own) {
            changes.note(self.client.unsubscribe(ctx, &stray.id).await)?;
        }
        if own.is_none() {
            match changes.note(self.client.subscribe(ctx, wanted, self.callback).await) {
                // Somebody else has just made it: the next list tells.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                made => made?,
            }
        }
        Ok(None)
    }
}
