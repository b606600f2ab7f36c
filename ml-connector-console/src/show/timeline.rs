//! A story from left to right, with idle time folded; and how long it took, of which how much was waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use maud::{Markup, html};
use ml_connector_core::{
    Timestamp,
    audit::{Entry, EntryKind, EntryState},
    engine::{Step, StepKind, Story},
    model::Seq,
};

use super::step::step;
use crate::{asked::Asked, text::safe, time::span};

/// Idle time from this length on may be folded.
const FOLDED_FROM_MS: i64 = 20_000;
/// Folded, when it is so many times as long as everything that is not.
const TIMES: i64 = 4;
const WIDTH: i64 = 1000;
const GUTTER: i64 = 190;
const FOLD: i64 = 64;
const ROW: i64 = 46;
/// Room above the rows, for what is folded.
const TOP: i64 = 30;
/// How far apart two marks of a row are.
const APART: i64 = 18;
/// The most rows and steps that are drawn; the list below has all.
const MOST_ROWS: usize = 12;
const MOST_STEPS: usize = 300;

/// The part of a story that belongs together: the way to an event, and everything that follows from it.
pub(crate) struct Timeline<'a> {
    story: &'a Story,
    near: BTreeSet<Seq>,
}

impl<'a> Timeline<'a> {
    /// Of the asked entry; of a delivery, the event's whole.
    pub(crate) fn of(story: &'a Story) -> Self {
        let parents: BTreeMap<Seq, Option<Seq>> =
            story.entries.iter().map(|entry| (entry.seq, entry.parent)).collect();
        let asked = story.entries.iter().find(|entry| entry.seq == story.asked);
        let above = asked.filter(|entry| entry.kind == EntryKind::Delivery).and_then(|entry| entry.parent);
        let root = above.filter(|parent| parents.contains_key(parent)).unwrap_or(story.asked);
        let parent = |seq: &Seq| parents.get(seq).copied().flatten().filter(|seq| parents.contains_key(seq));
        let mut near: BTreeSet<Seq> = std::iter::successors(Some(root), parent).take(64).collect();
        let mut below = BTreeSet::from([root]);
        for entry in &story.entries {
            if entry.parent.is_some_and(|parent| below.contains(&parent)) {
                below.insert(entry.seq);
                near.insert(entry.seq);
            }
        }
        Self { story, near }
    }

    /// Its steps, in the order of time; those of one entry stay in their order.
    pub(crate) fn steps(&self) -> Vec<&'a Step> {
        let mut steps: Vec<&Step> =
            self.story.steps.iter().filter(|step| self.near.contains(&step.seq)).collect();
        steps.sort_by_key(|step| step.from);
        steps
    }

    pub(crate) fn entry(&self, seq: Seq) -> Option<&'a Entry> {
        self.story.entries.iter().find(|entry| entry.seq == seq)
    }

    /// How many entries of the family are not in it.
    pub(crate) fn others(&self) -> usize {
        self.story.left_out + self.story.entries.len().saturating_sub(self.near.len())
    }

    /// How long it took, and how much of that was waiting for limits: "4.2 s, of which 3.1 s slack/T07". `None` while
    /// something of it goes on.
    pub(crate) fn total(&self) -> Option<String> {
        let goes_on = |entry: &Entry| self.near.contains(&entry.seq) && entry.state == EntryState::Pending;
        if self.story.entries.iter().any(goes_on) {
            return None;
        }
        let steps = self.steps();
        let ends = steps.iter().filter(|step| {
            matches!(step.what, StepKind::Done { .. } | StepKind::Dead | StepKind::Dropped | StepKind::Parked)
        });
        let (first, last) = (steps.first()?.from, ends.map(|step| step.from).max()?);
        let mut waits: BTreeMap<&str, Duration> = BTreeMap::new();
        for step in &steps {
            match &step.what {
                StepKind::Waited { key } => {
                    *waits.entry(key).or_default() +=
                        step.to.map_or(Duration::ZERO, |to| to.saturating_since(step.from));
                }
                StepKind::Called { call } => call.waits.iter().for_each(|wait| {
                    *waits.entry(&wait.key).or_default() += wait.until.saturating_since(wait.since);
                }),
                _ => {}
            }
        }
        let total = span(last.saturating_since(first));
        let longest = waits.into_iter().max_by_key(|(_, waited)| *waited);
        Some(match longest.filter(|(_, waited)| waited.as_millis() >= 10) {
            Some((key, waited)) => {
                format!("{total}, of which {} waiting for the limit {}", span(waited), safe(key, 60))
            }
            None => total,
        })
    }
}

