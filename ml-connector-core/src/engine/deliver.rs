//! One attempt for the head of a lane: look up, admit, record, send, settle.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Shared,
    consequences::{self, Ending},
    lanes::{Batch, Hold, Item},
    observe::{Purpose, observe},
    outcome::{self, Told},
    registry::SinkSlot,
    resolve::{Stop, apply, commit, dead, settle},
    retry,
    run::Finished,
    stats::Stat,
    stored::StoredDelivery,
};
use crate::{
    Effect, Error, ErrorKind, Notes, OnUnknown, Repeat, Result, Retry, Scope, Timestamp,
    audit::{Committed, Entry, Lease, Outcome, Parent, Query, Settlement, Transaction},
    clock::sleep_until,
    model::{Change, Delivery, Event, Lookup, Observation, Partition, Receipt, Seq},
    rate::{Admission, Cost, Feedback, Permit},
};

/// How long to wait before a result that could not be written is written again.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// Makes one attempt for a batch of deliveries of one lane.
pub(super) async fn deliver(shared: Arc<Shared>, lease: Lease, batch: Batch) -> Finished {
    let attempt = Attempt { shared: &shared, lease, batch: &batch };
    match attempt.make().await {
        Ok(finished) => finished,
        Err(Stop::Fenced) => Finished::fenced(),
        Err(Stop::Log(error)) => {
            tracing::error!(%error, connection = %batch.connection, "the log does not work: deliveries wait");
            let at = retry::next(&error, Seq(0), 1, retry::DELIVERY_CAP, shared.clock.now());
            Finished::again(&batch, Hold::Until(at))
        }
    }
}

