//! One record, and what an empty answer means.
//!
//! Records are asked for as a list. A list without the record proves nothing: whoever may not read a resource gets the same.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    model::{DeletionProof, EntityRef, Observation, Observed, Raw, Resolution, Signal, Status},
    snapshot::Snapshot,
};

use super::terms::Paid;
use crate::{
    ExactOnline,
    client::{Class, Detail, ExactClient, is_refusal},
    models::{BANK_ENTRIES, CASH_ENTRIES, Resource, as_read, revision},
    webhook::{Hint, is_about_another},
};

/// A record that was just created may not be shown yet.
const FRESH: Duration = Duration::from_secs(30);

/// The hint of signals that a feed with row versions leads to.
pub(super) const SYNCED: &str = "synced";
/// The hint of signals about rows that could not be read: what is not there then is of another kind.
pub(super) const UNREADABLE: &str = "unreadable";

/// The tag of records of a company with made-up books: nobody takes them for real ones.
const MADE_UP: &str = "practice company";

const NO_RIGHT: &str = "the record is not shown, because the user who connected has lost the right to it";
const RIGHT_UNKNOWN: &str = "the record is not shown, and Exact Online does not say whether the user may see it: the app needs the scope \
     Organization administration";

impl ExactOnline {
    pub(super) async fn read(
        &self,
        ctx: &Context,
        resource: &'static Resource,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let hints = || signals.iter().filter_map(|signal| signal.hint.as_deref());
        if signals.len() == hints().count() && hints().all(|hint| is_about_another(hint, resource)) {
            return Ok(Resolution::Done { note: "the connection reads the other record of the same sale" });
        }
        let client = self.client.for_class(class_of(signals));
        // A webhook of a company that is not to be connected is not told, whoever subscribed it.
        self.require_division(ctx, &client).await?;
        let told: Vec<Hint> = hints().map(Hint::of).collect();
        let lines_only = !told.is_empty() && told.iter().all(|hint| hint.is_line);
        // While a right is missing, it is asked for before the list: an empty one says nothing.
        let is_refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(resource.path);
        if is_refused && self.may_read(ctx, &client, resource).await? == Some(false) {
            // A signed deletion and a record that is known to be gone need no list.
            let needs_none =
                told.iter().any(|hint| hint.is_deletion) || last.is_some_and(|last| last.revision.is_none());
            return match needs_none {
                true => self.missing(ctx, &client, resource, entity, signals, last).await,
                false => Err(self.not_shown(ctx, resource, NO_RIGHT).await),
            };
        }
        let read_at = ctx.now();
        if !lines_only && let Some(detail) = self.get(ctx, &client, resource, &entity.id).await? {
            // A term that could not be read in its feed is a payment once it is paid, as there.
            if resource.is_term() && last.is_none() && detail.record.status != Status::Paid {
                return Ok(Resolution::Done { note: "a term that was not paid is no payment" });
            }
            if resource.is_term() && detail.record.status == Status::Paid {
                let paid = Paid { resource, detail };
                if !self.split(ctx, &client, std::slice::from_ref(&paid)).await?.is_empty() {
                    return Ok(Resolution::Done { note: "the term was split, and no money has moved" });
                }
                return Ok(Resolution::Observed(vec![self.seen(resource, paid.detail, read_at)?]));
            }
            return Ok(Resolution::Observed(vec![
                self.observe(ctx, &client, resource, detail, read_at).await?,
            ]));
        }
        if last.is_none()
            && let Some(document) = self.document_of_line(ctx, &client, resource, &entity.id, &told).await?
        {
            let read_at = ctx.now();
            return match self.get(ctx, &client, resource, &document).await? {
                Some(detail) => Ok(Resolution::Observed(vec![
                    self.observe(ctx, &client, resource, detail, read_at).await?,
                ])),
                None => Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH }),
            };
        }
        self.missing(ctx, &client, resource, entity, signals, last).await
    }

    /// The record, or why it cannot be read.
    async fn get(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &'static Resource,
        id: &str,
    ) -> Result<Option<Detail>> {
        match client.get(ctx, resource, id).await {
            Err(error) => Err(self.explained(ctx, resource.path, resource.scope, error).await),
            found => found,
        }
    }

    /// The document of a line: notifications about headers and about lines look alike.
    async fn document_of_line(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &Resource,
        key: &str,
        told: &[Hint],
    ) -> Result<Option<String>> {
        let Some(lines) = &resource.lines else { return Ok(None) };
        if told.is_empty() || told.iter().all(|hint| hint.is_deletion) {
            return Ok(None);
        }
        client.parent_of(ctx, lines, key).await
    }

    /// What it means that a record is not shown.
    async fn missing(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &'static Resource,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let hints = || signals.iter().filter_map(|signal| signal.hint.as_deref());
        let is_deleted = hints().any(|hint| Hint::of(hint).is_deletion);
        let gone = |proof| {
            let (entity, state) = (entity.clone(), Observed::Gone(proof));
            Ok(Resolution::Observed(vec![Observation { entity, read_at: ctx.now(), state }]))
        };
        let Some(last) = last else {
            if is_deleted {
                return Ok(Resolution::Done { note: "what was deleted was never told of" });
            }
            if hints().all(|hint| hint == SYNCED)
                && let Some(other) = self.cash_entry(ctx, client, resource, entity).await?
            {
                return Ok(other);
            }
            if signals.len() == hints().count() && hints().all(|hint| hint == UNREADABLE) {
                return Ok(Resolution::Done { note: "the row that could not be read was of another kind" });
            }
            // A new record waits for the right to see it, and is not given up as one that was never there.
            if self.may_read(ctx, client, resource).await? == Some(false) {
                return Err(self.not_shown(ctx, resource, NO_RIGHT).await);
            }
            return Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH });
        };
        if last.revision.is_none() {
            return Ok(Resolution::Done { note: "the record is known to be gone" });
        }
        if is_deleted {
            return gone(DeletionProof::SignedDeletion);
        }
        match self.may_read(ctx, client, resource).await? {
            Some(true) => {}
            Some(false) => return Err(self.not_shown(ctx, resource, NO_RIGHT).await),
            None => return Err(self.not_shown(ctx, resource, RIGHT_UNKNOWN).await),
        }
        // A sweep has just read the whole list.
        let swept = hints().any(|hint| hint == Signal::SWEPT);
        if !swept && client.get(ctx, resource, &entity.id).await?.is_some() {
            return Ok(Resolution::NotYet { retry_at: ctx.now() + FRESH });
        }
        gone(DeletionProof::AbsentTwice)
    }

    /// Whether the user who connected may read a resource. A missing right is believed for some minutes, because each record that
    /// waits for it would ask otherwise. A right that is there is asked for each time: it is the proof that a record is gone.
    async fn may_read(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &Resource,
    ) -> Result<Option<bool>> {
        let said = self.withheld.get(ctx, resource.path, client.may_read(ctx, resource.path)).await?;
        if said == Some(true) {
            self.withheld.forget(resource.path);
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(false) => refused.insert(resource.path),
            _ => refused.remove(resource.path),
        };
        Ok(said)
    }

    /// What an empty list means to somebody who may not see the record.
    pub(super) async fn not_shown(&self, ctx: &Context, resource: &Resource, message: &'static str) -> Error {
        Error::new(ErrorKind::PermissionDenied, message)
            .with_operation(resource.get)
            .with_context("company", self.company(ctx).await)
            .with_context("path", resource.path)
            .with_context("scope", resource.scope)
    }

    /// Lines of the ledger do not tell banks from cash boxes: what is no bank entry may be a cash entry.
    async fn cash_entry(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &Resource,
        entity: &EntityRef,
    ) -> Result<Option<Resolution>> {
        if resource.path != BANK_ENTRIES.path || self.resource(CASH_ENTRIES.kind).is_none() {
            return Ok(None);
        }
        let read_at = ctx.now();
        match client.get(ctx, &CASH_ENTRIES, &entity.id).await {
            Ok(Some(detail)) => {
                let seen = self.observe(ctx, client, &CASH_ENTRIES, detail, read_at).await?;
                Ok(Some(Resolution::Observed(vec![seen])))
            }
            Ok(None) => Ok(None),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A record as it was read, with the links to its files.
    pub(super) async fn observe(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &Resource,
        mut detail: Detail,
        read_at: Timestamp,
    ) -> Result<Observation> {
        if self.attachments
            && let Some(document) = &detail.document
        {
            match client.files(ctx, document).await {
                Ok((link, files)) => (detail.record.url, detail.record.attachments) = (link, files),
                // The record is told without what cannot be read.
                Err(error) if error.retry() == Retry::Never && error.scope() == &Scope::Entry => {
                    tracing::warn!(%error, record = %detail.record.id, "the files beside a record cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        self.seen(resource, detail, read_at)
    }

    /// A record as it is in a row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when its JSON is no object.
    pub(super) fn seen(
        &self,
        resource: &Resource,
        detail: Detail,
        read_at: Timestamp,
    ) -> Result<Observation> {
        let Detail { mut record, raw, left_out, .. } = detail;
        if let Some(modified) = record.modified_at {
            let at = as_read(modified, read_at, &self.client.site().zone);
            record.modified_at = Some(at);
            record.created_at =
                record.created_at.map(|created| if created == modified { at } else { created });
        }
        if self.is_made_up.load(Ordering::Relaxed) {
            record.tags.push(MADE_UP.to_owned());
        }
        let entity = record.entity();
        if !left_out.is_empty() {
            tracing::warn!(connection = %self.source.connection, %entity, ?left_out, "values were left out");
        }
        let revision = revision(resource, &raw, &record)?;
        let (content, raw) = (record.into(), Some(Raw::new(raw)));
        let state = Observed::Present { revision, order: None, content, raw, notes: left_out };
        Ok(Observation { entity, read_at, state })
    }
}

/// How long the signals can wait.
fn class_of(signals: &[Signal]) -> Class {
    let all = |is: fn(&str) -> bool| signals.iter().all(|signal| signal.hint.as_deref().is_some_and(is));
    if all(|hint| matches!(hint, Signal::BACKFILL | Signal::SWEPT)) {
        Class::Background
    } else if all(|hint| matches!(hint, Signal::BACKFILL | Signal::SWEPT | SYNCED | UNREADABLE)) {
        Class::Live
    } else {
        Class::Urgent
    }
}
