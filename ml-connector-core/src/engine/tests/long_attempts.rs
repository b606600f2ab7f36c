//! Sinks whose attempts leave notes, take their time, or have something to do in between.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use vendor::webhook;

use super::*;
use crate::{
    AttemptNotes, Clock, Context, Effect, Error, ErrorKind, Result, Retry, Sink, SinkInfo,
    audit::{EntryState, Outcome},
    model::{Delivery, DeliveryPlan, LaneKey, Lookup, Receipt, Status},
};

/// What a warehouse has seen, and what it says next.
#[derive(Debug, Default)]
struct Warehouse {
    /// The records of each statement.
    sent: Mutex<Vec<Vec<String>>>,
    /// What became of a statement that left a note.
    ended: Mutex<BTreeMap<String, Lookup>>,
    asked: Mutex<Vec<String>>,
    /// How long an attempt takes.
    takes: Mutex<Duration>,
    maintained: Mutex<Vec<Timestamp>>,
    /// What the next looks fail with.
    maintenance_fails: Mutex<Vec<Error>>,
}

#[derive(Debug)]
struct WarehouseSink {
    info: SinkInfo,
    warehouse: Arc<Warehouse>,
    time: Option<Duration>,
    maintained_every: Option<Duration>,
}

#[async_trait]
impl Sink for WarehouseSink {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, _: &Delivery) -> Result<DeliveryPlan> {
        let plan = DeliveryPlan::new(LaneKey::from("table"));
        Ok(match self.time {
            Some(time) => plan.within(time),
            None => plan,
        })
    }

    /// The first statement goes on for longer than the call; a later one ends at once.
    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let ids: Vec<String> = batch.iter().map(|delivery| delivery.event.entity.id.to_string()).collect();
        let first = {
            let mut sent = self.warehouse.sent.lock().unwrap();
            sent.push(ids);
            sent.len() == 1
        };
        let takes = *self.warehouse.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        if first && takes.is_zero() {
            let seqs: Vec<_> = batch.iter().map(|delivery| delivery.seq).collect();
            notes.keep(&seqs, Bytes::from_static(b"statement 1")).await.unwrap();
            let error = || {
                Error::new(ErrorKind::RateLimited, "the statement is still running")
                    .with_effect(Effect::Unknown)
                    .with_retry(Retry::At(ctx.now() + secs(10)))
            };
            return batch.iter().map(|_| Err(error())).collect();
        }
        batch.iter().map(|_| Ok(Receipt::new("statement 2"))).collect()
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        let note = String::from_utf8(delivery.note.as_ref().unwrap().to_vec()).unwrap();
        self.warehouse.asked.lock().unwrap().push(note.clone());
        match self.warehouse.ended.lock().unwrap().get(&note) {
            Some(ended) => Ok(ended.clone()),
            None => Err(Error::new(ErrorKind::InvalidRequest, "nobody knows such a statement")),
        }
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, ctx: &Context) -> Result<Option<Timestamp>> {
        self.warehouse.maintained.lock().unwrap().push(ctx.now());
        match self.warehouse.maintenance_fails.lock().unwrap().pop() {
            Some(error) => Err(error),
            None => Ok(self.maintained_every.map(|every| ctx.now() + every)),
        }
    }
}

struct Site {
    world: World,
    warehouse: Arc<Warehouse>,
    time: Option<Duration>,
    maintained_every: Option<Duration>,
}

impl Site {
    fn new() -> Self {
        Self { world: World::new(), warehouse: Arc::default(), time: None, maintained_every: None }
    }

    fn connector(&self) -> Connector {
        let mut info = SinkInfo::new("board".into(), "warehouse");
        (info.max_batch, info.repeat) = (8, Repeat::Safe);
        let connector = self.world.connector();
        connector.remove(&"board".into());
        let (warehouse, time, maintained_every) =
            (Arc::clone(&self.warehouse), self.time, self.maintained_every);
        connector.add_sink(WarehouseSink { info, warehouse, time, maintained_every }).unwrap();
        connector
    }

    async fn tell(&self, connector: &Connector, ids: std::ops::Range<u64>) {
        for id in ids {
            self.world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
            connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        }
    }

