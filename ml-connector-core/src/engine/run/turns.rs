//! Connections that stop working or work again: written down one after the other.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    audit::EntryKind,
    engine::{notices, retry::LOG_PAUSE, shared::Shared},
    model::ConnectionId,
};

/// A connection's reads or deliveries have stopped working, and why, or work again.
pub(crate) type Turned = (ConnectionId, EntryKind, Option<Arc<str>>);

/// Writes down how connections turn, one turn after the other, so that the last word holds.
pub(crate) async fn tell_turns(shared: Arc<Shared>, mut turns: UnboundedReceiver<Turned>) {
    while let Some((connection, kind, reason)) = turns.recv().await {
        while let Err(error) = notices::connection_turned(&shared, &connection, kind, reason.clone()).await {
            tracing::error!(%error, %connection, "the log cannot be told whether a connection works");
            tokio::time::sleep(LOG_PAUSE).await;
        }
    }
}
