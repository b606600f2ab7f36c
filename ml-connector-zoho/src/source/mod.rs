//! Zoho Books as a source of events.

mod check;
mod poll;

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use ml_connector_core::{
    CheckStep, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Scope, Source, SourceInfo, UpkeepRequest, error_context,
    model::{
        DeletionProof, EntityRef, Intake, Observation, Observed, Page, PollMode, Prompt, Raw, RecordKind,
        Resolution, Signal, Subject, Upkeep,
    },
    snapshot::Snapshot,
};

use self::poll::Listing;
use crate::{
    ZohoBooks,
    client::{BooksClient, Detail, Filter},
    config::poll_interval,
    models::{KINDS, Organization, Resource, User, by_kind, feed_of, revision},
    webhook::{is_deletion, subscriptions::LOOK_EVERY},
};

/// A record that was just created may not be readable yet.
const FRESH: Duration = Duration::from_secs(30);
/// How many pages of a list are read to prove that a record is gone: 5,000 rows.
const MAX_PAGES: u32 = 25;
/// There is nothing to look after where webhooks are set up by hand.
const UPKEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl ZohoBooks {
    /// Reads one document as it is now.
    ///
    /// # Errors
    /// As [`BooksClient::get`]; [`ErrorKind::Unsupported`] for a kind that is not read.
    pub(crate) async fn read_document(&self, ctx: &Context, entity: &EntityRef) -> Result<Observation> {
        let read_at = ctx.now();
        let state = by_kind!(
            RecordKind::from(&*entity.kind),
            T => self.present::<T>(self.client.get::<T>(ctx, &entity.id).await?),
            Err(Error::new(ErrorKind::Unsupported, "zoho_books does not read records of this kind")
                .with_context("kind", entity.kind.escape_debug()))
        )?;
        Ok(Observation { entity: entity.clone(), read_at, state })
    }

    /// The organizations of the person who connected: for a host that asks which of them is meant. Any id of the
    /// right form will do as the connection's own until then.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when the API does not take the token.
    pub async fn organizations(&self, ctx: &Context) -> Result<Vec<Organization>> {
        self.client.organizations(ctx).await
    }

    /// The users of the organization, 200 at most.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when the API does not take the token; [`ErrorKind::ConfigInvalid`] when the
    /// organization is not one of the connected person's.
    pub async fn users(&self, ctx: &Context) -> Result<Vec<User>> {
        self.client.users(ctx).await
    }

    /// Looks once, in each process, whether the organization is among those of the person who connected.
    async fn require_organization(&self, ctx: &Context) -> Result<()> {
        // The other feeds, which begin at the same time, do not wait: Zoho would refuse them, too.
        if self.verified.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let verified = self.find_organization(ctx).await.map(drop);
        self.verified.store(verified.is_ok(), Ordering::Relaxed);
        verified
    }

    async fn find_organization(&self, ctx: &Context) -> Result<Organization> {
        let found = self.organizations(ctx).await.map_err(|error| match error.kind() {
            // What the token endpoint says, or that there is no token, is clear enough.
            ErrorKind::Unauthenticated if error.context(error_context::STATUS).is_some() => Error::new(
                ErrorKind::Unauthenticated,
                "the API does not take a fresh token: the API host is of another data center than the accounts \
                 host, or the scope ZohoBooks.settings.READ is missing",
            )
            .with_scope(error.scope().clone())
            .with_source(error),
            _ => error,
        })?;
        let own = self.client.organization_id();
        let ids: Vec<String> = found.iter().map(|organization| organization.id.clone()).collect();
        if let Some(organization) = found.into_iter().find(|organization| organization.id == own) {
            self.source.told(&organization.time_zone, ctx.now());
            if let Some((set, own)) = self.client.wrong_home() {
                tracing::error!(
                    connection = %self.source.info().connection,
                    configured = %set,
                    organization = %own,
                    "base_currency is not the organization's, whose own is taken"
                );
            }
            return Ok(organization);
        }
        let message = "organization_id is none of the organizations of the person who connected";
        Err(Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Connection)
            .with_operation("zoho_books.list_organizations")
            .with_context("organization_id", own)
            .with_context("organizations", ids.join(", ")))
    }

    /// How often a feed is read at most: a trial has fewer calls a day than its plan, and says so only in its answers.
    /// Where the schedule is slow enough already, a read that comes earlier was asked for.
    fn at_most_every(&self) -> Duration {
        let scheduled = self.source.info().feeds.first().map_or(Duration::ZERO, |feed| feed.every);
        let calls = self.client.calls_per_day().filter(|_| self.stretches);
        let enough = calls.map(poll_interval).filter(|interval| *interval > scheduled);
        // A little less, so that a run which began a moment late does not cost the next one its turn.
        enough.map_or(Duration::ZERO, |interval| interval * 9 / 10)
    }

    async fn read<T: Resource>(
        &self,
        ctx: &Context,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let read_at = ctx.now();
        let can_wait = |hint: &str| matches!(hint, Signal::BACKFILL | Signal::SWEPT);
        let can_wait = signals.iter().all(|signal| signal.hint.as_deref().is_some_and(can_wait));
        let client = if can_wait { &self.client.in_background() } else { &self.client };
        let state = match client.get::<T>(ctx, &entity.id).await {
            Ok(detail) if detail.record.id != entity.id => {
                return Err(Error::new(ErrorKind::InvalidResponse, "the answer is about another record")
                    .with_context("record", &entity.id));
            }
            Ok(detail) => self.present::<T>(detail)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.missing::<T>(ctx, client, &entity.id, signals, last).await? {
                    Missing::Gone(proof) => Observed::Gone(proof),
                    Missing::Known => return Ok(Resolution::Done { note: "the record is known to be gone" }),
                    Missing::Fresh => return Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH }),
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
    }

    fn present<T: Resource>(&self, detail: Detail) -> Result<Observed> {
        let Detail { mut record, stage, raw, left_out } = detail;
        if !left_out.is_empty() {
            tracing::warn!(connection = %self.source.info().connection, entity = %record.entity(), ?left_out, "values were left out");
        }
        record.url = self.site.link::<T>(&record.id);
        let revision = revision::<T>(&raw, &record, &stage)?;
        let (content, raw) = (record.into(), Some(Raw::new(raw)));
        Ok(Observed::Present { revision, order: None, content, raw, notes: left_out })
    }

    /// What "does not exist" means: Zoho says the same of a record that was deleted, of one that may not be seen,
    /// and of one that is not visible yet.
    async fn missing<T: Resource>(
        &self,
        ctx: &Context,
        client: &BooksClient,
        id: &str,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Missing> {
        if signals.iter().filter_map(|signal| signal.hint.as_deref()).any(is_deletion) {
            return Ok(Missing::Gone(DeletionProof::SignedDeletion));
        }
        let Some(last) = last else { return Ok(Missing::Fresh) };
        if last.revision.is_none() {
            return Ok(Missing::Known);
        }
        let number = last.facts.as_ref().and_then(|facts| facts.number.as_deref());
        // A sweep has just read the whole list.
        let swept = signals.iter().any(|signal| signal.hint.as_deref() == Some(Signal::SWEPT));
        for _ in 0..if swept { 1 } else { 2 } {
            self.require_absent::<T>(ctx, client, id, number).await?;
        }
        Ok(Missing::Gone(DeletionProof::AbsentTwice))
    }

    /// Looks for the record where it would be listed. The number's filter is not documented for payments, and
    /// Zoho then lists everything; so pages are read until there is no more.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when it is listed; [`ErrorKind::NotFound`] when the list does not end.
    async fn require_absent<T: Resource>(
        &self,
        ctx: &Context,
        client: &BooksClient,
        id: &str,
        number: Option<&str>,
    ) -> Result<()> {
        for page in 1..=MAX_PAGES {
            let rows = client.list::<T>(ctx, Filter::Number(number), page).await?;
            let is_listed = rows.rows.iter().any(|row| &*row.record.id == id);
            if is_listed || rows.unreadable.iter().any(|unreadable| unreadable == id) {
                let error = "the record is listed, but may not be read";
                return Err(Error::new(ErrorKind::PermissionDenied, error)
                    .with_operation(T::GET)
                    .with_context("id", id));
            }
            // A row that does not say which record it is may be this one.
            if !rows.lost.is_empty() {
                break;
            }
            if !rows.has_more {
                return Ok(());
            }
            if rows.rows.is_empty() && rows.unreadable.is_empty() {
                break;
            }
        }
        let error = "the list has no end that proves that a record is gone";
        Err(Error::new(ErrorKind::NotFound, error).with_operation(T::LIST).with_context("id", id))
    }
}

