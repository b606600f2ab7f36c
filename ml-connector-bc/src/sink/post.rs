//! Posting an invoice.

use std::sync::Arc;

use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Result, Retry,
    model::{
        Delivery, EntityRef, Interaction, Line, Observation, PostedDocument, Receipt, Record, Revision,
        Status,
    },
    snapshot::Facts,
};

use super::{Begin, command};
use crate::{
    BusinessCentral,
    error::{REASON, RIGHT, Reason},
    models::Set,
    source::unreadable,
};

/// How often the invoice is read anew and posted at once after an etag that went stale under unchanged values, or a database
/// that was busy with it. Then it waits its turn.
const TRIES: u32 = 3;

impl BusinessCentral {
    /// Posts the invoice as it was shown, unless it is posted already.
    pub(super) async fn post_document(&self, begin: Begin<'_>) -> Result<Receipt> {
        let Begin { ctx, delivery, .. } = begin;
        command::require(&delivery.destination)?;
        let (set, entity) = command::document(self.sink.connection.as_str(), &delivery.event)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let (before, etag) = match self.read_now(ctx, (set, entity)).await {
                Ok(read) => read,
                Err(error) => return Err(self.unread(ctx, (set, entity), error).await),
            };
            match standing(&before)? {
                Standing::Posted(record) => {
                    let receipt = match tries {
                        1 => found(entity, record, delivery),
                        _ => receipt(entity, record, delivery),
                    };
                    return Ok(self.with_read_back(ctx, receipt, None, before.clone()).await);
                }
                Standing::Waits => {
                    // Once it is decided there, the same can be tried again.
                    let message = "it waits for an approval inside Business Central: decide there first";
                    return Err(Error::new(ErrorKind::InvalidRequest, message).with_retry(Retry::Never));
                }
                Standing::Draft(record) => {
                    as_shown(record, delivery)?;
                    self.as_known(ctx, delivery, &before).await.map_err(without_effect)?;
                }
            }
            begin.note().await?;
            let error = match self.poster.post(ctx, set, &entity.id, &etag).await {
                Ok(()) => return Ok(self.done(begin, (set, entity), &before).await),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::Conflict && tries < TRIES {
                continue;
            }
            return self.refused(begin, (set, entity), &before, error).await;
        }
    }

    /// It is done, whether the invoice can be read now or not.
    async fn done(
        &self,
        begin: Begin<'_>,
        (set, entity): (Set, &EntityRef),
        before: &Observation,
    ) -> Receipt {
        let Begin { ctx, delivery, .. } = begin;
        match self.read_now(ctx, (set, entity)).await {
            Ok((after, _)) => match standing(&after) {
                Ok(Standing::Posted(record)) => {
                    let receipt = receipt(entity, record, delivery);
                    self.with_read_back(ctx, receipt, revision_of(before), after.clone()).await
                }
                Ok(Standing::Draft(record)) if record.status == Status::Approved => {
                    receipt(entity, &posted(record), delivery)
                }
                _ => Receipt::new(format!("{entity}#posted")),
            },
            Err(error) => {
                tracing::info!(%error, %entity, "the invoice could not be read back: its notification or a poll will tell");
                Receipt::new(format!("{entity}#posted"))
            }
        }
    }

