//! Callbacks and their deliveries, seen by a test.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{HttpTransport, Secret, http::TransportError};

use super::{
    FreshBooksSim,
    callbacks::{self, AttemptedWebhook, Callback, WebhookDelivery},
};
use crate::toolkit::outbox::{self, DeliveryTuning, Reception};

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl FreshBooksSim {
    /// The callbacks of all accounts, oldest first.
    #[must_use]
    pub fn callbacks(&self) -> Vec<Callback> {
        self.state(|state| state.callbacks.all.clone())
    }

    /// Deletes a callback behind everybody's back. Returns whether there was one.
    pub fn delete_callback(&self, id: u64) -> bool {
        self.state(|state| state.callbacks.delete(id))
    }

    /// Disables a callback, as FreshBooks does with an address that fails for long. Returns whether there is one.
    pub fn unverify_callback(&self, id: u64) -> bool {
        let now = self.now();
        self.state(|state| state.callbacks.unverify(id, now))
    }

    /// Makes deliveries go wrong, or right again: `sim.tune_webhooks(|tuning| tuning.duplicates = 1)`.
    pub fn tune_webhooks(&self, change: impl FnOnce(&mut DeliveryTuning)) {
        self.state(|state| change(&mut state.callbacks.outbox.tuning));
    }

    /// Takes the deliveries that are due, handshakes among them, to be sent, reordered, repeated or dropped by the
    /// caller. They are those of all accounts.
    #[must_use]
    pub fn take_webhooks(&self) -> Vec<WebhookDelivery> {
        let now = self.now();
        self.state(|state| state.callbacks.outbox.take(now))
    }

    /// Sends the deliveries that are due, within 10 seconds each. Any 2xx counts as received; a redirect has failed.
    /// What fails is tried again as [`Quirks::retries`](super::Quirks) says, then dropped.
    ///
    /// A handshake reaches its address before the answer to the call that created the callback, if a test delays that
    /// answer: `Fault::delay(..).having_acted().on("callbacks")`.
    pub async fn deliver(&self, transport: &dyn HttpTransport) -> Vec<AttemptedWebhook> {
        let settle = |delivery, answer| self.settle_webhook(delivery, answer);
        outbox::send_all(self.take_webhooks(), transport, (PATIENCE, 0), settle).await
    }

    /// Handles the answer to a delivery that was taken, or that there was none.
    pub fn settle_webhook(
        &self,
        delivery: WebhookDelivery,
        answer: Result<Response<Bytes>, TransportError>,
    ) -> AttemptedWebhook {
        let now = self.now();
        let verdict = Reception::of(answer.as_ref());
        let answer = answer.ok();
        self.state(|state| {
            let disabling = state.quirks.disabling;
            state.callbacks.settle(delivery, verdict, answer.as_ref(), disabling, now)
        })
    }

    /// What came of every attempt so far, oldest first.
    #[must_use]
    pub fn webhook_attempts(&self) -> Vec<AttemptedWebhook> {
        self.state(|state| state.callbacks.outbox.attempts.clone())
    }

    /// A request that FreshBooks did not send: these fields, signed with a key of the forger's or not at all.
    #[must_use]
    pub fn forge(uri: &str, fields: &[(&str, &str)], key: Option<&Secret>) -> Option<Request<Bytes>> {
        let fields: Vec<(&str, String)> =
            fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        callbacks::forged(uri, &fields, key)
    }
}
