//! Approvals as a connection: deliveries in, changes of approvals out.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Approvals, Choice,
    record::entity,
    state::{ApprovalInput, ApprovalState, Choosing, ReplyTo, Seen, Verdict},
    step::{Moment, step},
};
use crate::{
    AttemptNotes, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Retry, Scope, Sink, SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest, error_context,
    model::{
        Action, Actor, Change, ConnectionId, Content, Delivery, DeliveryPlan, Denied, DocumentRef, EntityRef,
        Event, Fate, Intake, Interaction, LaneKey, Lookup, Page, Prompt, Reaction, Receipt, Record,
        Resolution, Revision, Signal, Subject, Upkeep, emoji_name,
    },
    snapshot::Snapshot,
};

/// What a delivery means for an approval: the payload of a signal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToldOfDocument {
    Document(Box<ToldDocument>),
    Choice(Choosing),
}

/// A change of a document.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ToldDocument {
    document: DocumentRef,
    record: Box<Record>,
    gone: bool,
    submitted: bool,
    /// Whether it has stayed so for as long as is waited for.
    #[serde(default)]
    settled: bool,
}

/// The approval of a document has an id of its own, the same for ever.
pub(super) fn approval_of(connection: &ConnectionId, document: &EntityRef) -> Arc<str> {
    Revision::of(format!("{connection}\n{document}").as_bytes()).to_string().into()
}

impl Approvals {
    /// What an event means, and for which approval; `None` = nothing.
    fn understand(&self, event: &Event) -> Result<Option<(Arc<str>, ToldOfDocument)>> {
        match &event.content {
            Some(Content::Interaction(interaction)) => Ok(match &**interaction {
                Interaction::Action(action) => self.click(event, action),
                Interaction::Reaction(reaction) => self.reaction(event, reaction),
                Interaction::Approval(_) | Interaction::Answer(_) => None,
            }),
            Some(Content::Record(record)) => {
                let (connection, entity) = (event.connection.clone(), event.entity.clone());
                let id = approval_of(&connection, &entity);
                let told = ToldDocument {
                    document: DocumentRef { connection, entity, n: event.n },
                    record: ApprovalState::shorten(record),
                    gone: event.changes.contains(&Change::Deleted),
                    submitted: event.changes.contains(&Change::Submitted),
                    settled: self.0.quiet_for.is_none(),
                };
                Ok(Some((id, ToldOfDocument::Document(Box::new(told)))))
            }
            None => Err(Error::new(ErrorKind::InvalidRequest, "expected an event with its record")
                .with_context("event", event.id())),
        }
    }

    /// A button, or a dialog that a button opened. Approvals that share the people see each other's: only the one that
    /// asked answers. Where nobody knows which that is, an answer too many is better than none.
    fn click(&self, event: &Event, action: &Action) -> Option<(Arc<str>, ToldOfDocument)> {
        let about = action.about.as_ref();
        if about.is_some_and(|about| about.connection != self.0.source.connection) {
            return None;
        }
        let Choice { approval, request } = Choice::parse(action.value.as_deref()?)?;
        let verdict = match &*action.action_id {
            Choice::APPROVE => Verdict::Approve,
            Choice::REJECT => Verdict::Reject,
            Choice::RETRY => Verdict::Retry,
            _ => return None,
        };
        // A card decides only what it showed, and only the log knows what that was.
        let seen = match about {
            Some(about) if about.entity == entity(&approval) => Seen::Request(request),
            _ => Seen::Unproven(request),
        };
        let choosing = choosing(event, action.actor.clone(), verdict, action.text.clone(), seen);
        Some((approval, ToldOfDocument::Choice(choosing)))
    }

    /// An emoji on a message that told about an approval.
    fn reaction(&self, event: &Event, reaction: &Reaction) -> Option<(Arc<str>, ToldOfDocument)> {
        let about = &reaction.about;
        let is_meant = |emoji: &str| emoji_name(emoji) == emoji_name(&reaction.emoji);
        let verdict =
            self.0.reactions.iter().find(|(emoji, _)| is_meant(emoji)).map(|(_, verdict)| *verdict)?;
        let ours =
            about.connection == self.0.source.connection && *about.entity.kind == *Interaction::APPROVAL;
        if !ours || !reaction.added {
            return None;
        }
        let choosing = choosing(event, reaction.actor.clone(), verdict, None, Seen::Told(about.n));
        Some((Arc::clone(&about.entity.id), ToldOfDocument::Choice(choosing)))
    }

