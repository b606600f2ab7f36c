//! Connections that stop working or work again: written down one after the other.

use std::{collections::HashMap, future::pending, sync::Arc};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    Timestamp,
    engine::{
        notices::{self, ConnectionNews},
        retry::LOG_PAUSE,
        shared::Shared,
    },
    model::ConnectionId,
};

/// A connection's reads or deliveries have stopped working, or work again.
pub(crate) type Turned = (ConnectionId, ConnectionNews);

/// Writes down how connections turn, one turn after the other, so that the last word holds. What is told later, because the
/// connection turns often, is told when it is due, unless the connection works again by then.
pub(crate) async fn tell_turns(shared: Arc<Shared>, mut turns: UnboundedReceiver<Turned>) {
    let mut later: HashMap<ConnectionId, Timestamp> = HashMap::new();
    loop {
        let next = later.iter().min_by_key(|(_, at)| **at).map(|(connection, at)| (connection.clone(), *at));
        let due = async {
            let Some((connection, at)) = next else { return pending().await };
            tokio::time::sleep(at.saturating_since(shared.clock.now())).await;
            (connection, ConnectionNews::Due)
        };
        let turned = tokio::select! {
            biased;
            turned = turns.recv() => turned,
            turned = due => Some(turned),
        };
        let Some((connection, turn)) = turned else { return };
        let due = loop {
            match notices::connection_turned(&shared, &connection, &turn).await {
                Ok(due) => break due,
                Err(error) => {
                    tracing::error!(%error, %connection, "the log cannot be told whether a connection works");
                    tokio::time::sleep(LOG_PAUSE).await;
                }
            }
        };
        match due {
            Some(at) => later.insert(connection, at),
            None => later.remove(&connection),
        };
    }
}
