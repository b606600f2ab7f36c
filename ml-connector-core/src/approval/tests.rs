//! The state machine, as tables.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Timestamp,
    model::{
        Actor, ApprovalStatus, Denied, DocumentRef, Ended, EntityRef, LiesIn, PostedDocument, Record,
        RecordKind, Reply, RequestId, Revision, Status,
    },
};

const HOUR: Duration = Duration::from_secs(3600);

/// One word of a play: what happens, as a short text.
///
/// `doc 2 pending` the document's change 2 waits for approval; `doc 2 released` it is approved in the books, and waits to be posted; `doc 3 submitted` it was submitted anew; `doc 3 paid`
/// it waits no more; `anna approves 1` by the button of request 1; `anna approves @2` by a reaction to change 2;
/// `eve approves 1` may not; `anna approves ?1` by a message that the log does not know; `anna retries 1`; `done 2`,
/// `half 2`, `edited 2`, `there 2`, `dead 2`, `down 2`, `parked 2` what became of the command that told change 2; `+30m` and `+2h`
/// time passes. The nonce of request 1 is `x1`.
fn play(script: &str) -> Vec<String> {
    play_with(script, true)
}

fn play_with(script: &str, posts: bool) -> Vec<String> {
    let terms = Terms { expire_after: Some(3 * HOUR), remind_every: Some(HOUR), posts };
    let (mut state, mut now) = (None::<ApprovalState>, Timestamp::from_secs(1_000_000));
    let mut told = Vec::new();
    for (i, line) in script.split(" | ").enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let input = match words[..] {
            [time] => {
                let (count, unit) = time[1..].split_at(time.len() - 2);
                let minutes = count.parse::<u64>().unwrap() * if unit == "h" { 60 } else { 1 };
                now = now + Duration::from_secs(60 * minutes);
                ApprovalInput::Tick
            }
            ["doc", n, status] => document(n.parse().unwrap(), status),
            [state @ ("done" | "half" | "edited" | "there" | "dead" | "down" | "doubt" | "parked"), n] => {
                outcome(state, n)
            }
            [who, does, seen] => choice(&format!("click{i}"), who, does, seen),
            _ => panic!("{line}"),
        };
        let nonce = format!("x{}", state.as_ref().map_or(0, |state| state.round) + 1);
        let Next { states, replies, settles } =
            step(state.as_ref(), &input, Moment { now, nonce: &nonce }, &terms);
        let mut line: Vec<String> = states.iter().map(word).collect();
        line.extend(replies.iter().map(said));
        line.extend(settles.then(|| "later".to_owned()));
        told.push(line.join(" + "));
        for next in states {
            assert_eq!(next.n, state.as_ref().map_or(0, |state| state.n) + 1, "each state is one change");
            let json = serde_json::to_string(&next).unwrap();
            assert_eq!(serde_json::from_str::<ApprovalState>(&json).unwrap(), next);
            state = Some(next);
        }
    }
    told
}

fn word(state: &ApprovalState) -> String {
    format!("{} {}", state.to_approval().status.change(), state.round)
}

fn said(reply: &ReplyTo) -> String {
    format!("{}: {}", reply.to.id, English.text(&reply.reply, reply.shown.as_deref()))
}

fn outcome(word: &str, n: &str) -> ApprovalInput {
    let state = match word {
        "done" | "half" | "edited" | "there" => Ended::Done,
        "dead" | "down" => Ended::Dead,
        "doubt" => Ended::Uncertain,
        _ => Ended::Parked,
    };
    let status = if word == "half" { Status::PendingApproval } else { Status::Open };
    let mut result = PostedDocument::of(&Record::new(RecordKind::Bill, "7", status));
    (result.differs, result.elsewhere) = (word == "edited", word == "there");
    let error =
        if word == "down" { "unavailable: the books are closed (code=9)" } else { "conflict: closed" };
    let result = Some(result).filter(|_| state == Ended::Done);
    ApprovalInput::Outcome { n: n.parse().unwrap(), state, result, error: Some(error.into()) }
}

