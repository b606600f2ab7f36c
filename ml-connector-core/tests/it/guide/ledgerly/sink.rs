//! Ledgerly as a place for notes: one delivery, one note at the record.

use async_trait::async_trait;
use ml_connector_core::{
    AttemptNotes, Context, Error, ErrorKind, Result, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, Destination, Lookup, Receipt},
};

use super::{Ledgerly, models::Note};

/// The notes at the record that an event is about.
pub fn notes() -> Destination {
    Destination::from("notes")
}

impl Ledgerly {
    async fn write(&self, ctx: &Context, delivery: &Delivery) -> Result<Receipt> {
        let event = &delivery.event;
        let note = Note {
            id: String::new(),
            reference: delivery.id.to_string(), // the same for every attempt: what a look-up finds
            text: format!("{} ({})", event.event_type(), event.connection),
        };
        let created = self.client.create_note(ctx, &event.entity.id, &note).await?;
        Ok(Receipt::new(created.id))
    }
}

#[async_trait]
impl Sink for Ledgerly {
    fn info(&self) -> &SinkInfo {
        &self.sink
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        if delivery.destination != notes() {
            // With the context `destination`, routes that name it are refused.
            return Err(Error::new(ErrorKind::InvalidRequest, "expected the destination made by notes()")
                .with_context("destination", delivery.destination.as_str().escape_debug()));
        }
        if &*delivery.event.entity.kind != "invoice" {
            return Err(Error::new(ErrorKind::InvalidRequest, "ledgerly takes notes at invoices only"));
        }
        Ok(DeliveryPlan::new(delivery.event.entity.lane()).costs(vec![self.client.cost().clone()]))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.write(ctx, delivery).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let reference = delivery.id.to_string();
        let list = self.client.list_notes(ctx, &delivery.event.entity.id, &reference).await?;
        // Ledgerly lists a note as soon as it is written. Where a vendor does not promise that, look twice.
        Ok(match list.notes.into_iter().find(|note| note.reference == reference) {
            Some(note) => Lookup::Happened(Receipt::new(note.id)),
            None => Lookup::DidNotHappen,
        })
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        self.client.list_invoices(ctx, None).await.map(drop)
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
