//! Slack's limits, as quota keys (Slack docs: rate limits, chat.postMessage).

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    model::Destination,
    rate::{Cost, Quota, QuotaKey},
};

/// One message a second in a channel, however it is posted. Bursts are tolerated, but nobody says how large.
pub const POST_INTERVAL: Duration = Duration::from_secs(1);
/// Added to every window: our clock is read before the request travels, Slack's when it arrives.
pub const GUARD: Duration = Duration::from_millis(25);
/// The vendor allows "several hundred" posts a minute in a workspace; this is 4 a second.
pub const POSTS_PER_MINUTE: u32 = 240;
/// Tier 2: `conversations.list`.
pub const TIER_2_PER_MINUTE: u32 = 20;
/// Tier 3: `conversations.history`, `conversations.open`, `chat.update`.
pub const TIER_3_PER_MINUTE: u32 = 50;
/// Tier 4: `users.info`, `views.open`.
pub const TIER_4_PER_MINUTE: u32 = 100;
/// `conversations.history` for apps that are sold, but not listed in Slack's marketplace.
pub const RESTRICTED_HISTORY_PER_MINUTE: u32 = 1;
/// How many messages such apps get per call.
pub const RESTRICTED_HISTORY_LIMIT: u32 = 15;

const MINUTE: Duration = Duration::from_secs(60);

/// The quota keys of one workspace.
#[derive(Debug, Clone)]
pub(crate) struct Pacing {
    workspace: Arc<str>,
    channel: Arc<[Quota]>,
    post: Cost,
}

impl Pacing {
    pub(crate) fn new(workspace: &str, post_interval: Duration, posts_per_minute: u32) -> Self {
        let per_second = posts_per_minute.div_ceil(60);
        let post = [
            Quota::Rolling { limit: per_second, window: Duration::from_secs(1) + GUARD },
            Quota::Rolling { limit: posts_per_minute, window: MINUTE + GUARD },
        ];
        Self {
            post: Cost::one(QuotaKey::new(format!("slack/{workspace}/post")), Arc::new(post)),
            channel: Arc::new([Quota::Rolling { limit: 1, window: post_interval + GUARD }]),
            workspace: workspace.into(),
        }
    }

    /// What one post spends.
    pub(crate) fn post(&self, destination: &Destination) -> Vec<Cost> {
        vec![Cost::one(self.channel_key(destination), Arc::clone(&self.channel)), self.post.clone()]
    }

    /// What a 429 on a post pauses: Slack does not say whether the channel or the workspace was meant.
    pub(crate) fn channel_key(&self, destination: &Destination) -> QuotaKey {
        QuotaKey::new(format!("slack/{}/channel/{destination}", self.workspace))
    }

    /// What pauses when channels are refused one after the other.
    pub(crate) fn workspace_key(&self) -> &QuotaKey {
        &self.post.key
    }

    /// What one call of a method spends.
    pub(crate) fn method(&self, method: &str, per_minute: u32) -> Vec<Cost> {
        let key = QuotaKey::new(format!("slack/{}/{method}", self.workspace));
        let window = MINUTE + GUARD;
        vec![Cost::one(key, Arc::new([Quota::Rolling { limit: per_minute, window }]))]
    }
}