    /// The newest state of the document, if it is not the one that was shown.
    async fn newer(&self, ctx: &Context, state: Option<&ApprovalState>) -> Result<Option<ApprovalInput>> {
        let Some(ApprovalState { document: DocumentRef { connection, entity, n }, revision, .. }) = state
        else {
            return Ok(None);
        };
        let known = ctx.known(connection, entity).await?;
        let differs = |known: &Snapshot| {
            known.n > *n || known.n == *n && revision.is_some() && known.revision != *revision
        };
        let Some(known) = known.filter(differs) else { return Ok(None) };
        let document = DocumentRef { connection: connection.clone(), entity: entity.clone(), n: known.n };
        let told = ctx.last_told(connection, entity).await?.filter(|event| event.n == known.n);
        let told = told.as_ref().and_then(|event| Some((event.record()?, &event.changes)));
        let (record, gone, submitted) = match told {
            Some((record, changes)) => {
                let (gone, submitted) =
                    (changes.contains(&Change::Deleted), changes.contains(&Change::Submitted));
                (ApprovalState::shorten(record), gone, submitted)
            }
            // Pruned: that it has changed is all that is known.
            None => match known.to_record(Arc::clone(&entity.id)) {
                Some(record) => (Box::new(record), true, false),
                None => return Ok(None),
            },
        };
        let settled = self.0.quiet_for.is_none();
        let told = ToldDocument { document, record, gone, submitted, settled };
        Ok(Some(self.document(told, known.revision)))
    }

    /// A document as it is told, with the digest that the log has of that.
    async fn told(&self, ctx: &Context, told: ToldDocument) -> Result<ApprovalInput> {
        let DocumentRef { connection, entity, n } = &told.document;
        let known = ctx.known(connection, entity).await?.filter(|known| known.n == *n);
        // It has changed while it was waited for: what comes with that change is waited for anew.
        let mut told = told;
        told.settled &= self.0.quiet_for.is_none() || known.is_some();
        Ok(self.document(told, known.and_then(|known| known.revision)))
    }

    fn document(&self, told: ToldDocument, revision: Option<Revision>) -> ApprovalInput {
        let ToldDocument { document, record, gone, submitted, settled } = told;
        let is_enough = record.total.is_none_or(|total| !self.0.at_least.iter().any(|least| total < *least));
        // What is not known may be anything: somebody has to look.
        let is_above_zero =
            record.total.is_none_or(|total| total.amount.is_sign_positive() && !total.amount.is_zero());
        let is_enough = is_enough && (!self.0.above_zero || is_above_zero);
        let awaiting = !gone && is_enough && self.0.awaiting.contains(&record.status);
        ApprovalInput::Document { document, record, revision, awaiting, settled, submitted }
    }

    /// Whether somebody may decide about what is shown.
    async fn check(
        &self,
        ctx: &Context,
        state: Option<&ApprovalState>,
        choice: &Choosing,
    ) -> Result<Result<(), Denied>> {
        // Nobody is looked for who comes too late.
        let is_asked = |state: &&ApprovalState| state.is_open() || choice.verdict == Verdict::Retry;
        let Some(state) = state.filter(is_asked) else { return Ok(Ok(())) };
        let mut groups = BTreeSet::new();
        let check = |groups: &BTreeSet<Arc<str>>| {
            self.0.policy.check(choice.verdict, &state.shown, &choice.actor, groups)
        };
        if check(&groups).is_ok() {
            return Ok(Ok(()));
        }
        let mut unread = false;
        for group in self.0.policy.groups() {
            let Some(directory) = &self.0.directory else { break };
            match directory.members(ctx, group).await {
                Ok(members) if members.contains(&choice.actor.id) => {
                    groups.insert(Arc::clone(group));
                }
                Ok(_) => {}
                Err(error) if error.retry() == Retry::Never => {
                    tracing::error!(%error, %group, "the members of a group that may approve cannot be read");
                    unread = true;
                }
                Err(error) => return Err(error.with_scope(Scope::Entry)),
            }
        }
        Ok(match check(&groups) {
            Err(Denied::NoApprover) if unread => Err(Denied::Unknown),
            Err(denied @ (Denied::NoAddress | Denied::NoName)) => {
                tracing::warn!(?denied, "somebody cannot approve because not enough is known of them");
                Err(denied)
            }
            checked => checked,
        })
    }

