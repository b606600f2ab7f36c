//! Commands, against the simulated organization.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    AttemptNotes, AuditLog, Clock, Context, Error, ErrorKind, Result, Retry, Scope, Sink, Source, TokioClock,
    audit::{DocumentWrite, Expected, MemoryLog, Transaction},
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
    },
    model::{
        Action, Actor, Approval, ApprovalStatus, Decimal, Decision, Delivery, DeliveryId, Destination,
        DocumentRef, EntityRef, Event, Interaction, Lookup, Money, Observed, Reaction, Receipt, Record,
        RecordKind, Resolution, Seq, Signal, Status, Zone,
    },
    rate::MemoryRateLimiter,
    snapshot::{ChangeRules, Snapshot, SnapshotStep, step},
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    Conditions, SimTransport, ZohoBooksSim,
    zoho::{Entity, NewDocument},
};
use ml_connector_zoho::{
    DataCenter, ZohoBooks, acknowledge, acknowledge_in, approve, submit, withdraw, withdraw_from,
};

use crate::{conformance::refusals, support::NOW};

const FIELD: &str = "481500000000012845";

/// A simulated organization, and a connection to it.
struct World {
    sim: ZohoBooksSim,
    books: ZohoBooks,
    ctx: Context,
}

impl World {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
        let sim = ZohoBooksSim::new(Arc::clone(&clock));
        let transport = Arc::new(SimTransport::new().with_zoho_books(&sim));
        let ctx = Context::new(
            transport,
            Arc::new(MemoryTokenStore::new()),
            Arc::new(MemoryRateLimiter::new()),
            clock,
        );
        Self { books: connect(&sim), sim, ctx }
    }

    fn pending_bill(&self) -> String {
        let bill =
            self.sim.create_bill(NewDocument::new("Northgate Paper", Decimal::new(820_000, 2))).unwrap();
        self.sim.submit_for_approval(Entity::Bill, &bill).unwrap();
        bill
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Receipt> {
        self.books.deliver(&self.ctx, std::slice::from_ref(delivery), &Forgetful).await.remove(0)
    }

    /// Keeps a record as it is now as what was told last.
    async fn know(&self, log: &MemoryLog, entity: &EntityRef) {
        let signals = [Signal::entity(entity.clone())];
        let Resolution::Observed(seen) = self.books.resolve(&self.ctx, &signals, None).await.unwrap() else {
            panic!("it is there")
        };
        let policy = ChangeRules { today: NOW.date_in(&Zone::UTC), overdue_after: &[], watched_since: NOW };
        let SnapshotStep::Changed { snapshot, .. } = step(None, &seen[0], &policy) else {
            panic!("it is new")
        };
        let (key, value) = (Snapshot::key(&"books".into(), entity), Some(snapshot.to_bytes().unwrap()));
        let documents = vec![DocumentWrite { key, expected: Expected::Any, value }];
        log.commit(vec![Transaction { documents, ..Transaction::default() }], NOW).await.unwrap();
    }

    async fn look_up(&self, delivery: &Delivery) -> Lookup {
        loop {
            match self.books.look_up(&self.ctx, delivery).await.unwrap() {
                Lookup::AskAgain { at } => {
                    tokio::time::sleep(at.saturating_since(self.ctx.now())).await;
                }
                told => return told,
            }
        }
    }
}

fn connect(sim: &ZohoBooksSim) -> ZohoBooks {
    connect_with(sim, &sim.credentials().refresh_token)
}

fn connect_with(sim: &ZohoBooksSim, refresh_token: &str) -> ZohoBooks {
    let credentials = sim.credentials();
    let books = ZohoBooks::builder("books")
        .organization_id(&credentials.organization_id)
        .data_center(DataCenter::Us)
        .client(&credentials.client_id, credentials.client_secret.as_str())
        .refresh_token(refresh_token)
        .webhook_secret("mlcZohoSecret2026")
        .time_zone("America/New_York");
    books.build().unwrap()
}

#[derive(Debug)]
struct Forgetful;

#[async_trait]
impl AttemptNotes for Forgetful {
    async fn keep(&self, _: &[Seq], _: Bytes) -> Result<()> {
        Ok(())
    }
}

fn somebody(id: &str) -> Actor {
    let mut actor = Actor::new("slack", id);
    actor.name = Some(format!("{id} <b>& Co"));
    actor
}

fn first(document: EntityRef) -> DocumentRef {
    DocumentRef { connection: "books".into(), entity: document, n: 1 }
}

