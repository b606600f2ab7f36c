//! A wall of notes, as chat systems are: notes that can be answered and rewritten, and notes that list many events.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    AttemptNotes, Context, Effect, Error, ErrorKind, Result, Scope, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, Follow, LaneKey, Lookup, Receipt},
};

/// One note, with what was written below it.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) at: Timestamp,
    /// What it says: a line for each event.
    pub(super) lines: Vec<String>,
    pub(super) replies: Vec<String>,
    /// How often it was rewritten.
    pub(super) rewritten: usize,
    /// What marks it: the first delivery's id.
    mark: String,
}

/// What becomes of the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    /// It happens, and the answer is lost.
    Lost,
    /// It does not happen, and the answer is lost.
    Vanished,
    /// It does not happen, for good.
    Refused,
    /// It happens, and no answer comes.
    Hangs,
    /// Nothing of the connection works.
    Dead,
    /// The note to go on from was taken down.
    Gone,
    /// Only the events that can be told are told.
    OneRefused,
}

#[derive(Debug, Default)]
pub(super) struct Wall {
    pub(super) notes: Mutex<Vec<Note>>,
    pub(super) fates: Mutex<VecDeque<Fate>>,
    pub(super) looked_up: Mutex<Vec<u64>>,
    pub(super) calls: Mutex<usize>,
    /// How long a call takes.
    pub(super) takes: Mutex<Duration>,
}

impl Wall {
    pub(super) fn fates(&self, fates: &[Fate]) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// What stands on the wall, in order.
    pub(super) fn lines(&self) -> Vec<Vec<String>> {
        self.notes.lock().unwrap().iter().map(|note| note.lines.clone()).collect()
    }

    pub(super) fn note(&self, i: usize) -> Note {
        self.notes.lock().unwrap()[i].clone()
    }
}

pub(super) fn line(delivery: &Delivery) -> String {
    let kind = delivery.event.event_type();
    format!("{kind} {} n{}", delivery.event.entity.id, delivery.event.n)
}

#[derive(Debug)]
pub(super) struct WallSink {
    info: SinkInfo,
    wall: Arc<Wall>,
}

impl WallSink {
    pub(super) fn new(wall: &Arc<Wall>) -> Self {
        let mut info = SinkInfo::new("board".into(), "wall");
        info.max_digest = 10;
        Self { info, wall: Arc::clone(wall) }
    }

    fn write(&self, batch: &[Delivery], now: Timestamp) -> String {
        let mut notes = self.wall.notes.lock().unwrap();
        let lines: Vec<String> = batch.iter().map(line).collect();
        let index = |root: &str| root.strip_prefix("note/").unwrap().parse::<usize>().unwrap();
        match (batch[0].follow, &batch[0].root) {
            (Some(Follow::Thread), Some(root)) => {
                notes[index(&root.reference)].replies.extend(lines);
                format!("{}/reply", root.reference)
            }
            (Some(Follow::Update), Some(root)) => {
                let note = &mut notes[index(&root.reference)];
                (note.lines, note.rewritten) = (lines, note.rewritten + 1);
                root.reference.to_string()
            }
            _ => {
                let mark = batch[0].id.to_string();
                notes.push(Note { at: now, lines, replies: Vec::new(), rewritten: 0, mark });
                format!("note/{}", notes.len() - 1)
            }
        }
    }
}

#[async_trait]
impl Sink for WallSink {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        if delivery.template.as_deref().is_some_and(|template| template != "short") {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the wall has the template `short` only"));
        }
        let lane = match (delivery.follow, &delivery.root) {
            (Some(Follow::Update), Some(root)) => LaneKey::new(format!("update:{}", root.reference)),
            _ => LaneKey::new(delivery.destination.as_str()),
        };
        Ok(DeliveryPlan::new(lane))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        assert!(batch.len() == 1 || batch.iter().all(|delivery| delivery.digest));
        *self.wall.calls.lock().unwrap() += 1;
        let seqs: Vec<_> = batch.iter().map(|delivery| delivery.seq).collect();
        notes.keep(&seqs, Bytes::from(batch[0].id.to_string())).await.unwrap();
        let takes = *self.wall.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let fate = self.wall.fates.lock().unwrap().pop_front().unwrap_or(Fate::Fine);
        let all = |kind, effect| -> Vec<Result<Receipt>> {
            batch.iter().map(|_| Err(Error::new(kind, "an error").with_effect(effect))).collect()
        };
        match fate {
            Fate::Refused => return all(ErrorKind::InvalidRequest, Effect::None),
            Fate::Dead => {
                let error = || Error::new(ErrorKind::Unauthenticated, "who?").with_scope(Scope::Connection);
                return batch.iter().map(|_| Err(error())).collect();
            }
            Fate::Gone => return all(ErrorKind::NotFound, Effect::None),
            Fate::Vanished => return all(ErrorKind::Unavailable, Effect::Unknown),
            Fate::OneRefused => {
                let reference = self.write(&batch[1..], ctx.now());
                let refused = Err(Error::new(ErrorKind::InvalidRequest, "this one cannot be told"));
                let others = batch[1..].iter().map(|_| Ok(Receipt::new(reference.as_str())));
                return std::iter::once(refused).chain(others).collect();
            }
            Fate::Fine | Fate::Lost | Fate::Hangs => {}
        }
        let reference = self.write(batch, ctx.now());
        match fate {
            Fate::Lost => all(ErrorKind::Unavailable, Effect::Unknown),
            Fate::Hangs => std::future::pending().await,
            _ => batch.iter().map(|_| Ok(Receipt::new(reference.as_str()))).collect(),
        }
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.wall.looked_up.lock().unwrap().push(delivery.seq.0);
        let notes = self.wall.notes.lock().unwrap();
        let happened = |i: usize| Lookup::Happened(Receipt::new(format!("note/{i}")));
        if let (Some(_), Some(root)) = (delivery.follow, &delivery.root) {
            let i: usize = root.reference.strip_prefix("note/").unwrap().parse().unwrap();
            let line = line(delivery);
            let there = notes[i].lines.contains(&line) || notes[i].replies.contains(&line);
            return Ok(if there { happened(i) } else { Lookup::DidNotHappen });
        }
        let mark = delivery.note.as_ref().map(|note| String::from_utf8(note.to_vec()).unwrap());
        let found = notes.iter().position(|note| Some(&note.mark) == mark.as_ref());
        Ok(found.map_or(Lookup::DidNotHappen, happened))
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
