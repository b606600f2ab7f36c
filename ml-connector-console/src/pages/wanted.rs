//! What somebody wants to change: read from parameters, looked up, and counted before it is done.

use std::collections::BTreeMap;

use ml_connector_core::{
    Timestamp,
    audit::{Entry, EntryState, Outcome, Query},
    engine::{Act, Replay, Way},
    model::{ConnectionId, Seq},
};

use super::{cause::Cause, named::state_named};
use crate::{
    answer::Refusal,
    asked::Asked,
    security::{Bound, digest},
};

/// The most entries of one act. What is more is confirmed by itself, so that a page can show what it is about.
pub(crate) const MOST: usize = 500;
/// Among how many entries those of a cause are looked for: the newest.
const LOOKED_AT: usize = 2000;
/// The parameters that say what is wanted: they go from the page of trouble to the confirmation, and from there to the act.
pub(crate) const FIELDS: [&str; 7] = ["do", "connection", "state", "like", "seq", "feed", "since"];

/// What is wanted.
#[derive(Debug)]
pub(crate) enum Wanted {
    Entries { how: How, selection: Box<Query>, cause: Option<Cause> },
    Resume { connection: ConnectionId },
    Backfill { connection: ConnectionId, feed: String, since: Option<Timestamp> },
    ConfirmSweep { connection: ConnectionId, feed: String },
}

/// What is done to entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Replay,
    Reroute,
    Acknowledge,
    Discard,
    Cancel,
}

/// What is wanted, and what it is about now.
#[derive(Debug)]
pub(crate) struct Plan {
    pub wanted: Wanted,
    /// The entries that it changes.
    pub entries: Vec<Entry>,
    /// How many of them can be changed so.
    pub count: usize,
    /// Where the routes of today would send them, and how many to each place: of [`How::Reroute`].
    pub ways: Vec<(Way, usize)>,
    /// Whether there are more than are taken at once.
    pub is_cut: bool,
}

impl Wanted {
    pub(crate) async fn of(asked: &Asked) -> Result<Self, Refusal> {
        let params = &asked.params;
        let connection = ConnectionId::from(params.required("connection")?);
        if !asked.scoped.grant().sees(&connection) {
            return Err(Refusal::NotFound);
        }
        let feed = || params.required("feed").map(str::to_owned);
        let how = match params.required("do")? {
            "replay" => How::Replay,
            "reroute" => How::Reroute,
            "acknowledge" => How::Acknowledge,
            "discard" => How::Discard,
            "cancel" => How::Cancel,
            "resume" => return Ok(Self::Resume { connection }),
            "backfill" => {
                return Ok(Self::Backfill { connection, feed: feed()?, since: since(params.get("since"))? });
            }
            "confirm_sweep" => return Ok(Self::ConfirmSweep { connection, feed: feed()? }),
            _ => return Err(Refusal::bad("there is no such act")),
        };
        let one = params.seq("seq")?;
        let (selection, cause) = match one.or(params.seq("like")?) {
            None => return Err(Refusal::bad("it is not said which entries are meant")),
            Some(seq) => {
                let entry = asked.scoped.entry(seq).await?;
                if entry.connection != connection {
                    return Err(Refusal::NotFound);
                }
                let cause = Cause::of(&entry);
                match one {
                    Some(seq) => (exactly(vec![seq]), None),
                    None => {
                        let group = cause.selection(group_state(params.required("state")?)?);
                        (group.newest_first().with_limit(LOOKED_AT), Some(cause))
                    }
                }
            }
        };
        let selection = Box::new(selection.with_connection(connection));
        Ok(Self::Entries { how, selection, cause })
    }

    /// Looks up what it is about.
    pub(crate) async fn plan(self, asked: &Asked) -> Result<Plan, Refusal> {
        let Self::Entries { how, selection, cause } = &self else {
            return Ok(Plan { wanted: self, entries: Vec::new(), count: 1, ways: Vec::new(), is_cut: false });
        };
        let mut entries = asked.scoped.search(Query::clone(selection)).await?;
        let looked_at = entries.len();
        entries.retain(|entry| cause.as_ref().is_none_or(|cause| cause.is_of(entry)));
        let is_cut = entries.len() > MOST || looked_at == LOOKED_AT;
        entries.truncate(MOST);
        let (count, ways) = match how {
            How::Replay | How::Reroute if entries.is_empty() => (0, Vec::new()),
            How::Replay | How::Reroute => {
                let would = asked.scoped.dry_replay(replay("dry run", *how, seqs(&entries))).await?;
                (would.selected, would.would_go)
            }
            how => (entries.iter().filter(|entry| how.fits(entry)).count(), Vec::new()),
        };
        Ok(Plan { wanted: self, entries, count, ways, is_cut })
    }
}

/// A day in UTC, or an instant.
fn since(text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let instant = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&instant).map(Some).map_err(|_| Refusal::bad("since is not a day such as 2026-03-01"))
}

