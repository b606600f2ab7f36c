//! What the app has subscribed to in the company, compared with what it should have.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, SourceInfo, Timestamp, UpkeepRequest,
    model::{Signal, Upkeep},
    webhook::{Changes, LookedAfter, Subscriptions, look_after},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Webhook;
use crate::{
    client::{ExactClient, is_refusal, subscriptions::Subscription},
    error::UNREACHED,
};

/// How often it is looked whether the subscriptions are there: Exact Online removes those whose user or consent is gone.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);
/// When to look again at what somebody has to repair: each refusal is a counted error.
const LOOK_AT_PROBLEM: Duration = Duration::from_secs(3 * 3600);
/// When to look again after a look that broke off.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
const NOTHING_TO_DO: Duration = Duration::from_secs(30 * 24 * 3600);
/// The scope that webhooks need.
const ADMINISTRATION: &str = "organization.administration";
/// So many topics are refused in a look before the rest is not asked for.
const MOST_REFUSALS: usize = 3;

/// Where subscriptions are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    origin: String,
    division: u32,
    callback: String,
}

impl Place {
    fn is_same_company(&self, other: &Self) -> bool {
        (&self.origin, self.division) == (&other.origin, other.division)
    }
}

/// What a look leaves to the next one.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Where the subscriptions are that are looked after.
    here: Option<Place>,
    /// Where some still are, because the connection was there before.
    #[serde(default)]
    left: Vec<Place>,
}

impl Known {
    /// What is known when the connection is at `place`: wherever else it was is to be left.
    fn at(place: &Place, request: &UpkeepRequest<'_>) -> Self {
        let mut known = Self::default();
        for stored in [request.former, request.state].into_iter().flatten() {
            let Self { here, left } = serde_json::from_slice(stored).unwrap_or_default();
            for other in left.into_iter().chain(here.clone()) {
                if !other.is_same_company(place) && !known.left.contains(&other) {
                    known.left.push(other);
                }
            }
            known.here = here.filter(|here| here.is_same_company(place));
        }
        known
    }

    fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the state of webhooks cannot be written").with_source(source)
        })
    }
}

