//! Zoho Books as a place where something is done: approvals, submissions, acknowledgements.
//!
//! Every command begins with a read. What is there already counts as done, so that repeating one does no harm; what is
//! in the way is said in plain words. After an attempt whose answer was lost the books are read again before anything
//! is repeated, and not before a late request has had its time to arrive.

mod acknowledge;
pub(crate) mod command;
mod decide;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Context, Result, Sink, SinkInfo, Timestamp,
    http::Client,
    model::{Delivery, DeliveryPlan, LaneKey, Lookup, Observation, Receipt, Revision},
    snapshot::Facts,
};

use self::command::Command;
use crate::ZohoBooks;

/// How long a request may still arrive after its call has ended.
const LATE: Duration = Duration::from_secs(5);

#[async_trait]
impl Sink for ZohoBooks {
    fn info(&self) -> &SinkInfo {
        &self.sink
    }

    /// One command at a time for each document. Calls are admitted one by one: how many there are depends on what the
    /// reads show.
    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let command = Command::parse(&delivery.destination)?;
        let document = command.document(self.connection(), &delivery.event)?;
        Ok(DeliveryPlan::new(LaneKey::new(format!("document:{document}"))))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.carry_out(ctx, delivery, notes).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let command = Command::parse(&delivery.destination)?;
        let done = match command {
            Command::Approve | Command::Submit => self.decided(ctx, delivery, command).await?,
            Command::Acknowledge(field) => self.acknowledged(ctx, delivery, field, true).await?,
            Command::Withdraw(field) => self.acknowledged(ctx, delivery, field, false).await?,
        };
        // A request that was on its way when its caller gave up, or was killed, may still arrive.
        let certain = begun(delivery) + Client::LONGEST + LATE;
        Ok(match done {
            Some(receipt) => Lookup::Happened(receipt),
            None if ctx.now() < certain => Lookup::AskAgain { at: certain },
            None => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        self.client.organizations(ctx).await.map(drop)
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

impl ZohoBooks {
    async fn carry_out(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        notes: &dyn AttemptNotes,
    ) -> Result<Receipt> {
        let command = Command::parse(&delivery.destination)?;
        let begin = Begin { ctx, delivery, notes };
        match command {
            Command::Approve | Command::Submit => self.decide(begin, command).await,
            Command::Acknowledge(field) => self.acknowledge(begin, field).await,
            Command::Withdraw(field) => self.withdraw(begin, field).await,
        }
    }

    /// What a receipt says of a document that was read back. The engine takes what differs from what it knows for our own
    /// doing, unless a status or an amount tells more. So where somebody else may have edited the document meanwhile,
    /// which shows by the revision `before` our write, it is left to the webhook or the next poll; `None` = this attempt
    /// wrote nothing.
    async fn read_back(
        &self,
        ctx: &Context,
        before: Option<Revision>,
        after: Observation,
    ) -> Option<Arc<Observation>> {
        let record = after.state.record()?;
        let known = ctx.known(&self.sink.connection, &after.entity).await.ok()?;
        let is_told = known.is_none_or(|known| {
            before.is_some() && known.revision == before || known.facts != Some(Facts::of(record))
        });
        is_told.then(|| Arc::new(after))
    }

    pub(crate) fn connection(&self) -> &str {
        self.sink.connection.as_str()
    }
}

/// What a command needs to write.
#[derive(Clone, Copy)]
struct Begin<'a> {
    ctx: &'a Context,
    delivery: &'a Delivery,
    notes: &'a dyn AttemptNotes,
}

impl Begin<'_> {
    /// Keeps when the last write of this attempt began, so that a look-up knows how long it may still arrive: it waits for
    /// the limiter first, and for a token. Of an approval, also how many had approved before.
    async fn note(&self, approved: Option<usize>) -> Result<()> {
        let now = self.ctx.now().as_millis();
        let note = approved.map_or_else(|| now.to_string(), |approved| format!("{now} {approved}"));
        self.notes.keep(&[self.delivery.seq], Bytes::from(note)).await
    }
}

fn revision_of(seen: &Observation) -> Option<Revision> {
    seen.state.revision()
}

/// When the last write began, as far as is known.
fn begun(delivery: &Delivery) -> Timestamp {
    let (at, _) = noted(delivery);
    at.and_then(|at| at.parse().ok()).map_or(delivery.since, Timestamp::from_millis)
}

/// How many had approved before the last write began, as far as is known.
fn approved_before(delivery: &Delivery) -> Option<usize> {
    noted(delivery).1?.parse().ok()
}

fn noted(delivery: &Delivery) -> (Option<&str>, Option<&str>) {
    let note = delivery.note.as_ref().and_then(|note| std::str::from_utf8(note).ok());
    let mut words = note.unwrap_or_default().split(' ');
    (words.next(), words.next())
}
