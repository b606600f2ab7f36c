//! What can be asked of the company.

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Destination, EntityRef, Event, Interaction},
};

use crate::models::Set;

const POST: &str = "post";

/// Posts the purchase or sales invoice that an event is about, by `Microsoft.NAV.post`: it becomes a posted document with
/// ledger entries, which no call undoes. An invoice that is posted already counts as done; one that changed since it was
/// shown is refused.
#[must_use]
pub fn post() -> Destination {
    Destination::from(POST)
}

pub(super) fn require(destination: &Destination) -> Result<()> {
    if destination.as_str() == POST {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidRequest, "expected a destination made by post").with_context(
        "destination",
        destination.as_str().chars().take(80).collect::<String>().escape_debug(),
    ))
}

/// The invoice that a command given by an event is about: the one the event names, or else its own record.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when it is another connection's, or no invoice.
pub(super) fn document<'e>(connection: &str, event: &'e Event) -> Result<(Set, &'e EntityRef)> {
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
    let set = Set::of_kind(&entity.kind).filter(|set| set.is_invoice());
    let set = set.ok_or_else(|| {
        Error::new(ErrorKind::InvalidRequest, "only purchase and sales invoices are posted")
            .with_context("kind", entity.kind.escape_debug())
    })?;
    if !crate::models::is_guid(&entity.id) {
        return Err(Error::new(ErrorKind::InvalidRequest, "the invoice's id is no GUID"));
    }
    Ok((set, entity))
}