fn decided(by: &str, document: EntityRef) -> Interaction {
    let shown = Record::new(RecordKind::from(&*document.kind), document.id.clone(), Status::PendingApproval);
    let mut approval = Approval::new("1-x".into(), first(document), Box::new(shown), NOW);
    approval.status = ApprovalStatus::Approved;
    approval.decision = Some(Decision::new(somebody(by), NOW));
    Interaction::Approval(approval)
}

fn reacted(by: &str, document: EntityRef) -> Interaction {
    Interaction::Reaction(Reaction::new("eyes", somebody(by), first(document), NOW))
}

fn clicked(by: &str, document: EntityRef) -> Interaction {
    let mut action = Action::new("submit", somebody(by), NOW);
    action.about = Some(first(document));
    Interaction::Action(action)
}

/// The entity of what somebody did about a document.
fn entity(done: &Interaction) -> EntityRef {
    let by = done.actor().map(|actor| Arc::clone(&actor.id)).unwrap_or_default();
    let about = done.about().map(|about| about.entity.to_string()).unwrap_or_default();
    EntityRef::new(done.kind(), format!("{about}/{by}"))
}

fn delivery(to: Destination, done: Interaction) -> Delivery {
    let changes = BTreeSet::from([done.change()]);
    let event = Event::new("slack".into(), entity(&done), 1, changes, NOW, Some(done.into()));
    let mut delivery = Delivery::new(Seq(1), DeliveryId::generate(NOW), to, "test", Arc::new(event), NOW);
    delivery.attempt = 1;
    delivery
}

fn decision(bill: &str) -> Delivery {
    delivery(approve(), decided("U07ADA", EntityRef::new("bill", bill)))
}

fn reaction(to: Destination, by: &str, about: EntityRef) -> Delivery {
    delivery(to, reacted(by, about))
}