    /// When an approval is to be looked at again.
    fn later(&self, id: &Arc<str>, state: &ApprovalState) -> Vec<(Timestamp, Signal)> {
        let connection = &self.0.source.connection;
        let again = |what: String, at: Timestamp| {
            let dedupe = format!("approval/{connection}/{id}/{}/{what}", state.request());
            let mut signal = Signal::entity(entity(id));
            (signal.hint, signal.dedupe) = (Some("time".into()), Some(dedupe.into()));
            (at, signal)
        };
        let deadline = state.deadline.map(|at| again("deadline".into(), at));
        let reminder = state.remind_at.map(|at| again(format!("reminder-{}", state.reminders + 1), at));
        deadline.into_iter().chain(reminder).collect()
    }

    /// The document once more, when it has stayed as it is for as long as is waited for.
    fn once_settled(
        &self,
        id: &Arc<str>,
        told: &ToldDocument,
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Signal)>> {
        let Some(quiet_for) = self.0.quiet_for else { return Ok(None) };
        let connection = &self.0.source.connection;
        let dedupe = format!("approval/{connection}/{id}/quiet/{}", told.document.n);
        let told = ToldOfDocument::Document(Box::new(ToldDocument { settled: true, ..told.clone() }));
        let mut signal = Signal::entity(entity(id));
        (signal.hint, signal.dedupe) = (Some("document".into()), Some(dedupe.into()));
        signal.payload = Some(to_json(&told)?);
        Ok(Some((now + quiet_for, signal)))
    }

    fn input(&self, signal: &Signal, state: Option<&ApprovalState>) -> Result<Brought> {
        let unreadable = |source: serde_json::Error| {
            Error::new(ErrorKind::Unexpected, "a signal of an approval cannot be read").with_source(source)
        };
        let Some(payload) = &signal.payload else { return Ok(Brought::Input(ApprovalInput::Tick)) };
        if signal.hint.as_deref().is_some_and(|hint| hint.starts_with("delivery.")) {
            let Fate { n, sink, destination, state: ended, result, error, .. } =
                serde_json::from_slice(payload).map_err(unreadable)?;
            let documents_of = state.map(|state| &state.document.connection);
            let ours = self.0.command.as_ref().is_some_and(|command| {
                let target = command.sink.as_ref().or(documents_of);
                target == Some(&sink) && command.destination == destination
            });
            let outcome = ApprovalInput::Outcome { n, state: ended, result, error };
            return Ok(if ours { Brought::Input(outcome) } else { Brought::Nothing });
        }
        Ok(match serde_json::from_slice(payload).map_err(unreadable)? {
            ToldOfDocument::Document(told) => Brought::Document(told),
            ToldOfDocument::Choice(choice) => Brought::Choice(choice),
        })
    }
}

/// What a signal brings.
enum Brought {
    Nothing,
    Input(ApprovalInput),
    /// The log is asked what it knows of it.
    Document(Box<ToldDocument>),
    /// Whether it is allowed depends on what is shown when its turn comes.
    Choice(Choosing),
}

fn choosing(event: &Event, actor: Actor, verdict: Verdict, reason: Option<String>, seen: Seen) -> Choosing {
    // Ids of clicks are their vendor's, and may hold any text.
    let click = Revision::of(event.id().as_bytes()).to_string().into();
    Choosing { click, actor, verdict, reason, seen }
}

fn to_json(told: &ToldOfDocument) -> Result<Bytes> {
    serde_json::to_vec(told).map(Bytes::from).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a signal cannot be written as JSON").with_source(source)
    })
}

#[async_trait]
impl Source for Approvals {
    fn info(&self) -> &SourceInfo {
        &self.0.source
    }

