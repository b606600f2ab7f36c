//! Business Central as a source of events.

pub(crate) mod check;
mod checkpoint;
mod poll;
pub(crate) mod quiet;
mod read;
pub(crate) mod responsible;

use std::time::Duration;

pub(crate) use self::read::unreadable;
use async_trait::async_trait;
use ml_connector_core::{
    CheckStep, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Source, SourceInfo, UpkeepRequest, error_context,
    model::{Intake, Page, Prompt, Resolution, Signal, Subject, Upkeep},
    snapshot::Snapshot,
    webhook::look_after,
};

use crate::{
    BusinessCentral,
    models::Set,
    webhook::{
        Wanted,
        place::Known,
        subscriptions::{LOOK_EVERY, Registration},
    },
};

/// There is nothing to look after where nobody can call.
const IDLE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A renewal or repair that failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// The documented list leaves them out; the published rule lets them in.
const UNDOCUMENTED: [&str; 2] = ["purchaseOrders", Set::APPROVAL_ENTRIES];

#[async_trait]
impl Source for BusinessCentral {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let webhook = self.webhook.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::SignatureInvalid, "the connection takes no notifications: it only polls")
        })?;
        webhook.decode(request.request, request.now)
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let Some(Subject::Entity(entity)) = signals.first().map(|signal| &signal.subject) else {
            return Ok(Resolution::Done { note: "business_central reads single records only" });
        };
        match Set::of_kind(&entity.kind).filter(|set| self.sets.contains(set)) {
            Some(set) => self.read(ctx, set, entity, signals, last).await,
            None => Ok(Resolution::Done { note: "business_central does not read records of this kind" }),
        }
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let own = |name: &str| self.source.feeds.iter().any(|feed| feed.name == name);
        if !own(request.feed) {
            return Err(Error::new(ErrorKind::Unsupported, "business_central has no such feed")
                .with_context(error_context::FEED, request.feed.escape_debug()));
        }
        match Set::named(request.feed) {
            Some(set) => self.page(ctx, set, request.mode, request.checkpoint).await,
            None => self.approvals_page(ctx, request.checkpoint).await,
        }
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        let mut known = Known::at(&self.place, &request);
        let Some((webhook, callback)) = self.webhook.as_ref().zip(request.callback) else {
            return Ok(Upkeep::new(ctx.now() + IDLE).state(known.write()?));
        };
        known.leave(ctx, (webhook, &self.client), &self.place).await?;
        let supported = self.client.webhook_resources(ctx).await?;
        let all = webhook.wanted().iter().filter(|wanted| wanted.set.is_some() || self.approval_entries);
        let wanted: Vec<Wanted> =
            all.filter(|wanted| tells(supported.as_deref(), wanted.name)).cloned().collect();
        let registration = Registration { webhook, client: &self.client, callback, wanted };
        let looked = look_after(&registration, ctx).await?;
        known.is_here(&self.place, callback);
        let usual = if looked.complete { ctx.now() + LOOK_EVERY } else { ctx.now() + AGAIN };
        let next = looked.again.map_or(usual, |again| again.min(usual));
        // What happened while nobody was told is read.
        let feeds = self.source.feeds.iter().filter(|_| looked.repaired);
        let signals = feeds.map(|feed| Signal::feed(feed.name, None)).collect();
        if let Some(problem) = &looked.problem {
            tracing::warn!(connection = %self.source.connection, problem, "notifications do not come");
        }
        // Nobody posts before somebody has decided: that the other app cannot is told before.
        let problems: Vec<String> =
            looked.problem.into_iter().chain(self.poster_problem(ctx).await).collect();
        let upkeep =
            Upkeep::new(next).state(known.write()?).signals(signals).subscriptions(looked.subscriptions);
        Ok(upkeep.problem((!problems.is_empty()).then(|| problems.join("; ").into())))
    }

    async fn unsubscribe(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<()> {
        let Some((webhook, callback)) = self.webhook.as_ref().zip(request.callback) else { return Ok(()) };
        Known::at(&self.place, &request).leave(ctx, (webhook, &self.client), &self.place).await?;
        let wanted = webhook.wanted().to_vec();
        Registration { webhook, client: &self.client, callback, wanted }.remove(ctx).await
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.look(ctx).await
    }
}

/// Whether a set tells about its changes, by the list of those that do, where this version has one.
fn tells(supported: Option<&[String]>, name: &str) -> bool {
    match supported {
        Some(supported) => supported.iter().any(|one| one == name),
        None => !UNDOCUMENTED.contains(&name),
    }
}

/// Both halves: what happens in the company, and what is posted in it.
impl IntoConnection for BusinessCentral {
    fn into_connection(self) -> Result<Connection> {
        Ok(Connection::new().source(self.clone()).sink(self))
    }
}
