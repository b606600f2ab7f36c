//! Approving and submitting documents.

use std::sync::Arc;

use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Result, Retry, decode,
    model::{
        Delivery, EntityRef, Interaction, Line, Observation, Observed, PostedDocument, Receipt, Record,
        Status,
    },
};

use super::command::Command;
use super::{Begin, approved_before, revision_of};
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
            Standing::Done => {
                let result = result(&before, delivery);
                return Ok(receipt(entity, action, self.read_back(ctx, None, before).await, result));
            }
            Standing::Ready(record) => {
                as_shown(record, delivery)?;
                self.as_known(ctx, delivery, &before)
                    .await
                    .map_err(|error| error.with_effect(Effect::None))?;
            }
        }
        begin.note(Some(approvals(&before))).await?;
        if let Err(refused) = self.client.act(ctx, operation, path, &entity.id, action).await {
            // Somebody may have been faster: then what was asked for is the case.
            let faster = refused.effect() == Effect::None && refused.retry() == Retry::Never;
            return match faster.then_some(self.read_document(ctx, entity).await) {
                Some(Ok(seen)) if matches!(standing(command, &seen), Ok(Standing::Done)) => {
                    let result = result(&seen, delivery);
                    Ok(receipt(entity, action, self.read_back(ctx, None, seen).await, result))
                }
                _ => Err(refused),
            };
        }
        // It is done, whether the document can be read now or not.
        let (after, result) = match self.read_document(ctx, entity).await {
            Ok(after) => {
                let result = result(&after, delivery);
                (self.read_back(ctx, revision_of(&before), after).await, result)
            }
            Err(error) => {
                tracing::info!(%error, %entity, "the document could not be read back: its webhook or a poll will tell");
                (None, None)
            }
        };
        Ok(receipt(entity, action, after, result))
    }

    /// Nobody approves what nobody saw: where the log knows which change of the document was shown, that must still be
    /// the last one, and what is read now the same to the last field.
    async fn as_known(&self, ctx: &Context, delivery: &Delivery, now: &Observation) -> Result<()> {
        let about = delivery.event.interaction().and_then(Interaction::about);
        let (Some(about), Some(revision)) = (about, now.state.revision()) else { return Ok(()) };
        let Some(known) = ctx.known(&about.connection, &about.entity).await? else { return Ok(()) };
        if known.n == about.n && known.revision == Some(revision) { Ok(()) } else { Err(changed()) }
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
        let done = match standing(command, &seen) {
            Ok(Standing::Done) => true,
            // The next approver's turn: ours is among those who have approved.
            Ok(Standing::Ready(_)) => {
                command == Command::Approve
                    && approved_before(delivery).is_some_and(|before| approvals(&seen) > before)
            }
            Err(_) => false,
        };
        if !done {
            return Ok(None);
        }
        let result = result(&seen, delivery);
        Ok(Some(receipt(entity, action, self.read_back(ctx, None, seen).await, result)))
    }
}

/// What a decision finds.
enum Standing<'a> {
    Done,
    Ready(&'a Record),
}

fn standing<'a>(command: Command<'_>, seen: &'a Observation) -> Result<Standing<'a>> {
    let Some(record) = seen.state.record() else {
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
    if differs(now, delivery) { Err(changed()) } else { Ok(()) }
}

/// Whether the document is not what was shown, in what a card shows.
fn differs(now: &Record, delivery: &Delivery) -> bool {
    fn other<T: PartialEq>(shown: Option<&T>, now: Option<&T>) -> bool {
        shown.is_some() && shown != now
    }
    let Some(shown) = delivery.event.interaction().and_then(Interaction::document) else { return false };
    let supplier = |record: &Record| record.counterparty.as_ref().and_then(|party| party.id.clone());
    let other_line = |(shown, now): (&Line, &Line)| {
        shown.amount != now.amount || shown.description != now.description || shown.account != now.account
    };
    other(shown.total.as_ref(), now.total.as_ref())
        || other(shown.number.as_ref(), now.number.as_ref())
        || other(shown.due_date.as_ref(), now.due_date.as_ref())
        || other(supplier(shown).as_ref(), supplier(now).as_ref())
        // As many lines are shown as a card has room for.
        || shown.lines.len() > now.lines.len()
        || shown.lines.iter().zip(&now.lines).any(other_line)
}

/// The document as it was read back, and whether it is what was shown.
fn result(seen: &Observation, delivery: &Delivery) -> Option<PostedDocument> {
    let record = seen.state.record()?;
    let mut result = PostedDocument::of(record);
    result.differs = differs(record, delivery);
    Some(result)
}

/// How many have approved the document.
fn approvals(seen: &Observation) -> usize {
    let Observed::Present { raw: Some(raw), .. } = &seen.state else { return 0 };
    let approved = decode::body(raw.get().as_bytes(), |document| {
        let approvers = document.objects("approvers_list");
        Ok(approvers.iter().filter(|one| one.text("approval_status") == "approved").count())
    });
    approved.map_or(0, |decoded| decoded.value)
}

fn changed() -> Error {
    refusal("the document changed since it was shown")
}

fn refusal(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message).with_retry(Retry::Never)
}

fn receipt(
    entity: &EntityRef,
    action: &str,
    observed: Option<Arc<Observation>>,
    result: Option<PostedDocument>,
) -> Receipt {
    let mut receipt = Receipt::new(format!("{entity}#{action}"));
    (receipt.observed, receipt.result) = (observed, result);
    receipt
}

#[cfg(test)]
mod tests {
    use ml_connector_core::model::{Raw, RecordKind, Revision};
    use serde_json::value::RawValue;

    use super::*;

    /// A bill that waits, with what its approvers have said.
    fn waiting(approvers: &[&str]) -> Observation {
        let said = |word: &&str| format!(r#"{{"approval_status":"{word}"}}"#);
        let list: Vec<_> = approvers.iter().map(said).collect();
        let json = format!(r#"{{"bill_id":"1","approvers_list":[{}]}}"#, list.join(","));
        let record = Record::new(RecordKind::Bill, "1", Status::PendingApproval);
        let state = Observed::Present {
            revision: Revision::of(json.as_bytes()),
            order: None,
            content: record.into(),
            raw: Some(Raw::new(RawValue::from_string(json).unwrap())),
            notes: Vec::new(),
        };
        Observation { entity: EntityRef::new("bill", "1"), read_at: Default::default(), state }
    }

    #[test]
    fn an_approval_among_several_shows_by_how_many_have_approved() {
        for (approvers, expected) in [
            (&[][..], 0),
            (&["yet_to_approve", "yet_to_approve"], 0),
            (&["approved", "yet_to_approve"], 1),
            (&["approved", "approved"], 2),
        ] {
            assert_eq!(approvals(&waiting(approvers)), expected, "{approvers:?}");
        }
        // It still waits, for the next one.
        let seen = waiting(&["approved", "yet_to_approve"]);
        assert!(matches!(standing(Command::Approve, &seen), Ok(Standing::Ready(_))));
        assert_eq!(PostedDocument::of(seen.state.record().unwrap()).status, Status::PendingApproval);
    }
}
