//! One attempt for a delivery: the message, the call, and what its answer means.

use std::sync::PoisonError;

use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp,
    model::{Delivery, DeliveryId, Event, Receipt, Seq},
    rate::{Admission, Feedback, QuotaKey},
};

use crate::{
    Slack,
    destination::Target,
    error::is_code,
    message::Message,
    models::{EphemeralMessage, MessageRef, Metadata, PostMessage, UpdateMessage},
    pacing::GUARD,
    sink::{people::Member, place::Place},
};

impl Slack {
    /// One delivery, one call.
    pub(crate) async fn attempt(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        notes: &dyn AttemptNotes,
    ) -> Result<Receipt> {
        let admitted = ctx.now();
        let place = Place::of(delivery, self.admin.as_ref())?;
        let assignee = self.assignee(ctx, delivery).await?;
        let message = self.templates.render(delivery, &assignee)?;
        self.send(ctx, delivery, (&place, admitted), &message, notes).await
    }

    /// One message for a whole batch. Its id is kept with every delivery first, so that each finds the message again.
    pub(crate) async fn digest(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let Some(head) = batch.first() else { return Vec::new() };
        let admitted = ctx.now();
        let seqs: Vec<Seq> = batch.iter().map(|delivery| delivery.seq).collect();
        let made = async {
            let place = Place::of(head, self.admin.as_ref())?;
            let events: Vec<&Event> = batch.iter().map(|delivery| &*delivery.event).collect();
            let message = self.templates.digest(head, &events)?;
            keep_note(notes, &seqs, head.id).await?;
            self.send(ctx, head, (&place, admitted), &message, notes).await
        };
        match made.await {
            Ok(receipt) => batch.iter().map(|_| Ok(receipt.clone())).collect(),
            Err(error) => {
                let mut results: Vec<_> = batch[1..].iter().map(|_| Err(same(&error))).collect();
                results.insert(0, Err(error));
                results
            }
        }
    }

    async fn send(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        (place, admitted): (&Place, Timestamp),
        message: &Message,
        notes: &dyn AttemptNotes,
    ) -> Result<Receipt> {
        self.looks.forget(delivery);
        match place {
            Place::Post { target, parent } => {
                let channel = match parent {
                    Some(parent) => parent.channel.clone(),
                    None => self.addressee(ctx, target).await?,
                };
                self.charge_delay(ctx, target, admitted).await;
                let post = self.post_of(delivery, &channel, parent.as_ref(), message);
                self.post(ctx, target, &post).await
            }
            Place::Update { message: which, target } => {
                let mut update = UpdateMessage::new(which, message);
                update.metadata = self.metadata(delivery);
                match self.client.chat_update(ctx, &update).await {
                    Err(error)
                        if is_code(&error, "edit_window_closed")
                            || is_code(&error, "cant_update_message") =>
                    {
                        let reply = self.post_of(delivery, &which.channel, Some(which), message);
                        self.reply_instead(ctx, delivery, target, &reply, notes).await
                    }
                    updated => updated.map(|()| Receipt::new(which.to_string())),
                }
            }
            Place::Ephemeral { channel, user } => {
                let words =
                    EphemeralMessage { channel, user, text: message.text(), blocks: message.blocks() };
                let shown = self.client.chat_post_ephemeral(ctx, &words).await;
                // Nobody repairs a channel for the sake of words that nobody waits for by then.
                let shown = shown.map_err(|error| match error.scope() {
                    Scope::Lane => error.with_scope(Scope::Entry),
                    _ => error,
                })?;
                Ok(Receipt::new(format!("ephemeral:{channel}/{shown}")))
            }
        }
    }

