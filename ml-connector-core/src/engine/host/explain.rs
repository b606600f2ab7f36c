//! The whole story of an entry, for people.

use std::fmt;

use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Entry, EntryKind, Outcome, Query},
    engine::stored::{StoredDelivery, StoredSignal},
    model::{Event, Seq},
};

/// The whole story of an entry: from the bytes received to the receipt. `Display` is one line per fact.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The family of the entry, in the order of the log.
    pub entries: Vec<Entry>,
    verdicts: Vec<(Seq, Vec<String>)>,
}

impl Connector {
    /// Tells the whole story of an entry: what was received, what the read showed, which routes matched and why the
    /// others did not, and what became of every attempt. Routes are judged as they are now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such entry (any more).
    pub async fn explain(&self, seq: Seq) -> Result<Explanation> {
        let entries = self.search(&Query::family_of(seq)).await?;
        if entries.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "the log has no such entry").with_context("seq", seq));
        }
        let registry = self.shared.registry();
        let verdicts = entries.iter().filter(|entry| entry.kind == EntryKind::Event).filter_map(|entry| {
            let event = Event::from_cloudevent(entry.body.as_ref()?).ok()?;
            let lines = registry
                .routes()
                .verdicts(&event)
                .map(|(route, verdict)| format!("route \"{}\": {verdict}", route.name));
            Some((entry.seq, lines.collect()))
        });
        Ok(Explanation { verdicts: verdicts.collect(), entries })
    }
}

impl Explanation {
    fn depth(&self, entry: &Entry) -> usize {
        let parent = entry.parent.and_then(|parent| self.entries.iter().find(|other| other.seq == parent));
        parent.map_or(0, |parent| self.depth(parent) + 1)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            let indent = "  ".repeat(self.depth(entry));
            write!(f, "{indent}#{} {} {}", entry.seq, entry.at, describe(entry))?;
            writeln!(f, " [{}]", entry.connection)?;
            for recorded in &entry.outcomes {
                writeln!(f, "{indent}    {} {}", recorded.at, outcome(&recorded.outcome))?;
            }
            let lines =
                self.verdicts.iter().filter(|(seq, _)| *seq == entry.seq).flat_map(|(_, lines)| lines);
            for line in lines {
                writeln!(f, "{indent}    {line}")?;
            }
        }
        Ok(())
    }
}

fn describe(entry: &Entry) -> String {
    let entity = entry.index.entity.as_ref().map_or_else(String::new, ToString::to_string);
    let name = entry.index.name.as_deref().unwrap_or("");
    match entry.kind {
        EntryKind::Signal | EntryKind::Note => {
            let stored = entry.body.as_ref().and_then(|body| StoredSignal::decode(body).ok());
            let bytes = stored.as_ref().map_or(0, |stored| stored.body.len());
            let received = stored.and_then(|stored| stored.received);
            let how = received.as_ref().map_or_else(
                || "from the connector itself".to_owned(),
                |received| format!("{} {} with {bytes} bytes", received.method, received.target),
            );
            let why = received
                .and_then(|received| received.rejected)
                .map_or_else(String::new, |why| format!(": {why}"));
            let what = if entry.kind == EntryKind::Signal { "signal" } else { "note" };
            format!("{what} {name} {entity} {how}{why}")
        }
        EntryKind::Event => format!("event {name} {entity}"),
        EntryKind::Act => format!("act {name}"),
        EntryKind::Delivery => {
            let stored = entry.body.as_ref().and_then(|body| StoredDelivery::decode(body).ok());
            let way = stored.map_or_else(String::new, |stored| {
                let schedule = stored.schedule.map_or_else(String::new, |schedule| format!(", {schedule}"));
                format!(" to {}{schedule}", stored.destination)
            });
            format!("delivery by route \"{name}\"{way}")
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Begun { attempt, .. } => format!("attempt {attempt} begins"),
        Outcome::Retry { due, error, uncertain, .. } => {
            let doubt = if *uncertain { "it is unknown whether it happened; " } else { "" };
            format!("{error}; {doubt}again at {due}")
        }
        Outcome::Parked { error } => format!("parked: {error}"),
        Outcome::Done { receipt: Some(receipt) } => format!("done: {receipt}"),
        Outcome::Done { receipt: None } => "done".to_owned(),
        Outcome::Dead { error } => format!("dead: {error}"),
        Outcome::Dropped { reason } => format!("dropped: {reason}"),
        Outcome::Acknowledged { by, why } => format!("acknowledged by {by}: {why}"),
        Outcome::Cancelled { by, why } => format!("cancelled by {by}: {why}"),
        Outcome::Discarded { by, why } => format!("discarded by {by}: {why}"),
        Outcome::Replayed { replay } => format!("replayed as #{replay}"),
    }
}
