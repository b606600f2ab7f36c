//! An attempt, and the deliveries it is made for.

use super::classify::Failure;
use crate::{
    Effect, Error, ErrorKind,
    audit::Lease,
    engine::{
        lanes::{Batch, Item},
        shared::Shared,
    },
    model::Delivery,
};

/// What is done for a batch.
pub(crate) struct Attempt<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) lease: Lease,
    pub(crate) batch: &'a Batch,
}

/// Deliveries with their places in the lane.
#[derive(Default)]
pub(crate) struct Deliveries {
    pub(crate) items: Vec<Item>,
    pub(crate) deliveries: Vec<Delivery>,
    /// What comes another time.
    pub(super) rest: Vec<Item>,
}

/// What a sink was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkCall {
    ToSend {
        /// Whether doubt is cleared before anything is repeated.
        look_up_first: bool,
    },
    WhatBecame {
        /// Whether nothing may be repeated as long as that is not known.
        look_up_first: bool,
    },
}

/// What a sink was asked, and whether it is not only this lane that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(super) asked: SinkCall,
    pub(super) is_everywhere: bool,
}

impl SinkCall {
    pub(super) fn with(self, is_everywhere: bool) -> Answered {
        Answered { asked: self, is_everywhere }
    }
}

impl Answered {
    /// What an error leaves open.
    pub(super) fn failure(self, error: &Error) -> Failure<'_> {
        let too_often = error.kind() == ErrorKind::RateLimited;
        let (uncertain, paced) = match self.asked {
            SinkCall::ToSend { look_up_first } => {
                let uncertain = look_up_first && error.effect() != Effect::None;
                (uncertain, too_often && !uncertain)
            }
            // A question that comes too often leaves the answer as open as before.
            SinkCall::WhatBecame { look_up_first } => (look_up_first, too_often),
        };
        let is_everywhere = self.is_everywhere && Failure::is_down(error);
        Failure { error, uncertain, paced, is_everywhere }
    }
}

impl Deliveries {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Item, &Delivery)> {
        self.items.iter().zip(&self.deliveries)
    }

    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = (Item, Delivery)>) {
        for (item, delivery) in more {
            self.items.push(item);
            self.deliveries.push(delivery);
        }
    }

    /// Puts what was taken apart into its order again.
    pub(super) fn in_order(&mut self) {
        let mut both: Vec<(Item, Delivery)> = self.take().collect();
        both.sort_by_key(|(item, _)| item.seq);
        self.extend(both);
    }

    /// Takes out everything that would come this time.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Item, Delivery)> + use<> {
        std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.deliveries))
    }

    /// Leaves `count`; the others come another time.
    pub(super) fn cut(&mut self, count: usize) {
        self.deliveries.truncate(count);
        self.rest.extend(self.items.drain(count.min(self.items.len())..));
    }
}
