//! Who vouches for a request.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use crate::{
    Error, ErrorKind, ReceiveRequest, Result, Timestamp,
    engine::{hooks::Whose, registry::SourceSlot, shared::Shared},
    model::{AccountKey, EndpointId, Intake},
};

impl Shared {
    /// Finds the first source that can vouch for the request. The inner error is of a request that is proven, but not
    /// understood. One that nobody vouches for is counted for the connection whose account it names, as the context
    /// `account` of its error says, or the only one there is; otherwise for the endpoint.
    pub(super) async fn verify<'a>(
        &self,
        endpoint: &EndpointId,
        slots: &'a [Arc<SourceSlot>],
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Result<(&'a Arc<SourceSlot>, Result<Intake>)> {
        let (mut refused, mut claimed, mut forged) = (None, None, Vec::new());
        for slot in slots {
            let state = self.upkeep_state(slot).await?;
            let mut intake = slot.source.receive(ReceiveRequest::new(request, now).state(state.as_ref()));
            if is_forged(&intake)
                && let Some(newer) = Box::pin(self.newer_upkeep_state(slot)).await?
            {
                intake = slot.source.receive(ReceiveRequest::new(request, now).state(Some(&newer)));
            }
            match intake {
                Err(error) if error.kind() == ErrorKind::SignatureInvalid => {
                    claimed = claimed.or_else(|| error.context("account").map(AccountKey::from));
                    refused = Some(error.with_context("connection", slot.connection()));
                    forged.push(slot);
                }
                // Another connection of the endpoint may have given this path to its vendor.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    refused = refused.or_else(|| Some(error.with_context("connection", slot.connection())));
                }
                intake => {
                    self.hooks.accepted(Whose::Endpoint(endpoint.clone()), now);
                    return Ok((slot, intake));
                }
            }
        }
        let is_claimed = |slot: &&&Arc<SourceSlot>| {
            claimed.as_ref().is_some_and(|account| slot.source.info().accounts.contains(account))
        };
        // A path that nobody has issued says nothing about secrets: then none is forged.
        let meant = match forged.as_slice() {
            [only] => Some(only),
            several => several.iter().find(is_claimed),
        };
        match meant {
            Some(slot) => {
                self.hooks.refused(Whose::Connection(slot.connection().clone()), now);
                self.tallies.count(slot.connection(), now, |tally| tally.refused += 1);
            }
            None if !forged.is_empty() => self.hooks.refused(Whose::Endpoint(endpoint.clone()), now),
            None => {}
        }
        let nobody = || Error::new(ErrorKind::NotFound, "no source is connected at this endpoint");
        Err(refused.unwrap_or_else(nobody))
    }
}

fn is_forged(intake: &Result<Intake>) -> bool {
    intake.as_ref().is_err_and(|error| error.kind() == ErrorKind::SignatureInvalid)
}
