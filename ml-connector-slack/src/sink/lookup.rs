//! What became of an attempt whose answer was lost: reading back tells.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Timestamp,
    model::{Delivery, DeliveryId, Lookup},
};

use crate::{
    Slack,
    destination::Target,
    error::is_code,
    models::{AuthTest, HistoryMessage, HistoryQuery},
    sink::attempt::{message_id, receipt, unnamed},
    sink::place::Place,
};

/// A first look that nobody came back to is forgotten after this long. Where the history is read once a minute, the
/// second look of many may have to wait for hours.
const FORGET: Duration = Duration::from_secs(24 * 3600);

/// How long after the first look the second follows, at the earliest.
const FIRST_LOOKS: Duration = Duration::from_secs(5);
/// Looks that may be made only so often are so far apart.
const SPACED: Duration = Duration::from_secs(61);

/// When a delivery was looked for in vain, so that the second look is known as such.
///
/// In memory on purpose. Losing it costs one more look, and never makes a look count that did not follow the
/// attempt: an entry belongs to one attempt.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<DeliveryId, Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    attempt: u32,
    first: Timestamp,
}

impl Looks {
    /// Notes a look that began at `began` and found nothing; tells when the first one of this attempt began.
    fn first(&self, delivery: &Delivery, began: Timestamp) -> Timestamp {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, look| began.saturating_since(look.first) < FORGET);
        let fresh = Look { attempt: delivery.attempt, first: began };
        let look = looks.entry(delivery.id).or_insert(fresh);
        if look.attempt != delivery.attempt || look.first > began {
            *look = fresh;
        }
        look.first
    }

    pub(crate) fn forget(&self, delivery: &Delivery) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&delivery.id);
    }
}

/// So often something is said to one person at most, where nobody can tell whether they saw it. To read it twice costs them a
/// glance; not to read it at all leaves their click without an answer.
const SAID_AT_MOST: u32 = 5;

/// What reading back showed.
enum Found {
    Message(String),
    /// A reply that Slack posted into the channel, because the message to reply to is gone.
    Stray(String),
    Nothing,
    TooMuch,
}

impl Slack {
    /// Looks for what an attempt may have done.
    ///
    /// What is found happened: a post in its channel, a reply in its thread, a change on its message or, where that
    /// could not be changed, in its thread; a reply also in the channel, where Slack puts it when its thread is gone. Not
    /// found in looks until one began `settle` after the first, all after the attempt had ended: it did not. Unreadable or too long a history: nobody can tell, but a change that is made again
    /// changes nothing. What one person saw cannot be looked up: it is said again, up to [`SAID_AT_MOST`] times in all.
    pub(crate) async fn read_back(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        let place = match Place::of(delivery, self.admin.as_ref())? {
            // Its attempt has kept a note: what could not be changed was replied to.
            Place::Update { message, target } if delivery.note.is_some() && !delivery.digest => {
                Place::Post { target, parent: Some(message) }
            }
            place => place,
        };
        let unreadable = match &place {
            Place::Ephemeral { .. } if delivery.attempt < SAID_AT_MOST => return Ok(Lookup::MayRepeat),
            Place::Post { .. } | Place::Ephemeral { .. } => Lookup::CannotTell,
            Place::Update { .. } => Lookup::MayRepeat,
        };
        if !self.dedupe.metadata() || matches!(place, Place::Ephemeral { .. }) {
            return Ok(unreadable);
        }
        let (channel, began, found) = match self.look(ctx, delivery, &place).await {
            Err(error) if is_forbidden(&error) => {
                tracing::info!(delivery.id = %delivery.id, %error, "what was sent cannot be read back");
                return Ok(unreadable);
            }
            looked => looked?,
        };
        Ok(match found {
            Found::Message(ts) => {
                self.looks.forget(delivery);
                Lookup::Happened(receipt(channel, ts))
            }
            Found::Stray(ts) => {
                self.looks.forget(delivery);
                let mut receipt = receipt(channel, ts);
                receipt.begins_anew = true;
                Lookup::Happened(receipt)
            }
            Found::TooMuch => unreadable,
            Found::Nothing => self.not_found(delivery, began),
        })
    }

    fn not_found(&self, delivery: &Delivery, began: Timestamp) -> Lookup {
        let settle = self.history.settle();
        let first = self.looks.first(delivery, began);
        if first < began && began >= first + settle {
            self.looks.forget(delivery);
            Lookup::DidNotHappen
        } else {
            // Soon at first: most of what is late is not late by much.
            let gone_by = began.saturating_since(first);
            let soon = FIRST_LOOKS.max(SPACED / self.history.per_minute.max(1));
            Lookup::AskAgain { at: first + settle.min(gone_by.saturating_mul(2).max(soon)) }
        }
    }

