//! Whether everything that a connector needs is there: for people who set one up, before anything happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Serialize;

use crate::{
    CheckResult, CheckStep, Connector, Error, ErrorKind, Result,
    audit::{DocKey, DocumentWrite, Expected, Transaction},
    engine::{
        feeds, guard,
        hooks::Whose,
        notices::standings,
        registry::{Registry, SourceSlot},
        upkeep, writes,
    },
    model::{ConnectionId, Destination},
    route::RouteSet,
    token::{TokenKey, health as token},
};

/// Clocks that are this far apart make signatures invalid and stamps wrong.
const SKEW: Duration = Duration::from_secs(300);
/// So many limits without room are named.
const LIMITS_NAMED: usize = 5;
/// What to do about a connection that gets no webhooks because the host has said no URL.
const NO_URL: &str =
    "set `public_url`, so that the vendor can call: until then changes are noticed by polling only";

/// What [`Connector::check`] found: `Display` shows a line for each step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Each connection: its token, what its source and its sink say, its webhooks, its feeds, the vendor's clock.
    pub connections: BTreeMap<ConnectionId, Vec<CheckStep>>,
    /// Each route.
    pub routes: BTreeMap<Arc<str>, Vec<CheckStep>>,
    /// The log: whether it takes writes, and what it says of itself.
    pub log: Vec<CheckStep>,
    /// The token store, in the same way.
    pub tokens: Vec<CheckStep>,
    /// The host: its clock, and limits that have no room.
    pub host: Vec<CheckStep>,
}

impl Check {
    /// Whether no step failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.steps().all(|(_, _, step)| step.result != CheckResult::Failed)
    }

    /// Every step, with what it is about.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, &str, &CheckStep)> {
        let own = [("log", &self.log), ("tokens", &self.tokens), ("host", &self.host)];
        let own = own.into_iter().flat_map(|(of, steps)| steps.iter().map(move |step| (of, "", step)));
        let connections = self
            .connections
            .iter()
            .flat_map(|(id, steps)| steps.iter().map(move |step| ("connection", id.as_str(), step)));
        let routes = self.routes.iter();
        let routes = routes.flat_map(|(name, steps)| steps.iter().map(move |step| ("route", &**name, step)));
        own.chain(connections).chain(routes)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps().try_for_each(|(of, name, step)| {
            let space = if name.is_empty() { "" } else { " " };
            writeln!(f, "{of}{space}{name}: {step}")
        })
    }
}

impl Connector {
    /// Checks everything that the connector needs, and says what to do about what fails. It works before and during
    /// `run`.
    /// It makes a few calls of each vendor, which spend from the same limits as all others, and writes nothing but one
    /// empty document and one empty token of its own.
    ///
    /// ```no_run
    /// # async fn look(connector: ml_connector_core::Connector) {
    /// let check = connector.check().await;
    /// print!("{check}");
    /// assert!(check.is_good());
    /// # }
    /// ```
    pub async fn check(&self) -> Check {
        let registry = self.shared.registry();
        let ids: Vec<ConnectionId> = registry.connections().into_iter().collect();
        let each = ids.iter().map(|id| self.check_connection(&registry, id));
        let (steps, routes, log, tokens) = tokio::join!(
            join_all(each),
            self.check_routes(&registry),
            self.check_log(),
            self.check_tokens(&registry)
        );
        // What was just asked may have said that a limit is spent.
        let limits = self.check_limits().await;
        Check {
            connections: ids.iter().cloned().zip(steps).collect(),
            routes,
            log,
            tokens,
            host: vec![self.check_clock(), limits],
        }
    }

    async fn check_connection(&self, registry: &Registry, id: &ConnectionId) -> Vec<CheckStep> {
        let mut steps = Vec::new();
        let is_dead = match self.check_token(registry, id).await {
            Some(step) => {
                steps.push(step);
                steps.last().is_some_and(|step| step.result == CheckResult::Failed)
            }
            None => false,
        };
        let call = self.shared.settings.call;
        let late = || CheckStep::failed("reach", "check the network and the vendor's status page");
        if is_dead {
            steps.push(
                CheckStep::new("reach", CheckResult::Skipped).with_found("the token has to work first"),
            );
        } else {
            let ctx = self.shared.context.within(call);
            if let Some(slot) = registry.source(id) {
                let ctx = ctx.clone().with_vendor_clock(&slot.vendor_clock);
                let looked = guard::call(call, "", async { Ok(slot.source.check(&ctx).await) }).await;
                steps.extend(looked.unwrap_or_else(|error| vec![late().with_found(error.to_string())]));
            }
            if let Some(slot) = registry.sink(id) {
                let looked = guard::call(call, "", async { Ok(slot.sink.check(&ctx).await) }).await;
                steps.extend(looked.unwrap_or_else(|error| vec![late().with_found(error.to_string())]));
            }
        }
        if let Some(slot) = registry.source(id) {
            steps.push(self.check_webhooks(slot).await);
            for feed in feeds::unavailable_feeds(&self.shared, slot).await.unwrap_or_default() {
                let remedy = "grant the right or choose the plan that allows it, or leave the feed out";
                let step = CheckStep::warning(format!("feed {}", feed.feed), remedy);
                steps.push(step.with_found(&*feed.reason));
            }
            for feed in feeds::feed_remarks(&self.shared, slot).await.unwrap_or_default() {
                steps.push(CheckStep::passed(format!("feed {}", feed.feed)).with_found(&*feed.remark));
            }
            steps.push(vendor_clock(slot));
        }
        let parked = standings(&self.shared, std::slice::from_ref(id)).await.ok();
        if let Some(parked) = parked.as_ref().and_then(|standings| standings.first()?.parked()) {
            let remedy = "repair what is named, then call `resume`";
            steps.push(
                CheckStep::failed("works", remedy)
                    .with_found(format!("{} since {}", parked.reason, parked.since)),
            );
        }
        steps
    }

