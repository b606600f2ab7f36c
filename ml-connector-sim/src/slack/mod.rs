//! Slack: the Web API of one workspace, and a page that shows its channels as a person would see them.

mod app;
mod args;
mod blocks;
mod catalog;
mod chat;
mod config;
mod control;
mod conversations;
mod dates;
mod events;
mod inputs;
mod interact;
mod limits;
mod message;
mod methods;
mod model;
mod mrkdwn;
mod outbox;
mod page;
mod people;
mod reactions;
mod responses;
mod tokens;
mod users;
mod views;
mod workspace;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use ml_connector_core::{Clock, Secret, Timestamp};

use self::{args::Args, workspace::Workspace};
pub use self::{
    config::SlackConfig,
    interact::Interaction,
    limits::RateLimitAnswer,
    model::{Channel, Ephemeral, Posted, Reaction, Revision, User, UserGroup},
    outbox::{Attempt, Delivery, DeliveryKind, DeliveryTuning, signature},
    tokens::AppCredentials,
    views::View,
};
use crate::{
    SimTransport,
    toolkit::{
        exchange::{self, Received, exchange},
        faults::{Call, Fault, Faults, locked},
    },
};

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
        let state = State { workspace: Workspace::new(config, clock.now()), received: Vec::new() };
        Self { shared: Arc::new(Shared { clock, faults: Faults::default(), state: Mutex::new(state) }) }
    }

    /// Serves the Web API below `/api/`, `response_url`s below `/actions/` and `/commands/`, at `/` a page of the
    /// channels on which people can click, and at `/oauth/v2/authorize` the one on which they allow the app.
    pub fn router(&self) -> Router {
        let sim = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let sim = sim.clone();
            async move { sim.answer(request).await }
        })
    }

    /// The bot's token; with rotation, the newest.
    #[must_use]
    pub fn bot_token(&self) -> String {
        self.workspace(|workspace| workspace.tokens.newest())
    }

    /// The newest refresh token, where tokens rotate.
    #[must_use]
    pub fn refresh_token(&self) -> Option<String> {
        self.workspace(|workspace| workspace.tokens.newest_refresh())
    }

    /// What the app needs for `oauth.v2.access`.
    #[must_use]
    pub fn app_credentials(&self) -> AppCredentials {
        self.workspace(|workspace| AppCredentials {
            app_id: workspace::APP_ID.to_owned(),
            client_id: workspace.tokens.client_id.clone(),
            client_secret: Secret::from(workspace.tokens.client_secret.as_str()),
        })
    }

    /// A one-time code, good for ten minutes, as the redirect after the consent page carries it. It is exchanged
    /// with the same `redirect_uri`.
    #[must_use]
    pub fn authorization_code(&self, redirect_uri: Option<&str>) -> String {
        self.authorization_code_for(redirect_uri, &[])
    }

    /// As [`authorization_code`](Self::authorization_code), for scopes that are added to those of the bot.
    #[must_use]
    pub fn authorization_code_for(&self, redirect_uri: Option<&str>, scopes: &[&str]) -> String {
        let now = self.now();
        self.workspace(|workspace| workspace.tokens.code(&mut workspace.seed, redirect_uri, scopes, now))
    }

    /// Ends all access tokens, as if their twelve hours were over.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.workspace(|workspace| workspace.tokens.expire(now));
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
        let responds = path.starts_with("/actions/") || path.starts_with("/commands/");
        let Some(method) = path.strip_prefix("/api/").or(responds.then_some("")) else {
            return page::answer(self, &request).map(Body::from);
        };
        let args = Args::read(&request);
        let channel = args.as_ref().ok().and_then(|args| args.text("channel"));
        let call = Call { method: request.method(), path: request.uri().path(), channel: channel.as_deref() };
        let fault = self.shared.faults.strike(call);
        let index = self.record(&request);
        exchange(fault, || {
            let now = self.shared.clock.now();
            let mut state = locked(&self.shared.state);
            let answer = match responds {
                true => responses::answer(&mut state.workspace, &request, now),
                false => methods::answer(&mut state.workspace, method, &request, args, now),
            };
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

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
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

impl SimTransport {
    /// Serves `https://slack.com`, and `https://hooks.slack.com` for `response_url`s.
    #[must_use]
    pub fn with_slack(self, slack: &SlackSim) -> Self {
        self.with_router("https://slack.com", slack.router())
            .with_router("https://hooks.slack.com", slack.router())
    }
}
