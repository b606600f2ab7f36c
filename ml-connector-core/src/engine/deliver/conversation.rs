//! Deliveries that go on from an earlier message about the same record.

use super::attempt::{Attempt, Deliveries};
use crate::{
    Effect, Error, ErrorKind, Scope,
    audit::{NewEntry, Outcome, Parent, Query, Transaction},
    engine::{
        fan_out::conversation,
        lanes::{Finished, Hold, Item},
        writes::{Stop, apply, dropped},
    },
    model::{Delivery, Follow},
};

/// Whether the message that a delivery goes on from is not there any more.
pub(super) fn is_root_gone(delivery: &Delivery, error: &Error) -> bool {
    delivery.follow.and(delivery.root.as_ref()).is_some()
        && error.kind() == ErrorKind::NotFound
        && error.effect() == Effect::None
        && error.scope() == &Scope::Entry
}

impl Attempt<'_> {
    /// Forgets what was told about a record: its message is gone, and this delivery is the first when it comes again.
    pub(super) fn begin_anew(
        &self,
        item: Item,
        delivery: &Delivery,
        error: &Error,
        transaction: &mut Transaction,
    ) -> (Outcome, Item) {
        tracing::warn!(seq = item.seq.0, %error, "what a delivery follows is gone: it begins anew");
        transaction.documents.push(conversation::forget(&self.batch.connection, delivery));
        let next = Item { due: self.shared.clock.now(), attempt: item.attempt + 1, uncertain: false, ..item };
        let outcome = Outcome::Retry {
            attempt: next.attempt,
            due: next.due,
            error: error.to_string().into(),
            uncertain: false,
            note: None,
        };
        (outcome, next)
    }

    /// A first delivery that follows what was told before may have nothing to add, or may have to wait elsewhere: then
    /// the others come again.
    pub(super) async fn go_on(&self, loaded: &Deliveries) -> Result<Option<Finished>, Stop> {
        let (Some(head), Some((item, others))) = (loaded.deliveries.first(), loaded.items.split_first())
        else {
            return Ok(None);
        };
        let Some(root) = head.follow.and(head.root.as_ref()) else { return Ok(None) };
        let mut transaction = Transaction { fence: Some(self.lease), ..Transaction::default() };
        if head.follow == Some(Follow::Update) && root.n >= head.event.n {
            transaction.settle.push(dropped(item.seq, "superseded: a newer state is shown"));
        } else {
            // It was made before the first was told. In the lane of its message it cannot meet what was made after.
            let lane = self.shared.lane_of(&self.batch.connection, head);
            if lane == self.batch.lane.lane {
                return Ok(None);
            }
            let entry = self.shared.log.query(&Query::entries(vec![item.seq])).await?.pop();
            let Some(entry) = entry.filter(|entry| !entry.state.is_settled()) else { return Ok(None) };
            let now = self.shared.clock.now();
            transaction.append.push(NewEntry {
                lane: Some(lane),
                parent: entry.parent.map_or(Parent::None, Parent::Entry),
                index: entry.index,
                body: entry.body,
                trace: entry.trace,
                ..NewEntry::new(entry.partition, entry.kind, entry.connection, now)
            });
            transaction.settle.push(dropped(item.seq, "goes on in the lane of the message that it updates"));
        }
        apply(self.shared, transaction).await?;
        self.shared.mailbox.wake(&[self.batch.lane.partition]);
        // No call was made: that proves nothing about the connection.
        Ok(Some(Finished::again_from(others, Hold::Until(self.shared.clock.now()))))
    }
}
