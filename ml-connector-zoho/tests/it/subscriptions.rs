//! Webhooks that are set up through the API, against the simulated organization.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    CheckResult, Clock, Context, HttpTransport, ReceiveRequest, Secret, Source, SourceMode, TokioClock,
    UpkeepRequest,
    model::{Decimal, RecordKind, Subject, Upkeep},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    Fault, SimTransport, ZohoBooksSim,
    zoho::{NewDocument, Organization, Plan, ZohoBooksConfig},
};
use ml_connector_zoho::{Builder, DataCenter, ZohoBooks};

use crate::support::{NOW, SECRET};

const CALLBACK: &str = "https://erp.example.com/hooks/books";
const OTHER: &str = "790099887";

struct Lab {
    books: ZohoBooksSim,
    ctx: Context,
}

impl Lab {
    fn new(plan: Plan) -> Self {
        let clock = Arc::new(TokioClock::starting_at(NOW));
        let mut config = ZohoBooksConfig::default();
        config.organizations = vec![Organization { plan, ..config.organizations[0].clone() }];
        let books = ZohoBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config);
        let transport: Arc<dyn HttpTransport> = Arc::new(SimTransport::new().with_zoho_books(&books));
        let limiter = Arc::new(MemoryRateLimiter::new());
        let ctx = Context::new(transport, Arc::new(MemoryTokenStore::new()), limiter, clock);
        Self { books, ctx }
    }

    fn builder(&self) -> Builder {
        let credentials = self.books.credentials();
        ZohoBooks::builder("books")
            .organization_id(credentials.organization_id)
            .data_center(DataCenter::Us)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .refresh_token(credentials.refresh_token.as_str())
            .time_zone("America/New_York")
            .resources([RecordKind::Invoice, RecordKind::CustomerPayment])
            .manage_webhooks(true)
    }

    /// A login with two organizations, [`OTHER`] the second.
    fn with_two() -> Self {
        let clock = Arc::new(TokioClock::starting_at(NOW));
        let mut config = ZohoBooksConfig::default();
        let first = Organization { plan: Plan::Professional, ..config.organizations[0].clone() };
        let second =
            Organization { id: OTHER.to_owned(), name: "Brackwater Boats".to_owned(), ..first.clone() };
        config.organizations = vec![first, second];
        let books = ZohoBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config);
        let transport: Arc<dyn HttpTransport> = Arc::new(SimTransport::new().with_zoho_books(&books));
        let limiter = Arc::new(MemoryRateLimiter::new());
        Self { books, ctx: Context::new(transport, Arc::new(MemoryTokenStore::new()), limiter, clock) }
    }

    async fn look(&self, source: &ZohoBooks, last: Option<&Upkeep>) -> Upkeep {
        source
            .upkeep(
                &self.ctx,
                UpkeepRequest::new().callback(Some(CALLBACK)).state(last.map(|last| &last.state)),
            )
            .await
            .unwrap()
    }

    fn invoice(&self) {
        self.books.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(14_997, 2))).unwrap();
    }

    fn calls(&self) -> usize {
        self.books.received().iter().filter(|call| call.path.starts_with("/books/v3/settings/")).count()
    }
}

fn feeds(upkeep: &Upkeep) -> Vec<&str> {
    upkeep.signals.iter().map(|signal| feed_of(&signal.subject)).collect()
}

