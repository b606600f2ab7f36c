//! What other routes would have done with the past.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;

use crate::{
    Connector, Result,
    audit::{Entry, EntryKind, Index, Query},
    model::{ConnectionId, Destination, Event, Seq},
    route::{RouteMatch, RouteSet},
};

/// How many events are read at once, and deliveries of one record.
const PAGE: usize = 50;
/// How many of the latest deliveries are read at once, for events of which the newest come first.
const LATEST: usize = 1000;

/// What a set of routes would have done with an event, and what was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DryRun {
    /// The event's entry.
    pub seq: Seq,
    /// The event; serialized as the CloudEvent that the log holds. `None` = it cannot be read, such as after a downgrade, so
    /// that nobody knows where the routes would send it. A log line at level `error` names it.
    #[serde(serialize_with = "as_cloudevent")]
    pub event: Option<Event>,
    /// Where the routes would send it, in order.
    pub would_go: Vec<Way>,
    /// Where it went, or is to go; with what was sent again.
    pub went: Vec<Way>,
    /// Deliveries of it that do not say where they went: they are left out of `went`. A log line names each.
    pub unreadable: usize,
    /// What each of the routes says about it, in order.
    pub verdicts: Vec<(Arc<str>, RouteMatch)>,
}

/// A way that a delivery takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Way {
    /// The route.
    pub route: Arc<str>,
    /// The sink.
    pub sink: ConnectionId,
    /// Where in it.
    pub destination: Destination,
}

#[allow(clippy::ref_option)] // serde asks for a reference
fn as_cloudevent<S: Serializer>(event: &Option<Event>, to: S) -> std::result::Result<S::Ok, S::Error> {
    let Some(event) = event else { return to.serialize_none() };
    let bytes = event.to_cloudevent().map_err(ser::Error::custom)?;
    serde_json::from_slice::<&RawValue>(&bytes).map_err(ser::Error::custom)?.serialize(to)
}

impl Way {
    /// The way of a delivery to a sink, as its entry says.
    pub(super) fn of(index: &Index, sink: &ConnectionId) -> Option<Self> {
        let destination = index.destination.as_deref()?.into();
        Some(Self { route: index.name.clone().unwrap_or_default(), sink: sink.clone(), destination })
    }
}

impl DryRun {
    /// Whether all of it could be read: otherwise nobody can say whether it differs.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.event.is_some() && self.unreadable == 0
    }

    /// Whether the event would go where it did not, or not where it did, whatever the routes are called. `false` where that
    /// is not [known](Self::is_known).
    #[must_use]
    pub fn differs(&self) -> bool {
        let places = |ways: &[Way]| -> std::collections::BTreeSet<_> {
            ways.iter().map(|way| (way.sink.clone(), way.destination.as_str().to_owned())).collect()
        };
        self.is_known() && places(&self.would_go) != places(&self.went)
    }
}

impl Connector {
    /// Shows what other routes, with those of approvals, would have done with past events: those of `selection`, whose limit is the most that
    /// are looked at. Sends nothing and writes nothing; reads a few events at a time, as the stream is read. What cannot be read
    /// holds up nothing else: see [`DryRun::is_known`].
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) when the routes are not right, or name connections that do
    /// not exist. The stream ends with [`Unavailable`](crate::ErrorKind::Unavailable) when the log cannot be read.
    pub fn dry_run(
        &self,
        routes: &RouteSet,
        selection: &Query,
    ) -> Result<BoxStream<'static, Result<DryRun>>> {
        let routes = self.shared.registry().complete(routes.clone())?;
        let left = selection.effective_limit();
        let query = Query { kind: Some(EntryKind::Event), bodies: true, ..selection.clone() };
        let state = DryRunReader {
            connector: self.clone(),
            routes,
            query,
            left,
            read: VecDeque::new(),
            latest: None,
        };
        Ok(try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|next| (next, state))) })
            .boxed())
    }
}

/// How far a dry run has read.
struct DryRunReader {
    connector: Connector,
    routes: RouteSet,
    query: Query,
    left: usize,
    read: VecDeque<Entry>,
    latest: Option<Latest>,
}

/// The latest deliveries, by the event that each is of: those of the latest events are found without a look for each.
struct Latest {
    /// All deliveries from here on are among them, so all of the events from here on.
    from: Seq,
    of: BTreeMap<Seq, Vec<Entry>>,
}

