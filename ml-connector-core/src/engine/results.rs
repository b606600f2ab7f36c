//! What became of an attempt, written down: outcomes, what follows from them, and what is told about them.

use std::{sync::Arc, time::Duration};

use super::{
    consequences::{self, Ending},
    conversation,
    deliver::{Asked, Attempt, Loaded},
    judge::{Failure, Judged},
    lanes::{Hold, Item},
    observe::{Purpose, observe},
    outcome::{self, Told},
    resolve::{Stop, apply, commit, dead},
    run::Finished,
    stats::Stat,
};
use crate::{
    Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    audit::{Committed, Outcome, Parent, Settlement, Transaction},
    clock::sleep_until,
    model::{Change, Delivery, Observation, Partition, Receipt, Seq},
    rate::Feedback,
};

/// How long to wait before a result that could not be written is written again.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    /// Writes down what became of each delivery.
    pub(super) async fn settle(
        &self,
        loaded: &Loaded,
        results: Vec<Result<Receipt, Arc<Error>>>,
        asked: Asked,
    ) -> Result<Finished, Stop> {
        let now = self.shared.clock.now();
        let (mut hold, mut waits, mut reason) = (Hold::None, Vec::new(), None);
        let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
        let (mut wake, mut seen) = (Vec::new(), Vec::new());
        let judged = self.judge(loaded, &results, asked, now);
        let mut told: Vec<(&Delivery, Arc<str>)> = Vec::new();
        for (((item, delivery), result), judged) in loaded.iter().zip(results).zip(judged) {
            let (outcome, next) = match (result, judged) {
                (Ok(receipt), _) => {
                    self.shared.stats.count(Stat::Delivered);
                    if delivery.follow.is_some() {
                        told.push((delivery, Arc::clone(&receipt.reference)));
                    }
                    wake.extend(self.follow(delivery, &Ending::Done(&receipt), &mut transaction));
                    seen.extend(receipt.observed.iter().cloned().map(|seen| (item.seq, seen)));
                    (done(item.seq, receipt).outcome, None)
                }
                (Err(error), _) if conversation::is_root_gone(delivery, &error) => {
                    self.shared.stats.count(Stat::Retried);
                    let (outcome, next) = self.begin_anew(*item, delivery, &error, &mut transaction);
                    (outcome, Some(next))
                }
                (Err(error), judged) => {
                    let judged = judged.unwrap_or(Judged::Dead);
                    tracing::warn!(seq = item.seq.0, %error, outcome = judged.name(), "an attempt did not succeed");
                    self.report(&error, now).await;
                    let its_hold = judged.hold(&error, now);
                    if matches!(its_hold, Hold::Outage(_)) {
                        reason = Some(Arc::from(error.to_string()));
                    }
                    hold = stronger(hold, its_hold);
                    self.shared.stats.count(judged.stat());
                    let change = judged.change().filter(|_| item.due != Timestamp::MAX);
                    if let Some(told) = change.and_then(|change| self.told(*item, delivery, change, &error)) {
                        // The attempt was made: its result is written down, whether it can be told or not.
                        match outcome::append(self.shared, told, &mut transaction).await {
                            Ok(partitions) => wake.extend(partitions),
                            Err(error) => tracing::error!(%error, "an outcome could not be told"),
                        }
                    }
                    let (outcome, next) = judged.into_outcome(*item, asked.failure(&error));
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
            transaction.settle.push(Settlement::new(item.seq, outcome));
            waits.extend(next);
        }
        self.settle_surely(transaction, &seen, &told).await?;
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

    /// What failed attempts mean, one for each result. Where all of a batch would be given up, one of them may have
    /// made the others fail: none is, and fewer go together next.
    fn judge(
        &self,
        loaded: &Loaded,
        results: &[Result<Receipt, Arc<Error>>],
        asked: Asked,
        now: Timestamp,
    ) -> Vec<Option<Judged>> {
        let settings = &self.shared.settings;
        let judge = |(item, result): (&Item, &Result<Receipt, Arc<Error>>)| {
            let failure = asked.failure(result.as_ref().err()?);
            Some(Judged::of(failure, *item, self.batch, settings, now))
        };
        let mut judged: Vec<_> = loaded.items.iter().zip(results).map(judge).collect();
        let together = judged.len() > 1 && matches!(asked, Asked::ToSend { .. });
        if together && judged.iter().all(|judged| *judged == Some(Judged::Dead)) {
            let half = judged.len() / 2;
            judged.fill(Some(Judged::Split(half)));
        }
        judged
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
    async fn apply_surely(
        &self,
        transaction: Transaction,
        told: &[(&Delivery, Arc<str>)],
    ) -> Result<(), Stop> {
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
        told: &[(&Delivery, Arc<str>)],
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
        told: &[(&Delivery, Arc<str>)],
    ) -> Result<bool> {
        let registry = self.shared.registry();
        let Some(slot) = registry.source(&self.batch.connection).filter(|_| !seen.is_empty()) else {
            return Ok(false);
        };
        let (mut transaction, mut wake) = (settled.clone(), Vec::new());
        transaction.documents.extend(conversation::keep(self.shared, &self.batch.connection, told).await?);
        for (seq, seen) in seen {
            let (seen, parent) = (std::slice::from_ref(&**seen), Parent::Entry(*seq));
            let noticed = observe(self.shared, slot, seen, Purpose::Ours, parent, &mut transaction).await?;
            wake.extend(noticed.wake);
        }
        let applied = matches!(commit(self.shared, transaction).await?, Committed::Applied(_));
        self.shared.wake.partitions(&wake);
        Ok(applied)
    }
}

impl Asked {
    /// What an error leaves open.
    fn failure(self, error: &Error) -> Failure<'_> {
        let too_often = error.kind() == ErrorKind::RateLimited;
        let (uncertain, paced) = match self {
            Self::ToSend { look_up_first } => {
                let uncertain = look_up_first && error.effect() != Effect::None;
                (uncertain, too_often && !uncertain)
            }
            // A question that comes too often leaves the answer as open as before.
            Self::WhatBecame => (true, too_often),
        };
        Failure { error, uncertain, paced }
    }
}

/// What a batch waits for whose deliveries wait for different things.
fn stronger(a: Hold, b: Hold) -> Hold {
    let rank = |hold: &Hold| match hold {
        Hold::None => 0,
        Hold::Split(_) => 1,
        Hold::Until(_) | Hold::Quota(..) => 2,
        Hold::Blocked => 3,
        Hold::Parked => 4,
        Hold::Outage(_) => 5,
    };
    if rank(&b) >= rank(&a) { b } else { a }
}

fn done(seq: Seq, receipt: Receipt) -> Settlement {
    Settlement::new(seq, Outcome::Done { receipt: Some(receipt.reference) })
}
