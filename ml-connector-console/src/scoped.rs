//! The connector as one person sees it: every question is narrowed to the visible connections, and every act is checked.
//! Pages have no other way to the connector.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt};
use ml_connector_core::{
    Connector, ErrorKind, Timestamp,
    audit::{Entry, EntryKind, Query},
    engine::{
        Act, Acted, ConnectionView, DryRun, FeedProgress, Health, History, Replay, Replayed, StepKind, Story,
    },
    model::{ConnectionId, Seq},
    rate::Usage,
    route::{Route, RouteSet},
};

use crate::{answer::Refusal, authorizer::Grant, security::Key};

type Result<T> = std::result::Result<T, Refusal>;

/// The name of the key that confirmations are signed with.
const KEY: &str = "console";

/// A connector, and what one person may see and do with it.
#[derive(Debug)]
pub(crate) struct Scoped {
    connector: Connector,
    grant: Grant,
}

/// What somebody sees.
impl Scoped {
    pub(crate) fn new(connector: Connector, grant: Grant) -> Self {
        Self { connector, grant }
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.connector.context().now()
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionView> {
        let mut connections = self.connector.connections();
        connections.retain(|view| self.grant.sees(&view.id));
        connections
    }

    pub(crate) async fn search(&self, query: Query) -> Result<Vec<Entry>> {
        Ok(self.connector.search(&self.grant.narrow(query)).await?)
    }

    /// An act, whatever it is about, if this person did it or sees everything. An act about chosen entries is filed under no
    /// connection.
    pub(crate) async fn act_entry(&self, seq: Seq) -> Result<(Entry, Act)> {
        let mut query = Query::entries(vec![seq]);
        query.kind = Some(EntryKind::Act);
        let entry = self.connector.search(&query).await?.pop().ok_or(Refusal::NotFound)?;
        let body = entry.body.as_deref().unwrap_or_default();
        let is_own = || {
            let by = serde_json::from_slice::<serde_json::Value>(body).ok()?;
            Some(by.get("by")?.as_str()? == &**self.grant.actor())
        };
        let is_seen = self.grant.sees(&entry.connection) || is_own() == Some(true);
        let act = serde_json::from_slice::<Act>(body).ok().filter(|_| is_seen);
        act.map(|act| (entry, act)).ok_or(Refusal::NotFound)
    }

    /// One entry, without its body.
    pub(crate) async fn entry(&self, seq: Seq) -> Result<Entry> {
        let mut query = Query::entries(vec![seq]);
        query.bodies = false;
        self.search(query).await?.pop().ok_or(Refusal::NotFound)
    }

    /// The way to an entry and what follows from it, as far as that is visible; the rest is counted as left out.
    pub(crate) async fn story(&self, seq: Seq) -> Result<Story> {
        self.entry(seq).await?;
        let mut story = self.connector.explain(seq).await?;
        let all = story.entries.len();
        story.entries.retain(|entry| self.grant.sees(&entry.connection));
        story.left_out += all - story.entries.len();
        story.steps.retain(|step| self.grant.sees(&step.connection));
        if !self.grant.sees_all() {
            self.hide_routes(&mut story);
        }
        Ok(story)
    }

    /// Routes have names of other connections, and a set of routes belongs to the host: of what they said, only the routes
    /// that this person sees stay, and those that led to what he sees.
    fn hide_routes(&self, story: &mut Story) {
        let mut names: BTreeSet<Arc<str>> =
            self.routes().iter().map(|route| Arc::clone(&route.name)).collect();
        for step in &mut story.steps {
            if let StepKind::Routed { others, .. } = &mut step.what {
                others.retain(|(name, _)| names.contains(name));
            }
        }
        names.extend(story.steps.iter().filter_map(|step| match &step.what {
            StepKind::FannedOut { route, .. } => Some(Arc::clone(route)),
            _ => None,
        }));
        for step in &mut story.steps {
            if let StepKind::Routed { matched, .. } = &mut step.what {
                matched.retain(|name| names.contains(name));
            }
        }
    }

    /// How the visible connections do. What belongs to no connection is seen by those who see all.
    pub(crate) async fn health(&self) -> Result<Health> {
        let mut health = self.connector.health().await?;
        health.connections.retain(|id, _| self.grant.sees(id));
        if !self.grant.sees_all() {
            health.full_limits.clear();
            health.endpoints.clear();
            (health.clock, health.clock_set_back) = (None, None);
        }
        Ok(health)
    }

    /// What is spent of limits: of all connections together, so for those who see all.
    pub(crate) async fn usage(&self) -> Result<Vec<Usage>> {
        if !self.grant.sees_all() {
            return Ok(Vec::new());
        }
        let context = self.connector.context();
        Ok(context.limiter().usage(context.now()).await?)
    }

    pub(crate) async fn history(&self, connection: &ConnectionId) -> Result<History> {
        self.visible(connection)?;
        Ok(self.connector.history(connection).await?)
    }

    pub(crate) async fn progress(&self, connection: &ConnectionId) -> Result<Vec<FeedProgress>> {
        self.visible(connection)?;
        Ok(self.connector.progress(connection).await?)
    }

    /// The routes of which everything is visible.
    pub(crate) fn routes(&self) -> Vec<Arc<Route>> {
        let mut routes = self.connector.routes();
        let sees = |id: &ConnectionId| self.grant.sees(id);
        routes.retain(|route| {
            let is_own = !route.from.is_empty() && route.from.iter().all(sees);
            self.grant.sees_all() || is_own && route.to.iter().all(|target| sees(&target.sink))
        });
        routes
    }

    fn visible(&self, connection: &ConnectionId) -> Result<()> {
        if self.grant.sees(connection) { Ok(()) } else { Err(Refusal::NotFound) }
    }
}

/// What somebody does.
impl Scoped {
    /// The key of confirmations: kept in the log, so that all hosts have it.
    pub(crate) async fn key(&self) -> Result<Key> {
        Ok(Key(self.connector.shared_key(KEY).await?))
    }