struct Attempt<'a> {
    shared: &'a Shared,
    lease: Lease,
    batch: &'a Batch,
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Finished, Stop> {
        let registry = self.shared.registry();
        let Some(slot) = registry.sink(&self.batch.connection) else {
            tracing::warn!(connection = %self.batch.connection, "deliveries wait for a sink that is not connected");
            return Ok(Finished::again(self.batch, Hold::Outage(self.shared.clock.now())));
        };
        let (mut items, mut deliveries) = self.load().await?;
        let Some(head) = deliveries.first() else { return Ok(Finished::settled()) };
        let look_up_first = slot.sink.info().repeat == Repeat::AfterLookup;
        if items[0].uncertain && look_up_first {
            if let Some(finished) = self.look_up(slot, items[0], head).await? {
                return Ok(finished);
            }
            // Should it have to wait for room now, nothing new can have happened when its turn comes.
            items[0].uncertain = false;
        }
        let plan = match slot.sink.plan(head) {
            Ok(plan) => plan,
            Err(error) => {
                self.kill(items[0], Some(head), &error).await?;
                return Ok(Finished::again_from(&items[1..], Hold::None));
            }
        };
        let now = self.shared.clock.now();
        let permit = match self.shared.context.limiter().admit(&plan.costs, now).await {
            Ok(Admission::Admitted(permit)) => permit,
            Ok(Admission::NotBefore(at)) => {
                let hold = self.bottleneck(&plan.costs, at, now).await;
                return Ok(Finished::again_from(&items, hold));
            }
            Err(error) if error.kind() == ErrorKind::InvalidRequest => {
                self.kill(items[0], Some(head), &error).await?;
                return Ok(Finished::again_from(&items[1..], Hold::None));
            }
            Err(error) => return Err(Stop::Log(error)),
        };
        if let Some(gate) = &self.batch.gate {
            self.shared.wake.admitted(gate.clone(), self.batch.lane);
        }
        if look_up_first {
            let begun = |item: &Item| Settlement {
                seq: item.seq,
                outcome: Outcome::Begun { attempt: item.attempt + 1, note: None },
            };
            settle(self.shared, self.lease, items.iter().map(begun).collect()).await?;
        }
        deliveries.iter_mut().for_each(|delivery| delivery.attempt += 1);
        let results = self.send(slot, &deliveries).await;
        self.finish_permit(&plan.costs, permit).await;
        self.settle(&items, &deliveries, results, look_up_first).await
    }

    /// Finds the key that has no room before `at`: everything that waits for it waits in one queue. Asking for no
    /// units, but that as many are left, spends nothing.
    async fn bottleneck(&self, costs: &[Cost], at: Timestamp, now: Timestamp) -> Hold {
        for cost in costs {
            let leave = cost.leave.saturating_add(cost.units);
            let question = [Cost { units: 0, leave, ..cost.clone() }];
            match self.shared.context.limiter().admit(&question, now).await {
                Ok(Admission::NotBefore(then)) if then >= at => return Hold::Quota(cost.key.clone(), at),
                Ok(Admission::Admitted(permit)) => self.finish_permit(&question, permit).await,
                _ => {}
            }
        }
        Hold::Until(at)
    }

    /// The deliveries of the batch with their events, without those that are settled by now.
    async fn load(&self) -> Result<(Vec<Item>, Vec<Delivery>), Stop> {
        let seqs = self.batch.items.iter().map(|item| item.seq).collect();
        let entries = self.shared.log.query(&Query::entries(seqs)).await?;
        let mut parents: Vec<Seq> = entries.iter().filter_map(|entry| entry.parent).collect();
        parents.dedup();
        let events = self.shared.log.query(&Query::entries(parents)).await?;
        let events: BTreeMap<Seq, Entry> = events.into_iter().map(|entry| (entry.seq, entry)).collect();
        let (mut items, mut deliveries) = (Vec::new(), Vec::new());
        for item in &self.batch.items {
            let waits = |entry: &&Entry| entry.seq == item.seq && !entry.state.is_settled();
            let Some(entry) = entries.iter().find(waits) else { continue };
            match decode(entry, entry.parent.and_then(|parent| events.get(&parent))) {
                Ok(mut delivery) => {
                    delivery.attempt = item.attempt;
                    items.push(*item);
                    deliveries.push(delivery);
                }
                Err(error) => self.kill(*item, None, &error).await?,
            }
        }
        Ok((items, deliveries))
    }

    /// Finds out what became of the attempt before. `None`: it did not happen, or may be repeated.
    async fn look_up(
        &self,
        slot: &SinkSlot,
        item: Item,
        delivery: &Delivery,
    ) -> Result<Option<Finished>, Stop> {
        self.shared.stats.count(Stat::LookedUp);
        let ctx = self.shared.context.within(self.shared.settings.call);
        let call = tokio::time::timeout(self.shared.settings.call, slot.sink.look_up(&ctx, delivery)).await;
        let lookup = call
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the look-up did not end in time")));
        match lookup {
            Ok(Lookup::Happened(receipt)) => {
                let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
                let wake = self.follow(delivery, &Ending::Done(&receipt), &mut transaction);
                let seen: Vec<_> = receipt.observed.iter().cloned().map(|seen| (item.seq, seen)).collect();
                transaction.settle.push(done(item.seq, receipt));
                self.settle_surely(transaction, &seen).await?;
                self.shared.wake.partitions(&wake);
                self.shared.stats.count(Stat::Delivered);
                Ok(Some(Finished::settled()))
            }
            Ok(Lookup::DidNotHappen) => Ok(None),
            Ok(Lookup::AskAgain { at }) => Ok(Some(Finished::again(self.batch, Hold::Until(at)))),
            Ok(Lookup::CannotTell) if slot.sink.info().on_unknown == OnUnknown::Repeat => {
                tracing::warn!(seq = item.seq.0, "a delivery is repeated and possibly duplicated");
                let outcome = Outcome::Retry {
                    attempt: item.attempt,
                    due: item.due,
                    error: "possibly duplicated: the other side cannot tell what became of the attempt"
                        .into(),
                    uncertain: false,
                    note: None,
                };
                settle(self.shared, self.lease, vec![Settlement { seq: item.seq, outcome }]).await?;
                Ok(None)
            }
            Ok(Lookup::CannotTell) => {
                let error = Error::new(
                    ErrorKind::Unexpected,
                    "possibly missing: the other side cannot tell what became of the attempt",
                );
                self.kill(item, Some(delivery), &error).await?;
                Ok(Some(Finished::settled()))
            }
            Err(error) => {
                let error = error.with_effect(Effect::Unknown);
                self.settle(&[item], std::slice::from_ref(delivery), vec![Err(error)], true).await.map(Some)
            }
        }
    }

    /// One call of the sink. Whatever happens, there is one result per delivery.
    async fn send(&self, slot: &SinkSlot, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        let total = self.shared.settings.call;
        let ctx = self.shared.context.within(total);
        let notes = LogNotes { shared: self.shared, lease: self.lease, deliveries };
        let unknown = |message| Error::new(ErrorKind::Unavailable, message).with_effect(Effect::Unknown);
        let mut results = match tokio::time::timeout(total, slot.sink.deliver(&ctx, deliveries, &notes)).await
        {
            Ok(results) => results,
            Err(_) => deliveries.iter().map(|_| Err(unknown("the attempt did not end in time"))).collect(),
        };
        results.truncate(deliveries.len());
        while results.len() < deliveries.len() {
            results.push(Err(unknown("the sink gave no result")));
        }
        results
    }

    /// Writes down what became of each delivery.
    async fn settle(
        &self,
        items: &[Item],
        deliveries: &[Delivery],
        results: Vec<Result<Receipt>>,
        look_up_first: bool,
    ) -> Result<Finished, Stop> {
        let now = self.shared.clock.now();
        let (mut hold, mut waits, mut reason) = (Hold::None, Vec::new(), None);
        let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
        let (mut wake, mut seen) = (Vec::new(), Vec::new());
        for ((item, delivery), result) in items.iter().zip(deliveries).zip(results) {
            let (outcome, next) = match result {
                Ok(receipt) => {
                    self.shared.stats.count(Stat::Delivered);
                    wake.extend(self.follow(delivery, &Ending::Done(&receipt), &mut transaction));
                    seen.extend(receipt.observed.iter().cloned().map(|seen| (item.seq, seen)));
                    (done(item.seq, receipt).outcome, None)
                }
                Err(error) => {
                    let uncertain = look_up_first && error.effect() != Effect::None;
                    let judged = self.judge(*item, &error, uncertain, now);
                    tracing::warn!(seq = item.seq.0, %error, outcome = judged.name(), "an attempt did not succeed");
                    self.report(&error, now).await;
                    hold = judged.hold(&error, now);
                    self.shared.stats.count(judged.stat());
                    let change = judged.change().filter(|_| item.due != Timestamp::MAX);
                    if let Some(told) = change.and_then(|change| self.told(*item, delivery, change, &error)) {
                        // The attempt was made: its result is written down, whether it can be told or not.
                        match outcome::append(self.shared, told, &mut transaction).await {
                            Ok(partitions) => wake.extend(partitions),
                            Err(error) => tracing::error!(%error, "an outcome could not be told"),
                        }
                    }
                    reason = matches!(judged, Judged::Outage).then(|| Arc::from(error.to_string()));
                    let (outcome, next) = judged.into_outcome(*item, &error, uncertain);
                    // A delivery that was parked before and still is has been told about.
                    let ending = match &outcome {
                        Outcome::Dead { error } => Some(Ending::Dead(error)),
                        Outcome::Parked { error } => change.map(|_| Ending::Parked(error)),
                        _ => None,
                    };
                    wake.extend(
                        ending.iter().flat_map(|ending| self.follow(delivery, ending, &mut transaction)),
                    );
                    (outcome, next)
                }
            };
            transaction.settle.push(Settlement { seq: item.seq, outcome });
            waits.extend(next);
        }
        self.settle_surely(transaction, &seen).await?;
        self.shared.wake.partitions(&wake);
        Ok(Finished { waits, hold, fenced: false, reason })
    }

    /// Adds what a delivery that ended leads to.
    fn follow(
        &self,
        delivery: &Delivery,
        ending: &Ending<'_>,
        transaction: &mut Transaction,
    ) -> Vec<Partition> {
        consequences::append(self.shared, &self.batch.connection, delivery, ending, transaction)
    }

    /// What is told about a delivery that was given up or parked; nothing about one that was itself telling.
    fn told(&self, item: Item, delivery: &Delivery, change: Change, error: &Error) -> Option<Told> {
        (!delivery.event.is_outcome()).then(|| Told {
            kind: "delivery",
            seq: item.seq,
            change,
            connection: self.batch.connection.clone(),
            lane: self.batch.lane,
            about: Some(delivery.event.entity.clone()),
            reason: error.to_string().into(),
        })
    }

    /// What a failed attempt means for the delivery.
    fn judge(&self, item: Item, error: &Error, uncertain: bool, now: Timestamp) -> Judged {
        match error.scope() {
            Scope::Connection => return Judged::Outage,
            Scope::Lane if !uncertain && error.retry() == Retry::Never => return Judged::Parked,
            _ => {}
        }
        if !uncertain && error.retry() == Retry::Never {
            return Judged::Dead;
        }
        let paced = !uncertain && error.kind() == ErrorKind::RateLimited;
        let attempt = item.attempt + u32::from(!paced);
        let due = retry::next(error, item.seq, attempt.max(1), retry::DELIVERY_CAP, now);
        let blocked_since = self.batch.blocked_since.unwrap_or(now);
        if !paced && due > blocked_since + self.shared.settings.max_block {
            return Judged::Dead;
        }
        Judged::Retry { attempt, due }
    }

    /// Tells the limiter what the other side said about a quota.
    async fn report(&self, error: &Error, now: Timestamp) {
        let (Scope::Quota(key), Retry::At(until)) = (error.scope(), error.retry()) else { return };
        if let Err(error) = self.shared.context.limiter().report(key, Feedback::PausedUntil(until), now).await
        {
            tracing::warn!(%error, %key, "the limiter could not be told to pause");
        }
    }

    /// Gives a delivery up.
    async fn kill(&self, item: Item, delivery: Option<&Delivery>, error: &Error) -> Result<(), Stop> {
        tracing::error!(seq = item.seq.0, %error, "a delivery is dead: replay it when the cause is gone");
        let settle = vec![dead(item.seq, error)];
        let mut transaction = Transaction { fence: Some(self.lease), settle, ..Transaction::default() };
        let told = delivery.and_then(|delivery| self.told(item, delivery, Change::Dead, error));
        let mut wake = Vec::new();
        if let Some(told) = told {
            wake = outcome::append(self.shared, told, &mut transaction).await?;
        }
        if let Some(delivery) = delivery {
            let ending = Ending::Dead(&error.to_string());
            wake.extend(self.follow(delivery, &ending, &mut transaction));
        }
        apply(self.shared, transaction).await?;
        self.shared.wake.partitions(&wake);
        self.shared.stats.count(Stat::Dead);
        Ok(())
    }

    /// Writes results until the log takes them: they happened, and must not be forgotten. Whoever stops the process
    /// meanwhile leaves attempts that are looked up at the next start.
    async fn apply_surely(&self, transaction: Transaction) -> Result<(), Stop> {
        loop {
            match apply(self.shared, transaction.clone()).await {
                Err(Stop::Log(error)) => {
                    tracing::error!(%error, "the log does not take the result of an attempt: trying again");
                    sleep_until(&*self.shared.clock, self.shared.clock.now() + SETTLE_PAUSE).await;
                }
                settled => return settled,
            }
        }
    }

    /// Writes results with what was read back after our own writes, so that the vendor's webhook about them is no
    /// change. Somebody else may have written the snapshot meanwhile: then that webhook, or the next poll, tells.
    async fn settle_surely(
        &self,
        transaction: Transaction,
        seen: &[(Seq, Arc<Observation>)],
    ) -> Result<(), Stop> {
        match self.with_read_back(&transaction, seen).await {
            Ok(true) => Ok(()),
            Ok(false) => self.apply_surely(transaction).await,
            Err(error) => {
                tracing::warn!(%error, "what was read back is not kept");
                self.apply_surely(transaction).await
            }
        }
    }

    async fn with_read_back(&self, settled: &Transaction, seen: &[(Seq, Arc<Observation>)]) -> Result<bool> {
        let registry = self.shared.registry();
        let Some(slot) = registry.source(&self.batch.connection).filter(|_| !seen.is_empty()) else {
            return Ok(false);
        };
        let (mut transaction, mut wake) = (settled.clone(), Vec::new());
        for (seq, seen) in seen {
            let (seen, parent) = (std::slice::from_ref(&**seen), Parent::Entry(*seq));
            let noticed = observe(self.shared, slot, seen, Purpose::Ours, parent, &mut transaction).await?;
            wake.extend(noticed.wake);
        }
        let applied = matches!(commit(self.shared, transaction).await?, Committed::Applied(_));
        self.shared.wake.partitions(&wake);
        Ok(applied)
    }

    async fn finish_permit(&self, costs: &[Cost], permit: Permit) {
        for cost in costs.iter().filter(|cost| cost.counts_concurrency()) {
            let finished = Feedback::Finished(permit);
            if let Err(error) =
                self.shared.context.limiter().report(&cost.key, finished, self.shared.clock.now()).await
            {
                tracing::warn!(%error, key = %cost.key, "the limiter could not be told that an attempt is over");
            }
        }
    }
}