/// Where instants are, from left to right.
struct Scale {
    points: Vec<(Timestamp, i64)>,
    /// Where idle time is folded, and how much.
    folds: Vec<(i64, Duration)>,
}

impl Scale {
    fn new(mut instants: Vec<Timestamp>) -> Self {
        instants.sort_unstable();
        instants.dedup();
        let gaps: Vec<i64> =
            instants.windows(2).map(|pair| pair[1].as_millis().saturating_sub(pair[0].as_millis())).collect();
        let active: i64 = gaps.iter().filter(|gap| **gap < FOLDED_FROM_MS).sum();
        let is_folded = |gap: i64| gap >= FOLDED_FROM_MS && gap > active.max(1).saturating_mul(TIMES);
        let folded = i64::try_from(gaps.iter().filter(|gap| is_folded(**gap)).count()).unwrap_or(0);
        let open: i64 = gaps.iter().filter(|gap| !is_folded(**gap)).sum::<i64>().max(1);
        // Every gap that is not folded has a little room of its own, and the rest of the room goes by length.
        let few = i64::try_from(gaps.len()).unwrap_or(i64::MAX).max(1);
        let room = (WIDTH - GUTTER - 90 - folded * FOLD).max(200);
        let least = (room / (few * 2)).min(12);
        let by_length = (room - least * (few - folded)).max(0);
        let (mut x, mut points, mut folds) = (GUTTER + 20, Vec::new(), Vec::new());
        for (i, at) in instants.iter().enumerate() {
            points.push((*at, x));
            let Some(gap) = gaps.get(i).copied() else { break };
            if is_folded(gap) {
                folds.push((x + FOLD / 2, Duration::from_millis(gap.unsigned_abs())));
                x += FOLD;
            } else {
                let part = i128::from(gap) * i128::from(by_length) / i128::from(open);
                x += least + i64::try_from(part).unwrap_or(0);
            }
        }
        Self { points, folds }
    }

    fn x(&self, at: Timestamp) -> i64 {
        let i = self.points.partition_point(|(instant, _)| *instant < at);
        self.points.get(i).or(self.points.last()).map_or(GUTTER, |(_, x)| *x)
    }
}

/// The picture.
pub(crate) fn timeline(asked: &Asked, of: &Timeline<'_>) -> Markup {
    let mut steps = of.steps();
    steps.truncate(MOST_STEPS);
    let instants = steps.iter().flat_map(|step| [Some(step.from), step.to]).flatten();
    // A step that is going on until far away is no part of the picture.
    let scale = Scale::new(instants.filter(|at| *at <= asked.now).collect());
    let mut rows: Vec<(String, Vec<&Step>)> = vec![("received and read".to_owned(), Vec::new())];
    let mut row_of: BTreeMap<Seq, usize> = BTreeMap::new();
    for each in &steps {
        let row = *row_of.entry(each.seq).or_insert_with(|| {
            let entry = of.entry(each.seq).filter(|entry| entry.kind == EntryKind::Delivery);
            let Some(entry) = entry.filter(|_| rows.len() < MOST_ROWS) else { return 0 };
            let to = entry.index.destination.as_deref().unwrap_or(entry.connection.as_str());
            rows.push((safe(to, 22), Vec::new()));
            rows.len() - 1
        });
        rows[row].1.push(each);
    }
    let top = if scale.folds.is_empty() { 8 } else { TOP };
    let height = top + ROW * i64::try_from(rows.len()).unwrap_or(1) + 8;
    let told = of.total().map_or_else(|| "not ended yet".to_owned(), |total| format!("took {total}"));
    html! {
        svg.timeline viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label={ "Timeline, " (told) ". The same is a list below." } {
            @for (x, length) in &scale.folds {
                g.fold {
                    title { (span(*length)) " in which nothing happened" }
                    rect x=(x - FOLD / 2 + 6) y="6" width=(FOLD - 12) height=(height - 12) rx="4" {}
                    text x=(x) y="21" { "⟂ " (span(*length)) }
                }
            }
            @for (i, (label, row)) in (0_i64..).zip(&rows) {
                (lane(asked, &scale, label, row, top + i * ROW + ROW / 2))
            }
        }
    }
}

