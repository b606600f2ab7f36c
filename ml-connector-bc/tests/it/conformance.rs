//! The suites that every source and every sink pass, against the simulated company.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use ml_connector_bc::post;
use ml_connector_core::{
    Clock, TokioClock,
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
        source::{self, Proof, SourceUnderTest, Webhook},
    },
    model::{Decimal, EntityRef, Money, Party, Record, RecordKind, Status},
};
use ml_connector_sim::{
    BusinessCentralSim, SimTransport,
    bc::{NewDocument, Set},
};

use crate::support::{NOW, SECRET, builder, fixture};

const SUPPLIER: &str = "Planted Supplier & Sons";
/// Nothing signs a notification: the suite changes bytes that a signature would cover, and expects refusals that would
/// cost subscriptions here.
const SIGNED_ONLY: [&str; 3] = [
    "a_webhook_without_one_good_signature_is_refused_without_a_hint",
    "a_webhook_that_was_changed_is_refused",
    "garbage_behind_a_good_signature_is_an_invalid_request",
];
/// The answer to a posting is 204 and has no body to cut.
const WITH_BODY_ONLY: [&str; 1] = ["half_an_answer_leaves_doubt"];

fn erp() -> (Arc<dyn Clock>, BusinessCentralSim) {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
    let erp = BusinessCentralSim::new(Arc::clone(&clock));
    (clock, erp)
}

fn refusals() -> Refusals {
    let answer = |status: u16, retry_after: Option<&str>, name: &str| {
        let mut response = Response::builder().status(status);
        if let Some(secs) = retry_after {
            response = response.header("retry-after", secs);
        }
        response.body(fixture(name)).unwrap()
    };
    Refusals {
        token: answer(401, None, "error_401.json"),
        renews_tokens: true,
        too_often: vec![
            (Duration::from_secs(30), answer(429, None, "error_429.json")),
            (Duration::from_secs(120), answer(429, Some("120"), "error_429.json")),
        ],
        refused: vec![
            answer(400, None, "error_400_posting_failed.json"),
            answer(400, None, "error_400_not_draft.json"),
        ],
    }
}

fn secrets(erp: &BusinessCentralSim) -> Vec<String> {
    vec![erp.credentials().client_secret, SECRET.to_owned(), SUPPLIER.to_owned(), "4711.25".to_owned()]
}

fn source_under_test(set: Set, kind: &'static str) -> SourceUnderTest {
    let (clock, erp) = erp();
    let new = NewDocument::new(SUPPLIER, Decimal::new(471_125, 2));
    let (id, another) = (erp.create(set, &new), erp.create(set, &new));
    let connect = {
        let erp = erp.clone();
        move || builder(&erp, "erp").sets([set.name()]).build().unwrap()
    };
    // What Business Central was told is asked of the connection itself: it is the same in every run.
    let request = Request::post("/placeholder").body(bytes::Bytes::new()).unwrap();
    SourceUnderTest {
        vendor: Arc::new(SimTransport::new().with_business_central(&erp)),
        clock,
        reads: |request| request.uri().path().contains("/api/v2.0/"),
        entity: EntityRef::new(kind, id),
        another: Some(EntityRef::new(kind, another)),
        handshake: None,
        webhook: Webhook {
            proves: Proof::Sender,
            state: None,
            request,
            account: None,
            signature: None,
            tolerance: None,
            forged: Vec::new(),
            misunderstood: Vec::new(),
        },
        refusals: refusals(),
        missing: Some(Response::builder().status(404).body(fixture("error_404_record.json")).unwrap()),
        secrets: secrets(&erp),
        connect: Box::new(move || Arc::new(connect())),
    }
}

#[tokio::test(start_paused = true)]
async fn bills_have_every_behavior_of_a_source() {
    for (name, check) in source::BEHAVIORS {
        // The webhook's own behaviors are in `webhook.rs` and `subscriptions.rs`.
        if !SIGNED_ONLY.contains(name) && !name.contains("webhook") {
            check(&source_under_test(Set::PurchaseInvoices, "bill")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_of_any_kind_keeps_its_id_and_the_page_goes_on() {
    for (set, kind) in [
        (Set::PurchaseInvoices, "bill"),
        (Set::SalesInvoices, "invoice"),
        (Set::PurchaseOrders, "purchase_order"),
        (Set::SalesOrders, "sales_order"),
        (Set::Vendors, "vendor"),
        (Set::Customers, "customer"),
        (Set::Employees, "employee"),
        (Set::Accounts, "account"),
        (Set::Items, "item"),
        (Set::Dimensions, "dimension"),
        (Set::Currencies, "currency"),
    ] {
        source::feeds::an_unreadable_row_keeps_its_id_and_the_page_goes_on(&source_under_test(set, kind))
            .await;
    }
}

fn sink_under_test() -> SinkUnderTest {
    let (clock, erp) = erp();
    let made: Arc<Mutex<BTreeMap<u64, String>>> = Arc::default();
    let (of, counted, shown) = (erp.clone(), erp.clone(), erp.clone());
    SinkUnderTest {
        vendor: Arc::new(SimTransport::new().with_business_central(&erp)),
        clock,
        writes: |request| request.uri().path().ends_with("Microsoft.NAV.post"),
        written: Box::new(move || counted.postings().len()),
        destination: post(),
        brings: Box::new(move |n| {
            let mut made = made.lock().unwrap();
            let new =
                || of.create(Set::PurchaseInvoices, &NewDocument::new(SUPPLIER, Decimal::new(471_125, 2)));
            let id = made.entry(n).or_insert_with(new).clone();
            let mut record = Record::new(RecordKind::Bill, id.as_str(), Status::Draft);
            record.total = Some(Money::parse("4711.25", "USD").unwrap());
            let vendor = shown.field(Set::PurchaseInvoices, &id, "vendorId").unwrap();
            record.counterparty = Some(Party { id: Some(vendor.into()), name: SUPPLIER.to_owned() });
            (EntityRef::new("bill", id), record.into())
        }),
        refusals: refusals(),
        secrets: secrets(&erp),
        connect: Box::new(move || Arc::new(builder(&erp, "books").build().unwrap())),
    }
}

#[tokio::test(start_paused = true)]
async fn posting_has_every_behavior_of_a_sink() {
    for (name, check) in sink::BEHAVIORS {
        if !WITH_BODY_ONLY.contains(name) {
            check(&sink_under_test()).await;
        }
    }
}
