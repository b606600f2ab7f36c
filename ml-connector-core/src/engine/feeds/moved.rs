//! A connection that is pointed at another account begins anew: a baseline, and no flood.

use std::collections::BTreeSet;

use super::{
    state::{FeedState, RunId},
    task::FeedTask,
};
use crate::{
    Result,
    audit::Transaction,
    engine::{documents, registry::SourceSlot, shared::Shared, writes::commit},
};

/// Looks whether the connection reads another account than before, and lets its feeds begin anew then.
pub(super) async fn look(shared: &Shared, slot: &SourceSlot) -> Result<()> {
    let Some(moved) = shared.moved(slot).await? else { return Ok(()) };
    let (info, now) = (slot.source.info(), shared.clock.now());
    tracing::warn!(connection = %info.connection, accounts = ?info.accounts, "the connection reads another account: it begins anew");
    let mut transaction = Transaction { documents: moved.documents, ..Transaction::default() };
    let names: BTreeSet<&str> = info.feeds.iter().chain(&info.sweeps).map(|feed| feed.name).collect();
    for feed in names {
        let (document, state) = FeedState::load(shared, slot, feed).await?;
        // Numbers are used once, so that the entries that wait go on.
        let FeedState { read, sweep, turns, .. } = state;
        let anew = FeedState { read, sweep, turns, ..FeedState::default() };
        transaction.documents.push(document.replace(&anew)?);
        transaction.documents.push(documents::remove(RunId::Live.checkpoint(slot, feed)));
        if info.feeds.iter().any(|one| one.name == feed) {
            let once = format!("moved/{}/{feed}/{}", info.connection, now.as_millis());
            transaction.append.push(FeedTask::ReadNow.entry(slot, feed, Some(once.into()), now)?);
        }
    }
    // Stale: another host has noticed as well.
    commit(shared, transaction).await.map(drop)
}
