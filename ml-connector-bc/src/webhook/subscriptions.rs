//! Subscriptions: made, renewed long before their three days are over, and repaired.

use std::time::Duration;

use async_trait::async_trait;
use ml_connector_core::{
    Context, Result, Timestamp,
    webhook::{Changes, Subscriptions},
};

use super::{Wanted, Webhook};
use crate::client::{ApiClient, NewSubscription, Subscription};

/// Renewed when half of the three days is over.
const RENEW_WITHIN: Duration = Duration::from_secs(36 * 3600);
/// What is deleted at the vendor is noticed within so long.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);

/// One look at the subscriptions of the environment.
pub(crate) struct Registration<'a> {
    pub(crate) webhook: &'a Webhook,
    pub(crate) client: &'a ApiClient,
    pub(crate) callback: &'a str,
    pub(crate) wanted: Vec<Wanted>,
}

impl Registration<'_> {
    /// Deletes the subscriptions that call us. Another connection may have been told the same `clientState`.
    ///
    /// # Errors
    /// Business Central's.
    pub(crate) async fn remove(&self, ctx: &Context) -> Result<()> {
        let urls: Vec<String> = self.wanted.iter().map(|wanted| self.url(wanted)).collect();
        let is_ours = |one: &Subscription| urls.contains(&one.notification_url);
        for own in self.client.subscriptions(ctx).await?.iter().filter(|one| is_ours(one)) {
            self.client.delete_subscription(ctx, own).await?;
        }
        Ok(())
    }

    fn url(&self, wanted: &Wanted) -> String {
        format!("{}/{}", self.callback.trim_end_matches('/'), wanted.path.expose())
    }

    /// Ours by its URL, which nobody else knows: the server may have chosen the id.
    fn find<'e>(
        &self,
        existing: &'e [Subscription],
        wanted: &Wanted,
        now: Timestamp,
    ) -> Option<&'e Subscription> {
        let url = self.url(wanted);
        let ours = existing.iter().filter(|one| one.notification_url == url && one.expires > now);
        ours.max_by_key(|one| one.expires)
    }
}

#[async_trait]
impl Subscriptions for Registration<'_> {
    type Wanted = Wanted;
    type Existing = (Vec<Subscription>, Timestamp);

    fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    fn name<'a>(&self, wanted: &'a Wanted) -> &'a str {
        wanted.name
    }

    async fn list(&self, ctx: &Context) -> Result<Self::Existing> {
        Ok((self.client.subscriptions(ctx).await?, ctx.now()))
    }

    fn serves(&self, (existing, now): &Self::Existing, wanted: &Wanted) -> bool {
        self.find(existing, wanted, *now).is_some()
    }

    fn ends(&self, (existing, now): &Self::Existing, wanted: &Wanted) -> Option<Timestamp> {
        self.find(existing, wanted, *now).map(|found| found.expires)
    }

    async fn ensure(
        &self,
        ctx: &Context,
        (existing, now): &Self::Existing,
        wanted: &Wanted,
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>> {
        let (url, client) = (self.url(wanted), self.client);
        let id = self.webhook.subscription_id(&url);
        let resource = format!("/api/v2.0/companies({})/{}", client.company_id(), wanted.name);
        let new = NewSubscription {
            subscription_id: Some(&id),
            notification_url: &url,
            resource: &resource,
            client_state: wanted.client_state.expose(),
        };
        let found = self.find(existing, wanted, *now);
        let keep = found.map(|found| found.id.as_str());
        // Earlier ones of ours: under another callback, expired, or made twice.
        for stray in existing.iter().filter(|one| Some(one.id.as_str()) != keep) {
            let ours = stray.id == id || stray.client_state == wanted.client_state.expose();
            if ours {
                changes.note(client.delete_subscription(ctx, stray).await)?;
            }
        }
        match found {
            None => {
                changes.note(client.create_subscription(ctx, &new).await)?;
                Ok(Some(ctx.now() + RENEW_WITHIN))
            }
            Some(found) if found.expires.saturating_since(*now) <= RENEW_WITHIN => {
                let again = NewSubscription { subscription_id: None, ..new };
                // Nothing was missed: what a renewal changes is no repair.
                client.renew_subscription(ctx, found, &again).await?;
                Ok(Some(ctx.now() + RENEW_WITHIN))
            }
            Some(found) => Ok(Some(found.expires - RENEW_WITHIN)),
        }
    }
}