    /// The same for a page that can do without a form: `None` while there is no key yet and the log takes no writes.
    pub(crate) async fn key_for_form(&self) -> Result<Option<Key>> {
        match self.key().await {
            Err(refusal) if is_down(&refusal) => Ok(None),
            key => key.map(Some),
        }
    }

    /// How many of these entries can be sent again, and where the routes of today would send them.
    pub(crate) async fn dry_replay(&self, replay: Replay) -> Result<Replayed> {
        let mut replay = replay.dry_run();
        replay.selection = self.grant.narrow(replay.selection);
        Ok(self.connector.replay(&replay).await?)
    }

    /// What other routes would have done with the past.
    pub(crate) async fn dry_run(&self, routes: &RouteSet, most: usize) -> Result<Vec<DryRun>> {
        self.may_route()?;
        let past = Query::default().newest_first().with_limit(most);
        Ok(self.connector.dry_run(routes, &past)?.take(most).try_collect().await?)
    }

    /// Replaces the routes.
    pub(crate) async fn set_routes(&self, routes: RouteSet) -> Result<Acted> {
        self.may_route()?;
        Ok(self.connector.act(Arc::clone(self.grant.actor()), Act::SetRoutes { routes }).await?)
    }

    /// Shows what an entry holds, and writes down who looked.
    pub(crate) async fn reveal(&self, seq: Seq) -> Result<Entry> {
        if !self.grant.may_reveal() {
            return Err(Refusal::Forbidden("You may not see what entries hold."));
        }
        self.entry(seq).await?;
        self.connector.act(Arc::clone(self.grant.actor()), Act::Reveal { entry: seq }).await?;
        self.search(Query::entries(vec![seq])).await?.pop().ok_or(Refusal::NotFound)
    }

    /// Changes entries or a connection.
    pub(crate) async fn act(&self, act: Act) -> Result<Acted> {
        self.may_act()?;
        let narrow = |selection: Query| self.grant.narrow(selection);
        let act = match act {
            Act::Replay { mut replay } => {
                replay.selection = narrow(replay.selection);
                Act::Replay { replay }
            }
            Act::Acknowledge { selection, why } => Act::Acknowledge { selection: narrow(selection), why },
            Act::Cancel { selection, why } => Act::Cancel { selection: narrow(selection), why },
            Act::Discard { selection, why } => Act::Discard { selection: narrow(selection), why },
            Act::Resume { ref connection }
            | Act::Backfill { ref connection, .. }
            | Act::ConfirmSweep { ref connection, .. } => {
                self.visible(connection)?;
                act
            }
            _ => return Err(Refusal::Forbidden("The console does not do this.")),
        };
        Ok(self.connector.act(Arc::clone(self.grant.actor()), act).await?)
    }

    pub(crate) fn may_act(&self) -> Result<()> {
        match self.grant.may_act() {
            true => Ok(()),
            false => Err(Refusal::Forbidden("You may look, but not change anything.")),
        }
    }

    pub(crate) fn may_route(&self) -> Result<()> {
        match self.grant.may_route() {
            true => Ok(()),
            false => Err(Refusal::Forbidden("You may not change the routes.")),
        }
    }
}

/// Whether the log does not answer.
pub(crate) fn is_down(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Core(error) if error.kind() == ErrorKind::Unavailable)
}
