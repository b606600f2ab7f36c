//! Where events go.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use crate::{
    CheckStep, Context, Result, Timestamp,
    auth::OAuth2,
    model::{Affinity, ConnectionId, Delivery, DeliveryPlan, Destination, Lookup, Receipt, Seq},
};

/// A sink's identity, and how the engine calls it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkInfo {
    /// The connection it writes to.
    pub connection: ConnectionId,
    /// The system, such as `slack`.
    pub system: &'static str,
    /// Connections with the same affinity share quotas or a token chain; one host owns them together.
    pub affinity: Affinity,
    /// The most deliveries in one call of [`Sink::deliver`], at most 512. A batch holds deliveries of one lane with
    /// the same destination and the same plan. Its costs are admitted once.
    pub max_batch: usize,
    /// The most bytes of one batch, counted as the events' CloudEvents JSON; a delivery that is larger goes alone.
    pub max_bytes: usize,
    /// The most deliveries that one digest takes: the sink makes one message of a batch whose deliveries say
    /// [`digest`](Delivery::digest). 0 = it has no such form.
    pub max_digest: usize,
    /// The longest time that the first delivery of a batch waits for others. It ends as soon as there are `max_batch`.
    /// A repeated delivery does not wait.
    pub linger: Duration,
    /// What may follow an attempt with an unknown effect.
    pub repeat: Repeat,
    /// What is done when a look-up cannot tell.
    pub on_unknown: OnUnknown,
    /// The tokens that the engine keeps alive when no call does; see
    /// [`OAuth2Config::idle_life`](crate::auth::OAuth2Config::idle_life).
    pub tokens: Option<OAuth2>,
}

impl SinkInfo {
    /// A sink that takes deliveries one by one and has to look up before it repeats.
    #[must_use]
    pub fn new(connection: ConnectionId, system: &'static str) -> Self {
        Self {
            system,
            affinity: Affinity::from(connection.as_str()),
            max_batch: 1,
            max_bytes: usize::MAX,
            max_digest: 0,
            linger: Duration::ZERO,
            repeat: Repeat::AfterLookup,
            on_unknown: OnUnknown::Park,
            tokens: None,
            connection,
        }
    }
}

/// What may follow an attempt with an unknown effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Repeating cannot do harm.
    Safe,
    /// [`Sink::look_up`] has to say first what became of it. The engine then records every attempt before it
    /// begins, so that a crash leaves no attempt unseen.
    AfterLookup,
}

/// What the engine does when the other side cannot tell whether an attempt had its effect. The host chooses between a
/// delivery that is possibly missing and one that is possibly duplicated. The log records which it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// At most once: the delivery is parked as possibly missing, and can be replayed by hand.
    #[default]
    Park,
    /// At least once: it is sent again as possibly duplicated.
    Repeat,
}

/// A system that takes deliveries: messages, rows, commands.
///
/// # Contract
/// - The engine has one call under way per lane, and admits [`DeliveryPlan::costs`] before every attempt.
/// - An error's [`effect`](crate::Error::effect) is honest: `None` only when the write is known not to have
///   happened. Anything doubtful is `Unknown`.
/// - Every future may be dropped at any await point; the engine then looks the attempt up.
#[async_trait]
pub trait Sink: Debug + Send + Sync + 'static {
    /// Who this is. Constant.
    fn info(&self) -> &SinkInfo;

    /// Says where a delivery has to wait and what it spends. Pure. Also called when the delivery is made. When routes
    /// are checked, it is called for every target, with an event that has no record.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) for what no event can be delivered with, such as a template
    /// that does not exist: routes that name it are refused.
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a destination or an event it cannot serve: the
    /// delivery is dead. Where no event can ever be delivered there, such as with an unknown prefix, the error has a context
    /// `destination`: routes that name it are refused.
    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan>;

    /// Makes one attempt for each delivery of the batch, in order: one result each, same order. `notes`
    /// keeps a handle before a long wait.
    ///
    /// Each delivery ends by its own result. If all of them have an error that would end them, one bad delivery may be
    /// the cause. Then none ends, and the engine tries halves of the batch until the bad one is alone.
    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>>;

    /// Finds out what became of an attempt with an unknown effect. Deliveries that carry the same
    /// [`note`](Delivery::note) were sent as one: the first is looked up, and the answer holds for all of them.
    ///
    /// # Errors
    /// Asked again later, as the error's retry says; the delivery is not repeated meanwhile.
    /// [`RateLimited`](crate::ErrorKind::RateLimited) is no attempt, and is asked again however often.
    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup>;

    /// Makes one cheap call that writes nothing. An answer proves that the other side can be reached. The engine calls
    /// it when attempts of one lane fail and no other lane has tried, to tell a failing delivery from a failing
    /// connection. A ping that waits for a limit decides nothing. A sink that makes no calls returns `Ok`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when there is no answer, or none but that of a failing server.
    async fn ping(&self, ctx: &Context) -> Result<()>;

    /// Does what is due without any delivery, such as deleting what was left behind, and says when it wants to be called
    /// next; `None` = not as long as this host has the connection. Called by the host that owns the connection: when it
    /// takes it over, and then as asked, beside deliveries and never twice at a time. It may take as long as a
    /// [call](crate::engine::Settings::call).
    ///
    /// # Errors
    /// Told in the log of the process; it is called again within the hour.
    async fn maintain(&self, ctx: &Context) -> Result<Option<Timestamp>>;

    /// Looks whether deliveries can go: credentials, rights, destinations. For people who set a connection up, in the
    /// order in which they would repair it. It writes nothing and makes few calls; what depends on a step that failed is
    /// left out. The engine itself looks at the stored token and whether every route's deliveries can be planned.
    ///
    /// By default a [`ping`](Self::ping).
    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        vec![CheckStep::of("reach", self.ping(ctx).await.as_ref())]
    }

    /// Looks whether a place that a route names exists, and whether the sink may deliver to it. Called once for each
    /// place; otherwise like [`check`](Self::check).
    ///
    /// By default nothing.
    async fn check_destination(&self, _ctx: &Context, _destination: &Destination) -> Vec<CheckStep> {
        Vec::new()
    }

    /// What a person has to know of the connection although it works, such as a table that differs from its source. It
    /// tells what this process has seen, and makes no call. [Health](crate::engine::ConnectionHealth::sink_remarks)
    /// shows it.
    ///
    /// By default nothing.
    fn remarks(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// The URL at which a person sees what a receipt names, such as a message. `None` = there is none, or it is not
    /// known yet. Makes no call. [Stories](crate::engine::StepKind::Done) show it; one that is neither https nor on a
    /// loopback address is left out.
    ///
    /// By default nowhere.
    fn link(&self, _receipt: &str) -> Option<Url> {
        None
    }
}

/// Durable memory of a delivery that is under way.
#[async_trait]
pub trait AttemptNotes: Debug + Send + Sync {
    /// Keeps a note with these deliveries. Durable when it returns; a later attempt or look-up finds it in
    /// [`Delivery::note`].
    ///
    /// # Errors
    /// The attempt must not go on as if the note existed.
    async fn keep(&self, deliveries: &[Seq], note: Bytes) -> Result<()>;
}
