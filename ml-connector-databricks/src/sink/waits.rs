//! What stops a table for a while: it waits by time, and for a person if that does not end.

use std::time::Duration;

use ml_connector_core::{Error, ErrorKind, Retry, Scope};

use super::{
    run::{Failure, not_running},
    write::Work,
};
use crate::{
    error::{Fault, with_facts},
    models::WarehouseState,
    tables::Known,
};

/// How long others may be in the way, or statements be cancelled, before somebody is told.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// When the table is tried again: the first time, and after a while.
const FIRST: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_secs(60);
/// How long it may take to see how the warehouse is.
const LOOK: Duration = Duration::from_secs(5);

impl Work<'_> {
    /// What deliveries wait for. A statement that ran and did not succeed says something about its table, and keeps no
    /// other waiting; only the warehouse itself is everybody's.
    pub(super) async fn waits(&self, Failure { fault, error }: Failure, known: &mut Known) -> Error {
        let error = error.with_context("table", &self.job.table);
        let passes = fault.is_some_and(Fault::passes) || error.kind() == ErrorKind::Conflict;
        if !passes {
            return error;
        }
        if fault == Some(Fault::Passing)
            && let Some(outage) = self.outage().await
        {
            return outage.with_source(error);
        }
        let now = self.ctx.now();
        let since = *known.troubled.get_or_insert(now);
        let lasts = now.saturating_since(since);
        let text = error.message().to_owned();
        let waits = if lasts < PATIENCE {
            // Nothing is counted meanwhile: no row is given up for it.
            Error::new(ErrorKind::RateLimited, text).with_retry(Retry::At(now + lasts.clamp(FIRST, LAST)))
        } else {
            Error::new(ErrorKind::Conflict, text).with_scope(Scope::Lane).with_retry(Retry::Never)
        };
        with_facts(waits.with_effect(error.effect()), &error).with_source(error)
    }

    /// Why nothing runs at present, where that is so.
    async fn outage(&self) -> Option<Error> {
        match self.parts.client.get_warehouse(&self.ctx.within(LOOK)).await {
            Ok(warehouse) if warehouse.state == WarehouseState::Running => None,
            Ok(warehouse) => Some(not_running(&warehouse, self.ctx.now())),
            // It may be used without being seen.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            Err(error) => Some(error),
        }
    }
}
