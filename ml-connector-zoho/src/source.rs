//! Zoho Books as a source of events.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, SinkInfo, Source, SourceInfo, Timestamp,
    model::{
        EntityRef, Intake, Observation, Observed, Page, PollMode, Prompt, Raw, RecordKind, Resolution,
        Signal, Subject, Upkeep,
    },
    snapshot::Snapshot,
};

use crate::{
    Builder,
    client::{BooksClient, Detail, Filter},
    models::{Bill, CustomerPayment, Invoice, Resource, Site, VendorPayment, revision},
    poll::Listing,
    webhook::{Webhook, is_deletion},
};

/// A record that was just created may not be readable yet.
const FRESH: Duration = Duration::from_secs(30);
/// How many pages of a list are read to prove that a record is gone: 5,000 rows.
const MAX_PAGES: u32 = 25;
/// There is nothing to look after yet: webhooks are set up by hand.
const UPKEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One Zoho Books organization.
///
/// ```
/// use ml_connector_core::Source;
/// use ml_connector_zoho::{DataCenter, ZohoBooks};
///
/// let books = ZohoBooks::builder("books")
///     .organization_id("778812345")
///     .data_center(DataCenter::Us)
///     .client("1000.ABC", "client secret")
///     .refresh_token("1000.refresh.token")
///     .webhook_secret("mlcZohoSecret2026")
///     .time_zone("America/New_York")
///     .build()?;
/// assert_eq!(books.info().accounts[0].as_str(), "org:778812345");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ZohoBooks(Parts);

/// What the builder puts together.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) info: SourceInfo,
    pub(crate) sink: SinkInfo,
    pub(crate) client: BooksClient,
    /// `None` when the connection only polls, and has no secret.
    pub(crate) webhook: Option<Webhook>,
    pub(crate) site: Site,
}

impl ZohoBooks {
    /// Starts with the host's name for the connection.
    pub fn builder(connection: impl Into<String>) -> Builder {
        Builder::new(connection)
    }

    pub(crate) fn new(parts: Parts) -> Self {
        Self(parts)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    /// Reads one document as it is now.
    ///
    /// # Errors
    /// As [`BooksClient::get`]; [`ErrorKind::Unsupported`] for a kind that is not read.
    pub(crate) async fn read_document(&self, ctx: &Context, entity: &EntityRef) -> Result<Observation> {
        let read_at = ctx.now();
        let state = match RecordKind::from(&*entity.kind) {
            RecordKind::Invoice => self.present(self.0.client.get::<Invoice>(ctx, &entity.id).await?),
            RecordKind::Bill => self.present(self.0.client.get::<Bill>(ctx, &entity.id).await?),
            RecordKind::CustomerPayment => {
                self.present(self.0.client.get::<CustomerPayment>(ctx, &entity.id).await?)
            }
            RecordKind::VendorPayment => {
                self.present(self.0.client.get::<VendorPayment>(ctx, &entity.id).await?)
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "zoho_books does not read records of this kind")
                .with_context("kind", entity.kind.escape_debug())),
        }?;
        Ok(Observation { entity: entity.clone(), read_at, state })
    }

    async fn read<T: Resource>(
        &self,
        ctx: &Context,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let read_at = ctx.now();
        let past_only = signals.iter().all(|signal| signal.hint.as_deref() == Some(Signal::BACKFILL));
        let client = if past_only { &self.0.client.in_background() } else { &self.0.client };
        let state = match client.get::<T>(ctx, &entity.id).await {
            Ok(detail) => self.present(detail)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.missing::<T>(ctx, client, &entity.id, signals, last).await? {
                    Missing::Gone => Observed::Gone,
                    Missing::Fresh => return Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH }),
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at, state }]))
    }

    fn present<T: Resource>(&self, Detail { record, raw }: Detail<T>) -> Result<Observed> {
        let sub_status = record.sub_status().to_owned();
        let mut record = record.into_record().map_err(|error| error.with_operation(T::GET))?;
        record.url = Some(self.0.site.link::<T>(&record.id));
        let revision = revision(&raw, &record, &sub_status)?;
        Ok(Observed::Present { revision, order: None, record: Box::new(record), raw: Some(Raw::new(raw)) })
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
            return Ok(Missing::Gone);
        }
        let Some(last) = last else { return Ok(Missing::Fresh) };
        if last.revision.is_none() {
            return Ok(Missing::Gone);
        }
        self.confirm_gone::<T>(ctx, client, id, last.facts.number.as_deref()).await
    }

    /// Looks for the record where it would be listed. The number's filter is not documented for payments, and
    /// Zoho then lists everything; so pages are read until there is no more.
    async fn confirm_gone<T: Resource>(
        &self,
        ctx: &Context,
        client: &BooksClient,
        id: &str,
        number: Option<&str>,
    ) -> Result<Missing> {
        for page in 1..=MAX_PAGES {
            let rows = client.list::<T>(ctx, Filter::Number(number), page).await?;
            if rows.rows.iter().any(|row| row.id() == id) {
                let error = "the record is listed, but may not be read";
                return Err(Error::new(ErrorKind::PermissionDenied, error)
                    .with_operation(T::GET)
                    .with_context("id", id));
            }
            if !rows.has_more {
                return Ok(Missing::Gone);
            }
        }
        let error = "the list is too long to prove that a record is gone";
        Err(Error::new(ErrorKind::NotFound, error).with_operation(T::LIST).with_context("id", id))
    }
}

enum Missing {
    Gone,
    Fresh,
}

#[async_trait]
impl Source for ZohoBooks {
    fn info(&self) -> &SourceInfo {
        &self.0.info
    }

    fn receive(&self, request: &Request<Bytes>, _: Option<&Bytes>, _: Timestamp) -> Result<Intake> {
        let webhook = self.0.webhook.as_ref().ok_or_else(|| {
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
        match RecordKind::from(&*entity.kind) {
            RecordKind::Invoice => self.read::<Invoice>(ctx, entity, signals, last).await,
            RecordKind::Bill => self.read::<Bill>(ctx, entity, signals, last).await,
            RecordKind::CustomerPayment => self.read::<CustomerPayment>(ctx, entity, signals, last).await,
            RecordKind::VendorPayment => self.read::<VendorPayment>(ctx, entity, signals, last).await,
            _ => Ok(Resolution::Done { note: "zoho_books does not read records of this kind" }),
        }
    }

    async fn poll(
        &self,
        ctx: &Context,
        feed: &str,
        mode: PollMode,
        checkpoint: Option<&Bytes>,
    ) -> Result<Page> {
        let Parts { client, site, .. } = &self.0;
        let list = Listing { ctx, client: client.in_background(), site, mode };
        match feed {
            Invoice::PATH => list.page::<Invoice>(checkpoint).await,
            Bill::PATH => list.page::<Bill>(checkpoint).await,
            CustomerPayment::PATH => list.page::<CustomerPayment>(checkpoint).await,
            VendorPayment::PATH => list.page::<VendorPayment>(checkpoint).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "zoho_books has no such feed")
                .with_context("feed", feed.escape_debug())),
        }
    }

    async fn upkeep(&self, ctx: &Context, _: Option<&str>, state: Option<&Bytes>) -> Result<Upkeep> {
        let state = state.cloned().unwrap_or_default();
        Ok(Upkeep { state, signals: Vec::new(), next: ctx.now() + UPKEEP })
    }
}
