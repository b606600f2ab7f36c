//! Settle: the results of an attempt are written, with the follow-ups and notices they lead to.

use std::{sync::Arc, time::Duration};

use super::{
    attempt::{Answered, Attempt, Deliveries, SinkCall},
    classify::Class,
    conversation::is_root_gone,
    follow_ups::{self, Ending},
};
use crate::{
    Effect, Error, Result, Retry, Scope, Timestamp,
    audit::{Committed, Outcome, Parent, Settlement, Transaction},
    clock::sleep_until,
    engine::{
        fan_out::conversation::{self, ToldNow},
        lanes::{Evidence, Finished, Hold, Item},
        notices::{self, Notice},
        resolve::{Purpose, observe},
        stats::Stat,
        trace::OutcomeTrace,
        trouble::TroubleKind,
        writes::{Stop, apply, commit, dead},
    },
    error::causes,
    model::{Change, Delivery, Observation, Partition, Receipt, Seq},
    rate::Feedback,
};

/// How long to wait before a result that could not be written is written again.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    /// Writes down what became of each delivery.
    pub(super) async fn settle(
        &self,
        loaded: &Deliveries,
        results: Vec<Result<Receipt, Arc<Error>>>,
        asked: Answered,
        trace: &OutcomeTrace,
    ) -> Result<Finished, Stop> {
        let now = self.shared.clock.now();
        let (mut hold, mut waits, mut down) = (Hold::None, Vec::new(), None);
        let mut proof = Evidence::Nothing;
        let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
        let (mut wake, mut seen) = (Vec::new(), Vec::new());
        let class = self.classify(loaded, &results, asked, now);
        let mut told: Vec<ToldNow<'_>> = Vec::new();
        for (((item, delivery), result), class) in loaded.iter().zip(results).zip(class) {
            let (outcome, next) = match (result, class) {
                (Ok(receipt), _) => {
                    proof = Evidence::Works;
                    self.count_delivered(delivery, now);
                    if delivery.follow.is_some() {
                        let reference = Arc::clone(&receipt.reference);
                        told.push(ToldNow { delivery, reference, begins_anew: receipt.begins_anew });
                    }
                    wake.extend(self.follow(delivery, &Ending::Done(&receipt), &mut transaction));
                    seen.extend(receipt.observed.iter().cloned().map(|seen| (item.seq, seen)));
                    (done(item.seq, receipt).outcome, None)
                }
                (Err(error), _) if is_root_gone(delivery, &error) => {
                    proof = proof.max(Evidence::Answers);
                    self.count(Stat::Retried, Some(delivery));
                    let (outcome, next) = self.begin_anew(*item, delivery, &error, &mut transaction);
                    (outcome, Some(next))
                }
                (Err(error), class) => {
                    let class = class.unwrap_or(Class::Dead);
                    let (connection, route, record) =
                        (&self.batch.connection, &delivery.route, &delivery.event.entity);
                    let (outcome, cause) = (class.name(), causes(&error));
                    tracing::warn!(%connection, %route, %record, seq = item.seq.0, %error, %cause, outcome, "an attempt did not succeed");
                    self.report(&error, now).await;
                    let its_hold = class.hold(&error, now);
                    match its_hold {
                        Hold::Outage(_) | Hold::Down(_) => {
                            down = Some(self.shared.down(connection, &error));
                        }
                        Hold::Quota(..) | Hold::Until(_) => {}
                        _ => proof = proof.max(Evidence::Answers),
                    }
                    hold = hold.or_stronger(its_hold);
                    self.count(class.stat(), Some(delivery));
                    let change = class.change().filter(|_| !item.is_parked());
                    if let Some(change) = change {
                        self.trouble(*item, change, &error);
                    }
                    if let Some(notice) =
                        change.and_then(|change| self.notice(*item, delivery, change, &error))
                    {
                        // The attempt was made: its result is written down, whether it can be told or not.
                        match notices::append(self.shared, notice, &mut transaction).await {
                            Ok(partitions) => wake.extend(partitions),
                            Err(error) => tracing::error!(%error, "an outcome could not be told"),
                        }
                    }
                    let failure = asked.failure(&error);
                    let uncertain = failure.uncertain;
                    let (outcome, next) = class.into_outcome(*item, failure);
                    // A delivery that was parked before and still is has been told about.
                    let ending = match &outcome {
                        Outcome::Dead { error } if uncertain => Some(Ending::Uncertain(error)),
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
            // What is known of the call is kept once.
            let trace = match transaction.settle.first() {
                None => trace.encode(),
                Some(first) => OutcomeTrace::answered_with(first.seq).encode(),
            };
            transaction.settle.push(Settlement { trace, ..Settlement::new(item.seq, outcome) });
            waits.extend(next);
        }
        self.settle_surely(transaction, &seen, &told).await?;
        self.shared.mailbox.wake(&wake);
        Ok(Finished { waits, hold, fenced: false, down, proof })
    }

    fn count(&self, stat: Stat, delivery: Option<&Delivery>) {
        self.shared.count(stat, 1, &self.batch.connection, delivery.map(|delivery| &*delivery.route));
    }

    /// What has a schedule is not late.
    fn count_delivered(&self, delivery: &Delivery, now: Timestamp) {
        let latency = delivery.schedule.is_none().then(|| now.saturating_since(delivery.event.at));
        self.shared.count_delivered(&self.batch.connection, &delivery.route, latency);
    }

    /// Adds what a delivery that ended leads to.
    fn follow(
        &self,
        delivery: &Delivery,
        ending: &Ending<'_>,
        transaction: &mut Transaction,
    ) -> Vec<Partition> {
        follow_ups::append(self.shared, &self.batch.connection, delivery, ending, transaction)
    }

    /// What failed attempts mean, one for each result. Where all of a batch would be given up, one of them may have
    /// made the others fail: none is, and fewer go together next.
    fn classify(
        &self,
        loaded: &Deliveries,
        results: &[Result<Receipt, Arc<Error>>],
        asked: Answered,
        now: Timestamp,
    ) -> Vec<Option<Class>> {
        let settings = &self.shared.settings;
        let classify = |(item, result): (&Item, &Result<Receipt, Arc<Error>>)| {
            let failure = asked.failure(result.as_ref().err()?);
            Some(Class::of(failure, *item, self.batch, settings, now))
        };
        let mut class: Vec<_> = loaded.items.iter().zip(results).map(classify).collect();
        let together = class.len() > 1 && matches!(asked.asked, SinkCall::ToSend { .. });
        if together && class.iter().all(|class| *class == Some(Class::Dead)) {
            let half = class.len() / 2;
            class.fill(Some(Class::Split(half)));
        }
        class
    }

    /// The notice of a delivery that was given up or parked; none about the delivery of a notice.
    fn notice(&self, item: Item, delivery: &Delivery, change: Change, error: &Error) -> Option<Notice> {
        (!delivery.event.is_outcome()).then(|| Notice {
            kind: "delivery",
            seq: item.seq,
            change,
            connection: self.batch.connection.clone(),
            lane: self.batch.lane,
            about: Some(delivery.event.entity.clone()),
            reason: error.to_string().into(),
        })
    }

    fn trouble(&self, item: Item, change: Change, error: &Error) {
        let kind = match change {
            Change::Parked => TroubleKind::DeliveryParked,
            _ => TroubleKind::DeliveryDead,
        };
        self.shared.trouble(kind, &self.batch.connection, item.seq, error.to_string().into());
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
    pub(super) async fn kill(
        &self,
        item: Item,
        delivery: Option<&Delivery>,
        error: &Error,
    ) -> Result<(), Stop> {
        let (connection, route) = (&self.batch.connection, delivery.map(|delivery| &delivery.route));
        let (record, cause) = (delivery.map(|delivery| &delivery.event.entity), causes(error));
        tracing::error!(%connection, ?route, ?record, seq = item.seq.0, %error, %cause, "a delivery is dead: replay it when the cause is gone");
        self.trouble(item, Change::Dead, error);
        let settle = vec![dead(item.seq, error)];
        let mut transaction = Transaction { fence: Some(self.lease), settle, ..Transaction::default() };
        let notice = delivery.and_then(|delivery| self.notice(item, delivery, Change::Dead, error));
        let mut wake = Vec::new();
        if let Some(notice) = notice {
            wake = notices::append(self.shared, notice, &mut transaction).await?;
        }
        if let Some(delivery) = delivery {
            let why = error.to_string();
            let is_known = error.effect() == Effect::None;
            let ending = if is_known { Ending::Dead(&why) } else { Ending::Uncertain(&why) };
            wake.extend(self.follow(delivery, &ending, &mut transaction));
        }
        apply(self.shared, transaction).await?;
        self.shared.mailbox.wake(&wake);
        self.count(Stat::Dead, delivery);
        Ok(())
    }

    /// Writes results until the log takes them: they happened, and must not be forgotten. Whoever stops the process
    /// meanwhile leaves attempts that are looked up at the next start.
    async fn apply_surely(&self, transaction: Transaction, told: &[ToldNow<'_>]) -> Result<(), Stop> {
        loop {
            let mut transaction = transaction.clone();
            let written = match conversation::keep(self.shared, &self.batch.connection, told).await {
                Ok(documents) => {
                    transaction.documents.extend(documents);
                    commit(self.shared, transaction).await
                }
                Err(error) => Err(error),
            };
            match written {
                Ok(Committed::Applied(_)) => return Ok(()),
                Ok(Committed::Fenced) => return Err(Stop::Fenced),
                Ok(Committed::Stale(key)) => {
                    tracing::debug!(%key, "another delivery has told about the record meanwhile");
                }
                Err(error) => {
                    tracing::error!(%error, "the log does not take the result of an attempt: trying again");
                    sleep_until(&*self.shared.clock, self.shared.clock.now() + SETTLE_PAUSE).await;
                }
            }
        }
    }

    /// Writes results with what was read back after our own writes, so that the vendor's webhook about them is no
    /// change. Somebody else may have written the snapshot meanwhile: then that webhook, or the next poll, tells.
    async fn settle_surely(
        &self,
        transaction: Transaction,
        seen: &[(Seq, Arc<Observation>)],
        told: &[ToldNow<'_>],
    ) -> Result<(), Stop> {
        match self.with_read_back(&transaction, seen, told).await {
            Ok(true) => Ok(()),
            Ok(false) => self.apply_surely(transaction, told).await,
            Err(error) => {
                tracing::warn!(%error, "what was read back is not kept");
                self.apply_surely(transaction, told).await
            }
        }
    }

    async fn with_read_back(
        &self,
        settled: &Transaction,
        seen: &[(Seq, Arc<Observation>)],
        told: &[ToldNow<'_>],
    ) -> Result<bool> {
        let registry = self.shared.registry();
        let Some(slot) = registry.source(&self.batch.connection).filter(|_| !seen.is_empty()) else {
            return Ok(false);
        };
        let (mut transaction, mut wake) = (settled.clone(), Vec::new());
        transaction.documents.extend(conversation::keep(self.shared, &self.batch.connection, told).await?);
        for (seq, seen) in seen {
            let (seen, parent) = (std::slice::from_ref(&**seen), Parent::Entry(*seq));
            let found = observe(self.shared, slot, seen, Purpose::Ours, parent, &mut transaction).await?;
            wake.extend(found.wake);
        }
        let applied = matches!(commit(self.shared, transaction).await?, Committed::Applied(_));
        self.shared.mailbox.wake(&wake);
        Ok(applied)
    }
}

fn done(seq: Seq, receipt: Receipt) -> Settlement {
    Settlement::new(seq, Outcome::Done { receipt: Some(receipt.reference) })
}
