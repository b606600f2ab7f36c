//! A story as lines of text.

use std::{collections::BTreeSet, fmt};

use super::story::{Step, StepKind, Story};
use crate::model::Seq;

impl Story {
    /// The entries on the way to the asked one, and those that follow from it.
    fn path(&self) -> BTreeSet<Seq> {
        let parent =
            |seq: Seq| self.entries.iter().find(|entry| entry.seq == seq).and_then(|entry| entry.parent);
        let mut path: BTreeSet<Seq> = std::iter::successors(Some(self.asked), |seq| parent(*seq)).collect();
        let mut below = BTreeSet::from([self.asked]);
        for entry in &self.entries {
            // A replay stands beside what it replays.
            let follows = entry.parent.is_some_and(|parent| below.contains(&parent));
            let replays =
                self.entries.iter().any(|of| path.contains(&of.seq) && of.replayed_by() == Some(entry.seq));
            if follows || replays {
                below.insert(entry.seq);
                path.insert(entry.seq);
            }
        }
        path
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        let mut last = None;
        for step in self.steps.iter().filter(|step| path.contains(&step.seq)) {
            let indent = "  ".repeat(step.depth);
            if last == Some(step.seq) {
                writeln!(f, "{indent}    {} {}", step.from, StepLine(self, step))?;
            } else {
                writeln!(
                    f,
                    "{indent}#{} {} {} [{}]",
                    step.seq,
                    step.from,
                    StepLine(self, step),
                    step.connection
                )?;
            }
            last = Some(step.seq);
        }
        match self.entries.len().saturating_sub(path.len()) + self.left_out {
            0 => Ok(()),
            1 => writeln!(f, "and 1 other entry of the same family"),
            others => writeln!(f, "and {others} other entries of the same family"),
        }
    }
}

/// One step in words.
struct StepLine<'a>(&'a Story, &'a Step);

impl fmt::Display for StepLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(story, step) = self;
        let entry = story.entries.iter().find(|entry| entry.seq == step.seq);
        let index = entry.map(|entry| &entry.index);
        let entity =
            index.and_then(|index| index.entity.as_ref()).map(ToString::to_string).unwrap_or_default();
        let name = index.and_then(|index| index.name.as_deref()).unwrap_or_default();
        let kind = match entry.map(|entry| entry.kind) {
            Some(crate::audit::EntryKind::Note) => "note",
            _ => "signal",
        };
        match &step.what {
            StepKind::Received { method, target, bytes, sha256 } => {
                write!(f, "{kind} {name} {entity} {method} {target} with {bytes} bytes, sha256 {sha256}")?;
            }
            StepKind::Asked => write!(f, "{kind} {name} {entity} from the connector itself")?,
            StepKind::LostRow { row } => write!(f, "{kind} {name}: {row}")?,
            StepKind::Repeated { count } => {
                let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
                write!(f, "came again {times} and was not stored")?;
                if let Some(last) = step.to {
                    write!(f, ", at {last} the last time")?;
                }
            }
            StepKind::Called { call } => {
                write!(f, "call {} took {} ms", call.operation, millis(step))?;
                for wait in &call.waits {
                    write!(f, ", waited for {} until {}", wait.key, wait.until)?;
                }
            }
            StepKind::Waited { key } => write!(f, "waited {} ms for {key}", millis(step))?,
            StepKind::Answered { signals } => {
                write!(f, "the same read answered {} more", signals.len())?;
                signals.iter().take(5).try_for_each(|seq| write!(f, " #{seq}"))?;
                if signals.len() > 5 {
                    write!(f, " …")?;
                }
            }
            StepKind::Event { name, changed, left_out } => {
                write!(f, "event {name} {entity}")?;
                let fields: Vec<&str> = changed.iter().map(|change| change.field.as_str()).collect();
                if !fields.is_empty() {
                    write!(f, ", differs in {}", fields.join(", "))?;
                }
                let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
                if !left_out.is_empty() {
                    write!(f, ", left out {}", left_out.join(", "))?;
                }
            }
            StepKind::Routed { matched, others } => {
                let names: Vec<String> = matched.iter().map(|name| format!("\"{name}\"")).collect();
                match &names[..] {
                    [] => write!(f, "no route matched")?,
                    [one] => write!(f, "route {one} matched")?,
                    many => write!(f, "routes {} matched", many.join(", "))?,
                }
                match others.len() {
                    0 => {}
                    // One alone has room to say why.
                    1 => write!(f, "; route \"{}\": {}", others[0].0, others[0].1)?,
                    count => write!(f, "; {count} other routes did not match")?,
                }
            }
            StepKind::FannedOut { route, destination, schedule } => {
                write!(f, "delivery by route \"{route}\" to {destination}")?;
                schedule.iter().try_for_each(|schedule| write!(f, ", {schedule}"))?;
            }
            StepKind::Act { name } => write!(f, "act {name}")?,
            StepKind::Begun { attempt } => write!(f, "attempt {attempt} begins")?,
            StepKind::Retry { due, uncertain } => {
                let doubt = if *uncertain { "it is unknown whether it happened; " } else { "" };
                write!(f, "{doubt}again at {due}")?;
            }
            StepKind::Parked => f.write_str("parked")?,
            StepKind::Done { receipt: None, .. } => f.write_str("done")?,
            StepKind::Done { receipt: Some(receipt), url } => {
                write!(f, "done: {receipt}")?;
                url.iter().try_for_each(|url| write!(f, ", see {url}"))?;
            }
            StepKind::Dead => f.write_str("dead")?,
            StepKind::Dropped => f.write_str("dropped")?,
            StepKind::Acknowledged { by } => write!(f, "acknowledged by {by}")?,
            StepKind::Cancelled { by } => write!(f, "cancelled by {by}")?,
            StepKind::Discarded { by } => write!(f, "discarded by {by}")?,
            StepKind::Replayed => f.write_str("replayed")?,
        }
        match step.link {
            Some(link) if step.what == StepKind::Replayed => write!(f, " as #{link}")?,
            Some(link) => write!(f, " with #{link}")?,
            None => {}
        }
        step.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

fn millis(step: &Step) -> u128 {
    step.to.map_or(0, |to| to.saturating_since(step.from).as_millis())
}
