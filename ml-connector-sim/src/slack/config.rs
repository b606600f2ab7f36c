//! What a simulated workspace starts with.

use std::time::Duration;

use url::Url;

use super::{
    limits::RateLimitAnswer,
    model::{Channel, User, UserGroup},
};
use crate::toolkit::conditions::Conditions;

/// What a [`SlackSim`](crate::SlackSim) starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlackConfig {
    /// Where tokens, secrets and ids come from.
    pub seed: u64,
    /// The workspace's id.
    pub team_id: String,
    /// The workspace's name.
    pub team_name: String,
    /// The bot's scopes.
    pub scopes: Vec<String>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// The people.
    pub users: Vec<User>,
    /// The user groups. A workspace on the free plan has none, and says so.
    pub usergroups: Vec<UserGroup>,
    /// Whether user groups answer `plan_upgrade_required`.
    pub free_plan: bool,
    /// Where the app is reached, as if its request URL had been verified;
    /// [`connect_app`](crate::SlackSim::connect_app) verifies it.
    pub request_url: Option<Url>,
    /// Whether tokens live for 12 hours and are refreshed.
    pub token_rotation: bool,
    /// How long a refresh token still works after its first use. Slack speaks of a short time.
    pub refresh_grace: Duration,
    /// How many posts a channel takes at once before it is down to one a second.
    pub channel_burst: u32,
    /// How many posts the whole workspace takes in a minute.
    pub posts_per_minute: u32,
    /// How many events the app is sent in an hour; those above are lost.
    pub events_per_hour: u32,
    /// How a call over a limit is answered.
    pub rate_limit_answer: RateLimitAnswer,
    /// How long a message may be edited, where the workspace limits that.
    pub edit_window: Option<Duration>,
    /// Whether a repeated `client_msg_id` in a channel is recognized for ten minutes.
    pub client_msg_id_dedupe: bool,
    /// Whether history is limited to 15 messages and one call a minute, as for commercially distributed apps.
    pub restricted_history: bool,
    /// How many bytes of JSON the blocks of a message may have before they are refused with `msg_blocks_too_long`;
    /// `None` for any number. Slack publishes no number; 13,200 is what a careful client assumes.
    pub max_blocks_bytes: Option<usize>,
    /// How unkind network and vendor are.
    pub conditions: Conditions,
    /// How long a post stays out of `conversations.history`.
    pub history_lag: Duration,
    /// Whether every list begins with an empty page that has a cursor, as Slack's lists may.
    pub empty_first_pages: bool,
}

impl Default for SlackConfig {
    fn default() -> Self {
        let scopes = [
            "chat:write",
            "chat:write.public",
            "channels:read",
            "channels:join",
            "channels:history",
            "groups:read",
            "groups:history",
            "im:history",
            "users:read",
            "users:read.email",
            "reactions:read",
            "usergroups:read",
        ];
        Self {
            seed: 1,
            team_id: "T07LEDGER1".to_owned(),
            team_name: "Ledgerworks".to_owned(),
            scopes: scopes.map(str::to_owned).to_vec(),
            channels: vec![
                Channel::new("C07ACCTNG1", "accounting"),
                Channel::new("C07APPROV1", "invoice-approvals").private(),
                Channel::new("C07EXECAL1", "exec-alerts").without_bot(),
            ],
            users: vec![
                User::new("U07APPROV1", "Anna Verhoeven", "anna.verhoeven@ledgerworks.example"),
                User::new("U07CLERK01", "Tom Baker", "tom.baker@ledgerworks.example"),
            ],
            usergroups: vec![UserGroup::new("S07APPROVE", "approvers", &["U07APPROV1"])],
            free_plan: false,
            request_url: None,
            token_rotation: false,
            refresh_grace: Duration::from_secs(30),
            channel_burst: 3,
            posts_per_minute: 300,
            events_per_hour: 30_000,
            rate_limit_answer: RateLimitAnswer::default(),
            edit_window: None,
            client_msg_id_dedupe: false,
            restricted_history: false,
            max_blocks_bytes: None,
            conditions: Conditions::ordinary(),
            history_lag: Duration::ZERO,
            empty_first_pages: false,
        }
    }
}
