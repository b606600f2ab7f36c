//! Acts are written down before they are done, with who and why, and gone on with after a restart where that makes sense.

use std::sync::Arc;

use super::{
    act::{Act, Acted, StoredAct},
    replaying::Replaying,
    selecting,
};
use crate::{
    Connector, Error, ErrorKind, Result,
    audit::{Entry, EntryKind, Outcome, Query, Settlement, Transaction},
    engine::{documents, writes},
    model::{Origin, Seq},
};

/// How long the process that wrote an act has before a host goes on with it.
const OWN_TIME_MS: i64 = 60_000;

impl Connector {
    /// Does something in somebody's name. Before it is done, the log says what, by whom and why; afterwards, with which
    /// result. [`Query::of_kind`]`(`[`EntryKind::Act`]`)` finds it. If this process ends before an act that changes
    /// entries is done, a running host goes on with it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] without an actor; [`ErrorKind::Unavailable`] when the log does not work; otherwise
    /// the errors of the method that does the same without a name, such as [`backfill`](Self::backfill).
    pub async fn act(&self, actor: impl Into<Arc<str>>, act: Act) -> Result<Acted> {
        let stored = StoredAct::new(named(actor)?, act);
        let dedupe = match &stored.act {
            Act::Replay { replay } if replay.nonce.is_empty() => {
                return Err(Error::new(ErrorKind::InvalidRequest, "a replay needs a nonce"));
            }
            Act::Replay { replay } => Some(format!("replay/{}", replay.nonce)),
            _ => None,
        };
        let seq = stored.append(self, dedupe).await?;
        self.perform(seq, &stored).await
    }

    /// Does what an entry says, and writes down the result.
    async fn perform(&self, seq: Seq, stored: &StoredAct) -> Result<Acted> {
        let done = self.perform_act(seq, stored).await;
        let outcome = match &done {
            // It settles itself, as it may go on elsewhere.
            Ok(_) if matches!(stored.act, Act::Replay { .. }) => return done,
            Ok(acted) => Outcome::Done { receipt: Some(format!("{} entries", acted.changed).into()) },
            // It may work later: a host tries again.
            Err(error) if error.kind() == ErrorKind::Unavailable => return done,
            Err(error) => Outcome::Dropped { reason: format!("refused: {error}").into() },
        };
        let settle = vec![Settlement::new(seq, outcome)];
        let documents = vec![documents::remove(selecting::state_key(seq))];
        writes::append(&self.shared, Transaction { settle, documents, ..Transaction::default() }).await?;
        done
    }

    async fn perform_act(&self, seq: Seq, StoredAct { by, act }: &StoredAct) -> Result<Acted> {
        let (mut changed, mut entry, mut left) = (0, None, Vec::new());
        let said = |why: &Arc<str>| (Arc::clone(by), Arc::clone(why));
        match act {
            Act::Replay { replay } => {
                let mut replaying = Replaying::new(replay.clone(), Arc::clone(by)).with_act(seq);
                while replaying.page(self).await? {}
                changed = replaying.done().appended;
            }
            Act::Acknowledge { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(seq, selection, &Outcome::Acknowledged { by, why }).await?;
            }
            Act::Cancel { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(seq, selection, &Outcome::Cancelled { by, why }).await?;
                // What waited behind them may go.
                self.shared.mailbox.wake_all();
            }
            Act::Discard { selection, why } => {
                let (by, why) = said(why);
                changed = self.settle_all(seq, selection, &Outcome::Discarded { by, why }).await?;
            }
            Act::Resume { connection } => self.resume_now(connection).await?,
            Act::Poll { connection, feed } => entry = Some(self.read_feed_now(connection, feed).await?),
            Act::Read { connection, entity, tell } => {
                let origin = if *tell { Origin::Backfill } else { Origin::Live };
                entry = Some(self.ask_for(connection, entity, origin).await?);
            }
            Act::Backfill { connection, feed, since } => {
                entry = Some(self.backfill_once(connection, feed, *since, Some(format!("act/{seq}"))).await?);
            }
            Act::ConfirmSweep { connection, feed } => {
                entry = Some(self.sweep_confirmed(connection, feed).await?);
            }
            Act::Forget { connections } => (changed, left) = self.forget_all(seq, connections, by).await?,
            Act::SetRoutes { routes } => self.set_routes_now(routes.clone())?,
            Act::Remove { connection } => changed = usize::from(self.remove_now(connection)),
            // The entry of the act is all of it.
            Act::Reveal { .. } => {}
            // Done by whoever had them in hand.
            Act::Connect { connections } => changed = connections.len(),
        }
        Ok(Acted { act: seq, changed, entry, left })
    }

    /// Goes on with what a process began and did not end. What cannot be gone on with is left undone, and says so. Tells
    /// whether nothing is left.
    pub(crate) async fn go_on_with_acts(&self, is_held: impl Fn(&Entry) -> bool) -> Result<bool> {
        let now = self.shared.clock.now();
        let open = Query::of_kind(EntryKind::Act).with_state(crate::audit::EntryState::Pending).with_bodies();
        let is_left = |entry: &Entry| now.as_millis() - entry.at.as_millis() >= OWN_TIME_MS;
        let (left, young): (Vec<_>, Vec<_>) =
            self.search(&open).await?.into_iter().filter(is_held).partition(is_left);
        let mut are_done = young.is_empty();
        for entry in left {
            let stored =
                entry.body.as_deref().and_then(|body| serde_json::from_slice::<StoredAct>(body).ok());
            let goes_on = stored.filter(|stored| !stored.act.is_of_one_process());
            match goes_on {
                // One that does not work holds up none of the others.
                Some(stored) => {
                    if let Err(error) = self.perform(entry.seq, &stored).await {
                        tracing::warn!(%error, seq = entry.seq.0, act = stored.act.name(), "an act cannot be gone on with");
                        are_done = false;
                    }
                }
                None => {
                    let reason = "the process ended before it was done".into();
                    let settle = vec![Settlement::new(entry.seq, Outcome::Dropped { reason })];
                    writes::append(&self.shared, Transaction { settle, ..Transaction::default() }).await?;
                }
            }
        }
        Ok(are_done)
    }
}

/// Who acts.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] without a name.
pub(super) fn named(actor: impl Into<Arc<str>>) -> Result<Arc<str>> {
    let actor = actor.into();
    if actor.trim().is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "an act needs an actor"));
    }
    Ok(actor)
}
