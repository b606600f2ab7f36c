//! The source: clicks, dialogs and reactions of people.

pub(crate) mod directory;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result, Scope,
    Source, SourceInfo, SourceMode, Timestamp, UpkeepRequest,
    approval::Choice,
    error_context,
    model::{
        Action, Actor, DocumentRef, EntityRef, Intake, Interaction, Observation, Observed, Page, Prompt,
        Reaction, Resolution, Revision, Signal, Subject, Upkeep,
    },
    snapshot::Snapshot,
};
use tokio::sync::OnceCell;

use crate::{
    Slack,
    blocks::Blocks,
    client::Client,
    config::Inbound,
    models::EphemeralMessage,
    source::directory::{Directory, Person},
    webhook::events::{self, Reacted},
    webhook::interactivity::{self, Ask, Clicked},
    webhook::{Receiver, signal::account},
};

/// How long a person is waited for whom Slack does not tell about at present. With the id alone whoever may decide may
/// be refused; but a click has to be answered some time.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the receipt of a message may take: its answer may have been lost, and is looked up.
const RECEIPT: Duration = Duration::from_secs(120);
/// How often it is looked for.
const RECEIPT_EVERY: Duration = Duration::from_secs(10);
/// A message that was rewritten a moment ago may have been seen as it was before.
const GLANCE: Duration = Duration::from_secs(5);
/// How long it may take to tell a clicker something at once.
const TELLING: Duration = Duration::from_secs(10);
/// What the clicker is told when no dialog opened.
const NOT_OPENED: &str = "The dialog could not be opened, and nothing was decided. Please click again.";
/// What the clicker is told while the receipt of the message is waited for.
const ONE_MOMENT: &str = "One moment: this message was posted just now and is being looked up. You will be told what became of your click \
     within a few minutes; there is no need to click again.";
/// There are no subscriptions to look after.
const UPKEEP: Duration = Duration::from_secs(24 * 3600);

/// A Slack workspace as a place where people do something: clicks and dialogs become events of kind `action`, emoji on
/// the connector's messages events of kind `reaction`. They say who did it (with the address, where the app may read
/// it) and what it is about: the document of the message, by its receipt.
///
/// One endpoint serves Events API, interactivity and slash commands of one app, for all of its workspaces. Made by
/// [`Slack::source`].
#[derive(Debug)]
pub struct SlackSource {
    info: SourceInfo,
    receiver: Receiver,
    client: Client,
    directory: Directory,
    /// The bot's own user.
    bot: OnceCell<Option<String>>,
    /// Which clicks wait for the receipt of their message, and since when.
    waiting: Mutex<BTreeMap<Arc<str>, Timestamp>>,
}

impl Slack {
    /// The same connection as a source. Needs a signing secret and the team in the connection's settings.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names what is missing.
    pub fn source(&self) -> Result<SlackSource> {
        let Inbound { signing_secrets, team, app, endpoint } = &self.inbound;
        let Some(team) = team else {
            return Err(Error::new(ErrorKind::ConfigInvalid, "a source needs the id of its workspace")
                .with_context("setting", "team"));
        };
        let sink = ml_connector_core::Sink::info(self);
        let mut info = SourceInfo::new(sink.connection.clone(), "slack");
        if let Some(endpoint) = endpoint {
            info.endpoint = endpoint.clone();
        }
        info.accounts = vec![account(team)];
        info.affinity = sink.affinity.clone();
        info.mode = SourceMode::Webhook;
        info.statuses = vec!["created", "deleted"];
        // Somebody waits for what a click leads to, and there is nothing to collect.
        info.coalesce = Duration::ZERO;
        Ok(SlackSource {
            info,
            receiver: Receiver::new(signing_secrets, app.clone())?,
            client: self.client().clone(),
            directory: self.directory(),
            bot: OnceCell::new(),
            waiting: Mutex::default(),
        })
    }

    /// The workspace's user groups, for the [policy](ml_connector_core::approval::Policy) of approvals.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory::new(self.client().clone(), self.inbound.team.as_deref())
    }
}

