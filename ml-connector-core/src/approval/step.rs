//! What an input means for an approval.

use std::sync::Arc;

use super::state::{
    Answer, ApprovalInput, ApprovalPhase, ApprovalState, Choosing, Decision, Seen, Terms, Verdict,
};
use crate::{
    Timestamp,
    model::{Actor, DocumentRef, Ended, Record, RecordKind},
};

/// What an input led to: the states that follow, each one change of the approval, and what people are told.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Next {
    /// The states, in order; empty = nothing has changed.
    pub states: Vec<ApprovalState>,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// What an input means for an approval. Pure: no I/O, no clock but `now`. One decision wins, because `state` is what
/// the one before led to; whoever comes later is told so. `None` = nothing was ever asked.
#[must_use]
pub fn step(state: Option<&ApprovalState>, input: &ApprovalInput, now: Timestamp, terms: &Terms) -> Next {
    let mut case = Case { state: state.cloned(), next: Next::default(), now, terms };
    // What comes too late is too late, whether or not anybody has noticed yet.
    if case.state.as_ref().is_some_and(|state| state.is_open() && is_past(state.deadline, now)) {
        case.go(ApprovalPhase::Expired);
    }
    match input {
        ApprovalInput::Document { document, record, awaiting, submitted } => {
            case.document(document, record, *awaiting, *submitted);
        }
        ApprovalInput::Choice { choice, allowed } => {
            let text = case.choice(choice, *allowed);
            case.answer(&choice.click, &choice.actor, text);
        }
        ApprovalInput::Outcome { n, state, reference, error } => {
            case.outcome(*n, *state, reference.as_ref(), error.as_deref());
        }
        ApprovalInput::Tick => case.remind(),
    }
    case.next
}

fn is_past(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

struct Case<'a> {
    state: Option<ApprovalState>,
    next: Next,
    now: Timestamp,
    terms: &'a Terms,
}

