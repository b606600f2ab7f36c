//! Callbacks: the handshake that hands their keys over, and deliveries, which hold nothing but ids.

mod callbacks;
mod signature;
mod state;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use ml_connector_core::{
    Error, ErrorKind, ReceiveRequest, Result,
    model::{AccountKey, EntityRef, Intake, Signal, Subject},
    webhook::{Encoding, Form, HmacSha256, single_header},
};

use self::state::{Key, Offer, State};
use crate::models::kind_of_noun;

/// Base64 of an HMAC-SHA256, by "Webhook Callbacks" of FreshBooks' documentation.
const SIGNATURE: &str = "x-freshbooks-hmac-sha256";
/// The name of the request that hands a verifier over.
const VERIFY: &str = "callback.verify";
/// The longest id and name that are believed.
const MAX_TEXT: usize = 64;

/// Receives what FreshBooks sends about one account, and looks after its callbacks.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    account_id: String,
    /// What there are callbacks for. Each has a path of its own, and so a key of its own.
    nouns: Vec<&'static str>,
}

impl Webhook {
    pub(crate) fn new(account_id: &str, nouns: Vec<&'static str>) -> Self {
        Self { account_id: account_id.to_owned(), nouns }
    }

    /// What there are callbacks for.
    pub(crate) fn nouns(&self) -> &[&'static str] {
        &self.nouns
    }

    /// What a request means.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a path that is none of ours; [`ErrorKind::SignatureInvalid`] when it is not proven to
    /// come from FreshBooks; [`ErrorKind::Unavailable`] while the verifier that proves it is not confirmed.
    pub(crate) fn receive(&self, received: ReceiveRequest<'_>) -> Result<Intake> {
        let request = received.request;
        let path = request.uri().path().trim_matches('/');
        let noun = self.nouns.iter().find(|noun| **noun == path);
        let noun = noun.ok_or_else(|| Error::new(ErrorKind::NotFound, "no callback has this path"))?;
        if !Form::is_body_of(request) {
            return Err(unproven("expected a form"));
        }
        let fields = signature::form(request.body());
        let fields = fields.ok_or_else(|| unproven("the form has malformed or repeated fields, or none"))?;
        let delivery = Delivery { noun, fields: &fields };
        let state = State::read(received.state);
        if delivery.field("name") == Some(VERIFY) {
            return self.take_verifier(&delivery, state, received.now);
        }
        verify(&state, &delivery, received)?;
        Ok(self.signal(&delivery))
    }

    /// A handshake proves nothing yet: that it is FreshBooks' shows when the verifier is given back. It is believed only
    /// where one was asked for.
    fn take_verifier(
        &self,
        delivery: &Delivery<'_>,
        mut state: State,
        now: ml_connector_core::Timestamp,
    ) -> Result<Intake> {
        let id = delivery.field("object_id").filter(|id| is_id(id));
        let evidence = Bytes::from(format!("a verifier for callback {}", id.unwrap_or("without an id")));
        let dropped =
            |why: &'static str| Ok(Intake::accepted(Vec::new()).note(why).evidence(evidence.clone()));
        let verifier = delivery.field("verifier").filter(|text| (1..=MAX_TEXT * 4).contains(&text.len()));
        let (Some(id), Some(verifier)) = (id, verifier) else {
            return dropped("dropped: a handshake without a verifier or an id");
        };
        if delivery.field("account_id") != Some(&*self.account_id) {
            return dropped("dropped: a handshake for another account");
        }
        let Some(kept) = state.nouns.get_mut(delivery.noun).filter(|kept| kept.waits(now)) else {
            return dropped("dropped: no handshake is waited for");
        };
        if kept.id.as_deref().is_some_and(|known| known != id) {
            return dropped("dropped: a handshake for another callback");
        }
        let look = Signal::of(Subject::Subscription(delivery.noun.into()));
        let is_new = kept.offer(Offer { id: id.to_owned(), verifier: Key(verifier.into()) });
        let intake = Intake::accepted(vec![look]).evidence(evidence);
        if is_new { Ok(intake.state(state.write()?)) } else { Ok(intake) }
    }

    /// The record that a proven delivery is about. One that says nothing we know is answered with a success all the same.
    fn signal(&self, delivery: &Delivery<'_>) -> Intake {
        let name = delivery.field("name").unwrap_or_default();
        // A noun without a verb is taken for a change.
        let noun = name.split_once('.').map_or(name, |(noun, _)| noun);
        let Some(kind) = kind_of_noun(noun) else {
            let known = name.len() <= MAX_TEXT
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
            let name = if known { name } else { "of another form" };
            return Intake::accepted(Vec::new()).note(format!("dropped: the event {name} is not known"));
        };
        let Some(id) = delivery.field("object_id").filter(|id| is_id(id)) else {
            return Intake::accepted(Vec::new()).note("dropped: a delivery without the id of a record");
        };
        let mut signal = Signal::entity(EntityRef::new(kind, id));
        signal.hint = Some(name.get(..MAX_TEXT).unwrap_or(name).into());
        signal.account = delivery.field("account_id").map(account_key);
        Intake::accepted(vec![signal])
    }
}

/// How a delivery names an account.
pub(crate) fn account_key(account_id: &str) -> AccountKey {
    AccountKey::new(["account:", account_id.get(..MAX_TEXT).unwrap_or(account_id)].concat())
}

/// Whether a hint says that the record was deleted.
pub(crate) fn is_deletion(hint: &str) -> bool {
    hint.ends_with(".delete")
}

/// A form that was sent to the callback of a noun.
struct Delivery<'a> {
    noun: &'a str,
    fields: &'a [(String, String)],
}

impl Delivery<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn verify(state: &State, delivery: &Delivery<'_>, received: ReceiveRequest<'_>) -> Result<()> {
    let signature = single_header(received.request.headers(), SIGNATURE)?;
    let message = signature::message(delivery.fields);
    let signed_with = |keys: Vec<_>| {
        HmacSha256::new(keys)?.verify(&[message.as_bytes()], signature.trim(), &[Encoding::Base64])
    };
    let keys = state.keys(delivery.noun, received.now);
    let none = keys.is_empty();
    let verified = if none { Err(unproven("no verifier was handed over yet")) } else { signed_with(keys) };
    let offered = state.offered(delivery.noun);
    if verified.is_err() && !offered.is_empty() && signed_with(offered).is_ok() {
        // FreshBooks may have accepted it and send already, before that is written down here. It repeats what fails.
        let early = "signed with a verifier that FreshBooks has not confirmed yet";
        return Err(Error::new(ErrorKind::Unavailable, early));
    }
    verified.map_err(|error| {
        // What FreshBooks may sign beside what it sends is not known: the names help to find out.
        let names: Vec<String> =
            delivery.fields.iter().map(|(name, _)| name.escape_debug().to_string()).collect();
        error.with_context("fields", names.join(",").chars().take(200).collect::<String>())
    })
}

/// FreshBooks' ids are numbers.
fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn unproven(reason: &'static str) -> Error {
    Error::new(ErrorKind::SignatureInvalid, reason)
}
