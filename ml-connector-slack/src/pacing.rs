//! Slack's limits, as quota keys (Slack docs: rate limits, chat.postMessage).

use std::{sync::Arc, time::Duration};

use ml_connector_core::rate::{Cost, Quota, QuotaKey};

use crate::destination::Target;

/// One message a second in a channel, however it is posted. Bursts are tolerated, but nobody says how large.
pub const POST_INTERVAL: Duration = Duration::from_secs(1);
/// Added to every window: our clock is read before the request travels, Slack's when it arrives.
pub const GUARD: Duration = Duration::from_millis(25);
/// The vendor allows "several hundred" posts a minute in a workspace; this is 4 a second.
pub const POSTS_PER_MINUTE: u32 = 240;
/// Tier 2, such as `conversations.list`.
pub const TIER_2_PER_MINUTE: u32 = 20;
/// Tier 3, such as `chat.update`.
pub const TIER_3_PER_MINUTE: u32 = 50;
/// Tier 4, such as `chat.postEphemeral`.
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
    history_per_minute: u32,
}

impl Pacing {
    pub(crate) fn new(
        workspace: &str,
        post_interval: Duration,
        posts_per_minute: u32,
        history_per_minute: u32,
    ) -> Self {
        let per_second = posts_per_minute.div_ceil(60);
        let post = [
            Quota::Rolling { limit: per_second, window: Duration::from_secs(1) + GUARD },
            Quota::Rolling { limit: posts_per_minute, window: MINUTE + GUARD },
        ];
        Self {
            post: Cost::one(QuotaKey::new(format!("slack/{workspace}/post")), Arc::new(post)),
            channel: Arc::new([Quota::Rolling { limit: 1, window: post_interval + GUARD }]),
            workspace: workspace.into(),
            history_per_minute,
        }
    }

    /// What one post spends.
    pub(crate) fn post(&self, target: &Target) -> Vec<Cost> {
        vec![Cost::one(self.channel_key(target), Arc::clone(&self.channel)), self.post.clone()]
    }

    /// What a 429 on a post pauses: Slack does not say whether the channel or the workspace was meant.
    pub(crate) fn channel_key(&self, target: &Target) -> QuotaKey {
        QuotaKey::new(format!("slack/{}/channel/{}", self.workspace, target.key()))
    }

    /// What pauses when channels are refused one after the other.
    pub(crate) fn workspace_key(&self) -> &QuotaKey {
        &self.post.key
    }

    /// What one call of a method spends.
    pub(crate) fn method(&self, method: &str) -> Cost {
        let limit = match method {
            "conversations.history" | "conversations.replies" => self.history_per_minute,
            method => per_minute(method),
        };
        let key = QuotaKey::new(format!("slack/{}/{method}", self.workspace));
        Cost::one(key, Arc::new([Quota::Rolling { limit, window: MINUTE + GUARD }]))
    }
}

/// How often a method may be called (Slack docs: each method's page, "Rate limits").
fn per_minute(method: &str) -> u32 {
    match method {
        "chat.postEphemeral" | "users.info" | "views.open" | "views.update" => TIER_4_PER_MINUTE,
        "chat.update"
        | "conversations.info"
        | "conversations.join"
        | "conversations.open"
        | "reactions.get"
        | "users.lookupByEmail" => TIER_3_PER_MINUTE,
        // Also for methods with a tier of their own that the vendor does not put in numbers, such as `auth.test`.
        _ => TIER_2_PER_MINUTE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_the_tier_of_the_vendor_s_page() {
        let pacing = Pacing::new("T1", POST_INTERVAL, POSTS_PER_MINUTE, RESTRICTED_HISTORY_PER_MINUTE);
        for (limit, methods) in [
            (20, "conversations.list usergroups.users.list auth.test"),
            (
                50,
                "chat.update conversations.info conversations.join conversations.open reactions.get \
                 users.lookupByEmail",
            ),
            (100, "chat.postEphemeral users.info views.open views.update"),
            (1, "conversations.history conversations.replies"),
        ] {
            for method in methods.split_whitespace() {
                let cost = pacing.method(method);
                assert_eq!(cost.key.as_str(), format!("slack/T1/{method}"));
                assert_eq!(&*cost.quotas, &[Quota::Rolling { limit, window: MINUTE + GUARD }], "{method}");
            }
        }
    }
}
