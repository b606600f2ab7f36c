//! What each option of the builder does, through the connection that it builds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::*;
use crate::{
    Context, HttpTransport, Money, Result, Source, Timestamp, TokioClock,
    http::{Limits, Phase, TransportError},
    model::{
        Action, Actor, Change, Content, Delivery, DeliveryId, Destination, DocumentRef, EntityRef, Event,
        Follow, Interaction, Observation, Observed, PrivateAnswer, Record, RecordKind, Reply, Resolution,
        Seq, Signal, Status,
    },
    rate::MemoryRateLimiter,
    snapshot::{self, Snapshot},
    token::MemoryTokenStore,
};

const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(
        &self,
        _: http::Request<bytes::Bytes>,
        _: Limits,
    ) -> Result<http::Response<bytes::Bytes>, TransportError> {
        Err(TransportError::new(Phase::NotWritten, "there is no network"))
    }
}

fn ctx() -> Context {
    let (tokens, limiter) = (Arc::new(MemoryTokenStore::new()), Arc::new(MemoryRateLimiter::new()));
    Context::new(Arc::new(NoNetwork), tokens, limiter, Arc::new(TokioClock::starting_at(NOON)))
}

fn builder() -> ApprovalsBuilder {
    Approvals::builder("approvals")
        .documents("books", "bill.*")
        .ask("slack", Destination::from("cards"), Destination::from("answers"))
        .policy(Policy::default().allow(Approvers::anyone()))
}

fn bill(total: Option<(&str, &str)>) -> Event {
    let mut record = Record::new(RecordKind::Bill, "7", Status::PendingApproval);
    record.number = Some("B-7".into());
    record.total = total.map(|(amount, currency)| Money::parse(amount, currency).unwrap());
    let entity = record.entity();
    Event::new("books".into(), entity, 1, [Change::Submitted].into(), NOON, Some(Content::from(record)))
}

/// What follows from an event: what is told, and when is looked again.
async fn after(
    approvals: &Approvals,
    event: Event,
    last: Option<&Snapshot>,
) -> (Vec<Observation>, Vec<(Timestamp, Signal)>) {
    let delivery =
        Delivery::new(Seq(1), DeliveryId::generate(NOON), Approvals::inbox(), "r", Arc::new(event), NOON);
    let signals = approvals.take(&delivery).unwrap().signals;
    match approvals.resolve(&ctx(), &signals, last).await.unwrap() {
        Resolution::Scheduled { seen, later } => (seen, later),
        Resolution::Done { .. } => (Vec::new(), Vec::new()),
        other => panic!("{other:?}"),
    }
}

/// The approval as the log keeps it.
fn kept(seen: &Observation) -> Snapshot {
    let today = NOON.date_in(&crate::model::Zone::UTC);
    let policy = snapshot::ChangeRules { today, overdue_after: &[], watched_since: Timestamp::default() };
    let snapshot::SnapshotStep::Changed { mut snapshot, .. } = snapshot::step(None, seen, &policy) else {
        panic!()
    };
    if let Observed::Present { raw, .. } = &seen.state {
        snapshot.raw.clone_from(raw);
    }
    *snapshot
}

/// A click on the card of a request.
fn click(shown: &Observation, who: &str) -> Event {
    let Observed::Present { content: Content::Interaction(told), .. } = &shown.state else { panic!() };
    let approval = told.approval().unwrap();
    let mut action = Action::new(Choice::APPROVE, Actor::new("slack", who), NOON);
    action.value = Some(Choice::new(Arc::clone(&shown.entity.id), approval.request.clone()).to_value());
    action.about = Some(DocumentRef { connection: "approvals".into(), entity: shown.entity.clone(), n: 1 });
    let interaction = Interaction::Action(action);
    let entity = EntityRef::new(interaction.kind(), "click");
    Event::new("slack".into(), entity, 1, [Change::Created].into(), NOON, Some(interaction.into()))
}

fn answers(seen: &[Observation]) -> Vec<&PrivateAnswer> {
    let told = seen.iter().filter_map(|seen| match &seen.state {
        Observed::Present { content: Content::Interaction(told), .. } => Some(&**told),
        _ => None,
    });
    told.filter_map(|told| match told {
        Interaction::Answer(answer) => Some(answer),
        _ => None,
    })
    .collect()
}

