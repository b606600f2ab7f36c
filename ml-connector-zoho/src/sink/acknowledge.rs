//! Who has acknowledged a document, noted beside it.

use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Result, Timestamp,
    model::{Actor, Delivery, EntityRef, Event, Interaction, Observed, Raw, Receipt, RecordKind, Revision},
};

use super::command::Command;
use super::{Begin, revision_of};
use crate::{ZohoBooks, models::path_of};

/// The vendor documents no limit of a comment; 2,000 characters are known to be taken. A name does not need that.
const NAME_MAX: usize = 120;

impl ZohoBooks {
    /// Notes an acknowledgement on every document that is meant, unless it is there.
    pub(super) async fn acknowledge(&self, begin: Begin<'_>, field: Option<&str>) -> Result<Receipt> {
        let Begin { ctx, delivery, .. } = begin;
        let documents = self.documents(ctx, delivery, Command::Acknowledge(field)).await;
        let documents = documents.map_err(|error| error.with_effect(Effect::None))?;
        let note = self.note_of(delivery, Command::Acknowledge(field))?;
        let (mut noted, mut before) = (false, None);
        for document in &documents {
            let done = self.noted(ctx, document, field, &note.marker).await;
            let (done, revision) = done.map_err(|error| error.with_effect(effect(noted)))?;
            if done != Noted::No {
                continue;
            }
            before = before.or(revision);
            begin.note(None).await.map_err(|error| error.with_effect(effect(noted)))?;
            let client = &self.client;
            let result = match field {
                Some(field) => {
                    client.set_custom_field(ctx, &document.kind, &document.id, field, &note.text).await
                }
                None => client.add_comment(ctx, path_of(document)?, &document.id, &note.text).await,
            };
            result.map_err(|error| if noted { error.with_effect(Effect::Unknown) } else { error })?;
            noted = true;
        }
        self.receipt(ctx, &documents, field, &note, before).await
    }

    /// Takes it back wherever it is.
    pub(super) async fn withdraw(&self, begin: Begin<'_>, field: Option<&str>) -> Result<Receipt> {
        let Begin { ctx, delivery, .. } = begin;
        let documents = self.documents(ctx, delivery, Command::Withdraw(field)).await;
        let documents = documents.map_err(|error| error.with_effect(Effect::None))?;
        let note = self.note_of(delivery, Command::Withdraw(field))?;
        let (mut changed, mut before) = (false, None);
        for document in &documents {
            let client = &self.client;
            let there = self.noted(ctx, document, field, &note.marker).await;
            let (there, revision) = there.map_err(|error| error.with_effect(effect(changed)))?;
            if there != Noted::No {
                before = before.or(revision);
                begin.note(None).await.map_err(|error| error.with_effect(effect(changed)))?;
            }
            let result = match (there, field) {
                (Noted::No, _) => continue,
                (Noted::Field, Some(field)) => {
                    client.set_custom_field(ctx, &document.kind, &document.id, field, "").await
                }
                (Noted::Field, None) => continue,
                (Noted::Comment(id), _) => {
                    client.delete_comment(ctx, path_of(document)?, &document.id, &id).await
                }
            };
            result.map_err(|error| if changed { error.with_effect(Effect::Unknown) } else { error })?;
            changed = true;
        }
        self.receipt(ctx, &documents, field, &note, before).await
    }

    /// Whether an acknowledgement is (`wanted`), or is no longer, on every document that is meant.
    pub(super) async fn acknowledged(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        field: Option<&str>,
        wanted: bool,
    ) -> Result<Option<Receipt>> {
        let command = if wanted { Command::Acknowledge(field) } else { Command::Withdraw(field) };
        let documents = self.documents(ctx, delivery, command).await?;
        let note = self.note_of(delivery, command)?;
        for document in &documents {
            let (noted, _) = self.noted(ctx, document, field, &note.marker).await?;
            if (noted != Noted::No) != wanted {
                return Ok(None);
            }
        }
        self.receipt(ctx, &documents, field, &note, None).await.map(Some)
    }

