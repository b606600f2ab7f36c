//! Deliveries that go together, and come apart again.

use std::{collections::BTreeSet, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use vendor::webhook;

use super::*;
use crate::{
    AttemptNotes, Clock, Context, Effect, Error, ErrorKind, Result, Retry, Scope, Sink, SinkInfo,
    audit::EntryState,
    model::{Delivery, DeliveryPlan, LaneKey, Lookup, Receipt, Status},
};

/// A table that takes many rows in one statement, or none.
#[derive(Debug, Default)]
struct Table {
    /// The ids of each statement that was tried, and when.
    tried: Mutex<Vec<(Vec<u64>, Timestamp)>>,
    rows: Mutex<BTreeSet<u64>>,
    looked_up: Mutex<Vec<u64>>,
    poison: Mutex<BTreeSet<u64>>,
    /// What becomes of the next statements.
    fates: Mutex<Vec<Fate>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried out, and the answer is lost.
    Lost,
    /// It is not carried out, and the answer is lost.
    Vanished,
    /// Every other row is refused by itself.
    EveryOther,
    Down,
}

#[derive(Debug)]
struct TableSink {
    info: SinkInfo,
    table: Arc<Table>,
    notes: bool,
}

impl Table {
    fn sizes(&self) -> Vec<usize> {
        self.tried.lock().unwrap().iter().map(|(ids, _)| ids.len()).collect()
    }
}

fn number(delivery: &Delivery) -> u64 {
    delivery.event.entity.id.parse().unwrap()
}

#[async_trait]
impl Sink for TableSink {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        if number(delivery) == 404 {
            return Err(Error::new(ErrorKind::InvalidRequest, "the table cannot hold it"));
        }
        Ok(DeliveryPlan::new(LaneKey::from("table")))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let ids: Vec<u64> = batch.iter().map(number).collect();
        self.table.tried.lock().unwrap().push((ids.clone(), ctx.now()));
        if self.notes {
            let seqs: Vec<_> = batch.iter().map(|delivery| delivery.seq).collect();
            notes.keep(&seqs, Bytes::from(format!("statement {}", ids[0]))).await.unwrap();
        }
        let all = |error: fn() -> Error| batch.iter().map(|_| Err(error())).collect::<Vec<_>>();
        let lost = || Error::new(ErrorKind::Unavailable, "the answer was lost").with_effect(Effect::Unknown);
        let fate = self.table.fates.lock().unwrap().pop();
        let once = batch[0].destination.as_str() == "invoices";
        let mut rows = self.table.rows.lock().unwrap();
        if ids.iter().any(|id| self.table.poison.lock().unwrap().contains(id)) {
            return all(|| Error::new(ErrorKind::InvalidRequest, "a row is malformed"));
        }
        match fate {
            Some(Fate::Vanished) => all(lost),
            Some(Fate::Down) => all(|| Error::new(ErrorKind::Unavailable, "down")),
            Some(Fate::Lost) => {
                rows.extend(ids);
                all(lost)
            }
            fate => {
                let refused = |n: usize| fate == Some(Fate::EveryOther) && n % 2 == 1;
                let result = |(n, id)| {
                    if refused(n) {
                        return Err(Error::new(ErrorKind::InvalidRequest, "this row is malformed"));
                    }
                    assert!(rows.insert(id) || !once, "{id} twice");
                    Ok(Receipt::new(format!("row/{id}")))
                };
                ids.into_iter().enumerate().map(result).collect()
            }
        }
    }

    async fn look_up(&self, _: &Context, delivery: &Delivery) -> Result<Lookup> {
        let id = number(delivery);
        self.table.looked_up.lock().unwrap().push(id);
        Ok(match self.table.rows.lock().unwrap().contains(&id) {
            true => Lookup::Happened(Receipt::new(format!("row/{id}"))),
            false => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

struct Office {
    world: World,
    table: Arc<Table>,
    notes: bool,
    max_batch: usize,
    max_bytes: usize,
    linger: Duration,
}

impl Office {
    fn new() -> Self {
        let world = World::new();
        Self {
            world,
            table: Arc::default(),
            notes: true,
            max_batch: 8,
            max_bytes: usize::MAX,
            linger: secs(60),
        }
    }

    fn connector(&self, routes: Vec<Route>) -> Connector {
        let mut info = SinkInfo::new("board".into(), "table");
        (info.max_batch, info.max_bytes, info.linger) = (self.max_batch, self.max_bytes, self.linger);
        let connector = self.world.connector();
        connector.remove(&"board".into());
        connector.add_sink(TableSink { info, table: Arc::clone(&self.table), notes: self.notes }).unwrap();
        connector.set_routes(routes).unwrap();
        connector
    }

    /// Tells of invoices, all at once, and lets the connector work for a time.
    async fn tell(&self, connector: &Connector, ids: std::ops::Range<u64>, time: Duration) {
        for id in ids {
            self.world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
            connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        }
        self.world.run(connector, time).await;
    }

    fn rows(&self) -> Vec<u64> {
        self.table.rows.lock().unwrap().iter().copied().collect()
    }

    async fn states(&self) -> (usize, usize, usize) {
        let entries = self.world.entries(EntryKind::Delivery).await;
        let count = |state| entries.iter().filter(|entry| entry.state == state).count();
        (count(EntryState::Done), count(EntryState::Dead), count(EntryState::Pending))
    }
}

fn to_table() -> Vec<Route> {
    vec![Route::new("all").to("board", Destination::from("invoices"))]
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_when_its_first_delivery_has_waited_long_enough() {
    let office = Office::new();
    let connector = office.connector(to_table());
    let started = office.world.clock.now();
    office.tell(&connector, 100..119, secs(100)).await;
    let tried = office.table.tried.lock().unwrap().clone();
    assert_eq!(office.table.sizes(), [8, 8, 3]);
    let waited = |n: usize| tried[n].1.saturating_since(started);
    assert!(waited(1) < secs(10), "full batches do not wait: {:?}", waited(1));
    assert!(waited(2) >= secs(60) && waited(2) < secs(70), "{:?}", waited(2));
    assert_eq!(office.states().await, (19, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_no_more_bytes_than_its_sink_takes_and_what_is_larger_goes_alone() {
    for (max_bytes, sizes) in [(1, vec![1, 1, 1, 1, 1]), (usize::MAX, vec![5])] {
        let office = Office { max_bytes, ..Office::new() };
        let connector = office.connector(to_table());
        office.tell(&connector, 100..105, secs(400)).await;
        assert_eq!(office.table.sizes(), sizes);
    }
    let office = Office::new();
    let connector = office.connector(to_table());
    office.tell(&connector, 100..101, secs(100)).await;
    let event = office.world.entries(EntryKind::Event).await[0].body.clone().unwrap();
    let office = Office { max_bytes: event.len() * 3, ..Office::new() };
    let connector = office.connector(to_table());
    office.tell(&connector, 100..106, secs(100)).await;
    assert_eq!(office.table.sizes(), [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn only_what_goes_to_the_same_place_goes_together() {
    let office = Office::new();
    let place = |name: &str| Route::new(name).to("board", Destination::from(name));
    let connector = office.connector(vec![place("left"), place("right")]);
    office.tell(&connector, 100..102, secs(100)).await;
    let tried: Vec<_> = office.table.tried.lock().unwrap().iter().map(|(ids, _)| ids.len()).collect();
    assert_eq!(tried, [1, 1, 1, 1], "the lane's order is left, right, left, right");
}

#[tokio::test(start_paused = true)]
async fn one_bad_member_is_found_in_halves_and_does_not_sink_the_rest() {
    for bad in [100, 103, 107] {
        let office = Office::new();
        office.table.poison.lock().unwrap().insert(bad);
        let connector = office.connector(to_table());
        office.tell(&connector, 100..108, secs(100)).await;
        let expected: Vec<u64> = (100..108).filter(|id| *id != bad).collect();
        assert_eq!(office.rows(), expected, "{bad}");
        assert_eq!(office.states().await, (7, 1, 0), "{bad}");
        assert!(office.table.sizes().len() <= 12, "{bad}: {:?}", office.table.sizes());
        let entries = office.world.entries(EntryKind::Delivery).await;
        let dead = entries.iter().find(|entry| entry.state == EntryState::Dead).unwrap();
        assert_eq!(dead.index.entity.as_ref().unwrap().id.parse(), Ok(bad));
        assert!(dead.has_error("split"), "the audit says why it was tried more than once");
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_fail_by_themselves_end_by_themselves() {
    let office = Office::new();
    office.table.fates.lock().unwrap().push(Fate::EveryOther);
    let connector = office.connector(to_table());
    office.tell(&connector, 100..108, secs(100)).await;
    assert_eq!(office.rows(), [100, 102, 104, 106]);
    assert_eq!(office.states().await, (4, 4, 0));
    assert_eq!(office.table.sizes(), [8]);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_planned_does_not_hold_the_others_up() {
    let office = Office::new();
    let connector = office.connector(to_table());
    office.tell(&connector, 401..408, secs(200)).await;
    assert_eq!(office.states().await, (6, 1, 0));
    assert_eq!(office.rows(), [401, 402, 403, 405, 406, 407]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_for_a_time_comes_back_as_a_whole() {
    let office = Office::new();
    *office.table.fates.lock().unwrap() = vec![Fate::Down; 3];
    let connector = office.connector(to_table());
    office.tell(&connector, 100..108, secs(100)).await;
    assert_eq!(office.table.sizes(), [8, 8, 8, 8]);
    assert_eq!(office.states().await, (8, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_one_delivery_is_given_up_and_not_its_batch() {
    let office = Office::new();
    let connector = office.connector(to_table());
    *office.table.fates.lock().unwrap() = vec![Fate::Down; 18];
    office.tell(&connector, 100..108, secs(3600)).await;
    let (done, dead, pending) = office.states().await;
    assert!(dead <= 1, "{:?}", office.table.sizes());
    assert_eq!((done + dead, pending), (8, 0), "{:?}", office.table.sizes());
    assert!(office.table.sizes().contains(&4), "{:?}", office.table.sizes());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_as_one_is_looked_up_once_and_the_rest_each() {
    for (fate, notes, looked_up, statements) in [
        (Fate::Lost, true, 1, vec![8]),
        (Fate::Lost, false, 8, vec![8]),
        (Fate::Vanished, true, 1, vec![8, 8]),
        (Fate::Vanished, false, 8, vec![8, 8]),
    ] {
        let office = Office { notes, ..Office::new() };
        office.table.fates.lock().unwrap().push(fate);
        let connector = office.connector(to_table());
        office.tell(&connector, 100..108, secs(100)).await;
        assert_eq!(office.table.looked_up.lock().unwrap().len(), looked_up, "{fate:?} {notes}");
        assert_eq!(office.table.sizes(), statements, "{fate:?} {notes}");
        assert_eq!((office.rows().len(), office.states().await), (8, (8, 0, 0)), "{fate:?} {notes}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_uncertain_after_a_crash_is_looked_up_and_what_is_new_follows_in_order() {
    let office = Office { notes: false, ..Office::new() };
    office.table.fates.lock().unwrap().push(Fate::Vanished);
    let connector = office.connector(to_table());
    // Stopped right after the statement.
    office.tell(&connector, 100..108, Duration::from_millis(400)).await;
    assert_eq!(office.table.sizes(), [8], "{:?}", office.world.outcomes(EntryKind::Delivery).await);
    office.table.rows.lock().unwrap().extend([100, 101, 105]);
    let second = office.connector(to_table());
    office.tell(&second, 200..203, secs(100)).await;
    let tried: Vec<_> = office.table.tried.lock().unwrap().iter().map(|(ids, _)| ids.clone()).collect();
    assert_eq!(tried[1], [102, 103, 104, 106, 107]);
    assert_eq!(office.states().await, (11, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_parked_table_is_probed_with_one_row_and_then_goes_on_in_batches() {
    let office = Office::new();
    let connector = office.connector(to_table());
    connector.remove(&"board".into());
    let mut info = SinkInfo::new("board".into(), "table");
    (info.max_batch, info.linger) = (8, secs(60));
    let missing = MissingTable { info, tried: Arc::default() };
    let tried = Arc::clone(&missing.tried);
    connector.add_sink(missing).unwrap();
    office.tell(&connector, 100..108, secs(600)).await;
    assert_eq!(*tried.lock().unwrap(), [8, 1, 1, 7]);
    assert_eq!(office.states().await, (8, 0, 0));
}

/// A table that does not exist for its first two statements.
#[derive(Debug)]
struct MissingTable {
    info: SinkInfo,
    tried: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl Sink for MissingTable {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, _: &Delivery) -> Result<DeliveryPlan> {
        Ok(DeliveryPlan::new(LaneKey::from("table")))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let mut tried = self.tried.lock().unwrap();
        tried.push(batch.len());
        let missing = || {
            Error::new(ErrorKind::NotFound, "no such table").with_scope(Scope::Lane).with_retry(Retry::Never)
        };
        let exists = tried.len() > 2;
        batch.iter().map(|_| if exists { Ok(Receipt::new("row")) } else { Err(missing()) }).collect()
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
