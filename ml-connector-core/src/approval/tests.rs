//! The state machine, as tables.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Timestamp,
    model::{Actor, DocumentRef, Ended, EntityRef, Record, RecordKind, Status},
};

const HOUR: Duration = Duration::from_secs(3600);

/// One word of a play: what happens, as a short text.
///
/// `doc 2 pending` the document's change 2 waits for approval; `doc 3 submitted` it was submitted anew; `doc 3 paid`
/// it waits no more; `anna approves 1` by the button of request 1; `anna approves @2` by a reaction to change 2;
/// `eve approves 1` may not; `done 2`, `dead 2`, `parked 2` what became of the command that told change 2; `+30m`
/// and `+2h` time passes.
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
            [state @ ("done" | "dead" | "parked"), n] => ApprovalInput::Outcome {
                n: n.parse().unwrap(),
                state: match state {
                    "done" => Ended::Done,
                    "dead" => Ended::Dead,
                    _ => Ended::Parked,
                },
                reference: Some("bill/1".into()),
                error: Some("conflict: closed".into()),
            },
            [who, does, seen] => choice(&format!("click{i}"), who, does, seen),
            _ => panic!("{line}"),
        };
        let Next { states, answers } = step(state.as_ref(), &input, now, &terms);
        let mut line: Vec<String> = states.iter().map(word).collect();
        line.extend(answers.iter().map(|answer| format!("{}: {}", answer.to.id, answer.text)));
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
    format!("{} {}", state.to_record(&"a".into()).vendor_status, state.round)
}

fn document(n: u64, status: &str) -> ApprovalInput {
    let mut record = Record::new(RecordKind::Bill, "7", Status::PendingApproval);
    record.number = Some("B-7".into());
    let document = DocumentRef { connection: "books".into(), entity: EntityRef::new("bill", "7"), n };
    let awaiting = status != "paid";
    ApprovalInput::Document { document, record: Box::new(record), awaiting, submitted: status == "submitted" }
}

fn choice(click: &str, who: &str, does: &str, seen: &str) -> ApprovalInput {
    let mut actor = Actor::new("slack", who);
    actor.name = Some(who.to_uppercase());
    let seen = match seen.strip_prefix('@') {
        Some(n) => Seen::Told(n.parse().unwrap()),
        None => Seen::Request(seen.into()),
    };
    let verdict = if does == "approves" { Verdict::Approve } else { Verdict::Reject };
    let choice = Choosing { click: click.into(), actor, verdict, reason: Some("why".into()), seen };
    ApprovalInput::Choice { choice, allowed: if who == "eve" { Err(Denied::NoApprover) } else { Ok(()) } }
}

#[test]
fn every_way_through_an_approval_is_told() {
    for (script, expected) in [
        (
            "doc 1 pending | anna approves 1 | done 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. It is being posted in the books. | posted 1",
        ),
        ("doc 1 pending | anna rejects 1", "requested 1 | rejected 1 + anna: You rejected bill B-7."),
        (
            "doc 1 pending | anna approves 1 | dead 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. It is being posted in the books. | refused 1 + anna: You approved bill B-7, but the books refused it: conflict: closed.",
        ),
        ("doc 1 pending | +2h | +2h", "requested 1 | reminded 1 | expired 1"),
        ("doc 1 pending | +1h | +30m | +30m", "requested 1 | reminded 1 |  | reminded 1"),
        ("doc 1 pending | doc 2 pending", "requested 1 | superseded 1 + requested 2"),
        ("doc 1 pending | doc 2 paid", "requested 1 | superseded 1"),
        ("doc 1 paid | doc 2 pending", " | requested 1"),
        // Refused, and done after all by a replay; a second refusal is no news.
        (
            "doc 1 pending | anna approves 1 | dead 2 | dead 2 | done 2",
            "requested 1 | approved 1 + anna: You approved bill B-7. It is being posted in the books. | refused 1 + anna: You approved bill B-7, but the books refused it: conflict: closed. |  | posted 1",
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
            "doc 1 pending | doc 2 paid | anna approves 1",
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
        // A reaction counts for what its message told.
        (
            "doc 1 pending | anna approves @1",
            "approved 1 + anna: You approved bill B-7. It is being posted in the books.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves @1",
            "anna: Nothing was done: bill B-7 has changed since you were asked. Look at the new request.",
        ),
        (
            "doc 1 pending | doc 2 pending | anna approves @3",
            "approved 2 + anna: You approved bill B-7. It is being posted in the books.",
        ),
    ] {
        assert_eq!(play(script).pop().unwrap(), expected, "{script}");
    }
}

#[test]
fn a_click_after_the_deadline_finds_the_request_expired_before_anybody_noticed() {
    let terms = Terms { expire_after: Some(HOUR), ..Terms::default() };
    let asked = Timestamp::from_secs(0);
    let state = step(None, &document(1, "pending"), asked, &terms).states.remove(0);
    let next = step(Some(&state), &choice("c", "anna", "approves", "1"), asked + HOUR, &terms);
    assert_eq!(next.states.iter().map(word).collect::<Vec<_>>(), ["expired 1"]);
    assert!(next.answers[0].text.contains("has expired"), "{}", next.answers[0].text);
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

#[test]
fn without_a_command_being_approved_is_the_end() {
    let told = play_with("doc 1 pending | anna approves 1 | doc 2 pending | doc 3 submitted", false);
    assert_eq!(told, ["requested 1", "approved 1 + anna: You approved bill B-7.", "", "requested 2"]);
}

#[test]
fn a_record_of_an_approval_has_what_a_card_needs_and_no_button_outlives_its_decision() {
    let terms = Terms::default();
    let now = Timestamp::from_secs(5);
    let asked = step(None, &document(4, "pending"), now, &terms).states.remove(0);
    let id: Arc<str> = "id".into();
    let record = asked.to_record(&id);
    assert_eq!((&record.kind, &record.status), (&RecordKind::Approval, &Status::PendingApproval));
    assert_eq!((record.reference.as_deref(), record.number.as_deref()), (Some("1"), Some("B-7")));
    assert_eq!(record.about.unwrap().n, 4);
    let decided = step(Some(&asked), &choice("c", "anna", "rejects", "1"), now, &terms).states.remove(0);
    let record = decided.to_record(&id);
    assert_eq!((record.status, record.note.as_deref()), (Status::Rejected, Some("why")));
    assert_eq!(&*record.actor.unwrap().id, "anna");
    assert!(!format!("{decided:?}").contains("why"), "reasons are not shown: {decided:?}");
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
    use crate::model::{Change, Destination, Event};
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
        let mut record = Record::new(RecordKind::Reaction, "r", Status::Other("created".into()));
        record.tags = vec![emoji.into()];
        record.actor = Some(Actor::new("slack", "anna"));
        let entity = EntityRef::new(kind, "case1");
        record.about = Some(DocumentRef { connection: about.into(), entity, n: 1 });
        let (entity, changes) = (record.entity(), [change].into());
        Event::new("slack".into(), entity, 1, changes, Timestamp::from_secs(9), Some(Box::new(record)))
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
