//! Slack: the Web API of one workspace, and a page that shows its channels as a person would see them.

mod args;
mod blocks;
mod chat;
mod control;
mod conversations;
mod limits;
mod methods;
mod mrkdwn;
mod page;
mod workspace;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, Response};
use ml_connector_core::{Clock, Timestamp};
use serde_json::Value;

use self::{args::Args, workspace::Workspace};
pub use self::{
    limits::RateLimitAnswer,
    workspace::{Channel, User},
};
use crate::{
    exchange::{self, Received, exchange},
    faults::{Call, Fault, Faults, locked},
};

/// What a [`SlackSim`] starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlackConfig {
    /// Where tokens and block ids come from.
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
    /// How many posts a channel takes at once before it is down to one a second.
    pub channel_burst: u32,
    /// How many posts the whole workspace takes in a minute.
    pub posts_per_minute: u32,
    /// How a call over a limit is answered.
    pub rate_limit_answer: RateLimitAnswer,
    /// Whether a repeated `client_msg_id` in a channel is recognized for ten minutes.
    pub client_msg_id_dedupe: bool,
    /// Whether history is limited to 15 messages and one call a minute, as for commercially distributed apps.
    pub restricted_history: bool,
    /// How long a post stays out of `conversations.history`.
    pub history_lag: Duration,
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
            channel_burst: 3,
            posts_per_minute: 300,
            rate_limit_answer: RateLimitAnswer::default(),
            client_msg_id_dedupe: false,
            restricted_history: false,
            history_lag: Duration::ZERO,
        }
    }
}

/// A message as it stands in a channel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Posted {
    /// The channel's id.
    pub channel: String,
    /// Its id within the channel.
    pub ts: String,
    /// The parent's `ts`, for a reply.
    pub thread_ts: Option<String>,
    /// Who wrote it: a user id.
    pub user: String,
    /// The text, escaped as it was sent.
    pub text: String,
    /// The blocks, or null.
    pub blocks: Value,
    /// The metadata, or null.
    pub metadata: Value,
    /// The client's message id.
    pub client_msg_id: Option<String>,
    /// How often it was changed.
    pub edits: u32,
    /// When it was posted.
    pub at: Timestamp,
}

impl Posted {
    /// The `delivery_id` in its metadata.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        self.metadata["event_payload"]["delivery_id"].as_str()
    }
}

/// A simulator of one Slack workspace. Clones share their state.
#[derive(Clone)]
pub struct SlackSim {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    faults: Faults,
    state: Mutex<State>,
}

struct State {
    workspace: Workspace,
    received: Vec<Received>,
}

impl SlackSim {
    /// A workspace with a few channels and people.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, SlackConfig::default())
    }

    /// As configured.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: SlackConfig) -> Self {
        let state = State { workspace: Workspace::new(config), received: Vec::new() };
        Self { shared: Arc::new(Shared { clock, faults: Faults::default(), state: Mutex::new(state) }) }
    }

    /// Serves the Web API below `/api/` and, at `/`, a page of each channel.
    pub fn router(&self) -> Router {
        let sim = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let sim = sim.clone();
            async move { sim.answer(request).await }
        })
    }

    /// The bot's token.
    #[must_use]
    pub fn bot_token(&self) -> String {
        self.workspace(|workspace| workspace.token.clone())
    }

    /// The messages of a channel, oldest first, replies included.
    #[must_use]
    pub fn posts(&self, channel: &str) -> Vec<Posted> {
        self.workspace(|workspace| {
            workspace.messages(channel).iter().map(|message| message.posted(channel)).collect()
        })
    }

    /// The `delivery_id`s that more than one message carries.
    #[must_use]
    pub fn duplicates(&self) -> Vec<String> {
        let mut counts = BTreeMap::<String, u32>::new();
        self.workspace(|workspace| {
            for (channel, message) in workspace.all_messages() {
                if let Some(id) = message.posted(channel).delivery_id() {
                    *counts.entry(id.to_owned()).or_default() += 1;
                }
            }
        });
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect()
    }

    /// A person writes into a channel.
    pub fn say(&self, channel: &str, user: &str, text: &str) {
        let now = self.shared.clock.now();
        self.workspace(|workspace| workspace.say(channel, user, text, now));
    }

    /// Adds a channel, or replaces the one with its id: to archive it, rename it, or remove the bot.
    pub fn set_channel(&self, channel: Channel) {
        self.workspace(|workspace| workspace.channels.insert(channel.id.clone(), channel));
    }

    /// Replaces the bot's scopes.
    pub fn set_scopes(&self, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.workspace(|workspace| workspace.config.scopes = scopes);
    }

    /// Removes the app from the workspace: from now on its token answers `account_inactive`.
    pub fn uninstall(&self) {
        self.workspace(|workspace| workspace.uninstalled = true);
    }

    /// Answers calls over a limit in this way.
    pub fn set_rate_limit_answer(&self, answer: RateLimitAnswer) {
        self.workspace(|workspace| workspace.config.rate_limit_answer = answer);
    }

    /// Plants a fault.
    pub fn plant(&self, fault: Fault) {
        self.shared.faults.plant(fault);
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.shared.faults.waiting()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        locked(&self.shared.state).received.clone()
    }

    /// How many calls were refused by a limit: none, if the client keeps them. Planted faults do not count.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.workspace(|workspace| workspace.limiter.refused)
    }

    /// How many calls came before a `Retry-After` was over.
    #[must_use]
    pub fn ignored_retry_afters(&self) -> u64 {
        self.workspace(|workspace| workspace.limiter.ignored)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let request = match exchange::read(request).await {
            Ok(request) => request,
            Err(refused) => return refused,
        };
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            return control::answer(self, &request).map(Body::from);
        }
        let Some(method) = path.strip_prefix("/api/") else {
            return page::answer(self, request.method(), path).map(Body::from);
        };
        let args = Args::read(&request);
        let channel = args.as_ref().ok().and_then(|args| args.text("channel"));
        let call = Call { method: request.method(), path: request.uri().path(), channel: channel.as_deref() };
        let fault = self.shared.faults.strike(call);
        let index = self.record(&request);
        exchange(fault, || {
            let now = self.shared.clock.now();
            let mut state = locked(&self.shared.state);
            let answer = methods::answer(&mut state.workspace, method, &request, args, now);
            state.received[index].status = Some(answer.status());
            answer
        })
        .await
    }

    fn record(&self, request: &Request<bytes::Bytes>) -> usize {
        let received = Received {
            at: self.shared.clock.now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            status: None,
        };
        let mut state = locked(&self.shared.state);
        state.received.push(received);
        state.received.len() - 1
    }

    fn workspace<T>(&self, act: impl FnOnce(&mut Workspace) -> T) -> T {
        act(&mut locked(&self.shared.state).workspace)
    }
}

impl fmt::Debug for SlackSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackSim").finish_non_exhaustive()
    }
}
