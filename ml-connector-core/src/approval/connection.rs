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
    state::{Answer, ApprovalInput, ApprovalState, Choosing, Denied, Seen, Verdict},
    step::step,
};
use crate::{
    AttemptNotes, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Retry, Scope, Sink, SinkInfo, Source, SourceInfo, Timestamp, UpkeepRequest, error_context,
    model::{
        Actor, Change, ConnectionId, Delivery, DeliveryPlan, DocumentRef, EntityRef, Event, Fate, Intake,
        LaneKey, Lookup, Page, Prompt, Receipt, Record, RecordKind, Resolution, Revision, Signal, Subject,
        Upkeep,
    },
    snapshot::Snapshot,
};

/// What a delivery means for an approval: the payload of a signal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Document { document: DocumentRef, record: Box<Record>, gone: bool, submitted: bool },
    Choice(Choosing),
}

/// The approval of a document has an id of its own, the same for ever.
pub(super) fn approval_of(connection: &ConnectionId, document: &EntityRef) -> Arc<str> {
    Revision::of(format!("{connection}\n{document}").as_bytes()).to_string().into()
}

impl Approvals {
    /// What an event means, and for which approval; `None` = nothing.
    fn understand(&self, event: &Event) -> Result<Option<(Arc<str>, Told)>> {
        let record = event.record.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "expected an event with its record")
                .with_context("event", event.id())
        })?;
        Ok(match RecordKind::from(&*event.entity.kind) {
            RecordKind::Action => self.click(event, record),
            RecordKind::Reaction => self.reaction(event, record),
            RecordKind::Approval | RecordKind::Answer => None,
            _ => {
                let (connection, entity) = (event.connection.clone(), event.entity.clone());
                let id = approval_of(&connection, &entity);
                let submitted = event.changes.contains(&Change::Submitted);
                let gone = event.changes.contains(&Change::Deleted);
                let document = DocumentRef { connection, entity, n: event.n };
                Some((
                    id,
                    Told::Document { document, record: ApprovalState::shorten(record), gone, submitted },
                ))
            }
        })
    }

    /// A button, or a dialog that a button opened. Approvals that share the people see each other's: only the one that
    /// asked answers. Where nobody knows which that is, an answer too many is better than none.
    fn click(&self, event: &Event, record: &Record) -> Option<(Arc<str>, Told)> {
        if record.about.as_ref().is_some_and(|about| about.connection != self.0.source.connection) {
            return None;
        }
        let Choice { approval, request } = Choice::parse(record.reference.as_deref()?)?;
        let verdict = match record.tags.first().map(String::as_str) {
            Some(Choice::APPROVE) => Verdict::Approve,
            Some(Choice::REJECT) => Verdict::Reject,
            _ => return None,
        };
        Some((approval, Told::Choice(choosing(event, record, verdict, Seen::Request(request))?)))
    }

    /// An emoji on a message that told about an approval.
    fn reaction(&self, event: &Event, record: &Record) -> Option<(Arc<str>, Told)> {
        let about = record.about.as_ref()?;
        let emoji = record.tags.first()?;
        let emoji = emoji.split("::").next().unwrap_or(emoji);
        let verdict =
            self.0.reactions.iter().find(|(known, _)| ***known == *emoji).map(|(_, verdict)| *verdict)?;
        let ours = about.connection == self.0.source.connection
            && *about.entity.kind == *RecordKind::Approval.as_str();
        if !ours || event.changes.contains(&Change::Deleted) {
            return None;
        }
        let choosing = choosing(event, record, verdict, Seen::Told(about.n))?;
        Some((Arc::clone(&about.entity.id), Told::Choice(choosing)))
    }

    /// The newest state of the document, if it is not the one that was shown.
    async fn newer(&self, ctx: &Context, state: Option<&ApprovalState>) -> Result<Option<ApprovalInput>> {
        let Some(DocumentRef { connection, entity, n }) = state.map(|state| &state.document) else {
            return Ok(None);
        };
        let known = ctx.known(connection, entity).await?;
        let Some(known) = known.filter(|known| known.n > *n) else { return Ok(None) };
        let document = DocumentRef { connection: connection.clone(), entity: entity.clone(), n: known.n };
        let told = ctx.last_told(connection, entity).await?.filter(|event| event.n == known.n);
        Ok(Some(match told {
            Some(Event { record: Some(record), changes, .. }) => self.document(
                document,
                &record,
                changes.contains(&Change::Deleted),
                changes.contains(&Change::Submitted),
            ),
            // Pruned: that it has changed is all that is known.
            _ => self.document(document, &known.facts.to_record(Arc::clone(&entity.id)), true, false),
        }))
    }

    fn document(&self, document: DocumentRef, record: &Record, gone: bool, submitted: bool) -> ApprovalInput {
        let awaiting = !gone && self.0.awaiting.contains(&record.status);
        ApprovalInput::Document { document, record: ApprovalState::shorten(record), awaiting, submitted }
    }

    /// Whether somebody may decide about what is shown.
    async fn judge(
        &self,
        ctx: &Context,
        state: Option<&ApprovalState>,
        choice: &Choosing,
    ) -> Result<Result<(), Denied>> {
        // Nobody is looked for who comes too late.
        let Some(state) = state.filter(|state| state.is_open()) else { return Ok(Ok(())) };
        let mut groups = BTreeSet::new();
        let judge = |groups: &BTreeSet<Arc<str>>| {
            self.0.policy.judge(choice.verdict, &state.shown, &choice.actor, groups)
        };
        if judge(&groups).is_ok() {
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
        Ok(match judge(&groups) {
            Err(Denied::NoApprover) if unread => Err(Denied::Unknown),
            Err(denied @ (Denied::NoAddress | Denied::NoName)) => {
                tracing::warn!(%denied, "somebody cannot approve because not enough is known of them");
                Err(denied)
            }
            judged => judged,
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

    fn input(&self, signal: &Signal) -> Result<Wanted> {
        let unreadable = |source: serde_json::Error| {
            Error::new(ErrorKind::Unexpected, "a signal of an approval cannot be read").with_source(source)
        };
        let Some(payload) = &signal.payload else { return Ok(Wanted::ApprovalInput(ApprovalInput::Tick)) };
        if signal.hint.as_deref().is_some_and(|hint| hint.starts_with("delivery.")) {
            let Fate { n, sink, destination, state, reference, error, .. } =
                serde_json::from_slice(payload).map_err(unreadable)?;
            let ours =
                self.0.command.as_ref().is_some_and(|to| to.sink == sink && to.destination == destination);
            let outcome = ApprovalInput::Outcome { n, state, reference, error };
            return Ok(if ours { Wanted::ApprovalInput(outcome) } else { Wanted::Nothing });
        }
        Ok(match serde_json::from_slice(payload).map_err(unreadable)? {
            Told::Document { document, record, gone, submitted } => {
                Wanted::ApprovalInput(self.document(document, &record, gone, submitted))
            }
            Told::Choice(choice) => Wanted::Choice(choice),
        })
    }
}

/// What a signal brings.
enum Wanted {
    Nothing,
    ApprovalInput(ApprovalInput),
    /// Whether it is allowed depends on what is shown when its turn comes.
    Choice(Choosing),
}

fn choosing(event: &Event, record: &Record, verdict: Verdict, seen: Seen) -> Option<Choosing> {
    let actor: Actor = record.actor.clone()?;
    // Ids of clicks are their vendor's, and may hold any text.
    let click = Revision::of(event.id().as_bytes()).to_string().into();
    Some(Choosing { click, actor, verdict, reason: record.note.clone(), seen })
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
        let (mut states, mut answers): (Vec<ApprovalState>, Vec<Answer>) = Default::default();
        let newer = self.newer(ctx, state.as_ref()).await?;
        let now = ctx.now();
        let mut take = |state: &mut Option<ApprovalState>, input: &ApprovalInput| {
            let next = step(state.as_ref(), input, now, &self.0.terms);
            if let Some(last) = next.states.last() {
                *state = Some(last.clone());
            }
            states.extend(next.states);
            answers.extend(next.answers);
        };
        // What was shown has to be current when somebody decides.
        if let Some(newer) = &newer {
            take(&mut state, newer);
        }
        for signal in signals {
            match self.input(signal)? {
                Wanted::Nothing => {}
                Wanted::ApprovalInput(input) => take(&mut state, &input),
                Wanted::Choice(choice) => {
                    let allowed = self.judge(ctx, state.as_ref(), &choice).await?;
                    take(&mut state, &ApprovalInput::Choice { choice, allowed });
                }
            }
        }
        // What changed while it was being posted, and was refused because of that, is asked for anew.
        if let Some(newer) = &newer {
            take(&mut state, newer);
        }
        let later = match &state {
            Some(state) if state.is_open() && !states.is_empty() => self.later(id, state),
            _ => Vec::new(),
        };
        let mut seen = states.iter().map(|state| state.observation(id, now)).collect::<Result<Vec<_>>>()?;
        seen.extend(answers.iter().map(|answer| answer.observation(now)));
        if seen.is_empty() {
            return Ok(Resolution::Done { note: "nothing to decide" });
        }
        Ok(Resolution::Scheduled { seen, later })
    }

    async fn poll(&self, _: &Context, request: PollRequest<'_>) -> Result<Page> {
        Err(Error::new(ErrorKind::Unsupported, "approvals have no feeds")
            .with_context(error_context::FEED, request.feed))
    }

    async fn upkeep(&self, ctx: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep {
            state: Bytes::new(),
            signals: Vec::new(),
            problem: None,
            next: ctx.now() + super::UPKEEP,
        })
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
}

impl Approvals {
    /// Everything a delivery does is in its receipt, which is written in one transaction with its outcome.
    pub(super) fn take(&self, delivery: &Delivery) -> Result<Receipt> {
        let Some((id, told)) = self.understand(&delivery.event)? else {
            return Ok(Receipt::new("nothing to decide"));
        };
        let payload = serde_json::to_vec(&told).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a signal cannot be written as JSON").with_source(source)
        })?;
        let hint = match told {
            Told::Document { .. } => "document",
            Told::Choice(_) => "choice",
        };
        let mut receipt = Receipt::new(entity(&id).to_string());
        receipt.signals = vec![Signal {
            hint: Some(hint.into()),
            payload: Some(payload.into()),
            ..Signal::entity(entity(&id))
        }];
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
