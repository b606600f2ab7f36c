//! Feeds that a plan or a scope does not allow: told once, asked for again now and then.

use std::{sync::Arc, time::Duration};

use super::{
    state::{FeedState, UnavailableFeed},
    task::FeedTask,
    turn::FeedTurn,
};
use crate::{
    Error, ErrorKind, Result, Scope, Timestamp,
    audit::{Committed, Lease, Outcome, Parent, Settlement, Transaction},
    engine::{
        documents::Loaded,
        fan_out::append_event,
        lanes::Evidence,
        resolve::{Resolved, WaitingSignal},
        shared::Shared,
        writes::{Stop, commit, dropped},
    },
    model::{Change, EntityRef, Event, Partition},
};

/// When such a feed is asked for again: at first soon, as somebody may be repairing it, then twice as late each time.
const ASK_AGAIN_FIRST: Duration = Duration::from_secs(3600);
const ASK_AGAIN_LAST: Duration = Duration::from_secs(24 * 3600);
/// A new feed that becomes available within this time is as if it had been from the start. What happened before it
/// became available later is not told: it may be years. Long enough that a repair of the first day counts.
const REPAIRED_WITHIN: Duration = Duration::from_secs(48 * 3600);
/// Why signals of such a feed are settled.
const NOT_AVAILABLE: &str = "the feed is not available";

/// Whether an error says that the feed is not for this connection, while the connection works.
pub(super) fn refuses(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported)
        && error.scope() == &Scope::Entry
}

impl FeedTurn<'_> {
    /// Whether it is too early to ask for the feed again. Who asks for it by hand is answered at once.
    pub(super) fn is_too_early(&self, state: &FeedState, now: Timestamp) -> bool {
        // A clock that was ahead may have set it.
        let waits = state
            .unavailable
            .as_ref()
            .is_some_and(|unavailable| now < unavailable.next && unavailable.next <= now + ASK_AGAIN_LAST);
        waits && !self.asking.iter().any(|waiting| by_hand(waiting))
    }

    /// Settles those who ask, and comes again later. `refusal`: what the source has just said.
    pub(super) async fn set_aside(
        &self,
        shared: &Shared,
        lease: Lease,
        group: &[WaitingSignal],
        (document, mut state): (&Loaded<FeedState>, FeedState),
        refusal: Option<&Error>,
    ) -> Result<Resolved, Stop> {
        let now = shared.clock.now();
        let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
        let mut wake = vec![self.slot.partition];
        if let Some(error) = refusal {
            let reason: Arc<str> = error.to_string().into();
            let since = state.unavailable.as_ref().map(|unavailable| unavailable.since);
            let for_so_long = now.saturating_since(since.unwrap_or(now));
            let (feed, next) =
                (self.feed.to_owned(), now + for_so_long.clamp(ASK_AGAIN_FIRST, ASK_AGAIN_LAST));
            state.unavailable = Some(UnavailableFeed {
                feed,
                since: since.unwrap_or(now),
                reason: Arc::clone(&reason),
                next,
            });
            if since.is_none() {
                tracing::error!(%error, connection = %self.slot.connection(), feed = self.feed, "the feed is not available");
                self.tell(shared, &mut state, Change::Parked, Some(reason), &mut transaction, &mut wake)
                    .await?;
            }
        }
        state.runs.remove(&self.id);
        let mut settled = Vec::new();
        for waiting in &self.asking {
            let seq = waiting.item.seq;
            transaction.settle.push(match (FeedTask::of(&waiting.signal), refusal) {
                // Somebody waits for an answer.
                (Some(FeedTask::Backfill(_) | FeedTask::ReadNow), Some(error)) => {
                    Settlement::new(seq, Outcome::Dead { error: error.to_string().into() })
                }
                _ => dropped(seq, NOT_AVAILABLE),
            });
            settled.push(seq);
            self.schedule_next(waiting, &mut state, now, &mut transaction)?;
        }
        transaction.documents.push(document.replace(&state)?);
        let rest =
            group.iter().filter(|waiting| !settled.contains(&waiting.item.seq)).map(|waiting| waiting.item);
        match commit(shared, transaction).await? {
            Committed::Applied(_) => {
                shared.mailbox.wake(&wake);
                let proof = if refusal.is_some() { Evidence::Answers } else { Evidence::Nothing };
                Ok(Resolved { waits: rest.collect(), proof, ..Resolved::default() })
            }
            Committed::Fenced => Err(Stop::Fenced),
            // Somebody else wrote it: once more.
            Committed::Stale(_) => Ok(Resolved {
                waits: group.iter().map(|waiting| waiting.item).collect(),
                ..Resolved::default()
            }),
        }
    }

    /// The feed answers: it is available, again or for the first time. One that is read for the first time long after
    /// it was refused is watched from now on.
    pub(super) async fn resume(
        &self,
        shared: &Shared,
        state: &mut FeedState,
        transaction: &mut Transaction,
        wake: &mut Vec<Partition>,
    ) -> Result<()> {
        let Some(unavailable) = state.unavailable.take() else { return Ok(()) };
        let now = shared.clock.now();
        if state.baseline.is_none() && now.saturating_since(unavailable.since) > REPAIRED_WITHIN {
            state.watched_since = Some(now);
        }
        self.tell(shared, state, Change::Resumed, None, transaction, wake).await
    }

    async fn tell(
        &self,
        shared: &Shared,
        state: &mut FeedState,
        change: Change,
        reason: Option<Arc<str>>,
        transaction: &mut Transaction,
        wake: &mut Vec<Partition>,
    ) -> Result<()> {
        state.turns += 1;
        let (connection, entity) = (self.slot.connection().clone(), EntityRef::new("feed", self.feed));
        let mut event =
            Event::new(connection, entity, state.turns, [change].into(), shared.clock.now(), None);
        event.reason = reason;
        let parent = Parent::Entry(self.asking[0].item.seq);
        append_event(shared, self.slot.partition, event, transaction, parent, wake).await
    }
}

fn by_hand(waiting: &WaitingSignal) -> bool {
    matches!(
        FeedTask::of(&waiting.signal),
        Some(FeedTask::Backfill(_) | FeedTask::ReadNow | FeedTask::ConfirmedSweep(_))
    )
}
