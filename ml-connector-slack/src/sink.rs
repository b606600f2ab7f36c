//! The sink: what a connection to a workspace holds, and what the engine asks of it.

use std::{fmt, sync::Mutex};

use async_trait::async_trait;
use ml_connector_core::{
    AttemptNotes, Context, Error, ErrorKind, Result, Sink, SinkInfo, Timestamp,
    model::{Affinity, ConnectionId, Delivery, DeliveryPlan, Lookup, Receipt},
    rate::QuotaKey,
};
use tokio::sync::OnceCell;

use crate::{
    auth,
    channels::Channels,
    client::Client,
    config::{Builder, Config, Dedupe, History, Inbound, base_url},
    destination::{self, Goal, Target},
    lookup::Looks,
    message::{DIGEST_MAX, Templates},
    models::AuthTest,
    pacing::Pacing,
    people::People,
    place::Place,
};

/// A Slack workspace as a place to send events to. See the [crate's documentation](crate).
pub struct Slack {
    info: SinkInfo,
    pub(crate) client: Client,
    pub(crate) pacing: Pacing,
    pub(crate) dedupe: Dedupe,
    pub(crate) history: History,
    pub(crate) templates: Templates,
    pub(crate) admin: Option<Target>,
    pub(crate) inbound: Inbound,
    pub(crate) channels: Channels,
    pub(crate) people: People,
    pub(crate) identity: OnceCell<AuthTest>,
    pub(crate) looks: Looks,
    pub(crate) last_429: Mutex<Option<(QuotaKey, Timestamp)>>,
}

impl Slack {
    /// Begins a connection under the host's name for it.
    #[must_use]
    pub fn builder(connection: impl Into<ConnectionId>) -> Builder {
        Builder::from_config(Config { connection: connection.into(), ..Config::default() })
    }

    pub(crate) fn new(config: &Config, templates: Templates) -> Result<Self> {
        let workspace = config.quota_key();
        let base = base_url(&config.base_url)?;
        let auth = auth::authenticator(config, &base)?;
        let pacing = Pacing::new(
            workspace,
            config.post_interval(),
            config.posts_per_minute,
            config.history.per_minute,
        );
        let mut info = SinkInfo::new(config.connection.clone(), "slack");
        info.affinity = Affinity::from(format!("slack/{workspace}"));
        info.on_unknown = config.on_unknown;
        info.max_digest = DIGEST_MAX;
        Ok(Self {
            client: Client::new(base, auth, pacing.clone())?,
            info,
            pacing,
            dedupe: config.dedupe,
            history: config.history,
            templates,
            admin: config.admin.as_deref().map(admin).transpose()?,
            inbound: config.inbound.clone(),
            channels: Channels::default(),
            people: People::default(),
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
}

#[async_trait]
impl Sink for Slack {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        self.templates.check(delivery)?;
        let place = Place::of(delivery, self.admin.as_ref())?;
        let costs = match &place {
            Place::Post { target, .. } => self.pacing.post(target),
            Place::Update { .. } => vec![self.pacing.method("chat.update")],
            Place::Ephemeral { .. } => vec![self.pacing.method("chat.postEphemeral")],
        };
        Ok(DeliveryPlan::new(place.lane(delivery)).costs(costs))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        if batch.first().is_some_and(|delivery| delivery.digest) {
            return self.digest(ctx, batch, notes).await;
        }
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.attempt(ctx, delivery, notes).await);
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

/// The channel for admins: whatever a channel destination may name.
fn admin(channel: &str) -> Result<Target> {
    match Goal::parse(&destination::channel(channel)) {
        Ok(Goal::Post(target)) => Ok(target),
        _ => Err(Error::new(ErrorKind::ConfigInvalid, "expected a channel's id or name")
            .with_context("setting", "admin")),
    }
}
