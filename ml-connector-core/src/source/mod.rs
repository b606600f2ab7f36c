//! Where changes come from.

mod answers;
mod request;
mod zone;

use std::{fmt::Debug, sync::Arc, time::Duration};

pub use answers::WebhookAnswers;
use async_trait::async_trait;
pub use request::{PollRequest, ReceiveRequest, UpkeepRequest};
use serde::{Deserialize, Serialize};
pub use zone::ZonedInfo;

use crate::{
    CheckStep, Context, Result,
    auth::OAuth2,
    model::{
        AccountKey, Affinity, Columns, ConnectionId, EndpointId, Intake, Page, Prompt, Resolution, Signal,
        Status, Upkeep, Zone,
    },
    snapshot::Snapshot,
};

/// Who a source is and what it needs from the engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The connection it reads.
    pub connection: ConnectionId,
    /// The system, such as `zoho_books`.
    pub system: &'static str,
    /// The first path segment of its webhook URL. Connections of one vendor app may share it.
    pub endpoint: EndpointId,
    /// How shared traffic names this connection: `team:T1`, `org:778812345`.
    pub accounts: Vec<AccountKey>,
    /// Connections with the same affinity share quotas or a token chain; one host owns them together.
    pub affinity: Affinity,
    /// What can be polled.
    pub feeds: Vec<FeedInfo>,
    /// Feeds that can tell which records exist, by [`PollMode::Sweep`](crate::model::PollMode::Sweep), and how often
    /// they are asked. Deletions that no webhook tells are noticed by this. The interval has to be shorter than the
    /// engine's retention, because what was told since the last sweep is looked up in the log.
    pub sweeps: Vec<FeedInfo>,
    /// The kinds of records it tells of, beyond those of [`RecordKind`](crate::model::RecordKind): routes may name them.
    pub kinds: Vec<&'static str>,
    /// The words for states in which its records stand, beyond those of [`Status`](crate::model::Status): routes may name
    /// them. A word that is not listed here is kept all the same, but no route can ask for it.
    pub statuses: Vec<&'static str>,
    /// Statuses in which the vendor no longer lists a record that still exists, such as an order that became an
    /// invoice. A sweep does not take such a record for deleted.
    pub unlisted: Vec<Status>,
    /// How changes are noticed.
    pub mode: SourceMode,
    /// How long signals of one record are collected before it is read once for all of them.
    pub coalesce: Duration,
    /// What the vendor is answered when a webhook cannot be taken in as it is.
    pub answers: WebhookAnswers,
    /// The longest time until a webhook is answered, less than the vendor waits. If the log has not stored the webhook
    /// by then, the answer is [`WebhookAnswers::unavailable`].
    pub answer_within: Duration,
    /// The organisation's time zone: where due dates begin.
    pub zone: Zone,
    /// After how many days past the due date an unpaid document is announced as overdue. A threshold that is added
    /// later, or another [`zone`](Self::zone), holds for known documents from the next sweep on. A threshold that such
    /// a document had passed before is announced with its next change.
    pub overdue_after: Vec<u32>,
    /// The tokens that the engine keeps alive when no call does; see
    /// [`OAuth2Config::idle_life`](crate::auth::OAuth2Config::idle_life).
    pub tokens: Option<OAuth2>,
    /// Whether the source is told what becomes of deliveries of its events: one signal per delivery that is done, dead
    /// or parked, written together with that outcome. Its subject is the event's record, its payload a
    /// [`Fate`](crate::model::Fate).
    pub outcomes: bool,
    /// Whether snapshots keep the raw state of observations, so that [`Source::resolve`] gets all of it back. For a
    /// source whose records exist nowhere else. Several observations of one record in one resolution are then several
    /// changes, in order.
    pub keeps_raw: bool,
    /// What its records look like as tables, for sinks that keep some: one for each kind.
    pub columns: Vec<Arc<Columns>>,
}

impl SourceInfo {
    /// How long signals of one record are collected, unless a source says otherwise.
    pub const COALESCE: Duration = Duration::from_secs(2);

    /// How long a webhook may take to be answered, unless a source says otherwise. Slack waits 3 s.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

    /// A source with an endpoint of its own, in UTC, without feeds and overdue thresholds.
    #[must_use]
    pub fn new(connection: ConnectionId, system: &'static str) -> Self {
        Self {
            system,
            endpoint: EndpointId::from(connection.as_str()),
            accounts: Vec::new(),
            affinity: Affinity::from(connection.as_str()),
            feeds: Vec::new(),
            sweeps: Vec::new(),
            kinds: Vec::new(),
            statuses: Vec::new(),
            unlisted: Vec::new(),
            mode: SourceMode::default(),
            coalesce: Self::COALESCE,
            answers: WebhookAnswers::default(),
            answer_within: Self::ANSWER_WITHIN,
            zone: Zone::UTC,
            overdue_after: Vec::new(),
            tokens: None,
            outcomes: false,
            keeps_raw: false,
            columns: Vec::new(),
            connection,
        }
    }
}