impl Webhook {
    /// Makes one subscription for each topic exist, and none where the connection was before: there they are ended first.
    /// `former` are the calls there, where they are others than the connection's own.
    ///
    /// # Errors
    /// Exact Online's, if nothing was changed and somebody need not do something.
    pub(crate) async fn look_after(
        &self,
        ctx: &Context,
        (client, former): (&ExactClient, Option<&ExactClient>),
        info: &SourceInfo,
        request: UpkeepRequest<'_>,
    ) -> Result<Upkeep> {
        let callback = request.callback.map(|url| url.trim_end_matches('/'));
        let place = Place {
            origin: self.base.origin().ascii_serialization(),
            division: self.division,
            callback: callback.unwrap_or_default().to_owned(),
        };
        let mut known = Known::at(&place, &request);
        let Some(callback) = callback else {
            return Ok(Upkeep::new(ctx.now() + NOTHING_TO_DO).state(known.write()?));
        };
        let problem = |problem: String, known: &Known| {
            tracing::warn!(connection = %info.connection, problem, "webhooks do not come");
            let upkeep = Upkeep::new(ctx.now() + LOOK_AT_PROBLEM).state(known.write()?);
            Ok(upkeep.problem(Some(problem.into())))
        };
        let mut problems = Vec::new();
        for other in std::mem::take(&mut known.left) {
            if let Some(why) = leave(ctx, (client, former), &other).await? {
                problems.push(why);
                known.left.push(other);
            }
        }
        if let Some(why) = self.is_elsewhere(callback) {
            return problem(why, &known);
        }
        let topics = Topics { client, wanted: &self.topics, callback, refusals: Mutex::default() };
        let LookedAfter { repaired, problem: refused, complete, subscriptions, .. } =
            match look_after(&topics, ctx).await {
                Err(error) if is_refusal(&error) => {
                    return problem(format!("webhooks not registered: {}", remedy(&error, callback)), &known);
                }
                looked => looked?,
            };
        known.here = Some(place);
        problems.extend(refused.map(|refused| match topics.remedies() {
            remedies if remedies.is_empty() => refused,
            remedies => format!("{refused}: {remedies}"),
        }));
        let next = match (complete, problems.is_empty()) {
            (false, _) => LOOK_AGAIN,
            (true, false) => LOOK_AT_PROBLEM,
            (true, true) => LOOK_EVERY,
        };
        // What happened while a subscription was missing was told by nobody.
        let feeds = info.feeds.iter().filter(|_| repaired).map(|feed| Signal::feed(feed.name, None));
        Ok(Upkeep::new(ctx.now() + next)
            .state(known.write()?)
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
}

/// Ends the subscriptions where the connection was before. Returns what keeps it from that.
async fn leave(
    ctx: &Context,
    (client, former): (&ExactClient, Option<&ExactClient>),
    place: &Place,
) -> Result<Option<String>> {
    let serves = |client: &&ExactClient| client.site().base.origin().ascii_serialization() == place.origin;
    let former = former.filter(serves);
    let Some(there) = former.or(Some(client).filter(serves)) else {
        return Ok(Some(format!(
            "webhooks of company {} are still subscribed at {}: set formerly to the settings with which it was connected there",
            place.division, place.origin
        )));
    };
    let there = there.at_division(place.division);
    let ended = async {
        for old in there.subscriptions(ctx).await?.iter().filter(|old| old.url == place.callback) {
            there.unsubscribe(ctx, &old.id).await?;
        }
        Ok::<_, Error>(())
    };
    match ended.await {
        Ok(()) => Ok(None),
        // Without a consent Exact Online ends them by itself.
        Err(error) if former.is_some() && error.kind() == ErrorKind::Unauthenticated => {
            tracing::warn!(%error, "the old company's webhooks end with the user's consent");
            Ok(None)
        }
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            tracing::warn!(%error, "the old company's webhooks cannot be ended");
            Ok(Some(format!(
                "webhooks of company {} are still subscribed: the user who is connected may not end them; set formerly to the \
                 settings with which it was connected",
                place.division
            )))
        }
        Err(error) => Err(error),
    }
}

/// What somebody does about a refusal.
fn remedy(error: &Error, callback: &str) -> String {
    let host = host_of(callback);
    match (error.kind(), error.context("scope")) {
        (ErrorKind::PermissionDenied, None | Some(ADMINISTRATION)) => format!(
            "the app lacks the scope Organization administration with the right to manage ({ADMINISTRATION}): tick it in the \
             App Center, then connect again"
        ),
        (ErrorKind::PermissionDenied, Some(scope)) => {
            format!("the app lacks the scope {scope}: tick it in the App Center, then connect again")
        }
        _ if error.context(UNREACHED).is_some() => format!(
            "Exact Online calls the URL once with an empty request and was not answered with 200: it has to reach {host} from \
             the internet by https, without a bot protection in between"
        ),
        _ => format!(
            "Exact Online does not take the URL: its host, {host}, has to be the one that the app's redirect URI has in the App \
             Center, by https"
        ),
    }
}

fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The topics of one company.
struct Topics<'a> {
    client: &'a ExactClient,
    wanted: &'a [&'static str],
    callback: &'a str,
    /// What Exact Online has refused to subscribe.
    refusals: Mutex<Vec<Refused>>,
}

/// A refusal, and what somebody does about it.
struct Refused {
    kind: ErrorKind,
    remedy: String,
    /// Whether it concerns the app or the host, and so every topic.
    of_all: bool,
}

impl Topics<'_> {
    /// Why the next topic would be refused, too: then it is not asked for, because six refusals are too many in an hour.
    fn is_futile(&self) -> Option<Error> {
        let refusals = self.refusals();
        let last = refusals.last().filter(|last| last.of_all || refusals.len() >= MOST_REFUSALS)?;
        Some(
            Error::new(last.kind, "Exact Online has refused to subscribe other topics")
                .with_retry(Retry::Never),
        )
    }

    fn note(&self, error: &Error) {
        let of_app = matches!(error.context("scope"), None | Some(ADMINISTRATION));
        let of_all =
            error.context(UNREACHED).is_some() || error.kind() == ErrorKind::PermissionDenied && of_app;
        let remedy = remedy(error, self.callback);
        self.refusals().push(Refused { kind: error.kind(), remedy, of_all });
    }

    /// What somebody does about all of them.
    fn remedies(&self) -> String {
        let mut remedies: Vec<String> = Vec::new();
        for Refused { remedy, .. } in &*self.refusals() {
            if !remedies.contains(remedy) {
                remedies.push(remedy.clone());
            }
        }
        remedies.join("; ")
    }

    fn refusals(&self) -> MutexGuard<'_, Vec<Refused>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            if let Some(error) = self.is_futile() {
                return Err(error);
            }
            match changes.note(self.client.subscribe(ctx, wanted, self.callback).await) {
                // Somebody else has just made it: the next list tells.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) if error.retry() == Retry::Never => {
                    self.note(&error);
                    return Err(error);
                }
                made => made?,
            }
        }
        Ok(None)
    }
}
