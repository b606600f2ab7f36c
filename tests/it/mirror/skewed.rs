//! A vendor's clock, which is not ours.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{Clock, Timestamp, TokioClock};

#[derive(Debug)]
pub(crate) struct Skewed {
    clock: Arc<TokioClock>,
    pub(crate) ahead: Duration,
    behind: Duration,
}

impl Skewed {
    /// Up to two minutes apart: every third vendor is on time, every third ahead, every third behind.
    pub(crate) fn new(clock: &Arc<TokioClock>, seed: u64) -> Arc<Self> {
        let apart = |turn: u64| Duration::from_secs(if seed % 3 == turn { 40 + seed % 80 } else { 0 });
        Self::apart(clock, apart(1), apart(2))
    }

    pub(crate) fn apart(clock: &Arc<TokioClock>, ahead: Duration, behind: Duration) -> Arc<Self> {
        Arc::new(Self { clock: Arc::clone(clock), ahead, behind })
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.ahead - self.behind
    }
}