    /// The documents to write on: the one that is meant, or those that a payment settles.
    async fn documents(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        command: Command<'_>,
    ) -> Result<Vec<EntityRef>> {
        let entity = command.document(self.connection(), &delivery.event)?;
        let is_payment = matches!(
            RecordKind::from(&*entity.kind),
            RecordKind::CustomerPayment | RecordKind::VendorPayment
        );
        if !is_payment {
            return Ok(vec![entity.clone()]);
        }
        let seen = self.read_document(ctx, entity).await?;
        let Some(record) = seen.state.record() else {
            return Err(Error::new(ErrorKind::NotFound, "the payment no longer exists"));
        };
        let documents: Vec<_> =
            record.allocations.iter().map(|allocation| allocation.document.clone()).collect();
        if documents.is_empty() {
            let error = "the payment settles no document that could be commented on";
            return Err(Error::new(ErrorKind::Conflict, error).with_context("payment", entity));
        }
        Ok(documents)
    }

    fn note_of(&self, delivery: &Delivery, command: Command<'_>) -> Result<Acknowledgement> {
        Acknowledgement::of(&delivery.event, command.document(self.connection(), &delivery.event)?)
    }

    /// Whether an acknowledgement is there, and the revision of the document if that has to be read for it.
    async fn noted(
        &self,
        ctx: &Context,
        document: &EntityRef,
        field: Option<&str>,
        marker: &str,
    ) -> Result<(Noted, Option<Revision>)> {
        if field.is_some() {
            let seen = self.read_document(ctx, document).await?;
            let holds = |raw: &Raw| raw.get().contains(marker);
            let there = matches!(&seen.state, Observed::Present { raw: Some(raw), .. } if holds(raw));
            return Ok((if there { Noted::Field } else { Noted::No }, revision_of(&seen)));
        }
        let comments = self.client.comments(ctx, path_of(document)?, &document.id).await?;
        let ours = comments.into_iter().find(|comment| comment.description.contains(marker));
        Ok((ours.map_or(Noted::No, |comment| Noted::Comment(comment.comment_id)), None))
    }

    /// A custom field is part of the document: what it looks like now is handed on, so that Zoho's webhook about our
    /// own change is no news. A comment is not. `before` is the revision that the write found.
    async fn receipt(
        &self,
        ctx: &Context,
        documents: &[EntityRef],
        field: Option<&str>,
        note: &Acknowledgement,
        before: Option<Revision>,
    ) -> Result<Receipt> {
        let about = documents.first().map(EntityRef::to_string).unwrap_or_default();
        let mut receipt = Receipt::new(format!("{about}#{}", note.marker));
        if let (Some(_), Some(document)) = (field, documents.first())
            && let Ok(after) = self.read_document(ctx, document).await
        {
            receipt.observed = self.read_back(ctx, before, after).await;
        }
        Ok(receipt)
    }
}

/// Where an acknowledgement stands.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    No,
    Comment(String),
    Field,
}

/// What may have happened when something fails after other documents were written on.
fn effect(written: bool) -> Effect {
    if written { Effect::Unknown } else { Effect::None }
}

/// What is written, and how it is recognized: the same for everything that one person does with one document.
struct Acknowledgement {
    text: String,
    marker: String,
}

impl Acknowledgement {
    fn of(event: &Event, document: &EntityRef) -> Result<Self> {
        let Some(actor) = event.interaction().and_then(Interaction::actor) else {
            return Err(Error::new(ErrorKind::InvalidRequest, "the event does not say who acknowledges"));
        };
        let identity = format!("{}\n{}\n{document}", actor.connection, actor.id);
        let digest = Revision::of(identity.as_bytes()).to_string();
        let marker = format!("mlc:{}", &digest[..16]);
        // Zoho writes no fractions of a second either.
        let at = Timestamp::from_secs(event.at.as_secs());
        let text = format!("Acknowledged by {} in {} at {at} ({marker})", name(actor), actor.connection);
        Ok(Self { text, marker })
    }
}

/// How people know somebody. Zoho shows comments in a web page: nothing in a name may look like markup.
fn name(actor: &Actor) -> String {
    let name = actor.name.as_deref().or(actor.email.as_deref()).unwrap_or(&actor.id);
    let plain = name.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>' | '&'));
    let name: String = plain.take(NAME_MAX).collect();
    if name.trim().is_empty() { actor.id.to_string() } else { name }
}
