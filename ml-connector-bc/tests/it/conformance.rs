//! The suites that every source and every sink pass, against the simulated company.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_bc::post;
use ml_connector_core::{
    Clock, Source, TokioClock, UpkeepRequest,
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
        source::{self, Lists, Proof, SourceUnderTest, Webhook},
    },
    model::{Decimal, EntityRef, Money, Party, Record, RecordKind, Status},
};
use ml_connector_sim::{
    BusinessCentralSim, SimTransport,
    bc::{NewDocument, Set},
};

use crate::support::{HOOKS, Hooks, NOW, SECRET, World, builder, fixture};

const SUPPLIER: &str = "Planted Supplier & Sons";
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

/// A record, and a notification of it on the path and with the `clientState` that Business Central was told.
async fn source_under_test(set: Set, kind: &'static str) -> SourceUnderTest {
    let world = World::new();
    let erp = world.erp.clone();
    let make = |number: &str| match set {
        Set::Vendors | Set::Customers => {
            erp.create_master(set, &[("displayName", SUPPLIER.into()), ("number", number.into())])
        }
        _ => erp.create(set, &NewDocument::new(SUPPLIER, Decimal::new(471_125, 2))),
    };
    let (id, another) = (make("V1"), make("V2"));
    let connect = {
        let erp = erp.clone();
        move || builder(&erp, "erp").sets([set.name()]).build().unwrap()
    };
    erp.set_hooks(Hooks::of(&world, &connect()));
    connect().upkeep(&world.ctx(), UpkeepRequest::new().callback(Some(HOOKS))).await.unwrap();
    let subscription = erp.subscriptions().remove(0);
    assert!(subscription.resource.ends_with(set.name()));
    let path = subscription.notification_url.strip_prefix(HOOKS).unwrap().to_owned();
    let state = subscription.client_state;
    let entry = |state: Option<&str>| {
        let mut entry = serde_json::json!({
            "subscriptionId": subscription.id,
            "expirationDateTime": subscription.expires.to_string(),
            "resource": format!("{}({id})", subscription.resource.trim_start_matches('/')),
            "changeType": "updated",
            "lastModifiedDateTime": world.now().to_string(),
        });
        if let Some(state) = state {
            entry["clientState"] = state.into();
        }
        serde_json::json!({ "value": [entry] }).to_string()
    };
    let post = |path: &str, body: String| Request::post(path).body(Bytes::from(body)).unwrap();
    let good = entry(Some(&state));
    let wrong: String = state.chars().rev().collect();
    SourceUnderTest {
        vendor: Arc::new(SimTransport::new().with_business_central(&erp)),
        clock: Arc::clone(&world.clock),
        reads: |request| request.uri().path().contains("/api/v2.0/"),
        entity: EntityRef::new(kind, id.as_str()),
        another: Some(EntityRef::new(kind, another)),
        handshake: None,
        webhook: Webhook {
            proves: Proof::Sender,
            state: None,
            request: post(&path, good.clone()),
            account: None,
            signature: None,
            tolerance: None,
            forged: vec![
                post(&format!("{path}0"), good.clone()),
                post("/", good),
                post(&path, entry(Some(&wrong))),
                post(&path, entry(Some(&state[1..]))),
                post(&path, entry(Some(""))),
                post(&path, entry(None)),
            ],
            misunderstood: ["", "null", "{}", r#"{"value":7}"#, r#"{"value":[]}"#]
                .map(|body| post(&path, body.to_owned()))
                .to_vec(),
        },
        refusals: refusals(),
        lists: Lists::Records,
        names_account: Some(erp.credentials().company_id),
        // Of the record, of a related one or the company; and by whom no right is given.
        missing: [
            (404, fixture("error_404_record.json")),
            (404, fixture("error_404.json")),
            (403, Bytes::from_static(br#"{"error":{"code":"Authorization_RequestDenied","message":"no"}}"#)),
        ]
        .map(|(status, body)| Response::builder().status(status).body(body).unwrap())
        .to_vec(),
        secrets: [secrets(&erp), vec![path.trim_matches('/').to_owned(), state]].concat(),
        connect: Box::new(move || Arc::new(connect())),
    }
}

// Proves: source_of_bc.
#[tokio::test(start_paused = true)]
async fn bills_have_every_behavior_of_a_source() {
    source::all(async || source_under_test(Set::PurchaseInvoices, "bill").await).await;
}

#[tokio::test(start_paused = true)]
async fn sales_invoices_have_every_behavior_of_a_source() {
    source::all(async || source_under_test(Set::SalesInvoices, "invoice").await).await;
}

#[tokio::test(start_paused = true)]
async fn vendors_have_every_behavior_of_a_source() {
    source::all(async || source_under_test(Set::Vendors, "vendor").await).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_of_any_kind_is_told_by_its_id_or_shown_as_lost() {
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
        use source::feeds;
        let under_test = async || source_under_test(set, kind).await;
        feeds::an_unreadable_row_keeps_its_id_and_the_page_goes_on(&under_test().await).await;
        feeds::a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on(&under_test().await).await;
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

// Proves: sink_of_bc.
#[tokio::test(start_paused = true)]
async fn posting_has_every_behavior_of_a_sink() {
    for (name, check) in sink::BEHAVIORS {
        if !WITH_BODY_ONLY.contains(name) {
            check(&sink_under_test()).await;
        }
    }
}