#[tokio::test]
async fn what_is_not_known_of_an_amount_is_asked_about() {
    let least = |amount, currency| Money::parse(amount, currency).unwrap();
    let limited = || builder().at_least(least("100", "USD")).at_least(least("90", "EUR"));
    for (approvals, total, is_asked) in [
        (limited(), Some(("100", "USD")), true),
        (limited(), Some(("99.99", "USD")), false),
        (limited(), Some(("89", "EUR")), false),
        (limited(), Some(("-500", "USD")), false),
        // No total, and none that can be compared: somebody has to look.
        (limited(), None, true),
        (limited(), Some(("0.01", "CHF")), true),
        (builder().above_zero(), Some(("0.01", "USD")), true),
        (builder().above_zero(), Some(("0", "USD")), false),
        (builder().above_zero(), Some(("-1", "USD")), false),
        (builder().above_zero(), None, true),
        (limited().above_zero(), None, true),
        (builder(), None, true),
    ] {
        let (seen, _) = after(&approvals.build().unwrap(), bill(total), None).await;
        assert_eq!(!seen.is_empty(), is_asked, "{total:?}");
    }
}

#[derive(Debug)]
struct Dutch;

impl Wording for Dutch {
    fn text(&self, reply: &Reply, document: Option<&Record>) -> String {
        let number = document.and_then(|document| document.number.as_deref()).unwrap_or("?");
        match reply {
            Reply::Approved { .. } => format!("{number} is goedgekeurd."),
            _ => format!("{number}: niets gedaan."),
        }
    }
}

#[tokio::test]
async fn people_are_told_in_the_host_s_words() {
    let approvals = builder().wording(Dutch).build().unwrap();
    let (asked, _) = after(&approvals, bill(None), None).await;
    let (told, _) = after(&approvals, click(&asked[0], "U1"), Some(&kept(&asked[0]))).await;
    let texts: Vec<_> = answers(&told).iter().map(|answer| answer.text.clone()).collect();
    assert_eq!(texts, ["B-7 is goedgekeurd."]);
}

#[test]
fn cards_and_reminders_have_the_form_that_the_host_names_and_nothing_else_has() {
    for template in [None, Some("post")] {
        let named = template.into_iter().fold(builder(), ApprovalsBuilder::shown_as);
        let approvals = named.command("books", Destination::from("approve")).build().unwrap();
        for route in approvals.routes() {
            let target = &route.to[0];
            let shows = matches!(target.follow, Some(Follow::Update | Follow::Thread));
            assert_eq!(target.template.as_deref(), template.filter(|_| shows), "{}", route.name);
            assert_eq!(shows, target.destination == Destination::from("cards"), "{}", route.name);
        }
    }
}

#[tokio::test]
async fn deadlines_reminders_and_quiet_times_are_looked_at_when_they_come() {
    let timed = builder().expire_after(3 * HOUR).remind_every(HOUR).build().unwrap();
    let (asked, later) = after(&timed, bill(None), None).await;
    let hours: Vec<_> = later.iter().map(|(at, _)| at.saturating_since(NOON).as_secs() / 3600).collect();
    assert_eq!((asked.len(), hours), (1, vec![3, 1]));
    let untimed = builder().build().unwrap();
    assert!(after(&untimed, bill(None), None).await.1.is_empty());
    let quiet = builder().quiet_for(HOUR).build().unwrap();
    let (asked, later) = after(&quiet, bill(None), None).await;
    assert!(asked.is_empty(), "it may still be edited");
    assert_eq!(later[0].0, NOON + HOUR);
}

#[tokio::test]
async fn a_document_is_asked_about_in_the_states_that_the_host_names() {
    let drafts = builder().awaiting(Status::Draft).build().unwrap();
    assert!(after(&drafts, bill(None), None).await.0.is_empty());
    let mut draft = bill(None);
    let mut record = draft.record().unwrap().clone();
    record.status = Status::Draft;
    draft.content = Some(record.into());
    assert_eq!(after(&drafts, draft, None).await.0.len(), 1);
}

#[derive(Debug)]
struct Finance;

#[async_trait]
impl Directory for Finance {
    async fn members(&self, _: &Context, group: &str) -> Result<Vec<Arc<str>>> {
        assert_eq!(group, "S1");
        Ok(vec!["U1".into()])
    }
}

#[tokio::test]
async fn the_directory_says_who_belongs_to_a_group_of_the_policy() {
    let policy = Policy::default().allow(Approvers::default().group("S1"));
    let approvals = builder().policy(policy).directory(Finance).build().unwrap();
    let (asked, _) = after(&approvals, bill(None), None).await;
    for (who, allowed) in [("U1", true), ("U2", false)] {
        let (told, _) = after(&approvals, click(&asked[0], who), Some(&kept(&asked[0]))).await;
        let text = &answers(&told)[0].text;
        assert_eq!(text.starts_with("You approved"), allowed, "{who}: {text}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let twice = Money::parse("1", "USD").unwrap();
    for wrong in [
        Approvals::builder("approvals").policy(Policy::default().allow(Approvers::anyone())),
        builder().policy(Policy::default()),
        builder().at_least(twice).at_least(twice),
        builder().expire_after(Duration::ZERO),
        builder().quiet_for(Duration::ZERO),
    ] {
        assert_eq!(wrong.build().unwrap_err().kind(), crate::ErrorKind::ConfigInvalid);
    }
}