fn document(n: u64, status: &str) -> ApprovalInput {
    let stands = match status {
        "paid" => Status::Paid,
        "void" => Status::Void,
        "released" | "approved" => Status::Approved,
        _ => Status::PendingApproval,
    };
    let awaiting = stands == Status::PendingApproval || status == "released";
    let mut record = Record::new(RecordKind::Bill, "7", stands);
    record.number = Some("B-7".into());
    let document = DocumentRef { connection: "books".into(), entity: EntityRef::new("bill", "7"), n };
    let revision = Some(Revision::of(if status == "renumbered" { b"other" } else { b"this" }));
    let (settled, submitted) = (status != "moving", status == "submitted");
    ApprovalInput::Document { document, record: Box::new(record), revision, awaiting, settled, submitted }
}

fn choice(click: &str, who: &str, does: &str, seen: &str) -> ApprovalInput {
    let mut actor = Actor::new("slack", who);
    actor.name = Some(who.to_uppercase());
    let request = |round: &str| RequestId::from(format!("{round}-x{round}"));
    let seen = match (seen.strip_prefix('@'), seen.strip_prefix('?'), seen.strip_prefix('!')) {
        (Some(n), ..) => Seen::Told(n.parse().unwrap()),
        (_, Some(round), _) => Seen::Unproven(request(round)),
        (.., Some(guessed)) => Seen::Request(guessed.into()),
        _ => Seen::Request(request(seen)),
    };
    let verdict = match does {
        "approves" => Verdict::Approve,
        "retries" => Verdict::Retry,
        _ => Verdict::Reject,
    };
    let choice = Choosing { click: click.into(), actor, verdict, reason: Some("why".into()), seen };
    ApprovalInput::Choice { choice, allowed: if who == "eve" { Err(Denied::NoApprover) } else { Ok(()) } }
}

#[test]
fn every_way_through_an_approval_is_told() {
    for (script, expected) in [
        (
            "doc 1 pending | anna approves 1 | done 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | posted 1",
        ),
        ("doc 1 pending | anna rejects 1", "requested 1 | rejected 1 + anna: You rejected bill B-7."),
        (
            "doc 1 pending | anna approves 1 | dead 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | refused 1 + anna: You approved bill B-7, but the books refused it: conflict: closed.",
        ),
        ("doc 1 pending | +2h | +2h", "requested 1 | reminded 1 | expired 1"),
        ("doc 1 pending | +1h | +30m | +30m", "requested 1 | reminded 1 |  | reminded 1"),
        ("doc 1 pending | doc 2 pending", "requested 1 | superseded 1 + requested 2"),
        ("doc 1 pending | doc 2 void", "requested 1 | superseded 1"),
        ("doc 1 pending | doc 2 paid", "requested 1 | done_elsewhere 1"),
        // A document that is still being edited is asked about once it stays as it is.
        ("doc 1 moving | doc 2 moving | doc 2 pending", "later | later | requested 1"),
        ("doc 1 pending | doc 2 moving | doc 2 pending", "requested 1 | superseded 1 + later | requested 2"),
        // One number with two digests: the log was restored.
        ("doc 1 pending | doc 1 pending | doc 1 renumbered", "requested 1 |  | superseded 1 + requested 2"),
        ("doc 1 paid | doc 2 pending", " | requested 1"),
        // A second approver has to approve in the books.
        (
            "doc 1 pending | anna approves 1 | half 2 | doc 2 pending | doc 3 paid",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | partially_approved 1 + anna: You approved bill B-7 in the books. It waits there for the next approver. |  | posted 1",
        ),
        (
            "doc 1 pending | anna approves 1 | half 2 | doc 2 void",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | partially_approved 1 + anna: You approved bill B-7 in the books. It waits there for the next approver. | superseded 1",
        ),
        (
            "doc 1 pending | anna approves 1 | edited 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | posted 1 + anna: You approved bill B-7, and the books posted it. But somebody edited it a moment before: it is not what you were shown. Look at it in the books.",
        ),
        // Somebody was faster in the books than what was decided here.
        (
            "doc 1 pending | anna approves 1 | there 2 | ben approves 1",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | done_elsewhere 1 + anna: Nothing was done: somebody approved bill B-7 in the books before you. | ben: Nothing was done: somebody approved bill B-7 in the books before you.",
        ),
        // The same can be tried again where the cause lies elsewhere.
        (
            "doc 1 pending | anna approves 1 | down 2 | ben retries 1 | done 4",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | refused 1 + anna: You approved bill B-7, but the books refused it: the books are closed. | approved 1 + ben: You approved bill B-7. The card shows what the books make of it. | posted 1",
        ),
        // Refused, and done after all by a replay; a second refusal is no news.
        (
            "doc 1 pending | anna approves 1 | dead 2 | dead 2 | done 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. The card shows what the books make of it. | refused 1 + anna: You approved bill B-7, but the books refused it: conflict: closed. |  | posted 1",
        ),
    ] {
        assert_eq!(play(script).join(" | "), expected, "{script}");
    }
}

