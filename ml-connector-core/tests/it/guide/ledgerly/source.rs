//! Ledgerly as a source of events.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Source, SourceInfo, UpkeepRequest,
    decode,
    model::{
        EntityRef, Intake, Observation, Observed, Page, Prompt, Raw, Resolution, Signal, Subject, Upkeep,
    },
    snapshot::{Snapshot, revision_of},
};

use super::{
    Ledgerly,
    models::{MEANINGFUL, invoice},
};

impl Ledgerly {
    async fn observe(&self, ctx: &Context, id: &str) -> Result<Observed> {
        let raw = match self.client.get_invoice(ctx, id).await {
            Ok(raw) => raw,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Observed::Gone),
            Err(error) => return Err(error),
        };
        let record = decode::object(&raw, invoice)?.value;
        if &*record.id != id {
            return Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another invoice"));
        }
        let revision = revision_of(raw.get().as_bytes(), MEANINGFUL)?;
        Ok(Observed::Present {
            revision,
            order: None,
            content: record.into(),
            raw: Some(Raw::new(raw)),
            notes: Vec::new(),
        })
    }
}

#[async_trait]
impl Source for Ledgerly {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        Ok(Intake::accepted(vec![self.webhook.decode(request.request, request.now)?]))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let Some(Subject::Entity(entity)) = signals.first().map(|signal| &signal.subject) else {
            return Ok(Resolution::Done { note: "ledgerly tells about single invoices only" });
        };
        let read_at = ctx.now(); // before the read begins, never after
        let state = self.observe(ctx, &entity.id).await?;
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        if request.feed != "invoices" {
            return Err(Error::new(ErrorKind::Unsupported, "ledgerly has no such feed"));
        }
        let after = request.checkpoint.and_then(|checkpoint| std::str::from_utf8(checkpoint).ok());
        let page = self.client.list_invoices(ctx, after).await?;
        let signal = |id: String| Signal::entity(EntityRef::new("invoice", id));
        let signals = page.invoices.into_iter().map(signal).collect();
        let more = page.next.is_some();
        Ok(Page::new(page.next.map(Bytes::from).unwrap_or_default()).signals(signals).more(more))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        let next = ctx.now() + Duration::from_secs(86_400); // webhooks are set up by hand
        Ok(Upkeep::new(next))
    }
}
