//! FreshBooks as a source of events.

pub(crate) mod absent;
mod check;
mod poll;
mod read;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ml_connector_core::{
    CheckStep, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Scope, Source, SourceInfo, Timestamp, UpkeepRequest,
    model::{Intake, Page, PollMode, Prompt, Resolution, Signal, Subject, Upkeep},
    snapshot::Snapshot,
};

use self::poll::Listing;
use crate::{
    FreshBooks,
    models::{Business, Identity, KINDS, by_kind, feed_of},
};

impl FreshBooks {
    /// The person who connected, and the businesses they belong to: for a host that asks which of them is meant. Any
    /// account id of the right form will do as the connection's own until then.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when FreshBooks does not take the token.
    pub async fn identity(&self, ctx: &Context) -> Result<Identity> {
        self.client.identity(ctx).await
    }

    /// Looks once, in each process, whether the account is one of the person's who connected. Whatever is read waits for that.
    async fn require_account(&self, ctx: &Context) -> Result<()> {
        self.verified.get_or_try_init(|| self.find_account(ctx)).await.copied()
    }

    async fn find_account(&self, ctx: &Context) -> Result<()> {
        let identity = self.identity(ctx).await?;
        self.account_among(&identity, ctx.now())
    }

    /// Looks whether the account is one of the person's, and takes from it what is not set.
    fn account_among(&self, identity: &Identity, now: Timestamp) -> Result<()> {
        let own = self.client.account_id();
        let wrong = |message| {
            Error::new(ErrorKind::ConfigInvalid, message)
                .with_scope(Scope::Connection)
                .with_operation("freshbooks.get_identity")
                .with_context("account_id", own)
        };
        let is_own = |business: &&Business| business.account_id.as_deref() == Some(own);
        let Some(business) = identity.businesses.iter().find(is_own) else {
            if identity.accounts.iter().any(|account| account == own) && !self.source.lacks_zone() {
                return Ok(());
            }
            let named = identity.businesses.iter().filter_map(|business| business.account_id.as_deref());
            let ids: BTreeSet<&str> = named.chain(identity.accounts.iter().map(String::as_str)).collect();
            if ids.contains(&own) {
                return Err(wrong("FreshBooks does not tell the business's time zone: set time_zone"));
            }
            let error = wrong("account_id is none of the accounts of the person who connected");
            return Err(error.with_context("accounts", Vec::from_iter(ids).join(", ")));
        };
        if business.role == "client" {
            return Err(wrong(
                "the person who connected is a client of this account, and sees only what was sent to them",
            ));
        }
        let differs = |setting: &Option<String>, told: Option<&str>| {
            setting.as_deref().zip(told).is_some_and(|(setting, told)| setting != told)
        };
        if differs(&self.business_id, Some(&business.business_id)) {
            return Err(wrong("business_id is not the business of the account")
                .with_context("business_id", &business.business_id));
        }
        if differs(&self.business_uuid, business.business_uuid.as_deref()) {
            return Err(wrong("business_uuid is not the business of the account"));
        }
        match &business.time_zone {
            Some(told) => self.source.told(told, now),
            None if self.source.lacks_zone() => {
                return Err(wrong("FreshBooks does not tell the business's time zone: set time_zone"));
            }
            None => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Source for FreshBooks {
    fn info(&self) -> &SourceInfo {
        self.source.info()
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        self.webhook.receive(request)
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
            return Ok(Resolution::Done { note: "freshbooks reads single records only" });
        };
        if self.source.lacks_zone() {
            self.require_account(ctx).await?;
        }
        by_kind!(
            &*entity.kind,
            T => self.read::<T>(ctx, entity, signals, last).await,
            Ok(Resolution::Done { note: "freshbooks does not read records of this kind" })
        )
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let PollRequest { feed, mode, checkpoint, .. } = request;
        let unsupported = Err(Error::new(ErrorKind::Unsupported, "freshbooks has no such feed")
            .with_context("feed", feed.escape_debug()));
        let Some(kind) = KINDS.into_iter().find(|kind| feed_of(kind) == Some(feed)) else {
            return unsupported;
        };
        let begins = mode == PollMode::Baseline && checkpoint.is_none() || self.source.lacks_zone();
        match self.require_account(ctx).await {
            Err(error) if begins || error.scope() == &Scope::Connection => return Err(error),
            // What has begun goes on, and the next poll looks again.
            Err(error) => tracing::warn!(%error, "the account cannot be looked at"),
            Ok(()) => {}
        }
        let listing = Listing { books: self, ctx, client: self.client.in_background(), mode };
        by_kind!(kind, T => listing.page::<T>(checkpoint).await, unsupported)
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        self.webhook.look_after(ctx, &self.client, self.source.info(), request).await
    }

    async fn unsubscribe(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<()> {
        self.webhook.remove(ctx, &self.client, request).await
    }

    /// The login, the account, every list that is read, the callbacks: steps are named after them.
    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.look(ctx).await
    }
}

/// FreshBooks is only read.
impl IntoConnection for FreshBooks {
    fn into_connection(self) -> Result<Connection> {
        Ok(Connection::new().source(self))
    }
}