    fn sent(&self) -> Vec<usize> {
        self.warehouse.sent.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// How many deliveries are done with this receipt, and how often doubt was told.
    async fn done_with(&self, receipt: &str) -> (usize, usize) {
        let entries = self.world.entries(EntryKind::Delivery).await;
        assert!(entries.iter().all(|entry| entry.state == EntryState::Done), "{entries:?}");
        let outcomes = || entries.iter().flat_map(|entry| &entry.outcomes).map(|of| &of.outcome);
        let done =
            |outcome: &&Outcome| matches!(outcome, Outcome::Done { receipt: Some(of) } if **of == *receipt);
        let doubted = |outcome: &&Outcome| match outcome {
            Outcome::Retry { error, uncertain, .. } => *uncertain || error.contains("possibly"),
            _ => false,
        };
        (outcomes().filter(done).count(), outcomes().filter(doubted).count())
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_looked_up_all_the_same_when_its_attempt_left_a_note() {
    let ends: [(Option<Lookup>, &[usize], &str); 4] = [
        (Some(Lookup::Happened(Receipt::new("statement 1"))), &[3], "statement 1"),
        (Some(Lookup::DidNotHappen), &[3, 3], "statement 2"),
        (Some(Lookup::MayRepeat), &[3, 3], "statement 2"),
        // A question that is refused for good is no reason to give a row up.
        (None, &[3, 3], "statement 2"),
    ];
    for (ended, sent, receipt) in ends {
        for restarts in [false, true] {
            let site = Site::new();
            let connector = site.connector();
            if let Some(ended) = &ended {
                site.warehouse.ended.lock().unwrap().insert("statement 1".to_owned(), ended.clone());
            }
            site.tell(&connector, 100..103).await;
            site.world.run(&connector, if restarts { secs(5) } else { secs(60) }).await;
            let connector = if restarts { site.connector() } else { connector };
            site.world.run(&connector, secs(60)).await;
            assert_eq!(site.sent(), sent, "{ended:?} {restarts}");
            assert_eq!(*site.warehouse.asked.lock().unwrap(), ["statement 1"], "once for all it carried");
            assert_eq!(site.done_with(receipt).await, (3, 0), "nothing is called possibly duplicated");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn as_long_as_a_statement_is_open_nothing_else_goes_to_its_lane() {
    let site = Site::new();
    let connector = site.connector();
    let at = site.world.clock.now() + secs(300);
    site.warehouse.ended.lock().unwrap().insert("statement 1".to_owned(), Lookup::AskAgain { at });
    site.tell(&connector, 100..103).await;
    site.world.run(&connector, secs(60)).await;
    site.tell(&connector, 103..105).await;
    site.world.run(&connector, secs(120)).await;
    assert_eq!(site.sent(), [3]);
    let happened = Lookup::Happened(Receipt::new("statement 1"));
    site.warehouse.ended.lock().unwrap().insert("statement 1".to_owned(), happened);
    site.world.run(&connector, secs(600)).await;
    assert_eq!(site.sent(), [3, 2]);
    assert_eq!(site.done_with("statement 1").await, (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_takes_as_long_as_its_plan_says() {
    for (time, good) in [(None, false), (Some(secs(300)), true)] {
        let site = Site { time, ..Site::new() };
        *site.warehouse.takes.lock().unwrap() = secs(120);
        let connector = site.connector();
        site.tell(&connector, 100..101).await;
        site.world.run(&connector, secs(170)).await;
        let done = site.world.outcomes(EntryKind::Delivery).await;
        assert_eq!(done[0].contains("Done"), good, "{time:?} {done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_maintained_when_it_asks_for_it() {
    let gaps = |site: &Site| {
        let times = site.warehouse.maintained.lock().unwrap().clone();
        times.windows(2).map(|two| two[1].saturating_since(two[0]).as_secs()).collect::<Vec<_>>()
    };
    let site = Site { maintained_every: Some(secs(6 * 3600)), ..Site::new() };
    let down = Error::new(ErrorKind::Unavailable, "down");
    site.warehouse.maintenance_fails.lock().unwrap().push(down);
    site.world.run(&site.connector(), secs(86_400)).await;
    assert_eq!(gaps(&site), [3600, 21_600, 21_600, 21_600], "what failed is tried again within the hour");
    // Another host has what it needs to know from nobody: it looks.
    site.world.run(&site.connector(), secs(60)).await;
    assert_eq!(site.warehouse.maintained.lock().unwrap().len(), 6);

    let never = Site::new();
    never.world.run(&never.connector(), secs(86_400)).await;
    assert_eq!(never.warehouse.maintained.lock().unwrap().len(), 1);
}
