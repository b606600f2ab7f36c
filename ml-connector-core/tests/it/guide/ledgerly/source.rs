//! Ledgerly as a source of events.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Source, SourceInfo, Timestamp, decode,
    model::{
        EntityRef, Intake, Observation, Observed, Page, PollMode, Prompt, Raw, Resolution, Signal, Subject,
        Upkeep,
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
        Ok(Observed::Present { revision, order: None, record: Box::new(record), raw: Some(Raw::new(raw)) })
    }
}

#[async_trait]
impl Source for Ledgerly {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: &Request<Bytes>, _: Option<&Bytes>, now: Timestamp) -> Result<Intake> {
        Ok(Intake::accepted(vec![self.webhook.decode(request, now)?]))
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

    async fn poll(&self, ctx: &Context, feed: &str, _: PollMode, checkpoint: Option<&Bytes>) -> Result<Page> {
        if feed != "invoices" {
            return Err(Error::new(ErrorKind::Unsupported, "ledgerly has no such feed"));
        }
        let after = checkpoint.and_then(|checkpoint| std::str::from_utf8(checkpoint).ok());
        let page = self.client.list_invoices(ctx, after).await?;
        let signal = |id: String| Signal::entity(EntityRef::new("invoice", id));
        Ok(Page {
            observations: Vec::new(),
            signals: page.invoices.into_iter().map(signal).collect(),
            more: page.next.is_some(),
            checkpoint: page.next.map(Bytes::from).unwrap_or_default(),
        })
    }

    async fn upkeep(&self, ctx: &Context, _: Option<&str>, _: Option<&Bytes>) -> Result<Upkeep> {
        let next = ctx.now() + Duration::from_secs(86_400); // webhooks are set up by hand
        Ok(Upkeep { state: Bytes::new(), signals: Vec::new(), next, problem: None })
    }
}