/// How a connection notices changes. Gaps and requests are read from feeds in every mode, and so is the baseline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SourceMode {
    /// By webhook alone: feeds are not read on a schedule.
    Webhook,
    /// By polling alone: webhook subscriptions are not looked after.
    Poll,
    /// By webhook, and by polling what webhooks have missed.
    #[default]
    Both,
}

impl SourceMode {
    /// Whether feeds are read on a schedule.
    #[must_use]
    pub fn polls(self) -> bool {
        self != Self::Webhook
    }

    /// Whether webhook subscriptions are looked after.
    #[must_use]
    pub fn subscribes(self) -> bool {
        self != Self::Poll
    }
}

/// Something that can be polled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedInfo {
    /// Its name within the source.
    pub name: &'static str,
    /// How often it is read by default.
    pub every: Duration,
}

impl FeedInfo {
    /// A feed of this name, read so often by default.
    #[must_use]
    pub fn new(name: &'static str, every: Duration) -> Self {
        Self { name, every }
    }
}

/// A system that tells about changes: by webhook, by poll, or both. Both give the same [`Signal`]s. Every signal leads
/// to a read of its record.
///
/// # Contract
/// - Methods may be called concurrently and on several hosts; the engine calls `resolve`, `poll` and `upkeep`
///   of one connection only on the host that owns it.
/// - An implementation keeps no state that must survive a restart. It returns such state as `checkpoint` or `state`.
/// - Every future may be dropped at any await point. A call that was under way then counts as not made.
/// - No method waits longer than [`Context::deadline`]. A limit without room until then is an error with
///   [`Retry::At`](crate::Retry::At).
#[async_trait]
pub trait Source: Debug + Send + Sync + 'static {
    /// Who this is. Constant.
    fn info(&self) -> &SourceInfo;

    /// Verifies a webhook and decodes it. Pure: no I/O, no clock but [`now`](ReceiveRequest::now), the same answer for
    /// the same input. Nothing is decoded before it is verified.
    ///
    /// # Errors
    /// - [`SignatureInvalid`](crate::ErrorKind::SignatureInvalid): not proven to come from the vendor. Nothing
    ///   is stored; the sender gets 401 and no reason. Where the request names an account, the error says which
    ///   as its context `account`: the refusal is then counted for that connection alone.
    /// - [`InvalidRequest`](crate::ErrorKind::InvalidRequest): proven, but not understood. The request is
    ///   stored as one rejected entry, with its body; the sender gets
    ///   [`WebhookAnswers::unreadable`]. A source whose requests hold secrets returns `Ok` with a
    ///   [note](Intake::note) and [evidence](Intake::evidence) instead. Neither body nor path is kept of a source that
    ///   [never refuses](WebhookAnswers::never_refusing), or that has stored what requests are verified with.
    /// - [`NotFound`](crate::ErrorKind::NotFound): the path is none that this source has given to its vendor. Nothing is
    ///   stored; the sender gets 404.
    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake>;

    /// Does work with a deadline of seconds after the answer is safe. Best effort; see [`Prompt`].
    ///
    /// # Errors
    /// Logged; nothing depends on it.
    async fn prompt(&self, ctx: &Context, prompt: Prompt) -> Result<()>;

    /// Reads the record that the waiting signals are about: their subject is [`Subject::Entity`](crate::model::Subject::Entity). Feeds are read
    /// by [`poll`](Self::poll), subscriptions are looked after by [`upkeep`](Self::upkeep). Every read starts after the signals were
    /// loaded, so that it cannot be older than they are. `last` is what is known already.
    ///
    /// # Errors
    /// The signals stay and are resolved again as the error's retry and scope say.
    async fn resolve(&self, ctx: &Context, signals: &[Signal], last: Option<&Snapshot>)
    -> Result<Resolution>;

    /// Reads the next page of a feed. The page and its checkpoint are stored in one commit, so that a run which
    /// fails goes on with the page that failed. One page at a time of each feed.
    ///
    /// Baseline and live reads share one checkpoint, kept from run to run. Every backfill and sweep begins without
    /// one.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a feed it does not have; otherwise the same page is
    /// read again later.
    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page>;

    /// Makes the wanted webhook subscriptions exist under [`callback`](UpkeepRequest::callback). Idempotent; called on a schedule.
    ///
    /// # Errors
    /// Tried again later; the connection's health tells.
    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep>;

    /// Removes at the vendor what [`upkeep`](Self::upkeep) has made there, because the connection is not wanted any more.
    /// Idempotent: what is gone already is fine.
    ///
    /// By default nothing, for a source that makes nothing.
    ///
    /// # Errors
    /// The vendor's: then something may be left.
    async fn unsubscribe(&self, _ctx: &Context, _request: UpkeepRequest<'_>) -> Result<()> {
        Ok(())
    }

    /// Looks whether changes can be read: credentials, rights, the account that is read. For people who set a connection
    /// up, in the order in which they would repair it. It writes nothing and makes few calls; what depends on a step that
    /// failed is left out. The engine itself looks at the stored token, the webhooks, the feeds that the vendor does not
    /// allow, and the vendor's clock.
    ///
    /// By default nothing.
    async fn check(&self, _ctx: &Context) -> Vec<CheckStep> {
        Vec::new()
    }
}