impl DryRunReader {
    async fn next(&mut self) -> Result<Option<DryRun>> {
        if self.read.is_empty() && self.left > 0 {
            self.query.limit = PAGE.min(self.left);
            self.read = self.connector.search(&self.query).await?.into();
            self.left = if self.read.len() < self.query.limit { 0 } else { self.left - self.read.len() };
            self.query.after = self.read.back().map(|last| last.seq);
        }
        let Some(entry) = self.read.pop_front() else { return Ok(None) };
        let event = read(&entry);
        let (mut would_go, mut verdicts) = (Vec::new(), Vec::new());
        for (route, verdict) in event.iter().flat_map(|event| self.routes.verdicts(event)) {
            verdicts.push((Arc::clone(&route.name), verdict));
            would_go.extend(route.to.iter().filter(|_| verdict.is_match()).map(|target| Way {
                route: Arc::clone(&route.name),
                sink: target.sink.clone(),
                destination: target.destination.clone(),
            }));
        }
        let (went, unreadable) = self.went(&entry).await?;
        Ok(Some(DryRun { seq: entry.seq, event, would_go, went, unreadable, verdicts }))
    }

    /// Where an event went: the deliveries below it, and how many of them do not say it.
    async fn went(&mut self, event: &Entry) -> Result<(Vec<Way>, usize)> {
        if self.query.newest_first {
            let latest = match self.latest.take() {
                Some(latest) => latest,
                None => Latest::read(&self.connector).await?,
            };
            let latest = self.latest.insert(latest);
            if event.seq >= latest.from {
                return Ok(ways(latest.of.get(&event.seq).into_iter().flatten()));
            }
        }
        self.went_by_record(event).await
    }

    /// The deliveries below an event, found by its record.
    async fn went_by_record(&self, event: &Entry) -> Result<(Vec<Way>, usize)> {
        let mut query = Query { entity: event.index.entity.clone(), ..Query::of_kind(EntryKind::Delivery) };
        (query.limit, query.after) = (PAGE, Some(event.seq));
        let mut found = Vec::new();
        loop {
            let page = self.connector.search(&query).await?;
            let (read, last) = (page.len(), page.last().map(|last| last.seq));
            found.extend(page.into_iter().filter(|entry| entry.parent == Some(event.seq)));
            match last {
                Some(last) if read == PAGE => query.after = Some(last),
                _ => return Ok(ways(found.iter())),
            }
        }
    }
}

impl Latest {
    async fn read(connector: &Connector) -> Result<Self> {
        let query = Query::of_kind(EntryKind::Delivery).newest_first().with_limit(LATEST);
        let found = connector.search(&query).await?;
        let from = found.last().filter(|_| found.len() == LATEST).map_or(Seq(0), |oldest| oldest.seq);
        let mut of: BTreeMap<Seq, Vec<Entry>> = BTreeMap::new();
        for delivery in found.into_iter().rev() {
            if let Some(event) = delivery.parent {
                of.entry(event).or_default().push(delivery);
            }
        }
        Ok(Self { from, of })
    }
}

/// The event of an entry, if it can be read.
fn read(entry: &Entry) -> Option<Event> {
    let event = Event::from_cloudevent(entry.body.as_deref().unwrap_or_default());
    let log = |error| {
        let (connection, seq) = (&entry.connection, entry.seq.0);
        tracing::error!(%error, %connection, seq, "an event cannot be read: other routes are not tried on it");
    };
    event.map_err(log).ok()
}

/// The ways of deliveries, each once, and how many do not say theirs.
fn ways<'a>(deliveries: impl Iterator<Item = &'a Entry>) -> (Vec<Way>, usize) {
    let (mut ways, mut unreadable) = (Vec::new(), 0);
    for entry in deliveries {
        match Way::of(&entry.index, &entry.connection) {
            Some(way) if ways.contains(&way) => {}
            Some(way) => ways.push(way),
            None => {
                let (connection, seq) = (&entry.connection, entry.seq.0);
                tracing::error!(%connection, seq, "a delivery does not say where it went: it is left out");
                unreadable += 1;
            }
        }
    }
    (ways, unreadable)
}
