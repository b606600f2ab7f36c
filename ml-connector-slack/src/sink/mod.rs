//! The sink: what a connection to a workspace holds, and what the engine asks of it.

mod assignee;
mod attempt;
pub(crate) mod channels;
mod check;
pub(crate) mod lookup;
pub(crate) mod people;
mod place;

use async_trait::async_trait;
use ml_connector_core::{
    AttemptNotes, CheckStep, Context, Result, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, Destination, Lookup, Receipt},
};
use url::Url;

use self::place::Place;
use crate::{MessageRef, Slack};

#[async_trait]
impl Sink for Slack {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        self.templates.check(delivery)?;
        let place = Place::of(delivery, self.admin.as_ref())?;
        let costs = match &place {
            Place::Post { target, .. } => self.pacing.post(target),
            Place::Update { .. } => vec![self.pacing.method("chat.update")],
            Place::Ephemeral { .. } => vec![self.pacing.method("chat.postEphemeral")],
        };
        Ok(DeliveryPlan::new(place.lane(delivery)).costs(costs))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        if batch.first().is_some_and(|delivery| delivery.digest) {
            return self.digest(ctx, batch, notes).await;
        }
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.attempt(ctx, delivery, notes).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.read_back(ctx, delivery).await
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        self.client.auth_test(ctx).await.map(drop)
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// The token, its workspace, its scopes, Slack's clock, the admins' channel: steps are named after them.
    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.check_token(ctx).await
    }

    /// Whether the channel is there and takes posts of the bot's, or the person reads what is sent.
    async fn check_destination(&self, ctx: &Context, destination: &Destination) -> Vec<CheckStep> {
        self.check_place(ctx, destination).await
    }

    /// The message's permalink, once the workspace's address is known.
    fn link(&self, receipt: &str) -> Option<Url> {
        receipt.parse::<MessageRef>().ok()?.link(self.client.workspace_url()?)
    }
}
