//! What a webhook is about.

use crate::toolkit::outbox::{Attempt, Delivery};

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// `<entity>.<kind>`.
    pub event: String,
    /// The record's id.
    pub entity_id: String,
}

/// One webhook on its way; every attempt is the same request.
pub type WebhookDelivery = Delivery<WebhookEvent>;

/// What came of one attempt to deliver a webhook.
pub type AttemptedWebhook = Attempt<WebhookEvent>;