fn refused(result: Result<Receipt>) -> Error {
    let error = result.expect_err("the books refuse it");
    assert_eq!((error.retry(), error.effect()), (Retry::Never, ml_connector_core::Effect::None), "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn a_bill_is_approved_once_and_read_back() {
    let world = World::new();
    let bill = world.pending_bill();
    let receipt = world.deliver(&decision(&bill)).await.unwrap();
    assert_eq!(world.sim.status_of(Entity::Bill, &bill), Some("open"));
    let observed = receipt.observed.unwrap();
    let record = observed.state.record().unwrap();
    assert_eq!(record.status, Status::Open);
    // Again, and after somebody did it in the books: what was asked for is the case.
    let again = world.deliver(&decision(&bill)).await.unwrap();
    assert_eq!(again.reference, receipt.reference);
    assert!(matches!(world.look_up(&decision(&bill)).await, Lookup::Happened(_)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_approved_is_refused_in_plain_words() {
    let world = World::new();
    let void = world.pending_bill();
    world.sim.void(Entity::Bill, &void).unwrap();
    assert!(refused(world.deliver(&decision(&void)).await).to_string().contains("is void"));

    let draft = world.sim.create_invoice(NewDocument::new("Acme", Decimal::new(100, 0))).unwrap();
    let of_draft = decided("U07ADA", EntityRef::new("invoice", &*draft));
    let error = refused(world.deliver(&delivery(approve(), of_draft)).await);
    assert!(error.to_string().contains("was not submitted"), "{error}");

    let gone = world.pending_bill();
    world.sim.delete(Entity::Bill, &gone).unwrap();
    assert_eq!(refused(world.deliver(&decision(&gone)).await).kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_bill_that_changed_since_it_was_shown_is_not_approved() {
    let world = World::new();
    let bill = world.pending_bill();
    let shown = |total: &str| {
        let mut decided = decided("U07ADA", EntityRef::new("bill", &*bill));
        let Interaction::Approval(approval) = &mut decided else { unreachable!() };
        approval.shown.total = Some(Money::parse(total, "USD").unwrap());
        decided
    };
    let error = refused(world.deliver(&delivery(approve(), shown("8199.00"))).await);
    assert!(error.to_string().contains("changed since it was shown"), "{error}");
    assert_eq!(world.sim.status_of(Entity::Bill, &bill), Some("pending_approval"));
    world.deliver(&delivery(approve(), shown("8200"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_invoice_is_submitted_and_then_approved() {
    let world = World::new();
    let invoice = world.sim.create_invoice(NewDocument::new("Acme", Decimal::new(100, 0))).unwrap();
    let about = EntityRef::new("invoice", &*invoice);
    for (to, status) in
        [(submit(), "pending_approval"), (submit(), "pending_approval"), (approve(), "approved")]
    {
        world.deliver(&delivery(to, clicked("U07ADA", about.clone()))).await.unwrap();
        assert_eq!(world.sim.status_of(Entity::Invoice, &invoice), Some(status));
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_noted_once_for_each_person() {
    let world = World::new();
    let bill = world.pending_bill();
    let about = || EntityRef::new("bill", &*bill);
    for by in ["U07ADA", "U07ADA", "U07BOB", "U07ADA"] {
        world.deliver(&reaction(acknowledge(), by, about())).await.unwrap();
    }
    let comments = world.sim.comments(Entity::Bill, &bill);
    assert_eq!(comments.len(), 2, "{comments:?}");
    assert!(
        comments[0].starts_with("Acknowledged by U07ADA b Co in slack at 2026-03-12T14:05:00Z (mlc:"),
        "{comments:?}"
    );
    // Taken back, and given again.
    for (to, left) in [(withdraw(), 1), (withdraw(), 1), (acknowledge(), 2)] {
        world.deliver(&reaction(to, "U07ADA", about())).await.unwrap();
        assert_eq!(world.sim.comments(Entity::Bill, &bill).len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_field_holds_the_latest_acknowledgement_and_our_own_change_is_handed_on() {
    let world = World::new();
    let bill = world.pending_bill();
    let about = || EntityRef::new("bill", &*bill);
    let receipt = world.deliver(&reaction(acknowledge_in(FIELD), "U07ADA", about())).await.unwrap();
    let text = |receipt: &Receipt| match &receipt.observed.as_ref().unwrap().state {
        Observed::Present { raw: Some(raw), .. } => raw.get().to_owned(),
        _ => panic!("it is there"),
    };
    assert!(text(&receipt).contains("Acknowledged by U07ADA"));
    let receipt = world.deliver(&reaction(withdraw_from(FIELD), "U07ADA", about())).await.unwrap();
    assert!(!text(&receipt).contains("Acknowledged by"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_edited_meanwhile_is_not_handed_on_as_ours() {
    let mut world = World::new();
    let log = Arc::new(MemoryLog::new());
    world.ctx = world.ctx.with_log(Arc::clone(&log) as _);
    let bill = world.pending_bill();
    let about = || EntityRef::new("bill", &*bill);
    let acknowledged = async |by| {
        let receipt = world.deliver(&reaction(acknowledge_in(FIELD), by, about())).await.unwrap();
        receipt.observed.is_some()
    };
    assert!(acknowledged("U07ADA").await, "nobody has told of the bill yet: whatever is read is news");
    world.know(&log, &about()).await;
    assert!(acknowledged("U07BOB").await);
    world.know(&log, &about()).await;
    world.sim.set_reference(Entity::Bill, &bill, "PO 7").unwrap();
    assert!(!acknowledged("U07ADA").await);
    // What was approved and told long ago.
    world.sim.approve(Entity::Bill, &bill).unwrap();
    let approved = async || world.deliver(&decision(&bill)).await.unwrap().observed.is_some();
    assert!(approved().await, "that it was approved tells more");
    world.know(&log, &about()).await;
    world.sim.set_reference(Entity::Bill, &bill, "PO 8").unwrap();
    assert!(!approved().await);
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_acknowledged_on_what_it_settles() {
    let world = World::new();
    let invoice = world.sim.create_invoice(NewDocument::new("Acme", Decimal::new(100, 0))).unwrap();
    world.sim.mark_sent(&invoice).unwrap();
    let payment = world.sim.pay_invoice(&invoice, Decimal::new(40, 0)).unwrap();
    let about = EntityRef::new("customer_payment", payment);
    world.deliver(&reaction(acknowledge(), "U07ADA", about)).await.unwrap();
    assert_eq!(world.sim.comments(Entity::Invoice, &invoice).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_command_for_this_connection_is_refused_before_anything_is_asked() {
    let world = World::new();
    let about = || EntityRef::new("bill", "1");
    let elsewhere = {
        let mut reacted = reacted("U07ADA", about());
        let Interaction::Reaction(reaction) = &mut reacted else { unreachable!() };
        reaction.about.connection = "other-books".into();
        delivery(acknowledge(), reacted)
    };
    let mut nobody = decided("U07ADA", about());
    let Interaction::Approval(approval) = &mut nobody else { unreachable!() };
    approval.decision = None;
    for wrong in [
        delivery("channel:accounting".into(), reacted("U07ADA", about())),
        delivery(acknowledge_in("../x"), reacted("U07ADA", about())),
        elsewhere,
        reaction(approve(), "U07ADA", EntityRef::new("contact", "1")),
        reaction(approve(), "U07ADA", EntityRef::new("customer_payment", "1")),
    ] {
        assert_eq!(world.books.plan(&wrong).unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong:?}");
        refused(world.deliver(&wrong).await);
    }
    refused(world.deliver(&delivery(acknowledge(), nobody)).await);
    assert_eq!(world.sim.received().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn commands_about_one_document_wait_for_each_other() {
    let world = World::new();
    let lane = |delivery: &Delivery| world.books.plan(delivery).unwrap().lane;
    let about = || EntityRef::new("bill", "7");
    assert_eq!(lane(&decision("7")), lane(&reaction(acknowledge(), "U07BOB", about())));
    assert_ne!(lane(&decision("7")), lane(&decision("8")));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_when_a_late_request_has_arrived() {
    let world = World::new();
    world.sim.set_conditions(Conditions::kind());
    let bill = world.pending_bill();
    world.deliver(&reaction(acknowledge(), "U07BOB", EntityRef::new("bill", &*bill))).await.unwrap();
    // What is looked for was never sent: that is said once nothing can arrive any more.
    let began = world.ctx.now();
    assert!(matches!(world.look_up(&decision(&bill)).await, Lookup::DidNotHappen));
    // A call may wait half a minute before it is sent.
    assert!(world.ctx.now().saturating_since(began) >= Duration::from_secs(65));
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_missing_stops_the_document_and_not_the_connection() {
    let mut world = World::new();
    let read_only = world.sim.grant(&["ZohoBooks.bills.READ"]);
    world.books = connect_with(&world.sim, &read_only);
    let bill = world.pending_bill();
    let error = world.deliver(&decision(&bill)).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Lane), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_missing_costs_no_token_with_every_attempt() {
    let mut world = World::new();
    world.sim.set_conditions(Conditions::kind());
    let read_only = world.sim.grant(&["ZohoBooks.bills.READ"]);
    world.books = connect_with(&world.sim, &read_only);
    let bills = [(); 4].map(|()| world.pending_bill());
    for _minute in 0..60 {
        for bill in &bills {
            let error = world.deliver(&decision(bill)).await.unwrap_err();
            assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Lane), "{error}");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let tokens = world.sim.received().iter().filter(|call| call.path == "/oauth/v2/token").count();
    // The first, the one that was tried in vain, and the next by age.
    assert!(tokens <= 3, "{tokens} tokens");
}

/// The nth document of a simulated organization, made when it is first asked for.
struct Documents {
    sim: ZohoBooksSim,
    made: Mutex<BTreeMap<u64, String>>,
}

impl Documents {
    fn nth(&self, n: u64) -> EntityRef {
        let mut made = self.made.lock().unwrap();
        let id = made.entry(n).or_insert_with(|| {
            let new = NewDocument::new("Planted Supplier", Decimal::new(471_125, 2));
            let bill = self.sim.create_bill(new).unwrap();
            self.sim.submit_for_approval(Entity::Bill, &bill).unwrap();
            bill
        });
        EntityRef::new("bill", &**id)
    }

    fn count(&self, of: impl Fn(&str) -> usize) -> usize {
        self.made.lock().unwrap().values().map(|bill| of(bill)).sum()
    }
}

fn under_test(
    destination: Destination,
    did: fn(&str, EntityRef) -> Interaction,
    written: fn(&ZohoBooksSim, &str) -> usize,
) -> SinkUnderTest {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
    let sim = ZohoBooksSim::new(Arc::clone(&clock));
    let documents = Arc::new(Documents { sim: sim.clone(), made: Mutex::default() });
    let credentials = sim.credentials();
    let refusals: Refusals = refusals();
    let (of, made) = (Arc::clone(&documents), documents);
    SinkUnderTest {
        vendor: Arc::new(SimTransport::new().with_zoho_books(&sim)),
        clock,
        writes: |request| {
            request.method() != http::Method::GET && request.uri().path().starts_with("/books/v3/")
        },
        written: Box::new(move || made.count(|bill| written(&made.sim, bill))),
        destination,
        brings: Box::new(move |n| {
            let done = did("U07ADA", of.nth(n));
            (entity(&done), done.into())
        }),
        refusals,
        secrets: vec![
            credentials.client_secret.clone(),
            credentials.refresh_token,
            "Planted Supplier".to_owned(),
            "4711.25".to_owned(),
        ],
        connect: Box::new(move || Arc::new(connect(&sim))),
    }
}

#[tokio::test(start_paused = true)]
async fn approving_has_every_behavior_of_a_sink() {
    let approved =
        |sim: &ZohoBooksSim, bill: &str| usize::from(sim.status_of(Entity::Bill, bill) == Some("open"));
    sink::all(async || under_test(approve(), decided, approved)).await;
}

#[tokio::test(start_paused = true)]
async fn acknowledging_has_every_behavior_of_a_sink() {
    let comments = |sim: &ZohoBooksSim, bill: &str| sim.comments(Entity::Bill, bill).len();
    sink::all(async || under_test(acknowledge(), reacted, comments)).await;
}