enum Missing {
    Gone(DeletionProof),
    /// It was gone before.
    Known,
    Fresh,
}

#[async_trait]
impl Source for ZohoBooks {
    fn info(&self) -> &SourceInfo {
        self.source.info()
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let request = request.request;
        let webhook = self.webhook.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::SignatureInvalid, "the connection has no webhook secret: it only polls")
        })?;
        webhook.decode(request).map(|signal| Intake::accepted(vec![signal]))
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
            return Ok(Resolution::Done { note: "zoho_books reads single records only" });
        };
        by_kind!(
            RecordKind::from(&*entity.kind),
            T => self.read::<T>(ctx, entity, signals, last).await,
            Ok(Resolution::Done { note: "zoho_books does not read records of this kind" })
        )
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        let PollRequest { feed, mode, checkpoint, .. } = request;
        let unsupported = Err(Error::new(ErrorKind::Unsupported, "zoho_books has no such feed")
            .with_context("feed", feed.escape_debug()));
        let Some(kind) = KINDS.into_iter().find(|kind| feed_of(kind) == Some(feed)) else {
            return unsupported;
        };
        let begins = mode == PollMode::Baseline && checkpoint.is_none() || self.source.lacks_zone();
        match self.require_organization(ctx).await {
            Err(error) if begins || error.scope() == &Scope::Connection => return Err(error),
            // What has begun goes on, and the next poll looks again.
            Err(error) => tracing::warn!(%error, "the organization cannot be looked at"),
            Ok(()) => {}
        }
        let Self { client, site, .. } = self;
        let client = client.in_background();
        let list = Listing { ctx, client, site, mode, at_most_every: self.at_most_every() };
        by_kind!(kind, T => list.page::<T>(checkpoint).await, unsupported)
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        let Some(managed) = &self.managed else {
            return Ok(Upkeep::new(ctx.now() + UPKEEP).state(request.state.cloned().unwrap_or_default()));
        };
        let Some(callback) = request.callback else {
            return Ok(Upkeep::new(ctx.now() + UPKEEP).state(managed.keep(&request, ctx.now())?));
        };
        let looked = managed.look_after(ctx, &self.client, callback, &request).await?;
        let info = self.source.info();
        let every = info.feeds.first().map_or(LOOK_EVERY, |feed| feed.every);
        let next = looked.again.unwrap_or_else(|| match &looked.problem {
            // Without webhooks the feeds have to be read, in a mode that leaves them alone otherwise, too.
            Some(_) if !info.mode.polls() => ctx.now() + every,
            _ => ctx.now() + LOOK_EVERY,
        });
        let gap = looked.repaired || looked.problem.is_some() && !info.mode.polls();
        let signals = info.feeds.iter().filter(|_| gap).map(|feed| Signal::feed(feed.name, None)).collect();
        if let Some(problem) = &looked.problem {
            tracing::warn!(connection = %info.connection, problem, "webhooks do not come");
        }
        let problem = looked.problem.map(Into::into);
        let upkeep = Upkeep::new(next).state(looked.state).signals(signals);
        Ok(upkeep.subscriptions(looked.subscriptions).problem(problem))
    }

    async fn unsubscribe(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<()> {
        match &self.managed {
            Some(managed) => managed.remove(ctx, &self.client).await,
            None => Ok(()),
        }
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.look(ctx).await
    }
}

/// Both halves: what happens in the books, and what is written into them.
impl IntoConnection for ZohoBooks {
    fn into_connection(self) -> Result<Connection> {
        Ok(Connection::new().source(self.clone()).sink(self))
    }
}