impl SlackSource {
    async fn click(&self, ctx: &Context, entity: &EntityRef, signal: &Signal) -> Result<Resolution> {
        let Clicked { user, action, value, reason, place, received_at } =
            interactivity::stored(payload(signal)?)?;
        let read_at = ctx.now();
        let about = match &place {
            Some(place) => self.about(ctx, place, received_at).await?,
            None => None,
        };
        // A decision counts only on a message that is known. Its receipt may still be on its way.
        let decides = value.as_deref().and_then(Choice::parse).is_some();
        if let Some(place) = place.as_deref().filter(|_| decides && about.is_none())
            && read_at.saturating_since(received_at) < RECEIPT
        {
            if self.begins_to_wait(&entity.id, read_at) {
                let told = self.tell(ctx, place, &user, ONE_MOMENT).await;
                _ = told.inspect_err(|error| tracing::warn!(%error, "a clicker could not be told to wait"));
            }
            return Ok(Resolution::NotYet { retry_at: read_at + RECEIPT_EVERY });
        }
        let person = self.person(ctx, &user, received_at).await?;
        let actor = self.actor(&user, person, place.as_deref());
        let revision = Revision::of(format!("{user}\n{action}\n{value:?}\n{reason:?}").as_bytes());
        let mut click = Action::new(action, actor, received_at);
        (click.value, click.text, click.about) = (value, reason, about);
        Ok(Resolution::Observed(vec![seen(entity, read_at, revision, None, Interaction::Action(click))]))
    }

    async fn reaction(
        &self,
        ctx: &Context,
        entity: &EntityRef,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let reacted = signals.iter().map(|signal| events::stored(payload(signal)?));
        let reacted = reacted.collect::<Result<Vec<_>>>()?.into_iter().max_by_key(|reacted| reacted.order);
        let Some(reacted) = reacted else { return Ok(Resolution::Done { note: "nothing was said" }) };
        let seen_at = reacted.seen_at();
        let Reacted { added, user, emoji, message, author, order, received_at } = reacted;
        let known = last.and_then(|last| last.order);
        if known.is_some_and(|known| order <= known) {
            return Ok(Resolution::Done { note: "older than what is known" });
        }
        if author.is_some() && self.bot(ctx).await.is_some_and(|bot| author.as_deref() != Some(bot)) {
            return Ok(Resolution::Done { note: "on somebody else's message" });
        }
        let read_at = ctx.now();
        let Some(about) = self.about(ctx, &message, seen_at).await? else {
            if read_at.saturating_since(received_at) < RECEIPT {
                return Ok(Resolution::NotYet { retry_at: read_at + RECEIPT_EVERY });
            }
            return Ok(Resolution::Done { note: "on a message that is not the connector's" });
        };
        if !added && last.is_none() {
            return Ok(Resolution::Done { note: "the end of what was never told" });
        }
        let person = self.person(ctx, &user, received_at).await?;
        if person.is_bot {
            return Ok(Resolution::Done { note: "by a bot" });
        }
        let actor = self.actor(&user, person, Some(&message));
        let mut reaction = Reaction::new(&emoji, actor, about, received_at);
        reaction.added = added;
        let interaction = Interaction::Reaction(reaction);
        let revision = Revision::of(interaction.change().as_str().as_bytes());
        Ok(Resolution::Observed(vec![seen(entity, read_at, revision, Some(order), interaction)]))
    }

    /// Whether the installation still works is asked, not believed: an event may be about another token, or late.
    async fn installation(&self, ctx: &Context) -> Result<Resolution> {
        match self.client.auth_test(ctx).await {
            Ok(_) => Ok(Resolution::Done { note: "the token still works" }),
            Err(error) => Err(error),
        }
    }

    async fn person(&self, ctx: &Context, user: &str, received_at: Timestamp) -> Result<Person> {
        match self.directory.person(ctx, user).await {
            Err(error)
                if error.scope() != &Scope::Connection
                    && ctx.now().saturating_since(received_at) >= PATIENCE =>
            {
                tracing::warn!(%error, "a person cannot be read: going on with the id alone");
                Ok(Person::default())
            }
            person => person,
        }
    }

    fn actor(&self, user: &str, person: Person, place: Option<&str>) -> Actor {
        let mut actor = Actor::new(self.info.connection.clone(), user);
        let mut names = person.names.into_iter();
        (actor.name, actor.aliases, actor.email) = (names.next(), names.collect(), person.email);
        actor.deactivated = person.is_deactivated;
        actor.place = place.map(Into::into);
        actor
    }