#[test]
fn every_click_is_answered_and_one_wins() {
    for (script, expected) in [
        ("anna approves 1", "anna: This request is not known any more: nothing was done."),
        (
            "doc 1 pending | anna approves 1 | anna approves 1",
            "anna: You have already approved bill B-7: nothing more was done.",
        ),
        (
            "doc 1 pending | anna approves 1 | ben approves 1",
            "ben: ANNA has already approved bill B-7: nothing more was done.",
        ),
        (
            "doc 1 pending | anna approves 1 | ben rejects 1",
            "ben: ANNA has already approved bill B-7: nothing more was done.",
        ),
        (
            "doc 1 pending | anna rejects 1 | ben approves 1",
            "ben: ANNA has already rejected bill B-7: nothing more was done.",
        ),
        (
            "doc 1 pending | anna approves 1 | done 2 | anna rejects 1",
            "anna: You have already approved bill B-7: nothing more was done.",
        ),
        (
            "doc 1 pending | eve approves 1",
            "eve: Nothing was done about bill B-7: you are not one of those who may decide about it.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves 1",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves 3",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | doc 2 void | anna approves 1",
            "anna: Nothing was done: bill B-7 has changed since you were asked, and is not to be approved now.",
        ),
        (
            "doc 1 pending | +3h | anna approves 1",
            "anna: The request to approve bill B-7 has expired: nothing was done.",
        ),
        (
            "doc 1 pending | anna approves 1 | dead 2 | anna approves 1",
            "anna: You have already approved bill B-7, and the books refused it: conflict: closed.",
        ),
        (
            "doc 1 pending | anna approves 1 | parked 2",
            "anna: You approved bill B-7, but it waits until somebody repairs something: conflict: closed.",
        ),
        // What is guessed, or comes from a message that the log does not know, decides nothing.
        (
            "doc 1 pending | anna approves !1",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | anna approves !1-x2",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | anna approves ?1",
            "requested 2 + anna: Nothing was done about bill B-7: this message is not known as a request for it. Look at the new request.",
        ),
        (
            "doc 1 pending | anna approves ?1 | anna approves 1",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | doc 2 paid | anna approves 1",
            "anna: Nothing was done: somebody approved bill B-7 in the books before you.",
        ),
        (
            "doc 1 pending | anna approves 1 | dead 2 | anna retries 1",
            "anna: You have already approved bill B-7, and the books refused it: conflict: closed.",
        ),
        (
            "doc 1 pending | anna approves 1 | down 2 | eve retries 1",
            "eve: Nothing was done about bill B-7: you are not one of those who may decide about it.",
        ),
        (
            "doc 1 pending | anna approves 1 | down 2 | anna retries ?1",
            "anna: Nothing was done about bill B-7: this message is not known as a request for it.",
        ),
        // A reaction counts for what its message told.
        (
            "doc 1 pending | anna approves @1",
            "approved 1 + anna: You approved bill B-7. The card shows what the books make of it.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves @1",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves @3",
            "approved 2 + anna: You approved bill B-7. The card shows what the books make of it.",
        ),
    ] {
        assert_eq!(play(script).pop().unwrap(), expected, "{script}");
    }
}

#[test]
fn a_click_after_the_deadline_finds_the_request_expired_before_anybody_noticed() {
    let terms = Terms { expire_after: Some(HOUR), ..Terms::default() };
    let asked = Timestamp::from_secs(0);
    let at = |now| Moment { now, nonce: "x1" };
    let state = step(None, &document(1, "pending"), at(asked), &terms).states.remove(0);
    let next = step(Some(&state), &choice("c", "anna", "approves", "1"), at(asked + HOUR), &terms);
    assert_eq!(next.states.iter().map(word).collect::<Vec<_>>(), ["expired 1"]);
    assert_eq!(next.replies[0].reply, Reply::Expired);
}

