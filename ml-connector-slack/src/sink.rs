//! The sink: one delivery, one message.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use ml_connector_core::{
    Context, Effect, Error, ErrorKind, Notes, Result, Retry, Scope, Sink, SinkInfo, Timestamp,
    model::{Affinity, ConnectionId, Delivery, LaneKey, Lookup, Plan, Receipt},
    rate::{Feedback, QuotaKey},
};
use tokio::sync::OnceCell;

use crate::{
    auth,
    channels::Channels,
    client::Client,
    config::{Builder, Config, Dedupe, History, base_url},
    destination::Target,
    error::is_code,
    lookup::Looks,
    message::{Message, Template},
    models::{AuthTest, MessageRef, Metadata, PostMessage},
    pacing::{GUARD, Pacing},
};

/// A Slack workspace as a place to send events to. See the [crate's documentation](crate).
pub struct Slack {
    info: SinkInfo,
    pub(crate) client: Client,
    pacing: Pacing,
    pub(crate) dedupe: Dedupe,
    pub(crate) history: History,
    template: Arc<dyn Template>,
    pub(crate) channels: Channels,
    pub(crate) identity: OnceCell<AuthTest>,
    pub(crate) looks: Looks,
    last_429: Mutex<Option<(QuotaKey, Timestamp)>>,
}

impl Slack {
    /// Begins a connection under the host's name for it.
    #[must_use]
    pub fn builder(connection: impl Into<ConnectionId>) -> Builder {
        Builder::from_config(Config { connection: connection.into(), ..Config::default() })
    }

    pub(crate) fn new(config: &Config, template: Arc<dyn Template>) -> Result<Self> {
        let workspace = config.quota_key();
        let base = base_url(&config.base_url)?;
        let auth = auth::authenticator(config, &base)?;
        let pacing = Pacing::new(workspace, config.post_interval(), config.posts_per_minute);
        let mut info = SinkInfo::new(config.connection.clone(), "slack");
        info.affinity = Affinity::from(format!("slack/{workspace}"));
        info.on_unknown = config.on_unknown;
        Ok(Self {
            client: Client::new(base, auth, pacing.clone(), config.history.per_minute)?,
            info,
            pacing,
            dedupe: config.dedupe,
            history: config.history,
            template,
            channels: Channels::default(),
            identity: OnceCell::new(),
            looks: Looks::default(),
            last_429: Mutex::new(None),
        })
    }

    /// The Web API with this connection's token.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn post(&self, ctx: &Context, delivery: &Delivery) -> Result<Receipt> {
        self.looks.forget(delivery);
        let target = Target::parse(&delivery.destination)?;
        let message = self.render(delivery)?;
        let channel = self.addressee(ctx, delivery, &target).await?;
        let mut post = PostMessage::new(&channel, &message);
        post.metadata = self.dedupe.metadata().then(|| Metadata::of(delivery));
        post.client_msg_id = self.dedupe.client_msg_id().then(|| delivery.id.to_string());
        let key = self.pacing.channel_key(&delivery.destination);
        match self.client.chat_post_message(ctx, &post, key).await {
            Ok(posted) => {
                if posted.is_duplicate == Some(true) {
                    tracing::info!(delivery.id = %delivery.id, "Slack recognized a message it has already");
                }
                Ok(receipt(posted.channel, posted.ts))
            }
            Err(error) => Err(self.refused(ctx, &target, error).await),
        }
    }

    fn render(&self, delivery: &Delivery) -> Result<Message> {
        let message = self.template.render(&delivery.event);
        let broken = match message.blocks().validate() {
            Err(violations) if !message.blocks().is_empty() => violations.into_iter().next(),
            _ => None,
        };
        if let Some(broken) = broken {
            return Err(Error::new(ErrorKind::InvalidRequest, "the template made blocks that Slack refuses")
                .with_operation("slack.render")
                .with_context("rule", broken.rule)
                .with_context("pointer", broken.pointer)
                .with_context("actual", broken.actual)
                .with_context("limit", broken.limit));
        }
        if message.blocks().is_empty() && message.text().trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "the template made an empty message")
                .with_operation("slack.render"));
        }
        Ok(message)
    }

    /// The id to post to. Whatever fails here, nothing was posted.
    async fn addressee(&self, ctx: &Context, delivery: &Delivery, target: &Target) -> Result<String> {
        let name = match target {
            Target::Conversation(id) | Target::User(id) => return Ok(id.clone()),
            Target::Named(name) => name,
        };
        let admitted = ctx.now();
        let id = self.channels.resolve(ctx, &self.client, name).await;
        let id = id.map_err(|error| unnamed(error).with_effect(Effect::None))?;
        if ctx.now().saturating_since(admitted) > GUARD {
            // The post goes out later than it was admitted: the next one has to count from now.
            let key = self.pacing.channel_key(&delivery.destination);
            let charge = Feedback::Charge { units: 1 };
            if let Err(error) = ctx.limiter().report(&key, charge, ctx.now()).await {
                tracing::warn!(%error, %key, "the limiter could not be told that a post was late");
            }
        }
        Ok(id)
    }

    /// Draws conclusions from a refused post.
    async fn refused(&self, ctx: &Context, target: &Target, error: Error) -> Error {
        if matches!(target, Target::Named(_)) && error.scope() == &Scope::Lane {
            self.channels.forget().await;
        }
        match (error.scope(), error.retry()) {
            (Scope::Quota(key), Retry::At(until)) if self.second_channel(key, until, ctx.now()) => {
                error.with_scope(Scope::Quota(self.pacing.workspace_key().clone()))
            }
            _ => error,
        }
    }

    /// Slack does not say whether a 429 means the channel or the workspace. While one channel is paused, a 429 for
    /// another one is taken as the workspace's.
    fn second_channel(&self, key: &QuotaKey, until: Timestamp, now: Timestamp) -> bool {
        let mut last = self.last_429.lock().unwrap_or_else(PoisonError::into_inner);
        let second = last.as_ref().is_some_and(|(other, paused)| other != key && *paused > now);
        *last = Some((key.clone(), until));
        second
    }
}

#[async_trait]
impl Sink for Slack {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<Plan> {
        let destination = &delivery.destination;
        Target::parse(destination)?;
        Ok(Plan { lane: LaneKey::new(destination.as_str()), costs: self.pacing.post(destination) })
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn Notes) -> Vec<Result<Receipt>> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.post(ctx, delivery).await);
        }
        results
    }

    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.read_back(ctx, delivery).await
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack")
            .field("info", &self.info)
            .field("client", &self.client)
            .field("dedupe", &self.dedupe)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

pub(crate) fn receipt(channel: String, ts: String) -> Receipt {
    Receipt::new(MessageRef { channel, ts }.to_string())
}

/// A scope that only name resolution lacks stops the channels that are routed by name, not the connection.
pub(crate) fn unnamed(error: Error) -> Error {
    if is_code(&error, "missing_scope") { error.with_scope(Scope::Lane) } else { error }
}