/// What a failed attempt means for a delivery.
enum Judged {
    Retry { attempt: u32, due: Timestamp },
    Outage,
    Parked,
    Dead,
}

impl Judged {
    fn name(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Outage => "connection waits",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }

    /// What is told about it.
    fn change(&self) -> Option<Change> {
        match self {
            Self::Parked => Some(Change::Parked),
            Self::Dead => Some(Change::Dead),
            Self::Retry { .. } | Self::Outage => None,
        }
    }

    fn stat(&self) -> Stat {
        match self {
            Self::Retry { .. } | Self::Outage => Stat::Retried,
            Self::Parked => Stat::Parked,
            Self::Dead => Stat::Dead,
        }
    }

    fn hold(&self, error: &Error, now: Timestamp) -> Hold {
        match (self, error.retry()) {
            (Self::Retry { .. }, _) => Hold::Blocked,
            (Self::Outage, Retry::At(at)) => Hold::Outage(at),
            (Self::Outage, _) => Hold::Outage(now),
            (Self::Parked, _) => Hold::Parked,
            (Self::Dead, _) => Hold::None,
        }
    }

    /// The outcome, and how the delivery waits on.
    fn into_outcome(self, item: Item, error: &Error, uncertain: bool) -> (Outcome, Option<Item>) {
        let text: Arc<str> = match (&self, uncertain) {
            (Self::Dead, true) => format!("possibly delivered: {error}").into(),
            _ => error.to_string().into(),
        };
        let retry = |attempt, due| {
            let outcome = Outcome::Retry { attempt, due, error: Arc::clone(&text), uncertain, note: None };
            (outcome, Some(Item { seq: item.seq, due, attempt, uncertain }))
        };
        match self {
            Self::Retry { attempt, due } => retry(attempt, due),
            // The attempt is not counted: nothing is wrong with this delivery.
            Self::Outage => {
                retry(item.attempt, if item.due == Timestamp::MAX { Timestamp::default() } else { item.due })
            }
            Self::Parked => (
                Outcome::Parked { error: text },
                Some(Item { due: Timestamp::MAX, uncertain: false, ..item }),
            ),
            Self::Dead => (Outcome::Dead { error: text }, None),
        }
    }
}