#[test]
fn what_changes_while_or_after_it_is_posted_asks_again_only_when_it_was_submitted_anew() {
    for (script, last) in [
        ("doc 1 pending | anna approves 1 | doc 2 pending", ""),
        ("doc 1 pending | anna approves 1 | doc 2 submitted", ""),
        ("doc 1 pending | anna approves 1 | dead 2 | doc 2 pending", "requested 2"),
        ("doc 1 pending | anna approves 1 | done 2 | doc 2 pending", ""),
        ("doc 1 pending | anna approves 1 | done 2 | doc 3 submitted", "requested 2"),
        ("doc 1 pending | anna approves 1 | done 2 | doc 2 paid", ""),
        ("doc 1 pending | anna rejects 1 | doc 2 pending", "requested 2"),
        ("doc 1 pending | +3h | doc 2 pending", "requested 2"),
        ("doc 1 pending | doc 2 paid | doc 3 pending", "requested 2"),
        // Old news, and news of another command.
        ("doc 2 pending | doc 1 pending", ""),
        ("doc 2 pending | doc 2 paid", ""),
        ("doc 1 pending | anna approves 1 | done 1", ""),
        ("doc 1 pending | done 2", ""),
    ] {
        assert_eq!(play(script).pop().unwrap(), last, "{script}");
    }
}

/// Approved in the books is done, unless it is what a posting waits for.
#[test]
fn what_is_approved_in_the_books_and_still_waits_is_asked_anew() {
    assert_eq!(play("doc 1 pending | doc 2 approved"), ["requested 1", "done_elsewhere 1"]);
    assert_eq!(
        play("doc 1 pending | doc 2 released | anna approves 2 | done 4"),
        [
            "requested 1",
            "superseded 1 + requested 2",
            "approved 2 + anna: You approved bill B-7. The card shows what the books make of it.",
            "posted 2",
        ]
    );
}

#[test]
fn without_a_command_being_approved_is_the_end() {
    let told = play_with("doc 1 pending | anna approves 1 | doc 2 pending | doc 3 submitted", false);
    assert_eq!(told, ["requested 1", "approved 1 + anna: You approved bill B-7.", "", "requested 2"]);
}

#[test]
fn an_approval_has_what_a_card_needs() {
    let terms = Terms::default();
    let at = Moment { now: Timestamp::from_secs(5), nonce: "x1" };
    let asked = step(None, &document(4, "pending"), at, &terms).states.remove(0);
    let approval = asked.to_approval();
    assert_eq!(approval.status, ApprovalStatus::Requested);
    assert_eq!((approval.request.as_str(), approval.shown.number.as_deref()), ("1-x1", Some("B-7")));
    assert_eq!(approval.document.n, 4);
    let decided = step(Some(&asked), &choice("c", "anna", "rejects", "1"), at, &terms).states.remove(0);
    let approval = decided.to_approval();
    let decision = approval.decision.clone().unwrap();
    assert_eq!((approval.status, decision.reason.as_deref()), (ApprovalStatus::Rejected, Some("why")));
    assert_eq!(&*decision.actor.id, "anna");
    let shown = format!("{decided:?} {approval:?}");
    assert!(!shown.contains("why"), "reasons are not shown: {shown}");
}

/// A lost answer that cannot be looked up is no refusal, and what the books show later decides.
#[test]
fn what_nobody_can_tell_is_not_called_refused_and_is_settled_by_what_is_seen_later() {
    let asked = "doc 1 pending | anna approves 1";
    let told = play(&format!("{asked} | doubt 2"));
    let unknown = "Whether the books did it cannot be told: look there before anything else is done.";
    assert_eq!(told[2], format!("refused 1 + anna: You approved bill B-7. {unknown}"));
    for (script, last) in [
        ("doubt 2 | doc 3 paid", "posted 1"),
        ("dead 2 | doc 3 paid", "done_elsewhere 1"),
        ("dead 2 | doc 3 released", "requested 2"),
        ("doubt 2 | done 2", "posted 1"),
    ] {
        assert_eq!(play(&format!("{asked} | {script}")).pop().as_deref(), Some(last), "{script}");
    }
    let again = play(&format!("{asked} | doubt 2 | ben retries 1")).pop().unwrap();
    assert!(
        again.starts_with("ben: ANNA has already approved bill B-7.") && again.ends_with(unknown),
        "{again}"
    );
}