    /// What a refusal means. An answer of 400 can come after the posting, and one that is known may have touched the draft: the
    /// invoice tells.
    async fn refused(
        &self,
        begin: Begin<'_>,
        (set, entity): (Set, &EntityRef),
        before: &Observation,
        error: Error,
    ) -> Result<Receipt> {
        let tells = matches!(
            error.kind(),
            ErrorKind::InvalidRequest
                | ErrorKind::Conflict
                | ErrorKind::PermissionDenied
                | ErrorKind::NotFound
        );
        if !tells {
            return Err(error);
        }
        let Begin { ctx, delivery, .. } = begin;
        let after = match self.read_now(ctx, (set, entity)).await {
            Ok((after, _)) => after,
            Err(unread) => {
                let unread = self.unread(ctx, (set, entity), unread).await;
                if unread.kind() == ErrorKind::Conflict {
                    return Err(unread);
                }
                // The answer may have come after the posting: a look-up tells, once the invoice can be read.
                tracing::info!(error = %unread, %entity, "the invoice could not be read after a refusal");
                return Err(error.with_effect(Effect::Unknown).with_retry(Retry::Backoff));
            }
        };
        match standing(&after)? {
            Standing::Posted(record) => {
                let receipt = receipt(entity, record, delivery);
                return Ok(self.with_read_back(ctx, receipt, revision_of(before), after.clone()).await);
            }
            // Nobody tells a released one from a posted one, but the refusal.
            Standing::Draft(record) if is_posted_already(&error) && record.status == Status::Approved => {
                return Ok(found(entity, &posted(record), delivery));
            }
            // It reads Draft as long as somebody else's posting is under way.
            _ if is_posted_already(&error) => {
                let message = "somebody else is posting the invoice: try again in a while";
                return Err(Error::new(ErrorKind::Unavailable, message).with_operation(error.operation()));
            }
            // Part of the operation may still be under way.
            _ if error.effect() == Effect::Unknown => return Err(error.with_retry(Retry::Backoff)),
            _ => {}
        }
        if error.kind() != ErrorKind::Conflict && revision_of(&after) != revision_of(before) {
            return Err(refusal(
                "Business Central refused it and calculated it anew: look at the new values and decide again",
            ));
        }
        Err(match error.kind() {
            ErrorKind::PermissionDenied => {
                let right = error.context(RIGHT).map(str::to_owned);
                let denied = Error::new(
                    ErrorKind::PermissionDenied,
                    "the app may not post: assign the permission set with this right on its Entra application card",
                )
                .with_operation(error.operation())
                .with_context("code", error.context("code").unwrap_or("none"));
                match right {
                    Some(right) => denied.with_context(RIGHT, right),
                    None => denied,
                }
            }
            // Nothing in the invoice is in the way: it is tried again, and then may be once more.
            ErrorKind::Conflict => {
                let message = "Business Central was busy with the invoice, or somebody keeps saving it: try again in a while";
                Error::new(ErrorKind::Unavailable, message)
                    .with_operation(error.operation())
                    .with_context("code", error.context("code").unwrap_or("none"))
            }
            _ => {
                let reason = error.context(REASON);
                // What is to be repaired elsewhere leaves the document as it was decided about: the same can be tried again.
                let kind = match reason.is_some_and(Reason::is_in_document) {
                    true => ErrorKind::Conflict,
                    false => ErrorKind::InvalidRequest,
                };
                let refused = Error::new(kind, error.message().to_owned())
                    .with_retry(Retry::Never)
                    .with_operation(error.operation())
                    .with_context("code", error.context("code").unwrap_or("none"));
                match reason {
                    Some(reason) => refused.with_context(REASON, reason.to_owned()),
                    None => refused,
                }
            }
        })
    }

    /// The invoice as it is now, with what is known of it.
    pub(super) async fn read_now(
        &self,
        ctx: &Context,
        (set, entity): (Set, &EntityRef),
    ) -> Result<(Observation, String)> {
        let known = ctx.known(&self.sink.connection, entity).await?;
        self.read_record(ctx, set, entity, known.as_ref()).await
    }

    /// Why the invoice could not be read, in words for whoever decided: gone it is only where a list that can be read does not
    /// show it. Nothing was written.
    async fn unread(&self, ctx: &Context, (set, entity): (Set, &EntityRef), error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound => match self.is_gone(ctx, set, &entity.id, 2).await {
                Ok(true) => refusal("the invoice no longer exists"),
                Ok(false) => unreadable(&entity.id, error),
                Err(unlisted) => without_effect(unlisted),
            },
            // A draft that is read is written to, where the app may write: and somebody else was there.
            ErrorKind::Conflict => Error::new(
                ErrorKind::Unavailable,
                "Business Central was busy with the invoice: try again in a while",
            )
            .with_operation(error.operation())
            .with_source(error),
            _ => without_effect(error),
        }
    }

    /// Nobody posts what nobody saw: where the log knows which change of the document was shown, that must still be the last
    /// one, and what is read now the same to the last value. Etags and stamps say nothing.
    async fn as_known(&self, ctx: &Context, delivery: &Delivery, now: &Observation) -> Result<()> {
        let about = delivery.event.interaction().and_then(Interaction::about);
        let (connection, entity, n) = match about {
            Some(about) => (&about.connection, &about.entity, about.n),
            None => (&delivery.event.connection, &delivery.event.entity, delivery.event.n),
        };
        let Some(known) = ctx.known(connection, entity).await? else { return Ok(()) };
        if known.n == n && known.revision == revision_of(now) { Ok(()) } else { Err(changed()) }
    }

    /// A receipt with the invoice as it was read back, so that its notification is no change. Where somebody else may have
    /// edited it meanwhile, that is left to the notification.
    pub(super) async fn with_read_back(
        &self,
        ctx: &Context,
        mut receipt: Receipt,
        before: Option<Revision>,
        after: Observation,
    ) -> Receipt {
        let Some(record) = after.state.record() else { return receipt };
        let Ok(known) = ctx.known(&self.sink.connection, &after.entity).await else { return receipt };
        let is_told = known.is_none_or(|known| {
            before.is_some() && known.revision == before || known.facts.as_ref() != Some(&Facts::of(record))
        });
        receipt.observed = is_told.then(|| Arc::new(after));
        receipt
    }
}

