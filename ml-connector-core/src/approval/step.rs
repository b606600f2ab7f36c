//! What an input means for an approval.

use std::sync::Arc;

use super::state::{
    ApprovalInput, ApprovalPhase, ApprovalState, Choosing, Decided, ReplyTo, Seen, Terms, Verdict,
};
use crate::{
    Timestamp,
    model::{
        Actor, Decider, Decision, Denied, DocumentRef, Ended, LiesIn, PostedDocument, Record, Refusal, Reply,
        Revision, Status,
    },
};

/// What an input led to: the states that follow, each one change of the approval, and what people are told.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Next {
    /// The states, in order; empty = nothing has changed.
    pub states: Vec<ApprovalState>,
    /// The replies.
    pub replies: Vec<ReplyTo>,
    /// Whether the document is to be looked at again once it has stayed as it is for a while.
    pub settles: bool,
}

/// When a step is made, and what makes a request of it one that cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment<'a> {
    /// Now.
    pub now: Timestamp,
    /// At least 120 random bits as letters and digits, new for every step.
    pub nonce: &'a str,
}

/// What an input means for an approval. Pure: no I/O, no clock and no chance but those of the moment. One decision wins,
/// because `state` is what the one before led to; whoever comes later is told so. `None` = nothing was ever asked.
#[must_use]
pub fn step(state: Option<&ApprovalState>, input: &ApprovalInput, moment: Moment<'_>, terms: &Terms) -> Next {
    let mut case = Case { state: state.cloned(), next: Next::default(), moment, terms };
    // What comes too late is too late, whether or not anybody has noticed yet.
    if case.state.as_ref().is_some_and(|state| state.is_open() && is_past(state.deadline, moment.now)) {
        case.go(ApprovalPhase::Expired);
    }
    match input {
        ApprovalInput::Document { .. } => case.document(input),
        ApprovalInput::Choice { choice, allowed } => {
            let reply = case.choice(choice, *allowed);
            case.reply(&choice.click, &choice.actor, reply);
        }
        ApprovalInput::Outcome { n, state, result, error } => {
            case.outcome(*n, *state, result.as_ref(), error.as_ref());
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
    moment: Moment<'a>,
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

    fn ask(&mut self, document: &DocumentRef, record: &Record, revision: Option<Revision>) {
        let (n, round) = self.state.as_ref().map_or((0, 0), |state| (state.n, state.round));
        let now = self.moment.now;
        let after = |pause: Option<std::time::Duration>| pause.map(|pause| now + pause);
        self.enter(ApprovalState {
            n: n + 1,
            document: document.clone(),
            shown: Box::new(record.clone()),
            revision,
            round: round + 1,
            nonce: self.moment.nonce.into(),
            asked_n: n + 1,
            asked_at: now,
            deadline: after(self.terms.expire_after),
            posts: self.terms.posts,
            remind_at: after(self.terms.remind_every),
            reminders: 0,
            phase: ApprovalPhase::Requested,
        });
    }

    fn document(&mut self, input: &ApprovalInput) {
        let ApprovalInput::Document { document, record, revision, awaiting, settled, submitted } = input
        else {
            return;
        };
        if let Some(known) = &self.state {
            let same_n = document.n == known.document.n;
            // One number with two digests: the log was restored, and the number given anew.
            let renumbered = revision.is_some() && known.revision.is_some() && *revision != known.revision;
            if document.n < known.document.n || same_n && !renumbered {
                return;
            }
            match &known.phase {
                // What still waits is not done, whatever the books call it: approved, but not posted.
                ApprovalPhase::Requested if is_approved(record) && !awaiting => {
                    self.go(ApprovalPhase::DoneElsewhere { result: Some(PostedDocument::of(record)) });
                }
                ApprovalPhase::Requested => self.go(ApprovalPhase::Superseded),
                // Its outcome decides; a document that changed meanwhile is refused by the books, and asked for then.
                ApprovalPhase::Approved { .. } if self.terms.posts => return,
                // The next approver has decided in the books.
                ApprovalPhase::PartiallyApproved { by } if is_approved(record) => {
                    let (by, result) = (by.clone(), Some(PostedDocument::of(record)));
                    return self.go(ApprovalPhase::Posted { by, result });
                }
                ApprovalPhase::PartiallyApproved { .. } if !awaiting => {
                    return self.go(ApprovalPhase::Superseded);
                }
                // What nobody could tell is seen; what the books refused, somebody has done there by hand.
                ApprovalPhase::Refused { by, refusal } if is_approved(record) && !awaiting => {
                    let (by, result) = (by.clone(), Some(PostedDocument::of(record)));
                    return self.go(match refusal.lies_in {
                        LiesIn::Unknown => ApprovalPhase::Posted { by, result },
                        LiesIn::Document | LiesIn::Elsewhere => ApprovalPhase::DoneElsewhere { result },
                    });
                }
                // The books may be heard of what they did after they were heard of what was before.
                ApprovalPhase::Approved { .. }
                | ApprovalPhase::PartiallyApproved { .. }
                | ApprovalPhase::Posted { .. }
                    if !submitted =>
                {
                    return;
                }
                _ => {}
            }
        }
        match (awaiting, settled) {
            (true, true) => self.ask(document, record, *revision),
            (true, false) => self.next.settles = true,
            (false, _) => {}
        }
    }

    /// Decides about a choice. Returns what whoever made it is told.
    fn choice(&mut self, choice: &Choosing, allowed: Result<(), Denied>) -> Reply {
        let Some(state) = &self.state else { return Reply::Unknown };
        let (document, shown, revision) = (state.document.clone(), state.shown.clone(), state.revision);
        let again = choice.verdict == Verdict::Retry && can_retry(&state.phase);
        if let Some(over) = over(state, choice).filter(|_| !again) {
            return over;
        }
        let current = match &choice.seen {
            Seen::Request(request) => *request == state.request(),
            Seen::Told(n) => *n >= state.asked_n,
            Seen::Unproven(_) => {
                // Whoever was shown the card for certain may decide by it.
                if !again {
                    self.ask(&document, &shown, revision);
                }
                return Reply::NotShown { asked_again: !again };
            }
        };
        if !current {
            return Reply::Changed { asked_again: true };
        }
        if let Err(denied) = allowed {
            return Reply::NotAllowed(denied);
        }
        let mut decision = Decision::new(choice.actor.clone(), self.moment.now);
        decision.reason.clone_from(&choice.reason);
        let by = Decided { decision, click: Arc::clone(&choice.click), n: state.n + 1 };
        match choice.verdict {
            Verdict::Retry if !again => Reply::Unknown,
            Verdict::Approve | Verdict::Retry => {
                self.go(ApprovalPhase::Approved { by });
                Reply::Approved { posts: self.terms.posts }
            }
            Verdict::Reject => {
                self.go(ApprovalPhase::Rejected { by });
                Reply::Rejected
            }
        }
    }

    fn outcome(&mut self, n: u64, ended: Ended, result: Option<&PostedDocument>, error: Option<&Arc<str>>) {
        let Some(state) = &self.state else { return };
        // A refused command can be replayed: then it may be done after all.
        let (ApprovalPhase::Approved { by } | ApprovalPhase::Refused { by, .. }) = &state.phase else {
            return;
        };
        if by.n != n {
            return;
        }
        let (by, to) = (by.clone(), by.decision.actor.clone());
        let again = matches!(state.phase, ApprovalPhase::Refused { .. });
        let id: Arc<str> = format!("{}-{}", by.click, state.n + 1).into();
        let refusal = || refusal(error.map_or("no reason is known", |error| error));
        match ended {
            Ended::Done if result.is_some_and(|result| result.status == Status::PendingApproval) => {
                self.reply(&id, &to, Reply::PartiallyApproved);
                self.go(ApprovalPhase::PartiallyApproved { by });
            }
            Ended::Done if result.is_some_and(|result| result.elsewhere) => {
                self.reply(&id, &to, Reply::DoneElsewhere);
                self.go(ApprovalPhase::DoneElsewhere { result: result.cloned() });
            }
            Ended::Done => {
                if result.is_some_and(|result| result.differs) {
                    self.reply(&id, &to, Reply::Edited);
                }
                self.go(ApprovalPhase::Posted { by, result: result.cloned() });
            }
            Ended::Dead | Ended::Uncertain if again => {}
            Ended::Dead => {
                self.reply(&id, &to, Reply::Refused(refusal()));
                self.go(ApprovalPhase::Refused { by, refusal: refusal() });
            }
            Ended::Uncertain => {
                let unknown = Refusal { sentence: None, lies_in: LiesIn::Unknown, ..refusal() };
                self.reply(&id, &to, Reply::Refused(unknown.clone()));
                self.go(ApprovalPhase::Refused { by, refusal: unknown });
            }
            Ended::Parked => {
                self.reply(&format!("{id}-parked").into(), &to, Reply::Waiting(refusal()));
            }
        }
    }

    fn remind(&mut self) {
        let Some(state) = self.state.as_ref().filter(|state| state.is_open()) else { return };
        if is_past(state.remind_at, self.moment.now) {
            let remind_at = self.terms.remind_every.map(|pause| self.moment.now + pause);
            let reminders = state.reminders + 1;
            self.enter(ApprovalState { n: state.n + 1, remind_at, reminders, ..state.clone() });
        }
    }

    fn reply(&mut self, id: &Arc<str>, to: &Actor, reply: Reply) {
        let about = self.state.as_ref().map(|state| state.document.clone());
        let shown = self.state.as_ref().map(|state| state.shown.clone());
        self.next.replies.push(ReplyTo { id: Arc::clone(id), to: to.clone(), about, shown, reply });
    }
}

/// Whether the books hold the document for approved.
fn is_approved(record: &Record) -> bool {
    matches!(record.status, Status::Approved | Status::Open | Status::PartiallyPaid | Status::Paid)
}

fn can_retry(phase: &ApprovalPhase) -> bool {
    matches!(phase, ApprovalPhase::Refused { refusal, .. } if refusal.lies_in == LiesIn::Elsewhere)
}

/// What somebody is told who chooses when nothing is asked any more.
fn over(state: &ApprovalState, choice: &Choosing) -> Option<Reply> {
    let already = |by: &Decided, approved, refusal| {
        let actor = &by.decision.actor;
        let own = actor.connection == choice.actor.connection && actor.id == choice.actor.id;
        let by = match (own, &actor.name) {
            (true, _) => Decider::You,
            (false, Some(name)) => Decider::Named(name.clone()),
            (false, None) => Decider::Somebody,
        };
        Reply::AlreadyDecided { by, approved, refusal }
    };
    Some(match &state.phase {
        ApprovalPhase::Requested => return None,
        ApprovalPhase::Approved { by }
        | ApprovalPhase::PartiallyApproved { by }
        | ApprovalPhase::Posted { by, .. } => already(by, true, None),
        ApprovalPhase::Refused { by, refusal } => already(by, true, Some(refusal.clone())),
        ApprovalPhase::Rejected { by } => already(by, false, None),
        ApprovalPhase::Expired => Reply::Expired,
        ApprovalPhase::Superseded => Reply::Changed { asked_again: false },
        ApprovalPhase::DoneElsewhere { .. } => Reply::DoneElsewhere,
    })
}

/// What an error of the books says: its operation where there is one, its kind, its sentence, and codes and ids in
/// brackets.
fn refusal(error: &str) -> Refusal {
    let mut refusal = Refusal::new(error);
    let is_operation = |text: &str| text.contains('.') && !text.contains(' ');
    let said = match error.split_once(": ") {
        Some((operation, said)) if is_operation(operation) => said,
        _ => error,
    };
    if let Some((kind, rest)) = said.split_once(": ") {
        let sentence = rest.split(" (").next().unwrap_or(rest).trim();
        refusal.sentence = Some(sentence.to_owned()).filter(|sentence| sentence.contains(' '));
        // The document is in the way of itself; everything else may be repaired without it.
        if !matches!(kind, "conflict" | "not_found") {
            refusal.lies_in = LiesIn::Elsewhere;
        }
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_with_and_without_its_operation() {
        for (error, sentence, lies_in) in [
            ("conflict: the document is void", Some("the document is void"), LiesIn::Document),
            (
                "zoho_books.approve: conflict: the document is void (code=9)",
                Some("the document is void"),
                LiesIn::Document,
            ),
            (
                "zoho_books.approve: permission_denied: the books refuse (code=57)",
                Some("the books refuse"),
                LiesIn::Elsewhere,
            ),
            ("conflict: closed", None, LiesIn::Document),
            ("no reason is known", None, LiesIn::Document),
        ] {
            let refusal = refusal(error);
            assert_eq!((refusal.sentence.as_deref(), refusal.lies_in), (sentence, lies_in), "{error}");
            assert_eq!(&*refusal.code, error);
        }
    }
}
