//! Who vouches for a request.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use crate::{
    Error, ErrorKind, ReceiveRequest, Result, Timestamp,
    engine::{registry::SourceSlot, shared::Shared},
    model::Intake,
};

impl Shared {
    /// Finds the first source that can vouch for the request. The inner error is of a request that is proven, but not
    /// understood.
    pub(super) async fn verify<'a>(
        &self,
        slots: &'a [Arc<SourceSlot>],
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Result<(&'a Arc<SourceSlot>, Result<Intake>)> {
        let (mut refused, mut forged) = (None, Vec::new());
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
                    refused = Some(error.with_context("connection", slot.connection()));
                    forged.push(slot);
                }
                // Another connection of the endpoint may have given this path to its vendor.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    refused = refused.or_else(|| Some(error.with_context("connection", slot.connection())));
                }
                intake => {
                    self.hooks.accepted(slot.connection(), now);
                    return Ok((slot, intake));
                }
            }
        }
        // Nobody vouches for it: it may have been meant for any whose path it has. A path that nobody has issued says nothing
        // about secrets.
        for slot in forged {
            self.hooks.refused(slot.connection(), now);
            self.tallies.count(slot.connection(), now, |tally| tally.refused += 1);
        }
        let nobody = || Error::new(ErrorKind::NotFound, "no source is connected at this endpoint");
        Err(refused.unwrap_or_else(nobody))
    }
}

fn is_forged(intake: &Result<Intake>) -> bool {
    intake.as_ref().is_err_and(|error| error.kind() == ErrorKind::SignatureInvalid)
}
