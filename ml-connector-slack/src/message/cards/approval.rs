//! The card that asks for a decision, and what it says once there is one.

use ml_connector_core::{
    approval::Choice,
    model::{Approval, ApprovalStatus, Event, LiesIn, RecordKind},
};

use super::{
    Assignee, Fact, NOTE_MAX, VALUE_MAX,
    assignee::responsible,
    context,
    document::{attachments, base, party},
    fact, lines, link, named, note_of, of_books, open, person, sections, summary, told, value, within,
};
use crate::{
    blocks::{Block, Blocks, Button, ButtonStyle, Confirm, Markup, Text, TextInput},
    message::{
        Message,
        format::{date, money, noun, verb},
    },
};

/// The longest reason that is taken; the clicker sees it count down.
const REASON_MAX: usize = 500;

/// `approve` is what the button that approves says.
pub(super) fn card(event: &Event, approval: &Approval, approve: &str, assignee: &Assignee) -> Message {
    let is_open = matches!(approval.status, ApprovalStatus::Requested | ApprovalStatus::Reminded);
    let headline = headline(event, approval);
    let blocks = within(lines::has_table(&approval.shown), |room| {
        let mut blocks = mention(approval, assignee)
            .filter(|_| is_open)
            .into_iter()
            .chain(sections(&facts(approval), room.text))
            .chain(lines::table(&approval.shown, true, room.table))
            .chain(attachments(&approval.shown))
            .fold(Blocks::new().with(Block::header(&headline)), Blocks::with);
        if is_open {
            buttons(event, approval, approve).into_iter().for_each(|block| blocks.push(block));
        } else {
            let decision = decision(event, approval);
            let ways = retry(event, approval).into_iter().chain(result(approval));
            sections(&decision, room.text).chain(ways).for_each(|block| blocks.push(block));
        }
        blocks.with(context(event))
    });
    Message::new(&summary(event), blocks)
}

/// `Bill B-77 needs approval`, `Bill B-77 rejected`.
pub(super) fn headline(event: &Event, approval: &Approval) -> String {
    let kind = RecordKind::from(&*approval.document.entity.kind);
    let document = named(&noun(&kind), approval.shown.number.as_deref());
    let differs = approval.result.as_ref().is_some_and(|result| result.differs);
    let is_unknown = approval.refusal.as_ref().is_some_and(|refusal| refusal.lies_in == LiesIn::Unknown);
    let headline = match approval.status {
        ApprovalStatus::Requested => format!("{document} needs approval"),
        ApprovalStatus::Reminded => format!("Reminder: {document} needs approval"),
        ApprovalStatus::PartiallyApproved => format!("{document} approved, waits for the next approver"),
        ApprovalStatus::Posted if differs => {
            format!("{document} approved and posted, but it was edited a moment before")
        }
        ApprovalStatus::Posted => format!("{document} approved and posted"),
        ApprovalStatus::Refused if is_unknown => {
            format!("{document} was approved, and whether the books did it is not known: look there")
        }
        ApprovalStatus::Refused => format!("{document} was approved, but the books refuse it"),
        ApprovalStatus::Expired => format!("{document}: nobody decided in time"),
        ApprovalStatus::Superseded => format!("{document} changed: this request no longer counts"),
        ApprovalStatus::DoneElsewhere => format!("{document} was approved in the books"),
        _ => format!("{document} {}", verb(told(event))),
    };
    of_books(event, headline)
}

/// Whom it is up to, who is notified; or why nobody is.
fn mention(approval: &Approval, assignee: &Assignee) -> Option<Block> {
    let person = approval.shown.assignee.as_ref()?;
    match assignee {
        Assignee::User(id) => {
            let markup = Markup::new().user(id).text(", this waits for a decision.");
            Some(Block::section(Text::markup(markup)))
        }
        _ => assignee.hint(person).map(|hint| Block::context(vec![Text::plain(&hint)])),
    }
}