fn feed_of(subject: &Subject) -> &str {
    match subject {
        Subject::Feed { name, .. } => name,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_made_once_and_its_deliveries_are_understood() {
    let lab = Lab::new(Plan::Professional);
    let source = lab.builder().webhook_secret(SECRET).build().unwrap();
    let first = lab.look(&source, None).await;
    assert_eq!(
        lab.books.webhook_names(),
        [
            "mlc invoice changed 778812345",
            "mlc invoice deleted 778812345",
            "mlc customer_payment changed 778812345",
            "mlc customer_payment deleted 778812345",
        ]
    );
    assert_eq!(feeds(&first), ["invoices", "customerpayments"], "what came before they were there");
    lab.invoice();
    let [delivery] = <[_; 1]>::try_from(lab.books.take_webhooks()).unwrap();
    assert_eq!(delivery.about.event, "invoice.changed");
    assert_eq!(source.receive(ReceiveRequest::new(&delivery.request, NOW)).unwrap().signals.len(), 1);
    assert_eq!(lab.books.limit_violations(), 0);

    let calls = lab.calls();
    let second = lab.look(&source, Some(&first)).await;
    assert_eq!((lab.calls() - calls, second.signals.len()), (2, 0), "looking costs two calls");
    // A state that was lost is no reason to have anything twice.
    lab.look(&source, None).await;
    assert_eq!(lab.books.webhook_names().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_switched_off_or_deleted_is_repaired_and_the_gap_is_read() {
    let lab = Lab::new(Plan::Professional);
    let source = lab.builder().webhook_secret(SECRET).build().unwrap();
    let first = lab.look(&source, None).await;
    assert!(lab.books.deactivate_workflow("mlc invoice changed 778812345"));
    lab.invoice();
    assert!(lab.books.take_webhooks().is_empty());
    let second = lab.look(&source, Some(&first)).await;
    assert_eq!(feeds(&second).len(), 2);
    assert!(lab.books.delete_webhook("mlc invoice changed 778812345"));
    let third = lab.look(&source, Some(&second)).await;
    assert_eq!((feeds(&third).len(), lab.books.webhook_names().len()), (2, 4));
    lab.invoice();
    assert_eq!(lab.books.take_webhooks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_breaks_off_after_a_repair_reads_the_gap_and_comes_again_soon() {
    let lab = Lab::new(Plan::Professional);
    let source = lab.builder().webhook_secret(SECRET).mode(SourceMode::Webhook).build().unwrap();
    let first = lab.look(&source, None).await;
    for name in ["mlc invoice changed 778812345", "mlc customer_payment changed 778812345"] {
        assert!(lab.books.deactivate_workflow(name));
    }
    // The first rule is switched on; whether the second is, nobody hears.
    let broken = Fault::reset().having_acted().method(http::Method::POST).after(1);
    lab.books.plant(broken);
    let second = lab.look(&source, Some(&first)).await;
    assert_eq!((feeds(&second).len(), lab.books.faults_waiting()), (2, 0));
    assert!(second.problem.as_deref().unwrap().contains("to the end"), "{:?}", second.problem);
    assert_eq!((&second.state, second.next), (&first.state, lab.ctx.now() + Duration::from_secs(900)));
    let third = lab.look(&source, Some(&second)).await;
    assert_eq!((feeds(&third).len(), third.problem), (0, None));
    // What changed nothing is tried again by the engine.
    lab.books.plant(Fault::reset().times(9));
    assert!(
        source
            .upkeep(&lab.ctx, UpkeepRequest::new().callback(Some(CALLBACK)).state(Some(&third.state)))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_and_a_new_url_are_told_to_the_same_webhooks() {
    let lab = Lab::new(Plan::Professional);
    let old = lab.builder().webhook_secret(SECRET).build().unwrap();
    let state = lab.look(&old, None).await;
    let rotating = lab.builder().webhook_secret("theNextSecret2026").webhook_secret(SECRET).build().unwrap();
    lab.invoice();
    let before = lab.books.take_webhooks().remove(0).request;
    let state = lab.look(&rotating, Some(&state)).await;
    lab.invoice();
    let after = lab.books.take_webhooks().remove(0).request;
    for request in [&before, &after] {
        rotating.receive(ReceiveRequest::new(request, NOW)).unwrap();
    }
    assert!(old.receive(ReceiveRequest::new(&after, NOW)).is_err(), "it is signed with the new one");
    let moved = "https://erp.example.com/other";
    rotating
        .upkeep(&lab.ctx, UpkeepRequest::new().callback(Some(moved)).state(Some(&state.state)))
        .await
        .unwrap();
    lab.invoice();
    let request = lab.books.take_webhooks().remove(0).request;
    assert_eq!(request.uri().path(), "/other");
    assert_eq!(lab.books.webhook_names().len(), 4);
    let shown = format!("{rotating:?} {:?}", state.state);
    assert!(!shown.contains("theNextSecret2026"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_webhooks_is_said_and_polled() {
    let lab = Lab::new(Plan::Standard);
    // The plan that is configured is not the one that is paid for.
    let source = lab.builder().webhook_secret(SECRET).mode(SourceMode::Webhook).build().unwrap();
    let looked = lab.look(&source, None).await;
    assert!(
        looked.problem.as_deref().unwrap().contains("plan Standard has no webhooks"),
        "{:?}",
        looked.problem
    );
    assert_eq!(feeds(&looked), ["invoices", "customerpayments"]);
    assert_eq!((looked.next, lab.calls()), (lab.ctx.now() + source.info().feeds[0].every, 0));
}

#[tokio::test(start_paused = true)]
async fn hand_made_webhooks_are_left_alone() {
    let lab = Lab::new(Plan::Professional);
    let source = lab.builder().manage_webhooks(false).webhook_secret(Secret::from(SECRET)).build().unwrap();
    let looked = lab.look(&source, None).await;
    assert!(looked.signals.is_empty() && looked.problem.is_none() && lab.books.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_set_up_is_shown_and_removed_when_the_connection_is_forgotten() {
    let lab = Lab::new(Plan::Professional);
    let source = lab.builder().webhook_secret(SECRET).build().unwrap();
    let looked = lab.look(&source, None).await;
    let names: Vec<&str> = looked.subscriptions.iter().map(|one| &*one.name).collect();
    assert_eq!(
        names,
        ["invoice.changed", "invoice.deleted", "customerpayment.changed", "customerpayment.deleted"]
    );
    assert_eq!(lab.books.webhook_names().len(), 4);
    let request = || UpkeepRequest::new().callback(Some(CALLBACK)).state(Some(&looked.state));
    source.unsubscribe(&lab.ctx, request()).await.unwrap();
    assert_eq!(lab.books.webhook_names(), [""; 0]);
    lab.invoice();
    assert_eq!(lab.books.take_webhooks().len(), 0, "nobody is called any more");
    source.unsubscribe(&lab.ctx, request()).await.unwrap();
}

/// What the engine hands over when the connection reads another organization than before.
fn elsewhere(former: &Upkeep) -> UpkeepRequest<'_> {
    UpkeepRequest::new().callback(Some(CALLBACK)).former(Some(&former.state))
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_removed_where_the_connection_was_before_any_is_made_where_it_is() {
    let lab = Lab::with_two();
    let former = lab.look(&lab.builder().webhook_secret(SECRET).build().unwrap(), None).await;
    let other = lab.books.within(OTHER);
    let begun = lab.books.received().len();
    let moved = lab.builder().organization_id(OTHER).webhook_secret(SECRET).build().unwrap();
    let looked = moved.upkeep(&lab.ctx, elsewhere(&former)).await.unwrap();
    assert_eq!(
        (looked.problem, lab.books.webhook_names(), other.webhook_names().len()),
        (None, Vec::new(), 4)
    );
    let writes: Vec<_> = lab.books.received().into_iter().skip(begun).map(|call| call.method).collect();
    let first = |method| writes.iter().position(|one| *one == method).unwrap();
    let last = |method| writes.iter().rposition(|one| *one == method).unwrap();
    assert!(last(http::Method::DELETE) < first(http::Method::POST), "{writes:?}");
    assert_eq!(lab.books.limit_violations(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_organization_that_cannot_be_left_is_said_and_tried_again() {
    let lab = Lab::with_two();
    let former = lab.look(&lab.builder().webhook_secret(SECRET).build().unwrap(), None).await;
    let refused = || {
        let refused = Fault::status(http::StatusCode::BAD_REQUEST).target("778812345");
        refused.with_body("application/json", r#"{"code":6041,"message":"not in this organization"}"#)
    };
    lab.books.plant(refused().times(2));
    let moved = lab.builder().organization_id(OTHER).webhook_secret(SECRET).build().unwrap();
    let looked = moved.upkeep(&lab.ctx, elsewhere(&former)).await.unwrap();
    assert!(looked.problem.as_ref().unwrap().contains("778812345"), "{looked:?}");
    assert_eq!(lab.books.within(OTHER).webhook_names().len(), 4, "the new ones are made all the same");
    let looked = lab.look(&moved, Some(&looked)).await;
    assert!(looked.problem.as_ref().unwrap().contains("778812345"), "{looked:?}");
    let looked = lab.look(&moved, Some(&looked)).await;
    assert_eq!((looked.problem, lab.books.webhook_names()), (None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_check_reads_every_list_and_the_webhooks_and_writes_nothing() {
    let lab = Lab::new(Plan::Elite);
    let source = lab.builder().webhook_secret(SECRET).build().unwrap();
    let steps = source.check(&lab.ctx).await;
    let names: Vec<&str> = steps.iter().map(|step| &*step.step).collect();
    let feeds = source.info().feeds.iter().map(|feed| feed.name);
    let expected: Vec<&str> =
        ["organization", "time zone"].into_iter().chain(feeds).chain(["webhooks"]).collect();
    assert_eq!(names, expected);
    let (webhooks, others) = steps.split_last().unwrap();
    assert!(others.iter().all(|step| step.result == CheckResult::Passed), "{steps:#?}");
    assert_eq!(webhooks.result, CheckResult::Warning, "none is set up yet: {webhooks:?}");
    assert!(webhooks.found.as_ref().unwrap().contains("invoice.changed"), "{webhooks:?}");
    assert!(lab.books.received().iter().all(|call| call.method == "GET" || call.path.contains("token")));
}

#[tokio::test(start_paused = true)]
async fn a_check_names_the_list_whose_scope_is_missing() {
    let lab = Lab::new(Plan::Elite);
    let token = lab.books.grant(&["ZohoBooks.settings.READ", "ZohoBooks.invoices.READ"]);
    let source = lab.builder().webhook_secret(SECRET).refresh_token(token.as_str()).build().unwrap();
    let steps = source.check(&lab.ctx).await;
    let step = |name: &str| steps.iter().find(|step| step.step == name).unwrap();
    assert_eq!(step("invoices").result, CheckResult::Passed, "{steps:#?}");
    let refused = step("customerpayments");
    assert_eq!(refused.result, CheckResult::Failed, "{refused:?}");
    assert!(refused.remedy.as_ref().unwrap().contains("scope"), "{refused:?}");
}