    /// The token that is stored, without using it. Nothing for a connection that has none.
    async fn check_token(&self, registry: &Registry, id: &ConnectionId) -> Option<CheckStep> {
        let known = token(&self.shared.context, &registry.token_key(id)).await;
        let failed = |found: String| {
            let remedy = self.shared.reconnect(id).unwrap_or_else(|| "connect the account again".into());
            CheckStep::failed("token", remedy).with_found(found)
        };
        let status = match registry.tokens_of(id) {
            Some(tokens) => match tokens.status(&self.shared.context).await {
                Ok(status) => status,
                Err(error) => return Some(CheckStep::of("token", Err::<(), _>(&error))),
            },
            None => None,
        };
        if let Some(status) = status.filter(|status| status.reconnect_required) {
            return Some(failed(format!("refused: {}", status.failure.unwrap_or_default())));
        }
        let Some(known) = known else {
            let skipped = CheckStep::new("token", CheckResult::Skipped);
            let has_tokens = registry.tokens_of(id).is_some();
            return has_tokens.then(|| skipped.with_found("none is stored yet: the first call asks for one"));
        };
        match (known.failing, known.expires_at) {
            (Some("refused"), _) => Some(failed(known.message.or(known.code).unwrap_or_default())),
            (Some(failing), _) => {
                let step = CheckStep::warning("token", "see why it is not renewed");
                Some(step.with_found(known.message.unwrap_or_else(|| failing.to_owned())))
            }
            (None, Some(at)) => Some(CheckStep::passed("token").with_found(format!("ends at {at}"))),
            (None, None) => Some(CheckStep::passed("token")),
        }
    }

    async fn check_webhooks(&self, slot: &SourceSlot) -> CheckStep {
        if !slot.source.info().mode.subscribes() {
            return CheckStep::new("webhooks", CheckResult::Skipped).with_found("it is polled only");
        }
        let (connection, endpoint) = (slot.connection().clone(), slot.source.info().endpoint.clone());
        let whose = [Whose::Connection(connection), Whose::Endpoint(endpoint)];
        let seen = match self.shared.seen_hooks(&whose).await {
            Ok(seen) => seen,
            Err(error) => return CheckStep::of("webhooks", Err::<(), _>(&error)),
        };
        let now = self.shared.clock.now();
        if let Some(seen) = seen.iter().find(|seen| seen.are_refused(now)) {
            let remedy = "check the secret, here and at the vendor";
            return CheckStep::failed("webhooks", remedy)
                .with_found(format!("{} were refused", seen.refused));
        }
        match upkeep::known(&self.shared, &[slot]).await.map(|mut known| known.pop()?.problem) {
            Err(error) => CheckStep::of("webhooks", Err::<(), _>(&error)),
            Ok(Some(problem)) => CheckStep::warning("webhooks", "repair what is named").with_found(&*problem),
            Ok(None) if self.shared.public_url.is_none() => CheckStep::warning("webhooks", NO_URL),
            Ok(None) => match seen.first().and_then(|own| own.accepted_at) {
                Some(at) => CheckStep::passed("webhooks").with_found(format!("the last one came at {at}")),
                None => CheckStep::passed("webhooks").with_found("none has come yet"),
            },
        }
    }

