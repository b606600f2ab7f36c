//! Slack: the Web API of one workspace, and a page that shows its channels as a person would see them (feature
//! `page`).

#![cfg_attr(not(feature = "page"), allow(dead_code))] // what only the page asks for

mod app;
mod args;
mod blocks;
mod catalog;
mod chat;
mod config;
mod control;
mod conversations;
#[cfg(feature = "page")]
mod dates;
mod events;
mod ids;
mod inputs;
mod interact;
mod limits;
mod message;
mod methods;
mod modals;
mod model;
#[cfg(feature = "page")]
mod mrkdwn;
mod oauth;
mod outbox;
#[cfg(feature = "page")]
mod page;
mod people;
mod reactions;
mod refusal;
mod response_urls;
mod responses;
mod shown;
mod tokens;
mod users;
mod views;
mod workspace;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use axum::Router;
use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::{Clock, Result, Secret, Timestamp};
use serde_json::Value;

use self::{args::Args, workspace::Workspace};
pub use self::{
    config::SlackConfig,
    interact::Interaction,
    limits::RateLimitAnswer,
    model::{Channel, Ephemeral, Posted, Reaction, Revision, User, UserGroup},
    outbox::{AppCall, Attempt, Delivery, DeliveryKind, signature},
    tokens::AppCredentials,
    views::View,
};
use crate::{
    SimTransport,
    toolkit::{
        conditions::Conditions,
        exchange::Received,
        faults::{Fault, locked},
        gate::{self, Call, Gate, Vendor, Visit},
    },
};

/// A simulator of one Slack workspace. Clones share their state.
#[derive(Clone)]
pub struct SlackSim {
    shared: Arc<Shared>,
}

struct Shared {
    gate: Gate,
    state: Mutex<Workspace>,
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
        let gate = Gate::new(clock, config.conditions.clone());
        let state = Mutex::new(Workspace::new(config, gate.now()));
        Self { shared: Arc::new(Shared { gate, state }) }
    }

    /// Serves the Web API below `/api/`, `response_url`s below `/actions/` and `/commands/`, at `/` a page of the
    /// channels on which people can click, and at `/oauth/v2/authorize` the one on which they allow the app.
    pub fn router(&self) -> Router {
        gate::router(self.clone())
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
            app_id: ids::APP_ID.to_owned(),
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
        self.workspace(|workspace| workspace.tokens.code(redirect_uri, scopes, now))
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

    /// How unkind network and vendor are from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.gate.set_conditions(conditions);
    }

    /// Plants a fault.
    pub fn plant(&self, fault: Fault) {
        self.shared.gate.plant(fault);
    }

    /// Takes away the faults that have not hit yet.
    pub fn clear_faults(&self) {
        self.shared.gate.clear_faults();
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.shared.gate.faults_waiting()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.gate.received()
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

    #[cfg(feature = "page")]
    fn show(&self, request: &Request<Bytes>) -> Response<Bytes> {
        page::answer(self, request)
    }

    #[cfg(not(feature = "page"))]
    fn show(&self, _: &Request<Bytes>) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from_static(b"not simulated without the feature `page`"));
        *answer.status_mut() = http::StatusCode::NOT_FOUND;
        answer
    }

    fn now(&self) -> Timestamp {
        self.shared.gate.now()
    }

    fn workspace<T>(&self, act: impl FnOnce(&mut Workspace) -> T) -> T {
        act(&mut locked(&self.shared.state))
    }
}

impl Vendor for SlackSim {
    fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        if !is_api(request.uri().path()) {
            return Visit::Person;
        }
        let target = Args::read(request).ok().and_then(|args| args.text("channel"));
        Visit::Call { target, lane: None, hides_query: false }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let (request, now) = (call.request, call.now);
        let path = request.uri().path();
        if !is_api(path) {
            return self.show(request);
        }
        let conditions = self.shared.gate.conditions();
        self.workspace(|workspace| {
            workspace.conditions = conditions;
            match path.strip_prefix("/api/") {
                Some(method) => methods::answer(workspace, method, request, Args::read(request), now),
                None => responses::answer(workspace, request, now),
            }
        })
    }

    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes> {
        self.workspace(|workspace| methods::throttled(workspace, retry_after_secs))
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        control::act(self, method, segments, body)
    }
}

/// Whether an app calls, and not a person at the page.
fn is_api(path: &str) -> bool {
    ["/api/", "/actions/", "/commands/"].iter().any(|prefix| path.starts_with(prefix))
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