fn done(seq: Seq, receipt: Receipt) -> Settlement {
    Settlement { seq, outcome: Outcome::Done { receipt: Some(receipt.reference) } }
}

fn decode(entry: &Entry, event: Option<&Entry>) -> Result<Delivery> {
    let unreadable = |message| Error::new(ErrorKind::Unexpected, message);
    let body = entry.body.as_ref().ok_or_else(|| unreadable("a delivery has no body"))?;
    let event =
        event.and_then(|event| event.body.as_ref()).ok_or_else(|| unreadable("a delivery has no event"))?;
    let StoredDelivery { id, destination } = StoredDelivery::decode(body)?;
    let event = Arc::new(Event::from_cloudevent(event)?);
    let since = entry.outcomes.iter().find_map(|recorded| match recorded.outcome {
        Outcome::Begun { .. } => Some(recorded.at),
        _ => None,
    });
    let route = entry.index.name.clone().unwrap_or_default();
    let mut delivery = Delivery::new(entry.seq, id, destination, route, event, since.unwrap_or(entry.at));
    delivery.note = entry.note().cloned();
    Ok(delivery)
}

/// Notes go into the log, with the attempt they belong to.
struct LogNotes<'a> {
    shared: &'a Shared,
    lease: Lease,
    deliveries: &'a [Delivery],
}

impl fmt::Debug for LogNotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogNotes({} deliveries)", self.deliveries.len())
    }
}

#[async_trait]
impl Notes for LogNotes<'_> {
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()> {
        let of_batch = self.deliveries.iter().filter(|delivery| deliveries.contains(&delivery.seq));
        let begun = |delivery: &Delivery| Settlement {
            seq: delivery.seq,
            outcome: Outcome::Begun { attempt: delivery.attempt, note: Some(note.clone()) },
        };
        match settle(self.shared, self.lease, of_batch.map(begun).collect()).await {
            Ok(()) => Ok(()),
            Err(Stop::Log(error)) => Err(error),
            Err(Stop::Fenced) => {
                Err(Error::new(ErrorKind::Conflict, "the partition belongs to another host now"))
            }
        }
    }
}
