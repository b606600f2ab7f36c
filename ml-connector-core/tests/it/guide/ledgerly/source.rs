//! Ledgerly as a source of events.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    CheckStep, Context, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Source, SourceInfo,
    UpkeepRequest, decode,
    http::{Pages, Position},
    model::{
        DeletionProof, EntityRef, Intake, Observation, Observed, Page, PollMode, Prompt, Raw, Record,
        Resolution, Signal, Subject, Upkeep,
    },
    snapshot::{Snapshot, revision_of},
};
use serde_json::value::RawValue;

use super::{
    Ledgerly,
    models::{Listed, MEANINGFUL, invoice, listed},
    webhook::Callback,
};

impl Ledgerly {
    async fn observe(&self, ctx: &Context, id: &str) -> Result<Observed> {
        let raw = match self.client.get_invoice(ctx, id).await {
            Ok(raw) => raw,
            // "No such invoice" is also said of one that may not be read: the list decides, read twice.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                for _ in 0..2 {
                    if self.lists(ctx, id).await? {
                        return Err(Error::new(ErrorKind::PermissionDenied, "the invoice may not be read"));
                    }
                }
                return Ok(Observed::Gone(DeletionProof::AbsentTwice));
            }
            Err(error) => return Err(error),
        };
        let record = decode::object(&raw, |from| invoice(&self.account, from))?.value;
        if &*record.id != id {
            return Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another invoice"));
        }
        present(record, raw)
    }

    /// Whether the list, read to its end, shows the invoice.
    async fn lists(&self, ctx: &Context, id: &str) -> Result<bool> {
        let mut pages = Pages::default();
        loop {
            let after = match pages.at() {
                Some(Position::Token(after)) => Some(after.as_str()),
                _ => None,
            };
            let page = self.client.list_invoices(ctx, after).await?;
            let rows = listed(&self.account, &page.invoices)?;
            // A row that does not say which invoice it is may be this one.
            if rows.iter().any(|row| row.id().is_none_or(|listed| listed == id)) {
                return Ok(true);
            }
            if !pages.advance(page.next.map(Position::Token), rows.iter().filter_map(Listed::id))? {
                return Ok(false);
            }
        }
    }
}

fn present(record: Record, raw: Box<RawValue>) -> Result<Observed> {
    let revision = revision_of(raw.get().as_bytes(), MEANINGFUL)?;
    let (content, raw) = (record.into(), Some(Raw::new(raw)));
    Ok(Observed::Present { revision, order: None, content, raw, notes: Vec::new() })
}

#[async_trait]
impl Source for Ledgerly {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        self.webhook.receive(request)
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
        let read_at = ctx.now();
        let page = self.client.list_invoices(ctx, after).await?;
        // At first, and of the past, a row is told as it is. Of news it only says what to read.
        let tells = matches!(request.mode, PollMode::Baseline | PollMode::Backfill { .. });
        let (mut rows, mut signals, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for listed in listed(&self.account, &page.invoices)? {
            match listed {
                Listed::Row(record, raw) if tells => {
                    rows.push(Observation {
                        entity: record.entity(),
                        read_at,
                        state: present(*record, raw)?,
                    });
                }
                Listed::Row(record, _) => signals.push(Signal::entity(record.entity())),
                Listed::Id(id) => signals.push(Signal::entity(EntityRef::new("invoice", id))),
                Listed::Lost(row) => lost.push(row),
            }
        }
        let more = page.next.is_some();
        let checkpoint = page.next.map(Bytes::from).unwrap_or_default();
        Ok(Page::new(checkpoint).rows(rows).signals(signals).lost(lost).more(more))
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        let (soon, daily) = (ctx.now() + Duration::from_secs(60), ctx.now() + Duration::from_secs(86_400));
        let kept = request.state.cloned().unwrap_or_default();
        let Some(url) = request.callback else { return Ok(Upkeep::new(daily).state(kept)) };
        let wanted = || Callback { url: url.to_owned(), verifier: None }.write();
        let Some(Callback { verifier, .. }) = Callback::read(request.state).filter(|known| known.url == url)
        else {
            // Written down before Ledgerly is asked: its verifier may come before its answer.
            let look_again = Signal::of(Subject::Subscription("webhook".into()));
            return Ok(Upkeep::new(soon).state(wanted()?).signals(vec![look_again]));
        };
        let hooks = self.client.list_webhooks(ctx).await?;
        match (hooks.into_iter().find(|hook| hook.url == url), verifier) {
            (None, _) => {
                self.client.create_webhook(ctx, url).await?;
                // Changes may have gone untold.
                let missed = Signal::feed("invoices", None);
                Ok(Upkeep::new(soon).state(wanted()?).signals(vec![missed]))
            }
            (Some(hook), None) => {
                self.client.verify_webhook(ctx, &hook.id, None).await?;
                Ok(Upkeep::new(soon).state(kept))
            }
            (Some(hook), Some(verifier)) if !hook.verified => {
                match self.client.verify_webhook(ctx, &hook.id, Some(verifier.expose())).await {
                    Ok(()) => Ok(Upkeep::new(daily).state(kept)),
                    // It was somebody else's.
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        Ok(Upkeep::new(soon).state(wanted()?))
                    }
                    Err(error) => Err(error),
                }
            }
            (Some(_), Some(_)) => Ok(Upkeep::new(daily).state(kept)),
        }
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        vec![CheckStep::of("read invoices", self.client.list_invoices(ctx, None).await.as_ref())]
    }
}
