//! Business Central as a place where invoices are posted.
//!
//! Posting cannot be undone. So every attempt begins with a read on the primary, compares what is there with what was shown,
//! and is bound to that state by its etag; and after an attempt whose outcome is not known, nothing is sent again before
//! Business Central can have finished with it.

pub(crate) mod command;
mod post;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, CheckStep, Context, ErrorKind, Result, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, LaneKey, Lookup, Receipt},
};

use self::post::Standing;
use crate::{BusinessCentral, source::unreadable};

/// When an attempt is looked up, counted from its beginning.
const LOOKS: [u64; 4] = [2, 10, 30, 120];

#[async_trait]
impl Sink for BusinessCentral {
    fn info(&self) -> &SinkInfo {
        &self.sink
    }

    /// One posting at a time for each document. Calls are admitted one by one.
    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        command::require(&delivery.destination)?;
        let (_, document) = command::document(self.sink.connection.as_str(), &delivery.event)?;
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
            results.push(self.post_document(Begin { ctx, delivery, notes }).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        command::require(&delivery.destination)?;
        let (set, entity) = command::document(self.sink.connection.as_str(), &delivery.event)?;
        let seen = match self.read_now(ctx, (set, entity)).await {
            // A posted invoice keeps its id, so one that is gone was not posted. Unless it is only not readable.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if self.is_gone(ctx, set, &entity.id, 2).await? {
                    return Ok(Lookup::DidNotHappen);
                }
                return Err(unreadable(&entity.id, error));
            }
            seen => seen?.0,
        };
        if let Standing::Posted(record) = post::standing(&seen)? {
            let receipt = post::found(entity, record, delivery);
            return Ok(Lookup::Happened(self.with_read_back(ctx, receipt, None, seen.clone()).await));
        }
        // Still a draft: that is no answer while the attempt may be under way, here or there.
        let begun = begun(delivery);
        let certain = begun + self.posting_ends_after;
        if ctx.now() >= certain {
            return Ok(Lookup::DidNotHappen);
        }
        let looks = LOOKS.map(|secs| begun + Duration::from_secs(secs));
        let at = looks.into_iter().find(|at| *at > ctx.now()).unwrap_or(certain);
        Ok(Lookup::AskAgain { at })
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        self.poster.companies(ctx).await.map(drop)
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        vec![self.look_at_poster(ctx).await]
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

/// What an attempt needs.
#[derive(Clone, Copy)]
struct Begin<'a> {
    ctx: &'a Context,
    delivery: &'a Delivery,
    notes: &'a dyn AttemptNotes,
}

impl Begin<'_> {
    /// Keeps when the attempt began to write, so that a look-up knows how long it may be under way.
    async fn note(&self) -> Result<()> {
        let now = self.ctx.now().as_millis().to_string();
        self.notes.keep(&[self.delivery.seq], Bytes::from(now)).await
    }
}

/// When the last write began, as far as is known.
fn begun(delivery: &Delivery) -> Timestamp {
    let noted = delivery.note.as_ref().and_then(|note| std::str::from_utf8(note).ok()?.parse().ok());
    noted.map_or(delivery.since, Timestamp::from_millis)
}