/// What somebody has to know to decide; later, what was decided about.
fn facts(approval: &Approval) -> Vec<Fact> {
    let shown = &approval.shown;
    let facts = [
        fact(party(shown), shown.counterparty.as_ref().and_then(|party| value(&party.name, VALUE_MAX))),
        fact("Amount", shown.total.as_ref().map(money)),
        fact("In base currency", base(shown)),
        fact("Date", shown.date.map(date)),
        fact("Due date", shown.due_date.map(date)),
        fact("Responsible", shown.assignee.as_ref().and_then(responsible)),
        fact("Submitted by", shown.submitted_by.as_ref().and_then(responsible)),
    ];
    facts.into_iter().flatten().collect()
}

/// Who decided, when, and what came of it.
fn decision(event: &Event, approval: &Approval) -> Vec<Fact> {
    let decision = approval.decision.as_ref();
    let by = decision.and_then(|decision| person(&decision.actor));
    let reason = decision.and_then(|decision| note_of(decision.reason.as_deref()?, NOTE_MAX));
    let refusal = approval.refusal.as_ref();
    let why = refusal.and_then(|refusal| note_of(refusal.sentence.as_deref()?, NOTE_MAX));
    let code = refusal.and_then(|refusal| note_of(&refusal.code, NOTE_MAX));
    let rejected = approval.status == ApprovalStatus::Rejected;
    let facts = [
        by.map(|who| (if rejected { "Rejected by" } else { "Decided by" }, who)),
        Some(("When", Text::markup(Markup::new().instant(event.at)))),
        fact("Reason", reason),
        fact("Why", why),
        fact("For whoever repairs it", code),
    ];
    facts.into_iter().flatten().collect()
}

/// The way to what the books made of it, by its number; else to the document.
fn result(approval: &Approval) -> Option<Block> {
    let result = approval.result.as_ref();
    let url = result.and_then(|result| result.url.as_deref());
    let number = result.and_then(|result| value(result.number.as_deref()?, VALUE_MAX));
    match (url, number) {
        (Some(url), Some(number)) => Text::link(url, &format!("Open {number}")).map(Block::section),
        _ => link(&approval.shown),
    }
}

/// A button where the books may do the same after somebody has repaired something.
fn retry(event: &Event, approval: &Approval) -> Option<Block> {
    let refusal = approval.refusal.as_ref().filter(|_| approval.status == ApprovalStatus::Refused)?;
    if refusal.lies_in != LiesIn::Elsewhere {
        return None;
    }
    let choice = Choice::new(&*event.entity.id, approval.request.clone()).to_value();
    let confirm = Confirm::new("Try again?", &summary(event), "Try again", "Cancel");
    let button = Button::new(Choice::RETRY, "Try again").with_value(choice).with_confirm(confirm);
    Some(Block::Actions { elements: vec![button] })
}

/// A line for a reason, and the buttons.
fn buttons(event: &Event, approval: &Approval, approve: &str) -> Vec<Block> {
    let choice = Choice::new(&*event.entity.id, approval.request.clone()).to_value();
    let reason = TextInput::new(Choice::REASON)
        .with_length(0, REASON_MAX)
        .with_placeholder("For a rejection: what is wrong?");
    let reason = match Block::input(Choice::REASON, "Reason", reason) {
        Block::Input { block_id, label, element, .. } => {
            Block::Input { block_id, label, element, optional: true }
        }
        other => other,
    };
    let about = summary(event);
    let ask = |title: &str, text: &str, yes: &str| Confirm::new(title, text, yes, "Cancel");
    let end = if approval.posts { "Posting cannot be undone." } else { "It cannot be taken back here." };
    let final_word = format!("{about}. {end}");
    let mut elements = vec![
        Button::new(Choice::APPROVE, approve)
            .with_value(choice.clone())
            .with_style(ButtonStyle::Primary)
            .with_confirm(ask(&format!("{approve}?"), &final_word, approve)),
        Button::new(Choice::REJECT, "Reject")
            .with_value(choice)
            .with_style(ButtonStyle::Danger)
            .with_confirm(ask("Reject?", &about, "Reject")),
    ];
    elements.extend(open(&approval.shown, "Open the record"));
    vec![reason, Block::Actions { elements }]
}