/// One row: a line from the first to the last, with what took time as bars and the rest as marks.
fn lane(asked: &Asked, scale: &Scale, label: &str, steps: &[&Step], y: i64) -> Markup {
    let xs = steps.iter().map(|step| scale.x(step.from));
    let (first, last) = (xs.clone().min().unwrap_or(GUTTER), xs.max().unwrap_or(GUTTER));
    let mut taken = i64::MIN / 2;
    let marks: Vec<_> = steps
        .iter()
        .map(|each| {
            let (class, mark, _) = step(asked, each);
            let begins = scale.x(each.from);
            let bar = each.to.filter(|to| *to <= asked.now && *to > each.from);
            let bar = bar
                .filter(|_| !matches!(each.what, StepKind::Repeated { .. }))
                .map(|to| (begins, scale.x(to)));
            let x = begins.max(taken + APART).min(WIDTH - 12);
            taken = x;
            (class, mark, x, bar, name(asked, each))
        })
        .collect();
    html! {
        text.label x="0" y=(y + 4) { (label) }
        line.lane x1=(first) y1=(y) x2=(last.max(taken)) y2=(y) {}
        @for (class, _, _, bar, title) in &marks {
            @if let Some((from, to)) = bar {
                rect.span.(class) x=(from) y=(y - 5) width=((to - from).max(2)) height="10" rx="3" { title { (title) } }
            }
        }
        @for (class, mark, x, _, title) in &marks {
            g.mark.(class) {
                title { (title) }
                circle cx=(x) cy=(y) r="8" {}
                text x=(x) y=(y + 4) { (mark) }
            }
        }
    }
}

/// What pointing at a mark says.
fn name(asked: &Asked, of: &Step) -> String {
    let at = asked.when(of.from, &of.connection).exact();
    let what = match &of.what {
        StepKind::Received { bytes, .. } => format!("received, {bytes} bytes"),
        StepKind::Called { call } => safe(&call.operation, 80),
        StepKind::Waited { key } => format!("waited for {}", safe(key, 80)),
        StepKind::Event { name, .. } => safe(name, 80),
        StepKind::Routed { matched, others } => {
            format!("{} of {} routes", matched.len(), matched.len() + others.len())
        }
        StepKind::FannedOut { destination, .. } => format!("to {}", safe(destination, 80)),
        StepKind::Begun { attempt } => format!("attempt {attempt}"),
        StepKind::Retry { .. } => "tried again later".to_owned(),
        StepKind::Parked => "waits for repair".to_owned(),
        StepKind::Done { .. } => "done".to_owned(),
        StepKind::Dead => "given up".to_owned(),
        StepKind::Replayed => "sent again".to_owned(),
        StepKind::Repeated { count } => format!("came again {count}×"),
        _ => "step".to_owned(),
    };
    format!("{at} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(millis: &[i64]) -> Scale {
        Scale::new(millis.iter().map(|ms| Timestamp::from_millis(*ms)).collect())
    }

    #[test]
    fn idle_time_is_folded_and_the_rest_keeps_its_order_and_room() {
        let night = 13 * 3_600_000;
        let folded = scale(&[0, 40, 900, night, night + 700]);
        assert_eq!(folded.folds.len(), 1);
        assert_eq!(span(folded.folds[0].1), "12 h", "what lies between 900 ms and the next step");
        let xs: Vec<i64> = folded.points.iter().map(|(_, x)| *x).collect();
        assert!(xs.windows(2).all(|pair| pair[0] < pair[1]) && xs[4] <= WIDTH, "{xs:?}");
        assert!(xs[2] - xs[0] > xs[3] - xs[2], "what happened has more room than what did not");
    }

    #[test]
    fn what_goes_on_for_long_is_not_folded_and_many_steps_fit() {
        assert!(scale(&[0, 10_000, 20_000, 30_000]).folds.is_empty());
        let many: Vec<i64> = (0..600).map(|i| i * 1000).collect();
        let many = scale(&many);
        assert!(many.points.last().unwrap().1 <= WIDTH && many.folds.is_empty());
        assert!(scale(&[]).points.is_empty());
        assert_eq!(scale(&[i64::MIN, i64::MAX]).folds.len(), 1, "no arithmetic breaks");
    }
}