    fn receive(&self, _: ReceiveRequest<'_>) -> Result<Intake> {
        Err(Error::new(
            ErrorKind::SignatureInvalid,
            "approvals take no webhooks: clicks come through their own source",
        ))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        // What became of an answer is heard, too: it changes nothing.
        let id = match signals.first().map(|signal| &signal.subject) {
            Some(Subject::Entity(subject)) if *subject == entity(&subject.id) => &subject.id,
            _ => return Ok(Resolution::Done { note: "nothing to decide" }),
        };
        let mut state = last.map(ApprovalState::kept).transpose()?;
        let (mut states, mut replies): (Vec<ApprovalState>, Vec<ReplyTo>) = Default::default();
        let newer = self.newer(ctx, state.as_ref()).await?;
        let now = ctx.now();
        let mut take = |state: &mut Option<ApprovalState>, input: &ApprovalInput| {
            let nonce = uuid::Uuid::new_v4().simple().to_string();
            let next = step(state.as_ref(), input, Moment { now, nonce: &nonce }, &self.0.terms);
            if let Some(last) = next.states.last() {
                *state = Some(last.clone());
            }
            states.extend(next.states);
            replies.extend(next.replies);
            next.settles
        };
        // What was shown has to be current when somebody decides.
        if let Some(newer) = &newer {
            take(&mut state, newer);
        }
        let mut later = Vec::new();
        for signal in signals {
            match self.input(signal, state.as_ref())? {
                Brought::Nothing => {}
                Brought::Input(input) => _ = take(&mut state, &input),
                Brought::Document(told) => {
                    let input = self.told(ctx, (*told).clone()).await?;
                    if take(&mut state, &input) {
                        later.extend(self.once_settled(id, &told, now)?);
                    }
                }
                Brought::Choice(choice) => {
                    let allowed = self.check(ctx, state.as_ref(), &choice).await?;
                    take(&mut state, &ApprovalInput::Choice { choice, allowed });
                }
            }
        }
        // What changed while it was being posted, and was refused because of that, is asked for anew.
        if let Some(newer) = &newer {
            take(&mut state, newer);
        }
        if let Some(state) = state.filter(|state| state.is_open() && !states.is_empty()) {
            later.extend(self.later(id, &state));
        }
        let mut seen = states.iter().map(|state| state.observation(id, now)).collect::<Result<Vec<_>>>()?;
        seen.extend(replies.iter().map(|reply| reply.observation(&*self.0.wording, now)));
        if seen.is_empty() && later.is_empty() {
            return Ok(Resolution::Done { note: "nothing to decide" });
        }
        Ok(Resolution::Scheduled { seen, later })
    }

    async fn poll(&self, _: &Context, request: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "approvals have no feeds")
            .with_context(error_context::FEED, request.feed))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(ctx.now() + super::UPKEEP))
    }
}

#[async_trait]
impl Sink for Approvals {
    fn info(&self) -> &SinkInfo {
        &self.0.sink
    }

    /// What is about one approval keeps its order.
    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        if delivery.destination != Self::inbox() {
            return Err(Error::new(ErrorKind::InvalidRequest, "expected the destination Approvals::inbox()")
                .with_context("destination", delivery.destination.as_str().escape_debug()));
        }
        let id = self.understand(&delivery.event)?.map(|(id, _)| id);
        let lane = id.map_or(LaneKey::from("other"), |id| LaneKey::new(entity(&id).to_string()));
        Ok(DeliveryPlan::new(lane))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        batch.iter().map(|delivery| self.take(delivery)).collect()
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        // Nothing is written but the receipt.
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

impl Approvals {
    /// Everything a delivery does is in its receipt, which is written in one transaction with its outcome.
    pub(super) fn take(&self, delivery: &Delivery) -> Result<Receipt> {
        let Some((id, told)) = self.understand(&delivery.event)? else {
            return Ok(Receipt::new("nothing to decide"));
        };
        let payload = to_json(&told)?;
        let hint = match told {
            ToldOfDocument::Document(_) => "document",
            ToldOfDocument::Choice(_) => "choice",
        };
        let mut receipt = Receipt::new(entity(&id).to_string());
        receipt.signals =
            vec![Signal { hint: Some(hint.into()), payload: Some(payload), ..Signal::entity(entity(&id)) }];
        Ok(receipt)
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approvals(")?;
        fmt::Display::fmt(&self.0.source.connection, f)?;
        f.write_char(')')
    }
}

/// Both halves, with the [routes](Approvals::routes) of the approvals.
impl IntoConnection for Approvals {
    fn into_connection(self) -> Result<Connection> {
        let routes = self.routes();
        Ok(Connection::new().source(self.clone()).sink(self).routes(routes))
    }
}
