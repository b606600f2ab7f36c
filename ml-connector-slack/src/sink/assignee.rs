//! Whoever is responsible for what is told, as Slack knows them.

use ml_connector_core::{Context, Effect, Error, Result, Retry, Scope, model::Delivery};

use super::people::{Member, Missing};
use crate::{
    Slack,
    destination::is_email,
    error::is_code,
    message::{Assignee, Unmentioned},
};

/// How many attempts wait for Slack to say who has an address. After that a message without its mention is better than none.
const TRIES: u32 = 3;

impl Slack {
    /// Who is to be mentioned by a message.
    ///
    /// # Errors
    /// What passes, in the first attempts, and what stops the connection. Nothing was posted.
    pub(super) async fn assignee(&self, ctx: &Context, delivery: &Delivery) -> Result<Assignee> {
        let Some(email) = email(delivery) else { return Ok(Assignee::Nobody) };
        let Some(email) = email else { return Ok(Assignee::Unmentioned(Unmentioned::NoAddress)) };
        let why = match self.people.find(ctx, &self.client, &email).await {
            Ok(Ok(Member { is_guest: false, id })) => return Ok(Assignee::User(id)),
            Ok(Ok(_)) => Unmentioned::Guest,
            Ok(Err(Missing::Nobody)) => Unmentioned::NotInWorkspace,
            Ok(Err(Missing::Gone)) => Unmentioned::Deactivated,
            Err(error) if is_worth_waiting_for(&error, delivery) => {
                return Err(error.with_effect(Effect::None));
            }
            Err(error) => {
                tracing::warn!(%error, delivery.id = %delivery.id, "nobody is mentioned: who has an address cannot be read");
                Unmentioned::Unread
            }
        };
        Ok(Assignee::Unmentioned(why))
    }
}

/// The address of whoever is responsible, as it is looked for. `None` when the books name nobody, or when nothing is shown;
/// `Some(None)` when they know no address.
pub(super) fn email(delivery: &Delivery) -> Option<Option<String>> {
    let person = delivery.event.document()?.assignee.as_ref()?;
    // A code alone is nobody.
    if person.name.is_none() && person.email.is_none() {
        return None;
    }
    let email = person.email.as_deref().map(|email| email.trim().to_lowercase());
    Some(email.filter(|email| is_email(email)))
}

/// A scope that only this look lacks is no reason to wait.
fn is_worth_waiting_for(error: &Error, delivery: &Delivery) -> bool {
    if is_code(error, "missing_scope") {
        return false;
    }
    error.scope() == &Scope::Connection || error.retry() != Retry::Never && delivery.attempt < TRIES
}