impl Case<'_> {
    /// The next state: the same approval in another phase.
    fn go(&mut self, phase: ApprovalPhase) {
        if let Some(state) = &self.state {
            self.enter(ApprovalState { n: state.n + 1, phase, ..state.clone() });
        }
    }

    fn enter(&mut self, state: ApprovalState) {
        self.next.states.push(state.clone());
        self.state = Some(state);
    }

    fn ask(&mut self, document: &DocumentRef, record: &Record) {
        let (n, round) = self.state.as_ref().map_or((0, 0), |state| (state.n, state.round));
        let after = |pause: Option<std::time::Duration>| pause.map(|pause| self.now + pause);
        self.enter(ApprovalState {
            n: n + 1,
            document: document.clone(),
            shown: Box::new(record.clone()),
            round: round + 1,
            asked_n: n + 1,
            asked_at: self.now,
            deadline: after(self.terms.expire_after),
            remind_at: after(self.terms.remind_every),
            reminders: 0,
            phase: ApprovalPhase::Requested,
        });
    }

    fn document(&mut self, document: &DocumentRef, record: &Record, awaiting: bool, submitted: bool) {
        match &self.state {
            Some(known) if document.n <= known.document.n => return,
            Some(ApprovalState { phase: ApprovalPhase::Requested, .. }) => self.go(ApprovalPhase::Superseded),
            // Its outcome decides; a document that changed meanwhile is refused by the books, and asked for then.
            Some(ApprovalState { phase: ApprovalPhase::Approved { .. }, .. }) if self.terms.posts => return,
            // The books may be heard of what they did after they were heard of what was before.
            Some(ApprovalState {
                phase: ApprovalPhase::Approved { .. } | ApprovalPhase::Posted { .. },
                ..
            }) if !submitted => return,
            _ => {}
        }
        if awaiting {
            self.ask(document, record);
        }
    }

    /// Decides about a choice. Returns what whoever made it is told.
    fn choice(&mut self, choice: &Choosing, allowed: Result<(), super::Denied>) -> String {
        let Some(state) = &self.state else {
            return "This request is not known any more: nothing was done.".into();
        };
        let what = name(&state.document, &state.shown);
        if let Some(over) = over(state, choice, &what) {
            return over;
        }
        let current = match &choice.seen {
            Seen::Request(request) => *request == state.request(),
            Seen::Told(n) => *n >= state.asked_n,
        };
        if !current {
            return format!(
                "Nothing was done: {what} has changed since you were asked. Look at the new request."
            );
        }
        if let Err(denied) = allowed {
            return format!("Nothing was done about {what}: {denied}.");
        }
        let by = Decision {
            actor: choice.actor.clone(),
            at: self.now,
            reason: choice.reason.clone(),
            click: Arc::clone(&choice.click),
            n: state.n + 1,
        };
        match choice.verdict {
            Verdict::Approve => {
                self.go(ApprovalPhase::Approved { by });
                let posting = if self.terms.posts { " It is being posted in the books." } else { "" };
                format!("You approved {what}.{posting}")
            }
            Verdict::Reject => {
                self.go(ApprovalPhase::Rejected { by });
                format!("You rejected {what}.")
            }
        }
    }

    fn outcome(&mut self, n: u64, ended: Ended, reference: Option<&Arc<str>>, error: Option<&str>) {
        let Some(state) = &self.state else { return };
        // A refused command can be replayed: then it may be done after all.
        let (ApprovalPhase::Approved { by } | ApprovalPhase::Refused { by, .. }) = &state.phase else {
            return;
        };
        if by.n != n {
            return;
        }
        let (by, what) = (by.clone(), name(&state.document, &state.shown));
        let again = matches!(state.phase, ApprovalPhase::Refused { .. });
        let why = error.unwrap_or("no reason is known");
        let id: Arc<str> = format!("{}-{}", by.click, state.n + 1).into();
        match ended {
            Ended::Done => self.go(ApprovalPhase::Posted { by, reference: reference.cloned() }),
            Ended::Dead if again => {}
            Ended::Dead => {
                let text = format!("You approved {what}, but the books refused it: {why}.");
                self.answer(&id, &by.actor, text);
                self.go(ApprovalPhase::Refused { by, why: why.into() });
            }
            Ended::Parked => {
                let text =
                    format!("You approved {what}, but it waits until somebody repairs something: {why}.");
                self.answer(&format!("{id}-parked").into(), &by.actor, text);
            }
        }
    }

    fn remind(&mut self) {
        let Some(state) = self.state.as_ref().filter(|state| state.is_open()) else { return };
        if is_past(state.remind_at, self.now) {
            let remind_at = self.terms.remind_every.map(|pause| self.now + pause);
            let reminders = state.reminders + 1;
            self.enter(ApprovalState { n: state.n + 1, remind_at, reminders, ..state.clone() });
        }
    }

    fn answer(&mut self, id: &Arc<str>, to: &Actor, text: String) {
        let about = self.state.as_ref().map(|state| state.document.clone());
        self.next.answers.push(Answer { id: Arc::clone(id), to: to.clone(), about, text });
    }
}

/// What somebody is told who chooses when nothing is asked any more.
fn over(state: &ApprovalState, choice: &Choosing, what: &str) -> Option<String> {
    let own =
        |by: &Decision| by.actor.connection == choice.actor.connection && by.actor.id == choice.actor.id;
    let who = |by: &Decision| match (own(by), &by.actor.name) {
        (true, _) => "You have".to_owned(),
        (false, Some(name)) => format!("{name} has"),
        (false, None) => "Somebody else has".to_owned(),
    };
    Some(match &state.phase {
        ApprovalPhase::Requested => return None,
        ApprovalPhase::Approved { by } | ApprovalPhase::Posted { by, .. } => {
            format!("{} already approved {what}: nothing more was done.", who(by))
        }
        ApprovalPhase::Refused { by, why } => {
            format!("{} already approved {what}, and the books refused it: {why}.", who(by))
        }
        ApprovalPhase::Rejected { by } => {
            format!("{} already rejected {what}: nothing more was done.", who(by))
        }
        ApprovalPhase::Expired => format!("The request to approve {what} has expired: nothing was done."),
        ApprovalPhase::Superseded => {
            format!(
                "Nothing was done: {what} has changed since you were asked, and is not to be approved now."
            )
        }
    })
}

/// What people call the document.
fn name(document: &DocumentRef, record: &Record) -> String {
    let kind = match RecordKind::from(&*document.entity.kind) {
        RecordKind::Invoice => "invoice",
        RecordKind::Bill => "bill",
        RecordKind::PurchaseOrder => "purchase order",
        RecordKind::Expense => "expense",
        RecordKind::JournalEntry => "journal entry",
        RecordKind::VendorPayment => "payment",
        _ => "document",
    };
    format!("{kind} {}", record.number.as_deref().unwrap_or(&document.entity.id))
}