/// What a posting finds.
pub(super) enum Standing<'a> {
    Posted(&'a Record),
    Draft(&'a Record),
    /// Business Central's own workflow has it.
    Waits,
}

pub(super) fn standing(seen: &Observation) -> Result<Standing<'_>> {
    let Some(record) = seen.state.record() else {
        return Err(refusal("the invoice no longer exists"));
    };
    match &record.status {
        Status::Open | Status::PartiallyPaid | Status::Paid => Ok(Standing::Posted(record)),
        // A released sales invoice is not posted yet.
        Status::Draft | Status::Approved => Ok(Standing::Draft(record)),
        Status::PendingApproval => Ok(Standing::Waits),
        // It was posted, and cancelled after that.
        Status::Void => Ok(Standing::Posted(record)),
        other if other.as_str() == "corrective" => Ok(Standing::Posted(record)),
        _ => Err(refusal("the invoice has a status that says nothing about posting")),
    }
}

/// What the event carries was made from what was shown.
fn as_shown(now: &Record, delivery: &Delivery) -> Result<()> {
    let Some(shown) = shown(delivery) else { return Ok(()) };
    if differs(shown, now) || other(shown.number.as_ref(), now.number.as_ref()) {
        return Err(changed());
    }
    Ok(())
}

/// The document as it was shown, where the event carries it.
fn shown(delivery: &Delivery) -> Option<&Record> {
    let decided = delivery.event.interaction().and_then(Interaction::document);
    decided.or_else(|| delivery.event.record())
}

/// Whether a document differs from what was shown, in what a card shows and posting leaves alone.
fn differs(shown: &Record, now: &Record) -> bool {
    let party = |record: &Record| record.counterparty.as_ref().and_then(|party| party.id.clone());
    let other_line = |(shown, now): (&Line, &Line)| {
        shown.amount != now.amount || shown.description != now.description || shown.account != now.account
    };
    other(shown.total.as_ref(), now.total.as_ref())
        || other(shown.due_date.as_ref(), now.due_date.as_ref())
        || other(party(shown).as_ref(), party(now).as_ref())
        // As many lines are shown as a card has room for.
        || shown.lines.len() > now.lines.len()
        || shown.lines.iter().zip(&now.lines).any(other_line)
}

fn other<T: PartialEq>(shown: Option<&T>, now: Option<&T>) -> bool {
    shown.is_some() && shown != now
}

/// A read has none.
fn without_effect(error: Error) -> Error {
    error.with_effect(Effect::None)
}

fn changed() -> Error {
    refusal("the invoice changed since it was shown")
}

fn refusal(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Conflict, message).with_retry(Retry::Never)
}

/// The id stays with posting; the number may change, and is what people look for. `record` is the posted invoice as it was
/// read back.
pub(super) fn receipt(entity: &EntityRef, record: &Record, delivery: &Delivery) -> Receipt {
    let mut receipt = match &record.number {
        Some(number) => Receipt::new(format!("{entity}#posted:{number}")),
        None => Receipt::new(format!("{entity}#posted")),
    };
    let mut posted = PostedDocument::of(record);
    posted.differs = shown(delivery).is_some_and(|shown| differs(shown, record));
    receipt.result = Some(posted);
    receipt
}

/// The same of an invoice that is found posted. An attempt leaves a note before it writes: without one, somebody else has
/// posted it.
pub(super) fn found(entity: &EntityRef, record: &Record, delivery: &Delivery) -> Receipt {
    let mut receipt = receipt(entity, record, delivery);
    if let Some(posted) = &mut receipt.result {
        posted.elsewhere = delivery.note.is_none();
    }
    receipt
}

/// Business Central posts drafts only, and says that this is none.
fn is_posted_already(error: &Error) -> bool {
    error.context(REASON) == Some(Reason::NotDraft.name())
}

/// A sales invoice that reads Open, and is proven to be posted.
fn posted(record: &Record) -> Record {
    let mut record = record.clone();
    record.status = Status::Open;
    record
}

fn revision_of(seen: &Observation) -> Option<Revision> {
    seen.state.revision()
}