    async fn check_log(&self) -> Vec<CheckStep> {
        let key = DocKey::new("probe", &"all".into(), "log");
        let write = DocumentWrite { key: key.clone(), expected: Expected::Any, value: Some(Bytes::new()) };
        let transaction = Transaction { documents: vec![write], ..Transaction::default() };
        let written = async {
            writes::append(&self.shared, transaction).await?;
            let read = self.shared.log.documents(&[key]).await?;
            let is_there = read.first().is_some_and(Option::is_some);
            is_there
                .then_some(())
                .ok_or_else(|| Error::new(ErrorKind::Unexpected, "what was written is not there"))
        };
        let mut steps = vec![CheckStep::of("write", written.await.as_ref())];
        steps.extend(self.shared.log.check().await);
        steps
    }

    async fn check_tokens(&self, registry: &Registry) -> Vec<CheckStep> {
        let tokens = self.shared.context.tokens();
        let key = TokenKey::consents(&"check".into());
        let written = async {
            let before = tokens.load(&key).await?.map(|stored| stored.version);
            tokens.swap(&key, before, Some(Bytes::new())).await.map(drop)
        };
        let written: Result<()> = written.await;
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConfigInvalid)
            && registry.tokens().next().is_none()
        {
            return vec![
                CheckStep::new("write", CheckResult::Skipped).with_found("no connection needs a store"),
            ];
        }
        let mut steps = vec![CheckStep::of("write", written.as_ref())];
        steps.extend(tokens.check().await);
        steps
    }

    /// What has no room waits: nobody has to do anything about a minute, but somebody may about a day.
    async fn check_limits(&self) -> CheckStep {
        let usage = match self.shared.context.limiter().usage(self.shared.clock.now()).await {
            Ok(usage) => usage,
            Err(error) => return CheckStep::of("limits", Err::<(), _>(&error)),
        };
        let full: Vec<String> = usage
            .iter()
            .filter_map(|usage| Some(format!("{} until {}", usage.key, usage.full_until()?)))
            .take(LIMITS_NAMED)
            .collect();
        if full.is_empty() {
            return CheckStep::passed("limits");
        }
        let remedy = "wait, or let the vendor raise the limit: what needs it goes on by itself";
        CheckStep::warning("limits", remedy).with_found(format!("no room in {}", full.join(", ")))
    }

    /// Each route by itself: whether its deliveries can be planned, and whether the places that it names can be reached.
    async fn check_routes(&self, registry: &Registry) -> BTreeMap<Arc<str>, Vec<CheckStep>> {
        let routes = &registry.routes().routes;
        let places: BTreeSet<(&ConnectionId, &Destination)> =
            routes.iter().flat_map(|route| &route.to).map(|to| (&to.sink, &to.destination)).collect();
        let each = places.iter().map(|(sink, place)| self.check_destination(registry, sink, place));
        let steps: BTreeMap<_, _> = places.iter().zip(join_all(each).await).collect();
        let check = |route: &Arc<crate::route::Route>| {
            let alone = RouteSet::from(vec![crate::route::Route::clone(route)]);
            let mut checked = vec![CheckStep::of("target", registry.check_routes(&alone).as_ref())];
            let own: BTreeSet<_> = route.to.iter().map(|to| (&to.sink, &to.destination)).collect();
            checked.extend(own.iter().filter_map(|place| steps.get(place)).flatten().cloned());
            (Arc::clone(&route.name), checked)
        };
        routes.iter().map(check).collect()
    }

    async fn check_destination(
        &self,
        registry: &Registry,
        sink: &ConnectionId,
        place: &Destination,
    ) -> Vec<CheckStep> {
        let Some(slot) = registry.sink(sink) else { return Vec::new() };
        // What its connection lacks is said there.
        if self.check_token(registry, sink).await.is_some_and(|step| step.result == CheckResult::Failed) {
            return Vec::new();
        }
        let (call, remedy) = (self.shared.settings.call, "check the network and the vendor's status page");
        let ctx = self.shared.context.within(call);
        let looked =
            guard::call(call, "", async { Ok(slot.sink.check_destination(&ctx, place).await) }).await;
        looked.unwrap_or_else(|error| vec![CheckStep::failed("reach", remedy).with_found(error.to_string())])
    }

    fn check_clock(&self) -> CheckStep {
        match self.shared.steady_clock.trouble() {
            Some(trouble) => {
                let found = format!("it is {} ms ahead since {}", trouble.ahead_ms, trouble.since);
                CheckStep::failed("clock", "set the host's clock").with_found(found)
            }
            None => CheckStep::passed("clock"),
        }
    }
}

fn vendor_clock(slot: &SourceSlot) -> CheckStep {
    match slot.vendor_clock.ahead_ms() {
        None => CheckStep::new("clock", CheckResult::Skipped).with_found("no answer has told it yet"),
        Some(ahead) if u128::from(ahead.unsigned_abs()) > SKEW.as_millis() => {
            let found = format!("the vendor's is ahead by {ahead} ms");
            CheckStep::failed("clock", "set the host's clock").with_found(found)
        }
        Some(_) => CheckStep::passed("clock"),
    }
}