/// What groups are of.
fn group_state(word: &str) -> Result<EntryState, Refusal> {
    let state = state_named(word)?;
    match state {
        EntryState::Dead | EntryState::Parked => Ok(state),
        _ => Err(Refusal::bad("a group is of entries that were given up, or need repair")),
    }
}

fn seqs(entries: &[Entry]) -> Vec<Seq> {
    entries.iter().map(|entry| entry.seq).collect()
}

/// These entries and no others.
fn exactly(seqs: Vec<Seq>) -> Query {
    let mut query = Query::entries(seqs);
    query.bodies = false;
    query
}

fn replay(nonce: &str, how: How, seqs: Vec<Seq>) -> Replay {
    let replay = Replay::new(nonce, exactly(seqs));
    if how == How::Reroute { replay.reroute() } else { replay }
}

impl How {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Reroute => "reroute",
            Self::Acknowledge => "acknowledge",
            Self::Discard => "discard",
            Self::Cancel => "cancel",
        }
    }

    fn fits(self, entry: &Entry) -> bool {
        let is_dead_or_parked = matches!(entry.state, EntryState::Dead | EntryState::Parked);
        match self {
            Self::Replay | Self::Reroute => true,
            Self::Acknowledge => is_dead_or_parked && !entry.acknowledged,
            Self::Discard => entry.state == EntryState::Dead,
            Self::Cancel => matches!(entry.state, EntryState::Pending | EntryState::Parked),
        }
    }
}

impl Plan {
    /// What the act is called, in tokens and addresses.
    pub(crate) fn act_word(&self) -> &'static str {
        match &self.wanted {
            Wanted::Entries { how, .. } => how.word(),
            Wanted::Resume { .. } => "resume",
            Wanted::Backfill { .. } => "backfill",
            Wanted::ConfirmSweep { .. } => "confirm_sweep",
        }
    }

    /// What a confirmation of it is bound to.
    pub(crate) fn bound<'a>(&'a self, asked: &'a Asked) -> Bound<'a> {
        let mut words: Vec<&str> =
            FIELDS.iter().map(|name| asked.params.get(name).unwrap_or_default()).collect();
        // Other routes are another act, even if it is about the same entries.
        for (way, _) in &self.ways {
            words.extend([&*way.route, way.sink.as_str(), way.destination.as_str()]);
        }
        Bound {
            actor: asked.scoped.grant().actor(),
            act: self.act_word(),
            selection: digest(&seqs(&self.entries), &words),
            count: self.count,
            mode: if matches!(self.wanted, Wanted::Entries { how: How::Reroute, .. }) {
                "reroute"
            } else {
                "same"
            },
        }
    }

    /// What is done. The nonce names the request: sent twice, it is done once.
    pub(crate) fn act(&self, nonce: &str, why: &str) -> Act {
        match &self.wanted {
            Wanted::Entries { how, .. } => {
                let seqs = seqs(&self.entries);
                match how {
                    How::Replay | How::Reroute => Act::Replay { replay: replay(nonce, *how, seqs) },
                    How::Acknowledge => Act::Acknowledge { selection: exactly(seqs), why: why.into() },
                    How::Discard => Act::Discard { selection: exactly(seqs), why: why.into() },
                    How::Cancel => Act::Cancel { selection: exactly(seqs), why: why.into() },
                }
            }
            Wanted::Resume { connection } => Act::Resume { connection: connection.clone() },
            Wanted::Backfill { connection, feed, since } => {
                Act::Backfill { connection: connection.clone(), feed: feed.clone(), since: *since }
            }
            Wanted::ConfirmSweep { connection, feed } => {
                Act::ConfirmSweep { connection: connection.clone(), feed: feed.clone() }
            }
        }
    }

    /// Where the entries go, and how many to each place.
    pub(crate) fn destinations(&self, asked: &Asked) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        if matches!(self.wanted, Wanted::Entries { how: How::Reroute, .. }) {
            for (Way { route, sink, destination, .. }, count) in &self.ways {
                let to = match asked.scoped.grant().sees(sink) {
                    true => format!("{sink} · {} by the route {route}", destination.as_str()),
                    false => "connections that you do not see".to_owned(),
                };
                *found.entry(to).or_default() += count;
            }
            return found;
        }
        for entry in &self.entries {
            let to = entry.index.destination.as_deref().map_or_else(
                || format!("{} (read again)", entry.connection),
                |to| format!("{} · {to}", entry.connection),
            );
            *found.entry(to).or_default() += 1;
        }
        found
    }

    /// How many may have arrived although nobody knows: to send them again may double them.
    pub(crate) fn uncertain(&self) -> usize {
        let may_have_arrived = |entry: &&Entry| {
            entry
                .outcomes
                .iter()
                .any(|recorded| matches!(recorded.outcome, Outcome::Retry { uncertain: true, .. }))
                || matches!(entry.state, EntryState::Done)
                || began_last(entry)
        };
        self.entries.iter().filter(may_have_arrived).count()
    }
}

/// Whether its last attempt began and has no result.
fn began_last(entry: &Entry) -> bool {
    entry.outcomes.last().is_some_and(|recorded| matches!(recorded.outcome, Outcome::Begun { .. }))
}
