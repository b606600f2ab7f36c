//! Approving and submitting documents.

use std::sync::Arc;

use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Result, Retry,
    model::{Delivery, EntityRef, Observation, Observed, Receipt, Record, Status},
};

use super::command::Command;
use super::{Begin, revision_of};
use crate::{ZohoBooks, models::path_of};

impl ZohoBooks {
    /// Approves or submits a document, unless that was done already.
    pub(super) async fn decide(&self, begin: Begin<'_>, command: Command<'_>) -> Result<Receipt> {
        let Begin { ctx, delivery, .. } = begin;
        let entity = command.document(self.connection(), &delivery.event)?;
        let path = path_of(entity)?;
        let (operation, action) = match command {
            Command::Submit => ("zoho_books.submit", "submit"),
            _ => ("zoho_books.approve", "approve"),
        };
        let before =
            self.read_document(ctx, entity).await.map_err(|error| error.with_effect(Effect::None))?;
        match standing(command, &before)? {
            Standing::Done => return Ok(receipt(entity, action, self.read_back(ctx, None, before).await)),
            Standing::Ready(record) => {
                as_shown(record, delivery)?;
                self.as_known(ctx, delivery, &before)
                    .await
                    .map_err(|error| error.with_effect(Effect::None))?;
            }
        }
        begin.note().await?;
        if let Err(refused) = self.client.act(ctx, operation, path, &entity.id, action).await {
            // Somebody may have been faster: then what was asked for is the case.
            let faster = refused.effect() == Effect::None && refused.retry() == Retry::Never;
            return match faster.then_some(self.read_document(ctx, entity).await) {
                Some(Ok(seen)) if matches!(standing(command, &seen), Ok(Standing::Done)) => {
                    Ok(receipt(entity, action, self.read_back(ctx, None, seen).await))
                }
                _ => Err(refused),
            };
        }
        // It is done, whether the document can be read now or not.
        let after = match self.read_document(ctx, entity).await {
            Ok(after) => self.read_back(ctx, revision_of(&before), after).await,
            Err(error) => {
                tracing::info!(%error, %entity, "the document could not be read back: its webhook or a poll will tell");
                None
            }
        };
        Ok(receipt(entity, action, after))
    }

    /// Nobody approves what nobody saw: where the log knows which change of the document was shown, that must still be
    /// the last one, and what is read now the same to the last field.
    async fn as_known(&self, ctx: &Context, delivery: &Delivery, now: &Observation) -> Result<()> {
        let about = delivery.event.record.as_ref().and_then(|record| record.about.as_ref());
        let (Some(about), Observed::Present { revision, .. }) = (about, &now.state) else { return Ok(()) };
        let Some(known) = ctx.known(&about.connection, &about.entity).await? else { return Ok(()) };
        if known.n == about.n && known.revision == Some(*revision) { Ok(()) } else { Err(changed()) }
    }

    /// Whether a decision has taken effect.
    pub(super) async fn decided(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        command: Command<'_>,
    ) -> Result<Option<Receipt>> {
        let entity = command.document(self.connection(), &delivery.event)?;
        let action = if command == Command::Submit { "submit" } else { "approve" };
        let seen = match self.read_document(ctx, entity).await {
            // A document that is gone was neither approved nor submitted by what is looked for.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            seen => seen?,
        };
        Ok(match standing(command, &seen) {
            Ok(Standing::Done) => Some(receipt(entity, action, self.read_back(ctx, None, seen).await)),
            _ => None,
        })
    }
}

/// What a decision finds.
enum Standing<'a> {
    Done,
    Ready(&'a Record),
}

fn standing<'a>(command: Command<'_>, seen: &'a Observation) -> Result<Standing<'a>> {
    let Observed::Present { record, .. } = &seen.state else {
        return Err(refusal("the document no longer exists"));
    };
    match (command, &record.status) {
        (_, Status::Void) => Err(refusal("the document is void")),
        (Command::Submit, Status::Draft | Status::Rejected) => Ok(Standing::Ready(record)),
        (Command::Submit, _) => Ok(Standing::Done),
        (_, Status::PendingApproval) => Ok(Standing::Ready(record)),
        (_, Status::Approved | Status::Open | Status::PartiallyPaid | Status::Paid) => Ok(Standing::Done),
        (_, Status::Draft) => Err(refusal("the document was not submitted for approval")),
        (_, Status::Rejected) => Err(refusal("the document was rejected in the books")),
        _ => Err(refusal("the document has a status that says nothing about approval")),
    }
}

/// An event that carries a copy of the document was made from what was shown.
fn as_shown(now: &Record, delivery: &Delivery) -> Result<()> {
    let Some(shown) = delivery.event.record.as_deref().filter(|record| record.about.is_some()) else {
        return Ok(());
    };
    fn differs<T: PartialEq>(shown: Option<&T>, now: Option<&T>) -> bool {
        shown.is_some() && shown != now
    }
    let supplier = |record: &Record| record.counterparty.as_ref().map(|party| Arc::clone(&party.id));
    let differs_anywhere = differs(shown.total.as_ref(), now.total.as_ref())
        || differs(shown.number.as_ref(), now.number.as_ref())
        || differs(shown.due_date.as_ref(), now.due_date.as_ref())
        || differs(supplier(shown).as_ref(), supplier(now).as_ref());
    if differs_anywhere { Err(changed()) } else { Ok(()) }
}

fn changed() -> Error {
    refusal("the document changed since it was shown")
}

fn refusal(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message).with_retry(Retry::Never)
}

fn receipt(entity: &EntityRef, action: &str, observed: Option<Arc<Observation>>) -> Receipt {
    let mut receipt = Receipt::new(format!("{entity}#{action}"));
    receipt.observed = observed;
    receipt
}