    /// Whether the click has not waited before, as far as this process knows.
    fn begins_to_wait(&self, click: &Arc<str>, now: Timestamp) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, since| now.saturating_since(*since) < RECEIPT);
        waiting.insert(Arc::clone(click), now).is_none()
    }

    /// Shows somebody alone a text beside a message.
    async fn tell(&self, ctx: &Context, message: &str, user: &str, text: &str) -> Result<()> {
        let Some((channel, _)) = message.split_once('/') else { return Ok(()) };
        let words = EphemeralMessage { channel, user, text, blocks: &Blocks::new() };
        self.client.chat_post_ephemeral(&ctx.within(TELLING), &words).await.map(drop)
    }

    async fn about(&self, ctx: &Context, message: &str, seen_at: Timestamp) -> Result<Option<DocumentRef>> {
        ctx.delivered(&self.info.connection, message, seen_at - GLANCE).await
    }

    /// The bot's own user, where Slack tells; asked for once.
    async fn bot(&self, ctx: &Context) -> Option<&str> {
        let asked = self
            .bot
            .get_or_try_init(|| async { self.client.auth_test(ctx).await.map(|identity| identity.user_id) });
        asked.await.ok()?.as_deref()
    }
}

#[async_trait]
impl Source for SlackSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        self.receiver.receive(request.request, request.now)
    }

    /// Opens the dialog that asks for a reason. Where that fails, the clicker is told.
    async fn prompt(&self, ctx: &Context, prompt: Prompt) -> Result<()> {
        let unreadable = |source: serde_json::Error| {
            Error::new(ErrorKind::Unexpected, "a dialog cannot be read").with_source(source)
        };
        let Ask { trigger, about, user } = serde_json::from_slice(&prompt.payload).map_err(unreadable)?;
        let in_time = ctx.within(prompt.deadline.saturating_since(ctx.now()));
        let view = about.view()?;
        let opened = match &trigger {
            Some(trigger) => self.client.views_open(&in_time, trigger, &view).await.map(drop),
            None => Err(Error::new(ErrorKind::InvalidRequest, "a click came without what opens a dialog")
                .with_operation("slack.views_open")),
        };
        let Err(error) = opened else { return Ok(()) };
        if let Some(message) = about.message() {
            let told = self.tell(ctx, message, &user, NOT_OPENED).await;
            _ = told.inspect_err(
                |error| tracing::warn!(%error, "a clicker could not be told that no dialog opened"),
            );
        }
        Err(error)
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let Some(Signal { subject: Subject::Entity(entity), hint, .. }) = signals.first() else {
            return Ok(Resolution::Done { note: "nothing was said" });
        };
        match &*entity.kind {
            "action" => self.click(ctx, entity, &signals[0]).await,
            "reaction" => self.reaction(ctx, entity, signals, last).await,
            "installation" => self.installation(ctx).await,
            _ if hint.as_deref() == Some("app_rate_limited") => {
                tracing::warn!(connection = %self.info.connection, "Slack holds events back: there are too many");
                Ok(Resolution::Done { note: "Slack holds events back" })
            }
            _ => Ok(Resolution::Done { note: "nothing is done about it" }),
        }
    }

    async fn poll(&self, _: &Context, request: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "Slack has no feeds")
            .with_context(error_context::FEED, request.feed))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + UPKEEP))
    }
}

fn payload(signal: &Signal) -> Result<&Bytes> {
    signal.payload.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            "expected what somebody did: Slack cannot be asked for it again",
        )
    })
}

fn seen(
    entity: &EntityRef,
    read_at: Timestamp,
    revision: Revision,
    order: Option<u64>,
    interaction: Interaction,
) -> Observation {
    let content = interaction.into();
    let state = Observed::Present { revision, order, content, raw: None, notes: Vec::new() };
    Observation { entity: entity.clone(), read_at, state }
}

/// The sink, and the [source](Slack::source) where a signing secret or a team is set.
impl IntoConnection for Slack {
    fn into_connection(self) -> Result<Connection> {
        let connection = Connection::new();
        let hears = self.inbound.team.is_some() || !self.inbound.signing_secrets.is_empty();
        let connection = if hears { connection.source(self.source()?) } else { connection };
        Ok(connection.sink(self))
    }
}