#[test]
fn a_refusal_says_in_words_what_the_books_said_and_where_the_cause_lies() {
    let asked = "doc 1 pending | anna approves 1";
    for (end, sentence, lies_in) in [
        ("dead", None, LiesIn::Document),
        ("down", Some("the books are closed"), LiesIn::Elsewhere),
        ("doubt", None, LiesIn::Unknown),
    ] {
        assert!(play(&format!("{asked} | {end} 2")).pop().unwrap().starts_with("refused 1"));
        let at = Moment { now: Timestamp::from_secs(5), nonce: "x1" };
        let terms = Terms { posts: true, ..Terms::default() };
        let mut state = step(None, &document(1, "pending"), at, &terms).states.remove(0);
        state = step(Some(&state), &choice("c", "anna", "approves", "1"), at, &terms).states.remove(0);
        state = step(Some(&state), &outcome(end, "2"), at, &terms).states.remove(0);
        let refusal = state.to_approval().refusal.unwrap();
        assert_eq!((refusal.sentence.as_deref(), refusal.lies_in), (sentence, lies_in));
    }
}

/// What a delivery to the approvals leads to: the hint of its signal, and the approval's id.
async fn taken(approvals: &Approvals, event: crate::model::Event) -> Option<(Arc<str>, Arc<str>)> {
    use crate::{
        Sink,
        model::{Delivery, DeliveryId, Seq, Subject},
    };
    let (now, event) = (event.at, Arc::new(event));
    let delivery = Delivery::new(Seq(1), DeliveryId::generate(now), Approvals::inbox(), "r", event, now);
    let signal = approvals.take(&delivery).unwrap().signals.pop()?;
    let Subject::Entity(entity) = signal.subject else { panic!() };
    let lane = approvals.plan(&delivery).unwrap().lane;
    assert_eq!(lane.as_str(), entity.to_string(), "what is about one approval keeps its order");
    Some((signal.hint.unwrap(), entity.id))
}

#[tokio::test]
async fn a_reaction_decides_only_where_it_is_asked_for_and_on_a_card() {
    use crate::model::{Change, Destination, Event, Interaction, Reaction};
    let builder = || {
        let ask = Destination::from("cards");
        let people = Policy::default().allow(Approvers::anyone());
        Approvals::builder("approvals")
            .documents("books", "bill.*")
            .ask("slack", ask.clone(), ask)
            .policy(people)
    };
    let off = builder().build().unwrap();
    let on = builder().by_reaction("white_check_mark", Verdict::Approve).build().unwrap();
    assert_eq!((off.routes().len(), on.routes().len()), (5, 5));
    assert!(!off.routes()[1].on.contains(&"reaction.created".into()));
    assert!(on.routes()[1].on.contains(&"reaction.created".into()));
    let reaction = |emoji: &str, about: &str, kind: &str, change| {
        let entity = EntityRef::new(kind, "case1");
        let about = DocumentRef { connection: about.into(), entity, n: 1 };
        let at = Timestamp::from_secs(9);
        let mut reaction = Reaction::new(emoji, Actor::new("slack", "anna"), about, at);
        reaction.added = change == Change::Created;
        let interaction = Interaction::Reaction(reaction);
        let (entity, changes) = (EntityRef::new(interaction.kind(), "r"), [change].into());
        Event::new("slack".into(), entity, 1, changes, at, Some(interaction.into()))
    };
    let decides = Some(("choice".into(), "case1".into()));
    for (approvals, emoji, about, kind, change, expected) in [
        (&on, "white_check_mark", "approvals", "approval", Change::Created, decides.clone()),
        (&on, "white_check_mark::skin-tone-3", "approvals", "approval", Change::Created, decides),
        (&on, "eyes", "approvals", "approval", Change::Created, None),
        (&on, "white_check_mark", "approvals", "approval", Change::Deleted, None),
        (&on, "white_check_mark", "books", "bill", Change::Created, None),
        (&off, "white_check_mark", "approvals", "approval", Change::Created, None),
    ] {
        assert_eq!(taken(approvals, reaction(emoji, about, kind, change)).await, expected, "{emoji} {about}");
    }
}
