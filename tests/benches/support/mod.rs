//! A sink for benchmarks: it answers at once, and says how many deliveries it has taken.

use std::fmt;

use async_trait::async_trait;
use ml_connector_core::{
    AttemptNotes, Context, Repeat, Result, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, LaneKey, Lookup, Receipt},
};

pub(crate) struct Board {
    info: SinkInfo,
    plan: fn(&Delivery) -> DeliveryPlan,
    took: Box<dyn Fn(usize) + Send + Sync>,
}

impl Board {
    /// The connection `board`, with a lane for each destination. `took` is told the size of each batch.
    pub(crate) fn new(repeat: Repeat, took: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let mut info = SinkInfo::new("board".into(), "bench");
        info.repeat = repeat;
        let plan = |delivery: &Delivery| DeliveryPlan::new(LaneKey::from(delivery.destination.as_str()));
        Self { info, plan, took: Box::new(took) }
    }

    /// With other plans.
    #[allow(dead_code)] // each benchmark has this module for itself
    pub(crate) fn planning(self, plan: fn(&Delivery) -> DeliveryPlan) -> Self {
        Self { plan, ..self }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Board {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        Ok((self.plan)(delivery))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        (self.took)(batch.len());
        batch.iter().map(|delivery| Ok(Receipt::new(delivery.id.to_string()))).collect()
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