    /// A message of a delivery, or a reply to `parent`.
    fn post_of<'a>(
        &self,
        delivery: &Delivery,
        channel: &'a str,
        parent: Option<&'a MessageRef>,
        message: &'a Message,
    ) -> PostMessage<'a> {
        let mut post = PostMessage::new(channel, message);
        post.thread_ts = parent.map(|parent| &*parent.ts);
        post.metadata = self.metadata(delivery);
        post.client_msg_id = self.dedupe.client_msg_id().then(|| delivery.id.to_string());
        post
    }

    fn metadata(&self, delivery: &Delivery) -> Option<Metadata> {
        self.dedupe.metadata().then(|| Metadata::of(delivery, delivery.id))
    }

    /// Replies to a message that cannot be changed any more, as soon as its channel has room for a post: the engine
    /// has admitted a change only. A note says so first, because a reply is not made again as a change may be.
    async fn reply_instead(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        target: &Target,
        reply: &PostMessage<'_>,
        notes: &dyn AttemptNotes,
    ) -> Result<Receipt> {
        self.room_in(ctx, target, "slack.reply_instead").await?;
        keep_note(notes, &[delivery.seq], delivery.id).await?;
        self.post(ctx, target, reply).await
    }

    /// Room for a post that the engine has not admitted there.
    async fn room_in(&self, ctx: &Context, target: &Target, operation: &'static str) -> Result<()> {
        match ctx.limiter().admit(&self.pacing.post(target), ctx.now()).await? {
            Admission::Admitted(_) => Ok(()),
            Admission::NotBefore(at) => {
                Err(Error::new(ErrorKind::RateLimited, "the channel has no room for a message yet")
                    .with_operation(operation)
                    .with_scope(Scope::Quota(self.pacing.channel_key(target)))
                    .with_retry(Retry::At(at)))
            }
        }
    }

    async fn post(&self, ctx: &Context, target: &Target, post: &PostMessage<'_>) -> Result<Receipt> {
        match self.client.chat_post_message(ctx, post, self.pacing.channel_key(target)).await {
            Ok(posted) => {
                if posted.is_duplicate == Some(true) {
                    tracing::info!(system = "slack", "Slack recognized a message it has already");
                }
                let has_left = post.thread_ts.is_some_and(|thread| posted.has_left(thread));
                if has_left {
                    tracing::info!(
                        system = "slack",
                        "the message to reply to is gone: the reply begins a thread"
                    );
                }
                let mut receipt = receipt(posted.channel, posted.ts);
                receipt.begins_anew = has_left;
                Ok(receipt)
            }
            Err(error) => Err(self.refused(ctx, target, error).await),
        }
    }

    /// The id to post to. Whatever fails here, nothing was posted.
    async fn addressee(&self, ctx: &Context, target: &Target) -> Result<String> {
        let id = match target {
            Target::Assignee { email, fallback } => match self.people.find(ctx, &self.client, email).await {
                Ok(Ok(Member { is_guest: false, id })) => Ok(id),
                Ok(_) => {
                    self.room_in(ctx, fallback, "slack.post_to_fallback").await?;
                    self.resolve(ctx, fallback).await
                }
                Err(error) => Err(error),
            },
            target => self.resolve(ctx, target).await,
        };
        id.map_err(|error| unnamed(error).with_effect(Effect::None))
    }

    async fn resolve(&self, ctx: &Context, target: &Target) -> Result<String> {
        match target {
            Target::Conversation(id) | Target::User(id) => Ok(id.clone()),
            Target::Named(name) => self.channels.resolve(ctx, &self.client, name).await,
            Target::Email(email) | Target::Assignee { email, .. } => {
                self.people.resolve(ctx, &self.client, email).await
            }
        }
    }

    /// A post that goes out later than it was admitted: the next one has to count from now.
    async fn charge_delay(&self, ctx: &Context, target: &Target, admitted: Timestamp) {
        if ctx.now().saturating_since(admitted) <= GUARD {
            return;
        }
        let key = self.pacing.channel_key(target);
        let charge = Feedback::Charge { units: 1 };
        if let Err(error) = ctx.limiter().report(&key, charge, ctx.now()).await {
            tracing::warn!(%error, %key, "the limiter could not be told that a post was late");
        }
    }

    /// Draws conclusions from a refused post.
    async fn refused(&self, ctx: &Context, target: &Target, error: Error) -> Error {
        if error.scope() == &Scope::Lane {
            match target {
                Target::Named(_) => self.channels.forget().await,
                Target::Email(email) | Target::Assignee { email, .. } => self.people.forget(email),
                Target::Conversation(_) | Target::User(_) => {}
            }
        }
        match (error.scope(), error.retry()) {
            (Scope::Quota(key), Retry::At(until)) if self.second_channel(key, until, ctx.now()) => {
                error.with_scope(Scope::Quota(self.pacing.workspace_key().clone()))
            }
            _ => error,
        }
    }

    /// Slack does not say whether a 429 means the channel or the workspace. While one channel is paused, a 429 for
    /// another one is taken as the workspace's.
    fn second_channel(&self, key: &QuotaKey, until: Timestamp, now: Timestamp) -> bool {
        let mut last = self.last_429.lock().unwrap_or_else(PoisonError::into_inner);
        let second = last.as_ref().is_some_and(|(other, paused)| other != key && *paused > now);
        *last = Some((key.clone(), until));
        second
    }
}

/// Keeps the id of a message before it is posted. Where that fails, nothing is.
async fn keep_note(notes: &dyn AttemptNotes, deliveries: &[Seq], id: DeliveryId) -> Result<()> {
    let kept = notes.keep(deliveries, Bytes::from(id.to_string())).await;
    kept.map_err(|error| error.with_effect(Effect::None))
}

pub(crate) fn receipt(channel: String, ts: String) -> Receipt {
    Receipt::new(MessageRef { channel, ts }.to_string())
}

/// What a message carries to be found by: its delivery's id, or its digest's.
pub(crate) fn message_id(delivery: &Delivery) -> DeliveryId {
    let note = delivery.note.as_deref().filter(|_| delivery.digest);
    let noted = note.and_then(|note| DeliveryId::parse(std::str::from_utf8(note).ok()?));
    noted.unwrap_or(delivery.id)
}

/// A scope that only a look for a name or an address lacks stops what is routed that way, not the connection.
pub(crate) fn unnamed(error: Error) -> Error {
    if is_code(&error, "missing_scope") { error.with_scope(Scope::Lane) } else { error }
}

/// The same error for another delivery of a batch.
fn same(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message().to_owned())
        .with_effect(error.effect())
        .with_scope(error.scope().clone())
        .with_retry(error.retry())
        .with_operation(error.operation());
    let facts = ["code", "status", "request_id"].into_iter();
    facts.fold(copy, |copy, key| match error.context(key) {
        Some(value) => copy.with_context(key, value),
        None => copy,
    })
}
