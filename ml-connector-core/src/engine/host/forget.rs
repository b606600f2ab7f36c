//! Forgetting connections for good: a tenant that has left.

use std::sync::Arc;

use bytes::Bytes;

use super::act::{Act, Acted, HOST};
use crate::{
    Connector, ErrorKind, Result, UpkeepRequest,
    audit::{EntryState, Outcome, Query},
    engine::{forgotten::Mark, guard, registry::SourceSlot, writes::is_settled},
    model::{ConnectionId, Seq},
    token::TokenKey,
};

impl Connector {
    /// Forgets connections for good, all at once: a tenant that has left. In the name of `host`; see [`act`](Self::act) and
    /// [`Act::Forget`].
    ///
    /// ```no_run
    /// # async fn leave(connector: ml_connector_core::Connector) -> ml_connector_core::Result<()> {
    /// let forgotten = connector.forget(["books-42".into(), "approvals-42".into()]).await?;
    /// for left in &forgotten.left {
    ///     eprintln!("to be done by hand: {left}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Other hosts of the same log hear of it within half a minute, and remove what they still write of it for three
    /// minutes. A connection of the same name that is attached after this has returned begins anew, and keeps what it
    /// reads and tells. One case remains: a host is paused for longer than a minute right before a removal, and another
    /// one ends the act. When the first one goes on, it still removes that.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the log or the token store does not work: a host that runs goes on by itself, or
    /// call again.
    pub async fn forget(&self, connections: impl IntoIterator<Item = ConnectionId>) -> Result<Acted> {
        self.act(HOST, Act::Forget { connections: connections.into_iter().collect() }).await
    }

    /// Returns how many entries were cancelled, and what is left to be done by hand.
    pub(super) async fn forget_all(
        &self,
        act: Seq,
        connections: &[ConnectionId],
        by: &Arc<str>,
    ) -> Result<(usize, Vec<Arc<str>>)> {
        let mut left = Vec::new();
        let marks = self.forgotten().await?;
        // What was attached after it was forgotten begins anew, on whichever host.
        let is_new = |id: &&ConnectionId| {
            let is_attached = |mark: &Mark| self.shared.registry().is_attached_after(id, mark.at);
            marks.get(*id).is_some_and(|mark| mark.is_of(act) && (mark.is_anew() || is_attached(mark)))
        };
        let connections: Vec<ConnectionId> = connections.iter().filter(|id| !is_new(id)).cloned().collect();
        let connections = &*connections;
        let before = self.shared.registry();
        for slot in connections.iter().filter_map(|id| before.source(id)) {
            if let Err(error) = self.unsubscribe(slot).await {
                tracing::error!(%error, connection = %slot.connection(), "webhooks are left at the vendor");
                left.push(format!("webhooks of {} at the vendor: {error}", slot.connection()).into());
            }
        }
        // Other hosts forget it from here on: what it takes to end the webhooks is not needed any more.
        let marks = self.mark_forgotten(act, connections, &before).await?;
        let at = self.shared.clock.now();
        self.shared.change(|registry| registry.forget(connections, at))?;
        let mut cancelled = 0;
        for connection in connections {
            cancelled += self.cancel_all(act, connection, by).await?;
            // Another host has gone on while this one was paused: what has the name now may be a new connection's.
            if is_settled(&self.shared, act).await? {
                break;
            }
            let token = marks.get(connection).and_then(Mark::token_key);
            self.forget_tokens(token.unwrap_or_else(|| before.token_key(connection)), connection).await?;
            self.forget_documents(connection, act).await?;
        }
        self.shared.mailbox.wake_all();
        Ok((cancelled, left))
    }

    async fn unsubscribe(&self, slot: &SourceSlot) -> Result<()> {
        if !slot.source.info().mode.subscribes() {
            return Ok(());
        }
        let state = self.shared.load::<Bytes>(slot.upkeep_state_key()).await?.value;
        let callback = self.shared.url_of(&slot.source.info().endpoint).map(String::from);
        let call = self.shared.settings.call;
        let request = UpkeepRequest::new().callback(callback.as_deref()).state(state.as_ref());
        let ctx = self.shared.context.within(call);
        guard::call(call, "the webhooks could not be removed in time", slot.source.unsubscribe(&ctx, request))
            .await
    }

    async fn cancel_all(&self, act: Seq, connection: &ConnectionId, by: &Arc<str>) -> Result<usize> {
        let mut cancelled = 0;
        for state in [EntryState::Pending, EntryState::Parked] {
            let waiting = Query::default().with_connection(connection.clone()).with_state(state);
            let outcome =
                Outcome::Cancelled { by: Arc::clone(by), why: "the connection is forgotten".into() };
            cancelled += self.settle_each(Some(act), &waiting, &outcome).await?;
        }
        Ok(cancelled)
    }

    /// Deletes its tokens, unless a connection that stays uses them as well.
    async fn forget_tokens(&self, key: TokenKey, connection: &ConnectionId) -> Result<()> {
        let after = self.shared.registry();
        let is_used = after.connections().iter().any(|other| after.token_key(other) == key);
        let own = [TokenKey::new(connection), TokenKey::consents(connection)];
        let tokens = self.shared.context.tokens();
        for key in own.into_iter().chain((!is_used).then_some(key)) {
            let stored = match tokens.load(&key).await {
                // No store at all.
                Err(error) if error.kind() == ErrorKind::ConfigInvalid => return Ok(()),
                stored => stored?,
            };
            let mut version = stored.map(|stored| stored.version);
            while let Some(expected) = version {
                version = match tokens.swap(&key, Some(expected), None).await? {
                    crate::token::Swap::Stored { .. } => None,
                    crate::token::Swap::Conflict(other) => other.map(|other| other.version),
                };
            }
        }
        Ok(())
    }
}
