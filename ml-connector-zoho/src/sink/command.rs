//! What can be asked of the books.

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Destination, EntityRef, Event, Interaction, RecordKind},
};

/// Approves the invoice, bill or purchase order that an event is about: Zoho's own approve call. A document that is
/// approved already counts as done; one that changed since it was shown, or does not wait for approval, is refused.
#[must_use]
pub fn approve() -> Destination {
    Destination::from("approve")
}

/// Submits the invoice, bill or purchase order that an event is about for approval.
#[must_use]
pub fn submit() -> Destination {
    Destination::from("submit")
}

/// Notes on the document that an event is about who acknowledged it, as a comment that customers do not see: once for
/// each person and document. A payment has no comments: the documents that it settles get them.
#[must_use]
pub fn acknowledge() -> Destination {
    Destination::from("acknowledge")
}

/// The same in a custom field that somebody has made before, by its id. It holds the latest acknowledgement.
#[must_use]
pub fn acknowledge_in(custom_field_id: &str) -> Destination {
    Destination::from(format!("acknowledge:{}", custom_field_id.trim()))
}

/// Takes an acknowledgement back: deletes the person's comment. For `reaction.deleted`; who does not route that keeps
/// acknowledgements although the reaction is gone.
#[must_use]
pub fn withdraw() -> Destination {
    Destination::from("withdraw")
}

/// The same for a custom field: empties it.
#[must_use]
pub fn withdraw_from(custom_field_id: &str) -> Destination {
    Destination::from(format!("withdraw:{}", custom_field_id.trim()))
}

/// A destination, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Approve,
    Submit,
    /// Notes an acknowledgement: in a comment, or in a custom field.
    Acknowledge(Option<&'a str>),
    /// Takes one back.
    Withdraw(Option<&'a str>),
}

impl<'a> Command<'a> {
    pub(crate) fn parse(destination: &'a Destination) -> Result<Self> {
        let is_id = |id: &&str| (1..=30).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        match destination.as_str().split_once(':') {
            None if destination.as_str() == "approve" => Ok(Self::Approve),
            None if destination.as_str() == "submit" => Ok(Self::Submit),
            None if destination.as_str() == "acknowledge" => Ok(Self::Acknowledge(None)),
            None if destination.as_str() == "withdraw" => Ok(Self::Withdraw(None)),
            Some(("acknowledge", id)) if is_id(&id) => Ok(Self::Acknowledge(Some(id))),
            Some(("withdraw", id)) if is_id(&id) => Ok(Self::Withdraw(Some(id))),
            _ => Err(Error::new(
                ErrorKind::InvalidRequest,
                "expected a destination made by approve, submit, acknowledge, acknowledge_in, withdraw or withdraw_from",
            )
            .with_context("destination", destination.as_str().chars().take(80).collect::<String>().escape_debug())),
        }
    }

    /// Whether the command can be given for records of a kind.
    fn takes(self, kind: &RecordKind) -> bool {
        match kind {
            RecordKind::Invoice | RecordKind::Bill | RecordKind::PurchaseOrder => true,
            RecordKind::CustomerPayment | RecordKind::VendorPayment => {
                matches!(self, Self::Acknowledge(None) | Self::Withdraw(None))
            }
            _ => false,
        }
    }

    /// The document that a command given by an event is about: the one the event names, or else its own record.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is another connection's, or of a kind that the command is not for.
    pub(crate) fn document<'e>(self, connection: &str, event: &'e Event) -> Result<&'e EntityRef> {
        let about = event.interaction().and_then(Interaction::about);
        let (owner, entity) = match about {
            Some(about) => (&about.connection, &about.entity),
            None => (&event.connection, &event.entity),
        };
        if owner.as_str() != connection {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the event is about a document of another connection",
            )
            .with_context("document_of", owner));
        }
        if !self.takes(&RecordKind::from(&*entity.kind)) {
            return Err(Error::new(ErrorKind::InvalidRequest, "the command is not for records of this kind")
                .with_context("kind", entity.kind.escape_debug()));
        }
        Ok(entity)
    }
}