    async fn look(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        place: &Place,
    ) -> Result<(String, Timestamp, Found)> {
        let Place::Post { target: Target::Assignee { email, fallback }, parent: None } = place else {
            return self.look_in(ctx, delivery, place).await;
        };
        // Whom the attempt found may be gone by now, and the other way round: both places are looked at.
        let post = |target| Place::Post { target, parent: None };
        match self.look_in(ctx, delivery, &post(Target::Email(email.clone()))).await {
            Ok((_, _, Found::Nothing)) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            looked => return looked,
        }
        self.look_in(ctx, delivery, &post((**fallback).clone())).await
    }

    async fn look_in(
        &self,
        ctx: &Context,
        delivery: &Delivery,
        place: &Place,
    ) -> Result<(String, Timestamp, Found)> {
        let oldest = ts(delivery.since - self.history.margin());
        let (channel, thread, oldest) = match place {
            Place::Post { parent: Some(parent), .. } => (parent.channel.clone(), Some(&*parent.ts), &*oldest),
            Place::Post { target, parent: None } => (self.conversation(ctx, target).await?, None, &*oldest),
            Place::Update { message, .. } => (message.channel.clone(), Some(&*message.ts), &*message.ts),
            Place::Ephemeral { channel, .. } => (channel.clone(), None, &*oldest),
        };
        let us = self.identity.get_or_try_init(|| self.client.auth_test(ctx)).await?;
        let began = ctx.now();
        let query = HistoryQuery { channel: &channel, oldest, limit: self.history.limit, cursor: None };
        let id = message_id(delivery).to_string();
        let found = match self.search(ctx, thread, query, &id, us).await {
            Err(error) if is_code(&error, "thread_not_found") => Found::Nothing,
            found => found?,
        };
        let is_reply = matches!(place, Place::Post { parent: Some(_), .. });
        let found = match found {
            Found::Nothing if is_reply => match self.search(ctx, None, query, &id, us).await? {
                Found::Message(ts) => Found::Stray(ts),
                found => found,
            },
            found => found,
        };
        Ok((channel, began, found))
    }

    /// Reads page after page for a message of ours with this id.
    async fn search(
        &self,
        ctx: &Context,
        thread: Option<&str>,
        query: HistoryQuery<'_>,
        id: &str,
        us: &AuthTest,
    ) -> Result<Found> {
        let mut cursor: Option<String> = None;
        for _ in 0..self.history.max_pages {
            let query = HistoryQuery { cursor: cursor.as_deref(), ..query };
            let page = match thread {
                Some(ts) => self.client.conversations_replies(ctx, ts, query).await?,
                None => self.client.conversations_history(ctx, query).await?,
            };
            let ours = |message: &&HistoryMessage| {
                message.delivery_id() == Some(id) && is_ours(message, us) && !message.ts.is_empty()
            };
            if let Some(message) = page.messages.iter().find(ours) {
                return Ok(Found::Message(message.ts.clone()));
            }
            match page.next_cursor {
                None => return Ok(Found::Nothing),
                // The same page again: whatever follows will never be seen.
                next if next == cursor => return Ok(Found::TooMuch),
                next => cursor = next,
            }
        }
        Ok(Found::TooMuch)
    }

    /// The id of the conversation that a post led to.
    async fn conversation(&self, ctx: &Context, target: &Target) -> Result<String> {
        match target {
            Target::Conversation(id) => Ok(id.clone()),
            Target::Named(name) => self.channels.resolve(ctx, &self.client, name).await.map_err(unnamed),
            Target::User(id) => self.client.conversations_open(ctx, id).await,
            Target::Email(address) | Target::Assignee { email: address, .. } => {
                let id = self.people.resolve(ctx, &self.client, address).await.map_err(unnamed)?;
                self.client.conversations_open(ctx, &id).await
            }
        }
    }
}

/// Metadata can be copied by any app: a message counts only if this bot wrote it.
fn is_ours(message: &HistoryMessage, us: &AuthTest) -> bool {
    let same = |theirs: &Option<String>, ours: &Option<String>| ours.is_some() && theirs == ours;
    same(&message.bot_id, &us.bot_id) || same(&message.app_id, &us.app_id) || same(&message.user, &us.user_id)
}

/// Whether an error says that this conversation is closed to the bot, for as long as nobody changes something.
fn is_forbidden(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::Conflict)
}

/// An instant as Slack writes it in a `ts`.
fn ts(at: Timestamp) -> String {
    let millis = at.as_millis().max(0);
    format!("{}.{:03}000", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_six_decimals() {
        assert_eq!(ts(Timestamp::from_millis(1_767_225_605_007)), "1767225605.007000");
    }
}
